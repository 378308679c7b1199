"""02_mlp: the notebook's own functions, and every panel against an independent computation.

The Playground has tests of its own.
"""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import answered, run_cells, send, sources, sweep, sweep_all
from torch import nn
from torch.nn import functional as F

import lecture_utils as lu
from lecture_utils import panel as panel_module
from lecture_utils.demos import mlp, mlp_cost, mlp_training
from lecture_utils.training import batch

NOTEBOOK = "02_mlp"
CELLS = sources(NOTEBOOK)
CODE = [
    "network-code", "collapse-code", "zoo-code", "cost-code", "dying-code", "universal-code",
    "ball-code", "whoop-code", "whoop-table",
]  # fmt: skip
NAMES = run_cells(NOTEBOOK, *CODE)
make_mlp, stack, compose = NAMES["mlp"], NAMES["stack"], NAMES["compose"]
activations, slope = NAMES["activations"], NAMES["slope"]
digits_net, gradient_step = NAMES["digits_net"], NAMES["gradient_step"]
one_layer, fit_curve, targets = NAMES["one_layer"], NAMES["fit_curve"], NAMES["targets"]
training_cost, style_gan2 = NAMES["training_cost"], NAMES["style_gan2"]


def play(panel: Any, steps: int) -> None:
    panel.run.advance(steps)
    panel.run.pause()


def shares(message: str) -> list[float]:
    """All percentages in a message, as shares."""
    return [float(p) / 100 for p in re.findall(r"([\d.]+)%", message)]


def line_of(panel: Any, axes: int, label: str) -> Any:
    lines = panel.figure.figure.axes[axes].get_lines()
    return next(line for line in lines if line.get_label() == label)


# ---- the notebook's functions


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_mlp_has_the_layers_it_is_asked_for(sizes: list[int]) -> None:
    net = make_mlp(sizes)
    wanted = sum(m * n + n for m, n in zip(sizes[:-1], sizes[1:], strict=True))
    assert sum(p.numel() for p in net.parameters()) == wanted
    assert net(torch.zeros(3, sizes[0])).shape == (3, sizes[-1])
    assert sum(isinstance(m, nn.ReLU) for m in net) == len(sizes) - 2
    assert isinstance(net[-1], nn.Linear)


@given(st.lists(st.integers(1, 6), min_size=3, max_size=7), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_layers_without_activations_are_one(sizes: list[int], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    layers = [
        (torch.randn(n, m, generator=random).double(), torch.randn(n, generator=random).double())
        for m, n in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    net = nn.Sequential(*[nn.Linear(W.shape[1], W.shape[0]).double() for W, _ in layers])
    for module, (W, b) in zip(net, layers, strict=True):
        module.load_state_dict({"weight": W, "bias": b})
    W, b = layers[0]
    for layer in layers[1:]:
        W, b = compose((W, b), layer)
    x = torch.randn(5, sizes[0], generator=random).double()
    with torch.no_grad():
        torch.testing.assert_close(stack(x, layers), net(x))
    torch.testing.assert_close(F.linear(x, W, b), net(x).detach())
    assert int(torch.linalg.matrix_rank(W)) <= min(sizes)


def test_stack_puts_the_activation_between_the_layers() -> None:
    net = make_mlp([2, 5, 4, 3])
    layers = [(m.weight, m.bias) for m in net if isinstance(m, nn.Linear)]
    x = torch.randn(6, 2)
    torch.testing.assert_close(stack(x, layers, torch.relu), net(x))


def test_activations_and_their_derivatives() -> None:
    z = torch.linspace(-5, 5, 201, dtype=torch.float64)
    z = z[z.abs() > 0.01]
    s = 1 / (1 + torch.exp(-z))
    t = 1 / (1 + torch.exp(-2 * z))
    normal = torch.distributions.Normal(0.0, 1.0)
    density, below = normal.log_prob(z).exp(), normal.cdf(z)
    wanted = {
        "linear": (z, torch.ones_like(z)),
        "ReLU": (z * (z > 0), (z > 0).double()),
        "leaky ReLU": (torch.where(z > 0, z, z / 10), torch.where(z > 0, 1.0, 0.1).double()),
        "sigmoid": (s, s * (1 - s)),
        "tanh": (2 * t - 1, 4 * t * (1 - t)),
        "GELU": (z * below, below + z * density),
    }  # fmt: skip
    assert set(wanted) == set(activations)
    for name, (values, slopes) in wanted.items():
        torch.testing.assert_close(activations[name](z), values, msg=name)
        torch.testing.assert_close(slope(activations[name], z), slopes, msg=name)


def test_relu_at_zero_is_as_the_page_says() -> None:
    found = run_cells(NOTEBOOK, "zoo-code", "zero-code")
    same = {name: slope(f, torch.zeros(1)).item() for name, f in found["same_function"].items()}
    assert same == {"torch.relu(z)": 0.0, "torch.maximum(z, 0)": 0.5, "z.clamp(min=0)": 1.0}
    z = torch.linspace(-2, 2, 41)
    for f in found["same_function"].values():
        torch.testing.assert_close(f(z), torch.relu(z))


def test_cost_needs_a_result_and_takes_the_median() -> None:
    calls = []

    def work() -> torch.Tensor:
        calls.append(1)
        return torch.zeros(2, 2)

    assert NAMES["milliseconds"](work, repeats=5) >= 0
    assert len(calls) == 7


def test_gradient_step_goes_down_the_gradient() -> None:
    torch.manual_seed(0)
    net = make_mlp([3, 1])
    weight, bias = (p.detach().clone() for p in net[0].parameters())
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    off = x @ weight.T + bias - y
    for _ in range(2):  # a second one sees that the gradient is not added up
        loss = gradient_step(net, optimizer, F.mse_loss, x, y)
        assert not loss.requires_grad and loss.item() == pytest.approx(off.square().mean().item())
        weight, bias = weight - 0.2 * off.T @ x / 8, bias - 0.2 * off.mean(dim=0)
        torch.testing.assert_close(net[0].weight.detach(), weight)
        torch.testing.assert_close(net[0].bias.detach(), bias)
        off = x @ weight.T + bias - y


def test_deck_net_has_its_parameters() -> None:
    net = NAMES["make_dense_net"]()
    assert sum(p.numel() for p in net.parameters()) == 678_530
    assert net(torch.zeros(3, 4, 50, 50)).shape == (3, 2)
    shapes = [tuple(p.shape) for p in lu.models.BallDense().parameters()]
    assert [tuple(p.shape) for p in net.parameters()] == shapes
    for word in ("Adam", "MSE", "MAE", "1e-5"):
        assert word in CELLS["ball-text"]
    assert "640,064" in CELLS["ball-question"]
    assert net[1].weight.numel() + 64 == 640_064
    assert round(640_064 / 678_530, 2) == 0.94


def test_facts_on_the_page() -> None:
    page = "\n".join(CELLS.values())
    for words in (
        "45 minutes", "every continuous", "compact", "not a polynomial", "such a network exists",
        "no derivative", "PyTorch uses 0", "at or below 0 on *all* the data",
        "Leaky ReLU", "sparsely activated", "April 2019", "355", "4,600,000", "FFHQ config F",
        "one hidden layer\n*shallow*", "131.60", "131.61",
    ):  # fmt: skip
        assert words in page, words
    assert "any function" not in page


# ---- questions


@pytest.mark.parametrize(
    ("cell", "needs", "answer"),
    [
        ("network-question", ["network-code"], "37"),
        ("collapse-question", ["network-code", "collapse-code"], "2"),
        ("zoo-question", ["zoo-code"], "1/4"),
        ("cost-question", ["cost-code"], "the layer"),
        ("descent-question",
         ["network-code", "zoo-code", "dying-code", "universal-code"],
         "solved: the kinks are fixed"),
        ("energy-question", ["whoop-table"], "0.5%"),
        ("dying-question", ["network-code", "zoo-code", "dying-code"], "all 64"),
        ("race-question", ["network-code", "zoo-code", "dying-code", "dying-question"],
         "about 10%: guessing"),
        ("universal-question", ["universal-code"], "32"),
        ("outside-question", ["universal-code"], "a straight line"),
        ("ball-question", ["network-code", "ball-code"], "from the pixels to the first 64"),
        ("whoop-question", ["whoop-code"], "6"),
    ],
)  # fmt: skip
def test_predictions(cell: str, needs: list[str], answer: str) -> None:
    names = run_cells(NOTEBOOK, *needs)
    source = CELLS[cell].replace("lu.predict(", "question = lu.predict(")
    exec(source, names)
    answered(names["question"], answer)


# ---- the drawing


def test_network() -> None:
    panel = mlp.network(make_mlp)
    for name, _ in sweep(panel, 2):
        v = panel.values
        sizes = [v["inputs"], *[v["units"]] * v["layers"], v["outputs"]]
        wanted = sum(m * n + n for m, n in zip(sizes[:-1], sizes[1:], strict=True))
        assert f"<b>{wanted:,} parameters</b>" in panel.message, name
        dots = sum(len(line.get_xdata()) for line in panel.figure.figure.axes[0].get_lines())
        assert dots == sum(sizes)
    panel.set(layers=0)
    assert "No hidden layer" in panel.message
    panel.set(layers=1)
    assert "shallow" in panel.message
    panel.set(layers=2)
    assert "deep" in panel.message
    panel.apply("Largest")
    assert 678_530 / int(re.search(r"<b>([\d,]+) param", panel.message)[1].replace(",", "")) > 1000


def test_network_edges_are_the_weights() -> None:
    panel = mlp.network(make_mlp)
    panel.set(inputs=3, layers=1, units=2, outputs=1, seed=4)
    torch.manual_seed(4)
    net = make_mlp([3, 2, 1])
    weights = torch.cat([p.detach().ravel() for p in (net[0].weight, net[2].weight)]).numpy()
    lines = panel.figure.figure.axes[0].collections[0]
    assert len(lines.get_segments()) == len(weights) == 8
    widths = np.array(lines.get_linewidths())
    assert np.corrcoef(np.sort(widths), np.sort(np.abs(weights)))[0, 1] == pytest.approx(1)


# ---- the collapse


def test_collapse() -> None:
    panel = mlp.collapse(stack, compose, {"ReLU": torch.relu, "tanh": torch.tanh})
    assert sweep_all(panel) > 15
    dots = panel.figure.figure.axes[1].get_lines()[0]
    grid = panel.figure.figure.axes[1].collections[0]
    for name in ("Collapses", "A narrow middle"):
        panel.apply(name)
        crossings = np.array(grid.get_segments())[:11, ::6].reshape(-1, 2)
        there = np.column_stack(dots.get_data())
        gaps = np.abs(crossings[:, None] - there[None]).max(axis=2).min(axis=1)
        assert gaps.max() < 1e-4, name
    assert "rank is 1" in panel.message
    spread = np.linalg.svd(there - there.mean(axis=0))[1]
    assert spread[1] < 1e-4 * spread[0]
    panel.apply("Bends")
    assert float(re.search(r"<b>([\d.]+)</b>", panel.message)[1]) > 0.1
    panel.set(layers=1)
    assert "1 layer" in panel.message and "one" in panel.message


# ---- the zoo


def test_zoo() -> None:
    panel = mlp.zoo(activations, slope)
    assert sweep_all(panel, 5) > 10
    left, right = panel.figure.figure.axes
    for name, f in activations.items():
        for z in (-3.1, -0.4, 0.7, 4.9):
            panel.set(activation=name, z=z)
            value = float(f(torch.tensor(z)))
            h = 1e-4
            wide = torch.tensor([z - h, z + h], dtype=torch.float64)
            quotient = float(f(wide).diff() / (2 * h))
            tangent = left.get_lines()[3]
            x, y = tangent.get_data()
            assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(quotient, abs=1e-4)
            assert (y[0] + y[1]) / 2 == pytest.approx(value, abs=1e-5)
            assert right.get_lines()[3].get_ydata()[0] == pytest.approx(quotient, abs=1e-4)
    panel.apply("Fails: saturated")
    assert "Saturated" in panel.message
    panel.apply("ReLU at 0")
    assert "no derivative" in panel.message and "f ′ = <b>0</b>" in panel.message
    assert "0 from the left, 1 from the right" in panel.message
    panel.apply("Sigmoid at its best")
    assert "<b>0.25</b>" in panel.message
    assert round(0.25**10, 6) == 1e-6
    panel.apply("Works: ReLU, on")
    assert "<b>1</b>" in panel.message
    panel.set(z=-2.0)
    assert "no gradient" in panel.message
    send(panel, "drag-move", 0, (3.04, 1))
    assert panel.values["z"] == 3.0
    send(panel, "drag-move", 1, (-1.21, 1))
    assert panel.values["z"] == -1.2


def test_costs() -> None:
    asked = []

    def milliseconds(work: Any) -> float:
        asked.append(work())
        return float(len(asked))

    panel = mlp.costs(activations, milliseconds)
    count = 2 * (len(activations) + 1)
    assert len(asked) == count
    bars = panel.figure.figure.axes[0].patches
    assert sorted(bar.get_width() for bar in bars) == list(range(1, count + 1))
    panel.actions["Measure again"]()
    panel.refresh()
    assert len(asked) == 2 * count
    z = asked[2]
    torch.testing.assert_close(z, torch.relu(z))  # the second one is ReLU
    panel.set(batch=16)
    assert len(asked) == 3 * count and asked[-1].shape[-1] == 1000


def test_costs_for_real() -> None:
    panel = mlp.costs(activations, NAMES["milliseconds"])
    times = float(re.search(r"<b>(\d+) times", panel.message)[1])
    assert times > 1  # the matrix product is the larger part


# ---- dying units


@pytest.fixture(scope="module")
def dying(digits: Any) -> Any:
    return mlp.dying(digits_net, gradient_step, torch.optim.Adam, digits)


def dead(panel: Any) -> tuple[float, float]:
    """Shares of dead ReLU units in layers 1 and 2, as the panel says."""
    return tuple(shares(panel.message)[:2])


def test_dying_shows_what_the_net_does(dying: Any, digits: Any) -> None:
    assert sweep_all(dying, 1) > 5
    dying.set(rate=0.01, bias=-0.5)
    play(dying, 20)
    x = digits.train_x.flatten(1)
    net, leaky = dying.run.models
    with torch.no_grad():
        h1 = net[1](net[0](x))
        h2 = net[3](net[2](h1))
        below = leaky[2](leaky[1](leaky[0](x)))
        right = (net(digits.test_x.flatten(1)).argmax(1) == digits.test_y).float().mean()
    found = shares(dying.message)
    wanted = [(h == 0).all(dim=0).float().mean().item() for h in (h1, h2)]
    zeros = (torch.cat([h1, h2], 1) == 0).float().mean().item()
    wanted += [zeros, right.item()]
    assert found[:4] == pytest.approx(wanted, abs=0.006)
    assert found[5] == pytest.approx((below <= 0).all(dim=0).float().mean().item(), abs=0.006)
    dead_unit = torch.nonzero((h1 == 0).all(dim=0)).ravel()
    F.cross_entropy(net(x), digits.train_y).backward()
    assert not net[0].weight.grad[dead_unit].any()


def test_dying_presets_do_as_they_say(dying: Any) -> None:
    dying.apply("Works")
    play(dying, 150)
    assert max(dead(dying)) < 0.1 and shares(dying.message)[2] > 0.35
    assert shares(dying.message)[3] > 0.85
    dying.apply("Dies while it learns")
    assert max(dead(dying)) < 0.02
    play(dying, 150)
    lost = dead(dying)
    assert min(lost) > 0.15 and max(lost) > 0.5
    dying.run.seek(0)
    assert max(dead(dying)) < 0.02
    dying.run.seek(len(dying.run.snapshots) - 1)
    assert dead(dying) == lost
    dying.apply("Born dead")
    assert dead(dying)[1] == 1
    play(dying, 150)
    assert dead(dying)[1] == 1
    assert shares(dying.message)[3] < 0.2 < 0.8 < shares(dying.message)[-1]
    dying.apply("Revived")
    start = dead(dying)[1]
    assert 0.2 < start < 0.5
    play(dying, 100)
    assert dead(dying)[1] < start
    assert int(re.search(r"(\d+) dead ReLU units have come back", dying.message)[1]) > 5


def test_a_new_case_forgets_who_was_dead(dying: Any) -> None:
    dying.apply("Dies while it learns")
    dying.run.rewind()
    play(dying, 15)
    assert max(dead(dying)) > 0.2
    dying.apply("Works")
    play(dying, 20)
    assert max(dead(dying)) < 0.05
    back = re.search(r"(\d+) dead ReLU units have come back", dying.message)
    assert back is None or int(back[1]) < 5


def test_the_rate_may_change_while_it_trains(dying: Any) -> None:
    dying.apply("Works")
    dying.run.speed = 50
    try:
        dying.run.play()
        while dying.run.reached < 3:
            dying.run._stop.wait(0.02)
        dying.controls["rate"].value = 10**-1.5
        assert dying.run.playing and dying.run.reached >= 3
        rates = {o.param_groups[0]["lr"] for o in dying.run.optimizers}
        assert rates == {10**-1.5}
    finally:
        dying.run.pause()
        dying.run.speed = None
    dying.set(rate=0.01)
    assert dying.run.reached == 0


# ---- the race


def test_race(digits: Any) -> None:
    panel = mlp.race(make_mlp, gradient_step, torch.optim.SGD, digits)
    assert sweep_all(panel, 1) > 5
    panel.apply("Same rate")
    play(panel, 600)
    relu, sigmoid = shares(panel.message)
    assert relu > 0.87 > 0.84 > sigmoid
    with torch.no_grad():
        for net, share in zip(panel.run.models, (relu, sigmoid), strict=True):
            said = net(digits.test_x.flatten(1)).argmax(1)
            assert (said == digits.test_y).float().mean().item() == pytest.approx(share, abs=1e-3)
    # The same training, written out.
    torch.manual_seed(0)
    net = make_mlp([784, 64, 64, 10], nn.Sigmoid)
    optimizer = torch.optim.SGD(net.parameters(), lr=10**-0.5)
    losses = []
    for k in range(5):
        rows = batch(k, 4000, 32)
        loss = F.cross_entropy(net(digits.train_x[rows].flatten(1)), digits.train_y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert panel.run.curve("sigmoid")[1][:5] == pytest.approx(losses, rel=1e-4)
    end = panel.message
    panel.run.seek(3)
    assert "Step 60:" in panel.message
    panel.run.seek(len(panel.run.snapshots) - 1)
    assert panel.message == end


@pytest.mark.parametrize("preset", ["Each its own rate", "Three layers", "ReLU too fast"])
def test_race_presets(digits: Any, preset: str) -> None:
    panel = mlp.race(make_mlp, gradient_step, torch.optim.SGD, digits)
    panel.apply(preset)
    play(panel, 400)
    relu, sigmoid = shares(panel.message)
    gradients = [float(g) for g in re.findall(r"([\d.]+e[-+]\d+)", panel.message)]
    if preset == "Each its own rate":
        assert min(relu, sigmoid) > 0.86 and abs(relu - sigmoid) < 0.05
    elif preset == "Three layers":
        assert relu > 0.87 and sigmoid < 0.3 and gradients[0] > 2 * gradients[1]
    else:
        assert relu < 0.3 < 0.8 < sigmoid


def test_smoothing_is_a_running_mean() -> None:
    values = list(np.random.default_rng(0).normal(size=40))
    smooth = mlp_training._smooth(values, 15)
    assert smooth[3] == pytest.approx(np.mean(values[:4]))
    assert smooth[30] == pytest.approx(np.mean(values[16:31]))
    assert len(mlp_training._smooth([])) == 0


# ---- curves


@given(st.integers(1, 64), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_fit_is_the_best_polyline_with_these_kinks(units: int, seed: int) -> None:
    x = torch.linspace(-1, 1, 401, dtype=torch.float64)
    y = torch.from_numpy(np.random.default_rng(seed).normal(size=401).cumsum() / 10)
    kinks, weights, bias = fit_curve(x, y, units)
    assert len(kinks) == len(weights) == units
    assert np.allclose(kinks, np.arange(units) * 2 / units - 1)
    fitted = one_layer(x, kinks, weights, bias)
    columns = np.column_stack([np.clip(x.numpy()[:, None] - kinks.numpy(), 0, None), np.ones(401)])
    best = columns @ np.linalg.lstsq(columns, y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(fitted.numpy(), best, atol=1e-6)


def test_error_falls_with_the_width() -> None:
    x = torch.linspace(-1, 1, 401, dtype=torch.float64)
    y = targets["sine"](x)
    errors = [float((one_layer(x, *fit_curve(x, y, n)) - y).abs().max()) for n in (8, 16, 32, 64)]
    assert all(b < a / 2 for a, b in zip(errors[:-1], errors[1:], strict=True))


def test_approximation() -> None:
    panel = mlp.approximation(fit_curve, one_layer, targets)
    assert sweep_all(panel) > 10
    panel.apply("Fails: a jump")
    assert float(re.search(r"<b>([\d.]+)</b>", panel.message)[1]) == pytest.approx(0.8, abs=0.1)
    panel.apply("Too few")
    assert float(re.search(r"<b>([\d.]+)</b>", panel.message)[1]) > 1
    panel.apply("Works")
    assert float(re.search(r"<b>([\d.]+)</b>", panel.message)[1]) < 0.02
    panel.apply("Fails: outside")
    inside, beyond = (float(v) for v in re.findall(r"<b>([\d.]+)</b>", panel.message))
    far = torch.linspace(1, 2.5, 400, dtype=torch.float64)
    x = panel.board.x
    fitted = fit_curve(x, targets["sine"](x), 64)
    wanted = max(
        float((one_layer(side, *fitted) - targets["sine"](side)).abs().max())
        for side in (far, -far)
    )
    assert inside < 0.01 and beyond == pytest.approx(wanted, abs=0.1)
    lines = panel.figure.figure.axes[0].get_lines()
    assert len(lines[3].get_xdata()) == 64
    beyond_x, beyond_y = (np.asarray(v) for v in lines[1].get_data())
    np.testing.assert_array_equal(np.isnan(beyond_y), np.abs(beyond_x) < 1)


def test_drawing_a_target() -> None:
    panel = mlp.approximation(fit_curve, one_layer, targets)
    send(panel, "drag-start", 0, (-1, 1))
    send(panel, "drag-move", 0, (0, -0.5))
    send(panel, "drag-end", 0, (1, 1))
    assert panel.values["target"] == "your own"
    x = panel.board.x
    wanted = 1.5 * x.abs() - 0.5
    torch.testing.assert_close(panel.board.own, wanted, atol=0.02, rtol=0)
    drawn = panel.figure.figure.axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, wanted, atol=0.02)
    panel.set(units=2)  # one kink of the two is in the corner
    assert float(re.search(r"<b>([\d.]+)</b>", panel.message)[1]) < 0.03
    send(panel, "drag-start", 0, (0.5, 0))  # only there the curve is drawn again
    send(panel, "drag-end", 0, (0.6, 0))
    assert panel.board.own[305:318].abs().max() < 0.02
    torch.testing.assert_close(panel.board.own[:290], wanted[:290], atol=0.02, rtol=0)
    send(panel, "drag-start", 0, (0.5, 1))  # from right to left
    send(panel, "drag-end", 0, (-0.5, -1))
    torch.testing.assert_close(panel.board.own[101:300], 2 * x[101:300], atol=0.03, rtol=0)
    panel.set(outside=True)
    assert "straight line" in panel.message


def test_descent() -> None:
    board = mlp.approximation(fit_curve, one_layer, targets).board
    panel = mlp.descent(lambda n: make_mlp([1, n, 1]), gradient_step, fit_curve, one_layer, board)
    assert sweep_all(panel, 1) > 8
    panel.apply("Works")
    start = panel.message
    play(panel, 600)
    net = panel.run.models[0]
    with torch.no_grad():
        gap = net(board.x.float()[:, None])[:, 0].double() - board.values("sine")
    said = float(re.search(r"<b>([\d.]+)</b>", panel.message)[1])
    assert said == pytest.approx(float(gap.abs().max()), rel=0.06)
    assert said < 0.5
    kinks = (-net[0].bias / net[0].weight[:, 0]).detach()
    kinks = kinks[kinks.abs() <= 1]
    assert f"{len(kinks)} of 32 kinks" in panel.message
    corners = panel.figure.figure.axes[0].get_lines()[2]
    np.testing.assert_allclose(corners.get_xdata(), kinks, atol=1e-5)
    solved = one_layer(board.x, *fit_curve(board.x, board.values("sine"), 32))
    mse = float((solved - board.values("sine")).square().mean())
    assert f"{mse:.1e} for evenly placed" in panel.message
    assert mse < float(gap.square().mean())  # existence is not training
    panel.run.seek(0)
    assert panel.message == start
    panel.apply("Stuck")
    play(panel, 600)
    solved, trained = fit_curve(board.x, board.values("wiggle"), 16), panel.run.last("loss")
    best = (one_layer(board.x, *solved) - board.values("wiggle")).square().mean()
    assert trained > 3 * float(best)
    board.own = 0 * board.x + 0.5
    panel.set(target="your own")
    assert panel.run.reached == 0
    play(panel, 300)
    assert panel.run.last("loss") < 0.01


# ---- the ball


def test_ball() -> None:
    shipped = lu.data.load_weights(lu.models.BallDense(), "ball_dense")
    panel = mlp.ball(NAMES["make_dense_net"], gradient_step, shipped, steps=120)
    assert sweep_all(panel, 1) > 8
    send(panel, "drag-start", 0, (20, 30))
    send(panel, "drag-move", 0, (28, 24))
    assert panel.values == {"x": 20.0, "y": 30.0, "vx": 2.0, "vy": -1.5}
    truth = line_of(panel, 0, "truth")
    np.testing.assert_allclose(np.column_stack(truth.get_data()), [[20, 30], [28, 24]])
    centres = torch.tensor([20.0, 30.0]) + torch.arange(-3, 1)[:, None] * torch.tensor([2.0, -1.5])
    frames = lu.data.draw_balls(centres)
    with torch.no_grad():
        guess = shipped(frames[None])[0]
    x, y = line_of(panel, 0, "shipped").get_data()
    np.testing.assert_allclose([(x[1] - x[0]) / 4, (y[1] - y[0]) / 4], guess, atol=1e-4)
    play(panel, 120)
    slow, fast = (float(v) for v in re.findall(r"<b>([\d.]+)</b>", panel.message))
    test_frames, velocity = lu.data.moving_ball(500, seed=1)
    with torch.no_grad():
        errors = [F.mse_loss(net(test_frames), velocity).item() for net in panel.run.models]
    assert [slow, fast] == pytest.approx(errors, abs=0.006)
    assert slow > 2.9 and fast < 0.8  # the slide's rate, and a hundred times that
    mae = F.l1_loss(panel.run.models[1](test_frames), velocity).item()
    assert f"(MAE {mae:.2f})" in panel.message
    panel.run.seek(0)
    assert "Step 0, MSE on 500 test balls: rate 1e-5 <b>3.01</b>" in panel.message
    assert "No training ball" not in panel.message
    panel.apply("Fails: too fast")
    assert "No training ball" in panel.message


def test_shipped_figures_are_those_of_section_4(capsys: pytest.CaptureFixture[str]) -> None:
    run_cells(NOTEBOOK, "network-code", "zoo-code", "ball-shipped")
    out = capsys.readouterr().out
    readme = (Path(__file__).parents[1] / "data/README.md").read_text()
    stated = re.search(r"\| BallDense \| (\d\.\d+) \|", readme)[1]
    assert float(re.search(r"MSE ([\d.]+)", out)[1]) == pytest.approx(float(stated), abs=0.002)


# ---- the bill


def test_the_slides_figures(capsys: pytest.CaptureFixture[str]) -> None:
    names = run_cells(NOTEBOOK, "whoop-code", "whoop-table")
    out = capsys.readouterr().out
    seconds = 3.14e23 / 28e12
    assert math.floor(seconds / (365.25 * 86400)) == 355
    assert "at 28 TFLOPS: 355 years, $4.67 million" in out
    assert 1.5 * seconds / 3600 == pytest.approx(4.67e6, rel=1e-3)
    assert "at 125 TFLOPS: 80 years" in out
    assert round(6 * 175e9 * 300e9 / 1e23, 2) == 3.15
    assert (names["gpu_years"], names["mwh"]) == (51.05, 131.60)
    assert style_gan2["FFHQ config F"] == (0.23, 0.68)
    assert 51.05 / 0.23 > 200
    assert list(style_gan2.values()) == [
        (20.25, 58.94), (13.71, 31.49), (0.23, 0.68), (7.20, 16.77), (4.73, 12.08), (0.31, 0.82),
        (4.62, 10.82),
    ]  # fmt: skip


def test_calculator() -> None:
    panel = mlp.compute_cost(training_cost, 51.05)
    assert "355 years" in panel.message and "$4.67 million" in panel.message
    assert "3.14e+23" in panel.message and panel.values["count"] == "as published"
    assert sweep_all(panel, 5) > 20
    panel.apply("At the V100's peak")
    assert "80 years" in panel.message
    panel.apply("Rule of thumb")
    assert "3.15e+23 FLOP (6·N·D)" in panel.message
    panel.apply("A thousand GPUs")
    assert f"{355.36 / 1000 * 365.25:.0f} days" in panel.message
    panel.set(count="6·N·D", parameters=1.5, tokens=30.0, tflops=100.0, price=2.0, gpus=10)
    seconds = 6 * 1.5e9 * 30e9 / 100e12
    assert f"{seconds / 86400:.0f} days on one GPU" in panel.message
    assert f"${seconds / 3600 * 2:,.0f}" in panel.message
    assert f"{seconds / 86400 / 10:.1f} days" in panel.message
    bar = panel.figure.figure.axes[0].patches[0]
    assert bar.get_width() == pytest.approx(seconds / (365.25 * 86400))


def test_money_and_spans_in_words() -> None:
    assert mlp_cost.money(4_672_619) == "$4.67 million"
    assert mlp_cost.money(1.2e9) == "$1.20 billion"
    assert mlp_cost.money(950) == "$950"
    assert mlp_cost.span(355.4) == "355 years"
    assert mlp_cost.span(2 / 365.25) == "2.0 days"
    assert mlp_cost.span(1e-6) == "0.5 minutes"


def test_energy_table() -> None:
    panel = mlp.energy_table(style_gan2, printed=(51.05, 131.61))
    assert sweep_all(panel) > 8
    panel.apply("The published network")
    assert "0.23 GPU-years, <b>0.5%</b>" in panel.message and "51.05" in panel.message
    panel.set(measure="MWh")
    assert "131.60 MWh" in panel.message and "131.61" in panel.message
    widths = [bar.get_width() for bar in panel.figure.figure.axes[0].patches]
    mwh = [row[1] for row in style_gan2.values()]
    np.testing.assert_allclose(widths, np.array(mwh) / max(mwh))
    send(panel, "press", 0, (0.1, 6.1))
    assert panel.values["item"] == "Public release"


# ---- what a student may break


def broken(*_: Any, **__: Any) -> Any:
    return None


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp.network(lambda sizes: make_mlp([*sizes, 3])),
        lambda: mlp.collapse(broken, compose, {}),
        lambda: mlp.collapse(lambda x, layers, f: x[:, :1], compose, {}),
        lambda: mlp.collapse(stack, broken, {}),
        lambda: mlp.zoo({"mine": lambda z: z.sum()}, lambda f, z: torch.ones_like(z)),
        lambda: mlp.zoo({"mine": broken}, slope),
        lambda: mlp.costs({"mine": broken}, NAMES["milliseconds"]),
        lambda: mlp.approximation(broken, one_layer, targets),
        lambda: mlp.approximation(fit_curve, broken, targets),
        lambda: mlp.approximation(fit_curve, lambda x, *_: x[:3], targets),
    ],
)
def test_broken_functions_are_shown(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "strict", False)
    panel = make()
    assert panel.error is not None
    assert "lecture-error" in panel.shown


def test_a_broken_step_is_shown(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "strict", False)

    def wrong(net: Any, optimizer: Any, loss: Any, x: Any, y: Any) -> Any:
        raise ZeroDivisionError("mine")

    panel = mlp.race(make_mlp, wrong, torch.optim.SGD, digits)
    panel.run.step()
    assert isinstance(panel.run.error, ZeroDivisionError)
    assert "mine" in panel.run.message
