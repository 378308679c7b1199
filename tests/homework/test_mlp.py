"""Plausible wrong answers to the homework of 02_mlp: the grading must reject each."""

from typing import Any

from grading import STUDENT, Exercises, changed, load

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
    first, total = size_of(student_id)
    second = (total - 2 - 3 * first) // (first + 3)
    net = nn.Sequential(
        nn.Linear(2, first), nn.Tanh(), nn.Linear(first, second), nn.Tanh(), nn.Linear(second, 2)
    )
    return net, 0.02
"""

WRONG = {
    "forward": {
        "in place": changed(FORWARD, "x = np.maximum(x, 0)", "np.maximum(x, 0, out=x)")
        .replace("x = x @ W.T + b", "x @= W.T; x += b"),
        "last row only": changed(FORWARD, "return x", "return np.atleast_2d(x)[-1]"),
        "weights multiplied first": "def forward(x, layers):\n    for W, b in layers:\n"
        "        x = np.maximum(x @ W.T, 0) + b\n    return x\n",
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
        "skip at every layer": changed(JOINED, "    for W2", "    W = W + skip * np.eye(*W.shape)\n"
                                       "    for W2").replace("(W + np.eye(len(W)), b)", "(W, b)"),
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
        "slope of SiLU forgotten": changed(SLOPES, "s + z * s * (1 - s)", "s"),
        "softplus with exp": changed(SLOPES, '"softplus": s', '"softplus": 1 / (1 + np.exp(-z))'),
        "SiLU with exp": changed(SLOPES, "s + z * s", "s + z / (1 + np.exp(-z))"),
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
        "made for 12 units": changed(CURVE, "    density", "    units = 12\n    density"),
        "no kink at the left": changed(CURVE, "units + 1)[:-1]", "units + 1)[1:]"),
        "the budget ignored": changed(CURVE, "    density", "    units = 60\n    density"),
    },
    "spiral": {
        "linear": "def design():\n    return nn.Linear(2, 2), 0.02\n",
        "no activation": changed(SPIRAL, "nn.Tanh()", "nn.Identity()", times=2),
        "any size": changed(SPIRAL, "size_of(student_id)", "16, 354"),
        "first layer of another width": changed(SPIRAL, "nn.Linear(2, first)",
            "nn.Linear(2, second)").replace("nn.Linear(first, second)", "nn.Linear(second, first)")
            .replace("nn.Linear(second, 2)", "nn.Linear(first, 2)"),
        "one unit too many": changed(SPIRAL, "(first + 3)", "(first + 3) + 1"),
        "one layer": changed(SPIRAL, "nn.Linear(first, second), nn.Tanh(), nn.Linear(second, 2)",
                             "nn.Linear(first, 2)"),
        "hardly any rate": changed(SPIRAL, "0.02", "1e-4"),
        "far too high a rate": changed(SPIRAL, "0.02", "3.0"),
        "a low rate": changed(SPIRAL, "0.02", "0.002"),
        "twenty straight lines": changed(SPIRAL, "nn.Tanh(), nn.Linear(first, second), nn.Tanh(), "
                                 "nn.Linear(second, 2)", "nn.Linear(first, second), nn.ReLU(), "
                                 "nn.Linear(second, 2)"),
        "sigmoid behind the last": changed(SPIRAL, "nn.Linear(second, 2)\n",
                                           "nn.Linear(second, 2), nn.Sigmoid()\n"),
        "no rate": changed(SPIRAL, "return net, 0.02", "return net"),
        "rate as text": changed(SPIRAL, "return net, 0.02", 'return net, "0.02"'),
        "one output": changed(SPIRAL, "nn.Linear(second, 2)", "nn.Linear(second, 1)"),
        "the same net each time": changed(SPIRAL, "def design():\n", "").replace("\n    ", "\n")
        .split("return")[0].strip() + "\n\n\ndef design():\n    return net, 0.02\n",
        "the same start each time": changed(
            SPIRAL, "    net =", "    torch.manual_seed(0)\n    net ="),
        "a function": "def design():\n    return (lambda x: x), 0.02\n",
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
    "slopes": changed(SLOPES, "(1 + np.tanh(z / 2)) / 2", "np.exp(-np.logaddexp(0, -z))"),
    "budget": changed(
        CURVE,
        "return kinks, solution[:-1], solution[-1]",
        "return list(kinks), solution[:-1].tolist(), float(solution[-1])",
    ),
    "spiral": changed(SPIRAL, "0.02", "0.025"),
}
KEEPS = {
    "forward": {
        **dict.fromkeys(["last row only", "one input only"], ["forward-single-test"]),
        **dict.fromkeys(["batches only"], ["forward-test"]),
    },
    "joined": {
        **dict.fromkeys(
            ["skip ignored", "ones for the identity", "skip in the bias", "skip at every layer"],
            ["joined-test"],
        ),
        **dict.fromkeys(["always a skip", "transposed", "bias only"], ["joined-skip-test"]),
    },
    "slopes": {
        **dict.fromkeys(
            ["overflow", "softplus with exp", "SiLU with exp"], ["slopes-test", "slopes-more-test"]
        ),
        **dict.fromkeys(["one at zero"], ["slopes-more-test", "slopes-far-test"]),
        **dict.fromkeys(
            ["no leak", "a plain ReLU's leak", "tanh not squared"], ["slopes-more-test"]
        ),
        **dict.fromkeys(
            ["product rule forgotten", "softplus like the sigmoid", "slope of SiLU forgotten"],
            ["slopes-test"],
        ),
    },
    "budget": {
        **dict.fromkeys(["made for 12 units", "no kink at the left"], ["budget-test"]),
    },
    "spiral": {
        **dict.fromkeys(["a low rate", "sigmoid behind the last"], ["spiral-test"]),
    },
}


class TestHomework(Exercises):
    stem, wrong, keeps, also_right = STEM, WRONG, KEEPS, ALSO_RIGHT


def test_examples_in_the_text_are_right() -> None:
    cells = {cell.id: cell.source for cell in load(STEM).cells}
    names: dict[str, Any] = {}
    wanted = ("forward", "joined", "slopes", "spiral-numbers", "spiral")
    for cell in ("setup", "homework-setup", *wanted):
        names["student_id"] = STUDENT
        exec(cells[cell], names)
    one, array = names["forward"], names["np"].array
    layers = [(array([[1.0, -1.0]]), array([0.0])), (array([[2.0]]), array([3.0]))]
    assert one(array([1.0, 2.0]), layers).tolist() == [3.0]
    layers = [(array([[2.0]]), array([1.0])), (array([[3.0]]), array([5.0]))]
    assert [part.tolist() for part in names["joined"](layers)] == [[[6.0]], [8.0]]
    assert names["derivative"]("sigmoid", array([0.0])).tolist() == [0.25]
    net, _ = names["design"]()
    first, total = names["size_of"](STUDENT)
    second = net[2].out_features
    assert 3 * first + first * second + 3 * second + 2 == total
    assert sum(p.numel() for p in net.parameters()) == total
