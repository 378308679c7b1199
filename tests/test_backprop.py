"""03_backprop: its engine against PyTorch, its optimizers, its panels, its symptoms."""

import math
import random
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import answered, send, show, sources, sweep_all
from second_device import LAZY, offer

from lecture_utils import data, device, panel
from lecture_utils.demos import backprop as demos
from lecture_utils.demos.backprop_descent import STEPS, heights
from lecture_utils.demos.backprop_draw import GraphView, Node, arrange, formula, short, times
from lecture_utils.demos.backprop_graph import START, trace_engine, trace_tape
from lecture_utils.demos.backprop_recipe import (
    SEEN,
    WHY,
    Training,
    as_arrays,
    record,
    recorded_runs,
    symptom,
)
from lecture_utils.live import LiveFigure
from lecture_utils.panel import Panel

NOTEBOOK = "03_backprop"
CELLS = sources(NOTEBOOK)
ENGINE = ("engine-class", "engine-functions", "engine-backward")


# ---- the page


@pytest.mark.parametrize(
    ("cell", "expected", "word"),
    [
        ("cost-question", "678,531 times", "one pass back"),
        ("dead-question", "0", "flat"),
        ("nudge-question", "fall by about 0.04", "-0.0384"),
        ("tied-question", "6, they add", "+="),
        ("xor-question", "between 50 and 200", "100:"),
        ("race-question", "momentum", "adds it up"),
        ("recipe-question", "10%, as by guessing", "random"),
    ],
)
def test_questions_have_these_answers(
    lesson: SimpleNamespace, cell: str, expected: str, word: str
) -> None:
    assert word in answered(show(lesson, cell), expected)


def test_the_deck_s_list_is_whole_and_has_a_switch_each(lesson: SimpleNamespace) -> None:
    text = CELLS["recipe-text"].replace("\n", " ")
    for words in (
        "deep learning = backpropagation + optimization + stochastic gradient descent",
        "hyperparameter tuning + architecture + loss functions + weight initialization + scaling",
    ):
        assert words in text
    assert set(lesson.healthy) - {"rate"} <= set(WHY)


def test_no_delta_is_written_for_a_derivative() -> None:
    for name, source in CELLS.items():
        assert not re.search(r"δ|\\delta|\\Delta L", source), name


# ---- the engine


def test_the_engine_is_short() -> None:
    lines = [line for name in ENGINE for line in CELLS[name].splitlines() if line.strip()]
    assert len(lines) <= 80
    assert all(len(CELLS[name].splitlines()) <= 45 for name in ENGINE)


UNARY = ("neg", "exp", "log", "tanh", "relu", "square", "cube", "root", "zeroth", "invert")
BINARY = ("+", "-", "*", "/", "**")


def grow(lesson: SimpleNamespace, made: random.Random) -> tuple[list[Any], list[Any], Any, Any]:
    """The same random graph on Scalars and on PyTorch: leaves and last node of each."""
    numbers = [made.uniform(-2, 2) for _ in range(made.randint(1, 4))]
    ours = [lesson.Scalar(v) for v in numbers]
    theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in numbers]
    leaves = list(ours), list(theirs)
    for _ in range(made.randint(1, 14)):
        i = len(ours) - 1 - int(len(ours) * made.random() ** 2)  # mostly what was made last
        j = made.randrange(len(ours))
        op = made.choice(UNARY + BINARY + BINARY)
        a, b, p, q = ours[i], ours[j], theirs[i], theirs[j]
        side = made.choice(("both", "both", "left", "right"))
        number = made.choice((-1.5, 0.5, 2, 3.0))
        if op in BINARY:
            if side == "left":
                a, p = number, number
            elif side == "right":
                b, q = number, number
        value_a, value_b = (getattr(v, "value", v) for v in (a, b))
        if op == "/" and abs(value_b) < 0.1:
            op = "+"
        if op == "**" and (value_a <= 0.1 or abs(value_b) > 4 or value_a > 20):
            op = "-"
        if op == "exp" and value_a > 3 or op in ("log", "root") and value_a < 0.05:
            op = "tanh"
        if op == "invert" and abs(value_a) < 0.1:
            op = "relu"
        pair = {
            "+": lambda u, v: u + v,
            "-": lambda u, v: u - v,
            "*": lambda u, v: u * v,
            "/": lambda u, v: u / v,
            "**": lambda u, v: u**v,
            "neg": lambda u, v: -u,
            "square": lambda u, v: u**2,
            "cube": lambda u, v: u**3,
            "root": lambda u, v: u**0.5,
            "zeroth": lambda u, v: u**0,
            "invert": lambda u, v: u**-1,
        }.get(op)
        x = pair(a, b) if pair else getattr(lesson, op)(a)
        y = pair(p, q) if pair else getattr(torch, op)(p)
        if not isinstance(x, lesson.Scalar) or abs(x.value) > 1e4:
            continue
        ours.append(x)
        theirs.append(y)
    return *leaves, ours[-1], theirs[-1]


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_engine_equals_pytorch_on_random_graphs(lesson: SimpleNamespace, seed: int) -> None:
    """25 graphs for each seed, with shared nodes and numbers on either side."""
    made = random.Random(seed)
    for _ in range(25):
        ours, theirs, last, wanted = grow(lesson, made)
        assert last.value == pytest.approx(wanted.item(), rel=1e-9, abs=1e-12)
        lesson.backward(last)
        wanted.backward()
        for x, y in zip(ours, theirs, strict=True):
            slope = 0.0 if y.grad is None else y.grad.item()
            assert x.grad == pytest.approx(slope, rel=1e-7, abs=1e-9)


def test_random_graphs_are_no_trivial_ones(lesson: SimpleNamespace) -> None:
    made = random.Random(0)
    ops, shared = set(), 0
    for _ in range(300):
        *_, last, _ = grow(lesson, made)
        nodes = lesson.order(last)
        ops |= {n.op for n in nodes}
        uses = [id(i) for n in nodes for i in n.inputs]
        shared += len(uses) > len(set(uses))
    assert {"+", "−", "×", "÷", "exp", "log", "tanh", "relu", "²", "^3", "^0.5", "^-1"} <= ops
    assert shared > 60


def test_engine_goes_deep_and_counts_every_path(lesson: SimpleNamespace) -> None:
    x = lesson.Scalar(1.0)
    chain = x
    for _ in range(10_000):
        chain = chain * 1.0001 + 0.0
    lesson.backward(chain)
    assert x.grad == pytest.approx(1.0001**10_000, rel=1e-9)
    doubled = lesson.Scalar(1.0)
    top = doubled
    for _ in range(60):  # 2^60 paths, 61 nodes
        top = top + top
    lesson.backward(top)
    assert doubled.grad == 2.0**60
    assert len(lesson.order(top)) == 61


def test_engine_backward_twice_gives_the_same(lesson: SimpleNamespace) -> None:
    x = lesson.Scalar(0.7)
    y = lesson.tanh(x * x) / (1 + x)
    lesson.backward(y)
    once = x.grad
    lesson.backward(y)
    assert x.grad == once != 0


def test_engine_refuses_what_has_no_value(lesson: SimpleNamespace) -> None:
    with pytest.raises(ValueError):
        lesson.Scalar(-1.0) ** 0.5
    with pytest.raises(ZeroDivisionError):
        lesson.Scalar(1.0) / 0
    zero = lesson.Scalar(0.0)
    lesson.backward(lesson.relu(zero))
    assert zero.grad == 0  # as PyTorch has it


# ---- graph panels


def torch_slopes(name: str, start: dict[str, float]) -> dict[str, float]:
    """Gradients of the three hand-written graphs by PyTorch; 0 for what is not used."""
    v = {k: torch.tensor(s, dtype=torch.float64, requires_grad=True) for k, s in start.items()}
    y = v["w2"] * torch.relu(v["w1"] * v["x"] + v["b1"]) + v["b2"]
    last = {"the neuron": y, "with a loss": (y - v["t"]) ** 2, "with a shortcut": y + v["x"]}[name]
    last.backward()
    return {k: 0.0 if s.grad is None else s.grad.item() for k, s in v.items()}


@pytest.fixture
def graph(lesson: SimpleNamespace) -> Panel:
    return show(lesson, "graph-panel")


def shown_words(shown: Panel) -> list[str]:
    """What stands in the picture of a graph panel."""
    (words,) = [a for a in shown.figure._live if hasattr(a, "texts")]
    return [text for _, _, text, *_ in words.texts]


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(-30, 30), min_size=6, max_size=6),
    name=st.sampled_from(["the neuron", "with a loss", "with a shortcut"]),
)
def test_tape_gradients_equal_pytorch(
    lesson: SimpleNamespace, values: list[int], name: str
) -> None:
    start = {k: v / 10 for k, v in zip(START, values, strict=True)}
    tape = lesson.graphs[name]
    trace = trace_tape(tape, lesson.forward_step, lesson.backward_step, start, 2 * len(tape) + 1)
    slopes = torch_slopes(name, start)
    leaves = [n for n in trace.nodes if not n.inputs]
    assert {n.name for n in leaves} == {i for s in tape for i in s[2]} & set(START)
    for node in leaves:
        assert node.grad == pytest.approx(slopes[node.name], abs=1e-9)
    assert lesson.backpropagate(tape, dict(start))["w1"] == pytest.approx(slopes["w1"], abs=1e-9)


def test_nodes_fill_in_one_at_a_time(lesson: SimpleNamespace) -> None:
    tape = lesson.graphs["with a loss"]
    count = len(tape)
    for k in range(2 * count + 2):
        trace = trace_tape(tape, lesson.forward_step, lesson.backward_step, START, k)
        steps = [n for n in trace.nodes if n.inputs]
        assert sum(n.value is not None for n in steps) == min(k, count)
        assert len(trace.passed) == max(0, k - count - 1)
        known = [n.name for n in trace.nodes if n.grad is not None]
        assert ("L" in known) == (k > count)
        assert ("w1" in known) == (k == 2 * count + 1)
        assert ("b2" in known) == (k >= count + 4)  # after L, e and y


def test_engine_draws_the_same_graph(lesson: SimpleNamespace) -> None:
    """The hand-written list and the engine agree at every single step."""
    tape = lesson.graphs["with a loss"]
    start = {**START, "w1": 0.8, "b1": 0.3, "w2": -1.2}
    for k in range(2 * len(tape) + 2):
        hand = trace_tape(tape, lesson.forward_step, lesson.backward_step, start, k)
        own = trace_engine(
            lesson.squared_error, lesson.Scalar, lesson.order, lesson.pass_back, start, k
        )
        assert [list(n.inputs) for n in hand.nodes] == [list(n.inputs) for n in own.nodes]
        for a, b in zip(hand.nodes, own.nodes, strict=True):
            assert (a.value, a.grad) == (pytest.approx(b.value), pytest.approx(b.grad))
        assert (hand.current, hand.back, hand.passed) == (own.current, own.back, own.passed)


def test_graph_panel_sweep_and_scrub(graph: Panel) -> None:
    assert sweep_all(graph, between=1) >= 20
    graph.set(graph="with a loss", k=0)
    player = graph.controls["k"]
    assert player.max == 15
    pictures = []
    for k in range(player.max + 1):
        player.value = k
        pictures.append(graph.figure.render().copy())
    assert all((a != b).any() for a, b in zip(pictures, pictures[1:], strict=False))
    for k in reversed(range(player.max + 1)):
        player.value = k
        assert (graph.figure.render() == pictures[k]).all()


def test_graph_panel_says_each_step(graph: Panel) -> None:
    graph.set(graph="with a loss", k=1)
    assert graph.message == "Forward: a = w1·x = <b>1</b>."
    graph.set(k=7)
    assert "L = e² = <b>0.25</b>" in graph.message
    graph.set(k=8)
    assert "L changes with itself" in graph.message
    graph.set(k=9)
    assert "e: −1 × 1 = <b>−1</b>" in graph.message
    graph.set(k=15)
    assert "∂L/∂w1 = −4, ∂L/∂b1 = −2, ∂L/∂w2 = −0.5, ∂L/∂b2 = −1" in graph.message
    assert "w1: 2 × (−2) = <b>−4</b>" in graph.message


def test_fan_out_adds_in_the_picture(graph: Panel) -> None:
    graph.apply("fan-out")
    assert graph.presets["fan-out"]["note"] in graph.shown
    assert "x: 1 + 0.5 × 2 = <b>2</b> (paths add)" in graph.message
    assert {"+1"} == {w for w in shown_words(graph) if w.startswith("+")}
    assert shown_words(graph).count("+1") == 2  # from the shortcut, and through the neuron
    assert short(torch_slopes("with a shortcut", START)["x"]) == "2"


def test_graph_presets_do_what_they_say(graph: Panel) -> None:
    graph.apply("values")
    assert "y = m + b2 = <b>1.5</b>" in graph.message
    graph.apply("gradients")
    assert "Done in one pass back" in graph.message
    graph.apply("dead unit")
    assert "∂L/∂w1 = 0, ∂L/∂b1 = 0" in graph.message
    assert graph.controls["w1"].value * 2 - 0.5 < 0


def test_a_graph_at_its_end_stays_at_its_end(graph: Panel) -> None:
    graph.apply("gradients")
    graph.controls["graph"].value = "the neuron"
    assert graph.controls["k"].value == graph.controls["k"].max == 11
    assert "Done in one pass back" in graph.message


def test_wrong_steps_are_shown_as_they_are(lesson: SimpleNamespace, monkeypatch: Any) -> None:
    def last_one_wins(node: Any, value: Any, grad: Any) -> None:
        name, _, inputs, _, local = node
        for i, slope in zip(inputs, local(*[value[i] for i in inputs]), strict=True):
            grad[i] = slope * grad[name]

    wrong = demos.graph(lesson.graphs, lesson.forward_step, last_one_wins)
    wrong.apply("fan-out")
    assert "<b>1</b> (paths add)" in wrong.message  # 1 of 2: the sum on the page does not come out

    def crash(node: Any, value: Any, grad: Any) -> None:
        raise KeyError("w1")

    monkeypatch.setattr(panel, "strict", False)
    broken = demos.graph(lesson.graphs, lesson.forward_step, crash)
    broken.apply("gradients")
    assert isinstance(broken.error, KeyError) and "w1" in broken.shown
    broken.apply("values")
    assert broken.error is None


def test_engine_panel_sweep_and_presets(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "engine-panel")
    assert sweep_all(shown, between=1) >= 20
    for name in [*shown.presets, *reversed(shown.presets)]:
        shown.apply(name)
        assert "Done in one pass back" in shown.message, name
        assert shown.presets[name]["note"] in shown.shown
    shown.apply("works")
    assert "∂v7/∂w1 = −4, ∂v7/∂b1 = −2, ∂v7/∂w2 = −0.5, ∂v7/∂b2 = −1" in shown.message
    shown.apply("saturated")
    assert "∂v5/∂w1 = 0," in shown.message
    shown.set(graph="x · x", x=-1.5, k=99)
    assert "∂v1/∂x = −3" in shown.message
    assert "−1.5 × 1 + −1.5 × 1" in shown.message


def test_engine_panel_says_what_a_formula_must_return(
    lesson: SimpleNamespace, monkeypatch: Any
) -> None:
    monkeypatch.setattr(panel, "strict", False)
    parts = (lesson.Scalar, lesson.order, lesson.pass_back)
    shown = demos.engine({name: lambda **_: None for name in ("one", "two", "three")}, *parts)
    assert "expected a Scalar" in shown.shown
    shown = demos.engine(
        dict.fromkeys(("one", "two", "three"), lesson.squared_error),
        lesson.Scalar,
        lambda last: lesson.order(last)[::-1],
        lesson.pass_back,
    )
    assert "inputs first" in shown.shown


@pytest.mark.parametrize(("deep", "wide"), [(9, False), (2, True)])
def test_a_formula_too_large_for_the_picture_says_so(
    lesson: SimpleNamespace, monkeypatch: Any, deep: int, wide: bool
) -> None:
    monkeypatch.setattr(panel, "strict", False)

    def formula(x: Any, w1: Any, b1: Any, **_: Any) -> Any:
        if wide:
            return (x * w1 + x * b1) + (w1 * b1 + x * 2)
        for _ in range(deep):
            x = x * w1
        return x

    parts = (lesson.Scalar, lesson.order, lesson.pass_back)
    shown = demos.engine(dict.fromkeys(("one", "two", "three"), formula), *parts)
    assert isinstance(shown.error, ValueError) and "room for" in shown.shown


def test_boxes_of_any_graph_keep_apart(lesson: SimpleNamespace) -> None:
    for name in show(lesson, "engine-panel").controls["graph"].options:
        shown = show(lesson, "engine-panel")
        shown.set(graph=name, k=99)
        (boxes,) = [a for a in shown.figure._live if type(a).__name__ == "PolyCollection"][1:]
        corners = np.array([p.vertices[:4] for p in boxes.get_paths()])
        low, high = corners.min(axis=1), corners.max(axis=1)
        assert (low >= 0).all() and (high <= [820, 400]).all()
        for i in range(len(low)):
            for j in range(i):
                assert (low[i] >= high[j]).any() or (low[j] >= high[i]).any(), (name, i, j)


def test_constants_have_no_gradient_in_the_picture() -> None:
    view = GraphView(LiveFigure(820, 400))
    nodes = [Node("x", value=3.0, grad=2.0), Node("2", value=2.0, grad=3.0, constant=True)]
    nodes.append(Node("v1", "×", [0, 1], 6.0, 1.0, [2.0, 3.0]))
    view.show(nodes, 2, True, {2})
    words = [text for _, _, text, *_ in view.words.texts]
    assert words.count("2") == 4 and "6" in words  # name, value, gradient of x, local derivative
    assert len(arrange(nodes)) == 3


def test_words_of_numbers() -> None:
    values = (0.5, -0.001, 2, -1.25, -15.96, 9.999, 120.4, 1e5)
    words = ["0.5", "0", "2", "−1.25", "−16", "10", "120", "1e5"]
    assert [short(v) for v in values] == words
    assert times(1.5, -2) == "1.5 × (−2)"
    assert formula("×", ["w1", "x"]) == "w1·x"
    assert formula("²", ["e"]) == "e²"
    assert formula("relu", ["z"]) == "relu(z)"


# ---- nudge


def loss_by_hand(v: dict[str, float]) -> float:
    return (v["w2"] * max(0.0, v["w1"] * v["x"] + v["b1"]) + v["b2"] - v["t"]) ** 2


def test_nudge_panel_against_the_formula(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "nudge-panel")
    assert sweep_all(shown, between=1) >= 15
    for weight, move in (("w1", 0.25), ("b1", -0.4), ("w2", 1.0), ("b2", -2.0)):
        shown.set(**START | {"w2": -1.5, "x": 1.2}, weight=weight, move=move)
        start = {name: shown.values[name] for name in START}
        slope = torch_slopes("with a loss", start)[weight]
        change = loss_by_hand({**start, weight: start[weight] + move}) - loss_by_hand(start)
        said = [float(v) for v in re.findall(r"<b>(.*?)</b>", shown.message.replace("−", "-"))]
        assert said == pytest.approx([slope * move, change], abs=6e-5)


def test_nudge_presets_do_what_they_say(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "nudge-panel")
    found = {}
    for name in shown.presets:
        shown.apply(name)
        found[name] = [
            float(v) for v in re.findall(r"<b>(.*?)</b>", shown.message.replace("−", "-"))
        ]
    promised, real = found["tiny"]
    assert abs(promised - real) < 0.05 * abs(promised)
    assert found["large"] == [-2, 2]
    shown.apply("past the corner")
    assert shown.values["x"] * shown.values["w1"] + shown.values["b1"] - 1.5 < 0
    before = shown.message
    shown.set(move=-2.0)
    assert before.split("real change")[1] == shown.message.split("real change")[1]


def test_nudge_follows_the_mouse_and_survives_a_wrong_function(
    lesson: SimpleNamespace, monkeypatch: Any
) -> None:
    shown = show(lesson, "nudge-panel")
    send(shown, "drag-start", 0, (-1.0, 2.0))
    assert shown.values["move"] == pytest.approx(-1.0, abs=0.02)
    monkeypatch.setattr(panel, "strict", False)
    broken = demos.nudge(lesson.neuron, lambda tape, value: None)
    assert "expected a gradient by name" in broken.shown


# ---- XOR


@pytest.fixture(scope="module")
def xor(lesson: SimpleNamespace) -> Panel:
    return show(lesson, "xor-panel")


def test_xor_trains_and_scrubs(lesson: SimpleNamespace, xor: Panel) -> None:
    xor.apply("works")
    assert "Step 0" in xor.message
    xor.run.advance(xor.run.steps)
    xor.refresh()
    assert "<b>4 of 4</b>" in xor.message
    outputs = re.search(r"outputs (.*?) for", xor.message)[1].replace("−", "-").split(", ")
    assert [float(v) for v in outputs] == pytest.approx([-1, 1, 1, -1], abs=0.05)
    losses = xor.run.curve("loss")[1]
    w = lesson.start_weights(0)
    again = [lesson.xor_step(w, 0.1) for _ in range(xor.run.steps)]
    assert losses == again  # the panel's own look at the gradients changes nothing
    count = len(losses)
    xor.run.seek(0)
    assert "Step 0" in xor.message
    scalars = xor.run.models[0].scalars
    assert [s.value for s in scalars] == [s.value for s in lesson.start_weights(0)]
    xor.run.seek(len(xor.run.snapshots) - 1)
    assert [s.value for s in scalars] == [s.value for s in w]
    assert len(xor.run.curve("loss")[1]) == count  # nothing was trained again


def test_xor_gradients_equal_pytorch(lesson: SimpleNamespace) -> None:
    w = lesson.start_weights(4)
    lesson.backward(lesson.xor_loss(w))
    v = torch.tensor([s.value for s in w], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    hidden = torch.tanh(x @ torch.stack([v[0:2], v[3:5]]).T + v[[2, 5]])
    loss = (hidden @ v[6:8] + v[8] - torch.tensor([-1.0, 1, 1, -1])).square().mean()
    loss.backward()
    assert [s.grad for s in w] == pytest.approx(v.grad.tolist(), abs=1e-12)


def test_xor_presets_do_what_they_say(xor: Panel) -> None:
    ends = {}
    for name in xor.presets:
        xor.apply(name)
        xor.run.advance(xor.run.steps)
        xor.refresh()
        ends[name] = (xor.message, xor.run.message)
    assert "<b>4 of 4</b>" in ends["works"][0]
    assert "<b>4 of 4</b>" not in ends["too slow"][0] + ends["stuck"][0]
    assert "no longer a finite number" in ends["too fast"][1]
    xor.reset()


# ---- descent


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("SGD", lambda p, lr, beta: torch.optim.SGD(p, lr=lr)),
        ("momentum", lambda p, lr, beta: torch.optim.SGD(p, lr=lr, momentum=beta)),
        ("RMSprop", lambda p, lr, beta: torch.optim.RMSprop(p, lr=lr)),
        ("Adam", lambda p, lr, beta: torch.optim.Adam(p, lr=lr, betas=(beta, 0.999))),
    ],
)
@pytest.mark.parametrize(("lr", "beta"), [(0.01, 0.9), (0.3, 0.5), (0.05, 0.0)])
def test_optimizers_equal_their_namesakes(
    lesson: SimpleNamespace, name: str, make: Any, lr: float, beta: float
) -> None:
    made = np.random.default_rng(7)
    w, state = made.normal(size=5), {}
    theirs = torch.nn.Parameter(torch.tensor(w))
    optimizer = make([theirs], lr, beta)
    for _ in range(60):
        g = made.normal(size=5) * made.choice([0.01, 1, 30])
        w = lesson.optimizers[name](w, g, state, lr, beta)
        theirs.grad = torch.tensor(g)
        optimizer.step()
        assert w == pytest.approx(theirs.detach().numpy(), rel=1e-9, abs=1e-12)


def test_landscapes_are_what_they_are_called(lesson: SimpleNamespace) -> None:
    made = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    points = (4 * made - 2).requires_grad_()
    for name, loss in lesson.landscapes.items():
        slopes = torch.autograd.grad(loss(points[:, 0], points[:, 1]).sum(), points)[0]
        for (a, b), slope in zip(points.tolist(), slopes.tolist(), strict=True):
            x, y = lesson.Scalar(a), lesson.Scalar(b)
            lesson.backward(loss(x, y))
            assert [x.grad, y.grad] == pytest.approx(slope, rel=1e-9, abs=1e-9), name

    def minima(name: str) -> int:
        z = heights(lesson.landscapes[name], 81)
        inner = z[1:-1, 1:-1]
        around = [
            np.roll(np.roll(z, i, 0), j, 1)[1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1)
        ]
        return int((inner <= np.min(around, axis=0)).sum())

    assert minima("bowl") == 1
    assert minima("saddle") == 2 and minima("several minima") == 4
    assert lesson.landscapes["narrow valley"](1, 1) == 0
    saddle = lesson.landscapes["saddle"]
    assert saddle(0.1, 0) > saddle(0, 0) > saddle(0, 0.1)


@pytest.fixture
def race(lesson: SimpleNamespace) -> Panel:
    return show(lesson, "race-panel")


def heights_said(shown: Panel) -> dict[str, float]:
    words = shown.message.split("point: ")[1].split(". Lowest")[0]
    found = {}
    for part in words.rstrip(".").split(", "):
        name, value = part.split(" ", 1)
        found[name] = {"<b>flew off the map</b>": math.inf, "under 0.00001": 0.0}.get(value)
        if found[name] is None:
            found[name] = float(value)
    return found


def test_race_sweep(race: Panel) -> None:
    assert sweep_all(race, between=1) >= 20


def test_race_shows_the_paths_of_the_functions(lesson: SimpleNamespace, race: Panel) -> None:
    race.apply("narrow valley")
    ax = race.figure.figure.axes[0]
    valley = lesson.landscapes["narrow valley"]
    said, low = heights_said(race), heights(valley).min()
    for line, (name, rule) in zip(ax.lines[::2], lesson.optimizers.items(), strict=False):
        rows = np.array(lesson.descend(valley, rule, (-1.5, 1.5), STEPS, 0.01, 0.9))
        assert np.allclose(line.get_xydata(), rows[:, :2])
        assert said[name] == pytest.approx(rows[-1, 2] - low, rel=0.06)
    race.set(k=0)
    assert all(len(line.get_xdata()) == 1 for line in ax.lines[:8:2])


def test_race_presets_do_what_they_say(race: Panel) -> None:
    ends = {}
    for name in race.presets:
        race.apply(name)
        ends[name] = heights_said(race)
    assert all(v < 1e-3 for v in ends["bowl"].values())
    valley = ends["narrow valley"]
    assert valley["momentum"] < 0.01 * min(valley[n] for n in ("SGD", "RMSprop", "Adam"))
    assert ends["saddle"]["SGD"] > 0.4 > max(ends["saddle"][n] for n in ("momentum", "RMSprop"))
    assert all(v > 0.9 for v in ends["several minima"].values())
    fast = ends["too fast"]
    assert math.inf == fast["SGD"] == fast["momentum"]
    assert max(fast["RMSprop"], fast["Adam"]) < 0.1
    assert max(ends["noisy"].values()) > 100 * max(ends["bowl"].values())
    race.apply("noisy")
    noisy = heights_said(race)
    race.set(rate=0.01)
    assert heights_said(race)["momentum"] < noisy["momentum"]


def test_race_starts_where_one_clicks_and_scrubs_without_running_again(
    lesson: SimpleNamespace,
) -> None:
    calls = []

    def counted(*args: Any) -> Any:
        calls.append(args)
        return lesson.descend(*args)

    race = demos.race(lesson.landscapes, lesson.optimizers, counted)
    send(race, "press", 0, (0.5, -1.0))
    assert (race.values["x0"], race.values["y0"]) == pytest.approx((0.5, -1.0), abs=0.02)
    assert calls[-1][2] == (race.values["x0"], race.values["y0"])
    count = len(calls)
    pictures = []
    for k in (0, 10, 50, STEPS):
        race.set(k=k)
        pictures.append(race.figure.render().copy())
    race.set(k=10)
    assert (race.figure.render() == pictures[1]).all()
    assert len(calls) == count


def test_noise_is_seeded(lesson: SimpleNamespace) -> None:
    def end(noise: float, seed: int = 0) -> Any:
        loss = lesson.landscapes["bowl"]
        return lesson.descend(loss, lesson.sgd, (1.0, 1.0), 20, 0.1, 0.9, noise, seed)[-1]

    assert end(1.0) == end(1.0)
    assert len({end(1.0), end(1.0, 1), end(0.0)}) == 3


def test_race_shows_an_error_of_the_reader_s_rule(
    lesson: SimpleNamespace, monkeypatch: Any
) -> None:
    monkeypatch.setattr(panel, "strict", False)
    shown = demos.race(
        lesson.landscapes, {"mine": lambda w, g, state, lr, beta: w - state["v"]}, lesson.descend
    )
    assert isinstance(shown.error, KeyError) and "lecture-error" in shown.shown


# ---- the recipe


@pytest.fixture(scope="module")
def recipe(lesson: SimpleNamespace, digits: data.Digits) -> Panel:
    lesson.digits = digits
    return show(lesson, "recipe-panel")


SYMPTOM = {
    "initialization": "stuck at chance",
    "scaling": "dead",
    "zero_grad": "dead",
    "activation": "plateau",
    "batches": "slow",
    "loss": "slow",
    "backprop": "slow",
    "shuffled": "forgetting",
    "rate up": "diverging",
    "rate down": "slow",
}


@pytest.fixture(scope="module")
def outcomes(recipe: Panel) -> dict[str, dict[str, Any]]:
    """The end of each training with one ingredient missing, by the panel's own switches."""
    rate = recipe._start["rate"]
    found = {}
    for name in ["healthy", *SYMPTOM]:
        change = {"rate up": {"rate": 100 * rate}, "rate down": {"rate": rate / 100}}
        recipe.reset()
        recipe.set(**change.get(name, {} if name == "healthy" else {name: False}))
        run = recipe.run
        run.advance(run.steps)
        recipe.refresh()
        found[name] = {
            "message": recipe.message,
            "accuracy": run.last("accuracy"),
            "losses": run.curve("loss")[1],
            "steps": run.position,
            "dead": [run.curve(f"dead {k}")[1] for k in (1, 2)],
            "update": [run.curve(f"update {k}")[1] for k in (1, 2, 3)],
            "gradient": [run.curve(f"gradient {k}")[1] for k in (1, 2, 3)],
        }
    recipe.reset()
    return found


@pytest.mark.parametrize("name", SYMPTOM)
def test_each_missing_ingredient_has_its_symptom(outcomes: dict[str, Any], name: str) -> None:
    message = outcomes[name]["message"]
    assert f"Symptom: <b>{SYMPTOM[name]}</b>" in message, message
    assert WHY[name] in message


def test_the_healthy_training_is_healthy(outcomes: dict[str, Any]) -> None:
    good = outcomes["healthy"]
    assert good["accuracy"] > 0.91
    assert "Looks <b>healthy</b>" in good["message"]
    assert good["steps"] * 64 == SEEN
    ratios = np.array(good["update"])[:, 5:]
    assert 3e-4 < np.median(ratios) < 1e-2  # about a thousandth, as the page says


def test_symptoms_are_what_the_words_say(outcomes: dict[str, Any]) -> None:
    """The reasons on the page, each against the numbers of its run."""
    zero = outcomes["initialization"]
    assert zero["accuracy"] == pytest.approx(0.1, abs=0.005)
    assert np.allclose(zero["losses"], math.log(10), atol=0.05)
    assert max(map(max, zero["gradient"][:2])) == 0 and min(map(min, zero["dead"])) == 1
    for name in ("scaling", "zero_grad"):
        assert max(d[-1] for d in outcomes[name]["dead"]) > 0.9
        assert outcomes[name]["accuracy"] < 0.15
    assert outcomes["scaling"]["losses"][0] > 50
    assert outcomes["zero_grad"]["losses"][0] < 5
    assert outcomes["rate up"]["steps"] < 400  # stopped: no longer finite
    assert outcomes["batches"]["steps"] == 7
    assert max(map(max, outcomes["backprop"]["gradient"][:2])) == 0
    assert max(outcomes["rate down"]["update"][0]) < 5e-4
    assert min(outcomes["loss"]["losses"]) > math.log(1 + 9 / math.e) - 1e-6  # 1.46
    assert math.log(1 + 9 / math.e) == pytest.approx(1.46, abs=0.005)
    forgot = outcomes["shuffled"]["losses"]
    assert max(forgot[100:]) > 20 * min(forgot[100:])
    good = outcomes["healthy"]["accuracy"]
    for name in ("batches", "loss", "backprop", "rate down"):
        assert 0.15 < outcomes[name]["accuracy"] < good - 0.03


def test_without_activation_it_is_a_linear_net(
    outcomes: dict[str, Any], digits: data.Digits
) -> None:
    """The plateau is that of one linear layer, trained on the same digits."""
    x, y = (digits.train_x.flatten(1) - 0.1307) / 0.3081, digits.train_y
    torch.manual_seed(0)
    linear = torch.nn.Linear(784, 10)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.02)
    for k in range(400):
        rows = torch.arange(64 * k, 64 * (k + 1)) % len(x)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(linear(x[rows]), y[rows]).backward()
        optimizer.step()
    said = linear((digits.test_x.flatten(1) - 0.1307) / 0.3081).argmax(1)
    accuracy = (said == digits.test_y).float().mean().item()
    assert outcomes["activation"]["accuracy"] == pytest.approx(accuracy, abs=0.025)
    assert outcomes["activation"]["accuracy"] < outcomes["healthy"]["accuracy"] - 0.025


def test_recipe_presets_name_the_symptom(recipe: Panel, outcomes: dict[str, Any]) -> None:
    by_preset = {
        "zero weights": "initialization",
        "no zero_grad": "zero_grad",
        "no ReLU": "activation",
        "rate × 100": "rate up",
        "huge batch": "batches",
        "healthy": "healthy",
    }
    words = {"stuck at chance": "stuck at chance", "dead": "dies", "plateau": "plateau"}
    words |= {"diverging": "diverges", "slow": "slow", "healthy": "Works"}
    assert set(recipe.presets) == set(by_preset)
    for preset, name in by_preset.items():
        assert words[SYMPTOM.get(name, "healthy")] in recipe.presets[preset]["note"]
    started = outcomes["zero_grad"]
    assert min(started["losses"][:20]) < 0.6 * started["losses"][0]  # "starts well"


def test_recipe_panel_sweep_and_scrub(recipe: Panel, lesson: SimpleNamespace) -> None:
    assert sweep_all(recipe) >= 15
    run = recipe.run
    run.advance(30)
    recipe.refresh()
    assert "30 steps, 1,920 digits" in recipe.message
    later, count = recipe.figure.render().copy(), len(run.curve("loss")[1])
    weights = run.models[0][0].weight.detach().clone()
    run.seek(0)
    assert "Nothing trained yet" in recipe.message
    assert torch.equal(run.models[0][0].weight, lesson.make_net(lesson.healthy)[0].weight)
    run.seek(len(run.snapshots) - 1)
    assert torch.equal(run.models[0][0].weight, weights)
    assert (recipe.figure.render() == later).all()
    assert len(run.curve("loss")[1]) == count
    recipe.reset()
    run.rewind()


def test_probe_numbers_are_those_of_the_step(lesson: SimpleNamespace, digits: data.Digits) -> None:
    """Step 0 by hand: spread, gradient of one example, update against weight, dead units."""
    made = Training(lesson.make_net, lesson.train_step, lesson.prepare)
    made.begin(lesson.healthy, len(digits.train_x))
    found = made.step(0, digits.train_x, digits.train_y)
    net = lesson.make_net(lesson.healthy)
    rows = lesson.choose(0, digits.train_y, lesson.healthy)
    z1 = net[0]((digits.train_x[rows].flatten(1) - 0.1307) / 0.3081)
    h1 = z1.clamp(min=0)
    z2 = net[2](h1)
    h2 = z2.clamp(min=0)
    logits = net[4](h2)
    for z in (z1, z2, logits):
        z.retain_grad()
    losses = torch.nn.functional.cross_entropy(logits, digits.train_y[rows], reduction="sum")
    losses.backward()
    for k, (z, a) in enumerate(zip((z1, z2, logits), (h1, h2, logits), strict=True), 1):
        weight = net[2 * (k - 1)].weight
        step = 0.05 * weight.grad / 64
        assert found[f"activation {k}"] == pytest.approx(a.std(correction=0).item(), rel=1e-4)
        assert found[f"gradient {k}"] == pytest.approx(
            z.grad.square().mean().sqrt().item(), rel=1e-4
        )
        assert found[f"update {k}"] == pytest.approx((step.norm() / weight.norm()).item(), rel=1e-3)
    assert found["dead 1"] == pytest.approx((h1 == 0).all(0).float().mean().item())
    assert found["loss"].item() == pytest.approx(losses.item() / 64, rel=1e-5)


def test_recipe_shows_an_error_of_the_reader_s_step(
    lesson: SimpleNamespace, digits: data.Digits, monkeypatch: Any
) -> None:
    monkeypatch.setattr(panel, "strict", False)

    def wrong(k: int, *_: Any) -> Any:
        if k > 2:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        return lesson.train_step(k, *_)

    shown = demos.recipe(lesson.make_net, wrong, lesson.prepare, lesson.healthy, digits)
    shown.run.advance(10)
    assert "mat1 and mat2" in shown.run.message


def test_the_recipe_moves_to_another_device(
    lesson: SimpleNamespace, digits: data.Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On torch's lazy tensors, a second device that there is everywhere."""
    offer(monkeypatch)
    monkeypatch.setattr("lecture_utils.demos.backprop_recipe.SEEN", 128)
    few = data.Digits(*(part[:128] for part in digits))
    shown = demos.recipe(lesson.make_net, lesson.train_step, lesson.prepare, lesson.healthy, few)
    shown.run.advance(1)
    device.use(LAZY)
    shown.run.advance(1)
    shown.refresh()
    assert next(shown.run.models[0].parameters()).device.type == LAZY
    assert "2 steps, 128 digits" in shown.message
    shown.set(scaling=False)  # a new net, on the device in use
    shown.run.advance(1)
    shown.refresh()
    assert next(shown.run.models[0].parameters()).device.type == LAZY
    assert "1 step, 64 digits" in shown.message
    device.use("cpu")
    assert shown.error is None


# ---- recordings


def test_recordings_are_real(lesson: SimpleNamespace, digits: data.Digits) -> None:
    """One of them, trained again with the notebook's cells."""
    runs = recorded_runs()
    assert set(runs) == {"healthy", *"ABCDEFGHI"}
    training = Training(lesson.make_net, lesson.train_step, lesson.prepare, seed=2)
    again = as_arrays(record(training, {**lesson.healthy, "backprop": False}, digits))
    for name, values in again.items():
        assert values.shape == runs["B"][name].shape
        assert np.allclose(values[:3], runs["B"][name][:3], rtol=1e-3, atol=1e-5), name
    assert abs(again["accuracy"][-1] - runs["B"]["accuracy"][-1]) < 0.03


def test_recorded_panel(lesson: SimpleNamespace) -> None:
    runs = recorded_runs()
    shown = demos.recorded(runs)
    assert sweep_all(shown) >= 8
    assert list(shown.controls["recording"].options) == ["A", "B", "C"]
    shown.set(recording="C", k=0)
    assert f"loss {runs['C']['loss'][0]:.3g}" in shown.message
    shown.set(k=shown.controls["k"].max)
    assert f"{runs['C']['accuracy'][-1]:.1%} right" in shown.message
    for word in ("scaling", "backprop", "zero_grad", "initialization"):
        assert word not in shown.shown + shown.title + shown.look


def test_symptom_needs_something_to_look_at() -> None:
    curve = ([0, 1], [2.3, 2.3])
    history = {"loss": curve, "accuracy": curve, "batch": 64, "failed": False}
    assert symptom(history, history, 2) == ""
    assert symptom({**history, "failed": True}, history, 2) == "diverging"


def test_what_backpropagation_is_and_is_not() -> None:
    """facts.md, correction 7, and the slides' list with a switch for each ingredient."""
    text = {name: " ".join(source.split()) for name, source in CELLS.items()}
    assert "**reverse-mode automatic differentiation**" in text["engine-torch"]
    assert "It is used far outside deep learning" in text["end"]
    for ingredient in (
        "backpropagation", "optimization", "stochastic gradient descent", "hyperparameter tuning",
        "architecture", "loss functions", "weight initialization", "scaling",
    ):  # fmt: skip
        assert ingredient in text["recipe-text"]
    assert "no derivative. PyTorch takes 0 there" in text["relu-zero"]
