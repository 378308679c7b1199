"""Plausible wrong answers to the homework of 05_rnn_lstm: the grading must reject each."""

from grading import Exercises, changed, load

STEM = "05_rnn_lstm"

RNN = """def rnn_layer(x, h, W_hx, W_hh, b_h):
    states = []
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ W_hx.T + h @ W_hh.T + b_h)
        states.append(h)
    return torch.stack(states, dim=1)
"""
LSTM = """def lstm_cell(x, h, c, W_ih, W_hh, b_ih, b_hh):
    i, f, g, o = (x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
"""
TIME = """def norms_through_time(W_hh, h, last):
    gradient, norms = last, [last.norm()]
    for h_t in h.flip(0)[:-1]:
        gradient = W_hh.T @ ((1 - h_t**2) * gradient)
        norms.append(gradient.norm())
    return torch.stack(norms[::-1])
"""
DRAW = """def draw(logits, temperature, u):
    if temperature == 0:
        return int(logits.argmax())
    chances = torch.softmax(logits / temperature, dim=0)
    below = int((chances.cumsum(dim=0) <= u).sum())
    return min(below, len(logits) - 1)
"""

WRONG = {
    "rnn-layer": {
        "W_hh not transposed": changed(RNN, "W_hh.T", "W_hh"),
        "sigmoid for tanh": changed(RNN, "torch.tanh", "torch.sigmoid"),
        "bias forgotten": changed(RNN, " + b_h", ""),
        "starts from zero": changed(RNN, "    states = []", "    states, h = [], 0 * h"),
        "state never carried": changed(RNN, "h = torch", "new = torch").replace(
            "append(h)", "append(new)"
        ),
        "last state only": changed(RNN, "torch.stack(states, dim=1)", "h"),
        "time in front": changed(RNN, "dim=1", "dim=0"),
        "one step short": changed(RNN, "x.shape[1])", "x.shape[1] - 1)"),
        "backwards": changed(RNN, "range(x.shape[1])", "reversed(range(x.shape[1]))"),
        "no tanh": changed(RNN, "torch.tanh(", "("),
        "h changed in place": changed(RNN, "h = torch.tanh(", "h[:] = torch.tanh("),
        "PyTorch's own": RNN.split("    states")[0]
        + "    layer = nn.RNN(x.shape[2], len(b_h), batch_first=True)\n"
        "    layer.load_state_dict(dict(weight_ih_l0=W_hx, weight_hh_l0=W_hh, bias_ih_l0=b_h, "
        "bias_hh_l0=0 * b_h))\n    return layer(x, h[None])[0]",
    },
    "lstm-cell": {
        "order f, i": changed(LSTM, "i, f, g, o", "f, i, g, o"),
        "order i, f, o, g": changed(LSTM, "i, f, g, o", "i, f, o, g"),
        "candidate through a sigmoid": changed(LSTM, "g.tanh()", "g.sigmoid()"),
        "candidate unsquashed": changed(LSTM, "g.tanh()", "g"),
        "old cell shown": changed(LSTM, "    c = f", "    new = f").replace(
            "c.tanh(), c", "c.tanh(), new"
        ),
        "no tanh on the cell": changed(LSTM, "c.tanh(), c", "c, c"),
        "forget gate turned": changed(LSTM, "f.sigmoid() * c", "(1 - f.sigmoid()) * c"),
        "gates tied": changed(LSTM, "i.sigmoid() * g", "(1 - f.sigmoid()) * g"),
        "hidden bias forgotten": changed(LSTM, " + b_hh", ""),
        "h ignored": changed(LSTM, " + h @ W_hh.T", ""),
        "c first": changed(LSTM, "return o.sigmoid() * c.tanh(), c",
                           "return c, o.sigmoid() * c.tanh()"),
        "h only": changed(LSTM, "c.tanh(), c", "c.tanh()"),
        "cut along the batch": changed(LSTM, "dim=1", "dim=0"),
        "PyTorch's own": LSTM.split("    i, f")[0]
        + "    cell = nn.LSTMCell(x.shape[1], h.shape[1])\n    cell.load_state_dict(dict("
        "weight_ih=W_ih, weight_hh=W_hh, bias_ih=b_ih, bias_hh=b_hh))\n"
        "    return tuple(cell(x, (h, c)))",
    },
    "through-time": {
        "no transpose": changed(TIME, "W_hh.T", "W_hh"),
        "matrix first": changed(TIME, "W_hh.T @ ((1 - h_t**2) * gradient)",
                                "(1 - h_t**2) * (W_hh.T @ gradient)"),
        "slope forgotten": changed(TIME, "(1 - h_t**2) * ", ""),
        "1 - h for 1 - h²": changed(TIME, "h_t**2", "h_t"),
        "slope of the step before": changed(TIME, "h.flip(0)[:-1]", "h.flip(0)[1:]"),
        "last step first": changed(TIME, "norms[::-1]", "norms"),
        "squared norms": changed(TIME, ".norm()", ".square().sum()", times=2),
        "largest entry": changed(TIME, ".norm()", ".abs().max()", times=2),
        "one too many": changed(TIME, "h.flip(0)[:-1]", "h.flip(0)"),
        "largest singular value": changed(
            TIME, "gradient = W_hh.T @ ((1 - h_t**2) * gradient)",
            "gradient = torch.linalg.matrix_norm(W_hh, 2) * gradient"),
        "forwards": changed(TIME, "h.flip(0)[:-1]", "h[1:]"),
    },
    "sampling": {
        "temperature ignored": changed(DRAW, "logits / temperature", "logits"),
        "times the temperature": changed(DRAW, "logits / temperature", "logits * temperature"),
        "always the likeliest": changed(DRAW, "temperature == 0", "True"),
        "zero not handled": changed(DRAW, "temperature == 0", "False"),
        "overflows": changed(DRAW, "torch.softmax(logits / temperature, dim=0)",
                             "(logits / temperature).exp() / (logits / temperature).exp().sum()"),
        "one too far": changed(DRAW, "sum())", "sum()) + 1"),
        "its own random number": changed(DRAW, "<= u)", "<= torch.rand(()))"),
        "u from above": changed(DRAW, "<= u)", "<= 1 - u)"),
        "temperature on the chances": changed(
            DRAW, "torch.softmax(logits / temperature, dim=0)",
            "torch.softmax(logits, dim=0) / temperature"),
        "a tensor": changed(DRAW, "int((chances.cumsum(dim=0) <= u).sum())",
                            "(chances.cumsum(dim=0) <= u).sum()").replace(
            "min(below, len(logits) - 1)", "below"),
        "beyond the last": changed(DRAW, "min(below, len(logits) - 1)", "below"),
        "the least likely": changed(DRAW, "argmax", "argmin").replace("<= u", "< 0 * u"),
        "the last of equals for 0": changed(DRAW, "int(logits.argmax())", "len(logits) - 1"),
        "drawn for 0 too": changed(DRAW.replace("        return int(logits.argmax())",
                                                "        temperature = 1.0"), "== 0", "== 0"),
        "constant": "def draw(logits, temperature, u):\n    return 0\n",
    },
}  # fmt: skip
KEEPS = {
    "rnn-layer": {
        **dict.fromkeys(["starts from zero"], ["rnn-layer-test"]),
    },
    "lstm-cell": {
        **dict.fromkeys(["old cell shown", "no tanh on the cell"], ["lstm-cell-test"]),
    },
    "through-time": {
        **dict.fromkeys(["no transpose", "matrix first", "largest entry"], ["through-time-test"]),
    },
    "sampling": {
        **dict.fromkeys(
            [
                "temperature ignored",
                "times the temperature",
                "always the likeliest",
                "one too far",
                "its own random number",
                "u from above",
                "temperature on the chances",
            ],
            ["sampling-zero-test"],
        ),
        **dict.fromkeys(
            ["zero not handled", "the last of equals for 0", "drawn for 0 too"],
            ["sampling-test", "sampling-limits-test"],
        ),
        **dict.fromkeys(["overflows", "beyond the last"], ["sampling-test", "sampling-zero-test"]),
    },
}
ALSO_RIGHT = {
    "rnn-layer": changed(
        changed(RNN, "x[:, t] @ W_hx.T + h @ W_hh.T", "(W_hx @ x[:, t].T + W_hh @ h.T).T"),
        "torch.tanh",
        "torch.nn.functional.tanh",
    ),
    "lstm-cell": changed(
        LSTM,
        "(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh).chunk(4, dim=1)",
        "[x @ W_ih[k : k + h.shape[1]].T + h @ W_hh[k : k + h.shape[1]].T\n"
        "        + (b_ih + b_hh)[k : k + h.shape[1]] for k in range(0, len(b_ih), h.shape[1])]",
    ),
    "through-time": changed(
        TIME, "W_hh.T @ ((1 - h_t**2) * gradient)", "(gradient * (1 - h_t * h_t)) @ W_hh"
    ),
    "sampling": changed(
        DRAW,
        "below = int((chances.cumsum(dim=0) <= u).sum())",
        "below = int(torch.searchsorted(chances.cumsum(dim=0), torch.tensor(u), right=True))",
    ),
}


class TestHomework(Exercises):
    stem, wrong, keeps, also_right = STEM, WRONG, KEEPS, ALSO_RIGHT


def test_examples_in_the_text_are_right() -> None:
    cells = {cell.id: cell.source for cell in load(STEM).cells}
    names: dict[str, object] = {}
    for cell in ["setup", "homework-setup", *WRONG]:
        exec(cells[cell], names)
    torch = names["torch"]
    one = torch.ones(1, 1)
    states = names["rnn_layer"](torch.tensor([[[1.0], [0.0]]]), 0 * one, one, one, torch.zeros(1))
    assert [round(float(v), 4) for v in states.flatten()] == [0.7616, 0.6420]
    zero = torch.zeros(4, 1)
    h, c = names["lstm_cell"](one, 0 * one, one, zero, zero, zero[:, 0], zero[:, 0])
    assert (round(float(h), 4), float(c)) == (0.2311, 0.5)
    steps = torch.tensor([[0.5], [0.0]])
    norms = names["norms_through_time"](torch.tensor([[2.0]]), steps, torch.ones(1))
    assert norms.tolist() == [2.0, 1.0]
    logits = torch.tensor([0.5, 0.2, 0.3]).log()
    assert [names["draw"](logits, 1.0, u) for u in (0.1, 0.6, 0.95)] == [0, 1, 2]
