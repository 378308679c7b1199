"""Seconds a submission: stock `nbgrader autograde` against `lecture homework grade`.

    python benchmarks/grading.py [SECTION] [--few N] [--many N]

Every way grades the same right submissions twice, few and many: the difference is what one more
costs, and what is left is the start. Stock nbgrader runs the whole notebook, lecture included;
a second row gives it a notebook without the lecture, which is all that ours runs too.
"""

import argparse
import copy
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from table import show

from lecture_utils.homework import grade, release
from lecture_utils.homework.course import Course
from lecture_utils.homework.job import load_assignment
from lecture_utils.homework.sandbox import Limits
from lecture_utils.homework.submission import Assignment, answered

CLASS = 500
CONFIG = """from lecture_utils.homework.course import Course

c = get_config()
c.merge(Course.find({!r}).config())
"""


def students(count: int) -> list[str]:
    """Names of so many students."""
    return [f"student{n:03}" for n in range(count)]


def for_student(assignment: Assignment, student: str) -> NotebookNode:
    """A right submission that states its student's id, as honest ones do."""
    notebook = answered(assignment)
    for cell in notebook.cells:
        if cell.id == "student-id":
            cell.source = f'student_id = "{student}"'
    return notebook


def homework_only(notebook: NotebookNode, assignment: Assignment) -> NotebookNode:
    """The notebook without the cells of its lecture part, but for the first imports."""
    notebook = copy.deepcopy(notebook)
    keep = assignment.given[0]
    notebook.cells = [c for c in notebook.cells if c.id not in assignment.before or c.id == keep]
    return notebook


def fill(course: Course, assignment: Assignment, count: int, short: bool) -> None:
    """Hand in `count` submissions."""
    for student in students(count):
        notebook = for_student(assignment, student)
        folder = course.submitted / student / assignment.name
        folder.mkdir(parents=True, exist_ok=True)
        notebook = homework_only(notebook, assignment) if short else notebook
        nbformat.write(notebook, folder / f"{assignment.name}.ipynb")


def stock(assignment: Assignment, count: int, short: bool) -> float:
    """Seconds of `nbgrader autograde` for a class of `count`."""
    with tempfile.TemporaryDirectory() as folder:
        course = Course.find(folder)
        source = course.source / assignment.name
        source.mkdir(parents=True)
        notebook = homework_only(assignment.notebook, assignment) if short else assignment.notebook
        nbformat.write(notebook, source / f"{assignment.name}.ipynb")
        answer = course.api().generate_assignment(assignment.name)
        assert answer["success"], answer
        fill(course, assignment, count, short)
        (Path(folder) / "nbgrader_config.py").write_text(CONFIG.format(folder))
        begun = time.perf_counter()
        run = subprocess.run(
            [
                sys.executable,
                "-m",
                "nbgrader",
                "autograde",
                assignment.name,
                "--Execute.timeout=300",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - begun
        done = list(course.autograded.glob("*/*/*.ipynb"))
        assert run.returncode == 0 and len(done) == count, run.stderr[-2000:]
        return seconds


def ours(assignment: Assignment, count: int, jobs: int) -> float:
    """Seconds of `lecture homework grade` for a class of `count`."""
    with tempfile.TemporaryDirectory() as folder:
        course = Course.find(folder)
        release.release(course, assignment.name)
        fill(course, assignment, count, short=False)
        begun = time.perf_counter()
        results = grade.grade(
            course, assignment.name, mode="bubblewrap", jobs=jobs, limits=Limits(), quiet=True
        )
        seconds = time.perf_counter() - begun
        assert [r["score"] for r in results] == [assignment.points] * count
        return seconds


def main() -> None:
    """Time every way; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("section", nargs="?", default="01")
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--many", type=int, default=8)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    (stem,) = Course.find().assignments([options.section])
    assignment = load_assignment(stem)
    ways = {
        "nbgrader autograde": lambda n: stock(assignment, n, short=False),
        "nbgrader autograde, homework cells only": lambda n: stock(assignment, n, short=True),
        "lecture homework grade --jobs 1": lambda n: ours(assignment, n, 1),
        "lecture homework grade --jobs 2": lambda n: ours(assignment, n, 2),
    }
    each: dict[str, float] = {}
    start: dict[str, float] = {}
    for name, way in ways.items():
        few, many = way(options.few), way(options.many)
        each[name] = (many - few) / (options.many - options.few)
        start[name] = max(0.0, few - options.few * each[name])
        print(f"{name}: {few:.1f} s for {options.few}, {many:.1f} s for {options.many}", flush=True)
    print(f"\n{stem}, right submissions\n")
    base = each["nbgrader autograde"]
    rows = [
        [name, f"{each[name]:.2f}", f"{base / each[name]:.1f}", f"{start[name]:.1f}"]
        + [f"{(start[name] + CLASS * each[name]) / 60:.0f} min"]
        for name in ways
    ]
    show(["way", "s a submission", "times faster", "start s", f"{CLASS} take"], rows)


if __name__ == "__main__":
    main()
