"""What the panels of several sections draw with: tables, tiles, arrows, edges, words.

A Matplotlib text takes about 0.1 ms a letter in every frame; what holds many of them is composed
into one picture here.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
import traitlets
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from torch import Tensor

from . import style
from .live import DPI, LiveFigure

LINE = to_rgba("#8c959f")
"""Lines of a table."""


def place(fig: LiveFigure, places: Mapping[Axes, tuple[float, float, float, float]]) -> None:
    """Put axes at (left, bottom, width, height) in CSS pixels, counted from the bottom left.

    The automatic layout leaves squares beside each other too little room, or none.
    """
    width, height = fig.figure.get_size_inches() * DPI
    fig.figure.set_layout_engine("none")
    for ax, (x, y, w, h) in places.items():
        ax.set_position((x / width, y / height, w / width, h / height))


def lattice(low: float, high: float, count: int) -> Tensor:
    """The (count², 2) points of a square grid, row by row from the bottom left."""
    line = torch.linspace(low, high, count)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.ravel(), y.ravel()], dim=1)


def arrow_in(
    ax: Axes, colour: str, dashed: bool = False, zorder: float = 4, head: float = 18
) -> FancyArrowPatch:
    """An arrow of ``ax`` for ``point_arrow``; ``head`` is its size in points."""
    arrow = FancyArrowPatch(
        (0, 0),
        (1, 1),
        arrowstyle="-|>",
        mutation_scale=head,
        lw=3.5,
        color=colour,
        linestyle=(0, (3, 1.5)) if dashed else "-",
        shrinkA=0,
        shrinkB=0,
        zorder=zorder,
    )
    return ax.add_patch(arrow)


def point_arrow(arrow: FancyArrowPatch, start: Any, end: Any) -> None:
    """Draw ``arrow`` from ``start`` to ``end``, both (2,); one of length 0 is hidden."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    arrow.set_visible(float(np.hypot(*(end - start))) > 1e-9)
    arrow.set_positions(tuple(start), tuple(end))


class Edges:
    """Weights drawn as lines between layers of units: colour is the sign, width the size.

    ``places`` holds one array (units, 2) a layer, in data coordinates of ``ax``.
    """

    def __init__(
        self, fig: LiveFigure, ax: Axes, places: Sequence[Any], widest: float = 7, zorder: float = 1
    ) -> None:
        self.widest = widest
        self.lines = LineCollection([], zorder=zorder, capstyle="round")
        ax.add_collection(self.lines, autolim=False)
        fig.live(self.lines)
        self.move(places)

    def move(self, places: Sequence[Any]) -> None:
        """Join other places. Of ``segments`` of m and n units number k joins k % m to k // m."""
        places = [np.asarray(layer, float).reshape(-1, 2) for layer in places]
        segments = [
            np.stack([np.tile(left, (len(right), 1)), np.repeat(right, len(left), axis=0)], axis=1)
            for left, right in zip(places[:-1], places[1:], strict=True)
        ]
        self.segments = np.concatenate(segments) if segments else np.empty((0, 2, 2))
        self.lines.set_segments(self.segments)

    def show(self, weights: Sequence[Any], top: float | None = None) -> None:
        """Weights (units, inputs) of each layer, as ``nn.Linear`` keeps them.

        ``top`` is the size drawn widest and in full colour; the largest weight if not given.
        """
        flat = [torch.as_tensor(w).detach().float().cpu().ravel() for w in weights]
        values = torch.cat(flat).numpy() if flat else np.empty(0)
        if len(values) != len(self.segments):
            raise ValueError(f"{len(values)} weights for {len(self.segments)} lines")
        top = max(top or float(np.abs(values).max(initial=0)), 1e-9)
        order = np.argsort(np.abs(values), kind="stable")  # a large one lies over small ones
        values = np.clip(values[order] / top, -1, 1)
        self.lines.set_segments(self.segments[order])
        self.lines.set_color(style.SIGNED(0.5 + 0.5 * values))
        self.lines.set_linewidths(0.4 + self.widest * np.abs(values))


class NumberGrid(widgets.HBox):
    """A table of whole numbers to type in; ``value`` is a tuple of rows."""

    value = traitlets.Tuple()

    def __init__(
        self, value: Sequence[Sequence[int]], label: str, low: int = -99, high: int = 99
    ) -> None:
        self.fields = [
            [
                widgets.BoundedIntText(
                    v,
                    min=low,
                    max=high,
                    layout={"width": "3.9em" if len(row) < 4 else "3em"},
                    tooltip=f"row {i}, column {j}",
                )
                for j, v in enumerate(row)
            ]
            for i, row in enumerate(value)
        ]
        self._filling = False
        super().__init__(
            [
                widgets.Label(label, layout={"flex": "none"}),
                widgets.VBox([widgets.HBox(row) for row in self.fields]),
            ],
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


LEVELS = 33
"""Colours of a map: few, so that a picture travels in long runs of one colour."""


def pixel_words(colours: np.ndarray) -> np.ndarray:
    """RGBA in 0..1 (n, 4) as pixels of four bytes (n,)."""
    return np.ascontiguousarray(np.round(255 * colours).astype(np.uint8)).view(np.uint32)[:, 0]


def pixel_picture(words: np.ndarray) -> np.ndarray:
    """Pixels of four bytes (h, w) as the renderer takes them, (h, w, 4)."""
    return np.ascontiguousarray(words).view(np.uint8).reshape(*words.shape, 4)


def levels(values: np.ndarray, discrete: bool = False) -> np.ndarray:
    """Values in -1..1 as indices of colours; ``discrete`` keeps their sign alone."""
    if discrete:
        return np.where(values > 0, np.uint8(LEVELS - 1), np.uint8(0))
    half = (LEVELS - 1) / 2
    return (np.clip(values, -1, 1) * half + (half + 0.5)).astype(np.uint8)


def enlarged(values: np.ndarray, side: int) -> np.ndarray:
    """A map (n, n), whose outer samples lie on its edges, interpolated at (side, side) pixels."""
    at = (np.arange(side, dtype=np.float32) + 0.5) * ((len(values) - 1) / side)
    low = at.astype(np.intp)
    part = (at - low)[:, None]
    for _ in range(2):  # first the rows, then, turned, the columns
        values = (values[low] + part * (values[low + 1] - values[low])).T
    return values


class PlaneMap(Artist):
    """One map (n, n) of values in -1..1 over the whole axes, drawn smoothly in few colours.

    ``colours`` (LEVELS, 4) are RGBA in 0..1, from -1 to 1. An ``imshow`` takes ten times as long.
    """

    def __init__(self, fig: LiveFigure, ax: Axes, colours: np.ndarray) -> None:
        super().__init__()
        self.values = np.zeros((2, 2), np.float32)
        self.discrete = False
        self.ramp = pixel_words(colours)
        ax.add_artist(self)
        self.set_zorder(0.5)
        fig.live(self)

    def draw(self, renderer: RendererAgg) -> None:
        box = self.axes.get_window_extent()
        left, bottom = round(box.x0), round(box.y0)
        side = round(box.x1) - left
        shades = levels(enlarged(self.values, side), self.discrete)
        pen = renderer.new_gc()
        renderer.draw_image(pen, left, bottom, pixel_picture(self.ramp.take(shades)))
        pen.restore()


class Pixels(Artist):
    """A picture (h, w, 3) uint8, first row on top, over the whole axes, each pixel a square.

    Several times as fast as an ``imshow``; equal rows and runs make the frame small.
    """

    def __init__(self, fig: LiveFigure, ax: Axes) -> None:
        super().__init__()
        self.picture = np.full((1, 1, 3), 255, np.uint8)
        ax.add_artist(self)
        self.set_zorder(0.5)
        fig.live(self)

    def draw(self, renderer: RendererAgg) -> None:
        box = self.axes.get_window_extent()
        left, bottom = round(box.x0), round(box.y0)
        wide, high = round(box.x1) - left, round(box.y1) - bottom
        h, w, _ = self.picture.shape
        words = np.empty((h, w, 4), np.uint8)
        words[..., :3], words[..., 3] = self.picture[::-1], 255
        rows, columns = np.arange(high) * h // high, np.arange(wide) * w // wide
        spread = words.view(np.uint32)[..., 0][rows[:, None], columns]
        pen = renderer.new_gc()
        renderer.draw_image(pen, left, bottom, pixel_picture(spread))
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


def vector(v: Any) -> str:
    """(1.00, −0.50) of [1, -0.5]."""
    return "(" + ", ".join(f"{float(x) + 0:.2f}" for x in v).replace("-", "−") + ")"


def number(value: float) -> str:
    """A number in four digits at most, with a minus sign as long as a plus."""
    return f"{value + 0:.4g}".replace("-", "−")


def signed_sum(*terms: tuple[float, str]) -> str:
    """2·x − 0.5·y + 1 of (2, "·x"), (-0.5, "·y"), (1, "")."""
    words = "".join(f" {'−' if v < 0 else '+'} {abs(v):g}{name}" for v, name in terms)
    return ("−" if terms[0][0] < 0 else "") + words[3:]


def rgba(*colours: str) -> list[np.ndarray]:
    """Colours by name as arrays (4,)."""
    return [np.array(to_rgba(c)) for c in colours]
