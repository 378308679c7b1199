"""Plausible wrong answers to the homework of 04_cnn: the grading must reject each."""

import re
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from grading import grade, load, points

STEM = "04_cnn"

CONV = """def conv_layer(image, weight, bias, stride=1, padding=0, dilation=1):
    padded = F.pad(image, 4 * [padding])
    reach_y = dilation * (weight.shape[2] - 1) + 1
    reach_x = dilation * (weight.shape[3] - 1) + 1
    rows = (padded.shape[1] - reach_y) // stride + 1
    columns = (padded.shape[2] - reach_x) // stride + 1
    output = torch.zeros(len(weight), rows, columns)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            window = padded[:, top : top + reach_y : dilation, left : left + reach_x : dilation]
            output[:, i, j] = (window * weight).sum(dim=(1, 2, 3)) + bias
    return output
"""
POOL = """def max_pool(image, size, stride=None):
    stride = stride or size
    rows = (image.shape[1] - size) // stride + 1
    columns = (image.shape[2] - size) // stride + 1
    output = torch.zeros(len(image), rows, columns)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            window = image[:, top : top + size, left : left + size]
            output[:, i, j] = window.amax(dim=(1, 2))
    return output
"""
SIDE = "def output_side(side, kernel, stride=1, padding=0, dilation=1):\n    "
GUARD = """if side + 2 * padding < dilation * (kernel - 1) + 1:
        raise ValueError("no window fits")
    """
FIELD = "def receptive_field(layers):\n    "
NET = "def build_net():\n    "
SMALL = """return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 20, 3, stride=2, padding=1), nn.BatchNorm2d(20), nn.ReLU(),
        nn.Flatten(), nn.Linear(320, 10),
    )"""
POOLED = """return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(24 * 9, 10),
    )"""


def changed(source: str, old: str, new: str) -> str:
    assert source.count(old) >= 1, old
    return source.replace(old, new)


WRONG = {
    "conv-layer": {
        "kernel flipped": changed(CONV, "window * weight", "window * weight.flip(2, 3)"),
        "bias forgotten": changed(CONV, " + bias", ""),
        "first channel only": changed(CONV, "(window * weight)", "(window[:1] * weight[:, :1])"),
        "one row short": changed(CONV, "reach_y) // stride + 1", "reach_y) // stride"),
        "dilation ignored": changed(CONV, "    padded", "    dilation = 1\n    padded"),
        "stride ignored": changed(CONV, "    padded", "    stride = 1\n    padded"),
        "stride downwards only": changed(CONV, "i * stride, j * stride", "i * stride, j"),
        "padding ignored": changed(CONV, "4 * [padding]", "4 * [0]"),
        "padded by repeating": changed(CONV, "4 * [padding])", '4 * [padding], mode="replicate")'),
        "square kernels only": changed(CONV, "weight.shape[3]", "weight.shape[2]"),
        "mean for sum": changed(CONV, ".sum(", ".mean("),
        "zeros": changed(CONV, "output[:, i, j] =", "_ ="),
        "no return": changed(CONV, "return output", "pass"),
        "PyTorch's own": CONV.split("    padded")[0]
        + "    return F.conv2d(image[None], weight, bias, stride, padding, dilation)[0]",
    },
    "max-pool": {
        "starts from zero": changed(POOL, "amax(dim=(1, 2))", "amax(dim=(1, 2)).clamp(min=0)"),
        "smallest": changed(POOL, "amax", "amin"),
        "mean": changed(POOL, "amax", "mean"),
        "stride 1 by default": changed(POOL, "stride or size", "stride or 1"),
        "stride ignored": changed(POOL, "stride or size", "size"),
        "channels mixed": changed(POOL, "window.amax(dim=(1, 2))", "window.max()"),
        "one column short": changed(POOL, "columns = (image.shape[2] - size) // stride + 1",
                                    "columns = (image.shape[2] - size) // stride"),
        "rounded up": changed(POOL, "(image.shape[1] - size) // stride + 1",
                              "-((size - image.shape[1]) // stride) + 1"),
        "rows and columns swapped": changed(POOL, "output[:, i, j]", "output[:, j, i]"),
        "PyTorch's own": POOL.split("    stride")[0]
        + "    return F.max_pool2d(image, size, stride)",
    },
    "output-side": {
        "not rounded": SIDE + GUARD
        + "return (side + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1",
        "one short": SIDE + GUARD
        + "return (side + 2 * padding - dilation * (kernel - 1) - 1) // stride",
        "padding once": SIDE + GUARD
        + "return (side + padding - dilation * (kernel - 1) - 1) // stride + 1",
        "dilation ignored": SIDE + GUARD + "return (side + 2 * padding - kernel) // stride + 1",
        "dilation times kernel": SIDE + GUARD
        + "return (side + 2 * padding - dilation * kernel) // stride + 1",
        "stride ignored": SIDE + GUARD + "return side + 2 * padding - dilation * (kernel - 1)",
        "rounded up": SIDE + GUARD
        + "return -(-(side + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1",
        "nothing refused": SIDE
        + "return (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1",
        "0 where none fits": SIDE
        + "return max(0, (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)",
        "all refused": SIDE + 'raise ValueError("no")',
    },
    "receptive": {
        "sum of kernels": FIELD + "return sum(k for k, _, _ in layers)",
        "stride ignored": FIELD + "return 1 + sum(d * (k - 1) for k, _, d in layers)",
        "dilation ignored": FIELD
        + "f, j = 1, 1\n    for k, s, _ in layers:\n        f += (k - 1) * j\n        j *= s\n"
        "    return f",
        "own stride counted": FIELD
        + "f, j = 1, 1\n    for k, s, d in layers:\n        j *= s\n        f += d * (k - 1) * j\n"
        "    return f",
        "strides added": FIELD
        + "f, j = 1, 1\n    for k, s, d in layers:\n        f += d * (k - 1) * j\n"
        "        j += s - 1\n    return f",
        "starts at 0": FIELD
        + "f, j = 0, 1\n    for k, s, d in layers:\n        f += d * (k - 1) * j\n        j *= s\n"
        "    return f",
        "last layer first": FIELD
        + "f, j = 1, 1\n    for k, s, d in layers[::-1]:\n        f += d * (k - 1) * j\n"
        "        j *= s\n    return f",
        "constant": FIELD + "return 5",
    },
    "budget": {
        "linear": NET + "return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))",
        "over the budget": NET + "return lu.models.DigitsCNN()",
        "just over the budget": NET + changed(SMALL, "16, 20, 3", "16, 22, 3")
        .replace("BatchNorm2d(20)", "BatchNorm2d(22)").replace("320", "352"),
        "nine classes": NET + changed(SMALL, "320, 10", "320, 9"),
        "the same net each time": SMALL.replace("return ", "net = ").replace("\n    ", "\n")
        + "\n\n\n" + NET + "return net",
        "constant output": NET + "return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), "
        "nn.Threshold(1e9, 0.0))",
        "a function": NET + "return lambda images: torch.zeros(len(images), 10)",
        "frozen weights count too": NET
        + "net = lu.models.DigitsCNN()\n    net.classifier.requires_grad_(False)\n    return net",
    },
}  # fmt: skip
ALSO_RIGHT = {
    "conv-layer": changed(
        CONV,
        "output[:, i, j] = (window * weight).sum(dim=(1, 2, 3)) + bias",
        "output[:, i, j] = weight.flatten(1) @ window.flatten() + bias",
    ),
    "max-pool": changed(POOL, "window.amax(dim=(1, 2))", "window.flatten(1).max(dim=1).values"),
    "output-side": SIDE
    + GUARD
    + "return len(range(0, side + 2 * padding - dilation * (kernel - 1), stride))",
    "receptive": FIELD
    + "f = 1\n    for k, s, d in reversed(layers):\n        f = (f - 1) * s + d * (k - 1) + 1\n"
    "    return f",
    "budget": NET + POOLED,
}


# One mistake in each exercise at a time: no exercise uses another, and training takes a while.
ROUNDS = list(zip_longest(*[[(e, m) for m in answers] for e, answers in WRONG.items()]))


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_wrong_answers_earn_nothing(number: int) -> None:
    quick = ("budget", "over the budget")  # no training where no answer is left to try
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
    tasks = [text for name, text in cells.items() if name.endswith("-task")]
    found = [re.search(r"\((\d+) points, (\d+) minutes\)", text) for text in tasks]
    assert said and all(found) and len(found) == len(points(STEM))
    assert int(said[1]) == sum(points(STEM).values()) == sum(int(m[1]) for m in found)
    assert int(said[2]) == sum(int(m[2]) for m in found)


def test_examples_in_the_text_are_right() -> None:
    cells = {cell.id: cell.source for cell in load(STEM).cells}
    names: dict[str, object] = {}
    wanted = ["setup", "homework-setup", "conv-layer", "max-pool", "output-side", "receptive"]
    for cell in [*wanted, "budget"]:
        exec(cells[cell], names)
    torch, lu = names["torch"], names["lu"]
    one = torch.tensor([[[3.0]]])
    weight = torch.tensor([[[[2.0]]]])
    assert names["conv_layer"](one, weight, torch.ones(1)).tolist() == [[[7.0]]]
    assert names["max_pool"](torch.tensor([[[1.0, 5], [2, 3]]]), 2).tolist() == [[[5.0]]]
    assert names["output_side"](50, 8, stride=4) == 11
    field = names["receptive_field"]
    layers = [(3, 1, 1), (2, 2, 1), (3, 1, 1)]
    assert [field(layers[:1]), field(layers[:1] * 2), field(layers)] == [3, 5, 8]
    assert lu.models.count_parameters(names["nn"].Linear(784, 10)) == 7850
    assert lu.models.count_parameters(names["nn"].Conv2d(8, 16, 3)) == 1168
    assert lu.models.count_parameters(names["build_net"]()) <= 8000


def test_every_exercise_has_wrong_answers() -> None:
    for answers in WRONG.values():
        for mistake, source in answers.items():
            compile(source, mistake, "exec")  # wrong, yet Python
    assert {f"{name}-test" for name in WRONG} == set(points(STEM))
    assert all(len(answers) >= 3 for answers in WRONG.values())
