"""Every row of the table in homework/README.md: that submission ends as it says there."""

import copy
import re
from collections.abc import Iterator

import pytest
from grading import ROOT

from lecture_utils.homework import sandbox as sandboxes
from lecture_utils.homework.cases import (
    CASES,
    STEM,
    VICTIM,
    inside,
    place,
    to_bytes,
)
from lecture_utils.homework.job import Job, judge, load_assignment
from lecture_utils.homework.sandbox import Limits, Sandbox, why_no_bubblewrap
from lecture_utils.homework.submission import Assignment, answered

SECONDS = 3.0
STOPPED = {"memory", "timeout", "crash", "error"}
"""What a fork bomb may run into first."""


def short_assignment() -> Assignment:
    """01_perceptron without the exercise that trains: fifty submissions wait for its checks."""
    whole = load_assignment(STEM)
    notebook = copy.deepcopy(whole.notebook)
    released = copy.deepcopy(whole.released)
    for part in (notebook, released):
        part.cells = [c for c in part.cells if not c.id.startswith("digits-homework")]
    return Assignment(STEM, notebook, released)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    assert why_no_bubblewrap() == ""
    limits = Limits(cell_seconds=SECONDS, extra_seconds=SECONDS, memory=2**29)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandboxes, "GRACE", 1.0)
        with Sandbox("bubblewrap", short_assignment().prelude(), limits) as made:
            yield made


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return short_assignment()


@pytest.mark.parametrize("name", CASES)
def test_case_ends_as_the_table_says(name: str, sandbox: Sandbox, assignment: Assignment) -> None:
    case = CASES[name]
    result = judge(Job(assignment, "ada", case.make(assignment)), sandbox)
    if case.outcome in ("unreadable", "other"):
        assert (result["status"], result["score"]) == (case.outcome, None)
        assert result["why"]
        return
    assert result["status"] == "graded"
    theirs = {c["outcome"] for c in result["checks"] if c["exercise"] == VICTIM}
    others = {c["outcome"] for c in result["checks"] if c["exercise"] != VICTIM}
    if case.outcome == "stopped":
        assert theirs <= STOPPED
    else:
        # An exercise may have several checks: a wrong answer need not fail all of them.
        assert case.outcome in theirs, result["checks"]
        assert theirs <= {case.outcome, "passed"}
    assert others == ({"passed", "blank"} if case.others == "mixed" else {case.others})
    if case.flag:
        assert any(case.flag in flag for flag in result["flags"]), result["flags"]
    else:
        assert result["flags"] == []
    if case.repair:
        assert any(case.repair in words for words in result["repairs"]), result["repairs"]
    else:
        assert result["repairs"] == []
    for check in result["checks"]:
        earned = check["earned"]
        assert earned == {"passed": check["points"], "tampered": None}.get(check["outcome"], 0)
        assert check["message"] or check["outcome"] == "passed"


def test_the_table_is_that_of_the_cases() -> None:
    page = (ROOT / "homework" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(name, case.does, case.ends) for name, case in CASES.items()]


def test_after_all_of_them_the_sandbox_still_grades(
    sandbox: Sandbox, assignment: Assignment
) -> None:
    result = judge(Job(assignment, "ada", CASES["right"].make(assignment)), sandbox)
    assert result["score"] == result["points"] == assignment.points


def test_an_exercise_of_two_checks_loses_only_the_one_that_kills(
    sandbox: Sandbox, assignment: Assignment
) -> None:
    """The second check uses helpers of the first, which ran in the process that died."""
    notebook = answered(assignment)
    cell = notebook.cells[place(notebook, "weights")]
    cell.source += "\nright_weights = gate_weights\n\ndef gate_weights(name):\n"
    cell.source += "    import os\n    if name == 'AND':\n        os._exit(3)\n"
    cell.source += "    return right_weights(name)\n"
    result = judge(Job(assignment, "ada", to_bytes(notebook)), sandbox)
    outcomes = {c["id"]: c["outcome"] for c in result["checks"]}
    first, second = (check.id for check in assignment.checks_of("weights"))
    assert (outcomes.pop(first), outcomes.pop(second)) == ("crash", "passed")
    assert set(outcomes.values()) == {"passed"}


def test_answers_that_need_what_the_lecture_computes(
    sandbox: Sandbox, assignment: Assignment
) -> None:
    """A student works in a notebook that has run: every name of the lecture is there."""
    name = next(
        n
        for n in assignment.lecture
        if re.search(r"^digits\b.* = ", assignment.cells[n].source, re.MULTILINE)
    )
    variable = re.search(r"^(digits\w*)", assignment.cells[name].source, re.MULTILINE)[1]
    content = inside(f"{variable}")(assignment)
    result = judge(Job(assignment, "ada", content), sandbox)
    assert result["ran_whole"]
    assert result["score"] == result["points"], result["checks"]
