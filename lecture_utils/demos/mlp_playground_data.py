"""Point sets of the playground: five hundred points in a square, two classes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

REACH = 6.0
"""The plane shown is -6..6 in both directions."""
COUNT = 500
SETS = ("circle", "XOR", "blobs", "spiral")
OWN = "your own"


@dataclass
class Points:
    """Points x (N, 2) of class y (N,), 0 or 1; ``train`` (N,) says which the net learns from."""

    x: Tensor
    y: Tensor
    train: Tensor

    def side(self, train: bool) -> tuple[Tensor, Tensor]:
        """The points to train on, or those held out."""
        chosen = self.train if train else ~self.train
        return self.x[chosen], self.y[chosen]

    def plus(self, x: float, y: float, label: int) -> "Points":
        """These and one more to train on."""
        return Points(
            torch.cat([self.x, torch.tensor([[x, y]])]),
            torch.cat([self.y, torch.tensor([float(label)])]),
            torch.cat([self.train, torch.tensor([True])]),
        )

    def without(self, x: float, y: float, near: float = 0.5) -> "Points":
        """These but for the one next to (x, y), if one is nearer than ``near``."""
        far = (self.x - torch.tensor([x, y])).norm(dim=1)
        keep = torch.ones(len(far), dtype=torch.bool)
        if len(far) and far.min() < near:
            keep[far.argmin()] = False
        return Points(self.x[keep], self.y[keep], self.train[keep])


def no_points() -> Points:
    """An empty set."""
    return Points(torch.empty(0, 2), torch.empty(0), torch.empty(0, dtype=torch.bool))


def make_points(name: str, noise: float = 0.0, share: float = 0.5, seed: int = 0) -> Points:
    """A set of ``SETS`` in random order, the first ``share`` of it to train on.

    ``noise`` is 0..0.5. The same random numbers are drawn whatever it is, so that points move and
    do not jump when it changes. The shapes and sizes are those of the TensorFlow Playground
    (Smilkov and others 2017, arXiv:1708.03788); in XOR class 1 is where the signs differ.
    """
    made = torch.Generator().manual_seed(seed)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=made)

    first = (torch.arange(COUNT) < COUNT // 2).float()  # one half of the points
    if name == "circle":
        radius = torch.where(first == 1, between(0, 2.5, COUNT), between(3.5, 5, COUNT))
        angle = between(0, 2 * math.pi, COUNT)
        x = torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1)
        y = ((x + noise * between(-5, 5, COUNT, 2)).norm(dim=1) < 2.5).float()
    elif name == "XOR":
        x = between(-5, 5, COUNT, 2)
        x = x + 0.3 * torch.where(x > 0, 1.0, -1.0)  # a gap between the squares
        y = ((x + noise * between(-5, 5, COUNT, 2)).prod(dim=1) < 0).float()
    elif name == "blobs":
        spread = math.sqrt(0.5 + 7 * noise)
        x = spread * torch.randn(COUNT, 2, generator=made) + (4 * first - 2)[:, None]
        y = first
    elif name == "spiral":
        along = torch.arange(COUNT).remainder(COUNT // 2) / (COUNT // 2)
        angle = 1.75 * 2 * math.pi * along + math.pi * (1 - first)
        x = 5 * along[:, None] * torch.stack([angle.sin(), angle.cos()], dim=1)
        x = x + noise * between(-1, 1, COUNT, 2)
        y = first
    else:
        raise ValueError(f"no point set {name!r}; there are {', '.join(SETS)}")
    order = torch.randperm(COUNT, generator=made)
    return Points(x[order], y[order], torch.arange(COUNT) < round(share * COUNT))
