"""The plumbing of *the deep learning lecture*: figures that follow a slider, training you can
scrub, one device switch, data with a known origin, and homework checks that say what was wrong.

Use it as ``import lecture_utils as lu``. Names are loaded on first use, so the import itself
costs next to nothing.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "device": ["DeviceToggle", "follow", "one_thread"],
    "live": ["LiveFigure"],
    "panel": ["Panel", "Player", "choice", "log_slider", "slider", "text", "toggle"],
    "training": ["Run", "accuracy", "fit"],
    "probe": ["Probe"],
    "checks": ["answer", "check", "check_that", "plain", "predict", "variant"],
}
_MODULES = [*_EXPORTS, "data", "minilm", "models", "sequences", "style"]
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"lecture_utils has no {name!r}; it offers: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
