"""The student release of each notebook, and what holds for every exercise."""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).parent))
from grading import ROOT, blank, load, points, reference, student_version

STEMS = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if points(p.stem)]


def test_there_is_homework() -> None:
    assert {"01_perceptron", "04_cnn"} <= set(STEMS)


@pytest.mark.parametrize("stem", STEMS)
def test_reference_has_full_marks_and_blank_none(stem: str) -> None:
    assert reference(stem) == points(stem)
    assert blank(stem) == dict.fromkeys(points(stem), 0)


@pytest.mark.parametrize("stem", STEMS)
def test_release_hides_solutions_and_keeps_the_rest(stem: str) -> None:
    notebook, released = load(stem), student_version(load(stem))
    assert [c.id for c in notebook.cells] == [c.id for c in released.cells]
    for before, after in zip(notebook.cells, released.cells, strict=True):
        marks = before.metadata.get("nbgrader", {})
        if marks.get("solution"):
            body = re.search(r"### BEGIN SOLUTION\n(.*)### END SOLUTION", before.source, re.S)
            assert body, f"{before.id} has no solution region"
            assert body[1].strip() not in after.source
            assert "raise NotImplementedError()" in after.source
        elif marks.get("grade"):
            hidden = re.search(r"### BEGIN HIDDEN TESTS\n(.*)### END HIDDEN", before.source, re.S)
            assert hidden, f"{before.id} has no hidden tests"
            assert hidden[1].strip() not in after.source
            assert after.source.strip(), f"{before.id} shows the student no check"
        else:
            assert before.source == after.source


@pytest.mark.parametrize("stem", STEMS)
def test_every_exercise_says_what_a_student_needs(stem: str) -> None:
    cells = load(stem).cells
    for i, cell in enumerate(cells):
        if cell.metadata.get("nbgrader", {}).get("solution"):
            text = cells[i - 1].source
            assert cells[i - 1].cell_type == "markdown", f"{cell.id}: no text before it"
            assert re.search(r"\d+ min", text), f"{cell.id}: no time estimate"
            assert re.search(r"\d+ points?", text), f"{cell.id}: no points"
            assert "<details>" in text, f"{cell.id}: no hint"


@pytest.mark.parametrize("stem", STEMS)
def test_release_runs_to_the_first_exercise(stem: str, tmp_path: Path) -> None:
    """ "Run all" in the student's copy shows the whole lecture before anything is missing."""
    released = student_version(load(stem))
    client = NotebookClient(released, timeout=300, allow_errors=True, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    failed = [
        cell.id
        for cell in released.cells
        if cell.cell_type == "code" and any(o.output_type == "error" for o in cell.outputs)
    ]
    start = [cell.id for cell in released.cells].index("homework-setup")
    order = [cell.id for cell in released.cells]
    assert failed and all(order.index(name) > start for name in failed)
    tests = set(points(stem))
    assert tests <= set(failed)
    nbformat.validate(released)
