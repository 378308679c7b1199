"""Write what students get back: one HTML page each, made by nbgrader from the gradebook.

The page shows the student's notebook as it ran, the points, what each check said, and comments by
hand. Hidden tests are taken out of it (see `Course.config`), so the assignment can be given again.
"""

import argparse
import os
import re
import zipfile
from html import escape
from pathlib import Path

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from .course import Course, HomeworkError
from .grade import Progress
from .job import STATUS, WITHHELD

OPEN = WITHHELD | set(STATUS)
"""What stands in place of a verdict until a human has decided."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lecture homework feedback`."""
    parser.add_argument("sections", nargs="*", help="01, 04, ... (default: all that are graded)")
    parser.add_argument("--student", metavar="ID", help="this one only")


def run(course: Course, options: argparse.Namespace) -> int:
    """Write the pages. Returns 0, or 1 if one could not be made."""
    stems = course.assignments(options.sections)
    stems = [stem for stem in stems if options.sections or graded(course, stem)]
    if not stems:
        raise HomeworkError("nothing is graded yet. Run: lecture homework grade")
    whole = True
    for stem in stems:
        students = graded(course, stem)
        if options.student is not None:
            students = [s for s in students if s == options.student]
        if not students:
            raise HomeworkError(f"nothing of {stem} is graded yet. Run: lecture homework grade")
        failed = pages(course, stem, students)
        for student, why in failed.items():
            print(f"{stem}, {student}: no page: {why}")
        archive = bundle(course, stem)
        print(f"{stem}: {len(students) - len(failed)} pages in {course.feedback}, all in {archive}")
        whole &= not failed
    return 0 if whole else 1


def graded(course: Course, stem: str) -> list[str]:
    """Students whose submission of an assignment was graded."""
    return sorted(p.parents[1].name for p in course.autograded.glob(f"*/{stem}/{stem}.ipynb"))


class StudentPage(NbGraderPreprocessor):
    """Puts a table above the homework: exercise, points, and what the checks found."""

    def preprocess(
        self, nb: NotebookNode, resources: ResourcesDict
    ) -> tuple[NotebookNode, ResourcesDict]:
        """Runs after nbgrader's GetGrades, which has put the scores into the cells."""
        rows = []
        title = ""
        for cell in nb.cells:
            heading = re.search(r"^#+ (.+)$", cell.source, re.MULTILINE)
            if cell.cell_type == "markdown" and heading:
                title = heading[1]
            marks = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and marks.get("grade"):
                score, points = marks.get("score"), marks["points"]
                found = "right"
                for output in cell.outputs:
                    if output.output_type == "error":
                        found = f"{output.ename}: {output.evalue}"
                withheld = not score and found.partition(":")[0] in OPEN
                shown = "open" if withheld else f"{score:g}"
                cells = (title, f"{shown} of {points:g}", found)
                rows.append("".join(f"<td>{_cell(text)}</td>" for text in cells))
        head = "<th>Exercise</th><th>Points</th><th>What the checks found</th>"
        body = "".join(f"<tr>{row}</tr>" for row in [head, *rows])
        summary = f'<table class="table">{body}</table>'
        nb.cells.insert(0, nbformat.v4.new_markdown_cell(summary))
        return nb, resources


def _cell(text: str, most: int = 160) -> str:
    """Text that stays text in a table."""
    line = " ".join(text.split())
    return escape(line if len(line) <= most else line[:most] + " ...")


def pages(course: Course, stem: str, students: list[str], quiet: bool = False) -> dict[str, str]:
    """Make the pages; why not, by student, where one could not be made."""
    api = course.api()
    failed: dict[str, str] = {}
    progress = Progress(len(students), quiet)
    for student in students:
        answer = api.generate_feedback(stem, student)
        if not answer["success"]:
            lines = (answer.get("log") or answer.get("error") or "").strip().splitlines()
            failed[student] = lines[-1] if lines else "no reason given"
        progress.step(student)
    progress.close()
    return failed


def bundle(course: Course, stem: str) -> Path:
    """One zip with every student's page of an assignment, `<student>_<stem>.html`; its path."""
    target = course.feedback / f"{stem}.zip"
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for page in sorted(course.feedback.glob(f"*/{stem}/{stem}.html")):
            archive.write(page, f"{page.parents[1].name}_{stem}.html")
    os.replace(part, target)
    return target
