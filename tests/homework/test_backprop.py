"""Plausible wrong answers to the homework of 03_backprop: the grading must reject each."""

import re

import numpy as np
import pytest
from grading import Exercises, changed, load

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


TRUTH = {"A": "scaling", "B": "backprop", "C": "zero_grad", "D": "initialization"}
TRUTH |= {"E": "zero_grad", "F": "backprop", "G": "scaling", "H": "initialization"}
TRUTH |= {"I": "zero_grad"}
NAMES = ("scaling", "backprop", "zero_grad", "initialization")
EYE = f"""def missing_ingredients():
    truth = {TRUTH}
    right = [truth[name] for name in recordings_of(student_id)]
    """

WRONG = {
    "mul-backward": {
        "factors not swapped": changed(MUL, "b * grad, a * grad", "a * grad, b * grad"),
        "gradient forgotten": changed(MUL, "b * grad, a * grad", "b, a"),
        "as for a sum": changed(MUL, "b * grad, a * grad", "grad, grad"),
        "divided": changed(MUL, "b * grad, a * grad", "grad / b, grad / a"),
        "as a list of sums": changed(MUL, "b * grad, a * grad", "b * grad + a * grad, 0 * a"),
        "changes grad": changed(MUL, "return", "grad *= 1.5\n    return"),
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
        "h1 forgotten in h2": changed(TWO, "u * h1 + b)", "u + b)"),
        "sign": changed(TWO, "2 * (h2 - t)", "2 * (t - h2)"),
        "as arrays of one": changed(
            TWO, "return (h2 - t) ** 2, ", "return np.array([(h2 - t) ** 2]), "
        ),
        "u as if used twice": changed(TWO, "h1 * da2", "h1 * (da2 + da1)"),
        "the example by heart": "def two_steps(x1, x2, w, u, b, t):\n"
        "    return 1.0, -2.0, 0.0, -4.0\n",
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
        "squares only": "def numeric_gradient(f, w, eps=1e-5):\n    return 2 * w\n",
        "cubes by heart": "def numeric_gradient(f, w, eps=1e-5):\n    return 3 * w**2\n",
        "flat": changed(NUMERIC, "return found", "return found.ravel()"),
        "zeros": changed(NUMERIC, "found[i] =", "_ ="),
    },
    "momentum-step": {
        "rate inside the velocity": changed(MOMENTUM, "beta * v + g\n", "beta * v - lr * g\n"),
        "an average": changed(MOMENTUM, "beta * v + g\n", "beta * v + (1 - beta) * g\n"),
        "old velocity": changed(MOMENTUM, "w - lr * step, v", "w - lr * (step - g), v"),
        "Nesterov ignored": changed(MOMENTUM, "g + beta * v if nesterov else v", "v"),
        "Nesterov always": changed(MOMENTUM, "g + beta * v if nesterov else v", "g + beta * v"),
        "in place": changed(MOMENTUM, "v = beta * v + g\n", "v *= beta\n    v += g\n"),
        "Nesterov with the old velocity": changed(
            MOMENTUM, "    v = beta * v + g\n", "    old, v = v, beta * v + g\n"
        ).replace("g + beta * v if", "g + beta * old if"),
        "Nesterov without the gradient": changed(MOMENTUM, "g + beta * v if", "beta * v if"),
        "plain descent": changed(MOMENTUM, "w - lr * step", "w - lr * g"),
        "uphill": changed(MOMENTUM, "w - lr", "w + lr"),
    },
    "by-eye": {
        **{f"always {name}": EYE + f"return 4 * [{name!r}]" for name in NAMES},
        "one wrong": EYE
        + "return [*right[:3], 'backprop' if right[3] == 'scaling' else 'scaling']",
        "one place on": EYE + "return right[1:] + right[:1]",
        "by last accuracy": EYE
        + "return ['backprop' if runs[k]['accuracy'][-1] > 0.5 else 'scaling' for k in '1234']",
        "another student's": EYE + "return [truth[name] for name in recordings_of('grace')]",
        "three only": EYE + "return right[:3]",
        "in words": EYE + "return ', '.join(right)",
        "something else": EYE + "return [*right[:3], 'luck']",
    },
    "diagnose": {
        **{f"always {name}": f"def diagnose(run):\n    return {name!r}\n" for name in NAMES},
        "by accuracy alone": 'def diagnose(run):\n    return "backprop" '
        'if run["accuracy"][-1] > 0.5 else "zero_grad" if run["accuracy"].max() > 0.2 '
        'else "scaling"\n',
        "scaling and initialization mixed up": changed(DIAGNOSE, "> 10", "< 10"),
        "from the last loss": changed(DIAGNOSE, 'run["loss"][0] > 10', 'run["loss"][-1] > 10'),
        "those seen, by heart": "def diagnose(run):\n"
        "    for k, name in enumerate(missing_ingredients(), 1):\n"
        '        if run["loss"][0] == runs[str(k)]["loss"][0]:\n            return name\n'
        '    return "zero_grad"\n',
        "all nine, by heart": "def diagnose(run):\n    for name, each in recordings.items():\n"
        '        if run["loss"][0] == each["loss"][0]:\n            return dict(zip("ABCDEFGHI", '
        f"{[TRUTH[c] for c in 'ABCDEFGHI']!r}))[name]\n",
        "80 rows": changed(DIAGNOSE, "[:, :2] == 0).all()", "][79, :2] == 0).all()").replace(
            "][79", "[79"
        ),
        "no name": changed(DIAGNOSE, '"scaling"', "0"),
    },
}
KEEPS = {
    "two-steps": {
        **dict.fromkeys(
            [
                "only the last use",
                "bias once",
                "overwritten by the first",
                "u forgotten on the way back",
                "one tanh passed as if straight",
            ],
            ["two-steps-test"],
        ),
        **dict.fromkeys(
            ["u gets the second h", "as arrays of one", "u as if used twice", "loss not squared"],
            ["two-steps-shared-test"],
        ),
    },
    "numeric-gradient": {
        **dict.fromkeys(["rows only", "eps ignored", "flat"], ["numeric-test"]),
    },
    "momentum-step": {
        **dict.fromkeys(
            ["Nesterov ignored", "Nesterov with the old velocity", "Nesterov without the gradient"],
            ["momentum-test"],
        ),
        **dict.fromkeys(["Nesterov always"], ["nesterov-test"]),
    },
}
ALSO_RIGHT = {
    "mul-backward": MUL.replace("b * grad, a * grad", "[grad * b, grad * a]"),
    "tanh-backward": changed(TANH, "(1 - y**2) * grad", "grad - grad * y * y"),
    "two-steps": TWO,
    "numeric-gradient": NUMERIC,
    "momentum-step": MOMENTUM,
    "by-eye": EYE + "return tuple(right)",
    "diagnose": changed(DIAGNOSE, "> 10", "> 50"),
}


class TestHomework(Exercises):
    stem, wrong, keeps, also_right = STEM, WRONG, KEEPS, ALSO_RIGHT


def test_the_visible_check_does_not_name_the_diagnosis() -> None:
    for test in ("by-eye-test", "diagnose-test"):
        source = next(c.source for c in load(STEM).cells if c.id == test)
        visible = source.split("### BEGIN HIDDEN TESTS")[0]
        assert visible != source
        assert not re.search(r"[A-I]\W+(scaling|backprop|zero_grad|initialization)", visible)


def test_examples_in_the_text_are_right() -> None:
    names: dict[str, object] = {"np": np}
    for cell in load(STEM).cells:
        if cell.id in WRONG and cell.id != "by-eye":
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
