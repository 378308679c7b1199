"""What the panels of 06_attention share: words beside a table, colours of weights."""

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from torch import Tensor

from .. import style
from ..minilm import MiniLM
from ..panel import text


class Labels:
    """Words to the left of a table's rows, to their right, or above its columns (slanting or not).

    They are part of the still picture, so they cost something only when they change.
    """

    PLACES = {
        "left": {"ha": "right", "va": "center"},
        "right": {"ha": "left", "va": "center"},
        "upright": {"ha": "center", "va": "bottom"},
        "top": {"ha": "left", "va": "bottom", "rotation": 45, "rotation_mode": "anchor"},
    }

    def __init__(self, ax: Axes, side: str, gap: float = 0.65, size: float = style.FONT_SIZE):
        self.ax, self.side, self.gap, self.size = ax, side, gap, size
        self.words: list[str] = []
        self.texts: list[Text] = []

    def show(self, words: Sequence[str], size: float | None = None) -> None:
        """Put word i beside row (or column) i; far ones at x or y = ``-gap``, on the right +gap."""
        if list(words) == self.words:
            return
        for old in self.texts:
            old.remove()
        self.words = list(words)
        self.texts = []
        for i, word in enumerate(words):
            beside = {"left": (-self.gap, i), "right": (self.gap, i)}
            x, y = beside.get(self.side, (i, -self.gap))
            made = self.ax.text(x, y, word, fontsize=size or self.size, **self.PLACES[self.side])
            self.texts.append(made)


def shades(values: np.ndarray, top: float = 1.0) -> np.ndarray:
    """Colours (..., 4) of values: orange below zero, blue above, full at ``top``."""
    finite = np.where(np.isfinite(values), values, 0.0)
    colours = style.SIGNED(0.5 + 0.5 * np.clip(finite / max(top, 1e-9), -1, 1))
    colours[~np.isfinite(values)] = (0.87, 0.88, 0.9, 1.0)  # masked
    return colours


def short(value: float, digits: int = 2) -> str:
    """A number for a small box: .12, 1.00, −3.4, −∞."""
    if not np.isfinite(value):
        return "−∞"
    words = f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.0f}"
    return words.removeprefix("0").replace("-0.", "-.").replace("-", "−")


def expect(name: str, value: object, shape: tuple[int, ...]) -> Tensor:
    """``value`` as a detached tensor of this shape, or a ValueError that says what is wrong."""
    if value is None:
        raise ValueError(f"{name} returned nothing: is a `return` missing?")
    found = torch.as_tensor(value).detach()
    if tuple(found.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(found.shape)}, expected {shape}.")
    return found


def parts(name: str, values: object, count: int) -> tuple:
    """The ``count`` values a function returned together, or a ValueError in words."""
    if values is None:
        raise ValueError(f"{name} returned nothing: is a `return` missing?")
    if not isinstance(values, tuple | list) or len(values) != count:
        raise ValueError(f"{name} must return {count} values.")
    return tuple(values)


def wide_text(value: str, label: str) -> widgets.Widget:
    """A line of text over the whole width."""
    made = text(value, label)
    made.add_class("lecture-wide")
    return made


def own_words(model: MiniLM, text: str, most: int) -> tuple[list[str], str]:
    """The pieces of a text without [CLS] and [SEP], ``most`` at most, and a remark if some fell."""
    words = model.tokenize(text)[1:-1]
    remark = f" (Only the first {most} of {len(words)} pieces.)" if len(words) > most else ""
    return words[:most], remark
