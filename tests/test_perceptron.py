"""01_perceptron: its facts, its panels against independent computations, its learning rule."""

import itertools
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import answered, axes_of, send, show, sources, sweep, sweep_all
from second_device import LAZY, offer

from lecture_utils import data, device, panel
from lecture_utils.demos import perceptron as demos
from lecture_utils.demos.perceptron_learning import widest_margin
from lecture_utils.demos.perceptron_parts import ends
from lecture_utils.draw import lattice
from lecture_utils.panel import Panel
from lecture_utils.training import Run

NOTEBOOK = "01_perceptron"
ROWS = [(0, 0), (0, 1), (1, 0), (1, 1)]
TRUTH = {
    "AND": lambda p, q: p and q,
    "OR": lambda p, q: p or q,
    "NOT x1": lambda p, q: not p,
    "NOT x2": lambda p, q: not q,
    "NAND": lambda p, q: not (p and q),
    "NOR": lambda p, q: not (p or q),
    "XOR": lambda p, q: p != q,
    "XNOR": lambda p, q: p == q,
}


# ---- facts


def test_gates_are_what_they_are_called(lesson: SimpleNamespace) -> None:
    assert {name: values.tolist() for name, values in lesson.gates.items()} == {
        name: [int(bool(f(p, q))) for p, q in ROWS] for name, f in TRUTH.items()
    }
    assert lesson.inputs.tolist() == [list(map(float, row)) for row in ROWS]


def test_one_unit_does_all_but_xor(lesson: SimpleNamespace) -> None:
    """By whole numbers, without the notebook's search: 14 of 16 functions, XOR at best 3 rows."""
    possible = {
        tuple(int(w1 * p + w2 * q + b > 0) for p, q in ROWS)
        for w1, w2, b in itertools.product(range(-6, 7), repeat=3)
    }
    assert len(possible) == 14
    table = {name: tuple(int(bool(f(p, q))) for p, q in ROWS) for name, f in TRUTH.items()}
    assert {name for name, row in table.items() if row not in possible} == {"XOR", "XNOR"}
    best = max(sum(a == b for a, b in zip(row, table["XOR"], strict=True)) for row in possible)
    assert best == 3
    for cell, expected in [("search-question", "3"), ("sixteen-question", "14")]:
        answered(show(lesson, cell), expected)


def test_the_other_questions_have_these_answers(lesson: SimpleNamespace) -> None:
    for cell, expected, word in [
        ("gates-question", "AND", "1.5"),
        ("digits-question", "fewer than 50", "11"),
        ("seeds-question", "7 to 9", "[5, 8, 9]"),
    ]:
        assert word in answered(show(lesson, cell), expected), cell


def test_xor_from_three_perceptrons_and_from_a_product(lesson: SimpleNamespace) -> None:
    assert lesson.xor(lesson.inputs).tolist() == [0, 1, 1, 0]
    assert lesson.hidden(lesson.inputs).tolist() == [[0, 1], [1, 1], [1, 1], [1, 0]]
    everywhere = lattice(-3, 3, 50)
    assert len(lesson.hidden(everywhere).unique(dim=0)) == 3
    features = lesson.product(lesson.inputs)
    assert lesson.predict(features, torch.tensor([1.0, -2.0]), -0.5).tolist() == [0, 1, 1, 0]


# ---- words and geometry


@given(*[st.floats(-3, 3) for _ in range(3)])
def test_ends_lie_on_the_line_and_on_the_border(w1: float, w2: float, b: float) -> None:
    tips = ends((w1, w2), b, -1, 2)
    corners = [w1 * x + w2 * y + b for x in (-1, 2) for y in (-1, 2)]
    crosses = min(corners) < -1e-6 and max(corners) > 1e-6
    if np.hypot(w1, w2) < 1e-3:
        return
    if tips is None:
        assert not crosses
        return
    assert np.allclose(tips @ [w1, w2] + b, 0, atol=1e-6)
    assert (tips > -1 - 1e-6).all() and (tips < 2 + 1e-6).all()
    assert np.minimum(abs(tips + 1), abs(tips - 2)).min(axis=1).max() < 1e-6


# ---- line and plane


def drag(panel: Panel, k: int, *places: tuple[float, float]) -> None:
    """Drag through data coordinates of axes ``k``, as the page reports it."""
    panel.figure.render()
    at = [np.array([panel.figure.to_page(axes_of(panel, k), *p)]) for p in places]
    panel.figure.pointer("drag-start", k, at[0])
    for place in at[1:]:
        panel.figure.pointer("drag-move", k, place)
    panel.figure.pointer("drag-end", k, at[-1])


def test_line_panel(lesson: SimpleNamespace) -> None:
    shown = demos.line(lesson.line)
    assert sweep_all(shown) >= 10
    shown.set(m=-2.0, b=3.0)
    graph = next(a for a in axes_of(shown).lines if len(a.get_xdata()) == 101)
    assert np.allclose(graph.get_ydata(), -2 * np.linspace(-5, 5, 101) + 3, atol=1e-5)
    assert "y = −2·x + 3" in shown.message and "x = 1.5" in shown.message
    drag(shown, 0, (0.1, 3.0), (0.1, -1.0))
    assert shown.values == {"m": -2.0, "b": -1.0}
    drag(shown, 0, (2.0, -3.0), (2.0, 1.0))
    assert shown.values == {"m": 1.0, "b": -1.0}


def test_plane_panel(lesson: SimpleNamespace) -> None:
    shown = demos.plane(lesson.plane)
    assert sweep_all(shown) >= 15
    shown.set(a=-1.0, b=2.0, c=-3.0)
    image = axes_of(shown).images[0].get_array()
    x, y = np.meshgrid(np.linspace(-3, 3, 61), np.linspace(-3, 3, 61))
    assert np.allclose(image, -x + 2 * y - 3, atol=1e-4)
    assert "−1·x + 2·y − 3" in shown.message and "2.24 a unit" in shown.message
    zero = axes_of(shown).lines[0]
    assert np.allclose(-zero.get_xdata() + 2 * zero.get_ydata() - 3, 0)
    shown.set(a=1.0, b=0.0, c=0.0)
    drag(shown, 0, (1.0, 0.0), (0.5, -1.5))
    assert (shown.values["a"], shown.values["b"]) == (0.5, -1.5)
    # Twice the numbers, the same zero line: what the preset says.
    shown.set(a=1.0, b=1.0, c=-2.0)
    before = zero.get_xydata().copy()
    shown.apply("Twice as steep")
    assert np.allclose(before, zero.get_xydata())


# ---- gates


@pytest.fixture
def gates(lesson: SimpleNamespace) -> Panel:
    return demos.gates(lesson.predict, lesson.inputs, lesson.gates)


def table(shown: Panel) -> list[list[str]]:
    """x1, x2, z, out, want, mark of each row, read off the picture."""
    cells: dict[float, list[tuple[float, str]]] = {}
    for text in axes_of(shown, 1).texts:
        x, y = text.get_position()
        if 0.45 < y < 0.9:
            cells.setdefault(y, []).append((x, text.get_text().replace("−", "-")))
    return [[word for _, word in sorted(cells[y])] for y in sorted(cells, reverse=True)]


def lit(shown: Panel) -> set[str]:
    texts = axes_of(shown, 1).texts
    on = [t for t in texts if t.get_bbox_patch() and t.get_animated() and t.get_visible()]
    return {t.get_text().replace("₁", "1").replace("₂", "2") for t in on}


def test_gates_panel_agrees_with_arithmetic(gates: Panel) -> None:
    tried = 0
    for name, _ in sweep(gates, between=5):
        target, w1, w2, b = gates.values.values()
        z = [w1 * p + w2 * q + b for p, q in ROWS]
        out = [int(v > 1e-9) for v in z]
        want = [int(bool(TRUTH[target](p, q))) for p, q in ROWS]
        assert [float(r[2]) for r in table(gates)] == pytest.approx(z, abs=0.006), name
        assert [int(r[3]) for r in table(gates)] == out
        assert [int(r[4]) for r in table(gates)] == want
        assert [r[5] for r in table(gates)] == [
            "✓" if a == t else "✗" for a, t in zip(out, want, strict=True)
        ]
        right = sum(a == t for a, t in zip(out, want, strict=True))
        assert f"{right} of 4 rows right for {target}" in gates.message
        computed = {n for n, f in TRUTH.items() if [int(bool(f(*r))) for r in ROWS] == out}
        assert lit(gates) == computed
        tried += 1
    assert tried > 25


def test_gates_regions_and_line(gates: Panel) -> None:
    gates.set(w1=1.0, w2=-0.5, b=0.3)
    ax = axes_of(gates)
    x, y = np.meshgrid(np.linspace(-0.5, 1.5, 141), np.linspace(-0.5, 1.5, 141))
    z = x - 0.5 * y + 0.3
    clear = np.abs(z) > 1e-5
    assert (ax.images[0].get_array()[clear] == (z > 0)[clear]).all()
    tips = ax.lines[0].get_xydata()
    assert np.allclose(tips @ [1, -0.5] + 0.3, 0)


def test_gate_presets_do_what_they_say(gates: Panel) -> None:
    for name in gates.presets:
        gates.apply(name)
        works = gates.presets[name]["note"].startswith("Works")
        assert works == (lit(gates) == {name}) == ("<b>4 of 4</b>" in gates.message)
        assert works == (name != "XOR")


def test_dragging_the_middle_moves_the_line(gates: Panel) -> None:
    gates.apply("OR")
    drag(gates, 0, (0.25, 0.25), (0.5, 0.5), (0.75, 0.75))
    assert gates.values == {"target": "OR", "w1": 1.0, "w2": 1.0, "b": -1.5}
    drag(gates, 0, (0.75, 0.75), (5.0, 5.0))  # far outside: the slider's end
    assert gates.values["b"] == -4.0


def test_dragging_an_end_turns_the_line(gates: Panel) -> None:
    gates.apply("OR")
    drag(gates, 0, (1.0, -0.5), (0.25, -0.4))
    w1, w2, b = (gates.values[name] for name in ("w1", "w2", "b"))
    assert w1 == pytest.approx(2**0.5, abs=0.01) and w2 == pytest.approx(0, abs=0.01)
    assert w1 * 0.25 + w2 * 0.25 + b == pytest.approx(0, abs=0.02)  # about its middle
    # Once around in small steps: the orange side follows.
    gates.apply("OR")
    angles = np.linspace(-np.pi / 4, 2 * np.pi - np.pi / 4, 40)
    start = [(1.0, -0.5)]
    drag(gates, 0, *start, *[(0.25 + np.cos(a), 0.25 + np.sin(a)) for a in angles])
    assert gates.values["w1"] == pytest.approx(1, abs=0.02)
    assert gates.values["w2"] == pytest.approx(1, abs=0.02)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=2, max_size=4))
def test_no_drag_makes_xor(lesson: SimpleNamespace, places: list[tuple[float, float]]) -> None:
    shown = demos.gates(lesson.predict, lesson.inputs, lesson.gates)
    shown.apply("XOR")
    drag(shown, 0, *places)
    assert shown.error is None
    assert "best so far for XOR: <b>3 of 4</b>" in shown.message


def test_no_weights_no_line(gates: Panel) -> None:
    gates.set(w1=0.0, w2=0.0, b=1.0)
    assert "no line" in gates.message
    drag(gates, 0, (0, 0), (1, 1))
    assert gates.error is None


# ---- a student's own predict


def test_panels_follow_the_function_they_were_given(lesson: SimpleNamespace) -> None:
    shown = demos.gates(lambda x, w, b: (x @ w + b < 0).long(), lesson.inputs, lesson.gates)
    shown.set(target="AND", w1=1.0, w2=1.0, b=-1.5)
    assert lit(shown) == {"NAND"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x, w, b: x @ w + b, "expected 0 or 1"),
        (lambda x, w, b: (x @ w + b > 0).long()[:1], "expected (4,)"),
        (lambda x, w, b: None, "is a `return` missing?"),
        (lambda x, w, b: x @ w[:1] + b, "RuntimeError"),
    ],
)
def test_a_wrong_predict_is_shown_in_the_panel(
    lesson: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, wrong: Any, words: str
) -> None:
    monkeypatch.setattr(panel, "strict", False)
    shown = demos.gates(wrong, lesson.inputs, lesson.gates)
    assert shown.error is not None
    assert "lecture-error" in shown.shown and words in shown.shown


def test_wrong_functions_of_the_other_panels(
    lesson: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel, "strict", False)
    pair = torch.tensor([-1.0, 1.0])
    shown = [
        demos.line(lambda x, m, b: 1.0),
        demos.plane(lambda x, y, a, b, c: x[:2]),
        demos.search(lambda t, w, b: pair, lesson.predict, lesson.inputs, lesson.gates, pair, pair),
        demos.learning(lambda x, y, passes: None, lesson.predict),
        demos.morph({"one": (lambda x: x[:, :1], torch.ones(2), 0.0)}, lesson.predict),
    ]
    for made in shown:
        assert made.error is not None and "lecture-error" in made.shown, made.title


# ---- the search


def test_search_map_against_arithmetic(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "search-panel")
    assert sweep_all(shown) >= 15
    weights, biases = np.arange(-20, 21) / 10, np.arange(-81, 82, 2) / 20
    w1, w2, b = np.meshgrid(weights, weights, biases, indexing="xy")
    for name, truth in TRUTH.items():
        want = [bool(truth(p, q)) for p, q in ROWS]
        # Rounded first: sums of tenths are exact to a hundredth, ties fall between the biases.
        out = [np.round(w1 * p + w2 * q + b, 6) > 0 for p, q in ROWS]
        right = sum((o == t).astype(int) for o, t in zip(out, want, strict=True))
        shown.set(target=name)
        image = axes_of(shown).images[0].get_array()
        assert (image == right.max(axis=2)).all(), name
        assert (right.max() == 4) == (name not in ("XOR", "XNOR"))
        assert ("None gets 4; the best reach 3" in shown.message) == (name in ("XOR", "XNOR"))
    for name in shown.presets:
        shown.apply(name)
        assert ("4 of 4" in shown.message) == shown.presets[name]["note"].startswith("Works")
    send(shown, "press", 0, (-1.52, 0.71))
    assert (shown.values["w1"], shown.values["w2"]) == (-1.5, 0.7)


# ---- the learning rule and its bound


def exact_margin(x: np.ndarray, y: np.ndarray) -> float:
    """The widest margin by trying every set of at most three support points (in the plane)."""
    z = np.column_stack([x, np.ones(len(x))]) * np.where(y == 1, 1.0, -1.0)[:, None]
    best = 0.0
    for size in (1, 2, 3):
        for chosen in itertools.combinations(range(len(z)), size):
            u = np.linalg.pinv(z[list(chosen)]) @ np.ones(size)  # margin 1 at these points
            length = np.linalg.norm(u)
            if length > 1e-9:
                best = max(best, (z @ u).min() / length)
    return best


@st.composite
def separable(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Points of two classes with a gap between them."""
    made = np.random.default_rng(draw(st.integers(0, 10_000)))
    angle, gap = draw(st.floats(0, 6.28)), draw(st.floats(0.1, 1.0))
    shift = draw(st.floats(-1, 1))
    x = made.uniform(-2, 2, (draw(st.integers(3, 10)), 2))
    u = np.array([np.cos(angle), np.sin(angle)])
    y = (x @ u + shift > 0).astype(int)
    return x + np.outer(np.where(y == 1, gap, -gap), u), y


@settings(max_examples=60, deadline=None)
@given(separable())
def test_mistakes_stay_under_the_bound(
    lesson: SimpleNamespace, points: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = points
    radius, margin = widest_margin(torch.tensor(x), torch.tensor(y))
    assert radius == pytest.approx(np.sqrt((x**2).sum(axis=1).max() + 1))
    assert margin == pytest.approx(exact_margin(x, y), rel=2e-3)
    rows = torch.tensor(x, dtype=torch.float32)
    w, b, updates = lesson.learn(rows, torch.tensor(y), 5000)
    assert lesson.predict(rows, w, b).tolist() == y.tolist()
    assert len(updates) <= (radius / margin) ** 2


def test_no_margin_without_a_line() -> None:
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert widest_margin(corners, torch.tensor([0, 1, 1, 0]))[1] == 0
    assert widest_margin(corners, torch.tensor([0, 0, 0, 1]))[1] > 0


def test_learn_repeats_a_hand_worked_run(lesson: SimpleNamespace) -> None:
    """OR from zeros: 01 is the first mistake, then 00, 10, 00, and it is done."""
    w, b, updates = lesson.learn(lesson.inputs, lesson.gates["OR"])
    hand_w, hand_b, hand = np.zeros(2), 0.0, []
    while True:
        clean = True
        for i, (p, q) in enumerate(ROWS):
            error = int(p or q) - int(hand_w @ [p, q] + hand_b > 0)
            if error:
                hand.append(i)
                hand_w, hand_b, clean = hand_w + error * np.array([p, q]), hand_b + error, False
        if clean:
            break
    assert [i for i, *_ in updates] == hand
    assert (w.tolist(), float(b)) == (hand_w.tolist(), hand_b)
    assert updates[0][1].tolist() == [0, 0]  # recorded before the change


@pytest.fixture
def learning(lesson: SimpleNamespace) -> Panel:
    return demos.learning(lesson.learn, lesson.predict)


def test_learning_panel_sweep_and_scrub(learning: Panel) -> None:
    assert sweep_all(learning) >= 15
    learning.set(data="wide gap", k=0)
    player = learning.controls["k"]
    pictures = []
    for k in range(player.max + 1):
        player.value = k
        pictures.append(learning.figure.render().copy())
    assert player.max >= 3
    for k in reversed(range(player.max + 1)):
        player.value = k
        assert (learning.figure.render() == pictures[k]).all()
    player.forward()
    assert player.value == 1


def test_learning_panel_shows_the_update(learning: Panel, lesson: SimpleNamespace) -> None:
    learning.set(data="narrow gap", k=7)
    x = np.vstack([p.get_xydata() for p in axes_of(learning).lines[3:5]])
    ring = axes_of(learning).lines[2].get_xydata()
    assert len(ring) == 1 and (np.abs(x - ring).sum(axis=1) < 1e-9).any()
    words = learning.message.split("w becomes ")[1].split(", b")[0].replace("−", "-")
    sign = 1 if ") + (" in words else -1
    first, point, after = (
        np.array([float(v) for v in part.split(",")]) for part in re.findall(r"\(([^)]*)\)", words)
    )
    assert np.allclose(first + sign * point, after, atol=0.011)
    assert np.allclose(point, ring[0], atol=0.006)


def test_learning_presets_do_what_they_say(learning: Panel) -> None:
    mistakes = {}
    for name in learning.presets:
        learning.apply(name)
        learning.controls["k"].value = learning.controls["k"].max
        mistakes[name] = learning.controls["k"].max
        works = learning.presets[name]["note"].startswith("Works")
        assert works == ("A whole pass without a mistake" in learning.message), name
        assert works != ("Still wrong after 100 passes" in learning.message)
        assert works == ("of at most" in learning.message)
        assert works != ("no bound" in learning.message)
    assert mistakes["Narrow gap"] > 3 * mistakes["Wide gap"]


def test_points_are_added_and_erased(learning: Panel) -> None:
    learning.apply("XOR")
    before = learning.controls["k"].max
    learning.set(click="erase")
    send(learning, "press", 0, (1.02, 0.97))
    assert learning.values["data"] == "your own"
    assert "A whole pass without a mistake" in learning.message  # three corners are separable
    assert learning.controls["k"].max < before
    learning.set(click="0", x1=1.0, x2=1.0)
    learning.actions["Click at +"]()
    learning.refresh()
    assert "no bound" in learning.message
    learning.set(click="erase")
    for x, y in [(1, 1), (1, -1), (-1, 1), (-1, -1)]:
        send(learning, "press", 0, (x, y))
    assert "No points yet" in learning.message
    learning.set(click="1")
    send(learning, "press", 0, (0.5, 0.5))
    assert learning.error is None and "Update 1" in learning.message
    learning.reset()
    assert learning.values["data"] == "wide gap" and "Before the first" in learning.message


# ---- digits


def test_digit_weights_are_sums_of_the_digits_got_wrong(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "digits-panel")
    sweep_all(shown)
    digits = data.mnist()
    keep = digits.train_y <= 1
    x, y = digits.train_x[keep].reshape(-1, 784).numpy(), digits.train_y[keep].numpy()
    test = digits.test_y <= 1
    test_x, test_y = digits.test_x[test].reshape(-1, 784).numpy(), digits.test_y[test].numpy()
    w, b, k = np.zeros(784, np.float32), 0.0, 0
    mistakes = 1
    while mistakes:
        mistakes = 0
        for row, label in zip(x, y, strict=True):
            error = int(label) - int(row @ w + b > 0)
            if error:
                w, b, k, mistakes = w + error * row, b + error, k + 1, mistakes + 1
                shown.set(k=k)
                assert np.allclose(axes_of(shown).images[0].get_array().ravel(), w, atol=1e-4)
                assert (axes_of(shown, 1).images[0].get_array().ravel() == row).all()
                right = ((test_x @ w + b > 0) == test_y).mean()
                assert f"Right on {right:.1%} of 200" in shown.message
    assert k == shown.controls["k"].max == 11
    assert right == 1.0


def test_three_and_five_are_separable_but_harder(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "digits-panel")
    shown.apply("3 against 5")
    updates = shown.controls["k"].max
    shown.controls["k"].value = updates
    bound = float(shown.message.split("Bound: ")[1].split(" ")[0].replace(",", ""))
    assert 200 < updates <= bound


# ---- two layers


def test_morph_from_inputs_to_hidden_values(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "morph-panel")
    assert sweep_all(shown) >= 7
    for features, goal in [("two perceptrons", lesson.hidden), ("sum and product", lesson.product)]:
        for t in (0.0, 0.3, 1.0):
            shown.set(t=t, features=features)
            expected = ((1 - t) * lesson.inputs + t * goal(lesson.inputs)).numpy()
            orange, blue = (line.get_xydata() for line in axes_of(shown).lines[3:5])
            assert np.allclose(orange, expected[[0, 3]]) and np.allclose(blue, expected[[1, 2]])
        assert "4 of 4" in shown.message and "one line separates" in shown.message
        shown.set(t=0.0)
        assert "no line separates" in shown.message


# ---- training


def alone(lesson: SimpleNamespace, seed: int, steps: int, rate: float) -> float:
    """One net trained by a plain loop."""
    net = lesson.make_net(seed)
    y = lesson.gates["XOR"].float()
    for _ in range(steps):
        loss = lesson.loss_of(net, lesson.inputs, y)
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for p, g in zip(net.parameters(), slopes, strict=True):
                p -= rate * g
    return lesson.loss_of(net, lesson.inputs, y).item()


def test_ten_nets_at_once_are_ten_nets(lesson: SimpleNamespace) -> None:
    at_once = demos.final_losses(
        lesson.make_net,
        lesson.loss_of,
        lesson.inputs,
        lesson.gates["XOR"].float(),
        seeds=3,
        steps=60,
        learning_rate=3.0,
    )
    assert at_once == pytest.approx([alone(lesson, s, 60, 3.0) for s in range(3)], abs=1e-4)


def test_some_starts_are_stuck(lesson: SimpleNamespace) -> None:
    assert lesson.stuck == [5, 8, 9]
    # Two rows at probability 1/2, two right: half of ln 2.
    assert all(abs(lesson.final[seed] - np.log(2) / 2) < 0.01 for seed in lesson.stuck)
    assert all(loss < 0.05 for s, loss in enumerate(lesson.final) if s not in lesson.stuck)


def test_training_panel_presets_rewind_and_seeds(lesson: SimpleNamespace) -> None:
    run, shown = lesson.run, show_training(lesson)
    for name in shown.presets:
        shown.apply(name)
        assert run.reached == 0 and not run.playing
        run.advance(run.steps)
        shown.refresh()
        works = shown.presets[name]["note"].startswith("Works")
        assert works == ("<b>4 of 4</b>" in shown.message), name
        assert works == (run.last("loss") < 0.05), name
        if name == "Stuck":
            assert shown.message.count("0.50") == 2, shown.message
    shown.apply("Works")
    first = shown.figure.render().copy()
    run.advance(40)
    shown.refresh()
    losses = run.curve("loss")[1]
    assert not (shown.figure.render() == first).all()
    run.rewind()
    assert (shown.figure.render() == first).all()
    run.advance(40)
    assert run.curve("loss")[1] == losses  # the same start, the same run
    run.seek(0)
    assert shown.message.startswith("Step 0: prob")


def show_training(lesson: SimpleNamespace) -> Panel:
    names = vars(lesson)
    return demos.xor_training(
        names["run"], lesson.make_net, learning_rate=3.0, works=3, stuck=lesson.stuck[0]
    )


def test_learning_rate_changes_while_it_trains(lesson: SimpleNamespace) -> None:
    shown, run = show_training(lesson), lesson.run
    shown.apply("Works")
    run.advance(5)
    shown.controls["rate"].value = 0.5
    before = [p.detach().clone() for p in lesson.net.parameters()]
    run.advance(1)
    slopes = [p.grad for p in lesson.net.parameters()]
    for p, old, g in zip(lesson.net.parameters(), before, slopes, strict=True):
        assert torch.allclose(p, old - 0.5 * g, atol=1e-6)
    sweep_all(shown)


def test_training_panel_follows_the_device(
    lesson: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On torch's lazy tensors, a second device that there is everywhere."""
    offer(monkeypatch)
    net = lesson.make_net(3)
    optimizer = torch.optim.SGD(net.parameters(), lr=3.0)

    def step(k: int, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = lesson.loss_of(net, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    targets = lesson.gates["XOR"].float()
    run = Run(step, models=[net], optimizers=[optimizer], data=[lesson.inputs, targets], steps=1000)
    shown = demos.xor_training(run, lesson.make_net, learning_rate=3.0, works=3, stuck=5)
    run.advance(3)
    shown.refresh()
    before = shown.message
    device.use(LAZY)
    shown.refresh()
    assert next(net.parameters()).device.type == LAZY
    assert shown.message == before
    shown.set(seed=4)  # the new weights come from the CPU
    run.advance(2)
    shown.refresh()
    assert next(net.parameters()).device.type == LAZY and "Step 2" in shown.message
    device.use("cpu")
    assert shown.error is None


def test_what_xor_defeats_is_said_exactly() -> None:
    """facts.md, correction 4: one linear threshold unit, on the raw inputs; two ways out."""
    text = {name: " ".join(source.split()) for name, source in sources(NOTEBOOK).items()}
    for place in ("proof-saw", "end"):
        assert "ne linear threshold unit on the raw inputs can't do XOR" in text[place]
    assert "A product feature fixes it; so do two hidden units." in text["end"]
