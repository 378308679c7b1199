"""The panel of 04_cnn on time: this machine's processors, measured live."""

import copy
from collections.abc import Callable, Mapping

import ipywidgets as widgets
import torch
from torch import Tensor, nn

from .. import device, style
from ..live import LiveFigure
from ..panel import Panel
from ..training import Run

MATRIX, BATCH = "matrix product n × n", "digits CNN, batch of n"
SIZES = {
    MATRIX: (16, 32, 64, 128, 256, 512, 1024, 2048),
    BATCH: (1, 2, 4, 8, 16, 32, 64, 128, 256),
}
LOOKS = ((style.GREY, "o", "-"), (style.BLUE, "s", "--"), (style.RED, "^", "-."))


def places() -> list[tuple[str, str, int]]:
    """(label, device, CPU threads) of all there is to time: the CPU with one and all its threads,
    then each accelerator."""
    cpu, *others = (info for info in device.devices() if info.available)
    every = torch.get_num_threads()
    counts = sorted({1, every})
    found = [(f"{cpu.label}, {n} thread{'s' * (n > 1)}", cpu.name, n) for n in counts]
    return found + [(info.label, info.name, every) for info in others]


def speed(seconds: Callable[[Callable[[], Tensor]], float], net: nn.Module) -> Panel:
    """Time a matrix product and ``net`` on digits on every device here, in the background.

    ``seconds(work)`` returns how long it takes until the result of ``work()`` can be read.
    """
    spots = places()
    jobs = [(work, size, spot) for work, sizes in SIZES.items() for size in sizes for spot in spots]
    nets = {name: copy.deepcopy(net).to(name).eval() for _, name, _ in spots}

    def measure(k: int) -> dict[str, float]:
        work, size, (label, name, threads) = jobs[k]
        if work == MATRIX:
            matrix = torch.rand(size, size, device=name)
            product = matrix.matmul
            inputs = matrix
        else:
            product = nets[name]
            inputs = torch.rand(size, 1, 28, 28, device=name)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.no_grad():
                return {f"{work}, {label}": seconds(lambda: product(inputs))}
        finally:
            torch.set_num_threads(before)

    run = Run(measure, steps=len(jobs))
    figure = LiveFigure(820, 420)
    axes = {}
    lines = {}
    for ax, work in zip(figure.subplots(1, 2), SIZES, strict=True):
        axes[work] = ax
        sizes = SIZES[work]
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="n",
            title=work,
            xlim=(sizes[0] / 1.5, sizes[-1] * 1.5),
        )
        ticks = sizes[::3]
        ax.set_xticks(ticks, [str(n) for n in ticks])
        ax.minorticks_off()
        for (label, _, _), (colour, marker, dash) in zip(spots, LOOKS, strict=False):
            (lines[work, label],) = ax.plot([], [], dash, color=colour, marker=marker, label=label)
    axes[MATRIX].set(ylim=(1e-6, 10), ylabel="seconds")
    axes[BATCH].set(ylim=(1e-6, 1e-1), ylabel="seconds per digit")
    axes[MATRIX].legend(loc="upper left")
    cursors = [ax.axvline(1, color=style.INK, lw=1.5) for ax in axes.values()]
    figure.live(lines.values(), cursors)

    def found(work: str, label: str) -> dict[int, float]:
        """Size -> seconds measured so far (seconds per digit for the net)."""
        steps, values = run.curve(f"{work}, {label}")
        pairs = ((jobs[step][1], value) for step, value in zip(steps, values, strict=True))
        return {n: value / (n if work == BATCH else 1) for n, value in pairs}

    def update(matrix: int, batch: int) -> str:
        words = []
        for cursor, (work, size) in zip(cursors, [(MATRIX, matrix), (BATCH, batch)], strict=True):
            cursor.set_xdata([size, size])
            times = {label: found(work, label) for label, _, _ in spots}
            for label, measured in times.items():
                lines[work, label].set_data(list(measured), list(measured.values()))
            words += sentence(work, size, times)
        return (
            " ".join(words) or "Press Play: every point is measured here and now, on this machine."
        )

    def sentence(work: str, size: int, times: Mapping[str, Mapping[int, float]]) -> list[str]:
        here = {label: measured[size] for label, measured in times.items() if size in measured}
        if len(here) < len(times):
            return []
        unit = "a digit" if work == BATCH else "a product"
        words = [
            f"n = {size}: "
            + ", ".join(f"{label} {duration(value)} {unit}" for label, value in here.items())
            + "."
        ]
        (slow_name, slow), *rest = times.items()
        for label, fast in rest:
            ratio = here[slow_name] / here[label]
            words.append(
                f"<b>{label}: {ratio:.1f} times as fast.</b>"
                if ratio >= 1
                else f"<b>{label}: {1 / ratio:.1f} times slower.</b>"
            )
            both = sorted(set(slow) & set(fast))
            from_here = [n for n in both if all(fast[m] < slow[m] for m in both if m >= n)]
            if work == MATRIX and len(both) == len(SIZES[work]):
                words.append(
                    f"It wins from n = {from_here[0]} on."
                    if from_here
                    else "It wins at no size measured here."
                )
        return [" ".join(words) + "<br>"]

    return Panel(
        update,
        figure,
        title="How long does it take on this machine?",
        look="Press Play. Small work is lost in overhead; large work is where parallel units pay.",
        run=run,
        matrix=widgets.SelectionSlider(options=SIZES[MATRIX], value=1024, description="matrix n"),
        batch=widgets.SelectionSlider(options=SIZES[BATCH], value=64, description="batch n"),
    )


def duration(seconds: float) -> str:
    """Seconds with a unit that suits."""
    for unit, scale in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
