"""One switch between CPU and accelerator for the whole lecture.

Nothing else in the project names a device. Models, tensors, optimizers and running trainings that
``follow`` the switch move with it, between two optimisation steps, and go on from the same state.
"""

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as widgets
import torch

from .live import answer_beside_cells
from .panel import stylesheet


@contextmanager
def one_thread() -> Iterator[None]:
    """Small nets go faster on one core than shared between several: up to four times.

    As a ``with`` block or over a function.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class DeviceInfo:
    """A device the switch knows: ``reason`` says why it is not ``available``."""

    name: str
    label: str
    available: bool
    reason: str = ""


class DeviceError(RuntimeError):
    """The device asked for can't be used; the message says why and what is used instead."""


_lock = threading.Lock()  # guards _followers; never held while something moves
_switching = threading.RLock()  # one switch at a time
_current: torch.device | None = None
_followers: list[weakref.ref] = []
_listeners: list[weakref.WeakMethod] = []
_extra: list[str] = []  # further device names to offer; the tests switch to one here


def _cuda() -> DeviceInfo:
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        return DeviceInfo("cuda", "CUDA", False, "this PyTorch is a CPU-only build")
    if not torch.cuda.is_available():
        return DeviceInfo("cuda", "CUDA", False, "no NVIDIA GPU with a working driver was found")
    try:
        torch.zeros(1, device="cuda")
    except RuntimeError as error:
        return DeviceInfo("cuda", "CUDA", False, str(error).splitlines()[0])
    return DeviceInfo("cuda", f"CUDA: {torch.cuda.get_device_name(0)}", True)


def devices() -> list[DeviceInfo]:
    """CPU, CUDA, and on a Mac MPS; the unavailable ones with the reason."""
    found = [DeviceInfo("cpu", "CPU", True), _cuda()]
    if sys.platform == "darwin":
        mps = torch.backends.mps.is_available()
        reason = "" if mps else "this Mac or this PyTorch build has no Metal support"
        found.append(DeviceInfo("mps", "MPS (Apple GPU)", mps, reason))
    return found + [DeviceInfo(name, name, True) for name in _extra]


def _known(name: str) -> DeviceInfo:
    for info in devices():
        if info.name == name:
            return info
    names = ", ".join(info.name for info in devices())
    raise DeviceError(f"There is no device {name!r}. Choose one of: {names}.")


def current() -> torch.device:
    """The device in use: ``LECTURE_DEVICE`` if set, else the CPU until someone switches."""
    global _current
    if _current is None:
        wanted = os.environ.get("LECTURE_DEVICE", "cpu").lower()
        info = _known(wanted)
        if not info.available:
            raise DeviceError(
                f"LECTURE_DEVICE asks for {wanted}, but {info.reason}. Unset it to use the CPU."
            )
        _current = torch.device(info.name)
    return _current


def follow(*objects: Any) -> Any:
    """Put modules, tensors or optimizers on the current device and keep them with the switch.

    Returns the object (or a tuple of them). They are the same objects after a switch, so every
    name the notebook has for them stays valid. Anything with a ``move(device)`` method can follow.
    """
    for item in objects:
        with _lock:
            if not any(ref() is item for ref in _followers):
                _followers.append(weakref.ref(item))
        device = None
        while device != current():  # until no switch came in between
            device = current()
            _move(item, device)
    return objects[0] if len(objects) == 1 else objects


def _move(item: Any, device: torch.device) -> None:
    if isinstance(item, torch.nn.Module):
        item.to(device)
    elif isinstance(item, torch.optim.Optimizer):
        move_optimizer(item)
    elif isinstance(item, torch.Tensor):
        if item.device.type != device.type:
            _move_tensor(item, device)
    else:
        item.move(device)


def _move_tensor(tensor: torch.Tensor, device: torch.device) -> None:
    moved = tensor.detach().to(device)
    gradient = None if tensor.grad is None else tensor.grad.to(device)
    try:
        tensor.data = moved
    except RuntimeError:  # a backend whose tensors are of another C++ type
        global _followers
        with _lock:  # a weakref forbids a swap
            _followers = [ref for ref in _followers if ref() is not tensor]
            torch.utils.swap_tensors(tensor, moved.requires_grad_(tensor.requires_grad))
            _followers.append(weakref.ref(tensor))
    tensor.grad = gradient


def move_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Bring an optimizer's state to where its parameters are."""
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            # The step count stays on the CPU, where torch.optim wants it.
            if torch.is_tensor(value) and key != "step":
                values[key] = value.to(parameter.device)


def use(name: str) -> torch.device:
    """Switch everything that follows to device ``name``.

    Raises ``DeviceError`` if the device is unavailable (nothing changes) or runs out of memory
    during the move (everything is back on the CPU).
    """
    global _current
    info = _known(name)
    if not info.available:
        raise DeviceError(f"{info.name} can't be used: {info.reason}.")
    with _switching:
        device = torch.device(info.name)
        before, _current = current(), device
        problem = None
        try:
            _move_all(device)
        except torch.OutOfMemoryError:
            _current = torch.device("cpu")
            _move_all(_current)
            problem = (
                f"{info.label} has too little free memory for the models and data of this "
                "notebook. Everything is back on the CPU; close other programs that use the GPU."
            )
        except Exception:
            _current = before
            _move_all(before)
            raise
    for listener in list(_listeners):
        if callback := listener():
            callback()
    if problem:
        raise DeviceError(problem)
    return _current


def _move_all(device: torch.device) -> None:
    global _followers
    with _lock:
        _followers = [ref for ref in _followers if ref() is not None]
        items = [item for ref in _followers if (item := ref()) is not None]
    # Runs first, for they finish a step; optimizers last, for they ask their parameters.
    late = torch.optim.Optimizer
    for item in sorted(items, key=lambda i: (not hasattr(i, "move"), isinstance(i, late))):
        _move(item, device)


def on_switch(callback: Callable[[], None]) -> None:
    """Call a bound method after each switch, as long as its object lives."""
    _listeners.append(weakref.WeakMethod(callback))


def synchronize() -> None:
    """Wait until the current device has done all it was asked: call it around a timing."""
    kind = current().type
    if kind == "cuda":
        torch.cuda.synchronize()
    elif kind == "mps":
        torch.mps.synchronize()


class DeviceToggle(widgets.HBox):
    """The switch as a widget: one button a device, greyed with the reason if unavailable."""

    def __init__(self) -> None:
        self.buttons = {
            info.name: widgets.Button(
                description=info.label,
                disabled=not info.available,
                tooltip=info.reason or f"Run on {info.label}",
                layout={"width": "auto"},
            )
            for info in devices()
        }
        self.note = widgets.HTML()
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self.choose(name))
        reasons = "; ".join(
            f"{i.name.upper()} is unavailable: {i.reason}" for i in devices() if i.reason
        )
        self._reasons = reasons
        label = widgets.HTML(stylesheet() + "<b>Device</b>")
        super().__init__([label, *self.buttons.values(), self.note])
        self.add_class("lecture-panel")
        self.add_class("lecture-device")
        answer_beside_cells(self)
        self._show()
        on_switch(self._show)

    def choose(self, name: str) -> None:
        problem = ""
        try:
            use(name)
        except (DeviceError, RuntimeError) as error:
            problem = str(error)
        self._show(problem)

    def _show(self, problem: str = "") -> None:
        for name, button in self.buttons.items():
            button.button_style = "primary" if name == current().type else ""
        colour = "lecture-error" if problem else "lecture-quiet"
        self.note.value = f'<span class="{colour}">{escape(problem or self._reasons)}</span>'
