"""The panels of 07_gan. Here: transposed convolution, the deck's loop. The others: the imports."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import style
from ..draw import Cells, NumberGrid, number, paint, place
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider
from .gan_images import digits_game, growth, layers, person
from .gan_lab import lab

__all__ = ["deck_loop", "digits_game", "growth", "lab", "layers", "person", "raises", "transposed"]

SIDE = 3
STAMP, CROPPED = to_rgba("#fdebcf"), to_rgba("#e4e6ea")
INPUT = ((1, 2, 0), (0, 3, 1), (2, 0, 1))
KERNEL = ((1, 2, 2, 1), (2, 4, 4, 2), (2, 4, 4, 2), (1, 2, 2, 1))
ONES = ((1,) * 4,) * 4


def output_side(side: int, kernel: int, stride: int, padding: int) -> int:
    """Side of what a transposed convolution makes of ``side``; below 1: nothing is left."""
    return (side - 1) * stride + kernel - 2 * padding


def transposed(conv_transpose2d: Callable[..., Tensor]) -> Panel:
    """Step through ``conv_transpose2d(x, kernel, stride, padding)``, one stamp at a time.

    ``x`` (3, 3) and ``kernel`` (k, k) are float tensors; the result must be a 2-D tensor of the
    side that the formula gives.
    """
    figure = LiveFigure(820, 430)
    axes = [figure.figure.add_subplot() for _ in range(3)]
    left, below, right = axes
    place(
        figure,
        {left: (30, 236, 200, 160), below: (30, 20, 200, 160), right: (270, 12, 530, 384)},
    )
    tables = [Cells(figure, ax) for ax in axes]
    for ax, title in zip(axes, ["input", "kernel", "output so far"], strict=True):
        ax.set_title(title)
    here = left.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.PREDICTION, lw=4))
    frame = right.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.PREDICTION, lw=4))
    figure.live(here, frame)

    def update(
        x: tuple[tuple[int, ...], ...],
        kernel: tuple[tuple[int, ...], ...],
        size: int,
        stride: int,
        padding: int,
        position: int,
    ) -> str:
        values = np.array(x)
        weights = np.array(kernel)[:size, :size]
        row, column = divmod(position, SIDE)
        full = (SIDE - 1) * stride + size
        side = output_side(SIDE, size, stride, padding)
        read = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) <= position
        boxes = paint((SIDE, SIDE), style.PAPER)
        boxes[read] = STAMP
        tables[0].show([[str(v) for v in r] for r in values], boxes)
        tables[1].show([[number(v) for v in r] for r in weights], paint(weights.shape, style.PAPER))
        here.set_xy((column - 0.5, row - 0.5))
        frame.set_xy((column * stride - 0.5, row * stride - 0.5))
        frame.set_width(size)
        frame.set_height(size)
        formula = (
            f"Output side: ({SIDE} − 1)·{stride} + {size} − 2·{padding} = <b>{number(side)}</b>."
        )
        sheet = paint((full, full), style.PAPER)
        sheet[:] = CROPPED
        if side < 1:
            tables[2].show([[""] * full] * full, sheet, size=15)
            return (
                "<b class='lecture-error'>Impossible.</b> The padding cuts all of it away. "
                + formula
            )
        so_far = conv_transpose2d(
            torch.tensor(np.where(read, values, 0), dtype=torch.float32),
            torch.tensor(weights, dtype=torch.float32),
            stride,
            padding,
        )
        if tuple(so_far.shape) != (side, side):
            raise ValueError(
                f"conv_transpose2d returned shape {tuple(so_far.shape)}, "
                f"the formula gives {(side, side)}"
            )
        out = so_far.detach().cpu().numpy()
        scale = max(float(np.abs(out).max()), 1e-9)
        inner = slice(padding, padding + side)
        sheet[inner, inner] = style.SIGNED(0.5 + 0.3 * out / scale)
        words = [[""] * full for _ in range(full)]
        for i in range(side):
            for j in range(side):
                words[i + padding][j + padding] = number(float(out[i, j]))
        tables[2].show(words, sheet, size=16 if full < 9 else 13)
        stamps = stamp_counts(SIDE, size, stride)[inner, inner]
        uneven = (
            f" Some cells get {stamps.max()} stamps, some {stamps.min()}: "
            "the start of a checkerboard."
            if stride > 1 and size % stride
            else ""
        )
        crop = " The grey border is cut off." if padding else ""
        return (
            f"Input ({row}, {column}) is {values[row, column]}: it stamps "
            f"<b>{values[row, column]} × the kernel</b>, and stamps that overlap add up. "
            f"{formula}{crop}{uneven}"
        )

    def preset(note: str, **values: Any) -> dict[str, Any]:
        start = {"x": INPUT, "kernel": KERNEL, "size": 4, "stride": 2, "padding": 1}
        return start | {"position": 8} | values | {"note": note}

    return Panel(
        update,
        figure,
        title="Transposed convolution, one stamp at a time",
        look="Press Play. Each input number stamps a copy of the kernel, times itself. The stride "
        "says how far apart the stamps are.",
        presets={
            "Deck's layer": preset("Kernel 4, stride 2, padding 1: twice the side, evenly."),
            "Side by side": preset(
                "Stride as large as the kernel: no stamp meets another.", size=2, padding=0
            ),
            "Checkerboard": preset(
                "Fails: 3 is no multiple of 2, so neighbours get unequal shares.",
                kernel=ONES,
                x=((1,) * 3,) * 3,
                size=3,
                padding=0,
            ),
        },
        position=Player(SIDE * SIDE - 1, label="position", rate=2),
        size=slider(1, 4, 1, 4, "kernel k"),
        stride=slider(1, 3, 1, 2),
        padding=slider(0, 3, 1, 1),
        x=NumberGrid(INPUT, "input"),
        kernel=NumberGrid(KERNEL, "kernel"),
    )


def stamp_counts(side: int, kernel: int, stride: int) -> np.ndarray:
    """How many stamps reach each cell of the uncut output."""
    line = np.zeros((side - 1) * stride + kernel, int)
    for k in range(side):
        line[k * stride : k * stride + kernel] += 1
    return np.outer(line, line)


def raises(demonstrate: Callable[[], str]) -> bool:
    """Whether a demonstration of ``deck_loop`` stops with an error."""
    try:
        demonstrate()
    except (NameError, RuntimeError, ValueError):
        return True
    return False


def deck_loop(bugs: Mapping[str, Callable[[], str]], source: str) -> Panel:
    """Run one of the loop's bugs and show what it does.

    ``bugs`` maps the marked line to a function that demonstrates it: its error, or the words it
    returns, are shown.
    """
    lines = source.strip("\n").split("\n")

    def update(bug: str) -> str:
        marked = {part.strip() for part in bug.split("|")}
        shown = "\n".join(
            f"<mark>{escape(line)}</mark>" if line.strip() in marked else escape(line)
            for line in lines
        )
        try:
            said = bugs[bug]()
            outcome = f"<b>No error, but:</b> {said}"
        except (NameError, RuntimeError, ValueError) as error:
            first = str(error).split(". ")[0]
            outcome = f"<b>{type(error).__name__}:</b> {escape(first)}"
        return f"<pre class='lecture-code'>{shown}</pre>{outcome}"

    names = {f"{k}: {bug.split('|')[0].strip()}": bug for k, bug in enumerate(bugs, 1)}
    panel = Panel(
        update,
        title="Six bugs",
        look="Choose one. It is run here and now; below the code stands what it did.",
        bug=choice(names, label="bug"),
    )
    panel.controls["bug"].add_class("lecture-wide")
    return panel
