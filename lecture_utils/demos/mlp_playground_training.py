"""What the playground trains: points, features, a net, and one epoch at a time."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import device
from ..device import one_thread
from ..training import Run
from .mlp_playground_data import Points, no_points
from .mlp_playground_engine import Engine, TrainStep, agrees, linear_layers, order_of, slow_epoch

MOST_FEATURES = 8
ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "leaky ReLU": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}
Features = Callable[[Tensor, Tensor], Mapping[str, Tensor]]


def losses(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of rows x (N, d) with classes y (N,)."""
    return F.binary_cross_entropy_with_logits(net(x)[:, 0], y)


class Training:
    """A net, its points and its settings; ``run`` plays it, one epoch a turn."""

    def __init__(self, features: Features, make_net: Callable[..., nn.Module], step: TrainStep):
        self.features, self.make_net, self.train_step = features, make_net, step
        self.points = no_points()
        self.net: nn.Module = nn.Sequential(nn.Linear(1, 1))
        self.active: tuple[int, ...] = (0,)
        self.rates = (0.1, 0.0, 0.0)
        self.size = 10
        self.fast = False
        self.steps = 0
        """Steps done since the notebook was opened."""
        self.engine: Engine | None = None
        self.run = Run(self._epoch, models=[self.net], max_snapshots=300, turn_name="epoch")

    def names(self) -> list[str]:
        """The features by name; ValueError if the notebook's function does not give columns."""
        found = self.features(torch.zeros(2), torch.ones(2))
        if not isinstance(found, Mapping) or not found:
            raise ValueError("features must return a dict of named columns.")
        if len(found) > MOST_FEATURES:
            raise ValueError(
                f"features returned {len(found)} columns; there is room for {MOST_FEATURES}."
            )
        for name, column in found.items():
            if (shape := tuple(torch.as_tensor(column).shape)) != (2,):
                raise ValueError(f"feature {name!r} of 2 points has shape {shape}, expected (2,).")
        return [str(name) for name in found]

    def rows(self, x: Tensor) -> Tensor:
        """All features (N, count) of points x (N, 2), as the notebook's function gives them."""
        found = self.features(x[:, 0], x[:, 1])
        return torch.stack([torch.as_tensor(c).float() for c in found.values()], dim=1)

    def build(
        self, points: Points, active: Sequence[int], widths: Sequence[int], kind: str, seed: int
    ) -> None:
        """Another net, at the start of its training; a run that plays goes on playing."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = self.make_net(len(active), widths, ACTIVATIONS[kind])
        layers = linear_layers(net)
        sizes = [(layer.in_features, layer.out_features) for layer in layers]
        wanted = list(zip([len(active), *widths], [*widths, 1], strict=True))
        if sizes != wanted:
            raise ValueError(f"make_net returned layers {sizes}, expected {wanted} (in, out).")
        fast = agrees(net, self.train_step)
        with self.run.paused():
            self.net, self.active, self.fast = net, tuple(active), fast
            self.run.models[:] = [net]
            self.use_points(points)
            self.run.move(device.current())

    def use_points(self, points: Points) -> None:
        """Learn from these from now on."""
        with self.run.paused():
            self.points = points
            tensors = []
            for train in (True, False):
                x, y = points.side(train)
                tensors += [self.rows(x)[:, list(self.active)], y]
            self.run.data = [t.to(device.current()) for t in tensors]

    @one_thread()
    def _epoch(self, k: int, x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor) -> Any:
        found: dict[str, Tensor] = {}
        if not len(x):
            time.sleep(0.02)  # until the reader has placed some
            return found
        with torch.no_grad():
            found["train"] = losses(self.net, x, y)
            if len(test_x):
                found["test"] = losses(self.net, test_x, test_y)
        order = order_of(k, len(x), x.device)
        if self.fast:
            if self.engine is None or not self.engine.fits(self.net, x, y, self.size):
                self.engine = Engine(self.net, x, y, self.size)
            self.steps += self.engine.epoch(order, *self.rates)
        else:
            self.steps += slow_epoch(self.net, self.train_step, x, y, order, self.size, self.rates)
        return found

    @torch.no_grad()
    def outputs(self, x: Tensor) -> list[Tensor]:
        """What the units of each layer give for rows x (N, active): (N, units), logits last."""
        kept, first = [], True
        for layer in self.net:
            if isinstance(layer, nn.Linear) and not first:
                kept.append(x)
            first = False
            x = layer(x)
        return [*kept, x]


def as_code(net: nn.Module, features: Sequence[str]) -> str:
    """The net as a piece of PyTorch, with its weights; ``features`` names its inputs."""
    layers = "".join(f"    nn.{layer!r},\n" for layer in net)
    lines = [
        "import torch",
        "from torch import nn",
        "",
        f"# inputs: {', '.join(features)}; output: logit of class 1",
        f"net = nn.Sequential(\n{layers})",
        "with torch.no_grad():",
    ]
    for k, layer in enumerate(net):
        for name, values in layer.state_dict().items():
            rows = [
                [round(v, 4) for v in row] for row in values.cpu().reshape(len(values), -1).tolist()
            ]
            numbers = rows if values.dim() == 2 else [row[0] for row in rows]
            lines.append(f"    net[{k}].{name}.copy_(torch.tensor({numbers}))")
    return "\n".join(lines) + "\n"
