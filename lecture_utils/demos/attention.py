"""The panels of 06_attention. Here: attention by hand, stage by stage. The others: see imports."""

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import style
from ..draw import Cells, NumberGrid, arrow_in, number, paint, place, point_arrow, vector
from ..live import LiveFigure
from ..minilm import MiniLM
from ..panel import Panel, Player, choice, log_slider, slider, toggle
from .attention_break import Countdown
from .attention_heads import habits, heads, preferences, stories
from .attention_parts import Labels, expect, own_words, parts, shades, short, wide_text
from .attention_training import measured, recall, reversing, shares_right

__all__ = [
    "Countdown",
    "habits",
    "heads",
    "measured",
    "order",
    "preferences",
    "recall",
    "reversing",
    "scaling",
    "shares_right",
    "stages",
    "stories",
    "temperature",
    "thinking",
]

LookUp = Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
"""``look_up(q, keys, values, scale)``: q (d,), keys (n, d), values (n, m) ->
scores (n,), the same divided (n,), weights (n,), output (m,)."""


def thinking(look_up: LookUp) -> Panel:
    """The two words of the deck, with queries, keys and values to type in."""
    fig = LiveFigure(820, 420)
    table, plane = fig.subplots(1, 2)
    place(fig, {table: (4, 8, 530, 404), plane: (578, 90, 230, 230)})
    cells = Cells(fig, table)
    table.set_aspect("auto")
    plane.set(xlim=(-9.9, 9.9), ylim=(-9.9, 9.9), xticks=[-8, 0, 8], yticks=[-8, 0, 8])
    plane.axhline(0, color=style.FAINT, lw=2)
    plane.axvline(0, color=style.FAINT, lw=2)
    (between,) = plane.plot([], [], color=style.MUTED, lw=2, ls=":")
    arrows = [arrow_in(plane, style.GREY), arrow_in(plane, style.GREY)]
    arrow_z = arrow_in(plane, style.PREDICTION, zorder=5)
    names = [plane.text(0, 0, f"v{'₁₂'[i]}", fontsize=16, ha="center", va="center") for i in (0, 1)]
    name_z = plane.text(0, 0, "", fontsize=18, color="#a35b00", ha="center", va="center")
    plane.set_title("values and output")
    fig.live(between, arrows, arrow_z, names, name_z)
    words = ("Thinking", "Machines")

    def update(query: int, scale: bool, d_k: int, q: Any, k: Any, v: Any) -> str:
        copies = d_k // 4
        every = [torch.tensor(m, dtype=torch.float32) for m in (q, k)]
        queries, keys = (m.repeat_interleave(copies, dim=1) for m in every)
        values = torch.tensor(v, dtype=torch.float32)
        found = parts("look_up", look_up(queries[query], keys, values, scale), 4)
        scores, divided, weights = (
            expect(name, part, (2,)).tolist()
            for name, part in zip(("scores", "scaled", "weights"), found, strict=False)
        )
        z = expect("output", found[3], (2,)).tolist()
        sub = "₁₂"[query]
        root = d_k**0.5
        rows = [
            ("", *words),
            (f"query q{sub}", *(vector0(q[query]) if i == query else "" for i in (0, 1))),
            ("key k", *map(vector0, k)),
            (f"score q{sub}·k", *(number(s) for s in scores)),
            (f"÷ √{d_k} = {root:g}" if scale else "not divided", *(number(s) for s in divided)),
            ("softmax", *map(weight_words, weights)),
            ("value v", *map(vector0, v)),
            (
                "weight × value",
                *(vector([w * x for x in u]) for w, u in zip(weights, v, strict=True)),
            ),
            (f"sum z{sub}", vector(z) if query == 0 else "", vector(z) if query == 1 else ""),
        ]
        colours = paint((9, 3), style.PAPER)
        colours[:, 0] = (0.94, 0.95, 0.96, 1)
        colours[0] = (0.94, 0.95, 0.96, 1)
        colours[5, 1:] = shades(np.array(weights))
        colours[8, 1 + query] = (0.99, 0.91, 0.8, 1)
        inks = [[style.INK] * 3 for _ in rows]
        inks[5] = [style.INK, *(style.contrast(w, 0, 1.3) for w in weights)]
        cells.show(rows, colours, inks=inks)
        for arrow, name, u in zip(arrows, names, v, strict=True):
            point_arrow(arrow, (0, 0), u)
            name.set_position(beyond(u))
        point_arrow(arrow_z, (0, 0), z)
        name_z.set_text(f"z{sub}")
        name_z.set_position(beside(z))
        between.set_data(*np.array(v, float).T)
        first, second = weights
        return (
            f"z{sub} = <b>{weight_words(first)} v₁ + {weight_words(second)} v₂</b>. These weights "
            f"belong to the query of “{words[query]}” alone; the other word asks its own question. "
            + ("" if scale else f"Not divided: {softmax_gap(divided)}")
        )

    return Panel(
        update,
        fig,
        title="“Thinking Machines”, by hand",
        look="Follow one column down. Then switch the division off, or type other numbers. "
        "Each number of q and k stands for d_k / 4 equal ones.",
        presets={
            "the slide": {"query": 0, "scale": True, "d_k": 64, "q": Q, "k": K, "v": V}
            | {"note": "112 and 96, divided by 8: 14 and 12."},
            "fails: not divided": {"query": 0, "scale": False, "d_k": 64, "q": Q, "k": K, "v": V}
            | {"note": "A lead of 16 in the score leaves nothing for the second word."},
            "the second word": {"query": 1, "scale": True, "d_k": 64, "q": Q, "k": K, "v": V}
            | {"note": "Another query, other weights: z₂ is not the second column of z₁'s sum."},
            "a blend": {"query": 0, "scale": True, "d_k": 64, "q": Q, "k": (K[0], K[0]), "v": V}
            | {"note": "Equal keys get equal weights, whatever their values."},
        },
        query=choice({"q₁: Thinking": 0, "q₂: Machines": 1}, label="query"),
        scale=toggle(True, "divide by √d_k"),
        d_k=choice([4, 16, 64, 256], 64, label="d_k"),
        q=NumberGrid(Q, "q", low=-9, high=9),
        k=NumberGrid(K, "k", low=-9, high=9),
        v=NumberGrid(V, "v", low=-9, high=9),
    )


Q = ((2, 1, 1, 1), (0, 2, 1, 1))
K = ((2, 1, 1, 1), (1, 2, 1, 1))
V = ((7, 2), (-3, 6))
"""Numbers with q₁·k₁ = 7 and q₁·k₂ = 6; times 16, as d_k = 64 asks for, 112 and 96."""


def vector0(v: Any) -> str:
    """(2, −1) of whole numbers."""
    return "(" + ", ".join(str(x) for x in v).replace("-", "−") + ")"


def weight_words(w: float) -> str:
    """A weight to three digits, and in full where they would all be 0 or 9."""
    if 0.0005 <= w <= 0.9995 or w in (0, 1):
        return f"{w:.3f}"
    return f"{w:.0e}" if w < 0.5 else f"{w:.7f}"


def softmax_gap(divided: list[float]) -> str:
    gap = abs(divided[0] - divided[1])
    return f"the scores differ by {number(gap)}, the weights by a factor of e^{number(gap)}."


def beyond(v: Any, by: float = 1.9) -> tuple[float, float]:
    """A place for the name of an arrow from the origin to ``v``."""
    v = np.asarray(v, float)
    length = max(float(np.hypot(*v)), 1e-9)
    x, y = np.clip(v * (1 + by / length), -9, 9)
    return float(x), float(y)


def beside(v: Any, by: float = 2.0) -> tuple[float, float]:
    """A place to the right of the middle of an arrow from the origin to ``v``, seen along it."""
    v = np.asarray(v, float)
    length = max(float(np.hypot(*v)), 1e-9)
    x, y = np.clip(0.65 * v + np.array([v[1], -v[0]]) * (by / length), -9, 9)
    return float(x), float(y)


# ---- softmax, and why the root


def temperature(softmax: Callable[[Tensor, float], Tensor]) -> Panel:
    """``softmax(scores, temperature)`` on five scores: sharp when cold, even when hot."""
    fig = LiveFigure(820, 360)
    left, right = fig.subplots(1, 2)
    left.set(xlabel="score", ylim=(4.6, -0.6), xlim=(-20, 20), yticks=[], title="scores")
    right.set(xlabel="weight", ylim=(4.6, -0.6), xlim=(0, 1.18), yticks=[], title="softmax")
    right.set_xticks([0, 0.5, 1])
    left.axvline(0, color=style.MUTED, lw=1.5)
    score_bars = left.barh(range(5), [0] * 5, color=style.DATA, height=0.6)
    weight_bars = right.barh(range(5), [0] * 5, color=style.ACTIVATION, height=0.6)
    said = [right.text(0, i, "", va="center") for i in range(5)]
    fig.live(score_bars, weight_bars, said)

    def update(t: float, add: int, scores: Any) -> str:
        given = torch.tensor(scores[0], dtype=torch.float32) + add
        weights = expect("softmax", softmax(given, t), (5,)).double()
        for bar, score in zip(score_bars, given.tolist(), strict=True):
            bar.set_width(score)
        for bar, word, w in zip(weight_bars, said, weights.tolist(), strict=True):
            bar.set_width(w)
            word.set_text(weight_words(w))
            word.set_x(max(w, 0) + 0.02)
        spread = float((-(weights.clamp(min=1e-300).log() * weights).sum()).exp())
        return (
            f"Divided by {t:.2g}, the largest weight is <b>{float(weights.max()):.3f}</b>: as if "
            f"{spread:.1f} of 5 had a say. They add up to {float(weights.sum()):.3f}."
        )

    start = ((3, 2, 1, 0, -1),)
    return Panel(
        update,
        fig,
        title="Softmax and its temperature",
        look="Make it cold, then hot. Then add the same number to every score.",
        presets={
            "cold": {"t": 0.1, "add": 0, "note": "Nearly the maximum: the winner takes all."},
            "as it is": {"t": 1.0, "add": 0, "scores": start},
            "hot": {"t": 100.0, "add": 0, "note": "Nearly the mean: every key has the same say."},
            "10 more for all": {"t": 1.0, "add": 10}
            | {"note": "Only differences count: adding a number to all changes no weight."},
        },
        t=log_slider(0.1, 100.0, 1.0, "divide by"),
        add=slider(-10, 10, 1, 0, "add to all"),
        scores=NumberGrid(start, "scores", low=-9, high=9),
    )


def scaling(look_up: LookUp) -> Panel:
    """Scores and weights of random queries and keys as d_k grows, divided by its root and not."""
    fig = LiveFigure(820, 400)
    left, right = fig.subplots(1, 2)
    edges = np.linspace(-100, 100, 401)
    keys = 16
    left.set(xlim=(-75, 75), ylim=(0, 1.15), yticks=[], xlabel="score", title="scores")
    right.set(xlim=(0.3, keys + 0.7), ylim=(0, 1.02), xlabel="key, largest weight first")
    right.set(title="weights, on average", xticks=[1, 4, 8, 12, 16])
    looks = {False: ("as they are", style.ORANGE, "s"), True: ("divided by √d_k", style.BLUE, "o")}
    shapes, lines = {}, {}
    for scale, (label, colour, marker) in looks.items():
        shapes[scale] = left.stairs(np.zeros(400), edges, color=colour, fill=True, alpha=0.65)
        (lines[scale],) = right.plot([], [], marker, ls="-", color=colour, label=label)
    right.legend(loc="upper right")
    fig.live(shapes.values(), lines.values())

    def update(d_k: int, seed: int) -> str:
        generator = torch.Generator().manual_seed(seed)
        q = torch.randn(100, d_k, generator=generator)
        k = torch.randn(100, keys, d_k, generator=generator)
        values = torch.zeros(keys, 1)
        facts = {}
        for scale in (False, True):
            found = [
                parts("look_up", look_up(a, b, values, scale), 4) for a, b in zip(q, k, strict=True)
            ]
            scores = torch.stack([expect("scaled", f[1], (keys,)) for f in found])
            weights = torch.stack([expect("weights", f[2], (keys,)) for f in found])
            counts = np.histogram(scores.numpy(), edges)[0] / scores.numel()
            smooth = np.convolve(counts, np.ones(9) / 9, mode="same")
            shapes[scale].set_data(smooth / max(smooth.max(), 1e-9))
            ordered = weights.sort(dim=1, descending=True).values.mean(dim=0)
            lines[scale].set_data(range(1, keys + 1), ordered.numpy())
            top = weights.max(dim=1).values
            facts[scale] = float(scores.std()), float(ordered[0]), float((top * (1 - top)).mean())
        raw, divided = facts[False], facts[True]
        return (
            f"d_k = {d_k}: the scores spread by {raw[0]:.1f} (√d_k is {d_k**0.5:.1f}), and one key "
            f"of 16 takes <b>{raw[1]:.2f}</b> of the weight; the slope of the softmax there, "
            f"w(1 − w), is {raw[2]:.3f}. Divided: spread {divided[0]:.1f}, "
            f"<b>{divided[1]:.2f}</b>, slope {divided[2]:.3f}."
        )

    return Panel(
        update,
        fig,
        title="Why divide by √d_k?",
        look="Queries and keys are random here. Make d_k larger and watch both pictures.",
        presets={
            "works: small": {"d_k": 4, "note": "With few numbers the division hardly matters."},
            "fails: large, not divided": {"d_k": 1024}
            | {"note": "Orange: one key takes nearly all, at random, and no gradient is left."},
        },
        d_k=widgets.SelectionSlider(options=[2**i for i in range(11)], value=64, description="d_k"),
        seed=slider(0, 9, 1, 0),
    )


# ---- self-attention on your own words

Steps = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""``steps(q, k, v, mask)``, (n, d) each and (n, n) of bool -> scores, scaled, masked, weights
(n, n) each, output (n, d)."""

STAGES = (
    "1. scores: q · k",
    "2. divided by √d_k",
    "3. masked",
    "4. softmax: the weights",
    "5. weights × values: outputs",
)
MOST = 8
"""Words that the tables of this page have room for."""


def first_layer(
    model: MiniLM, words: list[str], head: int, positions: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v (n, 32) of ``words`` in a head of the pretrained model's first layer."""
    tokens = ["[CLS]", *words, "[SEP]"]
    x = model.embed(tokens, positions)[1:-1]
    return tuple(part[head] for part in model.blocks[0].heads(x))


def stages(steps: Steps, model: MiniLM) -> Panel:
    """Self-attention on your words, one matrix after the other, in a pretrained first layer."""
    fig = LiveFigure(820, 450)
    grid, bars_ax = fig.subplots(1, 2)
    place(fig, {grid: (112, 8, 358, 358), bars_ax: (610, 8, 190, 358)})
    cells = Cells(fig, grid)
    rows, columns = Labels(grid, "left"), Labels(grid, "top")
    frame = grid.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.RED, lw=4, zorder=3))
    bars_ax.axis("off")
    bars_ax.axvline(0, color=style.MUTED, lw=1.5)
    bars = bars_ax.barh(range(MOST), [0] * MOST, color=style.ACTIVATION, height=0.6)
    numbers = [bars_ax.text(0, i, "", va="center") for i in range(MOST)]
    beside = Labels(bars_ax, "left")
    title = fig.figure.text(0.97, 0.955, "", ha="right", fontsize=18, weight="bold")
    fig.live(frame, bars, numbers, title)

    def update(words: str, stage: int, word: int, head: int, causal: bool, positions: bool) -> str:
        shown, remark = own_words(model, words, MOST)
        n = len(shown)
        if not n:
            return "Write a word or two."
        q, k, v = first_layer(model, shown, head, positions)
        mask = torch.ones(n, n, dtype=torch.bool)
        found = parts("steps", steps(q, k, v, mask.tril() if causal else mask), 5)
        names = ("scores", "scaled", "masked", "weights", "output")
        shapes = [(n, n)] * 4 + [tuple(v.shape)]
        matrices = [
            expect(name, part, shape).numpy()
            for name, part, shape in zip(names, found, shapes, strict=True)
        ]
        i = min(word - 1, n - 1)
        values, weights = matrices[stage], matrices[3]
        finite = np.abs(values[np.isfinite(values)])
        top = 1.0 if stage == 3 else float(finite.max(initial=1e-9))
        last = stage == 4
        written = [["" if last else short(x, 2 if stage == 3 else 1) for x in r] for r in values]
        inks = [
            [style.PAPER if abs(x) > 0.75 * top and np.isfinite(x) else style.INK for x in r]
            for r in values
        ]
        cells.show(written, shades(values, top), inks=inks, size=16 if n < MOST else 14)
        if (grid.get_aspect() == "auto") != last:  # to set it is to draw all anew
            grid.set_aspect("auto" if last else "equal")
        rows.show(shown)
        columns.show([] if last else shown)
        frame.set_bounds(-0.5, i - 0.5, values.shape[1], 1)
        row = weights[i] if last else values[i]
        height = float(np.abs(row[np.isfinite(row)]).max(initial=1e-9))
        limits = (min(0.0, *(x for x in row if np.isfinite(x))) - 0.02 * height, 1.7 * height)
        for j, (bar, figure) in enumerate(zip(bars, numbers, strict=True)):
            value = float(row[j]) if j < n else 0.0
            width = value if np.isfinite(value) else 0.0
            bar.set_width((width - 0) / (limits[1] - limits[0]))
            bar.set_color(style.ACTIVATION if width >= 0 else style.ORANGE)
            figure.set_text(short(value) if j < n else "")
            figure.set_x(max(width, 0) / (limits[1] - limits[0]) + 0.03)
        low = limits[0] / (limits[1] - limits[0])
        if bars_ax.get_ylim() != (n - 0.5, -0.5) or abs(bars_ax.get_xlim()[0] - low) > 0.02:
            bars_ax.set(xlim=(low, low + 1), ylim=(n - 0.5, -0.5))
            beside.gap = 0.03 - low
            beside.words = []
        beside.show(shown)
        title.set_text(STAGES[stage])
        best, most = int(matrices[0][i].argmax()), int(weights[i].argmax())
        if stage == 0:
            said = f"“{shown[i]}” asks, and every word answers: its best match is “{shown[best]}”."
        elif stage == 1:
            root = q.shape[1] ** 0.5
            said = f"Divided by √{q.shape[1]} = {root:.2f}: smaller numbers in the same order."
        elif stage == 2:
            why = "itself and what came before" if causal else "nothing is masked"
            said = f"“{shown[i]}” may look at {np.isfinite(values[i]).sum()} of {n} words: {why}."
        elif stage == 3:
            said = (
                f"“{shown[i]}” takes <b>{weights[i, most]:.2f}</b> from “{shown[most]}”; "
                f"its row adds up to {weights[i].sum():.2f}."
            )
        else:
            said = (
                f"The output of “{shown[i]}” is {v.shape[1]} numbers: the values of all words, "
                f"mixed; {weights[i, most]:.2f} of it comes from “{shown[most]}”."
            )
        return said + remark

    panel = Panel(
        update,
        fig,
        title="Self-attention, stage by stage, on your words",
        look="Press Play, or step. Point at a row: that word is asking. "
        "Queries, keys and values come from the first layer of a real pretrained transformer.",
        presets={
            "everyone sees all": {"causal": False, "stage": 3, "head": 6},
            "causal": {"causal": True, "stage": 2, "head": 6}
            | {"note": "A net that predicts the next word must not see it: −∞ becomes weight 0."},
            "previous word": {"causal": False, "stage": 3, "head": 2, "positions": True}
            | {"note": "This head goes by place: every word looks at the one before it."},
            "fails: no positions": {"causal": False, "stage": 3, "head": 2, "positions": False}
            | {"note": "The same head without positions can't tell which word came before."},
        },
        words=wide_text("the animal was too tired to cross", "words"),
        stage=Player(4, 0, label="stage", rate=1),
        word=slider(1, MOST, 1, 2, "word"),
        head=slider(0, 11, 1, 6, "head"),
        causal=toggle(False, "causal mask"),
        positions=toggle(True, "positions"),
    )

    def point(_: float | None, y: float | None) -> None:
        if y is not None:
            panel.set(word=int(np.clip(round(y) + 1, 1, MOST)))

    fig.on_hover(grid, point)
    return panel


def order(attention: Callable[..., tuple[Tensor, Tensor]], model: MiniLM) -> Panel:
    """The same words shuffled: what changes with positions, and nothing without."""
    fig = LiveFigure(820, 450)
    left, right = fig.subplots(1, 2)
    place(fig, {left: (110, 10, 275, 275), right: (520, 10, 275, 275)})
    tables = [Cells(fig, ax) for ax in (left, right)]
    labels = [(Labels(ax, "left"), Labels(ax, "top")) for ax in (left, right)]
    for x, words in ((110, "as written"), (520, "shuffled")):
        fig.figure.text(x / 820, 0.93, words, fontsize=18, weight="bold")

    def update(words: str, shuffle: int, back: bool, head: int, positions: bool) -> str:
        shown, remark = own_words(model, words, MOST)
        n = len(shown)
        if n < 2:
            return "Write two words or more."
        turn = torch.arange(n)
        if shuffle:
            turn = torch.randperm(n, generator=torch.Generator().manual_seed(shuffle))
        mixed = [shown[i] for i in turn]
        maps, outputs = [], []
        for tokens in (shown, mixed):
            q, k, v = first_layer(model, tokens, head, positions)
            z, weights = parts("attention", attention(q, k, v), 2)
            outputs.append(expect("output", z, tuple(v.shape)))
            maps.append(expect("weights", weights, (n, n)))
        undo = turn.argsort()
        change = float((maps[0] - maps[1][undo][:, undo]).abs().max())
        change_z = float((outputs[0] - outputs[1][undo]).abs().max())
        if back:
            maps[1], mixed = maps[1][undo][:, undo], shown
        for cells, pair, table, names in zip(tables, labels, maps, (shown, mixed), strict=True):
            cells.show([[""] * n] * n, shades(table.numpy() ** 0.7))
            for label in pair:
                label.show(names)
        if change > 1e-4 or change_z > 1e-3:
            said = (
                f"Put back in order, the weights differ by up to <b>{change:.2f}</b> and the "
                f"outputs by up to {change_z:.2f}: the order matters."
            )
        else:
            said = (
                f"Put back in order, no weight differs by more than <b>{change:.0e}</b>, no output "
                f"by more than {change_z:.0e}: "
                + ("the words are a bag." if shuffle else "nothing is shuffled yet.")
            )
        return said + remark

    return Panel(
        update,
        fig,
        title="Does the order of the words matter?",
        look="Shuffle the words, then put rows and columns back in order: is it the same table? "
        "Try with positions and without.",
        presets={
            "fails: no positions": {"shuffle": 3, "back": True, "positions": False, "head": 2}
            | {"note": "Rows and columns move, and that is all: attention alone sees a bag."},
            "works: with positions": {"shuffle": 3, "back": True, "positions": True, "head": 2}
            | {"note": "A vector for each place is added to each word, so the order counts."},
        },
        words=wide_text("the man saw the old dog", "words"),
        shuffle=slider(0, 20, 1, 3, "shuffle"),
        back=toggle(False, "put rows and columns back in order"),
        head=slider(0, 11, 1, 2, "head"),
        positions=toggle(False, "positions"),
    )
