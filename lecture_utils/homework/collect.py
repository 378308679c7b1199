"""Take in submissions: a folder or a zip, as a learning platform exports them.

Each notebook is told by its own cells, whatever its name, and put where nbgrader looks for it:
`submitted/<student>/<assignment>/`. What cannot be told is reported and left where it is. Nothing
of a submission is executed here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from . import naming, report, submission
from .archives import Entry, entries
from .course import Course, HomeworkError
from .naming import Sender

TIMES = "%Y-%m-%d %H:%M:%S.%f UTC"
"""nbgrader's form of timestamp.txt."""
SHOWN = 70
"""Characters of a path in the table; the whole path is in the CSV."""
OUTCOMES = {
    "taken": "new",
    "replaced": "handed in again: grade again",
    "unchanged": "as collected before",
    "older": "a newer one counts",
    "refused": "not taken",
}


@dataclass(frozen=True)
class Row:
    """What became of one file of an export."""

    outcome: str
    """One of OUTCOMES."""
    student: str
    assignment: str
    file: str
    time: str
    why: str


@dataclass
class Found:
    """A notebook of an export. Its bytes wait in `file`."""

    entry: Entry
    file: Path
    holds: str
    """The assignment whose exercises it holds, or ''."""
    unreadable: str
    """Why it is no notebook, or ''."""
    stated: str
    """The student's id that the notebook states for itself, or ''."""
    sender: Sender | None = None
    assignment: str = ""
    notes: tuple[str, ...] = ()

    def row(self, outcome: str, *why: str) -> Row:
        """Its line in the report."""
        student = self.sender.student if self.sender else ""
        time = self.entry.time.strftime("%Y-%m-%d %H:%M:%S")
        notes = "; ".join([*why, *self.notes])
        return Row(outcome, student, self.assignment, self.entry.path, time, notes)


class Unclear(Exception):
    """Why it cannot be told whose or what a notebook is."""


def exercises_of(course: Course) -> dict[str, set[str]]:
    """nbgrader's names of the exercise cells, by assignment."""
    found = {}
    for stem in course.assignments():
        cells = json.loads(course.notebook(stem).read_text("utf-8"))["cells"]
        marks = [cell["metadata"].get("nbgrader", {}) for cell in cells]
        found[stem] = {m["grade_id"] for m in marks if m.get("solution") or m.get("grade")}
    return found


def recognise(content: bytes, exercises: dict[str, set[str]]) -> tuple[str, str, str]:
    """The assignment whose exercises a notebook holds, why it cannot be read, and the id that it
    states; each may be ''."""
    try:
        cells = submission.read(content).cells
    except submission.Unreadable as problem:
        return "", str(problem), ""
    names = {cell.id for cell in cells}
    names |= {str(cell.metadata.nbgrader.get("grade_id", "")) for cell in cells}
    hits = Counter({stem: len(names & own) for stem, own in exercises.items()}).most_common(2)
    clear = hits and hits[0][1] and (len(hits) == 1 or hits[0][1] > hits[1][1])
    stated = next((s for cell in cells if cell.id == "student-id" for s in _ids(cell.source)), "")
    return (hits[0][0] if clear else ""), "", stated


def collect(
    course: Course,
    path: Path,
    pattern: str | None = None,
    wanted: list[str] | None = None,
    students: Path | None = None,
) -> list[Row]:
    """Sort the submissions at `path` into `submitted/`, and say what became of each file.

    `pattern` is a regular expression for paths in the export, with `(?P<student>...)`; `wanted`
    are starts of assignments' names (default: all); `students` is a CSV of the class, see
    `naming.Roster`. Raises HomeworkError if one of them cannot be used.
    """
    exercises = exercises_of(course)
    asked = course.assignments(wanted)
    compiled = naming.pattern(pattern) if pattern else None
    roster = naming.Roster(students) if students else None
    rows: list[Row] = []
    found: list[Found] = []
    course.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".collect-", dir=course.root) as scratch:
        for number, entry in enumerate(entries(path)):
            if entry.content is None:
                rows.append(Row("refused", "", "", entry.path, "", entry.problem))
                continue
            file = Path(scratch, str(number))
            file.write_bytes(entry.content)
            found.append(Found(entry, file, *recognise(entry.content, exercises)))
            entry.content = None  # a class's notebooks together may not fit in memory
        flat = len({os.path.dirname(one.entry.name) for one in found}) == 1
        clear = []
        for one in found:
            try:
                identify(one, list(exercises), asked, compiled, flat)
                _enrol(one, roster)
                clear.append(one)
            except Unclear as problem:
                rows.append(one.row("refused", str(problem)))
        for one, others in newest(clear, rows):
            rows.append(_put(course, one))
            rows += [other.row("older", "a newer one of this export counts") for other in others]
    return sorted(rows, key=lambda row: (row.outcome == "refused", row.student, row.assignment))


def identify(
    one: Found, stems: list[str], asked: list[str], compiled: re.Pattern[str] | None, flat: bool
) -> None:
    """Set sender and assignment. Raises Unclear."""
    path = one.entry.path
    own = naming.by_pattern(path, compiled) if compiled else None
    if compiled and own is None:
        raise Unclear("its path does not fit --pattern")
    parts = [os.path.basename(name) for name in (one.entry.inner, one.entry.name) if name]
    named = next((hits for part in parts if (hits := _named(part, stems))), [])
    if own and own.assignment:
        named = [stem for stem in stems if stem.startswith(own.assignment)]
    if one.holds:
        if named and one.holds not in named:
            raise Unclear(f"is named as {named[0]}, but holds the exercises of {one.holds}")
        one.assignment = one.holds
    elif len(named) == 1:
        one.assignment = named[0]
        if not one.unreadable:
            one.notes += ("told by its name only: its cells have lost their ids",)
    elif one.unreadable and len(asked) == 1:
        one.assignment = asked[0]
    elif one.unreadable:
        raise Unclear(f"cannot be read ({one.unreadable}); say what it is: --assignment")
    else:
        raise Unclear("holds no exercise of the lecture")
    if one.unreadable:
        one.notes += (f"cannot be read: {one.unreadable}",)
    if one.assignment not in asked:
        raise Unclear(f"is {one.assignment}, asked for was {', '.join(asked)}")
    one.sender = own or naming.sender(one.entry.name, one.assignment, flat)
    if one.sender is None:
        raise Unclear("no student in its path; say where the name stands: --pattern")
    one.entry.time = one.sender.time or one.entry.time


def _enrol(one: Found, roster: naming.Roster | None) -> None:
    """Set the id that the class's list has for the sender. Raises Unclear."""
    if roster is not None:
        student = roster.find(one.sender.label)
        if not student:
            raise Unclear(f"'{one.sender.label}' is not one student of {roster.file.name}")
        one.sender = replace(one.sender, student=naming.safe_id(student), number="")
    if one.stated and naming.safe_id(one.stated).casefold() != one.sender.student.casefold():
        # The numbers of an exercise may be drawn from the id.
        one.notes += (f"states the id '{one.stated}'",)


def newest(found: Iterable[Found], rows: list[Row]) -> Iterator[tuple[Found, list[Found]]]:
    """The submission that counts for each student and assignment, and the older ones.

    Where two students have one name, Moodle's number is added to it. Where nothing tells them
    apart, all are refused: a line in `rows` each.
    """
    groups: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for one in found:
        # Some file systems see no difference between upper and lower case.
        groups[one.sender.student.casefold(), one.assignment].append(one)
    for group in groups.values():
        origins = {one.sender.origin for one in group}
        if len(origins) > 1 and not all(one.sender.number for one in group):
            why = f"{len(origins)} places with this name of a student; tell them apart: --pattern"
            rows += [one.row("refused", why) for one in group]
            continue
        for origin in sorted(origins):
            one_student = [one for one in group if one.sender.origin == origin]
            if len(origins) > 1:
                for one in one_student:
                    student = f"{one.sender.student}_{one.sender.number}"
                    one.sender = replace(one.sender, student=student)
                    one.notes += ("another student has this name: the number was added",)
            one_student.sort(key=lambda one: (one.entry.time, _natural(one.entry.path)))
            yield one_student[-1], one_student[:-1]


def _put(course: Course, one: Found) -> Row:
    """Move a submission into its place, unless a newer one is there."""
    folder = course.submitted / one.sender.student / one.assignment
    target, stamp = folder / f"{one.assignment}.ipynb", folder / "timestamp.txt"
    outcome, why = "taken", []
    if target.is_file():
        before = _timestamp(stamp)
        if _sha256(target) == _sha256(one.file):
            return one.row("unchanged")
        if before and before > one.entry.time:
            return one.row("older", f"one of {before:%Y-%m-%d %H:%M:%S} was taken before")
        outcome, why = "replaced", ["grade it again"]
    folder.mkdir(parents=True, exist_ok=True)
    # The time first: were this interrupted between the two, the next run would still replace.
    replacement = one.file.with_suffix(".txt")
    replacement.write_text(one.entry.time.strftime(TIMES), "utf-8")
    os.replace(replacement, stamp)
    os.replace(one.file, target)
    return one.row(outcome, *why)


def _ids(source: str) -> list[str]:
    return re.findall(r"^student_id\s*=\s*[\"']\s*([^\"'\n]{1,80}?)\s*[\"']", source, re.MULTILINE)


def _named(file: str, stems: list[str]) -> list[str]:
    return [
        stem
        for stem in stems
        if re.search(rf"(?<![^\W_]){re.escape(stem)}(?![^\W\d_])", file, re.IGNORECASE)
    ]


def _natural(path: str) -> list[tuple[str, int]]:
    """A key that sorts `-10` after `-9`."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)([0-9]{0,18})", path)]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _timestamp(file: Path) -> datetime | None:
    try:
        return datetime.strptime(file.read_text("utf-8").strip(), TIMES).replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None


def table(rows: list[Row]) -> str:
    """The report for the screen."""
    lines = [("", "student", "assignment", "file", "")]
    for row in rows:
        file = row.file if len(row.file) <= SHOWN else f"...{row.file[3 - SHOWN :]}"
        lines.append((row.outcome, row.student, row.assignment, file, row.why))
    counts = Counter(row.outcome for row in rows)
    told = [f"{counts[name]} {name} ({what})" for name, what in OUTCOMES.items() if counts[name]]
    return "\n".join([*report.aligned(lines), "", ", ".join(told)])


def write_csv(rows: list[Row], file: Path) -> None:
    """The report as a CSV with whole paths."""
    names = [field.name for field in fields(Row)]
    report.write_csv(file, [names, *([getattr(row, name) for name in names] for row in rows)])


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lecture homework collect`."""
    parser.add_argument("path", type=Path, metavar="PATH", help="the export: a folder or a zip")
    parser.add_argument(
        "--pattern",
        metavar="REGEX",
        help="where the student's id stands in a path of the export: (?P<student>...); also "
        "(?P<assignment>...) and (?P<time>...) (default: the forms of Moodle, Canvas and ILIAS, "
        "STUDENT_ASSIGNMENT.ipynb, STUDENT/ASSIGNMENT.ipynb)",
    )
    parser.add_argument(
        "--students",
        type=Path,
        metavar="CSV",
        help="the class, to get ids from names: columns id, first_name, last_name",
    )
    parser.add_argument(
        "--assignment", metavar="01", action="append", help="take only this one (default: all)"
    )


def run(course: Course, options: argparse.Namespace) -> int:
    """`lecture homework collect`: a table, and a CSV. Returns 1 if anything was refused."""
    rows = collect(course, options.path, options.pattern, options.assignment, options.students)
    if not rows:
        raise HomeworkError(f"{options.path} holds no notebook.")
    print(table(rows))
    write_csv(rows, course.root / "collected.csv")
    print(f"Also in {course.root / 'collected.csv'}.")
    return int(any(row.outcome == "refused" for row in rows))
