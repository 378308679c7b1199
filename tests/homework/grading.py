"""Grades a notebook's homework in this process: the exercise cells alone, no kernel.

What a full nbgrader run adds (a kernel, the lecture's cells before) is tested once for each
notebook in ``test_release.py``.
"""

import ast
import contextlib
import copy
import functools
import io
import linecache
import re
from collections.abc import Collection
from itertools import pairwise, zip_longest
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from lecture_utils.checks import CheckFailed
from lecture_utils.device import one_thread
from lecture_utils.homework.release import exercises, student_version

ROOT = Path(__file__).resolve().parents[2]
STUDENT = "ada"

Answers = dict[str, dict[str, str]]
"""Source by exercise and name of the mistake."""
Keeps = dict[str, dict[str, list[str]]]
"""By exercise and mistake, the test cells that a half-right answer still passes."""


@functools.cache
def _read(stem: str) -> NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)


def load(stem: str) -> NotebookNode:
    """The committed notebook ``stem``, as 01_perceptron: a copy, read and validated once."""
    return copy.deepcopy(_read(stem))


def stems() -> list[str]:
    """All notebooks with homework."""
    found = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    return [stem for stem in found if exercises(_read(stem))]


def points(stem: str) -> dict[str, float]:
    """Full marks by test cell."""
    return exercises(_read(stem))


def checks(stem: str) -> dict[str, list[str]]:
    """The test cells of each exercise, which follow its solution cell."""
    found: dict[str, list[str]] = {}
    for cell in _read(stem).cells:
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("solution"):
            found[cell.id] = []
        elif marks.get("grade"):
            found[list(found)[-1]].append(cell.id)
    return found


def functions(stem: str, exercise: str) -> list[str]:
    """Names of the functions that an exercise asks for."""
    source = next(cell.source for cell in _read(stem).cells if cell.id == exercise)
    return [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def _run(
    notebook: NotebookNode,
    student: str = STUDENT,
    front: str = "",
    only: Collection[str] | None = None,
    errors: dict[str, Exception] | None = None,
) -> dict[str, float]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    start = next(i for i, cell in enumerate(code) if cell.id == "homework-setup")
    earned: dict[str, float] = {}
    namespace: dict[str, object] = {"__name__": "__main__"}
    exercise = ""
    for cell in [code[0], *code[start:]]:
        marks = cell.metadata.get("nbgrader", {})
        exercise = cell.id if marks.get("solution") else exercise
        if marks.get("grade") and only is not None and exercise not in only:
            continue
        source = f"student_id = {student!r}" if cell.id == "student-id" else cell.source
        if front and marks.get("solution"):
            exec(front, namespace)
        # Registered so that inspect.getsource works on the student's functions, as in a kernel.
        name = f"<homework {cell.id}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        try:
            with contextlib.redirect_stdout(io.StringIO()), one_thread():
                exec(compile(source, name, "exec"), namespace)
        except Exception as error:
            if not marks and not (isinstance(error, CheckFailed) and not student):
                raise  # set-up must work whatever the student wrote
            if errors is not None:
                errors[cell.id] = error
            if marks.get("grade"):
                earned[cell.id] = 0
        else:
            if marks.get("grade"):
                earned[cell.id] = marks["points"]
    return earned


def grade(
    stem: str,
    answers: dict[str, str],
    student: str = STUDENT,
    front: str = "",
    only: Collection[str] | None = None,
) -> dict[str, float]:
    """Points by test cell when the cells named in ``answers`` hold that source instead.

    ``front`` is run before each solution cell, as a cell of the student's own; ``only`` names the
    exercises to check.
    """
    notebook = load(stem)
    if unknown := set(answers) - set(checks(stem)):
        raise KeyError(f"no exercise cell {sorted(unknown)}; there are {sorted(checks(stem))}")
    for cell in notebook.cells:
        cell.source = answers.get(cell.id, cell.source)
    return _run(notebook, student, front, only)


def reference(
    stem: str,
    student: str = STUDENT,
    front: str = "",
    only: Collection[str] | None = None,
    errors: dict[str, Exception] | None = None,
) -> dict[str, float]:
    """Points of the reference solutions; what the cells raised is put into ``errors``."""
    return _run(load(stem), student, front, only, errors)


def apart(stem: str, without: Collection[str] = ()) -> dict[str, float]:
    """Points of the reference when checks have a namespace of their own, as in the real grader.

    It holds the first cell, the unmarked cells of the homework, and the functions asked for.
    Exercises in ``without`` are not checked.
    """
    code = [cell for cell in load(stem).cells if cell.cell_type == "code"]
    start = next(i for i, cell in enumerate(code) if cell.id == "homework-setup")
    students: dict[str, object] = {"__name__": "__main__"}
    checking: dict[str, object] = {"__name__": "__main__"}
    earned: dict[str, float] = {}
    with contextlib.redirect_stdout(io.StringIO()), one_thread():
        for cell in [code[0], *code[start:]]:
            marks = cell.metadata.get("nbgrader", {})
            source = f"student_id = {STUDENT!r}" if cell.id == "student-id" else cell.source
            if marks.get("grade"):
                if not any(cell.id in checks(stem)[exercise] for exercise in without):
                    exec(source, checking)
                    earned[cell.id] = marks["points"]
                continue
            exec(source, students)
            if marks:
                checking |= {name: students[name] for name in functions(stem, cell.id)}
            else:
                exec(source, checking)
    return earned


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


def changed(source: str, old: str, new: str, times: int = 1) -> str:
    """A right answer with a mistake put into it, at the ``times`` places that hold ``old``."""
    assert source.count(old) == times, f"{source.count(old)} times {old!r}"
    return source.replace(old, new)


def rounds(wrong: Answers) -> list[dict[str, str]]:
    """The mistake to make in each exercise, so that every one is made in some round.

    Exercises do not read each other's answers, or a round would not show which is rejected.
    """
    columns = zip_longest(*[[(e, mistake) for mistake in answers] for e, answers in wrong.items()])
    return [dict(entry for entry in column if entry) for column in columns]


def misjudged(stem: str, wrong: Answers, keeps: Keeps, chosen: dict[str, str]) -> list[str]:
    """What is wrong with the marks for one round of mistakes; empty if all is as it should be."""
    answers = {exercise: wrong[exercise][name] for exercise, name in chosen.items()}
    earned = grade(stem, answers, only=chosen)
    complaints = []
    for exercise, name in chosen.items():
        kept = keeps.get(exercise, {}).get(name, [])
        passed = [test for test in checks(stem)[exercise] if earned[test]]
        if passed != kept:
            complaints.append(f"{exercise}, {name}: passed {passed}, expected {kept}")
    return complaints


def too_few(stem: str, wrong: Answers, keeps: Keeps, least: int = 3) -> list[str]:
    """Test cells that fewer than ``least`` of the wrong answers fail, and names that are amiss."""
    complaints = [f"no exercise {name}" for name in set(wrong) ^ set(checks(stem))]
    for exercise, kept in keeps.items():
        complaints += [
            f"{exercise}: no mistake {name}" for name in set(kept) - set(wrong[exercise])
        ]
    for exercise, answers in wrong.items():
        for test in checks(stem)[exercise]:
            failed = [n for n in answers if test not in keeps.get(exercise, {}).get(n, [])]
            if len(failed) < least:
                complaints.append(f"{test} is failed by {failed} only")
    return complaints


def sums(stem: str) -> list[str]:
    """Where the points and minutes that the page states do not add up; all sums are 20 points."""
    cells, by_exercise, full = _read(stem).cells, checks(stem), points(stem)
    head = next(cell.source for cell in cells if cell.id == "homework")
    said = {unit: int(n) for n, unit in re.findall(r"(\d+) (points|minutes)", head)}
    complaints, minutes = [], 0
    for before, cell in pairwise(cells):
        if cell.id in by_exercise:
            has = sum(full[test] for test in by_exercise[cell.id])
            stated = re.search(r"(\d+) points?", before.source)
            if not stated or int(stated[1]) != has:
                complaints.append(f"{cell.id} has {has} points, its text says otherwise")
            if time := re.search(r"(\d+) min", before.source):
                minutes += int(time[1])
    if said.get("points") != 20 or sum(full.values()) != 20:
        complaints.append(f"{sum(full.values())} points, the head says {said.get('points')}")
    if said.get("minutes") != minutes:
        complaints.append(f"{minutes} minutes, the head says {said.get('minutes')}")
    return complaints


class Exercises:
    """What must hold for the homework of each notebook: a subclass ``Test...`` brings the data."""

    stem: str
    wrong: Answers
    keeps: Keeps
    also_right: dict[str, str]
    """Source by exercise, right but not written as the reference is."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A case for each round of mistakes, which are its name."""
        if "chosen" in metafunc.fixturenames:
            cases = rounds(self.wrong)
            metafunc.parametrize("chosen", cases, ids=[", ".join(c.values()) for c in cases])

    def test_wrong_answers_are_rejected(self, chosen: dict[str, str]) -> None:
        assert not misjudged(self.stem, self.wrong, self.keeps, chosen)

    def test_every_check_is_failed_by_wrong_answers(self) -> None:
        assert not too_few(self.stem, self.wrong, self.keeps)

    def test_other_right_answers_earn_all(self) -> None:
        assert grade(self.stem, self.also_right) == points(self.stem)

    def test_points_and_minutes_add_up_to_what_the_page_says(self) -> None:
        assert not sums(self.stem)
