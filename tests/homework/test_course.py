"""Where the homework lies, nbgrader's settings for it, and what `lecture homework` says."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from traitlets.config.loader import PyFileConfigLoader

from lecture_utils import cli as lecture
from lecture_utils.homework import cli
from lecture_utils.homework import course as course_module
from lecture_utils.homework.course import Course, HomeworkError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LECTURE_COURSE", "LECTURE_GRADEBOOK"):
        monkeypatch.delenv(name, raising=False)


def test_folder_is_asked_for_set_or_the_clones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Course.find().root == ROOT / "homework"
    monkeypatch.setattr(course_module, "in_checkout", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert Course.find().root == tmp_path / "homework"
    monkeypatch.setenv("LECTURE_COURSE", str(tmp_path / "set"))
    assert Course.find().root == tmp_path / "set"
    assert Course.find(tmp_path / "asked").root == tmp_path / "asked"
    assert list(tmp_path.iterdir()) == []


def test_gradebook_is_asked_for_set_or_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Course.find(tmp_path).db_url == f"sqlite:///{tmp_path}/gradebook.db?timeout=60"
    monkeypatch.setenv("LECTURE_GRADEBOOK", "postgresql://grader@db/grades?sslmode=require")
    assert Course.find(tmp_path).db_url == "postgresql://grader@db/grades?sslmode=require"
    asked = Course.find(tmp_path, "sqlite:///grades.db?mode=ro")
    assert asked.db_url == "sqlite:///grades.db?mode=ro&timeout=60"
    assert Course.find(tmp_path, "sqlite:///a.db?timeout=5").db_url == "sqlite:///a.db?timeout=5"
    with pytest.raises(HomeworkError, match="'grades.db' is no address of a gradebook"):
        Course.find(tmp_path, "grades.db")


@pytest.mark.parametrize("letter", "?*[")
def test_folder_that_nbgrader_would_misread_is_refused(tmp_path: Path, letter: str) -> None:
    with pytest.raises(HomeworkError, match="Choose another: --course"):
        Course.find(tmp_path / f"course{letter}")


def test_sqlite_waits_a_minute_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    connect = sqlite3.connect

    def spy(*arguments: object, **options: object) -> sqlite3.Connection:
        waits.append(options["timeout"])
        return connect(*arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", spy)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", spy)
    # nbgrader runs alembic by name, and this Python's commands need not be on the PATH.
    monkeypatch.setenv("PATH", os.defpath)
    with Course.find(tmp_path / "new").gradebook() as gradebook:
        assert gradebook.course_id == course_module.COURSE_ID
    assert set(waits) == {60.0}


def test_assignments_by_the_start_of_their_names(tmp_path: Path) -> None:
    course = Course.find(tmp_path)
    every = course.assignments()
    assert every[0] == "01_perceptron" and not {"00_start", "08_recap"} & set(every)
    assert course.assignments(["04", "01_perceptron.ipynb"]) == ["01_perceptron", "04_cnn"]
    with pytest.raises(HomeworkError, match=r"'08' is no assignment. Choose one of 01_perceptron"):
        course.assignments(["01", "08"])


def test_damaged_notebook_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course_module, "shipped_notebooks", lambda: tmp_path)
    (tmp_path / "01_a.ipynb").write_text('{"cells": [')
    with pytest.raises(HomeworkError, match=r"01_a\.ipynb is no notebook"):
        Course.find(tmp_path).assignments()


def test_nbgraders_own_commands_see_the_same_course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ROOT / "homework" / "nbgrader_config.py"
    assert PyFileConfigLoader(str(file)).load_config() == Course.find().config()
    assert Course.find().api().coursedir.db_url == Course.find().db_url
    monkeypatch.setenv("LECTURE_COURSE", str(tmp_path))
    config = PyFileConfigLoader(str(file)).load_config()
    assert config == Course.find(tmp_path).config()
    assert config.CourseDirectory.root == str(tmp_path)


def test_names_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        lecture.main(["homework", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for verb in cli.VERBS:
        assert f"\n  {verb}  " in said
        with pytest.raises(SystemExit) as ended:
            cli.main([verb, "--help"])
        assert ended.value.code == 0
        assert f"usage: lecture homework {verb}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        lecture.main(["--help"])
    assert "lecture homework --help" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["99"], "'99' is no assignment"),
        (["01", "--course", "{file}/below"], "Not a directory"),
        (["01", "--course", "{new}", "--db", "sqlite:///{new}/no/where.db"], "unable to open"),
    ],
)
def test_problems_are_one_line(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    places = {"file": tmp_path / "file", "new": tmp_path / "new"}
    assert cli.main(["release", *(a.format(**places) for a in arguments)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lecture: ") and problem in line


def test_says_that_nbgrader_is_missing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['nbgrader'] = None\n"
        "from lecture_utils.cli import main; sys.exit(main(['homework', 'release', '01']))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"LECTURE_COURSE": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert line.startswith("lecture: nbgrader is not installed")
    assert "pip install -c requirements-dev.txt -e '.[homework]'" in line
