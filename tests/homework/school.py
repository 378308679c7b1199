"""A course of small notebooks of its own, for tests of `lecture homework`."""

import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lecture_utils.homework import course as course_module
from lecture_utils.homework.cli import main
from lecture_utils.homework.course import Course

SOLUTION = '''def square(x):
    """x times x."""
    ### BEGIN SOLUTION
    product = x * x  # the whole secret
    return product
    ### END SOLUTION'''
CHECK = """assert square(2) == 4
### BEGIN HIDDEN TESTS
assert square(-1.5) == 2.25
### END HIDDEN TESTS"""


def marked(name: str, source: str, **marks: object) -> NotebookNode:
    """A code cell with nbgrader's metadata."""
    kinds = {"grade": False, "solution": False, "locked": False, "task": False} | marks
    marks = {"grade_id": name, "schema_version": 3, "cell_type": "code"} | kinds
    return new_code_cell(source, id=name, metadata={"nbgrader": marks})


def homework(
    solution: str = SOLUTION, check: str = CHECK, visible: str = "x = 1", name: str = "square"
) -> NotebookNode:
    """A notebook of one exercise."""
    return new_notebook(
        cells=[
            new_markdown_cell("# Squares", id="title"),
            new_code_cell(visible, id="lecture"),
            marked(name, solution, solution=True),
            marked(f"check-{name}", check, grade=True, locked=True, points=2),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}},
    )


class School:
    """The folders of the course, and its commands."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notebooks, self.root = folder / "notebooks", folder / "course"
        self.notebooks.mkdir()
        for name in ("LECTURE_COURSE", "LECTURE_GRADEBOOK"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(course_module, "shipped_notebooks", lambda: self.notebooks)
        self.course = Course.find(self.root)

    def write(self, stem: str, notebook: NotebookNode) -> None:
        """Put a notebook among the lecture's."""
        nbformat.write(notebook, self.notebooks / f"{stem}.ipynb")

    def release(self, *wanted: str) -> int:
        """`lecture homework release`."""
        return main(["release", *wanted, "--course", str(self.root)])

    def collect(self, path: Path, *options: str) -> int:
        """`lecture homework collect`."""
        return main(["collect", str(path), *options, "--course", str(self.root)])

    def released(self, stem: str) -> NotebookNode:
        """What a student finds in the zip."""
        with zipfile.ZipFile(self.course.release / f"{stem}.zip") as archive:
            assert archive.namelist() == [f"{stem}/{stem}.ipynb", f"{stem}/README.txt"]
            text = archive.read(f"{stem}/{stem}.ipynb")
        assert text == (self.course.release / stem / f"{stem}.ipynb").read_bytes()
        return nbformat.reads(text.decode(), as_version=4)

    def files(self) -> dict[str, bytes]:
        """All files of the course but the gradebook."""
        found = [p for p in self.root.rglob("*") if p.is_file() and p.name != "gradebook.db"]
        return {p.relative_to(self.root).as_posix(): p.read_bytes() for p in found}
