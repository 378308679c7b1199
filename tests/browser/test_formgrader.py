"""nbgrader's formgrader on a graded class: a score given there stays when it is graded again."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab import browser_page, free_port
from playwright.sync_api import expect

from lecture_utils.homework import grade, release
from lecture_utils.homework.cases import to_bytes
from lecture_utils.homework.course import Course
from lecture_utils.homework.job import load_assignment
from lecture_utils.homework.sandbox import Limits
from lecture_utils.homework.submission import answered

pytestmark = pytest.mark.browser
STEM = "06_attention"


def test_points_by_hand(tmp_path: Path) -> None:
    course = Course.find(tmp_path / "course")
    release.release(course, STEM)
    assignment = load_assignment(STEM)
    folder = course.submitted / "ada" / STEM
    folder.mkdir(parents=True)
    notebook = answered(assignment)
    exercise = list(assignment.solutions)[0]
    check = assignment.checks_of(exercise)[0]
    for cell in notebook.cells:
        if cell.id == exercise:
            cell.source = assignment.blank[exercise] + "\n# <b>I ran out of time</b>\n1 / 0"
    (folder / f"{STEM}.ipynb").write_bytes(to_bytes(notebook))

    def run() -> float:
        (result,) = grade.grade(
            course, STEM, mode="bubblewrap", limits=Limits(), force=True, quiet=True
        )
        return result["score"]

    lost = sum(c.points for c in assignment.checks_of(exercise))
    assert run() == assignment.points - lost
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "lecture_utils.cli", "homework", "formgrader", "--no-browser"]
        + ["--course", str(course.root), "--port", str(port)],
        env=os.environ | {"LECTURE_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        address = re.search(r"http://\S+", server.stdout.readline())[0]
        base = address.partition("/formgrader")[0]
        with browser_page() as page:
            page.goto(address)
            page.get_by_role("link", name=STEM).first.wait_for()
            page.goto(f"{base}/formgrader/gradebook/{STEM}/{STEM}")
            link = page.locator("table tbody a[href*='/submissions/']").first
            page.goto(base + link.get_attribute("href"))
            expect(page.get_by_text("I ran out of time")).to_be_visible()
            assert page.locator("b", has_text="I ran out").count() == 0
            box = page.locator("input.score").first  # the first exercise's first check
            expect(box).to_have_attribute("placeholder", "0")  # which the page asks for
            box.fill("1")
            box.press("Tab")
            deadline = time.monotonic() + 60
            while _by_hand(course, check.id) is None and time.monotonic() < deadline:
                page.wait_for_timeout(200)
    finally:
        server.terminate()  # as Ctrl-C: JupyterLab must end with it
        server.wait(60)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert _by_hand(course, check.id) == 1
    run()
    with course.gradebook() as gradebook:
        assert gradebook.find_submission(STEM, "ada").score == assignment.points - lost + 1


def _by_hand(course: Course, check: str) -> float | None:
    with course.gradebook() as gradebook:
        return gradebook.find_grade(check, STEM, STEM, "ada").manual_score
