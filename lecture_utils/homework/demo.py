"""A dry run: a small class hands in work of every kind, which is collected, graded, given back.

Nothing of the course is touched: the class lives in a folder of its own, below the course's.
"""

import argparse
import shutil
from pathlib import Path

from . import collect, feedback, grade, release
from .cases import CASES, STEM
from .course import Course
from .job import add_ways, load_assignment
from .sandbox import Limits, choose_mode

CLASS = {
    "ada": "right",
    "alan": "half",
    "barbara": "wrong",
    "claude": "blank",
    "donald": "twice",
    "edsger": "no-metadata",
    "frances": "warnings",
    "grace": "endless-loop",
    "john": "exit",
    "katherine": "broken",
    "mallory": "patched-inside",
    "oscar": "patched-allclose",
    "radia": "fork-bomb",
    "trudy": "network",
}
"""Which case each student of the demo is."""
SECONDS = 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lecture homework demo`."""
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="(default: %(default)s)")
    add_ways(parser)


def run(course: Course, options: argparse.Namespace) -> int:
    """Make the class, grade it, show the table. Returns 0."""
    mode = choose_mode(options.unsafe, options.in_container)
    folder = course.root / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    dry = Course.find(folder, f"sqlite:///{folder.as_posix()}/gradebook.db")
    assignment = load_assignment(STEM)
    print(f"A class of {len(CLASS)} in {folder}:")
    export = write_class(folder)
    for student, case in CLASS.items():
        print(f"  {student:10} {CASES[case].does}")
    print()
    release.release(dry, STEM)
    collect.collect(dry, export)
    results = grade.grade(
        dry, STEM, mode=mode, jobs=options.jobs, limits=Limits(cell_seconds=SECONDS)
    )
    print(grade.table(results))
    print(f"\nThe same with a column for each check: {grade.write_csv(dry, STEM, results)}")
    feedback.pages(dry, STEM, feedback.graded(dry, STEM))
    page = dry.feedback / "barbara" / STEM / f"{STEM}.html"
    print(f"What a student gets back: {page}")
    print(f"nbgrader's page for points by hand: lecture homework formgrader --course {folder}")
    assert assignment.points == results[0]["points"]
    return 0


def write_class(folder: Path) -> Path:
    """The submissions as a learning platform exports them; their folder."""
    assignment = load_assignment(STEM)
    export = folder / "export"
    export.mkdir(parents=True)
    for student, case in CLASS.items():
        (export / f"{student}_{STEM}.ipynb").write_bytes(CASES[case].make(assignment))
    return export
