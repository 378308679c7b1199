"""The dry run that the guide begins with: a made-up class, from export to pages."""

import csv
import re
from pathlib import Path

import pytest

from lecture_utils.homework import cli
from lecture_utils.homework.cases import CASES, STEM
from lecture_utils.homework.demo import CLASS


def test_the_demo_grades_its_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--course", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for student, case in CLASS.items():
        assert re.search(rf"^  {student} +{re.escape(CASES[case].does)}$", said, re.MULTILINE)
    folder = tmp_path / "demo"
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
    with (folder / "results" / f"{STEM}.csv").open(encoding="utf-8-sig") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(CLASS)
    full = [name for name, row in rows.items() if row["score"] == row["points"]]
    right = ("right", "twice", "no-metadata", "warnings")
    assert full == sorted(name for name, case in CLASS.items() if case in right)
    assert rows["claude"]["score"] == "0" and "blank" in rows["claude"]["what happened"]
    assert rows["katherine"]["score"] == "" and rows["katherine"]["status"] == "unreadable"
    for name, outcome in [("grace", "timeout"), ("john", "crash"), ("mallory", "tampered")]:
        assert outcome in rows[name].values()
        assert re.search(rf"^{name} .* 1 {outcome}$", said, re.MULTILINE)
    pages = {path.parents[1].name for path in folder.glob("feedback/*/*/*.html")}
    assert pages == set(CLASS)


def test_without_a_sandbox_the_demo_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["demo", "--course", str(tmp_path / "course")]) == 1
    assert "bubblewrap is not installed" in capsys.readouterr().err
    assert not (tmp_path / "course").exists()
