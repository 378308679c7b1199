"""Sweeping a panel: every control to its least, its greatest, and values between."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import ipywidgets as widgets
import numpy as np

from lecture_utils.panel import Panel


def control_values(control: widgets.Widget, between: int = 3) -> list[Any]:
    """Least, greatest and some values between of a control; every option of a list."""
    if isinstance(control, widgets.Checkbox | widgets.ToggleButton):
        return [True, False]
    if isinstance(control, widgets.FloatLogSlider):
        return list(control.base ** np.linspace(control.min, control.max, between + 2))
    if hasattr(control, "options"):
        return [value for _, value in control._options_full]
    if hasattr(control, "max"):
        low = getattr(control, "min", 0)
        values = np.linspace(low, control.max, between + 2)
        whole = isinstance(control.value, int)
        return sorted({int(round(v)) if whole else float(v) for v in values})
    return [control.value]


def sweep(panel: Panel, between: int = 3) -> Iterator[tuple[str, Any]]:
    """Set each control in turn, the others at their start; yields (name, value) after each.

    Fails on an error shown in the panel and on a picture that holds nothing.
    """
    for name, control in panel.controls.items():
        for value in control_values(control, between):
            panel.reset()
            control.value = value
            assert panel.error is None, f"{panel.title}: {name}={value!r}: {panel.error!r}"
            assert "nan" not in panel.message.lower().split(), f"{panel.title}: {panel.message}"
            if panel.figure is not None:
                picture = panel.figure.render()
                assert picture.min() < picture.max(), f"{panel.title}: an empty picture"
            yield name, value
    panel.reset()
    for preset in panel.presets:
        panel.apply(preset)
        assert panel.error is None, f"{panel.title}: preset {preset!r}: {panel.error!r}"
    panel.reset()


def sweep_all(panel: Panel, between: int = 3) -> int:
    """Run the whole sweep; returns how many settings were tried."""
    return sum(1 for _ in islice(sweep(panel, between), 10_000))
