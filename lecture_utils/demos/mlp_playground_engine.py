"""Gradient descent on tiny nets, written out so that it keeps up with the eye.

On ten points PyTorch spends more time on the bookkeeping of autograd than on arithmetic. Here
forward pass, backward pass and update are one short list of operations on tensors made once; the
tests hold them against autograd, and the panel against the step of the notebook.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

TrainStep = Callable[..., object]
"""``train_step(net, x, y, learning_rate, l1, l2)``: one step on rows x (B, d), classes y (B,)."""

_backward = {
    nn.Tanh: lambda layer, g, a, out: torch.ops.aten.tanh_backward.grad_input(g, a, grad_input=out),
    nn.Sigmoid: lambda layer, g, a, out: torch.ops.aten.sigmoid_backward.grad_input(
        g, a, grad_input=out
    ),
    nn.ReLU: lambda layer, g, a, out: torch.ops.aten.threshold_backward.grad_input(
        g, a, 0, grad_input=out
    ),
    nn.LeakyReLU: lambda layer, g, a, out: torch.ops.aten.leaky_relu_backward.grad_input(
        g, a, layer.negative_slope, True, grad_input=out
    ),
    nn.Identity: lambda layer, g, a, out: out.copy_(g),
}
_forward = {
    nn.Tanh: lambda layer, a: a.tanh_(),
    nn.Sigmoid: lambda layer, a: a.sigmoid_(),
    nn.ReLU: lambda layer, a: a.relu_(),
    nn.LeakyReLU: lambda layer, a: torch.nn.functional.leaky_relu_(a, layer.negative_slope),
    nn.Identity: lambda layer, a: a,
}


def linear_layers(net: nn.Module) -> list[nn.Linear]:
    """The Linear layers of a Sequential; ValueError if it is none, or ends in something else."""
    if not isinstance(net, nn.Sequential) or not len(net) or not isinstance(net[-1], nn.Linear):
        raise ValueError(
            "make_net must return an nn.Sequential of nn.Linear layers with an activation behind "
            f"each but the last; it returned {type(net).__name__}."
        )
    return [layer for layer in net if isinstance(layer, nn.Linear)]


def known(net: nn.Module) -> bool:
    """Whether the engine can do this net: Linear, activation, Linear, ..., Linear with one unit."""
    layers = linear_layers(net)
    hidden = list(net)[1::2]
    return (
        len(net) == 2 * len(layers) - 1
        and all(type(layer) is nn.Linear and layer.bias is not None for layer in list(net)[::2])
        and all(type(layer) in _forward for layer in hidden)
        and net[-1].out_features == 1
    )


class Engine:
    """Minibatch gradient descent on cross-entropy for ``net``, x (N, d) and y (N,) of 0 and 1.

    The net's parameters become views of the engine's tables [weights | bias], so that both are
    one net whoever changes it. ``known(net)`` must hold.
    """

    def __init__(self, net: nn.Module, x: Tensor, y: Tensor, size: int) -> None:
        size = min(size, len(x))
        self.net, self.x, self.y, self.size = net, x, y, size
        layers = linear_layers(net)
        hidden = [*list(net)[1::2], None]
        ones = x.new_ones(len(x), 1)
        self.inputs = torch.cat([x, ones], dim=1)
        self.targets = y[:, None].float()
        # An epoch is shuffled into these two, of which the batches are views.
        self.shuffled = torch.empty_like(self.inputs)
        self.shuffled_targets = torch.empty_like(self.targets)
        whole = range(0, len(x) - size + 1, size) if size else []
        self.batches = [
            (self.shuffled[i : i + size], self.shuffled_targets[i : i + size]) for i in whole
        ]
        self.tables = []
        self.steps = []
        for layer, activation in zip(layers, hidden, strict=True):
            table = torch.cat([layer.weight.detach(), layer.bias.detach()[:, None]], dim=1)
            weights = table[:, :-1]
            layer.weight.data, layer.bias.data = weights, table[:, -1]
            after = x.new_ones(size, layer.out_features + 1)
            delta = x.new_empty(size, layer.out_features)
            self.tables.append(table)
            self.steps.append(
                (
                    table,
                    table.t(),
                    weights,
                    activation,
                    after,
                    after[:, :-1],
                    delta,
                    delta.t(),
                    x.new_empty(size, layer.in_features),
                )
            )

    def fits(self, net: nn.Module, x: Tensor, y: Tensor, size: int) -> bool:
        """Whether this engine is for this net, data and batch size."""
        same = net is self.net and x is self.x and y is self.y
        return same and min(size, len(x)) == self.size

    @torch.no_grad()
    def step(
        self, x: Tensor, y: Tensor, learning_rate: float, l1: float = 0.0, l2: float = 0.0
    ) -> None:
        """One step on a batch: x (size, d + 1) with ones in the last column, y (size, 1)."""
        before = [x]
        for _, turned, _, activation, after, units, delta, _, _ in self.steps:
            if activation is None:
                torch.mm(before[-1], turned, out=delta)
            else:
                torch.mm(before[-1], turned, out=units)
                _forward[type(activation)](activation, units)
                before.append(after)
        delta.sigmoid_().sub_(y)  # slope of the cross-entropy, times the batch size
        rate = -learning_rate / self.size
        for k in range(len(self.steps) - 1, -1, -1):
            table, _, weights, _, _, _, delta, across, slope = self.steps[k]
            if k:
                torch.mm(delta, weights, out=slope)
                _, _, _, activation, _, units, below, _, _ = self.steps[k - 1]
                _backward[type(activation)](activation, slope, units, below)
            if l2:
                weights.mul_(1 - learning_rate * l2)
            table.addmm_(across, before[k], alpha=rate)
            if l1:
                weights.copy_(torch.nn.functional.softshrink(weights, learning_rate * l1))

    @torch.no_grad()
    def epoch(self, order: Tensor, learning_rate: float, l1: float = 0.0, l2: float = 0.0) -> int:
        """Steps on all whole batches of the points in ``order`` (N,); how many they were."""
        torch.index_select(self.inputs, 0, order, out=self.shuffled)
        torch.index_select(self.targets, 0, order, out=self.shuffled_targets)
        for x, y in self.batches:
            self.step(x, y, learning_rate, l1, l2)
        return len(self.batches)


def order_of(epoch: int, count: int, device: torch.device) -> Tensor:
    """The order of ``count`` points in an epoch, a function of its number alone."""
    made = torch.Generator().manual_seed(epoch)
    return torch.randperm(count, generator=made).to(device)


def slow_epoch(
    net: nn.Module,
    train_step: TrainStep,
    x: Tensor,
    y: Tensor,
    order: Tensor,
    size: int,
    rates: Sequence[float],
) -> int:
    """What ``Engine.epoch`` does, with any ``train_step``."""
    size = min(size, len(x))
    x, y = x[order], y[order]
    starts = range(0, len(x) - size + 1, size) if size else []
    for i in starts:
        train_step(net, x[i : i + size], y[i : i + size], *rates)
    return len(starts)


def agrees(net: nn.Module, train_step: TrainStep, tolerance: float = 1e-4) -> bool:
    """Whether steps of ``train_step`` change a copy of ``net`` as the engine does.

    Tried on a few random batches, with and without the penalties, in a row, so that a step with
    a memory, momentum say, is told apart.
    """
    if not known(net):
        return False
    theirs = copy.deepcopy(net).cpu()
    ours = copy.deepcopy(theirs)
    made = torch.Generator().manual_seed(0)
    for rates in [(0.1, 0.0, 0.0), (0.5, 0.0, 0.0), (0.1, 0.01, 0.0), (0.1, 0.0, 0.02)]:
        x = torch.randn(7, linear_layers(net)[0].in_features, generator=made)
        y = (torch.rand(7, generator=made) < 0.5).float()
        train_step(theirs, x, y, *rates)
        engine = Engine(ours, x, y, len(x))
        engine.epoch(torch.arange(len(x)), *rates)
    pairs = zip(theirs.parameters(), ours.parameters(), strict=True)
    return all(torch.allclose(a, b, atol=tolerance, rtol=tolerance) for a, b in pairs)
