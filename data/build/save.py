"""Write weights as float16 safetensors; the other build scripts import this."""

from pathlib import Path

from safetensors.torch import save
from torch import nn


def save_half(model: nn.Module, name: str) -> None:
    """Save floating-point entries as float16, the others as they are."""
    state = model.state_dict()
    half = {key: t.half() if t.is_floating_point() else t for key, t in state.items()}
    file = Path(__file__).resolve().parents[1] / "weights" / f"{name}.safetensors"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(save(half))
