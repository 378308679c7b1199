"""The panel of 05_rnn_lstm on time: what the length of a sequence costs, measured live."""

import functools
from collections.abc import Callable

import ipywidgets as widgets
import torch
from torch import Tensor, nn

from .. import device, style
from ..live import LiveFigure
from ..panel import Panel
from ..training import Run

LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
KINDS = ("RNN", "LSTM", "attention")
SIZE, HEADS = 64, 4


def layer(kind: str) -> Callable[[Tensor], Tensor]:
    """One layer (1, T, 64) -> (1, T, 64) of each kind, on the current device."""
    here = device.current()
    if kind == "attention":
        heads = nn.MultiheadAttention(SIZE, HEADS, batch_first=True).to(here).eval()
        return lambda x: heads(x, x, x, need_weights=False)[0]
    recurrent = {"RNN": nn.RNN, "LSTM": nn.LSTM}[kind](SIZE, SIZE, batch_first=True).to(here)
    return lambda x: recurrent(x)[0]


def cost(seconds: Callable[[Callable[[], Tensor]], float]) -> Panel:
    """Time one layer of each kind on sequences of every length, in the background.

    ``seconds(work)`` returns how long it takes until the result of ``work()`` can be read.
    """
    jobs = [(kind, length) for length in LENGTHS for kind in KINDS]

    def measure(k: int) -> dict[str, float]:
        kind, length = jobs[k]
        work, x = layer(kind), torch.rand(1, length, SIZE, device=device.current())
        with torch.no_grad():
            return {f"{kind} on {device.current().type}": seconds(functools.partial(work, x))}

    run = Run(measure, steps=len(jobs))
    fig = LiveFigure(820, 420)
    ax = fig.add_subplot()
    ax.set(xscale="log", yscale="log", xlabel="length T", ylabel="seconds for one sequence")
    ax.set(xlim=(LENGTHS[0] / 1.3, LENGTHS[-1] * 1.3), ylim=(1e-5, 1))
    ax.set_xticks(LENGTHS, [str(n) for n in LENGTHS])
    ax.minorticks_off()
    lines = {}
    for kind in KINDS:
        colour, marker, dash = style.NETS[kind]
        (lines[kind],) = ax.plot([], [], dash, color=colour, marker=marker, label=kind)
    cursor = ax.axvline(LENGTHS[0], color=style.INK, lw=1.5)
    ax.legend(loc="upper left")
    fig.live(lines.values(), cursor)

    def found(kind: str) -> dict[int, float]:
        """Length -> seconds measured so far on the current device."""
        steps, values = run.curve(f"{kind} on {device.current().type}")
        return {jobs[step][1]: value for step, value in zip(steps, values, strict=True)}

    def update(length: int) -> str:
        cursor.set_xdata([length, length])
        times = {kind: found(kind) for kind in KINDS}
        for kind, line in lines.items():
            line.set_data(list(times[kind]), list(times[kind].values()))
        if not all(length in measured for measured in times.values()):
            return (
                "Press Play: every point is measured here and now, on this machine "
                f"({device.current().type})."
            )
        here = {kind: measured[length] for kind, measured in times.items()}
        words = ", ".join(f"{kind} <b>{1000 * t:.3g} ms</b>" for kind, t in here.items())
        half = length // 2
        growth = ""
        if all(half in measured for measured in times.values()):
            ratios = ", ".join(f"{k} ×{times[k][length] / times[k][half]:.1f}" for k in KINDS)
            growth = f" From T = {half} to {length}: {ratios}."
        return (
            f"T = {length} on {device.current().type}: {words}.{growth} An RNN or LSTM takes "
            f"{length} steps that wait for each other; attention takes 1, with "
            f"{length}² = {length**2:,} scores."
        )

    return Panel(
        update,
        fig,
        title="What does length cost?",
        look="Press Play. A recurrent net must finish step t before it can begin step t + 1.",
        run=run,
        length=widgets.SelectionSlider(options=LENGTHS, value=LENGTHS[-3], description="T"),
    )
