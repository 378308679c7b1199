"""The panels of 06_attention on a real pretrained transformer: its 72 heads, and their stories."""

from collections.abc import Callable, Sequence
from math import comb
from typing import Any

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import style
from ..draw import place
from ..live import LiveFigure
from ..minilm import HEADS, LAYERS, MiniLM
from ..panel import Panel, slider
from .attention_parts import Labels, expect, own_words, wide_text

Attention = Callable[..., tuple[Tensor, Tensor]]
"""``attention(q, k, v)``: (heads, n, d) each -> outputs (heads, n, d), weights (heads, n, n)."""
MOST = 18
"""Words a sentence may have here, [CLS] and [SEP] apart."""
TIRED = "The animal didn't cross the street because it was too tired."
WIDE = "The animal didn't cross the street because it was too wide."


@torch.no_grad()
def weights_of(model: MiniLM, attention: Attention, tokens: list[str]) -> np.ndarray:
    """Weights (6, 12, n, n) of every head, computed with the reader's own ``attention``."""
    n = len(tokens)
    _, maps = model(tokens, attention)
    return expect("weights", maps, (LAYERS, HEADS, n, n)).numpy()


def habits(weights: np.ndarray) -> dict[str, np.ndarray]:
    """What the words of a sentence look at on average: weights (..., n, n) -> (...) by habit.

    [CLS] and [SEP] do not count as asking words, nor the first word for the one before it.
    """
    n = weights.shape[-1]
    i = np.arange(n)
    words = weights[..., 1:-1, :]
    return {
        "the word before": weights[..., i[2:-1], i[1:-2]].mean(-1),
        "the word after": weights[..., i[1:-2], i[2:-1]].mean(-1),
        "itself": weights[..., i[1:-1], i[1:-1]].mean(-1),
        "[CLS] or [SEP]": words[..., [0, -1]].sum(-1).mean(-1),
    }


def heads(attention: Attention, model: MiniLM) -> Panel:
    """Your sentence in every head: lines between the words, the matrix, a wall of all 72."""
    fig = LiveFigure(820, 480)
    lines_ax, wall_ax, map_ax, bars_ax = fig.subplots(1, 4)
    place(
        fig,
        {
            lines_ax: (128, 8, 120, 464),
            wall_ax: (424, 238, 384, 186),
            map_ax: (424, 6, 196, 196),
            bars_ax: (646, 32, 162, 162),
        },
    )
    lines_ax.set(xlim=(0, 1))
    lines_ax.axis("off")
    left, right = Labels(lines_ax, "left", 0.05), Labels(lines_ax, "right", 1.05)
    segments = LineCollection([], capstyle="round")
    lines_ax.add_collection(segments, autolim=False)
    band = lines_ax.add_patch(
        Rectangle((-1.1, 0), 3.2, 1, fc=style.ORANGE, alpha=0.2, ec="none", clip_on=False)
    )
    style.picture(wall_ax)
    wall_ax.set_title("layer ↓   head →   click one of 72", fontsize=16, pad=22)
    wall = wall_ax.imshow(np.zeros((2, 2, 3)), extent=(0, HEADS, LAYERS, 0), aspect="auto")
    for h in range(HEADS):
        wall_ax.text(h + 0.5, -0.08, str(h), ha="center", va="bottom", fontsize=14)
    for k in range(LAYERS):
        wall_ax.text(-0.1, k + 0.5, str(k), ha="right", va="center", fontsize=16)
    chosen = wall_ax.add_patch(
        Rectangle((0, 0), 1, 1, fill=False, ec=style.RED, lw=4, clip_on=False)
    )
    style.picture(map_ax)
    image = map_ax.imshow(np.zeros((2, 2)), cmap=style.SIGNED, vmin=-1, vmax=1, aspect="auto")
    row = map_ax.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.RED, lw=3, clip_on=False))
    bars_ax.set(xlim=(0, 1), ylim=(3.6, -0.9), yticks=[], xticks=[0, 1])
    bars_ax.set_title("words look at", fontsize=16)
    names = tuple(habits(np.full((4, 4), 0.25)))
    bars = bars_ax.barh(range(4), [0] * 4, color=style.ACTIVATION, height=0.38)
    for k, name in enumerate(names):
        bars_ax.text(0.01, k - 0.27, name, va="bottom", fontsize=16)
    fig.live(segments, band, wall, chosen, image, row, bars)
    state: dict[str, Any] = {"words": None}

    def read(words: str) -> None:
        shown, state["remark"] = own_words(model, words, MOST)
        tokens = ["[CLS]", *shown, "[SEP]"]
        weights = weights_of(model, attention, tokens)
        state.update(words=words, tokens=tokens, weights=weights)
        n = len(tokens)
        blue = np.array(to_rgb("#1b4fb5"))
        tiles = np.ones((LAYERS, n + 2, HEADS, n + 2, 3))
        shade = np.clip(weights, 0, 1)[..., None] ** 0.7
        tiles[:, 1:-1, :, 1:-1] = (1 - shade * (1 - blue)).transpose(0, 2, 1, 3, 4)
        tiles[:, [0, -1]] = tiles[:, :, :, [0, -1]] = to_rgb(style.FAINT)
        wall.set_data(tiles.reshape(LAYERS * (n + 2), HEADS * (n + 2), 3))
        image.set_extent((0, n, n, 0))
        map_ax.set(xlim=(0, n), ylim=(n, 0))
        lines_ax.set(ylim=(n - 0.4, -0.6))
        for label in (left, right):
            label.words = []
            label.show(tokens, size=16 if n <= 17 else 14)

    def update(sentence: str, layer: int, head: int, word: int) -> str:
        if sentence != state["words"]:
            state["words"] = None
            read(sentence)
        tokens, weights = state["tokens"], state["weights"][layer, head]
        n = len(tokens)
        i = min(word, n - 1)
        a, b = np.nonzero(weights > 0.03)
        strength = np.clip(weights[a, b], 0, 1)
        mine = a == i
        segments.set_segments(np.stack([np.stack([0 * a, a], 1), np.stack([0 * b + 1, b], 1)], 1))
        colours = np.where(mine[:, None], to_rgb("#1b4fb5"), to_rgb(style.GREY))
        alpha = np.where(mine, 0.15 + 0.85 * strength, 0.45 * strength)
        segments.set_color(np.column_stack([colours, alpha]))
        segments.set_linewidths(np.where(mine, 1 + 8 * strength, 1 + 4 * strength))
        band.set_y(i - 0.5)
        chosen.set_xy((head, layer))
        image.set_data(weights**0.7)
        row.set_bounds(0, i, n, 1)
        found = {k: float(v) for k, v in habits(weights).items()} if n > 3 else {}
        for bar, name in zip(bars, names, strict=True):
            bar.set_width(found.get(name, 0.0))
        best = np.argsort(-weights[i], kind="stable")[:3]
        looks = ", ".join(f"{tokens[j]} <b>{weights[i, j]:.2f}</b>" for j in best)
        return f"Layer {layer}, head {head}: “{tokens[i]}” looks at {looks}.{state['remark']}"

    def story(layer: int, head: int, note: str, words: str = TIRED) -> dict[str, Any]:
        word = model.tokenize(words).index("it")
        return {"sentence": words, "layer": layer, "head": head, "word": word, "note": note}

    panel = Panel(
        update,
        fig,
        title="72 heads read your sentence",
        look="Type a sentence and press Return. Click a head in the wall; "
        "point at a word on the left: it is the one that asks.",
        presets={
            "the word before": story(0, 2, "Almost all weight on the word before, every time."),
            "the word after": story(1, 8, "Mostly the word after."),
            "rests on the marks": story(4, 5, "[CLS] and [SEP]: a place to look at nothing."),
            "“it” → animal?": story(3, 1, "Does this head know what “it” means? Look at “wide”."),
            "… too wide": story(
                3, 1, "Now “it” is the street. The head still prefers the animal.", WIDE
            ),
        },
        sentence=wide_text(TIRED, "sentence"),
        layer=slider(0, LAYERS - 1, 1, 3, "layer"),
        head=slider(0, HEADS - 1, 1, 1, "head"),
        word=slider(0, MOST + 1, 1, 10, "word"),
    )

    def click(x: float, y: float) -> None:
        panel.set(
            head=int(np.clip(np.floor(x), 0, HEADS - 1)),
            layer=int(np.clip(np.floor(y), 0, LAYERS - 1)),
        )

    def point_line(_: float | None, y: float | None) -> None:
        if y is not None:
            panel.set(word=int(np.clip(round(y), 0, len(state["tokens"]) - 1)))

    def point_map(_: float | None, y: float | None) -> None:
        if y is not None:
            panel.set(word=int(np.clip(np.floor(y), 0, len(state["tokens"]) - 1)))

    fig.on_press(wall_ax, click)
    fig.on_hover(lines_ax, point_line)
    fig.on_hover(map_ax, point_map)
    return panel


# ---- a story, and its test

Pair = tuple[str, str, str]
"""A sentence with {} for its ending, two nouns, and the endings that make "it" each of them."""


def preferences(attention: Attention, model: MiniLM, pairs: Sequence[Pair]) -> np.ndarray:
    """Weight from "it" to each noun: (pairs, 2 endings, 2 nouns, 6 layers, 12 heads).

    Raises ValueError when "it" or a noun is not one whole piece of the sentence.
    """
    found = np.zeros((len(pairs), 2, 2, LAYERS, HEADS))
    for p, (sentence, both, endings) in enumerate(pairs):
        nouns = both.split()
        for e, ending in enumerate(endings.split()):
            tokens = model.tokenize(sentence.format(ending))
            for word in ("it", *nouns):
                if tokens.count(word) != 1:
                    raise ValueError(f"“{word}” must be one piece, once, in {tokens}.")
            weights = weights_of(model, attention, tokens)
            for k, noun in enumerate(nouns):
                found[p, e, k] = weights[:, :, tokens.index("it"), tokens.index(noun)]
    return found


def right_answers(found: np.ndarray) -> np.ndarray:
    """How many sentences each head gets right, (6, 12): more weight on the right noun."""
    lead = found[:, :, 0] - found[:, :, 1]  # towards the first noun
    return (lead[:, 0] > 0).sum(axis=0) + (lead[:, 1] < 0).sum(axis=0)


def best_of_coins(coins: int, tosses: int) -> float:
    """The expected best of so many coins, each tossed so often."""
    below = np.cumsum([comb(tosses, k) / 2**tosses for k in range(tosses + 1)])
    return float(sum(1 - below[k] ** coins for k in range(tosses)))


def stories(attention: Attention, model: MiniLM, pairs: Sequence[Pair]) -> Panel:
    """One head on every sentence: does it follow the meaning, or always the same noun?"""
    found = preferences(attention, model, pairs)
    scores = right_answers(found)
    count = 2 * len(pairs)
    fig = LiveFigure(820, 480)
    rows_ax, chart = fig.subplots(1, 2)
    place(fig, {rows_ax: (212, 46, 256, 396), chart: (556, 66, 246, 340)})
    rows_ax.set(xlim=(-1, 1), ylim=(count - 0.4, -0.6), xticks=[-1, 0, 1])
    rows_ax.set_xticklabels(["1", "0", "1"])
    rows_ax.set_yticks(
        range(count),
        [
            f"{ending}: {noun}"
            for _, nouns, endings in pairs
            for noun, ending in zip(nouns.split(), endings.split(), strict=True)
        ],
        fontsize=16,
    )
    rows_ax.tick_params(length=0)
    rows_ax.spines[:].set_visible(False)
    rows_ax.set_title("← wrong noun     right noun →", fontsize=16)
    rows_ax.axvline(0, color=style.INK, lw=1.5)
    for k in range(2, count, 4):
        rows_ax.axhspan(k - 0.5, k + 1.5, color="#f2f3f5", zorder=-2)
    good = rows_ax.barh(range(count), [0] * count, color=style.RIGHT, height=0.62)
    bad = rows_ax.barh(range(count), [0] * count, color=style.WRONG, height=0.62)
    marks = [rows_ax.text(0.97, k, "", ha="right", va="center") for k in range(count)]
    heights = np.bincount(scores.ravel(), minlength=count + 1)
    chart.bar(range(count + 1), heights, color=style.GREY, width=0.8, label="72 heads")
    coins = [HEADS * LAYERS * comb(count, k) / 2**count for k in range(count + 1)]
    chart.plot(range(count + 1), coins, "o", ls="--", lw=2, ms=6, color=style.ORANGE)
    chart.text(count, 0.42 * heights.max(), "72 coins", ha="right", color="#a35b00")
    chart.set(xlabel=f"right, of {count}", ylabel="heads", xlim=(-0.6, count + 0.6))
    chart.set_xticks([0, count // 2, count])
    pointer = chart.add_patch(Rectangle((0, 0), 0.8, 0, fill=False, ec=style.RED, lw=4))
    fig.live(good, bad, marks, pointer)
    top = np.unravel_index(int(scores.argmax()), scores.shape)
    same = int((scores == len(pairs)).sum())

    def update(layer: int, head: int) -> str:
        mine = found[:, :, :, layer, head]
        right = mine[:, [0, 1], [0, 1]].ravel()
        wrong = mine[:, [0, 1], [1, 0]].ravel()
        for k, (r, w) in enumerate(zip(right, wrong, strict=True)):
            good[k].set_width(r)
            bad[k].set_width(-w)
            marks[k].set_text("✓" if r > w else "✗")
            marks[k].set_color(style.RIGHT if r > w else style.WRONG)
        score = int(scores[layer, head])
        pointer.set_bounds(score - 0.4, 0, 0.8, heights[score])
        lead = mine[:, :, 0] > mine[:, :, 1]
        turned = int((lead[:, 0] != lead[:, 1]).sum())
        return (
            f"Layer {layer}, head {head} is right on <b>{score} of {count}</b>; a coin gets "
            f"{count // 2}. The ending changes its choice in {turned} of {len(pairs)} pairs. "
            f"{same} of 72 heads are right exactly {len(pairs)} times. The best, layer {top[0]} "
            f"head {top[1]}, has {int(scores.max())}; the best of 72 coins has about "
            f"{best_of_coins(72, count):.0f}."
        )

    return Panel(
        update,
        fig,
        title="Test your story",
        look="Each pair of rows is one sentence with two endings: the right noun changes, "
        "so a head that always likes the same noun is right once and wrong once.",
        presets={
            "L3 H1": {"layer": 3, "head": 1, "note": "It told a good story about the animal."},
            "L5 H11": {"layer": 5, "head": 11, "note": "So did this one."},
            "best of 72": {"layer": int(top[0]), "head": int(top[1])}
            | {"note": "Chosen because it is best here: only new sentences could test it."},
        },
        layer=slider(0, LAYERS - 1, 1, 3, "layer"),
        head=slider(0, HEADS - 1, 1, 1, "head"),
    )
