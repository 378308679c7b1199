"""05_rnn_lstm: the notebook's own functions, and every panel against an independent computation."""

import math
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import answered, send, show, sources, sweep, sweep_all
from torch import nn
from torch.nn import functional as F

import lecture_utils as lu
from lecture_utils import panel as panel_module
from lecture_utils.demos import rnn_lstm as demos
from lecture_utils.demos import rnn_lstm_gates, rnn_lstm_speed, rnn_lstm_text
from lecture_utils.demos.rnn_lstm_parts import power, read_numbers, short, write_numbers

NOTEBOOK = "05_rnn_lstm"
CELLS = sources(NOTEBOOK)


def plain(html: str) -> str:
    return re.sub("<[^>]+>", "", html).replace("−", "-")


def artists(panel: Any, kind: type) -> list[Any]:
    return [a for ax in panel.figure.figure.axes for a in ax.get_children() if isinstance(a, kind)]


# ---- the notebook's functions

shapes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))


@given(shapes)
@settings(max_examples=60, deadline=None)
def test_rnn_step_is_torchs(lesson: SimpleNamespace, sizes: tuple[int, int, int]) -> None:
    inputs, units, seed = sizes
    torch.manual_seed(seed)
    cell = nn.RNNCell(inputs, units)
    x, h = torch.randn(inputs), torch.randn(units)
    ours = lesson.rnn_step(x, h, cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh)
    torch.testing.assert_close(ours, cell(x, h), atol=1e-6, rtol=0)


@given(shapes)
@settings(max_examples=60, deadline=None)
def test_lstm_step_is_torchs(lesson: SimpleNamespace, sizes: tuple[int, int, int]) -> None:
    inputs, units, seed = sizes
    torch.manual_seed(seed)
    cell = nn.LSTMCell(inputs, units)
    x, h, c = torch.randn(inputs), torch.randn(units), torch.randn(units)
    bias = cell.bias_ih + cell.bias_hh
    ours = lesson.lstm_step(x, h, c, cell.weight_ih, cell.weight_hh, bias)
    torch.testing.assert_close(ours, cell(x, (h, c)), atol=1e-6, rtol=0)


def test_cells_print_equality() -> None:
    for cell in ("same-as-rnncell", "same-as-lstmcell"):
        assert "largest difference" in CELLS[cell]


def test_read_out_is_affine(lesson: SimpleNamespace) -> None:
    layer = nn.Linear(4, 2)
    h = torch.randn(4)
    torch.testing.assert_close(lesson.read_out(h, layer.weight, layer.bias), layer(h))


def test_gradient_norms_are_those_of_the_formula(lesson: SimpleNamespace) -> None:
    generator = torch.Generator().manual_seed(0)
    w_hh = torch.randn(5, 5, generator=generator).requires_grad_()
    x = torch.randn(7, 5, generator=generator)
    states = []

    def step(x_t: Any, h: Any) -> tuple[Any]:
        states.append(torch.tanh(x_t + w_hh @ h))
        return (states[-1],)

    found = lesson.gradient_norms(step, (torch.zeros(5),), x)
    back = torch.ones(5)
    expected = [back.norm()]
    for h in states[:0:-1]:
        back = w_hh.T @ ((1 - h**2) * back)
        expected.append(back.norm())
    torch.testing.assert_close(torch.stack([n for (n,) in found]), torch.stack(expected[::-1]))


def test_gradient_along_the_cell_is_the_product_of_forget_gates(lesson: SimpleNamespace) -> None:
    f = torch.tensor([0.9, 0.5, 0.8, 0.7])

    def step(f_t: Any, h: Any, c: Any) -> Any:
        closed = 0 * h  # the gates read h, as they must, and no gradient comes that way
        return lesson.lstm_update(c, f_t, closed, closed, torch.ones(1))

    start = torch.full((1,), 0.3, requires_grad=True)
    norms = lesson.gradient_norms(step, (torch.zeros(1), start), f[:, None])
    ratio = norms[0][1] / norms[-1][1]
    assert ratio == pytest.approx(float(f[1:].prod()), rel=1e-5)


def test_sampling_follows_the_softmax(lesson: SimpleNamespace) -> None:
    logits = torch.tensor([1.0, 0.0, -1.0])
    generator = torch.Generator().manual_seed(0)
    for temperature in (0.5, 1.0, 3.0):
        drawn = [lesson.sample(logits, temperature, generator) for _ in range(4000)]
        shares = torch.bincount(torch.tensor(drawn), minlength=3) / 4000
        expected = (logits / temperature).softmax(0)
        torch.testing.assert_close(shares, expected, atol=0.03, rtol=0)


def test_the_notebooks_net_is_the_shipped_one(lesson: SimpleNamespace) -> None:
    for kind in ("RNN", "LSTM"):
        ours, shared = lesson.Recurrent(kind, 3, 4, 2), lu.models.Recurrent(kind, 3, 4, 2)
        ours.load_state_dict(shared.state_dict())
        x = torch.randn(2, 5, 3)
        torch.testing.assert_close(ours(x), shared(x))


def test_the_corrections_stand_in_the_text() -> None:
    lstm, limits = CELLS["lstm"], CELLS["limits"]
    assert "candidate" in lstm and "c_t = f_t * c_{t-1} + i_t * g_t" in lstm
    assert "1 means keep" in lstm and "elementwise" in lstm and "the output gate too" in lstm
    assert "**false**" in limits and "fixed size" in limits and "Access in order" in limits
    assert "W_{hh}\\, h_{t-1}" in CELLS["sequence"]
    assert not any("h_{t+1}" in source for source in CELLS.values())
    assert "**45 minutes.**" in CELLS["title"]


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        ("predict-pulse", "still there, smaller"),
        ("predict-gradient", "under a millionth"),
        ("predict-keep", "f = 1, i = 0"),
        ("predict-adding", "the LSTM"),
        ("predict-names", "under 5%"),
        ("predict-cost", "about 8 times"),
    ],
)
def test_predictions(
    lesson: SimpleNamespace, cell: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A loaded machine may take any time: here a step takes one second.
    monkeypatch.setitem(lesson.growth.__globals__, "seconds", lambda work, _: work().shape[1])
    answered(show(lesson, cell), answer)


# ---- words and numbers


@given(st.lists(st.integers(-10, 10), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_numbers_survive_writing_and_reading(tenths: list[int]) -> None:
    values = [v / 10 for v in tenths]
    assert read_numbers(write_numbers(values), 8) == values + [0.0] * (8 - len(values))


def test_numbers_that_do_not_fit_are_refused() -> None:
    for line, words in (("1 2", "between -1 and 1"), ("0 " * 9, "9 numbers"), ("a", "float")):
        with pytest.raises(ValueError, match=words):
            read_numbers(line, 8)
    for line, words in (("3*", "between"), ("0* " * 11, "11 numbers")):
        with pytest.raises(ValueError, match=words):
            rnn_lstm_gates.read_marked(line)


def test_marked_numbers_survive_writing_and_reading() -> None:
    numbers, marks = rnn_lstm_gates.read_marked(rnn_lstm_gates.SEQUENCE)
    assert marks == [k in (0, 4, 7) for k in range(10)] and numbers[4] == -0.6
    again = rnn_lstm_gates.read_marked(rnn_lstm_gates.write_marked(numbers, marks))
    assert again == (numbers, marks)


def test_words_for_numbers() -> None:
    assert [short(v) for v in (-0.001, 0.256, -1)] == ["0.00", "0.26", "−1.00"]
    assert plain(power(3.14e-14)) == "3.1·10-14" and power(0.0123) == "0.012" and power(0) == "0"
    assert plain(power(2.5e7)) == "2.5·107" and power(1234) == "1234"


# ---- the cell unrolled


def test_unrolled_shows_what_rnncell_computes(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-unrolled")
    assert sweep_all(panel) > 15
    boxes = artists(panel, demos.Boxes)
    sequence = [0.3, -0.8, 1.0, 0.0, 0.5, -0.2, 0.1, 0.9]
    for name, weights in demos.CELLS.items():
        for scale in (0.5, 1.0, 1.7):
            panel.set(cell=name, scale=scale, x=write_numbers(sequence), t=8)
            cell = nn.RNNCell(1, 2)
            cell.load_state_dict(
                {"weight_ih": weights["W_hx"], "weight_hh": scale * weights["W_hh"]}
                | {"bias_ih": weights["b_h"], "bias_hh": torch.zeros(2)}
            )
            h, states = torch.zeros(2), []
            for value in sequence:
                h = cell(torch.tensor([value]), h)
                states.append(h.detach())
            expected = torch.stack(states)
            shown = np.array([float(plain(t)) for t in boxes[0].texts]).reshape(8, 2)
            np.testing.assert_allclose(shown, expected, atol=0.0051)
            said = expected @ weights["W_oh"][0]
            shown = [float(plain(t)) for t in boxes[1].texts]
            np.testing.assert_allclose(shown, said, atol=0.0051)
            last = re.findall(r"= (-?[\d.]+)", plain(panel.message).split("Output")[0][5:])
            np.testing.assert_allclose(
                [float(v.rstrip(".")) for v in last], h.detach(), atol=0.0051
            )


def test_steps_to_come_are_empty(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-unrolled")
    panel.set(t=3)
    units, outputs = artists(panel, demos.Boxes)
    assert [bool(t) for t in outputs.texts] == [True] * 3 + [False] * 5
    assert [bool(t) for t in units.texts] == [True] * 6 + [False] * 10
    assert "x3 and h2 make h3" in plain(panel.message)
    panel.set(t=0)
    assert not any(units.texts) and "nothing has been read" in panel.message


def test_presets_of_the_cell_do_what_they_say(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-unrolled")
    outputs = artists(panel, demos.Boxes)[1]

    def said(preset: str) -> list[float]:
        panel.apply(preset)
        return [float(plain(t)) for t in outputs.texts]

    fade = said("fade")
    assert all(0 < b < 0.81 * a for a, b in zip(fade, fade[1:], strict=False))
    echo, inputs = said("echo"), read_numbers(panel.values["x"], 8)
    assert all(
        np.sign(o) == np.sign(x) and abs(o) >= 0.7 * abs(x)
        for o, x in zip(echo[1:], inputs, strict=False)
    )
    change = said("change")
    assert [abs(o) > 0.1 for o in change] == [k in (2, 5) for k in range(8)]
    latch = said("latch")
    assert min(latch[1:5]) > 0.9 and max(latch[5:]) < -0.75
    swing = said("swing")
    assert min(swing) < -0.3 and swing[7] > 0.3
    weak = said("fails: latch")
    assert abs(weak[4]) < 0.7 * latch[4]


def test_inputs_are_dragged(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-unrolled")
    send(panel, "drag-start", 1, (4.2, -0.62))
    assert read_numbers(panel.values["x"], 8)[3] == -0.6 and panel.values["t"] == 4
    send(panel, "drag-move", 1, (4.2, 5))
    assert read_numbers(panel.values["x"], 8)[3] == 1


def test_a_wrong_step_is_named(lesson: SimpleNamespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(panel_module, "strict", False)
    panel = demos.unrolled(lambda x, h, *w: torch.zeros(2, 2), lesson.read_out)
    assert "(2, 2), expected (2,)" in panel.shown
    panel = demos.unrolled(lesson.rnn_step, lambda h, *w: torch.zeros(3))
    assert "(3,), expected (1,)" in panel.shown
    panel = demos.unrolled(lambda x, h, *w: w[9], lesson.read_out)
    assert "IndexError" in panel.shown
    panel = show(lesson, "panel-unrolled")
    panel.set(x="1 2 3")
    assert "between -1 and 1" in panel.shown


# ---- gradients through time


def torch_gradients(kind: str, scale: float, length: int, bias: float, seed: int) -> Any:
    """Norms of dL/dh_t (and dL/dc_t), and of dL/dW_hh, with cells written out here."""
    w = demos.random_weights(seed)
    x, weight = w["x"], (scale * w["W_hh" if kind == "RNN" else "W_h"]).requires_grad_()
    h, c, kept = torch.zeros(32), torch.zeros(32), []
    for x_t in x[:length]:
        if kind == "RNN":
            h = torch.tanh(F.linear(x_t, w["W_hx"]) + F.linear(h, weight))
        else:
            i, f, g, o = (F.linear(x_t, w["W_x"]) + F.linear(h, weight)).reshape(4, 32)
            c = c * torch.sigmoid(f + bias) + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        kept.append((h,) if kind == "RNN" else (h, c))
        for part in kept[-1]:
            part.retain_grad()
    h.sum().backward()
    return [[float(p.grad.norm()) for p in parts] for parts in kept], float(weight.grad.norm())


def heights(collection: Any) -> np.ndarray:
    return np.array([segment[1][1] for segment in collection.get_segments()])


def test_through_time_is_torchs(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-through-time")
    assert sweep_all(panel) > 20
    rnn_ax, lstm_ax, weights_ax = panel.figure.figure.axes
    for scale, length, bias, seed in [(0.9, 50, 1, 0), (2.5, 100, 1, 3), (1.2, 7, 5, 9)]:
        panel.set(scale=scale, length=length, forget_bias=bias, seed=seed, clip=False)
        rnn, rnn_total = torch_gradients("RNN", scale, length, bias, seed)
        lstm, lstm_total = torch_gradients("LSTM", scale, length, bias, seed)
        shown = heights(rnn_ax.collections[0]), heights(lstm_ax.collections[0])
        np.testing.assert_allclose(shown[0], [n for (n,) in rnn], rtol=1e-3)
        np.testing.assert_allclose(shown[1], [n for n, _ in lstm], rtol=1e-3)
        cells = next(line for line in lstm_ax.lines if len(line.get_xdata()) == length)
        np.testing.assert_allclose(cells.get_ydata(), [n for _, n in lstm], rtol=1e-3)
        totals = heights(weights_ax.collections[1])
        np.testing.assert_allclose(totals, [rnn_total, lstm_total], rtol=1e-3)
        assert rnn_ax.get_ylim()[1] > max(shown[0].max(), shown[1].max(), totals.max())
        step = (rnn[0][0] / rnn[-1][0]) ** (1 / (length - 1))
        assert f"({step:.2f} a step)" in panel.message


def test_clipping_bounds_the_weights_gradient_and_nothing_else(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-through-time")
    rnn_ax, _, weights_ax = panel.figure.figure.axes
    panel.apply("explodes")
    free, before = heights(weights_ax.collections[1]), heights(rnn_ax.collections[0])
    assert free.max() > 1e4 and "Clipping" not in panel.message
    panel.apply("explodes, clipped")
    clipped = heights(weights_ax.collections[1])
    # PyTorch's own clipping of tensors of those norms.
    for norm, cut in zip(free, clipped, strict=True):
        tensor = torch.zeros(3, requires_grad=True)
        tensor.grad = torch.tensor([float(norm), 0.0, 0.0])
        nn.utils.clip_grad_norm_([tensor], 1.0)
        assert cut == pytest.approx(float(tensor.grad.norm()), rel=1e-4)
    np.testing.assert_allclose(heights(rnn_ax.collections[0]), before)
    np.testing.assert_allclose(heights(weights_ax.collections[0]), free)
    assert "The ratio of the steps stays" in panel.message
    panel.set(scale=0.1, forget_bias=-2.0)
    assert "Clipping divides the whole gradient: RNN by" in panel.message


def test_presets_of_the_gradient_do_what_they_say(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-through-time")

    def verdicts(preset: str) -> list[str]:
        panel.apply(preset)
        return re.findall(r"it (vanishes|explodes|arrives)", panel.message)

    assert verdicts("RNN vanishes")[0] == "vanishes"
    assert verdicts("LSTM carries") == ["vanishes", "arrives"]
    assert verdicts("fails: forget bias −2") == ["vanishes", "vanishes"]
    assert verdicts("explodes")[0] == "explodes"


def test_a_wrong_gradient_function_is_named(lesson: SimpleNamespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(panel_module, "strict", False)

    def short_list(step: Any, state: Any, x: Any) -> Any:
        return lesson.gradient_norms(step, state, x)[1:]

    panel = demos.through_time(short_list, lesson.rnn_step, lesson.lstm_step)
    assert "(49, 1) norms for 50 steps" in panel.shown


# ---- gates


def cell_numbers(panel: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """c, h and what was kept, as the picture shows them."""
    ax = panel.figure.figure.axes[0]
    states, shown = [line for line in ax.lines if line.get_marker() in ("D", "s")]
    if states.get_marker() != "D":
        states, shown = shown, states
    return states.get_ydata(), shown.get_ydata(), heights(ax.collections[1])


def test_gates_by_hand_show_the_recurrence(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-gates")
    assert sweep_all(panel) > 5
    generator = np.random.default_rng(0)
    for _ in range(10):
        table = generator.uniform(0, 1, (4, 8))
        table[2] = 2 * table[2] - 1
        panel.set(table=tuple(map(tuple, table.tolist())), t=8)
        c, cells, kept = 0.0, [], []
        for f, i, g, _o in table.T:
            kept.append(f * c)
            c = f * c + i * g
            cells.append(c)
        shown = cell_numbers(panel)
        np.testing.assert_allclose(shown[0], cells, atol=1e-5)
        np.testing.assert_allclose(shown[1], table[3] * np.tanh(cells), atol=1e-5)
        np.testing.assert_allclose(shown[2], kept, atol=1e-5)
        written = panel.figure.figure.axes[0].collections[2].get_segments()
        np.testing.assert_allclose([s[0][1] for s in written], kept, atol=1e-5)
        np.testing.assert_allclose([s[1][1] for s in written], cells, atol=1e-5)
        assert f"= {cells[-1]:.2f}" in plain(panel.message) or abs(cells[-1]) < 0.005


def test_presets_of_the_gates_do_what_they_say(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-gates")

    def cells(preset: str) -> tuple[np.ndarray, np.ndarray]:
        panel.apply(preset)
        return cell_numbers(panel)[:2]

    c, h = cells("remember")
    np.testing.assert_allclose(c, 0.8, atol=1e-6)
    assert not h[:-1].any() and h[-1] == pytest.approx(math.tanh(0.8))
    c, _ = cells("overwrite")
    np.testing.assert_allclose(c, [0.8] * 4 + [0.7] * 4, atol=1e-6)
    c, _ = cells("forget")
    np.testing.assert_allclose(c, [0.8] * 3 + [0] * 5, atol=1e-6)
    c, _ = cells("leak")
    assert c[-1] == pytest.approx(0.8 * 0.7**7, rel=1e-4) and round(0.7**7, 2) == 0.08
    c, h = cells("count")
    np.testing.assert_allclose(c, [1, 1, 2, 3, 3, 4, 4, 5], atol=1e-6)
    assert h.max() < 1


def test_gates_follow_the_sliders_and_the_pointer(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-gates")
    sliders = panel.controls["table"].sliders
    panel.set(t=4)
    assert [s.value for s in sliders] == [1, 0, -0.9, 0]
    sliders[1].value = 0.5
    assert panel.values["table"][1] == (1, 0, 0, 0.5, 0, 0, 0, 0)
    assert cell_numbers(panel)[0][3] == pytest.approx(0.8 - 0.45)
    panel.controls["t"].forward()
    assert [s.value for s in sliders] == [1, 0, 0.7, 0]
    assert panel.values["table"][1][3] == 0.5
    send(panel, "drag-start", 1, (6, 3.5))  # the forget gate of step 6
    assert panel.values["t"] == 6 and panel.values["table"][0][5] == pytest.approx(0.5)
    send(panel, "drag-move", 1, (2, 1.9))  # the candidate of step 2, up
    assert panel.values["table"][2][1] > 0.9
    assert sliders[2].value == panel.values["table"][2][1]
    panel.reset()
    assert panel.values["table"] == rnn_lstm_gates.REMEMBER and sliders[3].value == 1


def test_a_wrong_update_is_named(lesson: SimpleNamespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(panel_module, "strict", False)
    panel = demos.gates(lambda c, *gates: (c, torch.zeros(3)))
    assert "c of shape (3,), expected (1,)" in panel.shown
    wrong = demos.gates(lambda c, f, i, g, o: (c, f * c - i * g))
    assert cell_numbers(wrong)[0][0] == pytest.approx(-0.8)  # it is their function that runs


def test_trained_gates_are_the_lstms_own(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-trained")
    assert sweep_all(panel) > 7
    numbers, marks = rnn_lstm_gates.read_marked(rnn_lstm_gates.SEQUENCE)
    x = torch.tensor([[*zip(numbers, map(float, marks), strict=True)]])
    for task, net in lesson.one_cell.items():
        panel.apply(task)
        with torch.no_grad():
            states, (_, c) = net.cell(x)
            said = net(x)[0, :, 0]
        cells, hidden, _ = cell_numbers(panel)
        np.testing.assert_allclose(hidden, states[0, :, 0], atol=1e-5)
        assert cells[-1] == pytest.approx(float(c), abs=1e-5)
        boxes = artists(panel, demos.Boxes)[0]
        np.testing.assert_allclose([float(plain(t)) for t in boxes.texts], said, atol=0.051)
        right = rnn_lstm_gates.right_answers(task, numbers, marks)
        np.testing.assert_allclose(said, right, atol=0.15)
        assert sum(p.numel() for p in net.parameters()) == 22 and "22 weights" in panel.message


def test_right_answers() -> None:
    numbers, marks = [0.1, 0.2, 0.3, 0.4], [False, True, False, True]
    assert rnn_lstm_gates.right_answers("hold", numbers, marks) == [0, 0.2, 0.2, 0.4]
    assert rnn_lstm_gates.right_answers("count", numbers, marks) == [0, 1, 1, 2]


def test_a_trained_gate_opens_at_a_mark_and_closes_between(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-trained")
    bars = panel.figure.figure.axes[1].collections[0].get_segments()
    f, i = (np.array([s[1][1] - s[0][1] for s in bars[k : k + 10]]) / 0.86 for k in (0, 10))
    marks = np.array(rnn_lstm_gates.read_marked(rnn_lstm_gates.SEQUENCE)[1])
    assert f[marks].max() < 0.25 and f[~marks].min() > 0.95
    assert i[marks].min() > 0.5 and i[~marks].max() < 0.1


def test_trained_presets_and_pointer(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-trained")

    def last_two() -> list[float]:
        words = re.search(r"Answer (-?[\d.]+), right is (-?[\d.]+)\.", plain(panel.message))
        return [float(words[1]), float(words[2])]

    panel.apply("no mark")
    assert np.abs(cell_numbers(panel)[0]).max() < 0.1 and last_two()[1] == 0
    panel.apply("fails: many marks")
    assert last_two()[1] == 10 and last_two()[0] < 9
    panel.apply("hold")
    send(panel, "drag-start", 1, (6, 1.5))  # a mark at step 6, number 0.9
    assert rnn_lstm_gates.read_marked(panel.values["x"])[1][5]
    panel.set(t=6)
    assert last_two() == pytest.approx([0.9, 0.9], abs=0.15)
    send(panel, "drag-move", 1, (7, 1.5))  # a move over the marks changes none
    assert not rnn_lstm_gates.read_marked(panel.values["x"])[1][6]
    send(panel, "drag-start", 1, (6, 2.07))  # its number, far down
    assert rnn_lstm_gates.read_marked(panel.values["x"])[0][5] <= -0.9
    before = panel.values["x"]
    send(panel, "drag-start", 1, (6, 5.5))  # the gates are the net's own
    assert panel.values["x"] == before


# ---- the adding problem


def test_adding_results_are_the_measured_ones(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-adding")
    assert sweep_all(panel) == 5
    left, right = panel.figure.figure.axes
    for length in (10, 30, 100):
        panel.set(length=length)
        for name, by_length in lesson.measured["results"].items():
            for error in by_length[str(length)]["test"]:
                assert f"{error:.4f}" in panel.message
            colour = lu.style.NETS[name][0]
            lines = [ln for ln in left.lines if ln.get_color() == colour and len(ln.get_xdata())]
            shown = [list(ln.get_ydata()) for ln in lines]
            for curve in by_length[str(length)]["curves"]:
                assert curve in shown
    assert [t.get_text() for t in right.get_xticklabels()] == ["10", "20", "30", "50", "100"]


def test_what_the_page_says_of_the_adding_problem_was_measured(lesson: SimpleNamespace) -> None:
    results = lesson.measured["results"]
    tests = {n: {int(t): r["test"] for t, r in by.items()} for n, by in results.items()}
    assert all(max(errors) < 0.01 for errors in tests["LSTM"].values())
    assert max(tests["RNN"][10]) < 0.01
    assert all(min(tests["RNN"][t]) > 0.14 for t in (30, 50, 100))
    assert min(tests["RNN"][20]) < 0.02 < 0.15 < max(tests["RNN"][20])

    def steps_to(name: str, below: float = 0.05) -> list[int]:
        curves = results[name]["100"]["curves"]
        return [25 * (1 + next(i for i, v in enumerate(c) if v < below)) for c in curves]

    assert steps_to("LSTM") == [600, 625] and steps_to("LSTM, forget bias 0") == [650, 925]
    assert "600 and 625" in CELLS["saw-adding"] and "650 and 925" in CELLS["saw-adding"]
    settings_used = lesson.measured["settings"]
    assert (settings_used["steps"], settings_used["hidden_size"]) == (1500, 32)


def test_adding_problem_of_always_one() -> None:
    x, target = lu.data.adding_problem(20_000, 20, seed=5)
    assert float((target - 1).square().mean()) == pytest.approx(1 / 6, abs=0.005)
    assert x.shape == (20_000, 20, 2)


def test_live_run_learns_with_the_lstm(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-adding-live")
    run = lesson.adding
    run.advance(run.steps)
    panel.refresh()
    x, target = lu.data.adding_problem(500, 20, seed=0)
    errors = {}
    for name, net in lesson.adders.items():
        with torch.no_grad():
            errors[name] = float(F.mse_loss(net(x)[:, -1, 0], target))
        assert f"{name} {errors[name]:.4f}" in plain(panel.message)
    assert errors["LSTM"] < 0.01 < 0.03 < errors["RNN"]
    for name, _value in sweep(panel, 1):
        assert name == "example"
    panel.set(example=3)
    marked = x[3, :, 0][x[3, :, 1] == 1].tolist()
    assert f"{marked[0]:.2f} + {marked[1]:.2f} = {sum(marked):.2f}" in plain(panel.message)
    run.seek(0)
    panel.refresh()
    assert "Step 0," in panel.message
    run.seek(len(run.snapshots) - 1)


# ---- writing


def test_writing_streams_the_same_text(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-writing")

    def written() -> str:
        page = artists(panel, rnn_lstm_text.Page)[0]
        return "".join(item[2] for item in page.items)

    panel.set(t=0)
    assert written() == ""
    panel.set(t=30)
    part = written()
    panel.set(t=60)
    assert written().startswith(part) and len(written()) == 60
    panel.set(seed=1)
    assert not written().startswith(part)
    panel.set(seed=0, t=30)
    assert written() == part


def test_writing_samples_from_the_nets_own_prediction(lesson: SimpleNamespace) -> None:
    """The text is what the whole net, run from the start, predicts with the same random numbers."""
    panel = show(lesson, "panel-writing")
    panel.apply("Shakespeare")
    panel.set(t=40, unit=7)
    page = artists(panel, rnn_lstm_text.Page)[0]
    text = "".join(item[2] for item in page.items)
    assert text.startswith("ACT III.\n") and len(text) == 49
    numbers = lu.data.encode(text, lesson.symbols)
    with torch.no_grad():
        hidden, _ = lesson.play_lstm.cell(torch.eye(len(lesson.symbols))[numbers][None])
        logits = lesson.play_lstm.output(hidden)[0]
    generator = torch.Generator().manual_seed(0)
    chances = (logits / panel.values["temperature"]).softmax(dim=1)
    for k in range(9, 49):
        assert int(torch.multinomial(chances[k - 1], 1, generator=generator)) == numbers[k]
    expected = lu.style.SIGNED(0.5 + 0.4 * hidden[0, :, 7].numpy())
    np.testing.assert_allclose([item[3] for item in page.items], expected, atol=0.01)
    assert [item[4] for item in page.items] == [True] * 9 + [False] * 40
    bars = panel.figure.figure.axes[1].patches
    widths = [bar.get_width() for bar in bars[:10]]
    np.testing.assert_allclose(widths, chances[-1].topk(10).values, atol=1e-4)


def test_every_name_begins_anew(lesson: SimpleNamespace) -> None:
    stream = rnn_lstm_text.Stream(
        demos.Writer(lesson.names_lstm, lesson.letters, True), lesson.sample, "", 0.8, 0
    )
    stream.extend(60)
    starts = [k for k, character in enumerate(stream.text) if character == "\n"]
    assert len(starts) > 3
    for k in starts[1:]:
        torch.testing.assert_close(stream.hidden[k], stream.hidden[0])


def test_temperature_and_presets_do_what_they_say(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-writing")
    assert sweep_all(panel, 1) > 15

    def text(preset: str) -> str:
        panel.apply(preset)
        return "".join(item[2] for item in artists(panel, rnn_lstm_text.Page)[0].items)

    plays = set(re.findall(r"[A-Za-z']+", lu.data.shakespeare()[0]))

    def real(words: str) -> float:
        found = re.findall(r"[A-Za-z']+", words)
        return sum(word in plays for word in found) / len(found)

    cold, middle, hot = text("fails: too cold"), text("Shakespeare"), text("fails: too hot")
    assert real(cold) > 0.9 > 0.5 > real(hot) and real(middle) > 0.7
    grams = [cold[k : k + 12] for k in range(len(cold) - 12)]
    assert max(grams.count(g) for g in grams) > 2  # circles
    panel.apply("names")
    listed = set(lesson.train_names)
    stream = "".join(item[2] for item in artists(panel, rnn_lstm_text.Page)[0].items)
    done = stream.split("\n")[:-1]
    old = sum(name in listed for name in done)
    assert f"Of {len(done)} names, {old} stand" in panel.message and old < len(done) / 2


def test_units_are_told_what_they_follow(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "panel-writing")
    for meaning, unit in lesson.units_found.items():
        panel.apply(meaning)
        assert f"Unit {unit} follows: {meaning}." in panel.message
    x = lesson.hidden[:, lesson.units_found["vowel"]].numpy()
    vowel = np.array([c in "aeiou" for c in lesson.unseen])
    assert abs(np.corrcoef(x, vowel)[0, 1]) > 0.5
    place = lesson.hidden[:, lesson.units_found["place in the line"]].numpy()
    count, places = 0, []
    for c in lesson.unseen:
        places.append(count)
        count = 0 if c == "\n" else count + 1
    assert abs(np.corrcoef(place, places)[0, 1]) > 0.5


def test_writing_by_pointer_and_prompt(lesson: SimpleNamespace, monkeypatch: Any) -> None:
    panel = show(lesson, "panel-writing")
    panel.set(model="Shakespeare, LSTM", prompt="Ham.\n", t=100)
    page = artists(panel, rnn_lstm_text.Page)[0]
    row, column, character, *_ = page.items[25]
    send(panel, "press", 0, (column + 0.5, row + 0.5))
    assert panel.values["t"] == 26 - 5
    assert page.items[-1][:3] == (row, column, character)
    monkeypatch.setattr(panel_module, "strict", False)
    panel.set(prompt="π")
    assert "not among the symbols" in panel.shown
    panel.set(model="names, RNN", prompt="Zo")
    assert panel.error is None
    assert "".join(item[2] for item in page.items).startswith("zo")


def test_a_wrong_sample_is_named(lesson: SimpleNamespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(panel_module, "strict", False)
    panel = demos.writing(lesson.writers, lambda *_: 99)
    assert "returned 99" in panel.shown
    panel = demos.writing(lesson.writers, lambda logits, *_: logits.softmax(0).max().item())
    assert "expected a whole number" in panel.shown
    panel = demos.writing(lesson.writers, lambda *_: 1 / 0)
    assert "ZeroDivisionError" in panel.shown
    panel.set(t=20)
    assert "ZeroDivisionError" in panel.shown


def test_lines_are_broken_at_spaces() -> None:
    text = "to be " * 20 + "\n" + "x" * 100
    places = rnn_lstm_text.layout(text, lines=False)
    assert len(places) == len(set(places)) == len(text)
    assert max(column for _, column in places) < rnn_lstm_text.COLUMNS
    assert all(text[k - 1] in " \n" for k in range(1, 120) if places[k][1] == 0)


def test_shipped_nets_have_the_stated_errors(lesson: SimpleNamespace) -> None:
    readme = lu.data.path("mnist.npz").with_name("README.md").read_text("utf-8")
    section = readme.split("## Nets that write\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| ([\w ,]+) \| (\d+ \| [\d.]+) \|$", section, re.MULTILINE))
    nets = {"names, RNN": lesson.names_rnn, "names, LSTM": lesson.names_lstm}
    for name, net in {**nets, "Shakespeare, LSTM": lesson.play_lstm}.items():
        count, error = rows[name].split(" | ")
        assert lu.models.count_parameters(net) == int(count)
        if name in nets:
            found = lesson.errors[name.split(", ")[1]]
        else:
            numbers = lu.data.encode(lesson.unseen, lesson.symbols)
            with torch.no_grad():
                logits = lesson.play_lstm.output(lesson.hidden[:-1])
            found = float(F.cross_entropy(logits, numbers[1:]))
        assert found == pytest.approx(float(error), abs=0.003)
    gap = 1 - lesson.errors["LSTM"] / lesson.errors["RNN"]
    assert 0 < gap < 0.05


# ---- time


def test_cost_measures_every_length(lesson: SimpleNamespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(rnn_lstm_speed, "LENGTHS", (16, 32, 64))
    asked = []

    def seconds(work: Any) -> float:
        result = work()
        asked.append(tuple(result.shape))
        return 1e-4 * len(asked)

    panel = demos.cost(seconds)
    assert "Press Play" in panel.message
    panel.run.advance(panel.run.steps)
    panel.set(length=64)
    assert asked == [(1, n, 64) for n in (16, 32, 64) for _ in range(3)]
    words = plain(panel.message)
    assert "RNN 0.7 ms, LSTM 0.8 ms, attention 0.9 ms" in words
    assert "RNN ×1.8, LSTM ×1.6, attention ×1.5" in words and "64² = 4,096 scores" in words
    assert sweep_all(panel) == 3


def test_layers_in_the_race_keep_the_shape_and_only_attention_looks_ahead() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 10, 64)
    other = x.clone()
    other[0, -1] += 1
    for kind in rnn_lstm_speed.KINDS:
        work = rnn_lstm_speed.layer(kind)
        with torch.no_grad():
            before, after = work(x), work(other)
        assert before.shape == x.shape
        assert torch.equal(before[0, 0], after[0, 0]) is (kind != "attention")


def test_seconds_waits_for_the_work(lesson: SimpleNamespace) -> None:
    calls = []
    assert lesson.seconds(lambda: calls.append(1) or torch.zeros(2), 3) >= 0
    assert len(calls) == 4


def test_what_the_slides_say_loosely_is_said_exactly() -> None:
    """facts.md, corrections 9 to 11."""
    text = {name: " ".join(source.split()) for name, source in CELLS.items()}
    page = " ".join(text.values())
    assert "h_t = \\tanh(W_{hx}\\, x_t + W_{hh}\\, h_{t-1} + b_h)" in text["sequence"]
    assert "h_{t+1}" not in page, "h_t from h_{t-1} throughout"
    assert "*vanishes*" in text["saw-through-time"] and "*explodes*" in text["saw-through-time"]
    lstm = text["lstm"]
    assert "c_t = f_t * c_{t-1} + i_t * g_t" in lstm and "the *candidate*" in lstm
    assert "**1 means keep**" in lstm and "elementwise" in lstm
    assert "the *previous* hidden state $h_{t-1}$, the output gate too" in lstm
    limits = text["limits"]
    assert 'and **false**: "an RNN can\'t detect different features"' in limits
    assert "A state of fixed size" in limits and "Access in order" in limits
