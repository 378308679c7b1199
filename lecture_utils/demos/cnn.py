"""The panels of 04_cnn. Here: pixels, convolution, pooling. The others: see the imports."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import style
from ..data import Digits
from ..draw import Cells, NumberGrid, number, paint
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider, toggle
from .cnn_digits import ball, confusion, draw_digit, inside
from .cnn_speed import speed

__all__ = [
    "ball",
    "confusion",
    "convolution",
    "draw_digit",
    "inside",
    "photo_filter",
    "pixels",
    "pooling",
    "speed",
]

WINDOW, UNREAD = to_rgba("#fdebcf"), to_rgba("#f6c8cc")
"""Colours of the cells a window reads, and of those no window reads."""

DECK_IMAGE = (
    (60, 113, 56, 139, 85),
    (73, 121, 54, 84, 128),
    (131, 99, 70, 129, 127),
    (80, 57, 115, 69, 134),
    (104, 126, 123, 95, 130),
)
DECK_POOL = ((7, 3, 5, 2), (8, 7, 1, 6), (4, 9, 3, 9), (0, 8, 4, 5))

IDENTITY = ((0, 0, 0), (0, 1, 0), (0, 0, 0))
SHARPEN = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))
BLUR = ((1, 1, 1), (1, 1, 1), (1, 1, 1))
EDGES_X = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))  # Sobel: reacts to vertical edges
EDGES_Y = ((-1, -2, -1), (0, 0, 0), (1, 2, 1))
EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


# ---- geometry of windows


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Windows that fit along one side; 0 or less: none does."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def never_read(side: int, count: int, size: int, stride: int, dilation: int = 1) -> np.ndarray:
    """Which cells (side, side) none of count x count windows reads."""
    starts = stride * np.arange(count)[:, None]
    read = np.zeros(side, bool)
    read[(starts + dilation * np.arange(size)).ravel()] = True
    return ~np.outer(read, read)


# ---- images


def pixels(digits: Digits) -> Panel:
    """A digit, the numbers of a 7 x 7 part of it, and how many change when it is shifted."""
    images = (digits.test_x[:, 0] * 255).round().to(torch.uint8).numpy()
    figure = LiveFigure(820, 420)
    left, right = figure.subplots(1, 2)
    style.picture(left, "what you see")
    right.set_title("what the network gets")
    picture = left.imshow(np.zeros((28, 28)), cmap=style.IMAGE, vmin=0, vmax=255)
    box = left.add_patch(Rectangle((0, 0), 7, 7, fill=False, ec=style.PREDICTION, lw=3))
    figure.live(picture, box)
    cells = Cells(figure, right)

    def update(digit: int, shift: int, column: int, row: int) -> str:
        original = images[digit]
        image = np.zeros_like(original)
        if shift >= 0:
            image[:, shift:] = original[:, : 28 - shift]
        else:
            image[:, :shift] = original[:, -shift:]
        picture.set_data(image)
        box.set_xy((column - 0.5, row - 0.5))
        part = image[row : row + 7, column : column + 7]
        colours = style.IMAGE(part / 255.0)
        inks = [[style.contrast(v, 0, 255) for v in line] for line in part]
        cells.show([[str(v) for v in line] for line in part], colours, inks)
        label = int(digits.test_y[digit])
        if not shift:
            return f"A {label}: {image.size} numbers from 0 (paper) to 255 (ink)."
        changed = int((image != original).sum())
        inked = int(((image > 0) | (original > 0)).sum())
        return (
            f"Still a {label}. But <b>{changed} of {image.size}</b> numbers changed: "
            f"{changed / inked:.0%} of those that have ink before or after."
        )

    panel = Panel(
        update,
        figure,
        title="An image is a table of numbers",
        look="Drag the frame. Then shift the digit by one pixel: what changes for you, and for "
        "the network?",
        digit=slider(0, len(images) - 1, 1, 17),
        shift=slider(-6, 6, 1, 0),
        column=slider(0, 21, 1, 11),
        row=slider(0, 21, 1, 7),
    )

    def drag(x: float, y: float, _: str) -> None:
        panel.set(column=int(np.clip(round(x - 3), 0, 21)), row=int(np.clip(round(y - 3), 0, 21)))

    figure.on_drag(left, drag)
    return panel


# ---- convolution


def convolution(conv2d: Callable[..., Tensor]) -> Panel:
    """Step through ``conv2d(image, kernel, stride, padding, dilation)`` on the 5 x 5 example.

    ``image`` (5, 5) and ``kernel`` (3, 3) are float tensors; the result must be a 2-D tensor of
    the size that the formula gives.
    """
    image = np.array(DECK_IMAGE)
    side = len(image)
    figure = LiveFigure(820, 420)
    left, right = figure.subplots(1, 2)
    left.set_title("input, padded")
    right.set_title("output so far")
    cells = Cells(figure, left)
    results = Cells(figure, right)
    window = [
        left.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.PREDICTION, lw=3))
        for _ in range(9)
    ]
    here = right.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.PREDICTION, lw=4))
    nothing = right.text(
        0.5,
        0.5,
        "",
        transform=right.transAxes,
        ha="center",
        va="center",
        size=20,
        color=style.WRONG,
    )
    figure.live(window, here, nothing)

    position = Player(side * side - 1, label="position", rate=3)
    stride = slider(1, 4, 1, 1, "stride")
    padding = slider(0, 2, 1, 1, "padding")
    dilation = slider(1, 4, 1, 1, "dilation")

    def size() -> int:
        return output_size(side, 3, stride.value, padding.value, dilation.value)

    def resize(_: Any) -> None:
        last = max(size(), 1) ** 2 - 1
        position.value = min(position.value, last)
        position.max = last

    for widget in (stride, padding, dilation):
        widget.observe(resize, "value")  # before the panel's own, which draws

    def formula(s: int, p: int, d: int) -> str:
        return (
            f"Output side: ⌊({side} + 2·{p} − {d}·(3 − 1) − 1) / {s}⌋ + 1 = "
            f"<b>{number(output_size(side, 3, s, p, d))}</b>."
        )

    def update(
        kernel: tuple[tuple[int, ...], ...],
        stride: int,
        padding: int,
        dilation: int,
        position: int,
    ) -> str:
        padded = np.pad(image, padding)
        total, reach = len(padded), dilation * 2 + 1
        count = output_size(side, 3, stride, padding, dilation)
        row, column = divmod(position, max(count, 1))
        top, start = row * stride, column * stride
        weights = np.array(kernel)

        colours = paint(padded.shape, style.GREY, 0.35)
        colours[padding : padding + side, padding : padding + side] = 1
        left_over = total - (max(count - 1, 0) * stride + reach)
        unread = never_read(total, max(count, 0), 3, stride, dilation)
        if count >= 1:
            colours[unread] = UNREAD
        places = [(top + dilation * i, start + dilation * j) for i in range(3) for j in range(3)]
        tags = {}
        for k, (i, j) in enumerate(places):
            window[k].set_xy((j - 0.5, i - 0.5))
            if i < total and j < total:
                colours[i, j] = WINDOW
                tags[i, j] = "×" + number(weights.flat[k])
        table = [[str(v) for v in line] for line in padded]
        cells.show(table, colours, tags=tags, size=17 if total < 9 else 14)

        here.set_visible(count >= 1)
        nothing.set_text("" if count >= 1 else "no output:\nthe window\ndoes not fit")
        if count < 1:
            results.show([[""]], paint((1, 1), style.PAPER))
            return (
                f"<b class='lecture-error'>Impossible.</b> The window reaches over {dilation}·(3 − "
                f"1) + 1 = {reach} cells, the padded input has {total}. "
                + formula(stride, padding, dilation)
            )
        output = conv2d(
            torch.tensor(image, dtype=torch.float32),
            torch.tensor(weights, dtype=torch.float32),
            stride,
            padding,
            dilation,
        )
        if tuple(output.shape) != (count, count):
            raise ValueError(
                f"conv2d returned shape {tuple(output.shape)}, the formula gives {(count, count)}"
            )
        values = output.detach().cpu().numpy()
        scale = max(np.abs(values).max(), 1e-9)
        boxes = style.SIGNED(0.5 + 0.25 * values / scale)
        seen = np.arange(count * count).reshape(count, count) <= position
        boxes[~seen] = to_rgba(style.PAPER)
        results.show(
            [
                [number(v) if s else "" for v, s in zip(*rows, strict=True)]
                for rows in zip(values, seen, strict=True)
            ],
            boxes,
            size=18 if count < 6 else 14,
        )
        here.set_xy((column - 0.5, row - 0.5))

        read = [padded[i, j] for i, j in places]
        products = [int(a * b) for a, b in zip(read, weights.flat, strict=True)]
        terms = " + ".join(
            f"<span class='{'lecture-quiet' if not p else ''}'>{a}·{number(w)}</span>"
            for a, w, p in zip(read, weights.flat, products, strict=True)
        )
        got = float(values[row, column])
        words = f"{terms} = <b>{number(sum(products))}</b>."
        if abs(got - sum(products)) > 1e-3:
            words += (
                f" <b class='lecture-error'>Your conv2d says {number(got)}.</b> (A kernel that is "
                "flipped, or a window that starts elsewhere?)"
            )
        words += "<br>" + formula(stride, padding, dilation)
        if left_over > 0:
            cells_word = "row and column" if left_over == 1 else f"{left_over} rows and columns"
            words += (
                f" <span class='lecture-error'>Stride {stride} does not come out even:</span> the "
                f"last {cells_word} are left over. PyTorch rounds down and says nothing."
            )
        if unread.any():
            words += " Red cells are never read."
        return words

    def preset(
        note: str,
        kernel: Any = SHARPEN,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        position: int = 0,
    ) -> dict[str, Any]:
        # In this order: the three sizes bound the position.
        return {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "kernel": kernel,
            "position": position,
            "note": note,
        }

    panel = Panel(
        update,
        figure,
        title="Convolution, one window at a time",
        look="Press Play, or drag the orange window, or point at an output cell. Nine products, "
        "one sum, one output.",
        kernel=NumberGrid(SHARPEN, "kernel"),
        stride=stride,  # these three before the position, which they bound
        padding=padding,
        dilation=dilation,
        position=position,
        presets={
            "sharpen": preset("Padding 1 keeps the size: 5 × 5 in, 5 × 5 out."),
            "edges": preset(
                "Right minus left. No padding: the output shrinks to 3 × 3.", EDGES_X, padding=0
            ),
            "copy": preset("A single 1 in the middle copies the input.", IDENTITY, position=12),
            "stride 2": preset("Every second window: 9 outputs in place of 25.", stride=2),
            "dilation 2": preset(
                "The same nine weights spread over 5 × 5: more reach, no more parameters.",
                padding=2,
                dilation=2,
                position=12,
            ),
            "fails: uneven": preset(
                "Stride 3 does not divide the way the window has to go.", stride=3, position=3
            ),
            "fails: too wide": preset(
                "Dilation 3 makes the window wider than the image.", padding=0, dilation=3
            ),
        },
    )

    def move(x: float, y: float, _: str) -> None:
        count = size()
        if count < 1:
            return
        column, row = (
            int(np.clip(round((v - dilation.value) / stride.value), 0, count - 1)) for v in (x, y)
        )
        position.pause()
        panel.set(position=row * count + column)

    def point(x: float | None, y: float | None) -> None:
        count = size()
        if x is None or y is None or position.playing:
            return
        column, row = round(x), round(y)
        if 0 <= column < count and 0 <= row < count:
            panel.set(position=row * count + column)

    figure.on_drag(left, move)
    figure.on_hover(right, point)
    return panel


def photo_filter(convolve: Callable[[Tensor, Tensor], Tensor], photo: np.ndarray) -> Panel:
    """A photograph (H, W) in 0..1 before and after ``convolve(image, kernel)``, same shape."""
    start = torch.from_numpy(np.ascontiguousarray(photo))
    figure = LiveFigure(820, 430)
    left, right = figure.subplots(1, 2)
    style.picture(left, "before").imshow(photo, cmap="gray", vmin=0, vmax=1)
    result = style.picture(right, "after").imshow(np.zeros((*photo.shape, 3)))
    figure.live(result)

    def update(kernel: tuple[tuple[int, ...], ...], divide_by: int, times: int, relu: bool) -> str:
        weights = torch.tensor(kernel, dtype=torch.float32) / divide_by
        image = start
        for _ in range(times):
            image = convolve(image, weights)
            if tuple(image.shape) != photo.shape:
                raise ValueError(
                    f"convolve returned shape {tuple(image.shape)}, expected {photo.shape}"
                )
            if relu:
                image = image.clamp(min=0)
        after = image.detach().cpu().numpy()
        total = float(weights.sum())
        balanced = abs(total) < 1e-6
        if balanced:
            strong = max(float(np.percentile(np.abs(after[times:-times, times:-times]), 98)), 1e-9)
            shown = style.SIGNED(0.5 + after / (2 * strong))
            words = "The kernel's numbers add up to 0: a flat area gives 0 (white), only change "
            words += "gives a signal (blue positive, orange negative)."
            if relu:
                words = "After ReLU only one direction of change is left: this is a feature map."
        else:
            grey = after.clip(0, 1)
            shown = np.dstack([grey] * 3)
            words = f"The kernel's numbers add up to {number(total)}: "
            words += (
                "a flat area keeps its brightness."
                if abs(total - 1) < 1e-6
                else f"a flat area gets {number(total)} times as bright"
                + (", and is cut off at white." if total > 1 else ".")
            )
            if times > 1:
                words = f"{words[:-1]}, each time."
        result.set_data(shown[..., :3])
        reach = 2 * times + 1
        if times > 1:
            words += (
                f" {times} layers of 3 × 3: each pixel has now seen <b>{reach} × {reach}</b> "
                "pixels of the photograph."
            )
        return words

    def preset(kernel: Any, divide_by: int, note: str, times: int = 1) -> dict[str, Any]:
        return {
            "kernel": kernel,
            "divide_by": divide_by,
            "times": times,
            "relu": False,
            "note": note,
        }

    return Panel(
        update,
        figure,
        title="Nine numbers change a photograph",
        look="Choose a kernel, then change one of its numbers.",
        kernel=NumberGrid(SHARPEN, "kernel"),
        divide_by=slider(1, 16, 1, 1, "divide by"),
        times=slider(1, 8, 1, 1, "layers"),
        relu=toggle(False, "ReLU after each layer"),
        presets={
            "identity": preset(IDENTITY, 1, "A single 1: nothing changes."),
            "blur": preset(BLUR, 9, "The mean of nine pixels. Add layers to blur more."),
            "sharpen": preset(SHARPEN, 1, "Five times the pixel, less its four neighbours."),
            "edges x": preset(EDGES_X, 4, "Right minus left: upright edges light up."),
            "edges y": preset(EDGES_Y, 4, "Below minus above: level edges light up."),
            "emboss": preset(EMBOSS, 1, "Light from the upper left."),
            "fails: no divisor": preset(
                BLUR, 1, "Blur without dividing by 9: nine times too bright."
            ),
        },
    )


# ---- pooling


def pooling(pool2d: Callable[..., Tensor]) -> Panel:
    """Step through ``pool2d(image, size, stride, kind)``, kind max or mean, on 4 x 4."""
    side = len(DECK_POOL)
    figure = LiveFigure(820, 400)
    left, right = figure.subplots(1, 2)
    left.set_title("input")
    right.set_title("output so far")
    cells = Cells(figure, left, size=24)
    results = Cells(figure, right, size=24)
    window = left.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.PREDICTION, lw=4))
    here = right.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.PREDICTION, lw=4))
    figure.live(window, here)

    position = Player(3, 3, label="position", rate=2)
    size_control = slider(1, 4, 1, 2, "size")
    stride_control = slider(1, 4, 1, 2, "stride")

    def resize(_: Any) -> None:
        last = output_size(side, size_control.value, stride_control.value, 0, 1) ** 2 - 1
        position.value = min(position.value, last)
        position.max = last

    size_control.observe(resize, "value")
    stride_control.observe(resize, "value")

    def update(
        numbers: tuple[tuple[int, ...], ...], kind: str, size: int, stride: int, position: int
    ) -> str:
        image = np.array(numbers)
        count = output_size(side, size, stride, 0, 1)
        row, column = divmod(position, count)
        top, start = row * stride, column * stride
        part = image[top : top + size, start : start + size]
        colours = paint(image.shape, style.PAPER)
        unread = never_read(side, count, size, stride)
        colours[unread] = UNREAD
        colours[top : top + size, start : start + size] = WINDOW
        if kind == "max":
            i, j = np.unravel_index(part.argmax(), part.shape)
            colours[top + i, start + j] = to_rgba(style.PREDICTION)
        cells.show([[str(v) for v in line] for line in image], colours)
        window.set_bounds(start - 0.5, top - 0.5, size, size)

        output = pool2d(torch.tensor(image, dtype=torch.float32), size, stride, kind)
        if tuple(output.shape) != (count, count):
            raise ValueError(
                f"pool2d returned shape {tuple(output.shape)}, expected {(count, count)}"
            )
        values = output.detach().cpu().numpy()
        seen = np.arange(count * count).reshape(count, count) <= position
        boxes = paint(seen.shape, style.ACTIVATION, 0.25)
        boxes[~seen] = to_rgba(style.PAPER)
        results.show(
            [
                [number(v) if s else "" for v, s in zip(*rows, strict=True)]
                for rows in zip(values, seen, strict=True)
            ],
            boxes,
        )
        here.set_bounds(column - 0.5, row - 0.5, 1, 1)
        listed = ", ".join(str(v) for v in part.ravel())
        words = f"{kind} of {listed} = <b>{number(float(values[row, column]))}</b>. "
        words += f"Output side: ⌊({side} − {size}) / {stride}⌋ + 1 = {count}. No weights to learn."
        if kind == "max" and part.size > 1:
            words += " Only the largest number counts, and only it gets a gradient."
        if unread.any():
            words += " Red cells are never read."
        return words

    def preset(
        note: str, kind: str = "max", size: int = 2, stride: int = 2, position: int = 3
    ) -> dict[str, Any]:
        return {
            "size": size,
            "stride": stride,
            "kind": kind,
            "numbers": DECK_POOL,
            "position": position,
            "note": note,
        }

    panel = Panel(
        update,
        figure,
        title="Pooling: keep the strongest, drop the place",
        look="Change a number that is not the largest of its window: what happens?",
        numbers=NumberGrid(DECK_POOL, "input", 0, 99),
        kind=choice(["max", "mean"], label="kind"),
        size=size_control,  # before the position, which they bound
        stride=stride_control,
        position=position,
        presets={
            "max 2 × 2": preset("16 numbers become 4: 8 6 / 9 9."),
            "mean 2 × 2": preset("The mean: every number counts a little.", kind="mean"),
            "overlap": preset(
                "Windows may overlap: one 9 in the middle wins all four.", size=3, stride=1
            ),
            "whole map": preset(
                "One window over everything: what was seen stays, where it was is gone.",
                size=4,
                position=0,
            ),
            "fails: stride > size": preset(
                "A stride beyond the size skips numbers altogether.", stride=3, position=0
            ),
        },
    )

    def move(x: float, y: float, _: str) -> None:
        size, stride = size_control.value, stride_control.value
        count = output_size(side, size, stride, 0, 1)
        column, row = (
            int(np.clip(round((v - (size - 1) / 2) / stride), 0, count - 1)) for v in (x, y)
        )
        position.pause()
        panel.set(position=row * count + column)

    figure.on_drag(left, move)
    return panel
