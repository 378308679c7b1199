"""Make the students' versions: solutions and hidden tests taken out, everything else as taught.

nbgrader does the cutting and keeps the book. What it lets through is checked here, before anything
is written: a misspelt marker, a region that does not end, a line of a solution left anywhere in
the file. Such a release is refused, by the names of assignment and cell.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import MissingEntry
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    LockCells,
)

from .course import Course, HomeworkError

REGIONS = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
MARKER = re.compile(rf"\s*### (BEGIN|END) ({'|'.join(REGIONS)})\s*")
SPELLINGS = [f"{edge} {region}" for region in REGIONS for edge in ("BEGIN", "END")]
ALIKE = 0.8
"""From this likeness on (difflib's ratio) a comment was meant to be a marker."""
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()", "YOUR ANSWER HERE")
"""The lines nbgrader puts in a solution's place."""
LONG = 12
"""A line of this many characters is looked for inside other lines too; a shorter one, such as
`n = 1`, would be found everywhere."""
# What stays of the metadata. All else comes from a kernel, a widget or a user interface, and may
# hold what ran: a widget's state holds the figures that the solution drew.
NOTEBOOK_METADATA = {"kernelspec", "language_info"}
CELL_METADATA = {"nbgrader", "slideshow", "tags"}
# In a zip, so that the same release gives the same bytes.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)

README = """\
{title}
Homework of the deep learning lecture: {stem}

Open
  You need the lecture installed (its README says how), and nothing else: no nbgrader.
  Unpack this zip. In the folder {stem}, with the lecture's environment active, run
      jupyter lab {stem}.ipynb

Work
{identity}  The exercises stand at the end. Write your code where it says
      raise NotImplementedError()
  The cell below each exercise checks your code and says what is wrong. More checks run when it is
  graded. Add cells where you like; do not delete or copy the cells of an exercise.

Hand in
  Kernel, Restart Kernel and Run All Cells; then save.
  Upload {stem}.ipynb, this one file, under this name.
  You may hand in again: the last one counts.
"""

IDENTITY = """\
  Write your student id where it says student_id = "": some numbers are drawn from it. Take the id
  that your lecturer names.
"""


class Refused(HomeworkError):
    """An assignment that must not be released; `reasons` name the cells."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def exercises(notebook: NotebookNode) -> dict[str, float]:
    """Points of each graded cell by its id."""
    marks = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
    return {m["grade_id"]: m["points"] for m in marks if m.get("grade")}


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs, execution counts, and metadata of kernels, widgets and interfaces."""
    notebook = copy.deepcopy(notebook)
    for key in set(notebook.metadata) - NOTEBOOK_METADATA:
        del notebook.metadata[key]
    for cell in notebook.cells:
        for key in set(cell.metadata) - CELL_METADATA:
            del cell.metadata[key]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def split(cell: NotebookNode) -> tuple[list[str], list[str]]:
    """The cell's lines that students may see, and those they must not; markers are in neither."""
    seen: list[str] = []
    secret: list[str] = []
    inside = marked = False
    for line in cell.source.splitlines():
        if marker := MARKER.fullmatch(line):
            inside = marker[1] == "BEGIN"
            marked = marked or marker[2] == "SOLUTION"
        else:
            (secret if inside else seen).append(line)
    if cell.metadata.get("nbgrader", {}).get("solution") and not marked:
        return [], seen + secret  # without a region, the whole cell is the solution
    return seen, secret


def misspelt(line: str, code: bool = True) -> str:
    """The marker that `line` was meant to be, if it is not quite one; else ''.

    In text (`code` false) three hashes are a heading, and tell nothing.
    """
    if MARKER.fullmatch(line):
        return ""
    for marker in SPELLINGS:
        if marker in line:  # nbgrader would take it for one, and drop the rest of the line
            return marker
    comment = re.sub("^[^#]*", "", line)
    words = re.findall("[A-Z]+", comment.upper())
    likeness = {m: _alike("".join(words), m.replace(" ", "")) for m in SPELLINGS}
    nearest = max(SPELLINGS, key=likeness.__getitem__)
    if likeness[nearest] >= ALIKE:
        return nearest
    # A comment such as "### START SOLUTION" or "### HIDDEN".
    if code and line.lstrip().startswith("###") and len(words) <= 3:
        for known in ("SOLUTION", "HIDDEN", "BEGIN"):
            if any(_alike(word, known) >= ALIKE for word in words):
                return nearest
    return ""


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def marker_problems(notebook: NotebookNode) -> list[str]:
    """What is wrong with the markers of solutions and hidden tests, with cell and line."""
    found = []
    for cell in notebook.cells:
        marks = cell.metadata.get("nbgrader", {})
        needed = {
            "SOLUTION": marks.get("solution"),
            "HIDDEN TESTS": marks.get("grade"),
            "MARK SCHEME": marks.get("task"),
        }
        inside = ""
        for number, line in enumerate(cell.source.splitlines(), 1):
            where = f"cell {cell.id}, line {number}"
            if meant := misspelt(line, cell.cell_type == "code"):
                found.append(f"{where}: '{line.strip()}' is no marker, write '### {meant}'")
            if not (marker := MARKER.fullmatch(line)):
                continue
            edge, region = marker.groups()
            if edge == "BEGIN" and inside:
                found.append(f"{where}: BEGIN {region} inside {inside}")
            elif edge == "END" and inside != region:
                found.append(f"{where}: END {region} without its BEGIN")
            if not needed[region]:
                found.append(f"{where}: {region} in a cell that nbgrader's metadata does not mark")
            inside = region if edge == "BEGIN" else ""
        if inside:
            found.append(f"cell {cell.id}: {inside} has no END")
        if marks.get("solution") and cell.get("attachments"):
            found.append(f"cell {cell.id}: the solution's attachment would stay")
    return found


def leaks(source: NotebookNode, released: NotebookNode) -> list[str]:
    """What is left of the solutions and hidden tests of `source` in `released`, with the cell.

    A line that stands in the visible text too is none.
    """
    parts = {cell.id: split(cell) for cell in source.cells}
    visible = _Lines(line for seen, _ in parts.values() for line in [*seen, *STUB])
    secret = {line.strip() for _, hidden in parts.values() for line in hidden}
    secret = {line for line in secret if re.search(r"\w", line) and line not in visible}
    found = []
    if [cell.id for cell in source.cells] != [cell.id for cell in released.cells]:
        found.append("its cells are not those of the source")
    places = {f"cell {cell.id}": dict(cell) for cell in released.cells}
    places["the notebook's metadata"] = released.metadata
    for name, place in places.items():
        lines = _Lines(_strings(place))
        found += [f"{name}: '{line}' is left" for line in sorted(secret) if line in lines]
    for cell in released.cells:
        seen = parts.get(cell.id, ([], []))[0]
        # Even where every line of a region happens to stand elsewhere too.
        if _without_stub(cell.source.splitlines()) != _without_stub(seen):
            found.append(f"cell {cell.id}: more or less is cut than its regions")
        if cell.get("outputs") or cell.get("execution_count"):
            found.append(f"cell {cell.id}: an output is left")
    return found


class _Lines:
    """Lines of text, to be asked whether they hold one."""

    def __init__(self, texts: Iterator[str]) -> None:
        text = "\n".join(texts)
        self.lines = {line.strip() for line in text.splitlines()}
        self.text = text

    def __contains__(self, line: str) -> bool:
        return line in self.lines or (len(line) >= LONG and line in self.text)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*_strings(key), *_strings(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _without_stub(lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip() not in STUB]


def student_version(notebook: NotebookNode) -> NotebookNode:
    """A copy of ``notebook`` with every solution replaced by ``raise NotImplementedError()``.

    Raises Refused if anything of a solution or hidden test would be left in it.
    """
    if problems := marker_problems(notebook):
        raise Refused(problems)
    released = cleaned(notebook)
    steps = (CheckCellMetadata, LockCells, ClearSolutions, ClearOutput, ClearHiddenTests)
    try:
        for step in (*steps, ClearMarkScheme):
            released, _ = step().preprocess(released, {})
    except Exception as error:
        raise Refused([f"nbgrader refuses it: {' '.join(str(error).split())}"]) from error
    if problems := leaks(notebook, released):
        raise Refused(problems)
    return released


def release(course: Course, stem: str) -> NotebookNode:
    """Register the assignment `stem` in the gradebook, and write what students get.

    `source/<stem>/<stem>.ipynb`, `release/<stem>/` and `release/<stem>.zip` are replaced one file
    at a time, each whole or not at all. Returns the students' notebook. Raises Refused, and then
    changes no file.
    """
    try:
        source = nbformat.read(course.notebook(stem), as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        raise Refused([f"{course.notebook(stem)} cannot be read: {error}"]) from error
    student_version(source)  # refuses before the gradebook is touched
    course.root.mkdir(parents=True, exist_ok=True)
    # Beside its destination: a file moves in one step only within a file system.
    with tempfile.TemporaryDirectory(prefix=".release-", dir=course.root) as scratch:
        staged = Path(scratch) / "source" / stem / f"{stem}.ipynb"
        staged.parent.mkdir(parents=True)
        nbformat.write(cleaned(source), staged)
        api = course.api()
        api.coursedir.source_directory = f"{Path(scratch).name}/source"
        api.coursedir.release_directory = f"{Path(scratch).name}/release"
        answer = api.generate_assignment(stem)
        if not answer["success"]:
            raise Refused([_explained(course, stem, source, answer)])
        made = Path(scratch) / "release" / stem
        released = nbformat.read(made / staged.name, as_version=4)
        if problems := leaks(source, released):
            raise Refused(problems)
        identity = IDENTITY if any(cell.id == "student-id" for cell in released.cells) else ""
        readme = README.format(stem=stem, title=_title(released), identity=identity)
        (made / "README.txt").write_text(readme, "utf-8")
        packed = Path(scratch) / f"{stem}.zip"
        pack(packed, made)
        for folder in (course.source / stem, course.release / stem):
            folder.mkdir(parents=True, exist_ok=True)
        os.replace(staged, course.source / stem / staged.name)
        for file in made.iterdir():
            os.replace(file, course.release / stem / file.name)
        os.replace(packed, course.release / packed.name)
    return released


def pack(target: Path, folder: Path) -> None:
    """Write the zip `target` with the files of `folder`, in a folder of that name."""
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(f"{folder.name}/{file.name}", ZIP_DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)


def _title(notebook: NotebookNode) -> str:
    text = next((c.source for c in notebook.cells if c.cell_type == "markdown"), "")
    return text.partition("\n")[0].strip("# ")


def _explained(course: Course, stem: str, source: NotebookNode, answer: dict[str, Any]) -> str:
    """Why nbgrader would not make the assignment, in words for a lecturer."""
    log = f"{answer.get('log', '')}\n{answer.get('error', '')}"
    if "Cannot add or remove cells" in log or "Cannot modify existing assignment" in log:
        new = {c.metadata.nbgrader.grade_id for c in source.cells if "nbgrader" in c.metadata}
        try:
            with course.gradebook() as gradebook:
                old = {c.name for c in gradebook.find_notebook(stem, stem).source_cells}
        except MissingEntry:
            old = set()
        changes = [f"{', '.join(sorted(new - old))} added"] if new - old else []
        changes += [f"{', '.join(sorted(old - new))} removed"] if old - new else []
        return (
            f"submissions are graded already, and its exercise cells have changed "
            f"({'; '.join(changes) or 'in kind'}). Take the change back, or start a new course "
            "folder: --course"
        )
    reasons = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception): (.+)$", log, re.MULTILINE)
    return f"nbgrader refuses it: {reasons[0] if reasons else log.strip()[-300:]}"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lecture homework release`."""
    parser.add_argument(
        "assignments", nargs="*", metavar="01", help="starts of their names (default: all)"
    )


def run(course: Course, options: argparse.Namespace) -> int:
    """`lecture homework release`: one line an assignment. Returns 1 if one was refused."""
    code = 0
    for stem in course.assignments(options.assignments):
        try:
            released = release(course, stem)
        except Refused as refused:
            code = 1
            for reason in refused.reasons:
                print(f"lecture: {stem} is not released: {reason}", file=sys.stderr)
        else:
            marks = [cell.metadata.get("nbgrader", {}) for cell in released.cells]
            count, total = (
                sum(bool(m.get("solution")) for m in marks),
                sum(exercises(released).values()),
            )
            plural = "s" if count != 1 else ""
            print(f"{course.release / stem}.zip: {count} exercise{plural}, {total:g} points")
    return code
