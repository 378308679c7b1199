"""Plausible wrong answers to the homework of 01_perceptron: the grading must reject each."""

import itertools

from grading import Exercises

STEM = "01_perceptron"

CLASSIFY = "def classify(x, w, b):\n    "
UPDATE = "def update(x, y, w, b):\n    "
WEIGHTS = "def gate_weights(name):\n    "
OWN = """def own_gate():
    wanted, at_least = gate_of(student_id)
    signs = [2 * value - 1 for value in wanted]
    """
XOR = """def xor_weights():
    off, on, *units = switches_of(student_id)
    low, high = 1.5 * off + 0.5 * on, 0.5 * off + 1.5 * on
    rows = {"OR": (1, low), "NOR": (-1, low), "AND": (1, high), "NAND": (-1, high)}
    W1 = torch.tensor([[float(rows[unit][0])] * 2 for unit in units])
    b1 = torch.tensor([-rows[unit][0] * rows[unit][1] for unit in units])
    w2 = torch.tensor([{"OR": 1.0, "NOR": -1, "AND": -1, "NAND": 1}[unit] for unit in units])
    b2 = torch.tensor(sum({"NOR": 1.0, "NAND": -1.0}.get(unit, 0.0) for unit in units) - 0.5)
    SUMS = [float(off + on), 2.0 * on]
    """
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
    "own-gate": {
        "all must be 1": OWN + "return [1] * 6, 0.5 - at_least",
        "zeros forgotten in the bias": OWN + "return signs, 0.5 - at_least",
        "one more needed": OWN + "return signs, wanted.count(0) - at_least - 0.5",
        "one fewer needed": OWN + "return signs, wanted.count(0) - at_least + 1.5",
        "the other way round": OWN + "return [-s for s in signs], at_least - wanted.count(0) - 0.5",
        "line through the points": OWN + "return signs, wanted.count(0) - at_least",
        "line too near": OWN + "return signs, wanted.count(0) - at_least + 0.2",
        "weights for ones only": OWN + "return wanted, 0.5 - at_least",
        "one weight too few": OWN + "return signs[:5], wanted.count(0) - at_least + 0.5",
        "constant": OWN + "return [0] * 6, 1",
        "bias only": OWN + "return wanted.count(0) - at_least + 0.5",
    },
    "xor": {
        "inputs 0 and 1": XOR
        + "return torch.ones(2, 2), torch.tensor([-0.5, -1.5]), torch.tensor([1.0, -1.0]), b2",
        "hidden units in the other order": XOR + "return W1.flip(0), b1.flip(0), w2.flip(0), b2",
        "one hidden unit twice": XOR + "return W1[[0, 0]], b1[[0, 0]], w2, b2",
        "all signs turned": XOR + "return -W1, -b1, w2, b2",
        "output OR": XOR + "return W1, b1, torch.ones(2), torch.tensor(-0.5)",
        "output AND": XOR + "return W1, b1, torch.ones(2), torch.tensor(-1.5)",
        "output turned": XOR + "return W1, b1, -w2, -b2",
        "no bias at the output": XOR + "return W1, b1, w2, torch.tensor(-2.5)",
        "w2 as a row": XOR + "return W1, b1, w2[None], b2",
        "b2 as a vector": XOR + "return W1, b1, w2, b2[None]",
        "thresholds on the points": XOR
        + "return W1, -W1[:, 0] * torch.tensor(SUMS)[[0, 1]], w2, b2",
        "thresholds too near": XOR + "return W1, b1 + 0.4 * (on - off), w2, b2",
        "no bias": XOR + "return W1, 0 * b1, w2, b2",
        "three of four": XOR + "return W1, b1, w2",
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
KEEPS = {
    "weights": {
        **dict.fromkeys(
            [
                "threshold of OR for AND",
                "line through the points",
                "line too near",
                "NAND as AND",
                "NOR as NAND",
                "implies the other way",
            ],
            ["weights-majority-test"],
        ),
        **dict.fromkeys(["all three for a majority", "majority of two inputs"], ["weights-test"]),
    },
    "xor": {
        **dict.fromkeys(
            ["output OR", "output AND", "output turned", "no bias at the output"],
            ["xor-hidden-test"],
        ),
    },
}
ALSO_RIGHT = {
    "classify": CLASSIFY + "return 2 * (x @ w + b >= 0).astype(int) - 1",
    "update": UPDATE + "wrong = (1 if x @ w + b > 0 else -1 if x @ w + b < 0 else 0) != y\n"
    "    return (w + y * x, b + y) if wrong else (w.copy(), b)",
    "weights": WEIGHTS
    + 'return {"AND": ([2, 2], -3), "NAND": ([-2, -2], 3), "NOR": ([-4, -4], 2), '
    '"IMPLIES": ([-3, 3], 1.5), "MAJORITY": ([2, 2, 2], -3)}[name]',
    "own-gate": OWN + "return np.array(signs) * 2, 2 * (wanted.count(0) - at_least) + 0.9",
    "xor": XOR + "return [(3 * W1).double(), 3 * b1.double(), 2 * w2, 2 * b2]",
    "digits-homework": TRAIN + LOOP + "return W_sum, b_sum",  # a sum ranks as its average does
}


class TestHomework(Exercises):
    stem, wrong, keeps, also_right = STEM, WRONG, KEEPS, ALSO_RIGHT


def test_the_example_of_a_gate_is_right() -> None:
    """At least 1 of x1 = 1, x2 = 0, by ([1, -1], 0.5)."""
    for x1, x2 in itertools.product((0, 1), repeat=2):
        assert (x1 - x2 + 0.5 > 0) == (x1 == 1 or x2 == 0)
