"""The panels of 01_perceptron. Here: lines, gates, the search. The others: see the imports."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from torch import Tensor

from .. import style
from ..draw import arrow_in, lattice, number, place, point_arrow, rgba, signed_sum, vector
from ..live import LiveFigure
from ..panel import Panel, choice, slider
from .perceptron_learning import digits, learning
from .perceptron_parts import Plane, Predict, answers, ends
from .perceptron_xor import final_losses, morph, xor_training

__all__ = [
    "digits",
    "final_losses",
    "gates",
    "learning",
    "line",
    "morph",
    "plane",
    "search",
    "xor_training",
]

# ---- a line and a plane


def line(function: Callable[..., Any]) -> Panel:
    """``function(x, m, b)`` over x, with its slope triangle; the mouse moves it too."""
    fig = LiveFigure(820, 380)
    ax = fig.add_subplot()
    ax.set(xlim=(-5, 5), ylim=(-4, 4), xlabel="x", ylabel="y")
    ax.axhline(0, color=style.FAINT, lw=2)
    ax.axvline(0, color=style.FAINT, lw=2)
    (run,) = ax.plot([], [], color=style.MUTED, lw=3)
    (rise,) = ax.plot([], [], color=style.ORANGE, lw=5)
    (graph,) = ax.plot([], [], color=style.WEIGHT, lw=4)
    (crossing,) = ax.plot([], [], "o", color=style.BLUE, ms=15)
    rise_text = ax.text(0, 0, "", color="#a35b00", va="center", fontsize=18)
    fig.live(run, rise, graph, crossing, rise_text)
    x = torch.linspace(-5, 5, 101)

    def update(m: float, b: float) -> str:
        y = np.asarray(function(x, m, b), float)
        if y.shape != (101,):
            raise ValueError(f"line returned shape {y.shape} for 101 values of x, expected (101,)")
        graph.set_data(x.numpy(), y)
        crossing.set_data([0], [b])
        run.set_data([0, 1], [b, b])
        rise.set_data([1, 1], [b, b + m])
        rise_text.set_text(f"m = {number(m)}")
        rise_text.set_position((1.15, b + m / 2))
        zero = f"It is 0 at x = {number(round(-b / m, 2))}." if m else "It never changes."
        return (
            f"y = {signed_sum((m, '·x'), (b, ''))}. One step to the right adds {number(m)}. {zero}"
        )

    panel = Panel(
        update,
        fig,
        title="A line: y = m x + b",
        look="m tilts it, b lifts it. Drag the blue point, or any other part of the line.",
        presets={
            "Steep": {"m": 2.0, "b": -1.0},
            "Flat": {"m": 0.0, "b": 2.0, "note": "With m = 0 the input has no say."},
            "Falling": {"m": -1.0, "b": 1.0},
        },
        m=slider(-3.0, 3.0, 0.1, 0.5),
        b=slider(-4.0, 4.0, 0.1, 1.0),
    )
    lifting = False

    def drag(px: float, py: float, phase: str) -> None:
        nonlocal lifting
        if phase == "start":
            lifting = abs(px) < 0.6
        if lifting:
            panel.set(b=round(min(max(py, -4.0), 4.0), 1))
        elif abs(px) > 0.2:
            m = (py - panel.controls["b"].value) / px
            panel.set(m=round(min(max(m, -3.0), 3.0), 1))

    fig.on_drag(ax, drag)
    return panel


def plane(function: Callable[..., Any]) -> Panel:
    """``function(x, y, a, b, c)`` from above, with its zero line and normal, and from the side."""
    fig = LiveFigure(820, 400)
    above, side = fig.subplots(1, 2, width_ratios=[1, 1.15])
    low, high, count = -3.0, 3.0, 61
    points = lattice(low, high, count)
    above.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="x", ylabel="y")
    above.set_title("seen from above")
    image = above.imshow(
        np.zeros((count, count)),
        extent=(low, high, low, high),
        origin="lower",
        cmap=style.SIGNED,
        vmin=-6,
        vmax=6,
        interpolation="bilinear",
    )
    (zero,) = above.plot([], [], color=style.INK, lw=4, zorder=3)
    arrow = arrow_in(above, style.WEIGHT)
    side.set(xlim=(-4.6, 5.8), ylim=(-5.4, 5.4), title="the same plane, at an angle")
    side.axis("off")
    floor = _oblique(np.array([[-3, -3, 0], [3, -3, 0], [3, 3, 0], [-3, 3, 0], [-3, -3, 0]]))
    side.plot(*floor.T, color=style.MUTED, lw=2)
    side.text(4.5, 1.35, "z = 0", va="center", color="#57606a")
    wires = side.add_collection(LineCollection([], lw=2))
    (side_zero,) = side.plot([], [], color=style.INK, lw=4)
    fig.live(image, zero, arrow, wires, side_zero)
    steps = torch.linspace(low, high, 13)
    rows = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    ticks = torch.cat([rows, rows.transpose(0, 1)])  # lines along y, then along x: (26, 13, 2)

    def heights(where: Tensor, *abc: float) -> np.ndarray:
        z = np.asarray(function(where[..., 0], where[..., 1], *abc), float)
        if z.shape != where.shape[:-1]:
            raise ValueError(
                f"plane returned shape {z.shape} for x and y of shape {tuple(where.shape[:-1])}"
            )
        return z

    def update(a: float, b: float, c: float) -> str:
        z = heights(points, a, b, c)
        image.set_data(z.reshape(count, count))
        edge = ends((a, b), c, low, high)
        edge = np.empty((0, 2)) if edge is None else edge
        zero.set_data(*edge.T)
        side_zero.set_data(*_oblique(np.column_stack([edge, np.zeros(len(edge))])).T)
        grid = np.dstack([ticks, heights(ticks, a, b, c)])
        pieces = np.stack([grid[:, :-1], grid[:, 1:]], axis=2).reshape(-1, 2, 3)
        middle = pieces[:, :, 2].mean(axis=1)
        wires.set_segments(_oblique(pieces))
        wires.set_color(np.where((middle > 0)[:, None], *rgba(style.BLUE, style.ORANGE)))
        size2 = a * a + b * b
        foot = -c * np.array([a, b]) / size2 if size2 else np.zeros(2)
        point_arrow(arrow, foot, foot + [a, b])
        if not size2:
            return f"z = {number(c)} everywhere: a = b = 0 leaves no direction and no zero line."
        if not len(edge):
            return f"z is {'above' if c > 0 else 'below'} 0 all over this square: the line is away."
        return (
            f"z = {signed_sum((a, '·x'), (b, '·y'), (c, ''))}. The arrow {vector((a, b))} is at "
            f"a right angle to the zero line and points uphill: z gains {size2**0.5:.2f} a unit."
        )

    panel = Panel(
        update,
        fig,
        title="A plane: z = a x + b y + c",
        look="Blue is above 0, orange below. Watch the black line where z = 0: "
        "a and b turn it, c moves it. Drag in the left picture to turn the arrow.",
        presets={
            "Only x": {"a": 1.0, "b": 0.0, "c": 0.0, "note": "With b = 0, y has no say."},
            "Moved": {"a": 1.0, "b": 1.0, "c": -2.0, "note": "c moves the line, not the arrow."},
            "Twice as steep": {
                "a": 2.0,
                "b": 2.0,
                "c": -4.0,
                "note": "All three doubled: a steeper plane with the same zero line.",
            },
        },
        a=slider(-2.0, 2.0, 0.1, 1.0),
        b=slider(-2.0, 2.0, 0.1, 0.5),
        c=slider(-4.0, 4.0, 0.1, 0.0),
    )

    def drag(px: float, py: float, phase: str) -> None:
        a, b, c = panel.values.values()
        size2 = a * a + b * b
        foot = -c * np.array([a, b]) / size2 if size2 else np.zeros(2)
        if np.abs(foot).max() > high:
            foot = np.zeros(2)
        tip = np.clip(np.round([px, py] - foot, 1), -2, 2)
        panel.set(a=float(tip[0]), b=float(tip[1]))

    fig.on_drag(above, drag)
    return panel


def _oblique(points: np.ndarray) -> np.ndarray:
    """(..., 3) in space -> (..., 2) on paper: y goes back to the right, z is drawn at 0.3."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([x + 0.45 * y, 0.45 * y + 0.3 * z], axis=-1)


# ---- gates


def gates(predict: Predict, inputs: Tensor, functions: Mapping[str, Tensor]) -> Panel:
    """One perceptron on the four rows ``inputs`` (4, 2): regions, truth table, and its gate.

    ``functions`` maps names to the four answers, in the order of ``inputs``.
    """
    fig = LiveFigure(820, 420)
    ax, table = fig.subplots(1, 2)
    place(fig, {ax: (50, 55, 350, 350), table: (424, 55, 390, 350)})
    view = Plane(fig, ax, -0.5, 1.5, handles=True)
    ax.set(xticks=[0, 1], yticks=[0, 1])
    table.set(xlim=(0, 1), ylim=(0, 1))
    table.axis("off")
    words = {"va": "center", "ha": "right"}
    columns = dict(
        zip(("x₁", "x₂", "z", "out", "want"), (0.07, 0.19, 0.46, 0.66, 0.88), strict=True)
    )
    for name, x in columns.items():
        table.text(x, 0.95, name, weight="bold", **words)
    rows = []
    for y, bits in zip((0.83, 0.725, 0.62, 0.515), inputs.int().tolist(), strict=True):
        for name, bit in zip(("x₁", "x₂"), bits, strict=True):
            table.text(columns[name], y, str(bit), **words)
        rows.append([table.text(columns[n], y, "", **words) for n in ("z", "out", "want")])
        rows[-1].append(table.text(0.93, y, "", va="center"))
    unlit, lit = (
        {"color": c, "bbox": {"boxstyle": "round,pad=0.35", "lw": 2, "fc": f, "ec": e}}
        for c, f, e in (
            ("#8b9098", style.PAPER, style.FAINT),
            (style.PAPER, style.WEIGHT, style.WEIGHT),
        )
    )
    badges = {}
    for k, name in enumerate(functions):
        at = (0.125 + 0.25 * (k % 4), 0.27 - 0.17 * (k // 4))
        label = name.replace("x1", "x₁").replace("x2", "x₂")
        for look in (unlit, lit):
            badges[name] = table.text(*at, label, ha="center", va="center", fontsize=15, **look)
    # Text is slow to draw: what changes seldom (the wanted column, unlit badges) is not live.
    fig.live(*[[z, out, mark] for z, out, _, mark in rows], badges.values())
    wanted = {name: values.numpy() for name, values in functions.items()}
    best = {"target": "", "count": 0}

    def update(target: str, w1: float, w2: float, b: float) -> str:
        w = torch.tensor([w1, w2])
        out = answers(predict, inputs, w, b)
        want = wanted[target]
        right = int((out == want).sum())
        if best["target"] != target:
            best.update(target=target, count=0)
        best["count"] = max(best["count"], right)
        view.show(predict, w, b)
        view.mark(inputs, want, out != want)
        z = inputs @ w + b
        for row, s, o, t in zip(rows, z.tolist(), out, want, strict=True):
            texts = (f"{s:.2f}".replace("-", "−"), str(o), str(t), "✓" if o == t else "✗")
            for text, word in zip(row, texts, strict=True):
                text.set_text(word)
            for text in (row[0], row[1], row[3]):
                text.set_color(style.INK if o == t else style.WRONG)
        computed = [name for name, values in wanted.items() if (out == values).all()]
        for name, badge in badges.items():
            badge.set_visible(name in computed)
        name = f"It computes <b>{computed[0]}</b>. " if computed else ""
        flat = "w = (0, 0): no line, one answer for all. " if w1 == w2 == 0 else ""
        return (
            f"{flat}{name}{right} of 4 rows right for {target}; "
            f"best so far for {target}: <b>{best['count']} of 4</b>."
        )

    panel = Panel(
        update,
        fig,
        title="One perceptron, one line",
        look="Choose a target and bring all four rows to ✓. Drag the line to move it, "
        "its round ends to turn it.",
        presets={
            "AND": {"target": "AND", "w1": 1.0, "w2": 1.0, "b": -1.5}
            | {"note": "Works: only (1, 1) brings more than the 1.5 that b takes away."},
            "OR": {"target": "OR", "w1": 1.0, "w2": 1.0, "b": -0.5}
            | {"note": "Works: the same weights as AND, a lower threshold."},
            "NOT x1": {"target": "NOT x1", "w1": -1.0, "w2": 0.0, "b": 0.5}
            | {"note": "Works: a negative weight turns the answer round; w2 = 0 ignores x2."},
            "NAND": {"target": "NAND", "w1": -1.0, "w2": -1.0, "b": 1.5}
            | {"note": "Works: AND with every sign turned round."},
            "XOR": {"target": "XOR", "w1": 1.0, "w2": 1.0, "b": -0.5}
            | {"note": "Fails: the blue points lie on one diagonal, the orange on the other."},
        },
        target=choice(list(functions)),
        w1=slider(-2.0, 2.0, 0.05, 1.0),
        w2=slider(-2.0, 2.0, 0.05, -0.5),
        b=slider(-4.0, 4.0, 0.05, 0.25),
    )
    _draggable(fig, ax, panel, view)
    return panel


def _draggable(fig: LiveFigure, ax: Axes, panel: Panel, view: Plane) -> None:
    """Let the mouse move the line (and so w1, w2, b), or turn it by its ends."""
    held: dict[str, Any] = {}

    def grab(p: np.ndarray) -> None:
        w1, w2, b = (panel.controls[name].value for name in ("w1", "w2", "b"))
        tips = ends((w1, w2), b, view.low, view.high)
        if tips is None:  # out of sight: bring it to the pointer
            held.update(w=np.array([w1, w2]), start=p, z=0.0, pivot=None)
            return
        turns = np.hypot(*(tips - p).T).min() < 0.09 * (view.high - view.low)
        held.update(w=np.array([w1, w2]), start=p, z=b, pivot=tips.mean(axis=0) if turns else None)
        held["z"] = b + held["w"] @ p

    def drag(x: float, y: float, phase: str) -> None:
        p = np.array([x, y])
        if phase == "start":
            grab(p)
        w, pivot = held["w"], held["pivot"]
        if pivot is not None:
            arm = p - pivot
            length = np.hypot(*arm)
            if length < 0.05:
                return
            turned = np.array([-arm[1], arm[0]]) / length * np.hypot(*w)
            turned *= 1 if turned @ w >= 0 else -1
            held["w"] = turned  # the next move compares with this, so it may turn right round
            w = np.round(turned * min(1.0, 2 / np.abs(turned).max()), 2)
            b = -w @ pivot
        elif phase == "start" and held["z"]:
            return
        else:
            b = held["z"] - w @ p
        b = min(max(round(float(b), 2), -4.0), 4.0)
        panel.set(w1=float(w[0]), w2=float(w[1]), b=b)

    fig.on_drag(ax, drag)


# ---- the search


def search(
    count_right: Callable[[Tensor, Tensor, Tensor], Tensor],
    predict: Predict,
    inputs: Tensor,
    functions: Mapping[str, Tensor],
    weights: Tensor,
    biases: Tensor,
) -> Panel:
    """The most rows right over all ``biases``, for each pair of ``weights``, as a map.

    ``count_right(target, w, b)`` judges many perceptrons: w (2, K), b (K,) -> rows right (K,).
    """
    fig = LiveFigure(820, 420)
    chart, ax = fig.subplots(1, 2)
    place(fig, {chart: (76, 56, 300, 300), ax: (490, 56, 300, 300)})
    low, high = float(weights[0]), float(weights[-1])
    half = (high - low) / (len(weights) - 1) / 2
    colours = [style.MUTED, style.MUTED, style.FAINT, "#c3d8fe", style.BLUE]
    image = chart.imshow(
        np.zeros((len(weights), len(weights))),
        extent=(low - half, high + half, low - half, high + half),
        origin="lower",
        cmap=ListedColormap(colours),
        norm=BoundaryNorm(np.arange(-0.5, 5), 5),
    )
    chart.set(xlabel="$w_1$", ylabel="$w_2$")
    chart.set_title("most rows right, over all b", pad=34)
    chart.legend(
        handles=[Patch(color=colours[k], label=f"{k} of 4") for k in (2, 3, 4)],
        loc="lower center",
        bbox_to_anchor=(0.5, 0.98),
        ncols=3,
        handlelength=1,
        columnspacing=1,
    )
    (cross,) = chart.plot([], [], "P", color=style.WEIGHT, ms=17, mec=style.PAPER, mew=2)
    fig.live(image, cross)
    view = Plane(fig, ax, -0.5, 1.5)
    ax.set(xticks=[0, 1], yticks=[0, 1])
    ax.set_title("the best line there", pad=34)
    w2, w1, b = torch.meshgrid(weights, weights, biases, indexing="ij")
    pairs = torch.stack([w1.ravel(), w2.ravel()])

    def update(target: str, w1: float, w2: float) -> str:
        want = functions[target]
        right = torch.as_tensor(count_right(want, pairs, b.ravel()))
        if right.shape != b.ravel().shape:
            raise ValueError(
                f"count_right returned shape {tuple(right.shape)} for {b.numel()} perceptrons, "
                f"expected ({b.numel()},)"
            )
        best = right.view(b.shape).amax(dim=2)
        image.set_data(best.numpy())
        cross.set_data([w1], [w2])
        w = torch.tensor([w1, w2])
        here = count_right(want, w[:, None].expand(2, len(biases)).contiguous(), biases)
        # The middle of the best biases: the line with the most room on both sides.
        good = torch.nonzero(here == here.max()).ravel()
        bias = float(biases[good[len(good) // 2]])
        view.show(predict, w, bias)
        out = answers(predict, inputs, w, bias)
        view.mark(inputs, want, out != want.numpy())
        top = int(best.max())
        full = int((right == 4).sum())
        end = (
            f"{full:,} of them get all 4 rows right."
            if full
            else f"<b>None gets 4; the best reach {top}.</b>"
        )
        return (
            f"{target}: {b.numel():,} perceptrons tried. {end} "
            f"Here w = {vector(w)}, b = {number(bias)}: {int(here.max())} of 4."
        )

    panel = Panel(
        update,
        fig,
        title="All weights at once",
        look="Each square is one pair of weights. Click one to see its best line. "
        "Choose XOR: is any square dark blue?",
        presets={
            "AND": {"target": "AND", "w1": 1.0, "w2": 1.0}
            | {"note": "Works wherever both weights are positive."},
            "NOT x1": {"target": "NOT x1", "w1": -1.0, "w2": 0.5}
            | {"note": "Works where w1 is negative and outweighs w2."},
            "XOR": {"target": "XOR", "w1": 1.0, "w2": 1.0}
            | {"note": "Fails on the whole map: no square reaches 4."},
        },
        target=choice(list(functions)),
        w1=slider(low, high, 2 * half, 1.0),
        w2=slider(low, high, 2 * half, 0.5),
    )

    def press(x: float, y: float) -> None:
        square = np.clip(np.round((np.array([x, y]) - low) / (2 * half)), 0, len(weights) - 1)
        near = [round(low + 2 * half * float(k), 6) for k in square]
        panel.set(w1=near[0], w2=near[1])

    fig.on_press(chart, press)
    return panel
