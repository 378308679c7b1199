"""The panels of 06_attention that train: reverse a string, and look a key up."""

import csv
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import nn

from .. import data, style
from ..draw import Cells, place
from ..live import LiveFigure
from ..panel import Panel, choice, slider, text
from ..sequences import IGNORED, LETTERS, SEPARATOR, reversals
from ..training import Run
from .attention_parts import Labels, expect, parts, shades

LONGEST = 10
"""Letters of a string here; the net trains on fewer."""
TOKENS = [*LETTERS, ">", "·"]


@torch.no_grad()
def reverse(net: nn.Module, string: list[int]) -> tuple[list[int], list[np.ndarray]]:
    """What ``net`` writes after ">", letter by letter, and its weights (heads, n, n) by layer."""
    device = next(net.parameters()).device
    tokens = [*string, SEPARATOR]
    weights: Any = ()
    for _ in string:
        logits, weights = parts("the net", net(torch.tensor([tokens], device=device)), 2)
        shape = (1, len(tokens), len(LETTERS))
        tokens.append(int(expect("logits", logits, shape)[0, -1].argmax()))
    maps = [w.detach()[0].cpu().numpy() for w in weights]
    return tokens[len(string) + 1 :], maps


@torch.no_grad()
def shares_right(net: nn.Module, n: int = 300) -> list[float]:
    """Share of new strings of 1, 2, ... ``LONGEST`` letters that are reversed without a mistake."""
    device = next(net.parameters()).device
    tokens, targets = reversals(n, 10**6, 1, LONGEST)
    said = net(tokens.to(device))[0].argmax(dim=-1).cpu()
    right = ((said == targets) | (targets == IGNORED)).all(dim=1).float()
    lengths = (targets != IGNORED).sum(dim=1)
    return [float(right[lengths == k].mean()) for k in range(1, LONGEST + 1)]


def reversing(run: Run, make_net: Callable[[int], nn.Module], trained_to: int, seed: int) -> Panel:
    """The run of a small transformer on reversals of up to ``trained_to`` letters: its heads.

    Its model maps tokens (N, T) to logits (N, T, 12) and a list of weights (N, heads, T, T).
    It began as ``make_net(seed)``; another start is one of the controls.
    """
    fig = LiveFigure(820, 480)
    _, first = reverse(run.models[0], [0, 1])
    layers, count = len(first), len(first[0])
    places = [(k, h) for k in range(layers) for h in range(count)]
    grid, wall_ax, chart = fig.subplots(1, 3)
    place(fig, {grid: (36, 8, 400, 400), wall_ax: (484, 344, 324, 81), chart: (540, 62, 268, 200)})
    cells = Cells(fig, grid)
    rows, columns = Labels(grid, "left", 0.9), Labels(grid, "upright", 0.9)
    dots = grid.plot([], [], "s", ms=17, mfc="none", mec=style.RED, mew=3, zorder=4)[0]
    wall_ax.set(xlim=(0, len(places)), ylim=(1, 0))
    wall_ax.axis("off")
    pictures = [
        wall_ax.imshow(
            np.zeros((2, 2)),
            extent=(k + 0.04, k + 0.96, 0.96, 0.04),
            cmap=style.SIGNED,
            vmin=-1,
            vmax=1,
            aspect="auto",
        )
        for k in range(len(places))
    ]
    wall_ax.set(xlim=(0, len(places)), ylim=(1, 0))
    for k, (layer, head) in enumerate(places):
        wall_ax.text(k + 0.5, -0.06, f"L{layer} H{head}", ha="center", va="bottom", fontsize=16)
    chosen = wall_ax.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.RED, lw=4))
    lengths = range(1, LONGEST + 1)
    bars = chart.bar(lengths, [0] * LONGEST, color=style.ACTIVATION, width=0.75)
    for bar in bars[trained_to:]:
        bar.set_color(style.ORANGE)
    chart.set(xlabel="letters", xticks=[1, trained_to, LONGEST], ylim=(0, 1.02))
    chart.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    chart.set_title("strings reversed right", fontsize=16)
    fig.live(dots, pictures, chosen, bars)

    state = {"seed": seed}

    def update(word: str, length: int, shown: int, start: int) -> str:
        if state["seed"] != start:
            state["seed"] = start  # first: to pause is to draw, and that comes here again
            run.pause()
            with run.paused():
                run.models[0].load_state_dict(make_net(start).state_dict())
            run.restart()
        letters = [LETTERS.index(c) for c in word.lower() if c in LETTERS]
        if not letters:
            return f"Use the letters {LETTERS[0]} to {LETTERS[-1]}."
        string = (letters * LONGEST)[:length]
        net = run.models[0]
        with run.paused():
            answer, maps = reverse(net, string)
            shares = shares_right(net)
            position = run.position
        every = [layer[h] for layer in maps for h in range(len(layer))]
        for picture, weights in zip(pictures, every, strict=True):
            picture.set_data(weights**0.7)
        weights = every[shown]
        n = len(weights)
        tokens = [TOKENS[t] for t in [*string, SEPARATOR, *answer]][:n]
        cells.show([[""] * n] * n, shades(weights**0.7))
        size = 16 if n <= 17 else 13
        rows.show(tokens, size)
        columns.show(tokens, size)
        asks = np.arange(length, n)
        wanted = 2 * length - 1 - asks
        dots.set_data(wanted, asks)
        dots.set_markersize(0.62 * 400 / n)
        chosen.set_bounds(shown, 0, 1, 1)
        for bar, share in zip(bars, shares, strict=True):
            bar.set_height(share)
        right = sum(a == b for a, b in zip(answer, reversed(string), strict=True))
        on_letter = float(weights[asks, wanted].mean())
        after = float(weights[asks, wanted + 1].mean())
        layer, head = places[shown]
        words = "".join(TOKENS[t] for t in string), "".join(TOKENS[t] for t in answer)
        return (
            f"Step {position}: <b>{words[0]} → {words[1]}</b>, {right} of {length} letters right. "
            f"Layer {layer}, head {head} has <b>{on_letter:.2f}</b> of its weight on the letter to "
            f"copy (red squares), {after:.2f} on the place after it. Strings of {trained_to} "
            f"letters: {shares[trained_to - 1]:.0%} right, of {trained_to + 1}: "
            f"{shares[trained_to]:.0%}."
        )

    panel = Panel(
        update,
        fig,
        title="A tiny transformer learns to reverse",
        look="Press Play and watch the heads find the red squares; scrub back to see where they "
        "began. Then make the string longer than any it was trained on.",
        presets={
            "8 letters": {"word": "feedback", "length": 8, "shown": len(places) - 1, "start": seed}
            | {"note": "Once trained, the last layer reads the string from back to front."},
            "fails: 9 letters": {"word": "feedbacke", "length": 9, "shown": len(places) - 1}
            | {"note": "One letter more than in training: those places never got a vector."},
            "first layer": {"word": "feedback", "length": 8, "shown": 0}
            | {"note": "It does not look at the letters to copy. What does it bring along?"},
            "another start": {"word": "feedback", "length": 8, "shown": len(places) - 1, "start": 0}
            | {"note": "Press Play: the same task, another random start. Where does it look now?"},
        },
        run=run,
        word=text("feedback", "string"),
        length=slider(1, LONGEST, 1, 8, "letters"),
        shown=choice(
            {f"layer {k}, head {h}": i for i, (k, h) in enumerate(places)},
            len(places) - 1,
            label="head",
        ),
        start=slider(0, 4, 1, seed, "start"),
    )

    def typed(change: Any) -> None:
        letters = [c for c in change["new"].lower() if c in LETTERS]
        if letters:
            panel.controls["length"].value = min(len(letters), LONGEST)

    panel.controls["word"].observe(typed, "value")
    fig.on_press(
        wall_ax, lambda x, _: panel.set(shown=int(np.clip(np.floor(x), 0, len(places) - 1)))
    )
    return panel


# ---- recall

LOOKS = {name: style.NETS[name] for name in ("RNN", "LSTM", "attention")}
TASKS = {"look a key up": "key", "name the last value": "last"}


def measured() -> dict[str, dict[int, list[float]]]:
    """The shipped results: accuracy of each seed by net and by number of pairs."""
    found: dict[str, dict[int, list[float]]] = {name: {} for name in LOOKS}
    with data.path("recall.csv").open(encoding="ascii") as file:
        for line in csv.DictReader(file):
            seeds = found[line["net"]].setdefault(int(line["pairs"]), [])
            seeds.append(float(line["accuracy"]))
    return found


def recall(
    run: Run,
    make_nets: Callable[[int], Sequence[nn.Module]],
    task: MutableMapping[str, Any],
) -> Panel:
    """RNN, LSTM and attention on lists of pairs: shipped results by length, and a run.

    ``run`` records accuracies under the names RNN, LSTM and attention, on ``task``, a dict with
    "pairs" and "ask" that this panel sets. ``make_nets(seed)`` makes the three nets anew.
    """
    fig = LiveFigure(820, 420)
    shipped_ax, live_ax = fig.subplots(1, 2)
    results = measured()
    for name, (colour, marker, dash) in LOOKS.items():
        pairs = sorted(results[name])
        means = [np.mean(results[name][p]) for p in pairs]
        shipped_ax.plot(pairs, means, dash, marker=marker, color=colour, label=name)
    shipped_ax.axhline(0.1, color=style.MUTED, lw=2, ls=":")
    shipped_ax.set(xlabel="pairs in the list", ylim=(0, 1.05), xlim=(0, 26))
    shipped_ax.set_title("shipped: after 1000 steps", fontsize=16)
    cursor = shipped_ax.axvline(0, color=style.INK, lw=1.5)
    shipped_ax.legend(loc="center right", bbox_to_anchor=(1, 0.68))
    live_ax.set(xlabel="step", ylim=(0, 1.05), xlim=(0, run.steps))
    live_ax.set_title("this run", fontsize=16)
    live_ax.axhline(0.1, color=style.MUTED, lw=2, ls=":")
    live_ax.text(run.steps, 0.11, "guessing", ha="right", va="bottom", fontsize=16)
    for ax in (shipped_ax, live_ax):
        ax.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    lines = {
        name: live_ax.plot([], [], dash, marker=marker, ms=7, color=colour)[0]
        for name, (colour, marker, dash) in LOOKS.items()
    }
    fig.live(cursor, lines.values())

    def update(asked: str, pairs: int) -> str:
        wanted = {"pairs": pairs, "ask": TASKS[asked]}
        if wanted != dict(task):
            task.update(wanted)  # first: to pause is to draw, and that comes here again
            run.pause()
            with run.paused():
                for net, fresh in zip(run.models, make_nets(0), strict=True):
                    net.load_state_dict(fresh.state_dict())
            run.restart()
        cursor.set_xdata([pairs, pairs])
        for name, line in lines.items():
            line.set_data(*run.curve(name))
        now = ", ".join(f"{name} <b>{run.last(name):.0%}</b>" for name in LOOKS)
        near = min(results["RNN"], key=lambda p: abs(p - pairs))
        before = ", ".join(f"{name} {np.mean(results[name][near]):.0%}" for name in LOOKS)
        return (
            f"Step {run.position}, {pairs} pairs, {asked}: {now} right. "
            f"Shipped, key of {near} pairs: {before}."
        )

    return Panel(
        update,
        fig,
        title="Who can look something up?",
        look="Press Play: all three train on the same lists, on new ones at every step. "
        "Then change the length, and the question.",
        presets={
            "8 pairs": {"asked": "look a key up", "pairs": 8}
            | {"note": "Attention compares the question with every key. Press Play."},
            "24 pairs": {"asked": "look a key up", "pairs": 24}
            | {"note": "The list grows. The state of RNN and LSTM does not."},
            "fails: the last one": {"asked": "name the last value", "pairs": 8}
            | {"note": "Without positions attention can't tell which came last. Press Play."},
        },
        run=run,
        asked=choice(list(TASKS), label="question"),
        pairs=slider(2, 24, 1, task["pairs"], "pairs"),
    )
