"""Parts that the panels of 04_cnn share: a table to type in, a table drawn, image tiles."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import traitlets
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from .. import style
from ..live import LiveFigure
from ..panel import Player

WINDOW, UNREAD = to_rgba("#fdebcf"), to_rgba("#f6c8cc")
"""Colours of the cells a window reads, and of those no window reads."""
LINE = to_rgba("#8c959f")


class NumberGrid(widgets.HBox):
    """A table of whole numbers to type in; ``value`` is a tuple of rows."""

    value = traitlets.Tuple()

    def __init__(
        self, value: Sequence[Sequence[int]], label: str, low: int = -99, high: int = 99
    ) -> None:
        self.fields = [
            [
                widgets.BoundedIntText(
                    v, min=low, max=high, layout={"width": "3.9em"}, tooltip=f"row {i}, column {j}"
                )
                for j, v in enumerate(row)
            ]
            for i, row in enumerate(value)
        ]
        self._filling = False
        super().__init__(
            [widgets.Label(label), widgets.VBox([widgets.HBox(row) for row in self.fields])],
            value=tuple(map(tuple, value)),
            # Beside it as many other controls as it has rows.
            layout={"grid_area": f"span {len(self.fields)}"},
        )
        self.observe(self._fill, "value")
        for row in self.fields:
            for field in row:
                field.observe(self._take, "value")

    def _take(self, _: Any) -> None:
        if not self._filling:
            self.value = tuple(tuple(field.value for field in row) for row in self.fields)

    def _fill(self, _: Any) -> None:
        self._filling = True
        try:
            for row, numbers in zip(self.fields, self.value, strict=True):
                for field, number in zip(row, numbers, strict=True):
                    field.value = int(number)
        finally:
            self._filling = False


@functools.lru_cache(maxsize=4096)
def sprite(text: str, pixels: int, colour: str, bold: bool = False) -> np.ndarray:
    """A short text as an image (H, W, 4) float in 0..1, ``pixels`` high in the font's own sense."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    outline = TextPath((0, 0), text, size=pixels, prop=font)
    box = outline.get_extents()
    width, height = int(np.ceil(box.width)) + 2, int(np.ceil(box.height)) + 2
    renderer = RendererAgg(width, height, 72)
    pen = renderer.new_gc()
    pen.set_linewidth(0)
    place = Affine2D().translate(1 - box.x0, 1 - box.y0)
    renderer.draw_path(pen, outline, place, (0.0, 0.0, 0.0))
    alpha = np.asarray(renderer.buffer_rgba())[..., 3] / 255
    return np.dstack([np.broadcast_to(to_rgba(colour)[:3], (height, width, 3)), alpha])


class Cells(Artist):
    """A table drawn as coloured boxes with a number in each.

    Cell (i, j) has its centre at (x, y) = (j, i), row 0 on top. One picture is composed of cached
    letters: a hundred Matplotlib texts would take longer than a slider may.
    """

    def __init__(self, figure: LiveFigure, axes: Axes, size: float = style.FONT_SIZE) -> None:
        super().__init__()
        self.size = size
        self.numbers: Sequence[Sequence[str]] = [[""]]
        self.colours = np.ones((1, 1, 4))
        self.inks: Any = None
        self.tags: Mapping[tuple[int, int], str] = {}
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.add_artist(self)
        self.set_zorder(0.5)
        figure.live(self)

    def show(
        self,
        numbers: Sequence[Sequence[str]],
        colours: np.ndarray,
        inks: Any = None,
        tags: Mapping[tuple[int, int], str] | None = None,
        size: float | None = None,
    ) -> None:
        """Write ``numbers`` on boxes of ``colours`` (rows, columns, 4), in ``inks`` if given.

        ``tags`` maps (row, column) to a small word at the upper right, in the colour of weights.
        """
        changed = self.colours.shape != colours.shape or self.axes.get_xlim()[1] == 1
        self.numbers, self.colours, self.inks = numbers, colours, inks
        self.tags, self.size = tags or {}, size or self.size
        if changed:
            rows, columns = colours.shape[:2]
            self.axes.set(xlim=(-0.55, columns - 0.45), ylim=(rows - 0.45, -0.55))

    def draw(self, renderer: RendererAgg) -> None:
        rows, columns = self.colours.shape[:2]
        corners = self.axes.transData.transform([(-0.5, rows - 0.5), (columns - 0.5, -0.5)])
        (left, bottom), (right, top) = np.rint(corners).astype(int)
        xs = np.rint(np.linspace(0, right - left, columns + 1)).astype(int)
        ys = np.rint(np.linspace(0, top - bottom, rows + 1)).astype(int)
        scale = self.axes.figure.dpi / 72
        sheet = np.repeat(np.repeat(self.colours, np.diff(ys), axis=0), np.diff(xs), axis=1)
        line = max(1, round(scale))
        for k in ys:
            sheet[max(0, k - line) : k + (k == 0) * line, :] = LINE
        for k in xs:
            sheet[:, max(0, k - line) : k + (k == 0) * line] = LINE
        for i in range(rows):
            for j in range(columns):
                if words := self.numbers[i][j]:
                    ink = style.INK if self.inks is None else self.inks[i][j]
                    letters = sprite(words, round(self.size * scale), ink)
                    y = (ys[i] + ys[i + 1] - letters.shape[0]) // 2
                    y += round(self.size * scale / 4) if (i, j) in self.tags else 0
                    blend(sheet, letters, y, (xs[j] + xs[j + 1] - letters.shape[1]) // 2)
        for (i, j), words in self.tags.items():
            letters = sprite(words, round(0.75 * self.size * scale), style.WEIGHT, bold=True)
            margin = round(2 * scale)
            blend(sheet, letters, ys[i] + margin, xs[j + 1] - letters.shape[1] - margin)
        pen = renderer.new_gc()
        picture = (255 * sheet[::-1]).round().astype(np.uint8)
        renderer.draw_image(pen, left, bottom, np.ascontiguousarray(picture))
        pen.restore()


def blend(sheet: np.ndarray, letters: np.ndarray, y: int, x: int) -> None:
    """Put ``letters`` on ``sheet``, upper left corner at row ``y`` and column ``x``."""
    y, x = max(y, 0), max(x, 0)
    part = sheet[y : y + letters.shape[0], x : x + letters.shape[1], :3]
    letters = letters[: part.shape[0], : part.shape[1]]
    alpha = letters[..., 3:]
    part += alpha * (letters[..., :3] - part)


def paint(shape: tuple[int, int], colour: str, alpha: float = 1.0) -> np.ndarray:
    """Boxes (rows, columns, 4) of one colour, mixed with the paper."""
    rgba = np.array(to_rgba(colour))
    rgba[:3] = 1 - alpha * (1 - rgba[:3])
    return np.broadcast_to(rgba, (*shape, 4)).copy()


def number(value: float) -> str:
    """A number as short as it can be written, with a true minus sign."""
    return f"{value:.4g}".replace("-", "−")


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Windows that fit along one side; 0 or less: none does."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def stepper(last: int, value: int = 0, rate: float = 3) -> Player:
    """A ``Player`` over positions that stops when anything else moves it: a preset, say."""
    player = Player(last, value, label="position", rate=rate)

    def moved(change: Any) -> None:
        if player.playing and change["new"] != change["old"] + 1:
            player.pause()

    player.observe(moved, "value")
    return player


def never_read(side: int, count: int, size: int, stride: int, dilation: int = 1) -> np.ndarray:
    """Which cells (side, side) none of count x count windows reads."""
    starts = stride * np.arange(count)[:, None]
    read = np.zeros(side, bool)
    read[(starts + dilation * np.arange(size)).ravel()] = True
    return ~np.outer(read, read)


def tiles(images: np.ndarray, columns: int, gap: int = 1) -> np.ma.MaskedArray:
    """Images (N, H, W) side by side, ``columns`` a row, with masked gaps between them."""
    n, height, width = images.shape
    rows = -(-n // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    sheet = np.ma.array(np.zeros(shape), mask=True)
    for k, image in enumerate(images):
        top, left = (k // columns) * (height + gap), (k % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def tile_box(
    k: int, count: int, columns: int, height: int, width: int, gap: int = 1
) -> tuple[float, float, float, float]:
    """Where tile ``k`` of a sheet of ``tiles`` lies: x, y, width, height, the sheet spanning 0..1.

    y runs down.
    """
    rows = -(-count // columns)
    whole_x, whole_y = columns * (width + gap) - gap, rows * (height + gap) - gap
    return (
        (k % columns) * (width + gap) / whole_x,
        (k // columns) * (height + gap) / whole_y,
        width / whole_x,
        height / whole_y,
    )
