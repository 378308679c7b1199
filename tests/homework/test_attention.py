"""Plausible wrong answers to the homework of 06_attention: the grading must reject each."""

import pytest
import torch
from grading import Exercises, changed, grade, load, points
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

STEM = "06_attention"

ATTEND = """def attend(q, k, v):
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) @ v
"""
MASK = """def causal_mask(n, m):
    return torch.arange(m) <= torch.arange(n)[:, None] + (m - n)
"""
MULTI = """def cross_attention(x, memory, w_q, w_k, w_v, w_o, heads):
    def split(sequence, w):
        return (sequence @ w.T).unflatten(-1, (heads, -1)).transpose(1, 2)

    q, k, v = split(x, w_q), split(memory, w_k), split(memory, w_v)
    z = F.scaled_dot_product_attention(q, k, v)
    return z.transpose(1, 2).flatten(2) @ w_o.T
"""
ENCODING = """def positional_encoding(n, d):
    frequency = 10000.0 ** (-torch.arange(0, d, 2) / d)
    angle = torch.arange(n)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=2).reshape(n, d)
"""
OFFSET = """def offset_matrix(offset, d):
    matrix = torch.zeros(d, d)
    for i in range(0, d, 2):
        angle = torch.tensor(offset * 10000.0 ** (-i / d))
        matrix[i, i] = matrix[i + 1, i + 1] = angle.cos()
        matrix[i, i + 1], matrix[i + 1, i] = angle.sin(), -angle.sin()
    return matrix
"""

WRONG = {
    "attend": {
        "no root": changed(ATTEND, " / np.sqrt(q.shape[-1])", ""),
        "divided by d_k": changed(ATTEND, "np.sqrt(q.shape[-1])", "q.shape[-1]"),
        "root of the number of keys": changed(
            ATTEND, "np.sqrt(q.shape[-1])", "np.sqrt(k.shape[1])"
        ),
        "root of d_v": changed(ATTEND, "np.sqrt(q.shape[-1])", "np.sqrt(v.shape[-1])"),
        "multiplied by the root": changed(ATTEND, "/ np.sqrt", "* np.sqrt"),
        "softmax over the queries": changed(ATTEND, "axis=-1", "axis=1", times=2),
        "softmax over all": changed(ATTEND, "e.sum(axis=-1, keepdims=True)", "e.sum()"),
        "only the largest": "def attend(q, k, v):\n    best = (q @ k.swapaxes(1, 2)).argmax(-1)\n"
        "    return np.take_along_axis(v, best[..., None], 1)\n",
        "scores cut off": changed(
            ATTEND, "    e =", "    scores = np.clip(scores, -50, 50)\n    e ="
        ),
        "largest of all taken away": changed(
            ATTEND, "scores.max(axis=-1, keepdims=True)", "scores.max()"
        ),
        "overflows": changed(ATTEND, " - scores.max(axis=-1, keepdims=True)", ""),
        "scaled after the softmax": changed(
            changed(ATTEND, " / np.sqrt(q.shape[-1])", ""), "@ v", "@ v / np.sqrt(q.shape[-1])"
        ),
        "no softmax": "def attend(q, k, v):\n    return q @ k.swapaxes(1, 2) @ v\n",
        "mean of the values": "def attend(q, k, v):\n"
        "    return np.broadcast_to(v.mean(1, keepdims=True), (*q.shape[:2], v.shape[2])).copy()\n",
        "first sentence only": changed(ATTEND, "@ v", "@ v[:1]"),
        "keys for values": changed(ATTEND, "@ v", "@ k"),
        "the weights": changed(ATTEND, " @ v", ""),
        "no return": changed(ATTEND, "return ", ""),
    },
    "mask": {
        "not itself": changed(MASK, "<=", "<"),
        "the future": changed(MASK, "<=", ">="),
        "as if square": changed(MASK, " + (m - n)", ""),
        "the wrong way round": changed(MASK, "(m - n)", "(n - m)"),
        "one too far": changed(MASK, "(m - n)", "(m - n + 1)"),
        "transposed": MASK.replace("return ", "return (").replace("(m - n)\n", "(m - n)).T\n"),
        "all": "def causal_mask(n, m):\n    return torch.ones(n, m, dtype=torch.bool)\n",
        "numbers": MASK.replace("return ", "return (").replace("(m - n)\n", "(m - n)).float()\n"),
        "what to hide": MASK.replace("return ", "return ~(").replace("(m - n)\n", "(m - n))\n"),
    },
    "multi": {
        "reshaped without a transpose": changed(
            changed(
                MULTI,
                "(sequence @ w.T).unflatten(-1, (heads, -1)).transpose(1, 2)",
                "(sequence @ w.T).reshape(len(sequence), heads, sequence.shape[1], -1)",
            ),
            "z.transpose(1, 2).flatten(2)",
            "z.reshape(x.shape)",
        ),
        "merged without a transpose": changed(
            MULTI, "z.transpose(1, 2).flatten(2)", "z.reshape(x.shape)"
        ),
        "interleaved heads": changed(
            MULTI,
            "unflatten(-1, (heads, -1)).transpose(1, 2)",
            "unflatten(-1, (-1, heads)).movedim(-1, 1)",
        ),
        "w not transposed": changed(MULTI, "sequence @ w.T", "sequence @ w"),
        "w_o not transposed": changed(MULTI, "w_o.T", "w_o"),
        "w_o forgotten": changed(MULTI, " @ w_o.T", ""),
        "one head": changed(MULTI, "    def split", "    heads = 1\n\n    def split"),
        "scaled by the whole width": changed(
            MULTI, "attention(q, k, v)", "attention(q, k, v, scale=x.shape[-1] ** -0.5)"
        ),
        "memory asks": changed(
            changed(MULTI, "split(x, w_q)", "split(memory, w_q)"), "(memory, w_k)", "(x, w_k)"
        ),
        "memory ignored": changed(MULTI, "split(memory", "split(x", times=2),
        "values from x": changed(MULTI, "split(memory, w_v)", "split(x, w_v)"),
        "keys for values": changed(MULTI, "w_v)\n", "w_k)\n"),
        "causal": changed(MULTI, "attention(q, k, v)", "attention(q, k, v, is_causal=True)"),
        "PyTorch's own": MULTI.split("    def")[0]
        + """    module = nn.MultiheadAttention(x.shape[-1], heads, bias=False, batch_first=True)
    module.in_proj_weight.data = torch.cat([w_q, w_k, w_v])
    module.out_proj.weight.data = w_o
    return module(x, memory, memory)[0].detach()
""",
    },
    "encoding": {
        "half sines, half cosines": changed(
            ENCODING,
            "torch.stack([angle.sin(), angle.cos()], dim=2).reshape(n, d)",
            "torch.cat([angle.sin(), angle.cos()], dim=1)",
        ),
        "cosines first": changed(ENCODING, "angle.sin(), angle.cos()", "angle.cos(), angle.sin()"),
        "places from 1": changed(ENCODING, "arange(n)", "arange(1, n + 1)"),
        "half the exponent": changed(ENCODING, "arange(0, d, 2) / d", "arange(0, d // 2) / d"),
        "twice the exponent": changed(ENCODING, "/ d)", "/ d * 2)"),
        "base 1000": changed(ENCODING, "10000.0", "1000.0"),
        "frequencies grow": changed(ENCODING, "(-torch", "(torch"),
        "sines only": changed(ENCODING, "angle.cos()", "angle.sin()"),
        "divided by d - 2": changed(ENCODING, "/ d)", "/ max(d - 2, 1))"),
        "transposed": changed(ENCODING, ".reshape(n, d)", ".reshape(n, d).T"),
        "double precision": changed(ENCODING, ".reshape(n, d)", ".reshape(n, d).double()"),
        "constant": "def positional_encoding(n, d):\n"
        "    return torch.tensor([0.0, 1.0]).repeat(n, d // 2)\n",
    },
    "offset": {
        "the other way": changed(OFFSET, "offset *", "-offset *"),
        "identity": "def offset_matrix(offset, d):\n    return torch.eye(d)\n",
        "one frequency": changed(OFFSET, "-i / d", "0 * i / d"),
        "no minus": changed(OFFSET, "-angle.sin()", "angle.sin()"),
        "sine and cosine swapped": changed(
            changed(OFFSET, "angle.cos()", "angle.x()"), "angle.sin()", "angle.cos()", times=2
        ).replace("angle.x()", "angle.sin()"),
        "a shift of rows": "def offset_matrix(offset, d):\n"
        "    return torch.eye(d).roll(offset, 0)\n",
        "off by one": changed(OFFSET, "(offset *", "((offset + 1) *"),
        "positive only": changed(OFFSET, "offset *", "abs(offset) *"),
        "fixed to one place": "def offset_matrix(offset, d):\n"
        "    first, other = (torch.tensor([f(p / 10000 ** (i / d)) for i in range(0, d, 2)"
        " for f in (np.sin, np.cos)]).float() for p in (0, offset))\n"
        "    return torch.outer(other, first) / (first @ first)\n",
        "no return": changed(OFFSET, "return matrix", "pass"),
    },
}


KEEPS = {
    "attend": {
        **dict.fromkeys(
            ["scores cut off", "largest of all taken away", "overflows"], ["attend-test"]
        ),
    },
    "mask": {
        **dict.fromkeys(["as if square", "the wrong way round"], ["mask-test"]),
    },
    "multi": {
        **dict.fromkeys(
            [
                "reshaped without a transpose",
                "merged without a transpose",
                "interleaved heads",
                "one head",
                "scaled by the whole width",
            ],
            ["multi-test"],
        ),
    },
    "offset": {
        **dict.fromkeys(["positive only"], ["offset-test"]),
    },
}
ALSO_RIGHT = {
    "attend": ATTEND.replace("swapaxes(1, 2)", "transpose(0, 2, 1)"),
    "mask": "def causal_mask(n, m):\n    return torch.ones(m, m).tril()[m - n :] == 1\n",
    "multi": MULTI.replace("unflatten(-1, (heads, -1))", "reshape(*sequence.shape[:2], heads, -1)"),
    "encoding": ENCODING,
    "offset": OFFSET.replace("return matrix", "return matrix.double()"),
}


class TestHomework(Exercises):
    stem, wrong, keeps, also_right = STEM, WRONG, KEEPS, ALSO_RIGHT


def test_what_the_mistakes_are_made_from_earns_all() -> None:
    made_from = {"attend": ATTEND, "mask": MASK, "multi": MULTI, "offset": OFFSET}
    assert grade(STEM, made_from) == points(STEM)


@pytest.fixture(scope="module")
def reference() -> dict:
    """The reference solutions, run."""
    names: dict = {}
    cells = {cell.id: cell for cell in load(STEM).cells}
    for stem in ("setup", "homework-setup", *WRONG):
        exec(cells[stem].source, names)
    return names


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 6)] * 5), st.floats(-1e4, 1e4), st.integers(0, 10**6))
def test_reference_attention_is_torch_s(
    reference: dict, shape: tuple[int, ...], size: float, seed: int
) -> None:
    batch, n, m, d_k, d_v = shape
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(batch, length, width, generator=generator, dtype=torch.float64)
        for length, width in ((n, d_k), (m, d_k), (m, d_v))
    )
    got = reference["attend"]((size * q).numpy(), k.numpy(), v.numpy())
    assert torch.allclose(torch.from_numpy(got), F.scaled_dot_product_attention(size * q, k, v))


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(0, 9))
def test_reference_mask_is_the_end_of_a_square_one(reference: dict, n: int, more: int) -> None:
    square = torch.ones(n + more, n + more, dtype=torch.bool).tril()
    assert torch.equal(reference["causal_mask"](n, n + more), square[more:])


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(1, 5)] * 4), st.integers(1, 4), st.integers(0, 10**6))
def test_reference_heads_are_torch_s(
    reference: dict, shape: tuple[int, ...], heads: int, seed: int
) -> None:
    batch, n, m, width = shape
    d = width * heads
    torch.manual_seed(seed)
    module = nn.MultiheadAttention(d, heads, bias=False, batch_first=True)
    x, memory = torch.randn(batch, n, d), torch.randn(batch, m, d)
    matrices = [*module.in_proj_weight.chunk(3), module.out_proj.weight]
    got = reference["cross_attention"](x, memory, *matrices, heads)
    assert torch.allclose(got, module(x, memory, memory)[0], atol=1e-5)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(-20, 20))
def test_reference_positions_turn_alike(reference: dict, n: int, half: int, offset: int) -> None:
    table = reference["positional_encoding"](n + abs(offset), 2 * half)
    start = max(0, -offset)
    moved = table[start : start + n] @ reference["offset_matrix"](offset, 2 * half).T
    assert torch.allclose(moved, table[start + offset : start + offset + n], atol=1e-4)


def test_examples_on_the_page_are_right(reference: dict) -> None:
    """The values the tasks give as examples."""
    np, torch_ = reference["np"], reference["torch"]
    names = reference
    assert names["attend"](np.zeros((1, 1, 4)), np.ones((1, 2, 4)), np.array([[[1.0], [3.0]]])) == 2
    assert names["causal_mask"](2, 4).tolist() == [[True, True, True, False], [True] * 4]
    assert torch_.allclose(
        names["positional_encoding"](2, 4),
        torch_.tensor([[0, 1, 0, 1], [0.8415, 0.5403, 0.0100, 0.9999]]),
        atol=1e-4,
    )
    assert torch_.equal(names["offset_matrix"](0, 4), torch_.eye(4))
    eye, x, memory = torch_.eye(6), torch_.randn(1, 2, 6), torch_.randn(1, 3, 6)
    plain = F.scaled_dot_product_attention(x, memory, memory)
    assert torch_.allclose(names["cross_attention"](x, memory, eye, eye, eye, eye, 1), plain)
