"""What the panels of 01_perceptron share: a decision plane and its geometry."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from .. import style
from ..draw import lattice
from ..live import LiveFigure

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
