"""Parts that the panels of 05_rnn_lstm share: boxes with numbers, sequences to type, bars."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg

from .. import style
from ..draw import LINE, blend, sprite
from ..live import LiveFigure


def short(value: float, decimals: int = 2) -> str:
    """0.25 in a fixed number of decimals, with a minus sign as long as a plus."""
    rounded = round(value, decimals) + 0.0  # no −0.00
    return f"{rounded:.{decimals}f}".replace("-", "−")


def power(value: float) -> str:
    """A positive number of any size as HTML: 0.012, 3.1·10⁻¹⁴."""
    if value == 0:
        return "0"
    if 1e-3 <= value < 1e4:
        return f"{value:.2g}" if value < 100 else f"{value:.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10<sup>{int(exponent)}</sup>".replace("-", "−")


def read_numbers(text: str, count: int, low: float = -1.0, high: float = 1.0) -> list[float]:
    """The numbers of a line of text, 0 for those that are missing. Raises ValueError."""
    words = text.replace(",", " ").replace("−", "-").split()
    if len(words) > count:
        raise ValueError(f"there are {len(words)} numbers, and room for {count}")
    values = [float(word) for word in words]
    if any(not low <= v <= high for v in values):
        raise ValueError(f"every number must lie between {low:g} and {high:g}")
    return values + [0.0] * (count - len(values))


def write_numbers(values: Sequence[float]) -> str:
    """The line of text of numbers, as ``read_numbers`` reads it."""
    return " ".join(f"{v + 0:.2g}" for v in values)


class Boxes(Artist):
    """Coloured boxes with a short text in each, drawn as one small picture a box.

    ``show`` takes the centres (k, 2), in data coordinates; ``size`` is width and height there.
    """

    def __init__(
        self, figure: LiveFigure, axes: Axes, size: tuple[float, float], font: float = 16
    ) -> None:
        super().__init__()
        self.size, self.font = size, font
        self.centres = np.empty((0, 2))
        self.texts: Sequence[str] = ()
        self.colours = np.empty((0, 4))
        self.framed = True
        axes.add_artist(self)
        self.set_zorder(3)
        figure.live(self)

    def show(self, centres: Any, texts: Sequence[str], colours: Any) -> None:
        """Boxes with ``texts`` (k) at ``centres`` (k, 2), filled with ``colours`` (k, 4)."""
        self.centres, self.texts = np.asarray(centres, float), list(texts)
        self.colours = np.asarray(colours, float)

    def draw(self, renderer: RendererAgg) -> None:
        to_pixels = self.axes.transData.transform
        across, up = np.abs(to_pixels(self.size) - to_pixels((0, 0))).round().astype(int)
        scale = self.axes.figure.dpi / 72
        line = max(1, round(1.5 * scale))
        pen = renderer.new_gc()
        places = to_pixels(self.centres) if len(self.centres) else []
        for (x, y), text, colour in zip(places, self.texts, self.colours, strict=True):
            sheet = np.empty((up, across, 4))
            sheet[:] = colour
            if self.framed:
                sheet[:line] = sheet[-line:] = sheet[:, :line] = sheet[:, -line:] = LINE
            if text:
                ink = style.PAPER if colour[:3] @ (0.3, 0.6, 0.1) < 0.5 else style.INK
                letters = sprite(text, round(self.font * scale), ink)
                height, width = letters.shape[:2]
                blend(sheet, letters, (up - height) // 2, (across - width) // 2)
            picture = np.ascontiguousarray((255 * sheet[::-1]).round().astype(np.uint8))
            renderer.draw_image(pen, round(x - across / 2), round(y - up / 2), picture)
        pen.restore()
