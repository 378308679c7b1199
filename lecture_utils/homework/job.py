"""One submission, one result: files in, one JSON out, nothing kept in between.

    lecture homework job 04_cnn submission.ipynb result.json --student ada

The result says for each graded cell what happened. Only `passed` earns points, and only `passed`,
`failed`, `blank` and `error` are verdicts on the answer; all others say why there is none.
"""

import argparse
import ast
import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

import lecture_utils
from lecture_utils import cli

from .course import Course, HomeworkError
from .release import student_version
from .sandbox import Died, Limits, Sandbox, Session, choose_mode
from .submission import (
    Assignment,
    Cell,
    Check,
    NotThisAssignment,
    Plan,
    Unreadable,
    answered,
    plan,
    read,
)

SCHEMA = 1
OUTCOMES = {
    "passed": "right",
    "failed": "a check found a mistake",
    "blank": "no answer was given",
    "error": "the answer raised an error",
    "timeout": "it took too long",
    "memory": "it took too much memory",
    "crash": "the process died",
    "tampered": "the library was changed while the check ran",
    "forged": "it wrote to the grader",
}
WITHHELD = {"tampered", "forged"}
"""No points and no zero: a human decides."""
BASE64 = re.compile(r"[A-Za-z0-9+/=\n]{8,400000}")
STATUS = {
    "graded": "every check has its outcome",
    "unreadable": "no notebook",
    "other": "a notebook, but not of this assignment",
}


@dataclass(frozen=True)
class Job:
    """What a result depends on."""

    assignment: Assignment
    student: str
    content: bytes


def load_assignment(name: str, folder: Path | None = None) -> Assignment:
    """The assignment `name`, as 04_cnn, from the lecturer's notebooks. Raises HomeworkError."""
    folder = folder or cli.shipped_notebooks()
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        raise HomeworkError(f"there is no assignment {name} in {folder}.")
    notebook = nbformat.read(path, as_version=4)
    return Assignment(name, notebook, student_version(notebook))


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def fingerprint(assignment: Assignment) -> str:
    """What of the grader a result depends on: the assignment's code cells and this package."""
    digest = hashlib.sha256(lecture_utils.__name__.encode())
    for cell in assignment.notebook.cells:
        if cell.cell_type == "code":
            digest.update(json.dumps([cell.id, cell.source, cell.metadata]).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    digest.update((cli.PACKAGE / "checks.py").read_bytes())
    return digest.hexdigest()


class _Attempts:
    """Runs a plan, again and again where an answer kills the process, until all is decided."""

    def __init__(self, job: Job, made: Plan, sandbox: Sandbox) -> None:
        self.job, self.plan, self.sandbox = job, made, sandbox
        self.limits = sandbox.limits
        self.end = time.monotonic() + self.limits.submission_seconds
        self.skip: dict[str, Died] = {}
        self.whole = False
        self.outputs: dict[str, list[dict[str, Any]]] = {}
        self.errors: dict[str, list[str]] = {}
        self.decided: dict[str, dict[str, Any]] = {}
        self.defined: dict[str, set[str]] = {}
        self.flags: list[str] = list(made.flags)
        self.starts = 0

    def run(self) -> None:
        """Decide every check."""
        for check in self.job.assignment.checks:
            if check.exercise in self.plan.blank:
                self.decided[check.id] = {"outcome": "blank", "message": OUTCOMES["blank"]}
        while any(c.id not in self.decided for c in self.job.assignment.checks):
            self.starts += 1
            with self.sandbox.session() as session:
                self.once(session)

    def _left(self, seconds: float) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            total = self.limits.submission_seconds
            raise Died("timeout", f"the whole submission took more than {total:g} s")
        return min(seconds, left)

    def once(self, session: Session) -> None:
        """One process, until all is decided or it dies."""
        assignment = self.job.assignment
        given = [{"id": n, "source": assignment.cells[n].source} for n in assignment.given]
        try:
            session.ask({"do": "begin", "student": self.job.student, "given": given}, 60)
        except Died as died:
            raise HomeworkError(f"the sandbox failed before any answer ran: {died}") from None
        self.here: set[str] = set()
        """Checks that ran in this process."""
        cells = self.plan.cells
        if self.whole:
            cells = [*self.plan.lecture, *cells]
        for cell in cells:
            if cell.id not in self.skip and not self._cell(session, cell):
                return
        for check in assignment.checks:
            if check.id not in self.decided and not self._check(session, check):
                return

    def _cell(self, session: Session, cell: Cell) -> bool:
        """Whether the process lives on."""
        try:
            seconds = self._left(getattr(self.limits, cell.seconds))
            answer = session.ask(
                {"do": "cell", "source": cell.source, "names": cell.names, "seconds": seconds},
                seconds,
            )
        except Died as died:
            self._died(cell.id, died)
            for check in self.job.assignment.checks_of(cell.id):
                self.decided.setdefault(check.id, {"outcome": died.why, "message": died.words})
            return False
        self.outputs[cell.id] = _outputs(answer.get("outputs"))
        self.errors[cell.id] = _strings(answer.get("error"))
        self.defined[cell.id] = set(_strings(answer.get("defined")))
        return True

    def _check(self, session: Session, check: Check) -> bool:
        error = self.errors.get(check.exercise)
        names = set(self.job.assignment.solutions[check.exercise])
        if error and not names <= self.defined.get(check.exercise, set()):
            kind, words = error[0], error[-1]
            outcome = {"OverTime": "timeout", "MemoryError": "memory"}.get(kind, "error")
            if kind == "NameError" and self._needs_lecture(words):
                return False
            self.decided[check.id] = {"outcome": outcome, "message": f"{kind}: {words}"}
            return True
        try:
            seconds = self._left(self.limits.cell_seconds)
            answer = session.ask(
                {
                    "do": "check",
                    "id": check.id,
                    "source": check.source,
                    "earlier": self._earlier(check),
                    "seconds": seconds,
                },
                seconds,
            )
        except Died as died:
            self._died(check.id, died)
            self.decided[check.id] = {"outcome": died.why, "message": died.words}
            return False
        self.here.add(check.id)
        outcome = str(answer.get("outcome"))
        words = str(answer.get("message", ""))[:4000]
        if outcome not in OUTCOMES:
            outcome, words = "forged", "an outcome that does not exist"
        if outcome in ("error", "failed") and self._needs_lecture(words):
            return False
        if answer.get("tampered"):
            what = str(answer["tampered"])[:200]
            self.flags.append(f"{check.id}: changed {what} while it was checked")
            outcome, words = "tampered", "library code was changed while the check ran"
        if answer.get("restored"):
            what = str(answer["restored"])[:200]
            self.flags.append(f"changed library code: {what} (put back)")
        if answer.get("threads"):
            self.flags.append("left threads running")
        self.flags += [f"at run time: {note}" for note in _strings(answer.get("notes"))]
        self.decided[check.id] = {
            "outcome": outcome,
            "message": words,
            "text": str(answer.get("text", ""))[:20_000],
            "seconds": seconds if isinstance(seconds := answer.get("seconds"), float) else None,
        }
        return True

    def _earlier(self, check: Check) -> list[str]:
        """Earlier checks of the exercise that ran in another process: their helpers are missed."""
        siblings = self.job.assignment.checks_of(check.exercise)
        return [c.source for c in siblings[: siblings.index(check)] if c.id not in self.here]

    def _died(self, name: str, died: Died) -> None:
        self.skip[name] = died
        self.errors[name] = [died.why, died.words]
        if died.why == "forged":
            self.flags.append(f"{name}: {died.words}")

    def _needs_lecture(self, words: str) -> bool:
        """Whether a name is missing that the lecture part computes; then all of it is run."""
        if self.whole or not self.plan.lecture:
            return False
        found = [n for n in _names_in_lecture(self.job.assignment) if f"name '{n}'" in words]
        self.whole = bool(found) and "is not defined" in words
        return self.whole


def _names_in_lecture(assignment: Assignment) -> set[str]:
    names = set()
    for name in assignment.lecture:
        for node in ast.walk(ast.parse(assignment.cells[name].source)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


def _strings(value: Any) -> list[str]:
    return [str(v)[:4000] for v in value[:20]] if isinstance(value, list) else []


def _outputs(value: Any) -> list[dict[str, Any]]:
    """The outputs of a cell as text and PNG pictures: nothing that a browser would run."""
    kept: list[dict[str, Any]] = []
    for item in value[:20] if isinstance(value, list) else []:
        if isinstance(item, dict) and isinstance(item.get("text"), str):
            kept.append({"text": item["text"][:20_100]})
        elif isinstance(item, dict) and BASE64.fullmatch(str(item.get("png"))):
            kept.append({"png": item["png"]})
    return kept


def judge(job: Job, sandbox: Sandbox) -> dict[str, Any]:
    """Grade one submission; the result as it goes into the JSON file."""
    begun = time.monotonic()
    assignment = job.assignment
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "assignment": assignment.name,
        "student": job.student,
        "submission_sha256": sha256(job.content),
        "grader": fingerprint(assignment),
        "sandbox": sandbox.mode,
        "status": "graded",
        "why": "",
        "points": assignment.points,
        "score": None,
        "checks": [],
        "cells": [],
        "repairs": [],
        "flags": [],
    }
    try:
        made = plan(assignment, read(job.content))
    except Unreadable as error:
        return result | {"status": "unreadable", "why": str(error)}
    except NotThisAssignment as error:
        return result | {"status": "other", "why": str(error)}
    attempts = _Attempts(job, made, sandbox)
    attempts.run()
    flags = attempts.flags
    if made.claimed and made.claimed.strip().lower() != job.student.strip().lower():
        flags.append(f"states another student's id, {made.claimed[:60]!r}")
    checks = []
    for check in assignment.checks:
        found = attempts.decided[check.id]
        earned = None if found["outcome"] in WITHHELD else 0.0
        if found["outcome"] == "passed":
            earned = check.points
        checks.append(
            {"id": check.id, "exercise": check.exercise, "points": check.points, "earned": earned}
            | found
        )
    outputs, errors = attempts.outputs, attempts.errors
    return result | {
        "score": sum(c["earned"] or 0.0 for c in checks),
        "checks": checks,
        "cells": [
            {"id": name, "outputs": outputs.get(name, []), "error": errors.get(name, [])}
            for name in dict.fromkeys([*outputs, *errors])
        ],
        "notebook": made.notebook,
        "repairs": made.repairs,
        "flags": list(dict.fromkeys(flags)),
        "ran_whole": attempts.whole,
        "processes": attempts.starts,
        "seconds": round(time.monotonic() - begun, 3),
    }


def prove(assignment: Assignment, sandbox: Sandbox) -> None:
    """Grade the reference answers: on a machine where they fail, everybody would.

    Raises HomeworkError.
    """
    content = nbformat.writes(answered(assignment)).encode()
    result = judge(Job(assignment, "reference", content), sandbox)
    failed = [check for check in result["checks"] if check["outcome"] != "passed"]
    if failed:
        first = failed[0]
        raise HomeworkError(
            f"nothing was graded: {assignment.name}'s own answers fail {len(failed)} of its "
            f"{len(result['checks'])} checks here. The first, {first['id']}: {first['outcome']}, "
            f"{' '.join(first['message'].split())[:300]}"
        )


def write(result: dict[str, Any], path: Path) -> None:
    """Write a result in one step: a reader finds the old file or the new one, never half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(part, "w", encoding="utf-8", opener=_private) as file:
        json.dump(result, file, ensure_ascii=False, indent=1)
    os.replace(part, path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lecture homework job`."""
    parser.add_argument("assignment", help="its full name, such as 04_cnn")
    parser.add_argument("submission", type=Path, help="the notebook that was handed in")
    parser.add_argument("result", type=Path, help="the JSON file to write")
    parser.add_argument("--student", required=True, metavar="ID", help="whose it is")
    add_ways(parser)


def add_ways(parser: argparse.ArgumentParser) -> None:
    """The options that say how a student's code may run."""
    parser.add_argument(
        "--unsafe", action="store_true", help="run submissions without a sandbox, with your rights"
    )
    parser.add_argument(
        "--in-container",
        action="store_true",
        help="the container is the sandbox: run the student's code as nobody",
    )


def run(course: Course, options: argparse.Namespace) -> int:
    """Grade one submission. Returns 0 when a result was written, whatever it says."""
    mode = choose_mode(options.unsafe, options.in_container)
    assignment = load_assignment(options.assignment)
    try:
        content = options.submission.read_bytes()
    except OSError as error:
        raise HomeworkError(f"cannot read {options.submission}: {error.strerror}.") from None
    with Sandbox(mode, assignment.prelude(), Limits(), course.root) as sandbox:
        prove(assignment, sandbox)
        result = judge(Job(assignment, options.student, content), sandbox)
    write(result, options.result)
    print(f"{assignment.name}, {options.student}: {summary(result)}")
    return 0


def summary(result: dict[str, Any]) -> str:
    """What happened, in one line."""
    if result["status"] != "graded":
        return f"{result['status']}: {result['why']}"
    return f"{result['score']:g} of {result['points']:g} points"
