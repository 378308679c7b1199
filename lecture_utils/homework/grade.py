"""Grade what was collected: one process per submission, in a sandbox, several at a time.

Each result lies in `results/<assignment>/<student>.json`, the scores in nbgrader's gradebook, the
submission as it ran in `autograded/`. A run that is stopped goes on where it was; a submission is
graded again when it, the assignment or the grader has changed. Scores given by hand stay.
"""

import argparse
import json
import os
import queue
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat import NotebookNode

from . import report
from .course import Course, HomeworkError
from .job import (
    OUTCOMES,
    Job,
    add_ways,
    fingerprint,
    judge,
    load_assignment,
    prove,
    sha256,
    write,
)
from .sandbox import Limits, Sandbox, choose_mode
from .submission import Assignment

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

Result = dict[str, Any]
MOST_JOBS = 4
"""By default: each holds torch in memory, about 0.5 GB, and what a submission asks for."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lecture homework grade`."""
    parser.add_argument("sections", nargs="*", help="01, 04, ... (default: all with submissions)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(MOST_JOBS, os.cpu_count() or 1),
        metavar="N",
        help="so many at a time (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="grade again what is graded already")
    parser.add_argument("--student", metavar="ID", help="this one only")
    parser.add_argument(
        "--cell-seconds",
        type=float,
        default=Limits.cell_seconds,
        metavar="S",
        help="longest time for one answer or check (default: %(default)g)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        help="take results that `lecture homework job` wrote elsewhere, <student>.json",
    )
    add_ways(parser)


def run(course: Course, options: argparse.Namespace) -> int:
    """Grade, print a table, write a CSV. Returns 0 if every submission has its scores, else 1."""
    if options.jobs < 1:
        raise HomeworkError("--jobs must be at least 1.")
    stems = course.assignments(options.sections)
    stems = [stem for stem in stems if options.sections or submissions(course, stem)]
    if not stems:
        raise HomeworkError(f"nothing was handed in yet: {course.submitted} has no submission.")
    limits = Limits(cell_seconds=options.cell_seconds)
    mode = None if options.results else choose_mode(options.unsafe, options.in_container)
    complete = True
    for stem in stems:
        try:
            results = grade(
                course,
                stem,
                jobs=options.jobs,
                force=options.force,
                student=options.student,
                limits=limits,
                mode=mode,
                elsewhere=options.results,
            )
        except KeyboardInterrupt:
            raise HomeworkError(
                "interrupted. What is done is kept: the same command goes on where it stopped."
            ) from None
        print(table(results))
        path = write_csv(course, stem, results)
        print(f"The same with a column for each check: {path}")
        complete &= all(r["status"] == "graded" for r in results)
    return 0 if complete else 1


def submissions(course: Course, stem: str) -> dict[str, Path]:
    """The notebook each student handed in, by student id."""
    found = sorted(course.submitted.glob(f"*/{stem}/*.ipynb"))
    files: dict[str, Path] = {}
    for path in found:
        student = path.parents[1].name
        if student not in files or path.stem == stem:
            files[student] = path
    return files


def grade(
    course: Course,
    stem: str,
    *,
    mode: str | None,
    jobs: int = 1,
    force: bool = False,
    student: str | None = None,
    limits: Limits | None = None,
    elsewhere: Path | None = None,
    quiet: bool = False,
) -> list[Result]:
    """Grade one assignment; the results of all its submissions, by student.

    ``mode`` is a way to run code (see `sandbox`), or None to take results from ``elsewhere``.
    Raises HomeworkError when the assignment was not released into this gradebook.
    """
    assignment = load_assignment(stem)
    files = submissions(course, stem)
    if student is not None:
        if student not in files:
            raise HomeworkError(f"{student} has handed in nothing for {stem}.")
        files = {student: files[student]}
    folder = course.results / stem
    folder.mkdir(parents=True, exist_ok=True)
    made_by = fingerprint(assignment)
    results: dict[str, Result] = {}
    waiting: list[Job] = []
    for name, path in files.items():
        job = Job(assignment, name, path.read_bytes())
        old = _read(folder / f"{name}.json")
        current = old and (old["submission_sha256"], old["grader"]) == (
            sha256(job.content),
            made_by,
        )
        if old and current and not force:
            results[name] = old
        else:
            waiting.append(job)
    with course.gradebook() as gradebook:
        _need_release(gradebook, assignment)
        kept = f" {len(results)} are graded already." if results else ""
        if not quiet and (waiting or kept):
            print(f"{stem}: {len(waiting)} to grade.{kept}", flush=True)
        done = _elsewhere(waiting, elsewhere, made_by) if mode is None else None
        if done is None:
            assert mode is not None
            done = _in_parallel(waiting, jobs, mode, limits or Limits(), course)
        progress = Progress(len(waiting), quiet)
        for result in done:
            if result["status"] != "failed":
                record(gradebook, course, assignment, result)
                write(result, folder / f"{result['student']}.json")
            results[result["student"]] = result
            progress.step(result["student"])
        progress.close()
        missing = [] if student else _without_submission(gradebook, files)
    for name in missing:
        results[name] = {"student": name, "status": "missing", "why": "handed in nothing"}
    for result in results.values():
        result.setdefault("points", assignment.points)
    return [results[name] for name in sorted(results)]


def _read(path: Path) -> Result | None:
    try:
        result = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and "grader" in result else None


def _need_release(gradebook: "Gradebook", assignment: Assignment) -> None:
    from nbgrader.api import MissingEntry

    try:
        known = gradebook.find_notebook(assignment.name, assignment.name)
    except MissingEntry:
        raise HomeworkError(
            f"{assignment.name} is not in the gradebook. "
            f"Run: lecture homework release {assignment.name[:2]}"
        ) from None
    there = {cell.name: cell.max_score for cell in known.grade_cells}
    ours = {check.id: check.points for check in assignment.checks}
    if there != ours:
        raise HomeworkError(
            f"{assignment.name} has changed since it was released: its checks or points differ. "
            f"Run: lecture homework release {assignment.name[:2]}"
        )


def _without_submission(gradebook: "Gradebook", files: dict[str, Path]) -> list[str]:
    return sorted(s.id for s in gradebook.students if s.id not in files)


def _elsewhere(waiting: list[Job], folder: Path | None, made_by: str) -> Iterator[Result]:
    """Results that other machines made, if they are of these submissions and this grader."""
    assert folder is not None
    for job in waiting:
        result = _read(folder / f"{job.student}.json")
        if result is None:
            yield _failed(job, f"there is no result in {folder}")
        elif result["submission_sha256"] != sha256(job.content):
            yield _failed(job, "the result is that of another submission")
        elif result["grader"] != made_by or result["assignment"] != job.assignment.name:
            yield _failed(job, "the result was made by another version of the assignment")
        elif result.get("student") != job.student:
            yield _failed(job, f"the result is that of {result.get('student')}")
        else:
            yield result


def _failed(job: Job, why: str) -> Result:
    return {"student": job.student, "assignment": job.assignment.name, "status": "failed"} | {
        "why": why
    }


def _in_parallel(
    waiting: list[Job], jobs: int, mode: str, limits: Limits, course: Course
) -> Iterator[Result]:
    """Results in the order in which they are ready. What is left is dropped on an interrupt."""
    todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
    done: queue.SimpleQueue[Result | Exception] = queue.SimpleQueue()
    for job in waiting:
        todo.put(job)
    stop, proven = threading.Event(), threading.Event()
    prelude = waiting[0].assignment.prelude() if waiting else []
    sandboxes = [
        Sandbox(mode, prelude, limits, course.root) for _ in range(min(jobs, len(waiting)))
    ]

    def work(sandbox: Sandbox) -> None:
        try:
            with sandbox:
                if sandbox is sandboxes[0]:
                    prove(waiting[0].assignment, sandbox)
                    proven.set()
                else:
                    sandbox.start()
                    proven.wait()
                while not stop.is_set():
                    try:
                        job = todo.get_nowait()
                    except queue.Empty:
                        return
                    try:
                        result = judge(job, sandbox)
                    except HomeworkError:
                        sandbox.stop()
                        if stop.is_set():
                            return
                        try:  # once more, in a new sandbox: it may have been the machine
                            result = judge(job, sandbox)
                        except HomeworkError as error:
                            result = _failed(job, str(error))
                            sandbox.stop()
                    done.put(result)
        except Exception as error:
            done.put(error)

    threads = [threading.Thread(target=work, args=(sandbox,)) for sandbox in sandboxes]
    for thread in threads:
        thread.start()
    try:
        for _ in waiting:
            result = done.get()
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        stop.set()
        proven.set()
        for sandbox in sandboxes:
            sandbox.kill()
        for thread in threads:
            thread.join()


class Progress:
    """A bar on stderr: how many of how many, and about how long still."""

    WIDTH = 30

    def __init__(self, total: int, quiet: bool = False) -> None:
        self.total, self.done, self.begun = total, 0, time.monotonic()
        self.shown = not quiet and total > 0 and sys.stderr.isatty()

    def step(self, name: str) -> None:
        """One more is done."""
        self.done += 1
        if self.shown:
            each = (time.monotonic() - self.begun) / self.done
            left = each * (self.total - self.done)
            full = self.WIDTH * self.done // self.total
            bar = "#" * full + "." * (self.WIDTH - full)
            line = f"[{bar}] {self.done} of {self.total}, {left / 60:.0f}:{left % 60:02.0f} left"
            print(f"\r{line}  {name[:24]:24}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line."""
        if self.shown:
            print(file=sys.stderr)


def record(gradebook: "Gradebook", course: Course, assignment: Assignment, result: Result) -> None:
    """Put one result into the gradebook and `autograded/`. Scores given by hand are not touched."""
    stem, student = assignment.name, result["student"]
    source = course.submitted / student / stem
    gradebook.update_or_create_student(student)
    stamp = source / "timestamp.txt"
    extra = {}
    if stamp.is_file():
        from nbgrader.utils import parse_utc

        extra["timestamp"] = parse_utc(stamp.read_text().strip())
    gradebook.update_or_create_submission(stem, student, **extra)
    outcomes = {check["id"]: check for check in result.get("checks", [])}
    for check in assignment.checks:
        found = outcomes.get(check.id, {"outcome": "", "earned": None})
        entry = gradebook.find_grade(check.id, stem, stem, student)
        changed = entry.auto_score != found["earned"]
        entry.auto_score = found["earned"]
        by_hand = entry.manual_score is not None
        open_question = found["earned"] is None or bool(result.get("flags"))
        # A score by hand answers the question, until the automatic one changes below it.
        entry.needs_manual_grade = changed if by_hand else open_question
    for exercise in assignment.solutions:
        comment = gradebook.find_comment(exercise, stem, stem, student)
        checks = [c for c in outcomes.values() if c["exercise"] == exercise]
        blank = bool(checks) and all(c["outcome"] == "blank" for c in checks)
        comment.auto_comment = "No response." if blank else None
    gradebook.db.commit()
    folder = course.autograded / student / stem
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{stem}.part"
    part.write_text(nbformat.writes(as_it_ran(assignment, result)), "utf-8")
    os.replace(part, folder / f"{stem}.ipynb")
    if stamp.is_file():
        shutil.copyfile(stamp, folder / "timestamp.txt")


def as_it_ran(assignment: Assignment, result: Result) -> NotebookNode:
    """The submission with outputs; for a file that is none, the empty assignment and the reason."""
    if result["status"] != "graded":
        words = f"**{result['status']}**: {result['why']}. Nothing of it was run."
        notebook = nbformat.from_dict(json.loads(json.dumps(assignment.released)))
        notebook.cells = [cell for cell in notebook.cells if cell.id not in assignment.before]
        for cell in notebook.cells:
            if cell.id in {check.id for check in assignment.checks}:
                cell.source = assignment.cells[cell.id].source
                cell.outputs = [_error(result["status"], "nothing was run")]
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(words, id="what-happened"))
        return notebook
    notebook = nbformat.from_dict(result["notebook"])
    ran = {cell["id"]: cell for cell in result["cells"]}
    checks = {check["id"]: check for check in result["checks"]}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        if cell.id in checks:
            cell.outputs = _check_outputs(checks[cell.id])
        elif cell.id in ran:
            for item in ran[cell.id]["outputs"]:
                cell.outputs.append(_output(item))
            if error := ran[cell.id]["error"]:
                cell.outputs.append(_error(error[0], error[-1]))
    return notebook


def _output(item: dict[str, str]) -> NotebookNode:
    if "png" in item:
        return nbformat.v4.new_output("display_data", data={"image/png": item["png"]})
    return nbformat.v4.new_output("stream", name="stdout", text=item["text"])


def _error(kind: str, words: str) -> NotebookNode:
    lines = [f"{kind}: {words}" if words else kind]
    return nbformat.v4.new_output("error", ename=kind, evalue=words, traceback=lines)


def _check_outputs(check: dict[str, Any]) -> list[NotebookNode]:
    outputs = []
    if check.get("text"):
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=check["text"]))
    if check["outcome"] != "passed":
        title = {"failed": "Not yet", "blank": "Blank"}.get(check["outcome"], check["outcome"])
        outputs.append(_error(title, check["message"] or OUTCOMES[check["outcome"]]))
    return outputs


def what_happened(result: Result) -> str:
    """The outcomes that are not `passed`, counted, or why there are none."""
    if result["status"] != "graded":
        return f"{result['status']}: {result['why']}"
    counts = Counter(check["outcome"] for check in result["checks"])
    odd = [f"{n} {outcome}" for outcome, n in counts.items() if outcome != "passed"]
    return ", ".join(odd) or "all passed"


def table(results: list[Result]) -> str:
    """One line a student: score, what happened, and whether a human should look at it."""
    rows = [("student", "score", "of", "", "what happened")]
    for result in results:
        score = "-" if result.get("score") is None else f"{result['score']:g}"
        look = "look" if result.get("flags") or _withheld(result) else ""
        rows.append(
            (result["student"], score, f"{result['points']:g}", look, what_happened(result)[:90])
        )
    lines = [*report.aligned(rows, right=(1, 2)), ""]
    graded = [r for r in results if r.get("score") is not None]
    if graded:
        mean = sum(r["score"] for r in graded) / len(graded)
        lines.append(f"{len(graded)} of {len(results)} have a score; their mean is {mean:.1f}.")
    for words, key in (("look at", "flags"), ("put right for", "repairs")):
        for result in results:
            if result.get(key):
                told = report.plain("; ".join(result[key]))[:300]
                lines.append(f"{words} {result['student']}: {told}")
    return "\n".join(lines)


def _withheld(result: Result) -> bool:
    return any(check["earned"] is None for check in result.get("checks", []))


def write_csv(course: Course, stem: str, results: list[Result]) -> Path:
    """`results/<stem>.csv`: a row a student, a column a check; the path.

    A check that earned nothing says why in place of a number.
    """
    ids = [check.id for check in load_assignment(stem).checks]
    rows = [["student", "status", "score", "points", *ids, "what happened", "flags", "put right"]]
    for result in results:
        found = {check["id"]: check for check in result.get("checks", [])}
        cells = []
        for name in ids:
            check = found.get(name)
            if check is None:
                cells.append(result["status"])
            else:
                passed = check["outcome"] == "passed"
                cells.append(f"{check['earned']:g}" if passed else check["outcome"])
        score = "" if result.get("score") is None else f"{result['score']:g}"
        rows.append(
            [result["student"], result["status"], score, f"{result['points']:g}", *cells]
            + [what_happened(result)]
            + ["; ".join(result.get(key, [])) for key in ("flags", "repairs")]
        )
    path = course.results / f"{stem}.csv"
    report.write_csv(path, rows)
    return path
