"""Whose submission it is, by the path that a learning platform gave it."""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .course import HomeworkError

LONGEST = 80
"""Characters of an id. With the rest of the path it must fit a file system and nbgrader's tables
(128 characters)."""
# Moodle: `Lastname Firstname_123_assignsubmission_file_`, a folder or the start of a file's name.
# The number is new in every assignment, so that the name must be the id.
MOODLE = re.compile(r"(?P<name>.+)_(?P<number>\d+)_assignsubmission_[a-z]+(_.*)?", re.DOTALL)
# Canvas: `lastnamefirstname_LATE_123_4567_file.ipynb`: the account's number, then the file's.
CANVAS = re.compile(r"((?P<name>.+?)_)??(LATE_)?(?P<number>\d{3,})_\d{3,}_.+", re.I | re.S)
# ILIAS puts the time before the file's name.
ILIAS_TIME = re.compile(r"(20\d{12})_")
COPIES = r"([ _-]*(\(\d+\)|\d+|copy\d*))*"
"""What browsers, platforms and JupyterLab add to the name of a second copy."""


@dataclass(frozen=True)
class Sender:
    """Who handed a file in."""

    student: str
    """nbgrader's id of the student, safe as the name of a folder."""
    label: str
    """What the id was made from, before letters were replaced."""
    origin: str
    """Where it came from: one origin, one student."""
    number: str = ""
    """What Moodle tells two students of one name apart by."""
    assignment: str = ""
    """Start of an assignment's name, if the pattern gave one."""
    time: datetime | None = None


def safe_id(text: str) -> str:
    """`text` as the name of a folder and an id for nbgrader; '' if nothing is left of it.

    Letters, digits and marks of all scripts stay, and `-`, `.`, `@` inside; all else becomes one
    `_`. A long one is cut, and the start of its SHA-256 added.
    """
    kept = "".join(
        c if unicodedata.category(c)[0] in "LMN" or c in "-.@" else "_"
        for c in unicodedata.normalize("NFKC", text)
    )
    made = unicodedata.normalize("NFC", re.sub(r"_+", "_", kept)).strip("_-.@")
    if len(made) > LONGEST or len(made.encode()) > 2 * LONGEST:
        cut = made.encode()[: LONGEST - 10].decode(errors="ignore").rstrip("_-.@")
        made = f"{cut}_{hashlib.sha256(made.encode()).hexdigest()[:8]}"
    return made


def pattern(text: str) -> re.Pattern[str]:
    """The lecturer's own pattern. Raises HomeworkError."""
    try:
        compiled = re.compile(text)
    except re.error as error:
        raise HomeworkError(f"--pattern is no regular expression: {error}.") from error
    if "student" not in compiled.groupindex:
        raise HomeworkError("--pattern must name the student's part: (?P<student>...).")
    return compiled


def by_pattern(path: str, compiled: re.Pattern[str]) -> Sender | None:
    """The sender of the file at `path`, by the lecturer's own pattern."""
    if not (found := compiled.search(path)):
        return None
    groups = {name: text or "" for name, text in found.groupdict().items()}
    label, time = groups["student"], _time(groups.get("time", ""))
    return _sender(label, label, assignment=groups.get("assignment", ""), time=time)


def sender(path: str, assignment: str, flat: bool) -> Sender | None:
    """The sender of the file at `path` of an export, by the forms of the platforms.

    `assignment` is what the file was recognised as, or ''. `flat` says that all files lie in one
    folder: then a student's name is first looked for in the file's name.
    """
    *folders, file = path.split("/")
    for part in reversed([*folders, file]):
        if found := MOODLE.fullmatch(part):
            label, number = found["name"], found["number"]
            return _sender(label, f"{label}_{number}", number=number)
    time = None
    if found := ILIAS_TIME.match(file):
        time, file = _time(found[1]), file[found.end() :]
    elif found := CANVAS.fullmatch(file):
        label = "_".join(filter(None, [found["name"], found["number"]]))
        return _sender(label, label)
    named = ""
    if assignment:
        stem = re.sub(r"(\.ipynb(\.json|\.txt)?|\.zip)$", "", file, flags=re.IGNORECASE)
        own = re.escape(assignment) + COPIES
        if found := re.fullmatch(rf"(?P<student>.+?)[ _.-]+{own}", stem, re.IGNORECASE):
            named = found["student"]
        while folders and re.fullmatch(own, folders[-1], re.IGNORECASE):
            folders.pop()  # our own zip's folder, handed in whole
    if folders and not (flat and named):
        return _sender(folders[-1], "/".join(folders), time=time)
    return _sender(named, named, time=time)


class Roster:
    """The class: which id belongs to a platform's name of a student.

    The file is a CSV with the columns that `nbgrader db student import` reads: id, and first_name
    and last_name. Raises HomeworkError.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.ids: dict[str, set[str]] = {}
        """Ids by the letters of the id and of the full name."""
        try:
            text = file.read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or "it is not in UTF-8"
            raise HomeworkError(f"cannot read {file}: {problem}.") from None
        head = text.partition("\n")[0]
        separator = ";" if head.count(";") > head.count(",") else ","
        for row in csv.DictReader(text.splitlines(), delimiter=separator):
            student = (row.get("id") or "").strip()
            first, last = row.get("first_name") or "", row.get("last_name") or ""
            names = {_letters(text) for text in (student, first + last, last + first)}
            for name in names - {""} if student else ():
                self.ids.setdefault(name, set()).add(student)
        if not self.ids:
            raise HomeworkError(f"{file} has no students: its first line must name a column id.")

    def find(self, label: str) -> str:
        """The one id that fits a platform's name for a student; '' if none or several do.

        That name may have an account's name and number behind it.
        """
        parts = re.split(r"[_\s]+", label)
        forms = {label, re.sub(r"_\d+$", "", label), "".join(parts[:2])}
        named = {student for form in forms for student in self.ids.get(_letters(form), ())}
        # Of two with one name, the one whose id stands behind it.
        own = {student for student in named if _letters(student) in map(_letters, parts)}
        found = own or named
        return found.pop() if len(found) == 1 else ""


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


def _sender(label: str, origin: str, **more: object) -> Sender | None:
    student = safe_id(label)
    return Sender(student, label, origin, **more) if student else None


def _time(text: str) -> datetime | None:
    digits = re.sub(r"\D", "", text)
    for size, form in ((14, "%Y%m%d%H%M%S"), (12, "%Y%m%d%H%M"), (8, "%Y%m%d")):
        if len(digits) == size:
            try:
                return datetime.strptime(digits, form).astimezone(UTC)
            except ValueError:
                return None
    return None
