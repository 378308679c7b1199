"""The panels of 03_backprop. Here: nudging a weight, and XOR. The others: see the imports."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import style
from ..draw import lattice, place
from ..live import LiveFigure
from ..panel import Panel, choice, slider
from ..training import Run
from .backprop_descent import race
from .backprop_draw import short
from .backprop_graph import START, Tape, engine, graph
from .backprop_recipe import recipe, recorded, recorded_runs

__all__ = ["engine", "graph", "nudge", "race", "recipe", "recorded", "recorded_runs", "xor"]


def nudge(tape: Tape, backpropagate: Callable[..., dict[str, float]]) -> Panel:
    """The last value of ``tape`` as one weight moves, and what its gradient promised.

    ``backpropagate(tape, value)`` fills in ``value`` and returns all gradients.
    """
    fig = LiveFigure(820, 390)
    ax = fig.add_subplot()
    ax.set(xlim=(-2.05, 2.05), ylim=(-4.5, 10), xlabel="nudge Δ of the weight", ylabel="loss $L$")
    (curve,) = ax.plot([], [], color=style.LOSS, lw=4, label="the loss")
    (tangent,) = ax.plot([], [], "--", color=style.WEIGHT, lw=3, label="what the gradient says")
    (promised,) = ax.plot([], [], "s", color=style.WEIGHT, ms=13, mec=style.PAPER, zorder=5)
    (real,) = ax.plot([], [], "o", color=style.LOSS, ms=14, mec=style.PAPER, zorder=6)
    (gap,) = ax.plot([], [], ":", color=style.INK, lw=3)
    (here,) = ax.plot([0], [0], "o", color=style.INK, ms=12, zorder=4)
    ax.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.14))
    fig.live(curve, tangent, gap, here, promised, real)
    moves = np.linspace(-2.05, 2.05, 165)

    def last(start: dict[str, float], weight: str, move: float) -> tuple[float, float]:
        value = {**start, weight: start[weight] + move}
        slopes = backpropagate(tape, value)
        if not isinstance(slopes, dict) or weight not in slopes:
            raise ValueError(f"backpropagate returned {slopes!r}, expected a gradient by name")
        return float(value[tape[-1][0]]), float(slopes[weight])

    def update(weight: str, move: float, **start: float) -> str:
        now, slope = last(start, weight, 0.0)
        after, _ = last(start, weight, move)
        curve.set_data(moves, [last(start, weight, m)[0] for m in moves])
        tangent.set_data(moves[[0, -1]], now + slope * moves[[0, -1]])
        here.set_data([0], [now])
        guess = now + slope * move
        promised.set_data([move], [guess])
        real.set_data([move], [after])
        gap.set_data([move, move], [guess, after])
        return (
            f"∂L/∂{weight} = {short(slope)}. Nudge {short(move)}: predicted change "
            f"{short(slope)} × {short(move)} = <b>{slope * move:+.4f}</b>, "
            f"real change <b>{after - now:+.4f}</b>.".replace("-", "−")
        )

    panel = Panel(
        update,
        fig,
        title="Nudge a weight",
        look="Drag in the picture, or move the nudge. Compare the promise (square) "
        "with the loss (dot).",
        presets={
            "tiny": {**START, "weight": "w1", "move": 0.01}
            | {"note": "Works: for a tiny step the promise is almost exact."},
            "large": {**START, "weight": "w1", "move": 0.5}
            | {"note": "Fails: the loss is curved. It was to fall by 2, and it rises by 2."},
            "past the corner": {**START, "weight": "b1", "move": -1.5}
            | {"note": "Fails: past ReLU's corner the unit is off and the loss stays the same."},
        },
        weight=choice(["w1", "b1", "w2", "b2"]),
        move=slider(-2.0, 2.0, 0.01, 0.1, "nudge Δ"),
        **{name: slider(-3.0, 3.0, 0.1, value) for name, value in START.items()},
    )
    fig.on_drag(ax, lambda x, y, phase: panel.set(move=round(min(max(x, -2.0), 2.0), 2)))
    return panel


class _Weights(nn.Module):
    """Lets a ``Run`` keep and put back numbers that are not tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.scalars: list[Any] = []

    def get_extra_state(self) -> torch.Tensor:
        return torch.tensor([s.value for s in self.scalars], dtype=torch.float64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        for s, value in zip(self.scalars, state.tolist(), strict=True):
            s.value = value


def xor(
    net: Callable[..., Any],
    step: Callable[[list[Any], float], float],
    start_weights: Callable[[int], list[Any]],
) -> Panel:
    """The notebook's engine at work on the four rows: its map, its loss, its gradients.

    ``step(weights, learning_rate)`` does one step of descent and returns the loss.
    """
    fig = LiveFigure(820, 410)
    ax, curve_ax, bar_ax = (fig.add_subplot() for _ in range(3))
    place(
        fig,
        {
            ax: (62, 70, 320, 320),
            curve_ax: (480, 250, 318, 145),
            bar_ax: (480, 62, 318, 120),
        },
    )
    low, high, count = -0.5, 1.5, 17
    ax.set(xlim=(low, high), ylim=(low, high), xlabel="$x_1$", ylabel="$x_2$")
    ax.set(xticks=[0, 1], yticks=[0, 1])
    image = ax.imshow(
        np.zeros((count, count)),
        extent=(low, high, low, high),
        origin="lower",
        cmap=style.REGIONS,
        vmin=-1,
        vmax=1,
        interpolation="bilinear",
    )
    rows = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    points = [
        ax.plot(
            *np.array([r[:2] for r in rows if r[2] == k]).T,
            marker,
            color=colour,
            ms=16,
            mec=style.INK,
            mew=1.5,
            zorder=5,
        )[0]
        for k, (colour, marker) in enumerate(zip(style.CLASSES[:2], style.MARKERS[:2], strict=True))
    ]
    steps = 400
    curve_ax.set(xlim=(0, steps), ylim=(0, 1.6), ylabel="loss")
    curve_ax.set_xlabel("step", labelpad=0)
    (curve,) = curve_ax.plot([], [], color=style.LOSS, lw=3)
    (here,) = curve_ax.plot([], [], "o", color=style.INK, ms=11, clip_on=False, zorder=5)
    bar_ax.set(xlim=(-0.6, 8.6), ylim=(-0.5, 0.5), ylabel="gradient")
    bar_ax.set(xticks=range(9), xlabel="weight w[0] to w[8]")
    bar_ax.axhline(0, color=style.INK, lw=1)
    bars = bar_ax.bar(range(9), np.zeros(9), color=style.GRADIENT, width=0.7)
    fig.live(image, points, curve, here, bars)
    grid = lattice(low, high, count).tolist()
    weights = _Weights()
    state: dict[str, Any] = {"seed": 0, "rate": 0.1}
    weights.scalars = list(start_weights(0))

    def train(_: int) -> float:
        try:
            return float(step(weights.scalars, state["rate"]))
        except OverflowError:  # what Python makes of a number past 1e308
            return math.inf

    run = Run(train, models=[weights], steps=steps, snapshot_every=2, speed=100)

    def update(rate: float, seed: int) -> str:
        if (state["seed"], state["rate"]) != (seed, rate):
            state.update(seed=seed, rate=rate)
            run.pause()
            with run.paused():
                weights.scalars = list(start_weights(seed))
            run.restart()
        with run.paused():
            w, position = weights.scalars, run.position
            values = np.array([net(w, x1, x2).value for x1, x2 in grid])
            outputs = [float(net(w, x1, x2).value) for x1, x2, _ in rows]
            before = [s.value for s in w]
            losses = run.curve("loss")
            grads = _gradients(step, w)
            for s, value in zip(w, before, strict=True):
                s.value = value
        image.set_data(values.reshape(count, count))
        curve.set_data(*losses)
        now = [v for k, v in zip(*losses, strict=True) if k < position]
        here.set_data([position] if now else [], now[-1:])
        for bar, slope in zip(bars, grads, strict=True):
            bar.set_height(min(max(slope, -0.5), 0.5))
        right = sum((o > 0) == bool(y) for o, (_, _, y) in zip(outputs, rows, strict=True))
        shown = ", ".join(short(o) for o in outputs)
        return (
            f"Step {position}: "
            + (f"loss {now[-1]:.3g}, " if now else "")
            + f"outputs {shown} for rows 00, 01, 10, 11; <b>{right} of 4</b> right. "
            f"Largest gradient {max(abs(g) for g in grads):.2g}."
        )

    return Panel(
        update,
        fig,
        title="Nine weights, your engine, XOR",
        look="Press Play. Watch the gradients: each says which way its weight should go, "
        "and how strongly. Another rate starts over from the same weights.",
        run=run,
        still=400,
        presets={
            "works": {"rate": 0.1, "seed": 0, "note": "Works: four rows right. Press Play."},
            "too slow": {"rate": 0.01, "seed": 0}
            | {"note": "Fails: right direction, but steps too short for 400 of them."},
            "stuck": {"rate": 0.1, "seed": 2}
            | {"note": "Fails: another random start, and it stays on a plateau."},
            "too fast": {"rate": 1.0, "seed": 0}
            | {"note": "Fails: each step jumps past the valley, further every time."},
        },
        rate=slider(0.01, 1.0, 0.01, 0.1, "learn rate"),
        seed=slider(0, 9, 1, 0),
    )


def _gradients(step: Callable[[list[Any], float], float], weights: Sequence[Any]) -> list[float]:
    """The gradients at these weights: a step of length 0 leaves them behind."""
    try:
        step(list(weights), 0.0)
    except OverflowError:
        return [math.inf] * len(weights)
    return [float(w.grad) for w in weights]
