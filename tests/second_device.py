"""A second device on every machine: torch's lazy tensors, which compute when they are asked.

Imported by each test that switches devices, so that the backend starts once in a process.
"""

import pytest
import torch
import torch._lazy.ts_backend

from lecture_utils import device

torch._lazy.ts_backend.init()
LAZY = "lazy"


def offer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``device.use(LAZY)`` work in one test, which begins on the CPU with nobody following."""
    monkeypatch.setattr(device, "_extra", [LAZY])
    monkeypatch.setattr(device, "_followers", [])
    monkeypatch.setattr(device, "_listeners", [])
    monkeypatch.setattr(device, "_current", torch.device("cpu"))
    # Parameters keep their identity between CPU and GPU by themselves, with lazy ones if asked.
    monkeypatch.setattr(torch.__future__, "_swap_module_params_on_conversion", True)
