"""What the panels of 01_perceptron share: geometry, a decision plane, arrows, words."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from .. import style
from ..live import DPI, LiveFigure

Predict = Callable[[Tensor, Tensor, Any], Tensor]
"""``predict(x, w, b)``: rows x (N, d), weights w (d,), bias b -> 0 or 1 a row, (N,)."""


def answers(predict: Predict, x: Tensor, w: Any, b: Any) -> np.ndarray:
    """What ``predict`` says of the rows of ``x``: (N,) of 0 and 1, or a ValueError in words."""
    said = predict(x, torch.as_tensor(w, dtype=torch.float32), b)
    if said is None:
        raise ValueError("predict returned nothing: is a `return` missing?")
    found = torch.as_tensor(said).detach().cpu()
    if found.shape != x.shape[:1]:
        raise ValueError(
            f"predict returned shape {tuple(found.shape)} for {len(x)} inputs, "
            f"expected ({len(x)},): one answer a row."
        )
    odd = found[(found != 0) & (found != 1)]
    if len(odd):
        raise ValueError(f"predict returned {odd[0].item():.3g}, expected 0 or 1.")
    return found.long().numpy()


def ends(w: Any, b: float, low: float, high: float) -> np.ndarray | None:
    """Where the line w·x + b = 0 enters and leaves the square low..high, (2, 2), or None."""
    w = np.asarray(w, float)
    length = float(np.hypot(*w))
    if length < 1e-9:
        return None
    foot, along = -b * w / length**2, np.array([-w[1], w[0]]) / length
    first, last = -np.inf, np.inf
    for f, d in zip(foot, along, strict=True):
        if abs(d) < 1e-12:
            if not low <= f <= high:
                return None
            continue
        near, far = sorted([(low - f) / d, (high - f) / d])
        first, last = max(first, near), min(last, far)
    return None if first >= last else foot + np.outer([first, last], along)


def lattice(low: float, high: float, count: int) -> Tensor:
    """The (count², 2) points of a square grid, row by row from the bottom left."""
    line = torch.linspace(low, high, count)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.ravel(), y.ravel()], dim=1)


def place(fig: LiveFigure, places: Mapping[Axes, tuple[float, float, float, float]]) -> None:
    """Put axes at (left, bottom, width, height) in CSS pixels, counted from the bottom left.

    The automatic layout leaves squares beside each other too little room, or none.
    """
    width, height = fig.figure.get_size_inches() * DPI
    fig.figure.set_layout_engine("none")
    for ax, (x, y, w, h) in places.items():
        ax.set_position((x / width, y / height, w / width, h / height))


class Plane:
    """An axes with the regions of a perceptron, its line, and points of two classes."""

    def __init__(self, fig: LiveFigure, ax: Axes, low: float, high: float, handles: bool = False):
        self.low, self.high, self.count = low, high, 141
        self.grid = lattice(low, high, self.count)
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
        self.image = ax.imshow(
            np.zeros((self.count, self.count)),
            extent=(low, high, low, high),
            origin="lower",
            cmap=style.REGIONS,
            vmin=0,
            vmax=1,
        )
        (self.line,) = ax.plot([], [], color=style.WEIGHT, lw=4, zorder=3)
        (self.handles,) = ax.plot(
            [], [], "o", color=style.WEIGHT, ms=14, mec=style.PAPER, zorder=4, clip_on=False
        )
        (self.rings,) = ax.plot(
            [], [], "o", ms=27, mfc="none", mec=style.WRONG, mew=3, zorder=4, clip_on=False
        )
        self.points = [
            ax.plot([], [], m, color=c, ms=15, mec=style.INK, mew=1.5, zorder=5, clip_on=False)[0]
            for c, m in zip(style.CLASSES[:2], style.MARKERS[:2], strict=True)
        ]
        self.handles.set_visible(handles)
        fig.live(self.image, self.line, self.handles, self.rings, self.points)

    def show(self, predict: Predict, w: Any, b: float) -> None:
        """Regions as ``predict`` sees them, and the line w·x + b = 0."""
        regions = answers(predict, self.grid, w, b)
        self.image.set_data(regions.reshape(self.count, self.count))
        shown = ends(w, b, self.low, self.high)
        shown = np.empty((0, 2)) if shown is None else shown
        self.line.set_data(*shown.T)
        self.handles.set_data(*shown.T)

    def mark(self, x: Any, labels: Any, wrong: Any) -> None:
        """Points (N, 2) by class, with a ring around each that is ``wrong`` (N,)."""
        x, labels = np.asarray(x, float).reshape(-1, 2), np.asarray(labels)
        for value, points in enumerate(self.points):
            points.set_data(*x[labels == value].T)
        self.rings.set_data(*x[np.asarray(wrong, bool)].T)


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


def vector(v: Any) -> str:
    """(1.00, −0.50) of [1, -0.5]."""
    return "(" + ", ".join(f"{float(x) + 0:.2f}" for x in v).replace("-", "−") + ")"


def number(v: float) -> str:
    """A number in a sentence, with a minus sign as long as a plus."""
    return f"{v + 0:.4g}".replace("-", "−")


def signed_sum(*terms: tuple[float, str]) -> str:
    """2·x − 0.5·y + 1 of (2, "·x"), (-0.5, "·y"), (1, "")."""
    words = "".join(f" {'−' if v < 0 else '+'} {abs(v):g}{name}" for v, name in terms)
    return ("−" if terms[0][0] < 0 else "") + words[3:]


def rgba(*colours: str) -> list[np.ndarray]:
    """Colours by name as arrays (4,)."""
    return [np.array(to_rgba(c)) for c in colours]
