"""What happens inside a net while it trains: activations, gradients, dead units, step sizes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

UPDATE_RATIO = 1e-3
"""Usual size of an update relative to its weight (Karpathy, makemore part 3): a rule of thumb."""


@dataclass
class LayerRecord:
    """One layer at its last forward and backward pass; nan where nothing was recorded."""

    name: str
    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    zeros: float
    """Share of activations that are exactly 0."""
    dead: float
    """Share of units (channels) that are 0 for every example of the batch."""
    gradient: float
    """Root mean square of the loss gradient with respect to the activations."""
    update_ratio: float
    """|change of the weights in the last step| / |weights|, by Euclidean norm; biases aside."""


_CHANNELS_FIRST = ("Conv", "BatchNorm", "InstanceNorm", "GroupNorm", "MaxPool", "AvgPool")


def _unit_axis(module: nn.Module, output: torch.Tensor) -> int:
    """Axis of the units: channels of images, else the last one, as in (batch, steps, units)."""
    images = output.ndim > 3 or any(kind in type(module).__name__ for kind in _CHANNELS_FIRST)
    return 1 if images and output.ndim > 1 else -1


def _weights(module: nn.Module) -> list[torch.Tensor]:
    """All parameters of a layer but its biases."""
    named = module.named_parameters(recurse=False)
    return [p.detach() for name, p in named if not name.startswith("bias")]


def _norm(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([t.norm() for t in tensors]).norm()


class Probe:
    """Watch the leaf layers of ``model`` by hooks; nothing in the model changes.

    >>> with Probe(model, optimizer) as probe:
    ...     loss_of(model(x)).backward()
    ...     optimizer.step()
    >>> probe.records()

    ``activations`` holds each layer's last output by name, detached; feature maps are there.
    Works with any ``nn.Module``; with an ``optimizer`` the size of its updates is measured too.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        self.layers = {
            name or type(module).__name__: module
            for name, module in model.named_modules()
            if not any(True for _ in module.children())
        }
        self.activations: dict[str, torch.Tensor] = {}
        self.gradients: dict[str, torch.Tensor] = {}
        self.update_ratios: dict[str, float] = {}
        self._before: dict[str, list[torch.Tensor]] = {}
        self._handles: list[Any] = [
            module.register_forward_hook(self._forward(name))
            for name, module in self.layers.items()
        ]
        if optimizer is not None:
            self._handles.append(optimizer.register_step_pre_hook(self._before_step))
            self._handles.append(optimizer.register_step_post_hook(self._after_step))

    def _forward(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) else output  # recurrent layers
            if not torch.is_tensor(tensor):
                return
            self.activations[name] = tensor.detach().clone()  # a layer in place may follow
            if tensor.requires_grad:

                def keep(gradient: torch.Tensor) -> None:
                    self.gradients[name] = gradient.detach()

                tensor.register_hook(keep)

        return hook

    def _before_step(self, *_: Any) -> None:
        for name, module in self.layers.items():
            if weights := _weights(module):
                self._before[name] = [w.clone() for w in weights]

    def _after_step(self, *_: Any) -> None:
        for name, old in self._before.items():
            change = [new - w for new, w in zip(_weights(self.layers[name]), old, strict=True)]
            self.update_ratios[name] = float(_norm(change) / _norm(old).clamp_min(1e-30))

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> "Probe":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def records(self) -> list[LayerRecord]:
        """One record a layer that has been run, in the order of the model."""
        found = []
        for name, module in self.layers.items():
            if name not in self.activations:
                continue
            a = self.activations[name].float()
            units = a.movedim(_unit_axis(module, a), 0).flatten(1)
            gradient = self.gradients.get(name)
            found.append(
                LayerRecord(
                    name,
                    type(module).__name__,
                    tuple(a.shape),
                    float(a.mean()),
                    float(a.std(correction=0)),
                    float((a == 0).float().mean()),
                    float((units == 0).all(dim=1).float().mean()),
                    float(gradient.float().square().mean().sqrt())
                    if gradient is not None
                    else float("nan"),
                    self.update_ratios.get(name, float("nan")),
                )
            )
        return found

    def _repr_html_(self) -> str:
        heads = ["layer", "output", "mean", "std", "zeros", "dead units", "gradient", "update"]

        def measured(value: float) -> str:
            return "–" if math.isnan(value) else f"{value:.1e}"

        rows = "".join(
            f"<tr><td>{r.name} ({r.kind})</td><td>{'×'.join(map(str, r.shape))}</td>"
            f"<td>{r.mean:.3f}</td><td>{r.std:.3f}</td><td>{r.zeros:.0%}</td>"
            f"<td>{r.dead:.0%}</td><td>{measured(r.gradient)}</td>"
            f"<td>{measured(r.update_ratio)}</td></tr>"
            for r in self.records()
        )
        head = "".join(f"<th>{h}</th>" for h in heads)
        return f"<table style='font-size:16px'><tr>{head}</tr>{rows}</table>"
