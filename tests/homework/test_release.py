"""The student release of each notebook, what holds for every exercise, and what is refused."""

import json
import re
import zipfile
from pathlib import Path

import nbformat
import pytest
from grading import ROOT, blank, load, points, reference, student_version
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from school import SOLUTION, School, homework, marked

from lecture_utils.homework.cli import main
from lecture_utils.homework.course import Course
from lecture_utils.homework.release import leaks, misspelt

STEMS = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if points(p.stem)]


def test_there_is_homework() -> None:
    assert {"01_perceptron", "04_cnn"} <= set(STEMS)


@pytest.mark.parametrize("stem", STEMS)
def test_reference_has_full_marks_and_blank_none(stem: str) -> None:
    assert reference(stem) == points(stem)
    assert blank(stem) == dict.fromkeys(points(stem), 0)


@pytest.mark.parametrize("stem", STEMS)
def test_release_hides_solutions_and_keeps_the_rest(stem: str) -> None:
    notebook, released = load(stem), student_version(load(stem))
    assert [c.id for c in notebook.cells] == [c.id for c in released.cells]
    for before, after in zip(notebook.cells, released.cells, strict=True):
        marks = before.metadata.get("nbgrader", {})
        if marks.get("solution"):
            body = re.search(r"### BEGIN SOLUTION\n(.*)### END SOLUTION", before.source, re.S)
            assert body, f"{before.id} has no solution region"
            assert body[1].strip() not in after.source
            assert "raise NotImplementedError()" in after.source
        elif marks.get("grade"):
            hidden = re.search(r"### BEGIN HIDDEN TESTS\n(.*)### END HIDDEN", before.source, re.S)
            assert hidden, f"{before.id} has no hidden tests"
            assert hidden[1].strip() not in after.source
            assert after.source.strip(), f"{before.id} shows the student no check"
        else:
            assert before.source == after.source


@pytest.mark.parametrize("stem", STEMS)
def test_every_exercise_says_what_a_student_needs(stem: str) -> None:
    cells = load(stem).cells
    for i, cell in enumerate(cells):
        if cell.metadata.get("nbgrader", {}).get("solution"):
            text = cells[i - 1].source
            assert cells[i - 1].cell_type == "markdown", f"{cell.id}: no text before it"
            assert re.search(r"\d+ min", text), f"{cell.id}: no time estimate"
            assert re.search(r"\d+ points?", text), f"{cell.id}: no points"
            assert "<details>" in text, f"{cell.id}: no hint"


@pytest.mark.parametrize("stem", STEMS)
def test_release_runs_to_the_first_exercise(stem: str, tmp_path: Path) -> None:
    """ "Run all" in the student's copy shows the whole lecture before anything is missing."""
    released = student_version(load(stem))
    client = NotebookClient(released, timeout=300, allow_errors=True, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    failed = [
        cell.id
        for cell in released.cells
        if cell.cell_type == "code" and any(o.output_type == "error" for o in cell.outputs)
    ]
    start = [cell.id for cell in released.cells].index("homework-setup")
    order = [cell.id for cell in released.cells]
    assert failed and all(order.index(name) > start for name in failed)
    tests = set(points(stem))
    assert tests <= set(failed)
    nbformat.validate(released)


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    return School(tmp_path, monkeypatch)


def test_release_of_the_lecture_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["release", "01", "--course", str(tmp_path)]) == 0
    total = sum(points("01_perceptron").values())
    answers = [c for c in load("01_perceptron").cells if c.metadata.get("nbgrader", {})]
    count = sum(c.metadata.nbgrader.solution for c in answers)
    assert f"01_perceptron.zip: {count} exercises, {total} points" in (capsys.readouterr().out)
    course = Course.find(tmp_path)
    with course.gradebook() as gradebook:
        notebook = gradebook.find_notebook("01_perceptron", "01_perceptron")
        assert {c.name: c.max_score for c in notebook.grade_cells} == points("01_perceptron")
    source = nbformat.read(course.source / "01_perceptron/01_perceptron.ipynb", as_version=4)
    assert [c.source for c in source.cells] == [c.source for c in load("01_perceptron").cells]
    with zipfile.ZipFile(course.release / "01_perceptron.zip") as archive:
        readme = archive.read("01_perceptron/README.txt").decode()
    assert readme.startswith("1 · The perceptron")
    assert "Upload 01_perceptron.ipynb" in readme
    assert "Write your student id" in readme
    assert max(map(len, readme.splitlines())) <= 100
    assert {path.name for path in tmp_path.iterdir()} == {"gradebook.db", "release", "source"}


def test_outputs_and_state_are_stripped_and_ids_kept(school: School) -> None:
    notebook = homework()
    notebook.metadata["widgets"] = {"state": {"1": {"text": "product = x * x"}}}
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="return product")]
    notebook.cells[1].execution_count = 7
    notebook.cells[1].metadata |= {"execution": {"iopub": "1"}, "scrolled": True, "tags": ["a"]}
    school.write("01_squares", notebook)
    assert school.release() == 0
    released = school.released("01_squares")
    assert [c.id for c in released.cells] == [c.id for c in notebook.cells]
    assert set(released.metadata) == {"kernelspec"}
    lecture, square, check = released.cells[1:]
    assert (lecture.outputs, lecture.execution_count) == ([], None)
    assert lecture.metadata == {"tags": ["a"]}
    assert square.source.splitlines()[2:] == [
        "    # YOUR CODE HERE",
        "    raise NotImplementedError()",
    ]
    assert check.source == "assert square(2) == 4"
    assert square.metadata.nbgrader.grade_id == "square"
    text = json.dumps(released)
    assert "return product" not in text and "2.25" not in text


def test_same_release_same_bytes(school: School) -> None:
    school.write("01_squares", homework())
    assert school.release() == 0
    before = school.files()
    assert school.release("01") == 0
    assert school.files() == before


MISSPELT = {
    "### BEGIN SOLUTON": "### BEGIN SOLUTION",
    "###BEGIN SOLUTION": "### BEGIN SOLUTION",
    "# BEGIN SOLUTION": "### BEGIN SOLUTION",
    "### Begin Solution": "### BEGIN SOLUTION",
    "### begin solution": "### BEGIN SOLUTION",
    "### BEGIN  SOLUTION": "### BEGIN SOLUTION",
    "### BEGINSOLUTION": "### BEGIN SOLUTION",
    "### BEGIN SOLUTION:": "### BEGIN SOLUTION",
    "### BGEIN SOLUTION": "### BEGIN SOLUTION",
    "x = 1  ### BEGIN SOLUTION": "### BEGIN SOLUTION",
    "### END SOLUTIONS": "### END SOLUTION",
    "### end solution": "### END SOLUTION",
    "# BEGIN HIDDEN TEST": "### BEGIN HIDDEN TESTS",
    "### BEGIN HIDEN TESTS": "### BEGIN HIDDEN TESTS",
    "### BEGIN HIDDEN_TESTS": "### BEGIN HIDDEN TESTS",
    "### END HIDDEN TEST": "### END HIDDEN TESTS",
    "### SOLUTION": "",
    "### START SOLUTION": "",
    "### HIDDEN": "",
    "### BEGIN TESTS": "",
}


@pytest.mark.parametrize("line", MISSPELT)
def test_misspelt_marker_is_refused_by_name(
    school: School, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    school.write("01_squares", homework(check=f"{line}\nassert square(3) == 9"))
    assert school.release() == 1
    (said,) = capsys.readouterr().err.splitlines()[:1]
    expected = "lecture: 01_squares is not released: cell check-square, line 1: "
    assert said.startswith(f"{expected}'{line}' is no marker, write '{MISSPELT[line]}")
    assert school.files() == {}


@pytest.mark.parametrize(
    "line",
    [
        "# the solution of the equation is found by going downhill",
        "x = 1  # begin at the left",
        "# hidden layers",
        "    ### END SOLUTION",
        "COLOURS = '#beaded'",
        "",
    ],
)
def test_other_comments_are_no_markers(line: str) -> None:
    assert misspelt(line) == ""


def test_heading_is_no_marker() -> None:
    assert misspelt("### What a hidden unit sees", code=False) == ""
    assert misspelt("### Begin solution", code=False) == "BEGIN SOLUTION"


BROKEN = {
    "cell square: SOLUTION has no END": {"solution": "### BEGIN SOLUTION\nx = 2"},
    "cell square, line 2: END SOLUTION without its BEGIN": {"solution": "x = 2\n### END SOLUTION"},
    "cell square, line 3: BEGIN SOLUTION inside SOLUTION": {
        "solution": "### BEGIN SOLUTION\nx = 2\n### BEGIN SOLUTION\n### END SOLUTION"
    },
    "cell check-square, line 3: END SOLUTION without its BEGIN": {
        "check": "### BEGIN HIDDEN TESTS\nassert x\n### END SOLUTION"
    },
    "cell lecture, line 1: SOLUTION in a cell that nbgrader's metadata does not mark": {
        "visible": "### BEGIN SOLUTION\nx = 2\n### END SOLUTION"
    },
    "cell square, line 1: HIDDEN TESTS in a cell that nbgrader's metadata does not mark": {
        "solution": "### BEGIN HIDDEN TESTS\nx = 2\n### END HIDDEN TESTS"
    },
}


@pytest.mark.parametrize("reason", BROKEN)
def test_broken_region_is_refused_by_name(
    school: School, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    school.write("01_squares", homework(**BROKEN[reason]))
    assert school.release() == 1
    assert f"01_squares is not released: {reason}" in capsys.readouterr().err
    assert school.files() == {}


def test_attachment_of_a_solution_is_refused(
    school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = homework()
    text = new_markdown_cell("![](attachment:a.png)", id="why", metadata=notebook.cells[2].metadata)
    text.metadata.nbgrader = text.metadata.nbgrader | {"grade_id": "why", "cell_type": "markdown"}
    text["attachments"] = {"a.png": {"image/png": "iVBORw0KGgo="}}
    notebook.cells.append(text)
    school.write("01_squares", notebook)
    assert school.release() == 1
    assert "cell why: the solution's attachment would stay" in capsys.readouterr().err


def test_what_nbgrader_refuses_is_told(school: School, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = homework()
    notebook.cells[3].metadata.nbgrader.grade_id = "square"
    school.write("01_squares", notebook)
    assert school.release() == 1
    assert "01_squares is not released: nbgrader refuses it: " in capsys.readouterr().err


def leaky(change: str) -> NotebookNode:
    """A release of `homework()` in which something is left."""
    released = student_version(homework())
    title, lecture, square, check = released.cells
    if change == "line in another cell":
        title.source += "\n\n    return product"
    elif change == "hidden test":
        check.source += "\nassert square(-1.5) == 2.25"
    elif change == "output":
        lecture.outputs = [nbformat.v4.new_output("stream", text="  return product\n")]
    elif change == "metadata":
        lecture.metadata["copy"] = {
            "of": ["def square(x):\n    product = x * x  # the whole secret"]
        }
    elif change == "notebook":
        released.metadata["note"] = "product = x * x  # the whole secret"
    elif change == "comment":
        square.source += "\n# product = x * x  # the whole secret"
    return released


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("line in another cell", "cell title: 'return product' is left"),
        ("hidden test", "cell check-square: 'assert square(-1.5) == 2.25' is left"),
        ("output", "cell lecture: 'return product' is left"),
        ("metadata", "cell lecture: 'product = x * x  # the whole secret' is left"),
        ("notebook", "the notebook's metadata: 'product = x * x  # the whole secret' is left"),
        ("comment", "cell square: 'product = x * x  # the whole secret' is left"),
    ],
)
def test_whatever_is_left_is_found(change: str, name: str) -> None:
    assert name in leaks(homework(), leaky(change))


def test_visible_lines_are_no_leak_but_an_uncut_region_is() -> None:
    shown = homework(visible="product = x * x  # the whole secret\nif x:\n    return product")
    assert leaks(shown, student_version(shown)) == []
    uncut = student_version(shown)
    uncut.cells[2].source = re.sub(r" *###.*\n?", "", SOLUTION)
    assert leaks(shown, uncut) == ["cell square: more or less is cut than its regions"]


def test_a_refusal_stops_no_other_and_keeps_the_last_release(
    school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    for stem in ("01_squares", "02_more"):
        school.write(stem, homework())
    assert school.release("01") == 0
    before = school.files()
    school.write("01_squares", homework(check="### BEGIN HIDEN TESTS\nassert 0"))
    assert school.release() == 1
    assert "02_more.zip: 1 exercise, 2 points" in capsys.readouterr().out
    after = school.files()
    assert {name: after[name] for name in before} == before
    assert "release/02_more.zip" in after


def test_release_again_after_submissions(
    school: School, capsys: pytest.CaptureFixture[str]
) -> None:
    school.write("01_squares", homework())
    assert school.release() == 0
    with school.course.gradebook() as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission("01_squares", "ada")
    school.write("01_squares", homework(visible="x = 2  # better put"))
    assert school.release() == 0
    assert school.released("01_squares").cells[1].source == "x = 2  # better put"
    before = school.files()
    changed = homework()
    changed.cells.append(marked("check-more", "assert square(3) == 9", grade=True, points=1))
    del changed.cells[2]
    school.write("01_squares", changed)
    capsys.readouterr()
    assert school.release() == 1
    assert (
        "submissions are graded already, and its exercise cells have changed "
        "(check-more added; square removed)" in capsys.readouterr().err
    )
    assert school.files() == before
    with school.course.gradebook() as gradebook:
        assert [s.student.id for s in gradebook.assignment_submissions("01_squares")] == ["ada"]
