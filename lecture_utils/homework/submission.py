"""What of a submitted notebook is run, and what came back changed, put right.

Nothing of the student's is executed here. The assignment, as the lecturer wrote it, says what is
asked; the submission gives the answers to it. Checks are always the assignment's own.
"""

import ast
import copy
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import nbformat
from nbformat import NotebookNode

from .suspicion import suspicions

LARGEST = 20 * 2**20
"""Bytes of a notebook. Ours have 0.1 MB without outputs and a few MB with them."""
MOST_CELLS = 2000
STUDENT_ID = "student-id"
"""The cell in which a student writes who they are; the grader knows it, and compares."""


class Unreadable(Exception):
    """The file is no notebook; its message says why."""


class NotThisAssignment(Exception):
    """A notebook, but none with this assignment's exercises."""


@dataclass
class Cell:
    """A code cell to run in the sandbox. `names` are those that its solution must define."""

    id: str
    source: str
    names: list[str] = field(default_factory=list)
    seconds: str = "extra_seconds"
    """Which of the limits holds for it."""


@dataclass
class Check:
    """A graded cell of the assignment."""

    id: str
    exercise: str
    points: float
    source: str


@dataclass
class Assignment:
    """An assignment as the lecturer wrote it, taken apart."""

    name: str
    notebook: NotebookNode
    released: NotebookNode

    def __post_init__(self) -> None:
        self.cells = {cell.id: cell for cell in self.notebook.cells}
        self.blank = {cell.id: cell.source for cell in self.released.cells}
        order = [cell.id for cell in self.notebook.cells]
        start = order.index("homework-setup") if "homework-setup" in order else len(order)
        first = next(c for c in self.notebook.cells if c.cell_type == "code").id
        self.before = set(order[:start])
        """Cells of the lecture part. Those that a student left alone are not kept for graders."""
        self.solutions: dict[str, list[str]] = {}
        self.checks: list[Check] = []
        self.given: list[str] = [first]
        """Code cells of the assignment itself that checks build on."""
        self.lecture: list[str] = []
        exercise = ""
        for place, cell in enumerate(self.notebook.cells):
            marks = cell.metadata.get("nbgrader", {})
            if marks.get("solution"):
                exercise = cell.id
                self.solutions[cell.id] = names_bound(cell.source)
            elif marks.get("grade"):
                points = float(marks["points"])
                self.checks.append(Check(cell.id, exercise, points, cell.source))
            elif cell.cell_type == "code" and cell.id not in (first, STUDENT_ID):
                (self.given if place >= start else self.lecture).append(cell.id)

    @property
    def points(self) -> float:
        """Full marks."""
        return sum(check.points for check in self.checks)

    def checks_of(self, exercise: str) -> list[Check]:
        """The graded cells of one exercise."""
        return [check for check in self.checks if check.exercise == exercise]

    def released_marks(self, exercise: str) -> dict[str, Any]:
        """The metadata of a solution cell."""
        return {"nbgrader": dict(self.cells[exercise].metadata["nbgrader"])}

    def prelude(self) -> list[dict[str, str]]:
        """Code cells of which the warm parent runs the definitions."""
        wanted = [self.given[0], *self.lecture, *self.given[1:]]
        return [{"id": name, "source": self.cells[name].source} for name in wanted]


def answered(assignment: Assignment) -> NotebookNode:
    """The notebook of a student who gave the reference answers."""
    notebook = copy.deepcopy(assignment.released)
    for cell in notebook.cells:
        if cell.id in assignment.solutions:
            lines = assignment.cells[cell.id].source.splitlines()
            cell.source = "\n".join(line for line in lines if "### " not in line)
    return notebook


@dataclass
class Plan:
    """What to run for one submission, and what was found on the way."""

    notebook: NotebookNode
    """The submission with the assignment's own checks, as it is kept."""
    cells: list[Cell]
    blank: set[str]
    """Exercises whose answer is missing or as it was given out."""
    repairs: list[str]
    flags: list[str]
    lecture: list[Cell]
    """Unchanged lecture cells, to be run only when an answer builds on what they compute."""
    claimed: str | None
    """The student id that the notebook states for itself."""


def names_bound(source: str) -> list[str]:
    """Names that a cell's top level defines: functions, classes, variables."""
    names: list[str] = []
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names += [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
    return names


def read(content: bytes) -> NotebookNode:
    """The notebook in a file. Raises Unreadable."""
    if len(content) > LARGEST:
        raise Unreadable(f"it has {len(content) / 2**20:.0f} MB, more than {LARGEST // 2**20}")
    if not content.strip():
        raise Unreadable("the file is empty")
    try:
        raw = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("it is not text in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not valid JSON: {error}") from None
    if not isinstance(raw, dict) or "cells" not in raw and "worksheets" not in raw:
        raise Unreadable("it is JSON, but no notebook: it has no cells")
    try:
        if int(raw.get("nbformat", 4)) != 4:
            raw = nbformat.convert(nbformat.from_dict(raw), 4)
        cells = []
        for place, cell in enumerate(raw["cells"]):
            source = cell.get("source", "")
            source = "".join(source) if isinstance(source, list) else source
            if not isinstance(source, str) or not isinstance(cell.get("cell_type"), str):
                raise Unreadable(f"cell {place + 1} has no text")
            metadata = cell.get("metadata")
            marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
            new = NotebookNode(
                cell_type=cell["cell_type"] if cell["cell_type"] == "code" else "markdown",
                id=re.sub(r"[^\w-]", "", str(cell.get("id", "")), flags=re.ASCII)[:64],
                metadata=NotebookNode(nbgrader=marks if isinstance(marks, dict) else {}),
                source=source,
            )
            cells.append(new)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"its cells cannot be read: {type(error).__name__}") from None
    if len(cells) > MOST_CELLS:
        raise Unreadable(f"it has {len(cells)} cells, more than {MOST_CELLS}")
    return NotebookNode(nbformat=4, nbformat_minor=5, metadata=NotebookNode(), cells=cells)


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.nbgrader.get("grade_id", ""))


def recognise(assignment: Assignment, notebook: NotebookNode) -> dict[int, str]:
    """Which cell of the assignment each of the notebook's cells is, by place.

    By nbgrader's mark, else by cell id, else by text, else by the functions it defines: each of
    the first three has been lost in real submissions.
    """
    known = assignment.cells
    texts = {text: name for name, text in assignment.blank.items() if text.strip()}
    found: dict[int, str] = {}
    for place, cell in enumerate(notebook.cells):
        name = next((n for n in (_grade_id(cell), cell.id) if n in known), None)
        name = name or texts.get(cell.source)
        if name is not None and known[name].cell_type == cell.cell_type:
            found[place] = name
    missing = {n: set(b) for n, b in assignment.solutions.items() if n not in found.values()}
    for place, cell in enumerate(notebook.cells):
        if place not in found and cell.cell_type == "code" and missing:
            bound = set(names_bound(cell.source))
            name = next((n for n, b in missing.items() if b and b <= bound), None)
            if name is not None:
                found[place] = name
    return found


def plan(assignment: Assignment, notebook: NotebookNode) -> Plan:
    """What to run. Raises NotThisAssignment."""
    found = recognise(assignment, notebook)
    if not set(found.values()) & set(assignment.solutions):
        raise NotThisAssignment(f"none of its cells is an exercise of {assignment.name}")
    repairs: list[str] = []
    flags: list[str] = []
    places: dict[str, list[int]] = {}
    for place, name in found.items():
        places.setdefault(name, []).append(place)
    # Of several copies the last that was written in counts.
    chosen: dict[str, int] = {}
    for name, where in places.items():
        if name in assignment.solutions and len(where) > 1:
            written = [p for p in where if notebook.cells[p].source != assignment.blank[name]]
            chosen[name] = (written or where)[-1]
            repairs.append(f"{name} stands there {len(where)} times: the last answer counts")
        else:
            chosen[name] = where[-1]
    graded = {check.id: check for check in assignment.checks}
    for name, check in graded.items():
        if name not in places:
            repairs.append(f"{check.id} was missing")
        elif any(notebook.cells[p].source != assignment.blank[name] for p in places[name]):
            repairs.append(f"{check.id} had been changed")
    for name in assignment.solutions:
        if name in chosen and _grade_id(notebook.cells[chosen[name]]) != name:
            repairs.append(f"{name} had lost its mark")
    result = Plan(NotebookNode(), [], set(), repairs, flags, [], None)
    asked = {n: exercise for exercise, names in assignment.solutions.items() for n in names}
    elsewhere: set[str] = set()
    """Exercises answered in a cell of the student's own."""
    kept: list[NotebookNode] = []
    ids: Counter[str] = Counter()

    def keep(cell: NotebookNode, name: str, metadata: dict[str, Any]) -> None:
        ids[name] += 1
        cell.id = name if ids[name] == 1 else f"{name[:48]}-{ids[name]}"
        cell.metadata = NotebookNode(copy.deepcopy(metadata))
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        kept.append(cell)

    def keep_checks(exercise: str) -> None:
        for check in assignment.checks_of(exercise):
            cell = copy.deepcopy(assignment.cells[check.id])
            keep(cell, check.id, cell.metadata)

    for place, cell in enumerate(notebook.cells):
        name = found.get(place)
        if name in graded:
            continue
        cell = copy.deepcopy(cell)
        if name in assignment.solutions and place == chosen[name]:
            keep(cell, name, assignment.released_marks(name))
            result.cells.append(Cell(name, cell.source, assignment.solutions[name], "cell_seconds"))
            if not _says_more(cell.source, assignment.blank[name]):
                result.blank |= {name} - elsewhere
            else:
                flags += [f"{name}: {words}" for words in suspicions(cell.source)]
            keep_checks(name)
            continue
        known = name is not None and name not in assignment.solutions
        as_given = known and cell.source == assignment.blank[name]
        if cell.cell_type != "code" and not as_given:
            cell.source = as_text(cell.source)
        if not (as_given and name in assignment.before):
            keep(cell, name if known and place == chosen[name] else cell.id or f"cell-{place}", {})
        if cell.cell_type != "code":
            continue
        if name == STUDENT_ID:
            result.claimed = _claimed(cell.source)
        elif as_given:
            ours = Cell(name, cell.source)
            (result.lecture if name in assignment.lecture else result.cells).append(ours)
        elif cell.source.strip():
            # Some leave the stub as it is and write the function below it.
            bound = [n for n in names_bound(cell.source) if n in asked]
            result.cells.append(Cell(kept[-1].id, cell.source, bound))
            result.blank -= {asked[n] for n in bound}
            elsewhere |= {asked[n] for n in bound}
            flags += [f"cell {place + 1}: {words}" for words in suspicions(cell.source)]
    for exercise in assignment.solutions:
        if exercise not in chosen:
            repairs.append(f"{exercise} was missing")
            result.blank.add(exercise)
            cell = copy.deepcopy(assignment.cells[exercise])
            cell.source = assignment.blank[exercise]
            keep(cell, exercise, assignment.released_marks(exercise))
            keep_checks(exercise)
    result.notebook = NotebookNode(
        nbformat=4, nbformat_minor=5, metadata=assignment.notebook.metadata, cells=kept
    )
    return result


def as_text(source: str) -> str:
    """Markdown in which HTML is text: a page made of it runs nothing."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", source)


def _says_more(source: str, blank: str) -> bool:
    """Whether an answer differs from what was given out, but for blanks and comments."""
    try:
        return ast.dump(ast.parse(source)) != ast.dump(ast.parse(blank))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source.split() != blank.split()


def _claimed(source: str) -> str | None:
    """The student id in the cell `student_id = "..."`."""
    try:
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                value = node.value.value
                return value.strip() if isinstance(value, str) else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return None
