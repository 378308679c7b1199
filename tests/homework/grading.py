"""Grades a notebook's homework in this process: the exercise cells alone, no kernel.

What a full nbgrader run adds (a kernel, the lecture's cells before) is tested once for each
notebook in ``test_release.py``.
"""

import contextlib
import copy
import functools
import io
import linecache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from lecture_utils.homework.release import exercises, student_version

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def _read(stem: str) -> NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)


def load(stem: str) -> NotebookNode:
    """The committed notebook ``stem``, as 01_perceptron: a copy, read and validated once."""
    return copy.deepcopy(_read(stem))


def points(stem: str) -> dict[str, float]:
    """Full marks by test cell."""
    return exercises(load(stem))


def _run(notebook: NotebookNode) -> dict[str, float]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    start = next(i for i, cell in enumerate(code) if cell.id == "homework-setup")
    earned: dict[str, float] = {}
    namespace: dict[str, object] = {"__name__": "__main__"}
    for cell in [code[0], *code[start:]]:
        marks = cell.metadata.get("nbgrader", {})
        # Registered so that inspect.getsource works on the student's functions, as in a kernel.
        name = f"<homework {cell.id}>"
        linecache.cache[name] = (len(cell.source), None, cell.source.splitlines(True), name)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, name, "exec"), namespace)
        except Exception:
            if not marks:
                raise  # set-up must work whatever the student wrote
            if marks["grade"]:
                earned[cell.id] = 0
        else:
            if marks.get("grade"):
                earned[cell.id] = marks["points"]
    return earned


def grade(stem: str, answers: dict[str, str]) -> dict[str, float]:
    """Points by test cell when the cells named in ``answers`` hold that source instead."""
    notebook = load(stem)
    known = {
        cell.id for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")
    }
    if unknown := set(answers) - known:
        raise KeyError(f"no exercise cell {sorted(unknown)}; there are {sorted(known)}")
    for cell in notebook.cells:
        cell.source = answers.get(cell.id, cell.source)
    return _run(notebook)


def reference(stem: str) -> dict[str, float]:
    """Points of the reference solutions."""
    return _run(load(stem))


def blank(stem: str) -> dict[str, float]:
    """Points of the student release, untouched."""
    notebook = load(stem)
    hidden = {cell.id: cell.source for cell in notebook.cells}
    released = student_version(notebook)
    for cell in released.cells:
        # Graded with the hidden tests, as nbgrader puts them back.
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.source = hidden[cell.id]
    return _run(released)
