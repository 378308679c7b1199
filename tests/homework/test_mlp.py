"""Plausible wrong answers to the homework of 02_mlp: the grading must reject each."""

import re
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from grading import grade, load, points

STEM = "02_mlp"

FORWARD = """def forward(x, layers):
    for k, (W, b) in enumerate(layers):
        if k > 0:
            x = np.maximum(x, 0)
        x = x @ W.T + b
    return x
"""
JOINED = """def joined(layers, skip=False):
    W, b = layers[0]
    for W2, b2 in layers[1:]:
        W, b = W2 @ W, W2 @ b + b2
    return (W + np.eye(len(W)), b) if skip else (W, b)
"""
SLOPES = """def derivative(name, z):
    s = (1 + np.tanh(z / 2)) / 2
    return {
        "leaky ReLU": np.where(z > 0, 1.0, 0.1),
        "sigmoid": s * (1 - s),
        "tanh": 1 - np.tanh(z) ** 2,
        "softplus": s,
        "SiLU": s + z * s * (1 - s),
    }[name]
"""
CURVE = """def fit_with(x, y, units):
    density = np.sqrt(np.abs(np.gradient(np.gradient(y, x), x))) + 0.05
    total = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(x))])
    kinks = np.interp(np.linspace(0, total[-1], units + 1)[:-1], total, x)
    columns = np.column_stack([np.maximum(0, x[:, None] - kinks), np.ones_like(x)])
    solution = np.linalg.lstsq(columns, y, rcond=None)[0]
    return kinks, solution[:-1], solution[-1]
"""
SPIRAL = """def design():
    net = nn.Sequential(
        nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2)
    )
    return net, 0.03
"""


def changed(source: str, old: str, new: str) -> str:
    assert source.count(old) >= 1, old
    return source.replace(old, new)


WRONG = {
    "forward": {
        "no activation": changed(FORWARD, "k > 0", "False"),
        "ReLU behind the last": changed(FORWARD, "return x", "return np.maximum(x, 0)"),
        "ReLU on the inputs": changed(FORWARD, "k > 0", "True"),
        "not transposed": changed(FORWARD, "W.T", "W"),
        "bias forgotten": changed(FORWARD, " + b", ""),
        "first and last only": changed(FORWARD, "(layers)", "([layers[0], layers[-1]])"),
        "batches only": changed(FORWARD, "return x", "return np.atleast_2d(x)"),
        "one input only": changed(FORWARD, "x @ W.T", "W @ x"),
        "absolute value": changed(FORWARD, "np.maximum(x, 0)", "np.abs(x)"),
        "weights changed": changed(FORWARD, "x = x @ W.T + b", "W *= 1.0001; x = x @ W.T + b"),
        "no return": changed(FORWARD, "return x", "pass"),
    },
    "joined": {
        "wrong order": changed(JOINED, "W2 @ W,", "W @ W2,"),
        "first bias lost": changed(JOINED, "W2 @ b + b2", "b2"),
        "biases added": changed(JOINED, "W2 @ b + b2", "b + b2"),
        "two layers only": changed(JOINED, "layers[1:]", "layers[1:2]"),
        "skip ignored": changed(JOINED, "if skip", "if False"),
        "always a skip": changed(JOINED, "if skip", "if True"),
        "ones for the identity": changed(JOINED, "np.eye(len(W))", "np.ones_like(W)"),
        "skip in the bias": changed(JOINED, "(W + np.eye(len(W)), b)", "(W, b + 1)"),
        "transposed": changed(JOINED, "else (W, b)", "else (W.T, b)"),
        "bias only": changed(JOINED, "else (W, b)", "else b"),
    },
    "slopes": {
        "the functions": SLOPES.split("    return")[0]
        + """    return {"leaky ReLU": np.maximum(0.1 * z, z), "sigmoid": s, "tanh": np.tanh(z),
            "softplus": np.logaddexp(0, z), "SiLU": z * s}[name]
""",
        "overflow": changed(SLOPES, "(1 + np.tanh(z / 2)) / 2", "1 / (1 + np.exp(-z))"),
        "one at zero": changed(SLOPES, "z > 0", "z >= 0"),
        "no leak": changed(SLOPES, "0.1", "0.0"),
        "a plain ReLU's leak": changed(SLOPES, "0.1", "0.01"),
        "tanh not squared": changed(SLOPES, " ** 2", ""),
        "product rule forgotten": changed(SLOPES, "s + z * s * (1 - s)", "z * s * (1 - s)"),
        "softplus like the sigmoid": changed(SLOPES, '"softplus": s', '"softplus": s * (1 - s)'),
        "one number": changed(SLOPES, "}[name]", "}[name].mean()"),
        "constant": "def derivative(name, z):\n    return np.ones_like(z)\n",
    },
    "budget": {
        "even distances": changed(CURVE, "total[-1], units + 1)[:-1], total, x", "1, 2), [0], [0]")
        .replace("np.interp(np.linspace(0, 1, 2), [0], [0])",
                 "np.linspace(-1, 1, units + 1)[:-1]"),
        "a kink at every point": changed(CURVE, "units + 1)[:-1]", "len(x))"),
        "one kink too many": changed(CURVE, "units + 1)[:-1]", "units + 1)"),
        "random kinks": changed(CURVE, "    columns", "    kinks = np.random.default_rng(0)"
                                ".uniform(-1, 1, units)\n    columns"),
        "bias forgotten": changed(CURVE, "solution[-1]", "0.0"),
        "no fit": changed(CURVE, "solution[:-1]", "np.ones(units)"),
        "where it is steep": changed(CURVE, "np.gradient(np.gradient(y, x), x)",
                                     "np.gradient(y, x) ** 8"),
        "constant": "def fit_with(x, y, units):\n    return np.zeros(1), np.zeros(1), y.mean()\n",
        "the budget ignored": changed(CURVE, "    density", "    units = 60\n    density"),
    },
    "spiral": {
        "linear": "def design():\n    return nn.Linear(2, 2), 0.03\n",
        "no activation": changed(SPIRAL, "nn.Tanh()", "nn.Identity()"),
        "too narrow": changed(SPIRAL, "16", "4"),
        "one narrow layer": "def design():\n    return nn.Sequential("
        "nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)), 0.03\n",
        "over the budget": changed(SPIRAL, "16", "24"),
        "hardly any rate": changed(SPIRAL, "0.03", "1e-4"),
        "far too high a rate": changed(SPIRAL, "0.03", "3.0"),
        "no rate": changed(SPIRAL, "return net, 0.03", "return net"),
        "one output": changed(SPIRAL, "nn.Linear(16, 2)", "nn.Linear(16, 1)"),
        "the same net each time": changed(SPIRAL, "def design():\n    net", "kept")
        .split("    return")[0] + "\n\ndef design():\n    return kept, 0.03\n",
        "a function": "def design():\n    return (lambda x: x), 0.03\n",
    },
}  # fmt: skip
ALSO_RIGHT = {
    "forward": """def forward(x, layers):
    *hidden, (W, b) = layers
    for V, c in hidden:
        x = np.clip(np.einsum("oi,...i->...o", V, x) + c, 0, None)
    return np.einsum("oi,...i->...o", W, x) + b
""",
    "joined": """def joined(layers, skip=False):
    total = np.eye(layers[0][0].shape[1] + 1)
    for W, b in layers:
        bottom = np.eye(W.shape[1] + 1)[-1:]
        total = np.vstack([np.column_stack([W, b]), bottom]) @ total
    W, b = total[:-1, :-1], total[:-1, -1]
    return [W + skip * np.eye(*W.shape), b]
""",
    "spiral": changed(changed(SPIRAL, "16", "18"), "0.03", "0.02"),
}


# One mistake in each exercise at a time: no exercise uses another, and the spiral takes a while.
ROUNDS = list(zip_longest(*[[(e, m) for m in answers] for e, answers in WRONG.items()]))


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_wrong_answers_earn_nothing(number: int) -> None:
    quick = ("spiral", "a function")  # no training where no answer is left to try
    chosen = dict([quick, *filter(None, ROUNDS[number])])
    earned = grade(STEM, {e: WRONG[e][mistake] for e, mistake in chosen.items()})
    assert {f"{e} ({m})": earned[f"{e}-test"] for e, m in chosen.items()} == dict.fromkeys(
        (f"{e} ({m})" for e, m in chosen.items()), 0
    )


def test_other_right_answers_earn_all() -> None:
    assert grade(STEM, ALSO_RIGHT) == points(STEM)


def test_the_points_add_up_to_what_the_page_says() -> None:
    cells = {cell.id: cell.source for cell in load(STEM).cells}
    said = re.search(r"(\d+) points, about (\d+) minutes", cells["homework"])
    tasks = [cells[name.removesuffix("-test") + "-text"] for name in points(STEM)]
    found = [re.search(r"(\d+) min, (\d+) points", text) for text in tasks]
    assert said and all(found)
    assert int(said[1]) == sum(points(STEM).values()) == sum(int(m[2]) for m in found)
    assert int(said[2]) == sum(int(m[1]) for m in found)
    assert [float(m[2]) for m in found] == list(points(STEM).values())


def test_examples_in_the_text_are_right() -> None:
    cells = {cell.id: cell.source for cell in load(STEM).cells}
    names: dict[str, Any] = {}
    for cell in ("setup", "homework-setup", "forward", "joined", "slopes", "spiral"):
        exec(cells[cell], names)
    one, array = names["forward"], names["np"].array
    layers = [(array([[1.0, -1.0]]), array([0.0])), (array([[2.0]]), array([3.0]))]
    assert one(array([1.0, 2.0]), layers).tolist() == [3.0]
    layers = [(array([[2.0]]), array([1.0])), (array([[3.0]]), array([5.0]))]
    assert [part.tolist() for part in names["joined"](layers)] == [[[6.0]], [8.0]]
    assert names["derivative"]("sigmoid", array([0.0])).tolist() == [0.25]
    net, _ = names["design"]()
    assert sum(p.numel() for p in net.parameters()) == 16**2 + 6 * 16 + 2
    wide = [names["nn"].Linear(2, 9), names["nn"].Linear(9, 2)]
    assert sum(p.numel() for layer in wide for p in layer.parameters()) == 5 * 9 + 2


def test_every_exercise_has_wrong_answers() -> None:
    assert {f"{exercise}-test" for exercise in WRONG} == set(points(STEM))
    assert all(len(answers) >= 3 for answers in WRONG.values())
