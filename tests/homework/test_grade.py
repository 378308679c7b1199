"""From submissions to scores: the gradebook, the table, the CSV, and the pages given back."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from lecture_utils.homework import cli, feedback, grade, release
from lecture_utils.homework.cases import place, to_bytes
from lecture_utils.homework.course import Course, HomeworkError
from lecture_utils.homework.job import Job, judge, load_assignment, write
from lecture_utils.homework.sandbox import Limits, Sandbox
from lecture_utils.homework.submission import Assignment, answered

STEM = "06_attention"
LIMITS = Limits(cell_seconds=20)


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(STEM)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    made = Course.find(tmp_path / "course")
    release.release(made, STEM)
    return made


def hand_in(course: Course, student: str, content: bytes, at: str = "2026-11-20 10:00") -> None:
    folder = course.submitted / student / STEM
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{STEM}.ipynb").write_bytes(content)
    (folder / "timestamp.txt").write_text(f"{at}:00 UTC")


def right(assignment: Assignment) -> bytes:
    return to_bytes(answered(assignment))


def without_last(assignment: Assignment) -> bytes:
    notebook = answered(assignment)
    last = list(assignment.solutions)[-1]
    notebook.cells[place(notebook, last)].source = assignment.blank[last]
    return to_bytes(notebook)


def tampering(assignment: Assignment) -> bytes:
    """The first exercise's answer changes the library when it is called."""
    notebook = answered(assignment)
    first = next(iter(assignment.solutions))
    (name,) = assignment.solutions[first]
    notebook.cells[place(notebook, first)].source += (
        f"\n_{name} = {name}\ndef {name}(*arguments):\n"
        "    import lecture_utils.checks as c\n    c.difference = lambda *_, **__: ''\n"
        f"    return _{name}(*arguments)\n"
    )
    return to_bytes(notebook)


def graded(course: Course, **options: object) -> dict[str, grade.Result]:
    options = {"mode": "bubblewrap", "jobs": 1, "limits": LIMITS, "quiet": True} | options
    return {r["student"]: r for r in grade.grade(course, STEM, **options)}


def test_what_is_released_is_what_answers_are_compared_with(
    course: Course, assignment: Assignment
) -> None:
    given_out = nbformat.read(course.release / STEM / f"{STEM}.ipynb", as_version=4)
    assert {c.id: c.source for c in given_out.cells} == assignment.blank


def test_a_class_from_submissions_to_pages(
    course: Course, assignment: Assignment, capsys: pytest.CaptureFixture[str]
) -> None:
    hand_in(course, "ada", right(assignment))
    hand_in(course, "alan", without_last(assignment))
    hand_in(course, "claude", to_bytes(assignment.released))
    hand_in(course, "kat", right(assignment)[:500])
    hand_in(course, "mallory", tampering(assignment))
    with course.gradebook() as gradebook:
        gradebook.add_student("late")
    results = graded(course, jobs=2)
    last = sum(c.points for c in assignment.checks_of(list(assignment.solutions)[-1]))
    first = sum(c.points for c in assignment.checks_of(next(iter(assignment.solutions))))
    full = assignment.points
    assert {name: r.get("score") for name, r in results.items()} == {
        "ada": full,
        "alan": full - last,
        "claude": 0,
        "kat": None,
        "late": None,
        "mallory": full - first,
    }
    # The gradebook says the same, and what a human has to decide.
    with course.gradebook() as gradebook:
        for name, score in [("ada", full), ("alan", full - last), ("claude", 0), ("kat", 0)]:
            assert gradebook.find_submission(STEM, name).score == score
        needs = {
            name: gradebook.find_submission(STEM, name).needs_manual_grade
            for name in ("ada", "alan", "claude", "kat", "mallory")
        }
        assert [name for name, open_ in needs.items() if open_] == ["kat", "mallory"]
        blank = gradebook.find_comment(next(iter(assignment.solutions)), STEM, STEM, "claude")
        assert blank.comment == "No response."
        stamp = gradebook.find_submission(STEM, "ada").timestamp
        assert stamp.isoformat() == "2026-11-20T10:00:00"
    # Table and CSV: never a silent zero.
    text = grade.table(list(results.values()))
    assert re.search(rf"^ada +{full:g} +{full:g} +all passed$", text, re.MULTILINE)
    assert re.search(r"^kat +- .*unreadable: it is not valid JSON", text, re.MULTILINE)
    assert re.search(r"^late +- .*missing: handed in nothing", text, re.MULTILINE)
    assert re.search(r"^mallory .*look", text, re.MULTILINE)
    with grade.write_csv(course, STEM, list(results.values())).open(encoding="utf-8-sig") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert [rows["kat"]["score"], rows["kat"]["status"]] == ["", "unreadable"]
    ids = [check.id for check in assignment.checks]
    assert [rows["ada"][i] for i in ids] == [f"{c.points:g}" for c in assignment.checks]
    assert {rows["claude"][i] for i in ids} == {"blank"}
    assert {rows["mallory"][c.id] for c in assignment.checks if c.points} >= {"tampered"}
    # What students get back.
    assert feedback.pages(course, STEM, feedback.graded(course, STEM), quiet=True) == {}
    pages = {p.parents[1].name: p.read_text() for p in course.feedback.glob("*/*/*.html")}
    assert set(pages) == {"ada", "alan", "claude", "kat", "mallory"}
    hidden = [
        line.strip()
        for check in assignment.checks
        for line in check.source.partition("### BEGIN HIDDEN TESTS\n")[2].splitlines()
    ]
    visible = "\n".join(assignment.blank.values())
    secret = [line for line in hidden if len(line) > 25 and line not in visible]
    assert len(secret) > 5
    for page in pages.values():
        text = re.sub(r"<[^>]+>", "", page)
        assert not [line for line in secret if line in text]
    assert "no answer was given" in pages["claude"]
    assert "open of" in pages["mallory"]
    assert "unreadable" in pages["kat"]


def test_runs_again_only_what_is_new(course: Course, assignment: Assignment) -> None:
    hand_in(course, "ada", right(assignment))
    hand_in(course, "alan", without_last(assignment))
    graded(course)
    file = course.results / STEM / "ada.json"
    before = {n: (course.results / STEM / f"{n}.json").stat().st_mtime_ns for n in ("ada", "alan")}
    assert graded(course)["ada"]["score"] == assignment.points
    hand_in(course, "alan", right(assignment), at="2026-11-21 10:00")
    results = graded(course)
    assert results["alan"]["score"] == assignment.points
    assert file.stat().st_mtime_ns == before["ada"]
    assert (course.results / STEM / "alan.json").stat().st_mtime_ns > before["alan"]
    graded(course, force=True)
    assert file.stat().st_mtime_ns > before["ada"]
    assert json.loads(file.read_text())["score"] == assignment.points


def test_a_score_by_hand_survives(course: Course, assignment: Assignment) -> None:
    hand_in(course, "alan", without_last(assignment))
    graded(course)
    last = list(assignment.solutions)[-1]
    check = assignment.checks_of(last)[0]

    def entry(gradebook: object) -> object:
        return gradebook.find_grade(check.id, STEM, STEM, "alan")

    with course.gradebook() as gradebook:
        given = entry(gradebook)
        assert (given.auto_score, given.manual_score) == (0, None)
        given.manual_score, given.needs_manual_grade = 1.5, False
        comment = gradebook.find_comment(last, STEM, STEM, "alan")
        comment.manual_comment = "a good start"
        gradebook.db.commit()
        score = gradebook.find_submission(STEM, "alan").score
    graded(course, force=True)
    with course.gradebook() as gradebook:
        assert (entry(gradebook).manual_score, entry(gradebook).score) == (1.5, 1.5)
        assert not entry(gradebook).needs_manual_grade
        assert gradebook.find_submission(STEM, "alan").score == score
        assert gradebook.find_comment(last, STEM, STEM, "alan").comment == "a good start"
    # Another answer below it: the score by hand stays, and asks for a look.
    hand_in(course, "alan", right(assignment), at="2026-11-22 10:00")
    graded(course)
    with course.gradebook() as gradebook:
        assert (entry(gradebook).auto_score, entry(gradebook).score) == (check.points, 1.5)
        assert entry(gradebook).needs_manual_grade
    pages = feedback.pages(course, STEM, ["alan"], quiet=True)
    assert pages == {}
    page = (course.feedback / "alan" / STEM / f"{STEM}.html").read_text()
    assert "a good start" in page


def test_markup_of_a_student_does_not_run_in_pages(course: Course, assignment: Assignment) -> None:
    notebook = answered(assignment)
    script = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>"
    where = place(notebook, "homework-setup") + 1
    notebook.cells.insert(where, nbformat.v4.new_markdown_cell(f"hello {script}", id="text"))
    shown = (
        "from IPython.display import HTML, Javascript, Markdown, display\n"
        f"display(HTML({script!r}), Javascript('alert(2)'), Markdown({script!r}))\n"
        f"print({script!r})\nraise ValueError({script!r})"
    )
    notebook.cells.insert(where + 1, nbformat.v4.new_code_cell(shown, id="shown"))
    hand_in(course, "mallory", to_bytes(notebook))
    assert graded(course)["mallory"]["score"] == assignment.points
    assert feedback.pages(course, STEM, ["mallory"], quiet=True) == {}
    page = (course.feedback / "mallory" / STEM / f"{STEM}.html").read_text()
    assert "hello" in page
    for bad in ("<script>document", "<img src=x", '<img src="x"', "<script>alert(2)"):
        assert bad not in page
    assert not re.search(r"<[a-z]+[^>]* onerror=", page)


def test_an_assignment_must_be_released_first(tmp_path: Path, assignment: Assignment) -> None:
    course = Course.find(tmp_path)
    hand_in(course, "ada", right(assignment))
    with pytest.raises(HomeworkError, match="not in the gradebook. Run: lecture homework release"):
        graded(course)


def test_errors_of_the_command(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    place_ = ["--course", str(course.root)]
    assert cli.main(["grade", *place_]) == 1
    assert "nothing was handed in yet" in capsys.readouterr().err
    assert cli.main(["grade", "06", "--student", "nobody", *place_]) == 1
    assert "nobody has handed in nothing for 06_attention" in capsys.readouterr().err
    assert cli.main(["grade", "99", *place_]) == 1
    assert "'99' is no assignment" in capsys.readouterr().err
    assert cli.main(["feedback", *place_]) == 1
    assert "nothing is graded yet" in capsys.readouterr().err


def test_an_interrupt_keeps_what_is_done_and_the_next_run_goes_on(
    course: Course, assignment: Assignment
) -> None:
    for n in range(8):
        hand_in(course, f"s{n}", right(assignment))
    command = [sys.executable, "-m", "lecture_utils.cli", "homework", "grade", "06"]
    run = subprocess.Popen(
        [*command, "--course", str(course.root), "--jobs", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    folder = course.results / STEM
    deadline = time.monotonic() + 120
    while not list(folder.glob("*.json")) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    output = run.communicate(timeout=60)[0]
    done = {p.stem: p.stat().st_mtime_ns for p in folder.glob("*.json")}
    assert 1 <= len(done) < 8, output
    assert run.returncode == 1
    assert "goes on where it stopped" in output and "Traceback" not in output
    results = graded(course)
    assert {r["score"] for r in results.values()} == {assignment.points}
    assert all((folder / f"{n}.json").stat().st_mtime_ns == t for n, t in done.items())


def test_the_contract_of_a_job(course: Course, assignment: Assignment, tmp_path: Path) -> None:
    """Files in, one JSON out: what a container runs, and what comes back into the gradebook."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    hand_in(course, "ada", right(assignment))
    hand_in(course, "kat", b"{")
    for name in ("ada", "kat"):
        source = course.submitted / name / STEM / f"{STEM}.ipynb"
        code = cli.main(
            ["job", STEM, str(source), str(elsewhere / f"{name}.json"), "--student", name]
        )
        assert code == 0
    result = json.loads((elsewhere / "ada.json").read_text())
    assert {"schema", "assignment", "student", "submission_sha256", "grader", "status", "score",
            "points", "checks", "cells", "flags", "repairs", "notebook"} <= set(result)  # fmt: skip
    assert (result["schema"], result["status"], result["score"]) == (1, "graded", assignment.points)
    for check in result["checks"]:
        assert {"id", "exercise", "points", "earned", "outcome", "message"} <= set(check)
    results = graded(course, mode=None, elsewhere=elsewhere)
    assert results["ada"]["score"] == assignment.points
    assert results["kat"]["status"] == "unreadable"
    with course.gradebook() as gradebook:
        assert gradebook.find_submission(STEM, "ada").score == assignment.points


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: r | {"submission_sha256": "0"}, "another submission"),
        (lambda r: r | {"grader": "0"}, "another version"),
        (lambda r: r | {"student": "eve"}, "that of eve"),
    ],
)
def test_results_of_something_else_are_not_taken(
    change: Callable[[dict], dict], why: str, course: Course, assignment: Assignment, tmp_path: Path
) -> None:
    content = to_bytes(assignment.released)
    hand_in(course, "ada", content)
    with Sandbox("bubblewrap", [], LIMITS) as unused:
        result = judge(Job(assignment, "ada", content), unused)
    write(change(result), tmp_path / "ada.json")
    results = graded(course, mode=None, elsewhere=tmp_path)
    assert results["ada"]["status"] == "failed" and why in results["ada"]["why"]
    assert not (course.results / STEM / "ada.json").exists()


def test_a_sandbox_that_fails_is_no_zero(
    course: Course, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(course, "ada", right(assignment))

    def broken(job: Job, sandbox: Sandbox) -> None:
        raise HomeworkError("the machine is on fire")

    monkeypatch.setattr(grade, "judge", broken)
    result = graded(course)["ada"]
    assert (result["status"], result.get("score")) == ("failed", None)
    assert "on fire" in grade.table([result])
    monkeypatch.undo()
    assert graded(course)["ada"]["score"] == assignment.points


def test_a_machine_on_which_the_right_answers_fail_gives_no_zeros(
    course: Course, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a module is missing in the sandbox: every answer would raise an error."""
    hand_in(course, "ada", right(assignment))
    real = Assignment.__post_init__

    def spoilt(self: Assignment) -> None:
        real(self)
        for check in self.checks:
            check.source = "import gone"

    monkeypatch.setattr(Assignment, "__post_init__", spoilt)
    with pytest.raises(HomeworkError, match=r"nothing was graded: 06_attention's own answers fail"):
        graded(course, jobs=2)
    assert not list((course.results / STEM).glob("*.json"))


def test_spreadsheets_take_no_formula_from_a_name(course: Course) -> None:
    result = {"student": "=1+1", "status": "missing", "why": "handed in nothing", "points": 20}
    text = grade.write_csv(course, STEM, [result]).read_text("utf-8-sig")
    assert "\n'=1+1," in text
