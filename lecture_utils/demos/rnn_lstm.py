"""The panels of 05_rnn_lstm. Here: the cell unrolled, gradients through time. Others: imports."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import style
from ..draw import arrow_in, place, point_arrow
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider, text, toggle
from .rnn_lstm_adding import adding_live, adding_results
from .rnn_lstm_gates import gates, trained_gates
from .rnn_lstm_parts import Boxes, power, read_numbers, short, write_numbers
from .rnn_lstm_speed import cost
from .rnn_lstm_text import Writer, writing

__all__ = [
    "Writer",
    "adding_live",
    "adding_results",
    "cost",
    "gates",
    "through_time",
    "trained_gates",
    "unrolled",
    "writing",
]

STEPS = 8
"""Steps of the unrolled cell."""


def _weights(w_hx: Any, w_hh: Any, w_oh: Any) -> dict[str, Tensor]:
    return {
        "W_hx": torch.tensor(w_hx, dtype=torch.float32).reshape(2, 1),
        "W_hh": torch.tensor(w_hh, dtype=torch.float32),
        "b_h": torch.zeros(2),
        "W_oh": torch.tensor(w_oh, dtype=torch.float32).reshape(1, 2),
        "b_o": torch.zeros(1),
    }


TURN = [[0.77, -0.77], [0.77, 0.77]]  # 45 degrees, and 1.09 times as long
CELLS: Mapping[str, Mapping[str, Tensor]] = {
    "fade": _weights([1, 0], [[0.8, 0], [0, 0]], [1, 0]),
    "echo": _weights([0.5, 0], [[0, 0], [2, 0]], [0, 1]),
    "change": _weights([0.5, 0], [[0, 0], [1, 0]], [1, -1]),
    "latch": _weights([3, 0], [[2, 0], [0, 0]], [1, 0]),
    "swing": _weights([1, 0], TURN, [1, 0]),
}
"""Hand-made cells of two hidden units, one input and one output."""


def unrolled(rnn_step: Callable[..., Tensor], read_out: Callable[..., Tensor]) -> Panel:
    """An Elman cell of two units over eight steps.

    ``rnn_step(x_t, h_before, W_hx, W_hh, b_h)`` returns h_t (2,); ``read_out(h_t, W_oh, b_o)``
    returns o_t (1,).
    """
    fig = LiveFigure(820, 430)
    ax, strip = fig.subplots(2, 1)
    place(fig, {ax: (84, 150, 730, 278), strip: (84, 54, 730, 84)})
    limits = (0.45, STEPS + 0.55)
    ax.set(xlim=limits, ylim=(0, 4))
    ax.set_axis_off()
    strip.set(xlim=limits, ylim=(-1.1, 1.1), yticks=[-1, 0, 1], xticks=range(1, STEPS + 1))
    strip.set_xlabel("step t", labelpad=0)
    strip.axhline(0, color=style.FAINT, lw=2)
    for name, y, colour, size in (
        ("$o_t$", 3.5, style.INK, 20),
        ("$W_{oh}$", 2.82, style.WEIGHT, 16),
        ("$h_t$", 2.1, style.INK, 20),
        ("$W_{hh}$ →", 1.4, style.WEIGHT, 16),
        ("$W_{hx}$", 0.5, style.WEIGHT, 16),
    ):
        ax.text(0.42, y, name, ha="right", va="center", size=size, color=colour)
    strip.text(-0.055, 0.5, "$x_t$", transform=strip.transAxes, ha="right", va="center", size=20)
    hidden = np.array([[t, y] for t in range(1, STEPS + 1) for y in (2.1, 1.4)])
    outputs = np.array([[t, 3.5] for t in range(1, STEPS + 1)])
    for t in range(1, STEPS + 1):
        for start, end in (((t, 0.05), (t, 1.02)), ((t, 2.5), (t, 3.14))):
            point_arrow(arrow_in(ax, "#c9b3ee", zorder=1), start, end)
        if t < STEPS:
            point_arrow(arrow_in(ax, style.WEIGHT, zorder=1), (t + 0.38, 1.75), (t + 0.63, 1.75))
    frame = ax.add_patch(
        Rectangle((0, 1), 0.88, 2.92, fill=False, ec=style.PREDICTION, lw=4, zorder=5)
    )
    units = Boxes(fig, ax, (0.76, 0.66), font=15)
    answers = Boxes(fig, ax, (0.76, 0.66), font=15)
    bars = strip.add_collection(LineCollection([], linewidths=26, colors=style.DATA, zorder=2))
    fig.live(frame, bars)

    def update(x: str, t: int, cell: str, scale: float) -> str:
        inputs = read_numbers(x, STEPS)
        weights = dict(CELLS[cell])
        weights["W_hh"] = scale * weights["W_hh"]
        h = torch.zeros(2)
        states, said = [h], []
        for value in inputs:
            h = rnn_step(torch.tensor([value]), h, weights["W_hx"], weights["W_hh"], weights["b_h"])
            if tuple(h.shape) != (2,):
                raise ValueError(f"rnn_step returned shape {tuple(h.shape)}, expected (2,)")
            o = read_out(h, weights["W_oh"], weights["b_o"])
            if tuple(o.shape) != (1,):
                raise ValueError(f"read_out returned shape {tuple(o.shape)}, expected (1,)")
            states.append(h.detach())
            said.append(float(o))
        values = torch.stack(states[1:]).flatten().tolist()
        seen = np.arange(1, STEPS + 1) <= t
        units.show(
            hidden,
            [short(v) if seen[k // 2] else "" for k, v in enumerate(values)],
            np.where(np.repeat(seen, 2)[:, None], style.SIGNED(0.5 + 0.5 * np.array(values)), 1),
        )
        answers.show(
            outputs,
            [short(v) if s else "" for v, s in zip(said, seen, strict=True)],
            np.where(seen[:, None], style.SIGNED(0.5 + 0.35 * np.array(said)), 1),
        )
        bars.set_segments([[(k + 1, 0), (k + 1, v)] for k, v in enumerate(inputs)])
        frame.set_x(t - 0.44)
        if not t:
            return "Before the first step h<sub>0</sub> = (0, 0): nothing has been read."
        before, h, x_now = states[t - 1], states[t], inputs[t - 1]
        sums = []
        for unit in range(2):
            terms = [f"{short(float(weights['W_hx'][unit, 0]))}·{short(x_now)}"]
            terms += [
                f"{short(float(weights['W_hh'][unit, k]))}·{short(float(before[k]))}"
                for k in range(2)
                if weights["W_hh"][unit, k]
            ]
            sums.append(f"tanh({' + '.join(terms)}) = <b>{short(float(h[unit]))}</b>")
        return (
            f"t = {t}: x<sub>{t}</sub> and h<sub>{t - 1}</sub> make h<sub>{t}</sub>.<br>"
            f"First unit: {sums[0]}. Second unit: {sums[1]}. "
            f"Output o<sub>{t}</sub> = <b>{short(said[t - 1])}</b>."
        )

    def preset(cell: str, x: str, note: str, scale: float = 1.0) -> dict[str, Any]:
        return {"cell": cell, "x": x, "scale": scale, "t": STEPS, "note": note}

    pulse = "1 0 0 0 0 0 0 0"
    panel = Panel(
        update,
        fig,
        title="One cell, eight steps",
        look="Step with ▶, and drag the black bars. Every step uses the <b>same</b> weights; only "
        "x<sub>t</sub> and h<sub>t−1</sub> change.",
        x=text(pulse, "inputs"),
        t=Player(STEPS, 1, label="step", rate=1.5),
        cell=choice(list(CELLS), label="cell"),
        scale=slider(0.0, 2.0, 0.05, 1.0, "W_hh ×"),
        presets={
            "fade": preset("fade", pulse, "0.8 of the state is left after each step: it fades."),
            "echo": preset(
                "echo", "1 -0.5 0 0.8 0 0 0 0", "The second unit says what the first saw before."
            ),
            "change": preset(
                "change", "0 0 0.6 0.6 0.6 0 0 0", "Now minus before: it answers to changes only."
            ),
            "latch": preset(
                "latch",
                "0 0.5 0 0 0 -1 0 0",
                "It keeps the sign of the last large input, for good.",
            ),
            "swing": preset("swing", pulse, "The state turns by 45° at each step: it oscillates."),
            "fails: latch": preset(
                "latch",
                "0 0.5 0 0 0 -1 0 0",
                "Less than half the weight: it forgets what it should keep.",
                0.4,
            ),
        },
    )

    def move(x: float, y: float, _: str) -> None:
        step = int(np.clip(round(x), 1, STEPS))
        values = read_numbers(panel.values["x"], STEPS)
        values[step - 1] = float(np.clip(round(y, 1), -1, 1))
        panel.set(x=write_numbers(values), t=max(step, panel.values["t"]))

    fig.on_drag(strip, move)
    return panel


# ---- gradients through time

UNITS, INPUTS, LONGEST = 32, 2, 100
LIMIT = 1.0
"""Norm to which the gradient is clipped."""
LOWEST = 1e-16
TOPS = (1e4, 1e8, 1e16, 1e39)


def _square(generator: torch.Generator) -> Tensor:
    """A random matrix (UNITS, UNITS) of spectral radius 1."""
    matrix = torch.randn(UNITS, UNITS, generator=generator)
    return matrix / torch.linalg.eigvals(matrix).abs().max()


def random_weights(seed: int) -> dict[str, Tensor]:
    """Inputs x (LONGEST, INPUTS), and weights of an RNN and of an LSTM, spectral radius 1."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(LONGEST, INPUTS, generator=generator),
        "W_hx": torch.randn(UNITS, INPUTS, generator=generator) / 4,
        "W_hh": _square(generator),
        "W_x": torch.randn(4 * UNITS, INPUTS, generator=generator) / 4,
        "W_h": torch.cat([_square(generator) for _ in range(4)]),
    }


def through_time(
    gradient_norms: Callable[..., list[Any]],
    rnn_step: Callable[..., Tensor],
    lstm_step: Callable[..., tuple[Tensor, Tensor]],
) -> Panel:
    """How large the gradient of the last step is at each step before, RNN beside LSTM.

    ``gradient_norms(step, state, x)`` runs ``step(x_t, *state)``, which returns the new state as
    a tuple, calls ``backward`` on the sum of the last h, and returns one tuple of norms a step.
    """
    fig = LiveFigure(820, 420)
    rnn_ax, lstm_ax, weights_ax = fig.subplots(1, 3)
    place(fig, {rnn_ax: (66, 62, 260, 310), lstm_ax: (360, 62, 260, 310)})
    place(fig, {weights_ax: (690, 62, 120, 310)})
    for ax in (rnn_ax, lstm_ax):
        ax.set(yscale="log", ylim=(LOWEST, TOPS[0]), xlabel="step t")
        ax.axhline(1, color=style.FAINT, lw=2, zorder=0)
    rnn_ax.set_title("RNN: |∂L / ∂h$_t$|")
    lstm_ax.set_title("LSTM (line: |∂L / ∂c$_t$|)")
    lstm_ax.tick_params(labelleft=False)
    weights_ax.set(yscale="log", ylim=(1e-2, 1e4), xlim=(-0.6, 1.6), title="|∂L / ∂W$_{hh}$|")
    weights_ax.set_xticks([0, 1], ["RNN", "LSTM"])
    rnn_bars, lstm_bars = (
        ax.add_collection(LineCollection([], colors=colour, zorder=2), autolim=False)
        for ax, colour in ((rnn_ax, style.GRADIENT), (lstm_ax, style.GRADIENT))
    )
    (cells,) = lstm_ax.plot([], [], "-", color=style.WEIGHT, lw=4)
    sizes = LineCollection([], linewidths=38, colors=[style.GRADIENT, style.GRADIENT], zorder=2)
    ghosts = LineCollection([], linewidths=38, colors="#f6c8cc", zorder=1)
    for collection in (ghosts, sizes):
        weights_ax.add_collection(collection, autolim=False)
    (limit,) = weights_ax.plot([-0.6, 1.6], [LIMIT, LIMIT], "--", color=style.INK, lw=2.5)
    fig.live(rnn_bars, lstm_bars, cells, ghosts, sizes, limit)

    def measure(step: Callable[..., Any], state: tuple[Tensor, ...], x: Tensor) -> np.ndarray:
        norms = [[float(v) for v in part] for part in gradient_norms(step, state, x)]
        found = np.array(norms)
        if found.shape != (len(x), len(state)):
            raise ValueError(
                f"gradient_norms returned {found.shape} norms for {len(x)} steps and a state of "
                f"{len(state)}"
            )
        return found

    shown: dict[str, float] = {}

    def axis(top: float, steps: int) -> None:
        if shown.get("top") != top:
            shown["top"] = top
            ticks = 10.0 ** np.arange(-16, np.log10(top) + 0.5, 4 if top <= 1e8 else 8)
            for ax in (rnn_ax, lstm_ax):
                ax.set(ylim=(LOWEST, top))
                ax.set_yticks(ticks)
            weights_ax.set_ylim(1e-2, top)
            decades = np.arange(-2, np.log10(top) + 0.5, 2 if top <= 1e8 else 6)
            weights_ax.set_yticks(10.0**decades)
            for ax in (rnn_ax, lstm_ax, weights_ax):
                ax.minorticks_off()
        if rnn_ax.get_xlim()[1] != steps + 1:
            for ax in (rnn_ax, lstm_ax):
                ax.set_xlim(0, steps + 1)

    def update(scale: float, length: int, forget_bias: float, seed: int, clip: bool) -> str:
        w = random_weights(seed)
        x, zero = w["x"][:length], torch.zeros(UNITS)
        w_hh = (scale * w["W_hh"]).requires_grad_()
        w_h = (scale * w["W_h"]).requires_grad_()
        bias = torch.zeros(4 * UNITS)
        bias[UNITS : 2 * UNITS] = forget_bias  # PyTorch's order: input, forget, candidate, output

        rnn = measure(lambda x_t, h: (rnn_step(x_t, h, w["W_hx"], w_hh, zero),), (zero,), x)[:, 0]
        lstm = measure(lambda x_t, h, c: lstm_step(x_t, h, c, w["W_x"], w_h, bias), (zero, zero), x)
        totals = [float(weight.grad.norm()) for weight in (w_hh, w_h)]

        largest = max(float(rnn.max()), float(lstm.max()), *totals)
        axis(next((top for top in TOPS if largest < top), TOPS[-1]), length)
        steps = np.arange(1, length + 1)
        for bars, heights in ((rnn_bars, rnn), (lstm_bars, lstm[:, 0])):
            tops = np.maximum(heights, LOWEST)
            bars.set_segments([[(t, LOWEST), (t, v)] for t, v in zip(steps, tops, strict=True)])
            bars.set_linewidth(min(20.0, 0.75 * 235 / (length + 1)))
        cells.set_data(steps, np.maximum(lstm[:, 1], LOWEST))
        kept = [min(total, LIMIT) if clip else total for total in totals]
        ghosts.set_segments([[(k, 1e-2), (k, v)] for k, v in enumerate(totals)])
        sizes.set_segments([[(k, 1e-2), (k, max(v, 1e-2))] for k, v in enumerate(kept)])
        limit.set_visible(clip)
        return tell(length, {"RNN": rnn, "LSTM": lstm.max(axis=1)}, totals, clip)

    def tell(length: int, reach: Mapping[str, Any], totals: list[float], clip: bool) -> str:
        words = []
        for name, norms in reach.items():
            ratio = norms[0] / norms[-1]
            if not np.isfinite(ratio):
                words.append(f"{name}: too large for 32 bits.")
                continue
            factor = ratio ** (1 / (length - 1))
            verdict = "vanishes" if ratio < 0.01 else "explodes" if ratio > 100 else "arrives"
            words.append(
                f"{name}: step 1 gets <b>{power(ratio)}</b> of what step {length} gets "
                f"({'0 in 32 bits' if ratio == 0 else f'{factor:.2f} a step'}): it {verdict}."
            )
        if clip:
            cut = [f"{n} by {power(t)}" for n, t in zip(reach, totals, strict=True) if t > LIMIT]
            words.append(
                f"Clipping divides the whole gradient: {' and '.join(cut) or 'by 1, it is small'}. "
                "The ratio of the steps stays."
            )
        return "<br>".join(words)

    return Panel(
        update,
        fig,
        title="Gradient through time",
        look="The loss looks at the last state only. How much of its gradient reaches step 1? "
        "“Radius” is the largest eigenvalue of W<sub>hh</sub>.",
        scale=slider(0.1, 3.0, 0.05, 0.9, "radius"),
        length=slider(2, LONGEST, 1, 50, "T"),
        forget_bias=slider(-2.0, 6.0, 0.5, 1.0, "bias of f"),
        seed=slider(0, 9, 1, 0),
        clip=toggle(False, "clip the gradient at 1"),
        presets={
            "RNN vanishes": {"scale": 0.9, "length": 50, "forget_bias": 1.0, "clip": False}
            | {"note": "Each step back multiplies by less than 1: nothing is left of it."},
            "LSTM carries": {"scale": 0.9, "length": 100, "forget_bias": 5.0, "clip": False}
            | {"note": "Forget gates near 1: the cell state (violet) brings it back 100 steps."},
            "fails: forget bias −2": {"scale": 0.9, "length": 50, "forget_bias": -2.0}
            | {"clip": False, "note": "An LSTM that forgets vanishes too, and faster."},
            "explodes": {"scale": 2.5, "length": 100, "forget_bias": 1.0, "clip": False}
            | {"note": "Large weights: each step back multiplies by more than 1."},
            "explodes, clipped": {"scale": 2.5, "length": 100, "forget_bias": 1.0, "clip": True}
            | {"note": "The step taken is bounded now. Which step it listens to is not changed."},
        },
    )
