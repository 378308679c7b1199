"""A notebook's own code in this process: questions answered, panels pointed at and swept."""

import ast
from collections.abc import Iterator
from html import escape
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import nbformat
import numpy as np
import torch
from matplotlib.axes import Axes

from lecture_utils.checks import Prediction
from lecture_utils.panel import Panel

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def sources(stem: str) -> dict[str, str]:
    """What stands in a notebook's cells, by their ids."""
    return {c.id: c.source for c in nbformat.read(NOTEBOOKS / f"{stem}.ipynb", as_version=4).cells}


def run_cells(stem: str, *ids: str, **given: Any) -> dict[str, Any]:
    """The names that these cells of a notebook define, its set-up before them."""
    cells, names = sources(stem), {"__name__": "__main__", **given}
    for cell in ["setup", *ids]:
        exec(compile(cells[cell], f"<{cell}>", "exec"), names)
    return names


def lesson(stem: str) -> SimpleNamespace:
    """The names that a notebook's lecture part defines, run here without panels and questions.

    What a cell named after a panel or a question shows is kept for ``show``.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    torch.set_num_threads(1)
    for cell in nbformat.read(NOTEBOOKS / f"{stem}.ipynb", as_version=4).cells:
        if cell.id == "homework":
            break
        if cell.cell_type == "code":
            body = ast.parse(cell.source)
            shows = cell.id.endswith(("-panel", "-question"))
            shows = shows or cell.id.startswith(("panel-", "predict-"))
            if shows and isinstance(body.body[-1], ast.Expr):
                names[cell.id] = ast.Expression(body.body.pop().value)
            exec(compile(body, cell.id, "exec"), names)
    return SimpleNamespace(**{k: v for k, v in names.items() if not k.startswith("__")})


def show(lesson: SimpleNamespace, cell: str) -> Any:
    """The panel or question that a cell of the notebook shows, made anew."""
    return eval(compile(vars(lesson)[cell], cell, "eval"), vars(lesson))


def answered(question: Prediction, answer: str) -> str:
    """Commit another guess, then ``answer``, which must be right; returns what is revealed then."""
    assert question.reveal.value == ""
    for guess in (next(o for o in question.options if o != answer), answer):
        question.again()
        question.choice.value = guess
        question.commit()
        assert question.right is (guess == answer), question.reveal.value
        assert f"<b>{escape(answer)}.</b>" in question.reveal.value
    return question.reveal.value


def axes_of(panel: Panel, k: int = 0) -> Axes:
    """The axes of number ``k`` in a panel's figure."""
    return panel.figure.figure.axes[k]


def send(panel: Panel, event: str, axes: int, *points: tuple[float, float]) -> None:
    """A pointer event at data coordinates, as the page reports it."""
    page = [panel.figure.to_page(axes_of(panel, axes), *point) for point in points]
    panel.figure.pointer(event, axes, np.array(page))


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
