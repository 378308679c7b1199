"""Plausible wrong answers to the homework of 04_cnn: the grading must reject each."""

from grading import Exercises, changed, load

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
STACK = """def my_stack():
    def fill(steps):
        found = []
        for k, d in [(5, 3), (4, 3), (5, 2), (4, 2), (5, 1), (4, 1), (3, 1), (2, 1)]:
            while steps >= d * (k - 1) and len(found) < 3:
                steps -= d * (k - 1)
                found.append((k, 1, d))
        return found if steps == 0 else None

    def whole(field, distance):
        for first in range(1, 6):
            rest = (field - first) % distance == 0 and fill((field - first) // distance)
            if rest:
                return [(first, distance, 1), *rest]

    field, distance = stack_of(student_id)
    right = whole(field, distance)
    """
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
        "square images only": changed(POOL, "image.shape[2] - size", "image.shape[1] - size"),
        "whole windows by rounding": changed(POOL, "- size) // stride + 1", "// stride)", times=2),
        "stride of 2 by default": changed(POOL, "stride or size", "stride or 2"),
        "stride downwards only": changed(POOL, "i * stride, j * stride", "i * stride, j * size"),
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
        "too much refused": SIDE + changed(GUARD, "+ 1:", "+ 2:").replace("side + 2", "side + 2")
        + "return (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1",
        "refused by another error": SIDE + changed(GUARD, "ValueError", "TypeError")
        + "return (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1",
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
        "product of kernels": FIELD
        + "f = 1\n    for k, _, d in layers:\n        f *= d * (k - 1) + 1\n    return f",
        "dilation times kernel": FIELD
        + "f, j = 1, 1\n    for k, s, d in layers:\n        f += (d * k - 1) * j\n        j *= s\n"
        "    return f",
        "the examples by heart": FIELD + "return {1: 3, 2: 5, 3: 8}[len(layers)]",
        "constant": FIELD + "return 5",
    },
    "stack": {
        "the example": STACK + "return [(3, 1, 1), (2, 2, 1), (3, 1, 1)]",
        "field only": STACK + "return [(1, distance, 1)] + fill(field - 1)",
        "stride last": STACK + "return right[1:] + right[:1]",
        "stride forgotten": STACK + "return [(k, 1, d) for k, _, d in right]",
        "strides in every layer": STACK + "return [(k, distance, d) for k, _, d in right]",
        "one cell more": STACK
        + "return [(right[0][0] % 5 + 1, distance, 1), *right[1:]]",
        "another student's": STACK + "return whole(*stack_of('grace'))",
        "one large kernel": STACK + "return [(field, distance, 1)]",
        "too many layers": STACK + "return [*right, *3 * [(1, 1, 1)]]",
        "large dilation": STACK + "return [(2, distance, 1), (2, 1, (field - 2) // distance)]",
        "pairs": STACK + "return [(k, s) for k, s, _ in right]",
        "real numbers": STACK + "return [(float(k), s, d) for k, s, d in right]",
        "nothing": STACK + "pass",
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
    "stack": STACK + "return tuple(right)",
    "receptive": FIELD
    + "f = 1\n    for k, s, d in reversed(layers):\n        f = (f - 1) * s + d * (k - 1) + 1\n"
    "    return f",
    "budget": NET + changed(SMALL, "nn.Flatten()", "nn.Dropout(0.0), nn.Flatten()"),
}
KEEPS = {
    "conv-layer": {
        **dict.fromkeys(
            ["dilation ignored", "square kernels only"], ["conv-layer-test", "conv-stride-test"]
        ),
        **dict.fromkeys(
            ["stride ignored", "stride downwards only", "padding ignored", "padded by repeating"],
            ["conv-layer-test"],
        ),
    },
    "max-pool": {
        **dict.fromkeys(
            ["whole windows by rounding", "stride downwards only", "stride ignored"],
            ["max-pool-test"],
        ),
        **dict.fromkeys(
            ["stride of 2 by default", "stride 1 by default"], ["max-pool-stride-test"]
        ),
    },
    "output-side": {
        **dict.fromkeys(
            ["not rounded", "stride ignored", "rounded up"], ["output-side-refuse-test"]
        ),
        **dict.fromkeys(
            ["refused by another error", "nothing refused", "0 where none fits"],
            ["output-side-test"],
        ),
    },
    "receptive": {
        **dict.fromkeys(["dilation ignored", "dilation times kernel"], ["receptive-test"]),
    },
}


class TestHomework(Exercises):
    stem, wrong, keeps, also_right = STEM, WRONG, KEEPS, ALSO_RIGHT


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
    assert layers[0][1] * layers[1][1] * layers[2][1] == 2  # so it is an example of a stack too
    assert lu.models.count_parameters(names["nn"].Linear(784, 10)) == 7850
    assert lu.models.count_parameters(names["nn"].Conv2d(8, 16, 3)) == 1168
    assert lu.models.count_parameters(names["build_net"]()) <= 8000
