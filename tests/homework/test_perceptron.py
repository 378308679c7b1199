"""Plausible wrong answers to the homework of 01_perceptron: the grading must reject each."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from grading import grade, load, points

STEM = "01_perceptron"

CLASSIFY = "def classify(x, w, b):\n    "
UPDATE = "def update(x, y, w, b):\n    "
WEIGHTS = "def gate_weights(name):\n    "
XOR = "def xor_weights():\n    "
STEP = "def multiclass_step(x, y, W, b):\n    "
TRAIN = "def train_digits(x, y, passes=3):\n    "
GATES = (
    'gates = {"AND": ([1, 1], -1.5), "NAND": ([-1, -1], 1.5), "NOR": ([-1, -1], 0.5), '
    '"IMPLIES": ([-1, 1], 0.5), "MAJORITY": ([1, 1, 1], -1.5)}\n    '
)
LOOP = """W, b = torch.zeros(10, x.shape[1]), torch.zeros(10)
    W_sum, b_sum = W.clone(), b.clone()
    for _ in range(passes):
        for i in range(len(x)):
            multiclass_step(x[i], int(y[i]), W, b)
            W_sum += W
            b_sum += b
    """

WRONG = {
    "classify": {
        "0 counts as -1": CLASSIFY + "return np.where(x @ w + b > 0, 1, -1)",
        "labels 0 and 1": CLASSIFY + "return (x @ w + b >= 0).astype(int)",
        "no bias": CLASSIFY + "return np.where(x @ w >= 0, 1, -1)",
        "the score itself": CLASSIFY + "return x @ w + b",
        "signs the wrong way round": CLASSIFY + "return np.where(x @ w + b >= 0, -1, 1)",
        "sign, which knows 0": CLASSIFY + "return np.sign(x @ w + b).astype(int)",
        "a column for a batch": CLASSIFY + "return np.where((x @ w + b)[..., None] >= 0, 1, -1)",
        "one row only": CLASSIFY + "return 1 if np.atleast_2d(x)[0] @ w + b >= 0 else -1",
        "constant": CLASSIFY + "return np.ones(x.shape[:-1], int)",
        "real numbers": CLASSIFY + "return np.where(x @ w + b >= 0, 1.0, -1.0)",
        "no return": CLASSIFY + "np.where(x @ w + b >= 0, 1, -1)",
    },
    "update": {
        "always": UPDATE + "return w + y * x, b + y",
        "never": UPDATE + "return w, b",
        "0 is no mistake": UPDATE + "return (w + y * x, b + y) if y * (x @ w + b) < 0 else (w, b)",
        "sign the wrong way round": UPDATE
        + "return (w - y * x, b - y) if y * (x @ w + b) <= 0 else (w, b)",
        "bias stays": UPDATE + "return (w + y * x, b) if y * (x @ w + b) <= 0 else (w, b)",
        "bias plus 1": UPDATE + "return (w + y * x, b + 1) if y * (x @ w + b) <= 0 else (w, b)",
        "label forgotten": UPDATE + "return (w + x, b + y) if y * (x @ w + b) <= 0 else (w, b)",
        "bias not in the test": UPDATE
        + "return (w + y * x, b + y) if y * (x @ w) <= 0 else (w, b)",
        "changes the caller's w": UPDATE
        + "if y * (x @ w + b) <= 0:\n        w += y * x\n        b += y\n    return w, b",
        "half a step": UPDATE
        + "return (w + y * x / 2, b + y / 2) if y * (x @ w + b) <= 0 else (w, b)",
    },
    "weights": {
        "threshold of OR for AND": WEIGHTS
        + GATES
        + 'gates["AND"] = ([1, 1], -0.5)\n    return gates[name]',
        "line through the points": WEIGHTS
        + GATES
        + 'gates["AND"] = ([1, 1], -1)\n    return gates[name]',
        "line too near": WEIGHTS + GATES + 'gates["AND"] = ([1, 1], -1.9)\n    return gates[name]',
        "NAND as AND": WEIGHTS + GATES + 'gates["NAND"] = gates["AND"]\n    return gates[name]',
        "NOR as NAND": WEIGHTS + GATES + 'gates["NOR"] = gates["NAND"]\n    return gates[name]',
        "implies the other way": WEIGHTS
        + GATES
        + 'gates["IMPLIES"] = ([1, -1], 0.5)\n    return gates[name]',
        "all three for a majority": WEIGHTS
        + GATES
        + 'gates["MAJORITY"] = ([1, 1, 1], -2.5)\n    return gates[name]',
        "majority of two inputs": WEIGHTS
        + GATES
        + 'gates["MAJORITY"] = ([1, 1], -1.5)\n    return gates[name]',
        "the same for all": WEIGHTS + "return [1, 1], -1.5",
    },
    "xor": {
        "the lecture's hidden units": XOR
        + "return torch.tensor([[1.0, 1], [-1, -1]]), torch.tensor([-0.5, 1.5]), "
        "torch.ones(2), torch.tensor(-1.5)",
        "AND before OR": XOR + "return torch.ones(2, 2), torch.tensor([-1.5, -0.5]), "
        "torch.tensor([-1.0, 1]), torch.tensor(-0.5)",
        "output OR": XOR + "return torch.ones(2, 2), torch.tensor([-0.5, -1.5]), "
        "torch.ones(2), torch.tensor(-0.5)",
        "both units OR": XOR + "return torch.ones(2, 2), torch.tensor([-0.5, -0.5]), "
        "torch.tensor([1.0, -1]), torch.tensor(-0.5)",
        "w2 as a row": XOR + "return torch.ones(2, 2), torch.tensor([-0.5, -1.5]), "
        "torch.tensor([[1.0, -1]]), torch.tensor(-0.5)",
        "b2 as a vector": XOR + "return torch.ones(2, 2), torch.tensor([-0.5, -1.5]), "
        "torch.tensor([1.0, -1]), torch.tensor([-0.5])",
        "thresholds on the points": XOR + "return torch.ones(2, 2), torch.tensor([0.0, -1.0]), "
        "torch.tensor([1.0, -1]), torch.tensor(0.0)",
        "no bias at the output": XOR + "return torch.ones(2, 2), torch.tensor([-0.5, -1.5]), "
        "torch.tensor([-1.0, 1]), torch.tensor(0.0)",
    },
    "multiclass": {
        "nothing taken away": STEP
        + "k = int((W @ x + b).argmax())\n    if k != y:\n        W[y] += x\n        b[y] += 1\n"
        "    return k != y",
        "bias forgotten": STEP
        + "k = int((W @ x + b).argmax())\n    if k != y:\n        W[y] += x\n        W[k] -= x\n"
        "    return k != y",
        "bias not in the score": STEP
        + "k = int((W @ x).argmax())\n    if k != y:\n        W[y] += x\n        W[k] -= x\n"
        "        b[y] += 1\n        b[k] -= 1\n    return k != y",
        "signs the wrong way round": STEP
        + "k = int((W @ x + b).argmax())\n    if k != y:\n        W[y] -= x\n        W[k] += x\n"
        "        b[y] -= 1\n        b[k] += 1\n    return k != y",
        "not in place": STEP
        + "k = int((W @ x + b).argmax())\n    if k != y:\n        W = W.clone()\n"
        "        W[y] += x\n        W[k] -= x\n        b[y] += 1\n        b[k] -= 1\n"
        "    return k != y",
        "returns whether it was right": STEP
        + "k = int((W @ x + b).argmax())\n    if k != y:\n        W[y] += x\n        W[k] -= x\n"
        "        b[y] += 1\n        b[k] -= 1\n    return k == y",
        "takes from all the others": STEP
        + "k = int((W @ x + b).argmax())\n    if k != y:\n        W -= x\n        W[y] += 2 * x\n"
        "        b -= 1\n        b[y] += 2\n    return k != y",
        "least score wins": STEP
        + "k = int((W @ x + b).argmin())\n    if k != y:\n        W[y] += x\n        W[k] -= x\n"
        "        b[y] += 1\n        b[k] -= 1\n    return k != y",
    },
    "digits-homework": {
        "last weights": TRAIN + LOOP + "return W, b",
        "zeros": TRAIN + "return torch.zeros(10, x.shape[1]), torch.zeros(10)",
        "first 500 only": TRAIN
        + LOOP.replace("range(len(x))", "range(min(500, len(x)))")
        + "return W_sum, b_sum",
        "weights as columns": TRAIN + LOOP + "return W_sum.T, b_sum",
        "fixed width": TRAIN + LOOP.replace("x.shape[1]", "784") + "return W_sum, b_sum",
        "labels forgotten": TRAIN + LOOP.replace("int(y[i])", "i % 10") + "return W_sum, b_sum",
        "sums the other way round": TRAIN + LOOP + "return -W_sum, -b_sum",
    },
}
ALSO_RIGHT = {
    "classify": CLASSIFY + "return 2 * (x @ w + b >= 0).astype(int) - 1",
    "update": UPDATE + "wrong = (1 if x @ w + b > 0 else -1 if x @ w + b < 0 else 0) != y\n"
    "    return (w + y * x, b + y) if wrong else (w.copy(), b)",
    "weights": WEIGHTS
    + 'return {"AND": ([2, 2], -3), "NAND": ([-2, -2], 3), "NOR": ([-4, -4], 2), '
    '"IMPLIES": ([-3, 3], 1.5), "MAJORITY": ([2, 2, 2], -3)}[name]',
    "xor": XOR + "return 2 * torch.ones(2, 2), torch.tensor([-1.0, -3.0]), "
    "torch.tensor([1.0, -2]), torch.tensor(-0.5)",
    "digits-homework": TRAIN + LOOP + "return W_sum, b_sum",  # a sum ranks as its average does
}


@pytest.mark.parametrize(
    ("exercise", "mistake"), [(e, m) for e, answers in WRONG.items() for m in answers]
)
def test_wrong_answer_earns_nothing(exercise: str, mistake: str) -> None:
    earned = grade(STEM, {exercise: WRONG[exercise][mistake]})
    assert earned[f"{exercise}-test"] == 0


@pytest.mark.parametrize("exercise", ALSO_RIGHT)
def test_another_right_answer_earns_all(exercise: str) -> None:
    test = f"{exercise}-test"
    assert grade(STEM, {exercise: ALSO_RIGHT[exercise]})[test] == points(STEM)[test]


def test_the_points_add_up_to_what_the_page_says() -> None:
    cells = {cell.id: cell.source for cell in load(STEM).cells}
    said = re.search(r"(\d+) points", cells["homework"])
    assert said and int(said[1]) == sum(points(STEM).values())
    minutes = [re.search(r"(\d+) min", text) for text in cells.values()]
    times = [
        int(m[1])
        for name, m in zip(cells, minutes, strict=True)
        if m and name not in ("title", "homework")
    ]
    assert re.search(rf"about {sum(times)} minutes", cells["homework"])


def test_every_exercise_has_wrong_answers() -> None:
    assert {f"{name}-test" for name in WRONG} == set(points(STEM))
    assert all(len(answers) >= 3 for answers in WRONG.values())
