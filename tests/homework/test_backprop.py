"""Plausible wrong answers to the homework of 03_backprop: the grading must reject each."""

import re
import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from grading import grade, load, points

STEM = "03_backprop"

MUL = "def mul_backward(a, b, grad):\n    return b * grad, a * grad\n"
TANH = "def tanh_backward(y, grad):\n    return (1 - y**2) * grad\n"
TWO = """def two_steps(x1, x2, w, u, b, t):
    h1 = np.tanh(w * x1 + b)
    h2 = np.tanh(w * x2 + u * h1 + b)
    da2 = (1 - h2**2) * 2 * (h2 - t)
    da1 = (1 - h1**2) * u * da2
    return (h2 - t) ** 2, x2 * da2 + x1 * da1, h1 * da2, da2 + da1
"""
NUMERIC = """def numeric_gradient(f, w, eps=1e-5):
    found = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        above, below = w.copy(), w.copy()
        above[i] += eps
        below[i] -= eps
        found[i] = (f(above) - f(below)) / (2 * eps)
    return found
"""
MOMENTUM = """def momentum_step(w, g, v, lr, beta, nesterov=False):
    v = beta * v + g
    step = g + beta * v if nesterov else v
    return w - lr * step, v
"""
DIAGNOSE = """def diagnose(run):
    if run["loss"][0] > 10:
        return "scaling"
    if run["accuracy"].max() < 0.15:
        return "initialization"
    return "backprop" if (run["gradient"][:, :2] == 0).all() else "zero_grad"
"""


def changed(source: str, old: str, new: str) -> str:
    assert source.count(old) >= 1, old
    return source.replace(old, new)


WRONG = {
    "mul-backward": {
        "factors not swapped": changed(MUL, "b * grad, a * grad", "a * grad, b * grad"),
        "gradient forgotten": changed(MUL, "b * grad, a * grad", "b, a"),
        "as for a sum": changed(MUL, "b * grad, a * grad", "grad, grad"),
        "only one": changed(MUL, "b * grad, a * grad", "b * grad"),
        "summed up": changed(MUL, "b * grad, a * grad", "(b * grad).sum(), (a * grad).sum()"),
    },
    "tanh-backward": {
        "tanh taken again": changed(TANH, "y**2", "np.tanh(y) ** 2"),
        "not squared": changed(TANH, "1 - y**2", "1 - y"),
        "as for a sigmoid": changed(TANH, "1 - y**2", "y * (1 - y)"),
        "gradient forgotten": changed(TANH, " * grad", ""),
        "sign": changed(TANH, "1 - y**2", "y**2 - 1"),
    },
    "two-steps": {
        "only the last use": changed(TWO, "x2 * da2 + x1 * da1", "x2 * da2"),
        "bias once": changed(TWO, "da2 + da1", "da2"),
        "overwritten by the first": changed(TWO, "x2 * da2 + x1 * da1", "x1 * da1"),
        "u forgotten on the way back": changed(TWO, "* u * da2", "* da2"),
        "factor 2 lost": changed(TWO, "2 * (h2 - t)", "(h2 - t)"),
        "one tanh passed as if straight": changed(TWO, "(1 - h1**2) * u", "u"),
        "u gets the second h": changed(TWO, "h1 * da2", "h2 * da2"),
        "loss not squared": changed(TWO, "(h2 - t) ** 2, x2", "h2 - t, x2"),
    },
    "numeric-gradient": {
        "one-sided": changed(
            NUMERIC, "(f(above) - f(below)) / (2 * eps)", "(f(above) - f(w)) / eps"
        ),
        "divided by eps": changed(NUMERIC, "(2 * eps)", "eps"),
        "changes w": changed(NUMERIC, "w.copy(), w.copy()", "w, w.copy()"),
        "all entries at once": changed(
            NUMERIC,
            "above[i] += eps\n        below[i] -= eps",
            "above += eps\n        below -= eps",
        ),
        "rows only": changed(NUMERIC, "np.ndindex(w.shape)", "range(len(w))"),
        "eps ignored": changed(NUMERIC, "    found = ", "    eps = 1e-5\n    found = "),
        "zeros": changed(NUMERIC, "found[i] =", "_ ="),
    },
    "momentum-step": {
        "rate inside the velocity": changed(MOMENTUM, "beta * v + g\n", "beta * v - lr * g\n"),
        "an average": changed(MOMENTUM, "beta * v + g\n", "beta * v + (1 - beta) * g\n"),
        "old velocity": changed(MOMENTUM, "w - lr * step, v", "w - lr * (step - g), v"),
        "Nesterov ignored": changed(MOMENTUM, "g + beta * v if nesterov else v", "v"),
        "Nesterov always": changed(MOMENTUM, "g + beta * v if nesterov else v", "g + beta * v"),
        "in place": changed(MOMENTUM, "v = beta * v + g\n", "v *= beta\n    v += g\n"),
        "uphill": changed(MOMENTUM, "w - lr", "w + lr"),
    },
    "diagnose": {
        **{
            f"always {name}": f"def diagnose(run):\n    return {name!r}\n"
            for name in ("scaling", "backprop", "zero_grad", "initialization")
        },
        "by accuracy alone": 'def diagnose(run):\n    return "backprop" '
        'if run["accuracy"][-1] > 0.5 else "zero_grad" if run["accuracy"].max() > 0.2 '
        'else "scaling"\n',
        "scaling and initialization mixed up": changed(DIAGNOSE, "> 10", "< 10"),
        "from the last loss": changed(DIAGNOSE, 'run["loss"][0] > 10', 'run["loss"][-1] > 10'),
        "the three seen, by heart": 'def diagnose(run):\n    first = round(float(run["loss"][0]))\n'
        '    return "scaling" if first > 10 else "backprop" if first == 3 else "zero_grad"\n',
    },
}
TESTS = {
    "mul-backward": "mul-test",
    "tanh-backward": "tanh-test",
    "two-steps": "two-steps-test",
    "numeric-gradient": "numeric-test",
    "momentum-step": "momentum-test",
    "diagnose": "diagnose-test",
}


def test_every_exercise_has_wrong_answers() -> None:
    solutions = {
        cell.id for cell in load(STEM).cells if cell.metadata.get("nbgrader", {}).get("solution")
    }
    assert set(WRONG) == solutions == set(TESTS)
    assert set(TESTS.values()) == set(points(STEM))
    assert all(len(answers) >= 3 for answers in WRONG.values())


def rounds() -> list[dict[str, str]]:
    """One wrong answer to each exercise at a time: none reads another exercise's code."""
    columns = zip_longest(*[[(cell, name) for name in answers] for cell, answers in WRONG.items()])
    return [dict(entry for entry in column if entry) for column in columns]


@pytest.mark.parametrize("names", rounds(), ids=lambda names: ", ".join(names.values()))
def test_wrong_answers_are_rejected(names: dict[str, str]) -> None:
    earned = grade(STEM, {cell: WRONG[cell][name] for cell, name in names.items()})
    passed = [f"{cell}: {name}" for cell, name in names.items() if earned[TESTS[cell]]]
    assert not passed


def test_right_answers_written_otherwise_pass() -> None:
    earned = grade(
        STEM,
        {
            "mul-backward": MUL,
            "tanh-backward": changed(TANH, "(1 - y**2) * grad", "grad - grad * y * y"),
            "two-steps": TWO,
            "numeric-gradient": NUMERIC,
            "momentum-step": MOMENTUM,
            "diagnose": changed(DIAGNOSE, "> 10", "> 50"),
        },
    )
    assert earned == points(STEM)


def test_the_visible_check_does_not_name_the_diagnosis() -> None:
    source = next(c.source for c in load(STEM).cells if c.id == "diagnose-test")
    visible = source.split("### BEGIN HIDDEN TESTS")[0]
    for name in ("scaling", "backprop", "zero_grad", "initialization"):
        assert f'"{name}"' not in visible


def test_points_and_minutes_add_up_to_what_the_page_says() -> None:
    cells = {cell.id: cell.source for cell in load(STEM).cells}
    said = re.search(r"(\d+) points, about (\d+) minutes", cells["homework"])
    texts = [text for name, text in cells.items() if name.endswith("-text")]
    found = [m for m in (re.search(r"\*\*(\d+) min, (\d+) points", t) for t in texts) if m]
    assert said and len(found) == len(WRONG)
    assert int(said[1]) == sum(int(m[2]) for m in found) == sum(points(STEM).values())
    assert abs(int(said[2]) - sum(int(m[1]) for m in found)) <= 5


def test_examples_in_the_text_are_right() -> None:
    names: dict[str, object] = {"np": np}
    for cell in load(STEM).cells:
        if cell.id in WRONG:
            exec(cell.source, names)
    one = np.array
    assert [v.tolist() for v in names["mul_backward"](one([2.0]), one([5.0]), one([10.0]))] == [
        [50],
        [20],
    ]
    assert names["tanh_backward"](one([0.5]), one([2.0])).tolist() == [1.5]
    assert names["two_steps"](0.0, 1.0, 0.0, 1.0, 0.0, 1.0) == (1, -2, 0, -4)
    step = names["momentum_step"]
    w, v = step(one([1.0]), one([2.0]), one([10.0]), lr=0.1, beta=0.5)
    assert (w[0], v[0]) == (pytest.approx(0.3), 7)
    w, _ = step(one([1.0]), one([2.0]), one([10.0]), lr=0.1, beta=0.5, nesterov=True)
    assert w[0] == pytest.approx(0.45)
    slopes = names["numeric_gradient"](lambda w: (w**2).sum(), one([1.0, 3.0]))
    assert slopes == pytest.approx([2, 6])
