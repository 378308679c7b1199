"""The playground of 02_mlp: points, engine and pictures against independent computations."""

import ast
import math
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import answered, send, sources, sweep
from second_device import LAZY
from torch import nn
from torch.nn import functional as F
from waiting import wait_for

from lecture_utils import device, panel, style
from lecture_utils.demos import mlp_playground as demos
from lecture_utils.demos.mlp_playground_controls import CodeView, Toggles, hidden_widths
from lecture_utils.demos.mlp_playground_data import COUNT, OWN, SETS, make_points, no_points
from lecture_utils.demos.mlp_playground_engine import Engine, agrees, known, order_of
from lecture_utils.demos.mlp_playground_training import ACTIVATIONS, as_code
from lecture_utils.demos.mlp_playground_view import Target
from lecture_utils.draw import LEVELS, enlarged, levels

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    """The net, the step and the question of the notebook's own cells."""
    cells = sources("02_mlp")
    names: dict[str, Any] = {"torch": torch}
    exec(cells["playground-net"], names)
    question = ast.parse(cells["playground-question"])
    names["ask"] = ast.Expression(question.body.pop().value)
    exec(compile(question, "question", "exec"), names)
    return SimpleNamespace(**{k: v for k, v in names.items() if not k.startswith("__")})


@pytest.fixture(scope="module")
def board(lesson: SimpleNamespace) -> panel.Panel:
    """One panel for all tests: to make it takes as long as many of them."""
    return demos.playground(lesson.features, lesson.make_net, lesson.train_step)


@pytest.fixture
def shown(board: panel.Panel):
    board.game.own = no_points()
    board.reset()
    yield board
    board.run.pause()
    board.game.hover = None


def plain(words: str) -> str:
    return re.sub(r"<[^>]+>", "", words).replace("&nbsp;", " ")


def right(made: panel.Panel) -> list[float]:
    """Shares of points right, as the panel tells them: training, then test."""
    return [int(a) / int(b) for a, b in re.findall(r"(\d+) of (\d+) right", plain(made.message))]


def told_losses(made: panel.Panel) -> list[float]:
    return [float(v) for v in re.findall(r"loss (\d+\.\d+)", plain(made.message))]


def weights_of(made: panel.Panel) -> list[torch.Tensor]:
    return [p.detach().cpu().clone() for p in made.game.training.net.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# ---- points


def test_circle_is_a_disc_in_a_ring() -> None:
    points = make_points("circle")
    radius = np.hypot(*points.x.numpy().T)
    assert ((radius < 2.5) == (points.y.numpy() == 1)).all()
    assert radius[points.y == 0].min() >= 3.5 and radius.max() <= 5
    assert points.y.sum() == COUNT / 2
    noisy = make_points("circle", 0.5)
    assert torch.equal(noisy.x, points.x), "noise turns labels, it moves no point"
    turned = (noisy.y != points.y).float().mean()
    assert 0.1 < turned < 0.5


def test_xor_is_blue_where_the_signs_differ() -> None:
    points = make_points("XOR")
    assert ((points.x[:, 0] * points.x[:, 1] < 0) == (points.y == 1)).all()
    assert points.x.abs().min() >= 0.3 and points.x.abs().max() <= 5.3
    assert 0.1 < (make_points("XOR", 0.4).y != points.y).float().mean() < 0.5


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.5])
def test_blobs_have_their_centres_and_spread(noise: float) -> None:
    points = make_points("blobs", noise)
    for label, centre in ((0, -2), (1, 2)):
        chosen = points.x[points.y == label]
        spread = math.sqrt(0.5 + 7 * noise)
        assert len(chosen) == COUNT / 2
        assert np.allclose(chosen.mean(dim=0), centre, atol=5 * spread / math.sqrt(len(chosen)))
        assert np.allclose(chosen.std(dim=0), spread, rtol=0.2)


def test_spiral_arms_are_half_a_turn_apart() -> None:
    points = make_points("spiral")
    for label, start in ((1, 0.0), (0, math.pi)):
        share = np.arange(COUNT // 2) / (COUNT // 2)
        turn = 3.5 * math.pi * share + start
        wanted = 5 * share[:, None] * np.stack([np.sin(turn), np.cos(turn)], axis=1)
        arm = points.x[points.y == label].double().numpy()
        gaps = np.abs(arm[:, None] - wanted[None]).max(axis=2)
        assert (gaps.min(axis=0) < 1e-5).all() and (gaps.min(axis=1) < 1e-5).all()
    moved = make_points("spiral", 0.3).x - points.x
    assert moved.abs().max() <= 0.3 and moved.std() == pytest.approx(0.3 / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("name", SETS)
def test_a_share_of_the_points_is_for_training(name: str) -> None:
    for share in (0.1, 0.5, 0.9):
        points = make_points(name, share=share)
        x, y = points.side(True)
        rest, _ = points.side(False)
        assert len(x) == len(y) == round(share * COUNT) and len(x) + len(rest) == COUNT
        assert 0.3 < y.mean() < 0.7, "both classes are in it"
    again = make_points(name)
    assert torch.equal(again.x, make_points(name).x)
    assert not torch.equal(again.x, make_points(name, seed=1).x)
    near = make_points(name, 0.21).x - make_points(name, 0.2).x
    assert near.abs().max() < 0.3, "with a little more noise points move, they do not jump"
    assert make_points(name).x.abs().max() < 6 or name == "blobs"


def test_points_are_added_and_erased() -> None:
    points = no_points().plus(1.0, 2.0, 1).plus(-1.0, 0.5, 0)
    assert points.x.tolist() == [[1.0, 2.0], [-1.0, 0.5]] and points.y.tolist() == [1, 0]
    assert points.without(5.0, 5.0).x.tolist() == points.x.tolist(), "none is near"
    assert points.without(0.8, 2.1).x.tolist() == [[-1.0, 0.5]]
    assert len(no_points().without(0.0, 0.0).x) == 0


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(ValueError, match="no point set 'moons'"):
        make_points("moons")


# ---- the engine


def numpy_step(
    tables: list[np.ndarray], x: np.ndarray, y: np.ndarray, rate: float, l1: float, l2: float
) -> None:
    """One step for a tanh net of tables [weights | bias], by the chain rule, in float64."""
    after = [x]
    for k, table in enumerate(tables):
        z = after[-1] @ table[:, :-1].T + table[:, -1]
        after.append(np.tanh(z) if k < len(tables) - 1 else z)
    delta = (1 / (1 + np.exp(-after[-1])) - y[:, None]) / len(x)
    for k in range(len(tables) - 1, -1, -1):
        table, before = tables[k], after[k]
        weight = table[:, :-1].copy()
        slope = delta.T @ before + l2 * weight
        step = weight - rate * slope
        table[:, :-1] = np.sign(step) * np.maximum(np.abs(step) - rate * l1, 0)
        table[:, -1] -= rate * delta.sum(axis=0)
        delta = (delta @ weight) * (1 - before**2)


@pytest.mark.parametrize("widths", [(), (3,), (4, 2), (8, 5, 3)])
@pytest.mark.parametrize(("l1", "l2"), [(0, 0), (0.01, 0), (0, 0.05)])
def test_engine_is_gradient_descent(lesson, widths, l1, l2) -> None:
    torch.manual_seed(4)
    net = lesson.make_net(3, widths, nn.Tanh)
    tables = [
        np.column_stack([m.weight.detach().double(), m.bias.detach().double()])
        for m in net
        if isinstance(m, nn.Linear)
    ]
    x, y = torch.randn(20, 3), (torch.rand(20) < 0.5).float()
    engine = Engine(net, x, y, 6)
    order = order_of(2, 20, torch.device("cpu"))
    assert engine.epoch(order, 0.5, l1, l2) == 3
    for k in range(3):
        chosen = order[6 * k : 6 * k + 6]
        numpy_step(tables, x[chosen].double().numpy(), y[chosen].double().numpy(), 0.5, l1, l2)
    for layer, table in zip((m for m in net if isinstance(m, nn.Linear)), tables, strict=True):
        assert np.allclose(layer.weight.detach(), table[:, :-1], atol=2e-6)
        assert np.allclose(layer.bias.detach(), table[:, -1], atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 8), max_size=6),
    st.sampled_from(list(ACTIVATIONS)),
    st.integers(1, 7),
    st.integers(0, 1000),
)
def test_engine_has_the_gradients_of_autograd(widths, kind, inputs, seed) -> None:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    before = inputs
    for width in widths:
        layers += [nn.Linear(before, width), ACTIVATIONS[kind]()]
        before = width
    net = nn.Sequential(*layers, nn.Linear(before, 1))
    x, y = torch.randn(9, inputs), (torch.rand(9) < 0.5).float()
    loss = F.binary_cross_entropy_with_logits(net(x)[:, 0], y)
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    start = [p.detach().clone() for p in net.parameters()]
    Engine(net, x, y, 9).epoch(torch.arange(9), 1.0)
    for p, before_, slope in zip(net.parameters(), start, slopes, strict=True):
        assert torch.allclose(before_ - p.detach(), slope, atol=1e-5, rtol=1e-4)


def test_engine_and_net_are_one(lesson) -> None:
    net = lesson.make_net(2, (3,), nn.Tanh)
    x, y = torch.randn(10, 2), torch.ones(10)
    engine = Engine(net, x, y, 5)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    engine.epoch(torch.arange(10), 0.3)
    assert not torch.equal(net[0].weight, state["0.weight"])
    after = net[0].weight.detach().clone()
    net.load_state_dict(state)
    engine.epoch(torch.arange(10), 0.3)
    assert torch.equal(net[0].weight, after), "a state put back is the one it goes on from"


@pytest.mark.parametrize("kind", list(ACTIVATIONS))
@pytest.mark.parametrize("widths", [(), (4, 2)])
def test_the_notebooks_step_is_the_engines(lesson, kind, widths) -> None:
    torch.manual_seed(0)
    assert agrees(lesson.make_net(2, widths, ACTIVATIONS[kind]), lesson.train_step)


def wrong_steps(lesson: SimpleNamespace) -> dict[str, Any]:
    velocity: dict[int, torch.Tensor] = {}

    def momentum(net, x, y, rate, l1=0.0, l2=0.0):
        before = [p.detach().clone() for p in net.parameters()]
        lesson.train_step(net, x, y, rate, l1, l2)
        with torch.no_grad():
            for k, (p, old) in enumerate(zip(net.parameters(), before, strict=True)):
                velocity[k] = 0.9 * velocity.get(k, torch.zeros_like(p)) + (p - old)
                p.copy_(old + velocity[k])

    def squared(net, x, y, rate, l1=0.0, l2=0.0):
        net.zero_grad()
        ((net(x)[:, 0] - y) ** 2).mean().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= rate * p.grad

    return {
        "momentum": momentum,
        "squared error": squared,
        "no penalty": lambda net, x, y, rate, l1=0.0, l2=0.0: lesson.train_step(net, x, y, rate),
        "penalties swapped": lambda net, x, y, rate, l1=0.0, l2=0.0: lesson.train_step(
            net, x, y, rate, l2, l1
        ),
        "half as far": lambda net, x, y, rate, l1=0.0, l2=0.0: lesson.train_step(
            net, x, y, rate / 2, l1, l2
        ),
        "does nothing": lambda net, x, y, rate, l1=0.0, l2=0.0: None,
    }


def test_another_step_is_told_apart(lesson) -> None:
    torch.manual_seed(0)
    net = lesson.make_net(2, (4, 2), nn.Tanh)
    for name, step in wrong_steps(lesson).items():
        assert not agrees(net, step), name


def test_nets_that_the_engine_leaves_to_autograd(lesson) -> None:
    assert known(lesson.make_net(2, (3,), nn.Tanh))
    assert not known(lesson.make_net(2, (3,), nn.GELU))
    assert not known(nn.Sequential(nn.Linear(2, 3, bias=False), nn.Tanh(), nn.Linear(3, 1)))
    assert not known(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)))
    with pytest.raises(ValueError, match="must return an nn.Sequential"):
        known(nn.Linear(2, 1))


def test_threads_are_given_back(shown) -> None:
    torch.set_num_threads(3)
    shown.run.advance(2)
    shown.refresh()
    assert torch.get_num_threads() == 3


# ---- what the notebook says


def test_features_are_what_they_are_called(lesson) -> None:
    a, b = 1.5, -2.0
    found = lesson.features(torch.tensor([a]), torch.tensor([b]))
    wanted = {"x1": a, "x2": b, "x1²": a * a, "x2²": b * b, "x1·x2": a * b}
    wanted |= {"sin x1": math.sin(a), "sin x2": math.sin(b)}
    assert {k: v.item() for k, v in found.items()} == pytest.approx(wanted)
    assert list(found) == list(wanted)


def test_the_question_is_answered_by_training(lesson) -> None:
    from lecture_utils import checks

    names = {**vars(lesson), "lu": checks, "torch": torch}
    answered(eval(compile(lesson.ask, "ask", "eval"), names), "nearly all")


# ---- small parts


@pytest.mark.parametrize(
    ("words", "widths"),
    [
        ("", ()),
        ("4 2", (4, 2)),
        ("8,8, 8", (8, 8, 8)),
        (" 1 ", (1,)),
        ("2 2 2 2 2 8", (2,) * 5 + (8,)),
    ],
)
def test_units_are_read(words: str, widths: tuple[int, ...]) -> None:
    assert hidden_widths(words) == widths


@pytest.mark.parametrize("words", ["9", "0", "4 x", "-1", "2.5", "1 1 1 1 1 1 1"])
def test_units_beyond_the_room_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"from 1 to 8|room for 6"):
        hidden_widths(words)


def test_toggles_keep_one_on() -> None:
    row = Toggles(["a", "b", "c"], ["a"])
    row.buttons["c"].value = True
    assert row.value == ("a", "c")
    row.buttons["a"].value = False
    row.buttons["c"].value = False
    assert row.value == ("c",) and row.buttons["c"].value
    row.value = ("b",)
    assert [name for name, b in row.buttons.items() if b.value] == ["b"]


def test_code_view_is_empty_until_opened() -> None:
    view = CodeView()
    view.show("x < 1")
    assert view.area.value == ""
    view.button.value = True
    view.show("x < 1")
    assert view.value and "x &lt; 1" in view.area.value


def test_colours_and_enlargement() -> None:
    middle = (LEVELS - 1) // 2
    assert levels(np.array([-9, -1, 0, 1, 9])).tolist() == [0, 0, middle, LEVELS - 1, LEVELS - 1]
    assert levels(np.array([-0.01, 0.01]), True).tolist() == [0, LEVELS - 1]
    line = np.linspace(-1, 1, 9, dtype=np.float32)
    plane = 0.3 * line[:, None] + 0.5 * line[None]
    large = enlarged(plane, 100)
    at = (np.arange(100) + 0.5) / 50 - 1
    assert np.allclose(large, 0.3 * at[:, None] + 0.5 * at[None], atol=1e-5)


def test_code_makes_the_same_net(lesson) -> None:
    torch.manual_seed(1)
    net = lesson.make_net(3, (4, 2), nn.LeakyReLU)
    names: dict[str, Any] = {}
    exec(as_code(net, ["x1", "x2", "sin x1"]), names)
    x = torch.randn(5, 3)
    assert torch.allclose(names["net"](x), net(x), atol=1e-3)
    assert "x1, x2, sin x1" in as_code(net, ["x1", "x2", "sin x1"])


# ---- the panel


def test_every_control(shown) -> None:
    """Each setting is followed by an epoch done under it."""
    tried = 0
    for name, _ in sweep(shown, between=0):
        tried += 1
        before = shown.run.position
        shown.run.advance(1)
        assert shown.run.error is None and shown.run.position == before + 1, name
    assert tried > 40


def test_every_control_while_it_trains(shown) -> None:
    shown.run.play()
    for change in [
        {"learning_rate": 1.0}, {"penalty": "L1"}, {"batch": 1}, {"rate": 0.1}, {"data": "spiral"},
        {"units": "6 6 6"}, {"features": ("x1", "sin x2")}, {"show": "layer 3, unit 6"},
        {"activation": "ReLU"}, {"units": ""}, {"noise": 25}, {"share": 20}, {"weights": 3},
        {"batch": 30}, {"sharp": True, "test": True, "code": True}, {"set_to": "1.5"},
    ]:  # fmt: skip
        shown.set(**change)
        before = shown.game.training.steps
        wait_for(lambda before=before: shown.game.training.steps > before)
        assert shown.run.playing and shown.run.error is None, change
    for preset in ("Dead ReLU", "Sines"):
        shown.apply(preset)
    shown.reset()
    before = shown.game.training.steps
    wait_for(lambda: shown.game.training.steps > before)
    assert shown.run.playing and shown.values["units"] == "4 2"


def test_losses_and_scores_are_those_of_the_net(shown) -> None:
    shown.set(noise=20)
    shown.run.advance(5)
    shown.refresh()
    points = make_points("circle", 0.2)
    net = shown.game.training.net
    found = []
    for train in (True, False):
        x, y = points.side(train)
        p = torch.sigmoid(net(x.float())[:, 0]).double()
        found.append(-(y * p.log() + (1 - y) * (1 - p).log()).mean().item())
        assert f"{int(((p > 0.5) == (y == 1)).sum())} of 250 right" in plain(shown.message)
    assert told_losses(shown) == pytest.approx(found, abs=6e-4)
    assert "Epoch 5." in plain(shown.message)


def test_record_is_the_loss_before_each_epoch(shown) -> None:
    first = told_losses(shown)
    shown.run.advance(3)
    for name, value in zip(("train", "test"), first, strict=True):
        epochs, values = shown.run.curve(name)
        assert epochs == [0, 1, 2] and values[0] == pytest.approx(value, abs=6e-4)
    view = shown.game.view
    shown.refresh()
    assert np.array_equal(view.curves[1].get_data(), shown.run.curve("train"))
    assert list(view.here.get_xdata()) == [3, 3]


def test_rewind_is_the_same_start_and_the_same_run(shown) -> None:
    start = weights_of(shown)
    shown.run.advance(7)
    end, record = weights_of(shown), dict(shown.run.history)
    shown.run.rewind()
    assert same(weights_of(shown), start)
    shown.run.advance(7)
    assert same(weights_of(shown), end), "bit for bit"
    assert shown.run.history == record
    shown.set(weights=1)
    assert not same(weights_of(shown), start)
    shown.set(weights=0)
    assert same(weights_of(shown), start), "a seed is a start"


def test_scrubbing_shows_each_state_again(shown) -> None:
    states, words = [], []
    for _ in range(6):
        states.append(weights_of(shown))
        shown.refresh()
        words.append(plain(shown.message))
        shown.run.step()
    for index in (3, 0, 5, 2):
        shown.run_controls.slider.value = index
        assert same(weights_of(shown), states[index])
        assert told_losses(shown) == [
            float(v) for v in re.findall(r"loss (\d+\.\d+)", words[index])
        ]
    assert shown.run.reached == 6
    shown.run.seek(2)
    shown._act(shown.actions["Go on from here"])
    assert (shown.run.reached, len(shown.run.curve("train")[0])) == (2, 2)
    shown.run.advance(1)
    assert same(weights_of(shown), states[3])


def test_settings_take_effect_at_once_and_keep_the_net(shown) -> None:
    shown.run.advance(4)
    training = shown.game.training
    kept = weights_of(shown)
    shown.set(learning_rate=1.0, penalty="L2", rate=0.01, batch=25)
    assert (training.rates, training.size) == ((1.0, 0.0, 0.01), 25)
    shown.set(penalty="L1")
    assert training.rates == (1.0, 0.01, 0.0)
    shown.set(speed=5)
    assert shown.run.speed == 5
    shown.set(speed=0)
    assert shown.run.speed is None
    assert same(weights_of(shown), kept) and shown.run.position == 4
    before = training.steps
    shown.run.advance(1)
    assert training.steps - before == 10, "250 points in batches of 25"


@pytest.mark.parametrize(
    "change",
    [{"data": "XOR"}, {"noise": 10}, {"share": 30}, {"units": "3"}, {"activation": "ReLU"},
     {"weights": 7}, {"features": ("x1", "x1²")}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_structure_rebuilds_and_says_so(shown, change: dict[str, Any]) -> None:
    shown.run.advance(3)
    shown.set(**change)
    assert "Rebuilt: it starts anew." in shown.message
    assert shown.run.position == shown.run.reached == 0 and shown.run.history == {}
    start = weights_of(shown)
    shown.run.advance(2)
    shown.run.rewind()
    assert same(weights_of(shown), start)


def test_rebuilding_goes_on_playing(shown) -> None:
    shown.run.play()
    wait_for(lambda: shown.run.reached > 20)
    shown.set(units="5 5")
    wait_for(lambda: shown.run.reached > 2)
    assert shown.run.playing
    shown.run.pause()
    shown.run.rewind()
    torch.manual_seed(0)
    fresh = shown.game.training.make_net(2, (5, 5), nn.Tanh)
    assert same(weights_of(shown), [p.detach() for p in fresh.parameters()])


def test_units_show_their_own_maps(shown) -> None:
    shown.set(activation="ReLU", features=("x1", "sin x2"))
    shown.run.advance(3)
    shown.refresh()
    maps, weights, biases = shown.game.maps()
    names = shown.game.units()
    assert names == [*shown.game.names, *[f"layer 1, unit {k}" for k in range(1, 5)],
                     "layer 2, unit 1", "layer 2, unit 2", "output"]  # fmt: skip
    assert maps.shape == (len(names), demos.GRID, demos.GRID)
    line = np.linspace(-6, 6, demos.GRID)
    x1, x2 = np.meshgrid(line, line)
    by_name = dict(zip(names, maps, strict=True))
    assert np.allclose(by_name["x1·x2"], x1 * x2 / 36, atol=1e-5)
    first = np.maximum(
        0, weights[0] @ np.stack([x1.ravel(), np.sin(x2.ravel())]) + biases[0][:, None]
    )
    second = np.maximum(0, weights[1] @ first + biases[1][:, None])
    logit = (weights[2] @ second + biases[2][:, None]).reshape(x1.shape)
    for k in range(4):
        unit = first[k].reshape(x1.shape)
        assert np.allclose(by_name[f"layer 1, unit {k + 1}"], unit / max(1, unit.max()), atol=1e-5)
    assert np.allclose(by_name["output"], 2 / (1 + np.exp(-logit)) - 1, atol=1e-5)
    assert np.array_equal(shown.game.view.maps.colours, levels(maps))
    assert shown.game.view.maps.pale == {1, 2, 3, 4, 5}
    shown.set(sharp=True)
    assert set(np.unique(shown.game.view.maps.colours)) <= {0, LEVELS - 1}
    for unit in names:
        shown.set(show=unit)
        assert np.array_equal(shown.game.view.map.values, by_name[unit])


def pointer(made: panel.Panel, kind: str, ax: Any, x: float, y: float) -> None:
    send(made, kind, made.figure.figure.axes.index(ax), (x, y))


def test_pointing_at_a_unit_shows_it_large(shown) -> None:
    view = shown.game.view
    k = shown.game.units().index("layer 1, unit 3")
    pointer(shown, "hover", view.net, *view.maps.places[k])
    assert view.title.words == "layer 1, unit 3" and view.maps.chosen == k
    layer = shown.game.training.net[0]
    w, b = layer.weight[2].tolist(), layer.bias[2].item()
    words = f"h1.3 = tanh({w[0]:.2f}·x1 {'+' if w[1] >= 0 else '−'} {abs(w[1]):.2f}·x2 "
    words += f"{'+' if b >= 0 else '−'} {abs(b):.2f})"
    assert words.replace("tanh(-", "tanh(− ") in plain(shown.message)
    pointer(shown, "leave", view.net, 0, 0)
    assert view.title.words == "output: chance of blue"
    pointer(shown, "press", view.net, *view.maps.places[k])
    assert shown.values["show"] == "layer 1, unit 3"
    pointer(shown, "press", view.net, *view.maps.places[2])
    assert shown.values["features"] == ("x1", "x2", "x1²")


def test_a_weight_is_read_and_set(shown) -> None:
    game, view = shown.game, shown.game.view
    shown.run.advance(4)
    start, end = view.edges.segments[2 * 4 + 3]  # the first layer has 8 lines; from unit 4 to 1
    middle = 0.7 * start + 0.3 * end
    net = game.training.net
    assert view.at(*middle) == Target("weight", layer=1, unit=0, source=3)
    pointer(shown, "hover", view.net, *middle)
    assert view.tag.get_text() == f"{net[2].weight[0, 3].item():.2f}".replace("-", "−")
    assert "Weight from layer 1, unit 4 to layer 2, unit 1" in shown.message
    assert np.array_equal(view.marked.get_xydata(), [start, end])
    pointer(shown, "press", view.net, *middle)
    assert (shown.values["show"], shown.values["weight"]) == ("layer 2, unit 1", "layer 1, unit 4")
    others = net[2].weight.detach().clone()
    shown.controls["set_to"].value = "−1,25"
    assert shown.values["set_to"] == ""
    others[0, 3] = -1.25
    assert torch.equal(net[2].weight.detach(), others)
    assert shown.controls["set_to"].placeholder == "now −1.250"
    shown.run.advance(2)
    shown.run.seek(len(shown.run.snapshots) - 1)
    assert shown.run.reached == 6
    index = [step for step, _ in shown.run.snapshots].index(4)
    shown.run.seek(index)
    assert torch.equal(net[2].weight.detach(), others), "the state kept is the one that was set"
    shown.set(weight="bias")
    shown.set(set_to="2")
    assert net[2].bias[0] == 2


@pytest.mark.parametrize("words", ["much", "1e9", "nan"])
def test_a_weight_must_be_a_number(shown, monkeypatch, words: str) -> None:
    monkeypatch.setattr(panel, "strict", False)
    before = weights_of(shown)
    shown.set(set_to=words)
    assert isinstance(shown.error, ValueError) and words in shown.shown
    assert same(weights_of(shown), before)
    shown.refresh()
    assert shown.error is None


def test_layers_and_units_by_click(shown) -> None:
    view = shown.game.view

    def click(**wanted: int) -> None:
        kind = "units" if "layer" in wanted else "layers"
        (spot,) = [(x, y) for x, y, t in view._handles if t == Target(kind, **wanted)]
        pointer(shown, "press", view.net, *spot)

    click(change=1)
    assert shown.values["units"] == "4 2 2"
    click(layer=0, change=-1)
    assert shown.values["units"] == "3 2 2"
    click(layer=1, change=1)
    assert shown.values["units"] == "3 3 2"
    for _ in range(3):
        click(change=-1)
    assert shown.values["units"] == ""
    assert not [t for *_, t in view._handles if t.change < 0]
    click(change=1)
    assert shown.values["units"] == "4"
    shown.set(units="8 8 8 8 8 8")
    assert not [t for *_, t in view._handles if t.change > 0]


def test_own_points_join_a_running_training(shown) -> None:
    view = shown.game.view
    shown.run.play()
    wait_for(lambda: shown.run.reached > 5)
    shown.set(click=1)
    pointer(shown, "press", view.plane, 4.0, 4.0)
    assert shown.values["data"] == OWN and shown.run.playing
    points = shown.game.training.points
    assert len(points.x) == COUNT + 1
    assert points.x[-1].tolist() == pytest.approx([4, 4], abs=0.02) and points.y[-1] == 1
    assert shown.run.reached > 5, "it went on"
    shown.set(click=-1)
    pointer(shown, "press", view.plane, 4.0, 4.0)
    assert len(shown.game.training.points.x) == COUNT
    shown.run.pause()
    shown._act(shown.actions["No points"])
    assert "No points yet" in shown.message and len(shown.run.data[0]) == 0
    shown.set(click=0, x1=2.0, x2=-1.0)
    shown._act(shown.actions["Point at +"])
    assert shown.game.training.points.x.tolist() == [[2, -1]]
    assert shown.game.training.points.y.tolist() == [0]
    drawn = [a.get_xydata().tolist() for side in view.points for a in side]
    assert drawn == [[[2, -1]], [], [], []]
    shown.run.advance(30)
    shown.refresh()
    assert right(shown) == [1]
    shown.set(data="blobs")
    assert len(shown.game.training.points.x) == COUNT


def test_training_waits_for_points_and_then_learns(shown) -> None:
    start = weights_of(shown)
    shown.set(data=OWN)
    assert "No points yet" in shown.message
    shown.run.play()
    wait_for(lambda: shown.run.reached > 2)
    assert same(weights_of(shown), start) and shown.run.history == {}
    for x in (-3.0, 3.0):
        shown.set(click=int(x > 0))
        pointer(shown, "press", shown.game.view.plane, x, 0.0)
    # The last loss may still be that of the first point alone, as long as the thread is at work.
    wait_for(lambda: shown.run.last("train") < 0.1 and right(shown) == [1])
    shown.run.pause()


def test_test_points_are_drawn_on_demand(shown) -> None:
    view = shown.game.view
    points = make_points("circle")
    for wanted in (False, True):
        shown.set(test=wanted)
        for side, artists in zip((True, False), view.points, strict=True):
            x, y = points.side(side)
            for label, artist in enumerate(artists):
                drawn = artist.get_xydata()
                expected = x[y == label].numpy() if side or wanted else np.empty((0, 2))
                assert np.allclose(drawn, expected)
                assert artist.get_color() == style.CLASSES[label]


# ---- another's functions


def test_another_step_is_the_one_that_runs(lesson) -> None:
    steps = wrong_steps(lesson)
    made = demos.playground(lesson.features, lesson.make_net, steps["half as far"])
    usual = demos.playground(lesson.features, lesson.make_net, lesson.train_step)
    assert not made.game.training.fast and usual.game.training.fast
    assert "by your own train_step" in made.message and "own" not in usual.message
    usual.set(learning_rate=0.05)
    made.run.advance(2)
    usual.run.advance(2)
    for a, b in zip(weights_of(made), weights_of(usual), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    idle = demos.playground(lesson.features, lesson.make_net, steps["does nothing"])
    start = weights_of(idle)
    idle.run.advance(2)
    assert same(weights_of(idle), start)


def test_an_own_feature_and_an_own_layer(lesson) -> None:
    def features(x1, x2):
        return {"x1": x1, "radius": (x1**2 + x2**2).sqrt()}

    def make_net(inputs, widths, activation):
        torch.manual_seed(0)
        return lesson.make_net(inputs, widths, nn.GELU)

    made = demos.playground(features, make_net, lesson.train_step)
    assert made.values["features"] == ("x1", "radius")
    assert not made.game.training.fast
    made.set(units="")
    made.run.advance(30)
    made.refresh()
    assert right(made)[0] > 0.97, "the radius alone tells the classes apart"


def broken(lesson: SimpleNamespace) -> dict[str, tuple[Any, Any, Any, str]]:
    f, m, s = lesson.features, lesson.make_net, lesson.train_step

    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("my mistake")

    return {
        "features fail": (fails, m, s, "my mistake"),
        "features return a tensor": (lambda a, b: a + b, m, s, "dict of named columns"),
        "too many": (lambda a, b: {str(k): a for k in range(9)}, m, s, "room for 8"),
        "a wrong shape": (lambda a, b: {"x1": a, "m": a.mean()}, m, s, "'m' of 2 points has shape"),
        "net fails": (f, fails, s, "my mistake"),
        "no net": (f, lambda i, w, a: None, s, "must return an nn.Sequential"),
        "wrong widths": (f, lambda i, w, a: m(i, w[:1], a), s, "expected"),
        "step fails": (f, m, fails, "my mistake"),
    }


CASES = ["features fail", "features return a tensor", "too many", "a wrong shape", "net fails",
         "no net", "wrong widths", "step fails"]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_in_the_cell_is_shown(lesson, monkeypatch, case: str) -> None:
    monkeypatch.setattr(panel, "strict", False)
    features, make_net, step, words = broken(lesson)[case]
    made = demos.playground(features, make_net, step)
    assert made.error is not None and words in plain(made.shown).replace("&#x27;", "'")
    assert set(CASES) == set(broken(lesson))


def test_units_out_of_range_leave_the_net_alone(shown, monkeypatch) -> None:
    monkeypatch.setattr(panel, "strict", False)
    before = weights_of(shown)
    shown.set(units="4 99")
    assert "from 1 to 8" in shown.shown and same(weights_of(shown), before)
    shown.set(units="4 2")
    assert shown.error is None


# ---- devices


def test_training_moves_between_devices(shown, monkeypatch) -> None:
    monkeypatch.setattr(device, "_extra", [LAZY])
    # One step an epoch: the lazy backend compiles each new one.
    shown.set(penalty="L2", rate=0.01, share=10, batch=30, units="2")
    shown.run.advance(4)
    usual = weights_of(shown)
    shown.run.rewind()
    try:
        shown.run.advance(2)
        device.use(LAZY)
        shown.run.advance(1)
        assert {p.device.type for p in shown.game.training.net.parameters()} == {LAZY}
        shown.refresh()
        assert "Epoch 3" in plain(shown.message)
        shown.set(show="layer 1, unit 1", set_to="0.5")
        assert shown.game.training.net[0].weight.cpu()[0].tolist().count(0.5) == 1
        shown.run.seek(2)
        shown._act(shown.actions["Go on from here"])
        shown.run.advance(1)
    finally:
        device.use("cpu")
    shown.run.advance(1)
    assert shown.run.error is None and shown.run.position == 4
    for a, b in zip(weights_of(shown), usual, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


# ---- presets do what they say

OUTCOMES = {
    "Circle": lambda p: min(right(p)) > 0.98,
    "No hidden layer": lambda p: max(right(p)) < 0.8 and told_losses(p)[0] > 0.6,
    "One feature": lambda p: min(right(p)) > 0.99,
    "Linear": lambda p: max(right(p)) < 0.8 and told_losses(p)[0] > 0.6,
    "Too small": lambda p: told_losses(p)[0] > 0.5,
    "Deep": lambda p: right(p)[0] > 0.98 and right(p)[1] > 0.9,
    "Sines": lambda p: min(right(p)) > 0.94,
    "Too slow": lambda p: told_losses(p)[0] > 0.6,
    "Too fast": lambda p: told_losses(p)[0] > 0.69 and max(right(p)) < 0.8,
    "Dead ReLU": lambda p: "dead" in p.message and max(right(p)) < 0.6,
    "Sigmoids": lambda p: told_losses(p)[0] > 0.68 and max(right(p)) < 0.6,
    "Overfits": lambda p: told_losses(p)[1] > 4 * told_losses(p)[0],
    "L2": lambda p: told_losses(p)[1] < 3 * told_losses(p)[0],
    "L1": lambda p: min(right(p)) > 0.99,
}


@pytest.mark.parametrize("name", list(OUTCOMES))
def test_preset_does_what_it_says(shown, name: str) -> None:
    assert set(shown.presets) == set(OUTCOMES)
    shown.run.advance(5)
    shown.apply(name)
    assert shown.run.position == 0, "each begins anew"
    note = shown.presets[name]["note"]
    assert note.startswith(("Works", "Fails")) and note in shown.shown
    shown.run.advance(420 if name == "Deep" else 100)
    shown.refresh()
    assert OUTCOMES[name](shown), plain(shown.message)


def test_preset_claims_in_numbers(shown) -> None:
    def loss(preset: str, **also: Any) -> float:
        shown.apply(preset)
        shown.set(**also)
        shown.run.advance(100)
        shown.refresh()
        return told_losses(shown)[1]

    assert loss("L2") < loss("Overfits")
    lowest = min(shown.run.curve("test")[1])
    assert told_losses(shown)[1] > 1.1 * lowest, "the test loss climbs from its lowest"
    loss("Sigmoids", activation="ReLU")
    assert min(right(shown)) > 0.97, "as the sentence of the preset says"
    loss("L1")
    weight = shown.game.training.net[0].weight.detach()[0]
    names = shown.game.names
    assert names[int(weight.abs().argmax())] == "x1·x2"
    rest = torch.cat([weight[:4], weight[5:]])
    assert (rest == 0).any() and rest.abs().max() < 0.01 * weight.abs().max()
    shown.apply("Dead ReLU")
    shown.run.advance(100)
    hidden = shown.game.training.outputs(shown.run.data[0])[:-1]
    assert (hidden[-1] == 0).all(), "the whole last layer"
    shown.set(learning_rate=0.1)
    before = [p.clone() for p in weights_of(shown)[:2]]
    shown.run.advance(20)
    assert same(weights_of(shown)[:2], before), "no gradient comes back through it"
