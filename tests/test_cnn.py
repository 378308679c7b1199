"""04_cnn: the notebook's own functions, and every panel against an independent computation."""

import re
import statistics
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from panels import answered, control_values, run_cells, send, sources, sweep, sweep_all
from torch import nn
from torch.nn import functional as F

import lecture_utils as lu
from lecture_utils import panel as panel_module
from lecture_utils.data import as_mnist, rasterize
from lecture_utils.demos import cnn, cnn_digits, cnn_speed
from lecture_utils.demos.cnn import UNREAD, output_size
from lecture_utils.draw import Cells, tile_box, tiles

NOTEBOOK = "04_cnn"
CELLS = sources(NOTEBOOK)
FUNCTIONS = run_cells(NOTEBOOK, "conv2d", "compare-torch", "convolve", "pool2d", "seconds")
conv2d, pool2d = FUNCTIONS["conv2d"], FUNCTIONS["pool2d"]


@pytest.fixture(scope="module")
def run(digits: Any) -> Any:
    torch.manual_seed(0)
    return lu.fit(
        lu.models.DigitsCNN(),
        (digits.train_x[:640], digits.train_y[:640]),
        test=(digits.test_x, digits.test_y),
        loss=F.cross_entropy,
        scores={"accuracy": lu.accuracy},
        epochs=3,
        batch_size=32,
        live=False,
    )


@pytest.fixture(scope="module")
def shipped() -> nn.Module:
    return lu.data.load_weights(lu.models.DigitsCNN(), "digits_cnn")


def tables(panel: Any) -> list[Cells]:
    figure = panel.figure.figure
    return [a for ax in figure.axes for a in ax.get_children() if isinstance(a, Cells)]


def numbers(table: Cells) -> np.ndarray:
    """What stands in the boxes; nan in an empty one."""
    return np.array(
        [[float(t.replace("−", "-")) if t else np.nan for t in row] for row in table.numbers]
    )


# ---- the notebook's functions

sizes = st.tuples(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3),
    st.integers(1, 3),
)  # fmt: skip


@given(sizes)
@settings(max_examples=150, deadline=None)
def test_conv2d_is_torchs_cross_correlation(sizes: tuple[int, ...]) -> None:
    height, width, kernel, stride, padding, dilation = sizes
    rows, columns = (output_size(n, kernel, stride, padding, dilation) for n in (height, width))
    assume(rows >= 1 and columns >= 1)
    image, weights = torch.randn(height, width), torch.randn(kernel, kernel)
    ours = conv2d(image, weights, stride, padding, dilation)
    theirs = F.conv2d(image[None, None], weights[None, None], None, stride, padding, dilation)
    assert tuple(ours.shape) == (rows, columns)
    torch.testing.assert_close(ours, theirs[0, 0], atol=1e-5, rtol=1e-4)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_pool2d_is_torchs(height: int, width: int, size: int, stride: int) -> None:
    assume(size <= min(height, width))
    image = torch.randn(height, width)
    for kind, theirs in (("max", F.max_pool2d), ("mean", F.avg_pool2d)):
        torch.testing.assert_close(
            pool2d(image, size, stride, kind), theirs(image[None], size, stride)[0]
        )


def test_the_decks_numbers() -> None:
    image = torch.tensor(cnn.DECK_IMAGE).float()
    output = conv2d(image, torch.tensor(cnn.SHARPEN).float(), padding=1)
    assert output.shape == (5, 5)
    assert output[0, 0] == 60 * 5 - 113 - 73 == 114
    pooled = pool2d(torch.tensor(cnn.DECK_POOL).float())
    assert pooled.tolist() == [[8, 6], [9, 9]]


def test_parameters_of_the_decks_nets() -> None:
    assert lu.models.count_parameters(run_cells(NOTEBOOK, "conv-net")["conv_net"]) == 210_594
    assert lu.models.count_parameters(lu.models.BallConv()) == 210_594
    assert lu.models.count_parameters(lu.models.BallDense()) == 678_530
    net = run_cells(NOTEBOOK, "conv-net")["conv_net"]
    assert net(torch.zeros(3, 4, 50, 50)).shape == (3, 2)


def test_the_notebooks_digits_net_is_the_shipped_one(shipped: nn.Module, digits: Any) -> None:
    net = run_cells(NOTEBOOK, "digits-net", nn=nn)["DigitsCNN"]()
    net.load_state_dict(shipped.state_dict())
    images = digits.test_x[:50]
    torch.testing.assert_close(net.eval()(images), shipped(images))
    assert lu.models.count_parameters(net) == 20_586
    assert "20,586" in CELLS["summary"]


def test_training_in_class_reaches_97_percent(digits: Any) -> None:
    names = run_cells(NOTEBOOK, "digits-net", "shapes", "fit", digits=digits, nn=nn, F=F)
    assert names["run"].last("test accuracy") >= 0.97
    assert lu.accuracy(names["net"](digits.test_x), digits.test_y) >= 0.97


def test_the_cards_figures_are_the_decks() -> None:
    for figure in ("10,496", "328", "112", "24 GB", "GDDR6X", "RTX 3090", "Years to months"):
        assert figure in CELLS["speed"]


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        (["predict-size"], "3 × 3"),
        (["predict-kernel"], "on upright edges ( | )"),
        (["predict-ball"], "the conv net"),
    ],
)
def test_predictions(cells: list[str], answer: str) -> None:
    source = CELLS[cells[0]]
    source = source.replace("lu.predict(", "question = lu.predict(", 1)
    names = {**FUNCTIONS, "demos": cnn, "F": F}
    exec(source, names)
    answered(names["question"], answer)


def test_prediction_about_a_shift(digits: Any) -> None:
    names = run_cells(NOTEBOOK, "predict-shift")
    image = digits.test_x[17, 0].numpy()
    moved = np.roll(image, 1, axis=1)
    ink = (image > 0) | (moved > 0)
    share = (image != moved)[ink].mean()
    assert share > 0.7 and names["changed_by_shift"]() == "nearly all"


# ---- images


def test_pixels(digits: Any) -> None:
    panel = cnn.pixels(digits)
    assert sweep_all(panel) > 10
    panel.set(digit=4, column=9, row=12, shift=0)
    part = (digits.test_x[4, 0, 12:19, 9:16] * 255).round().numpy()
    np.testing.assert_array_equal(numbers(tables(panel)[0]), part)
    panel.set(shift=3)
    image = digits.test_x[4, 0].numpy()
    moved = np.zeros_like(image)
    moved[:, 3:] = image[:, :-3]
    assert f"<b>{(moved != image).sum()} of 784</b>" in panel.message
    send(panel, "drag-start", 0, (3, 3))
    send(panel, "drag-move", 0, (20.2, 27))
    assert (panel.values["column"], panel.values["row"]) == (17, 21)


# ---- convolution


def test_convolution_starts_on_the_decks_example() -> None:
    panel = cnn.convolution(conv2d)
    padded, output = (numbers(t) for t in tables(panel))
    np.testing.assert_array_equal(padded[1:-1, 1:-1], cnn.DECK_IMAGE)
    assert padded.shape == (7, 7) and not padded[0].any()
    assert output[0, 0] == 114 and np.isnan(output).sum() == 24
    assert "60·5" in panel.message and "<b>114</b>" in panel.message
    assert "⌊(5 + 2·1 − 1·(3 − 1) − 1) / 1⌋ + 1 = <b>5</b>" in panel.message


def test_convolution_shows_what_torch_computes() -> None:
    panel = cnn.convolution(conv2d)
    assert sweep_all(panel) > 10
    generator = np.random.default_rng(0)
    controls = panel.controls
    for _ in range(40):
        kernel = tuple(map(tuple, generator.integers(-9, 10, (3, 3)).tolist()))
        values = {n: int(generator.integers(controls[n].min, controls[n].max + 1)) for n in SIZES}
        count = output_size(5, 3, *values.values())
        panel.set(kernel=kernel, **values, position=10**6)
        assert panel.controls["position"].max == max(count, 1) ** 2 - 1
        if count < 1:
            assert "Impossible" in panel.message and "no output" in shown_text(panel)
            with pytest.raises(RuntimeError):
                torch_output(kernel, **values)
            continue
        expected = torch_output(kernel, **values)
        # Four significant digits are shown.
        np.testing.assert_allclose(numbers(tables(panel)[1]), expected, rtol=2e-3)
        assert f"= <b>{count}</b>" in panel.message
        walk = 5 + 2 * values["padding"] - 2 * values["dilation"] - 1
        assert ("does not come out even" in panel.message) is (walk % values["stride"] != 0)
        # A cell that no output depends on is never read.
        padded = torch.zeros(1, 1, *[5 + 2 * values["padding"]] * 2, requires_grad=True)
        sizes = (values["stride"], 0, values["dilation"])
        F.conv2d(padded, torch.ones(1, 1, 3, 3), None, *sizes).sum().backward()
        unread = (padded.grad[0, 0] == 0).numpy()
        red = (tables(panel)[0].colours == UNREAD).all(axis=2)
        np.testing.assert_array_equal(red, unread)
        assert ("never read" in panel.message) is bool(unread.any())


SIZES = ("stride", "padding", "dilation")


def torch_output(kernel: Any, stride: int, padding: int, dilation: int) -> np.ndarray:
    image = torch.tensor(cnn.DECK_IMAGE)[None, None].float()
    weights = torch.tensor(kernel)[None, None].float()
    return F.conv2d(image, weights, None, stride, padding, dilation)[0, 0].numpy()


def shown_text(panel: Any) -> str:
    figure = panel.figure.figure
    return " ".join(t.get_text() for ax in figure.axes for t in ax.texts if t.get_visible())


def test_every_position_writes_its_sum() -> None:
    panel = cnn.convolution(conv2d)
    expected = torch_output(cnn.SHARPEN, 1, 1, 1).ravel()
    for position in range(25):
        panel.controls["position"].value = position
        terms, total = re.sub("<[^>]+>", "", panel.message).split("Output")[0].split(" = ")
        products = [
            int(a) * int(b.replace("−", "-"))
            for a, b in (term.split("·") for term in terms.split(" + "))
        ]
        assert len(products) == 9
        assert sum(products) == expected[position] == float(total.strip(" .").replace("−", "-"))


def test_convolution_by_pointer() -> None:
    panel = cnn.convolution(conv2d)
    send(panel, "drag-start", 0, (3, 2))
    assert panel.values["position"] == 1 * 5 + 2
    send(panel, "drag-move", 0, (6, 6))
    assert panel.values["position"] == 24
    send(panel, "hover", 1, (1.2, 2.9))
    assert panel.values["position"] == 3 * 5 + 1
    panel.apply("fails: too wide")
    send(panel, "drag-start", 0, (3, 2))
    assert panel.values["position"] == 0 and panel.error is None
    panel.reset()
    assert panel.controls["position"].max == 24


def test_a_preset_stops_the_playing() -> None:
    panel = cnn.convolution(conv2d)
    player = panel.controls["position"]
    player.play()
    assert player.playing
    panel.apply("copy")
    assert not player.playing
    player._thread.join()
    assert player.value in (12, 13)  # a step may have been under way
    player.rate = 1000
    player.play()
    player._thread.join()
    assert player.value == 24 and not player.playing


def test_a_wrong_conv2d_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def flipped(image: Any, kernel: Any, *sizes: Any) -> Any:
        return conv2d(image, kernel.flip(0, 1), *sizes)

    panel = cnn.convolution(flipped)
    assert "Your conv2d says" not in panel.message  # the kernel is symmetric
    panel.apply("edges")
    assert "Your conv2d says" in panel.message

    monkeypatch.setattr(panel_module, "strict", False)
    small = cnn.convolution(lambda image, kernel, *sizes: conv2d(image, kernel))
    assert "(3, 3)" in small.shown and "(5, 5)" in small.shown

    def broken(*_: Any) -> Any:
        raise IndexError("window outside")

    assert "window outside" in cnn.convolution(broken).shown


# ---- the photograph


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return lu.data.photograph()


def test_photo_filter(photo: np.ndarray) -> None:
    panel = cnn.photo_filter(FUNCTIONS["convolve"], photo)
    assert sweep_all(panel) > 10
    after = panel.figure.figure.axes[1].images[0]
    panel.apply("identity")
    np.testing.assert_allclose(after.get_array()[..., 0], photo, atol=1e-6)
    panel.apply("blur")
    middle = np.mean([photo[i : i + 100, j : j + 90] for i in range(3) for j in range(3)], axis=0)
    np.testing.assert_allclose(after.get_array()[1:101, 1:91, 0], middle, atol=1e-5)
    panel.set(times=4)
    assert "<b>9 × 9</b>" in panel.message
    panel.apply("fails: no divisor")
    assert (after.get_array() >= 0.999).mean() > 0.4 and "9 times" in panel.message


def test_edge_kernels_react_to_their_own_edges() -> None:
    upright = np.zeros((40, 40), np.float32)
    upright[:, 20:] = 1
    for preset, picture in (("edges x", upright), ("edges y", upright.T)):
        for image, reacts in ((picture, True), (picture.T, False)):
            panel = cnn.photo_filter(FUNCTIONS["convolve"], image.copy())
            panel.apply(preset)
            inner = panel.figure.figure.axes[1].images[0].get_array()[2:-2, 2:-2]
            assert bool(np.ptp(inner) > 0.1) is reacts


def test_photo_filter_refuses_another_shape(photo: np.ndarray, monkeypatch: Any) -> None:
    monkeypatch.setattr(panel_module, "strict", False)
    panel = cnn.photo_filter(lambda image, kernel: conv2d(image[:9, :9], kernel), photo)
    assert "(7, 7)" in panel.shown


# ---- pooling


def test_pooling() -> None:
    panel = cnn.pooling(pool2d)
    assert numbers(tables(panel)[1]).tolist() == [[8, 6], [9, 9]]
    assert sweep_all(panel) > 10
    generator = np.random.default_rng(0)
    for kind, theirs in (("max", F.max_pool2d), ("mean", F.avg_pool2d)):
        for size in range(1, 5):
            for stride in range(1, 5):
                table = tuple(map(tuple, generator.integers(0, 99, (4, 4)).tolist()))
                panel.set(numbers=table, kind=kind, size=size, stride=stride, position=99)
                expected = theirs(torch.tensor(table)[None].float(), size, stride)[0]
                np.testing.assert_allclose(numbers(tables(panel)[1]), expected, rtol=2e-3)
                unread = (4 - size) % stride or stride > size
                assert ("never read" in panel.message) or not unread
    panel.reset()
    assert numbers(tables(panel)[1]).tolist() == [[8, 6], [9, 9]]


def test_pooling_by_pointer() -> None:
    panel = cnn.pooling(pool2d)
    send(panel, "drag-start", 0, (0, 0))
    assert panel.values["position"] == 0
    send(panel, "drag-move", 0, (3, 0))
    assert panel.values["position"] == 1 and "max of 5, 2, 1, 6 = <b>6</b>" in panel.message


# ---- the moving ball


def test_ball_follows_what_was_measured() -> None:
    made = run_cells(NOTEBOOK, "ball-nets", F=F)["nets_and_weights"]
    nets = {name: net for name, (net, _) in made.items()}
    panel = cnn.ball(nets, lu.data.LEFT)
    assert sweep_all(panel) > 8
    curves = {
        line.get_label(): dict(zip(*line.get_data(), strict=True))
        for line in panel.figure.figure.axes[1].lines
        if line.get_label() in nets
    }
    assert set(curves) == set(nets)
    frames, velocity = lu.data.moving_ball(100, seed=1, x_range=(15, 30))
    for name, net in nets.items():
        with torch.no_grad():
            expected = F.mse_loss(net(frames), velocity).item()
        assert curves[name][12] == pytest.approx(expected, rel=1e-4)
    # What the presets and "What we saw" state.
    for name in ("dense", "conv, flatten"):
        assert curves[name][0] < 0.3 and curves[name][12] > 2
    pooled = curves["conv, pool"]
    assert max(e for shift, e in pooled.items() if shift <= 24) < 0.03
    assert pooled[28] > 2 * pooled[0]


# ---- the digits CNN


def test_confusion(run: Any, digits: Any) -> None:
    panel = cnn.confusion(run, digits)
    net = lu.models.DigitsCNN().eval()
    for epoch in (0, 3):
        panel.set(epoch=epoch)
        net.load_state_dict(run.snapshots[epoch][1][0][0])
        with torch.no_grad():
            said = net(digits.test_x).argmax(dim=1)
        expected = np.zeros((10, 10))
        for truth, answer in zip(digits.test_y.tolist(), said.tolist(), strict=True):
            expected[truth, answer] += 1
        np.testing.assert_array_equal(np.nan_to_num(numbers(tables(panel)[0])), expected)
        assert f"<b>{(said == digits.test_y).float().mean():.1%}</b>" in panel.message
    off = expected - np.diag(np.diag(expected))
    panel.reset()
    assert off[panel.values["is_"], panel.values["says"]] == off.max()
    send(panel, "press", 0, (7.3, 2.2))
    assert (panel.values["says"], panel.values["is_"]) == (7, 2)
    gallery = panel.figure.figure.axes[1].images[0].get_array()
    first = gallery[:28, :28]
    members = digits.test_x[(digits.test_y == 2) & (said == 7), 0].numpy()
    if len(members):
        assert min(np.abs(members - first).max(axis=(1, 2))) < 1e-6
    else:
        assert first.max() == 0
    panel.set(is_=0, says=1)
    assert sum(1 for _ in sweep(panel, between=1)) > 5


def test_inside_shows_filters_and_maps_of_each_epoch(run: Any, digits: Any) -> None:
    panel = cnn.inside(run, digits)
    before = {k: v.clone() for k, v in run.models[0].state_dict().items()}
    assert sweep_all(panel, between=1) > 8
    net = lu.models.DigitsCNN().eval()
    axes = panel.figure.figure.axes
    for epoch in (0, 2):
        net.load_state_dict(run.snapshots[epoch][1][0][0])
        with torch.no_grad():
            first = net.features[:3](digits.test_x[5:6])[0]
            second = net.features[:7](digits.test_x[5:6])[0]
        panel.set(epoch=epoch, digit=5, layer=0, unit=6)
        np.testing.assert_allclose(
            axes[2].images[0].get_array(), tiles((first / first.max()).numpy(), 4, 2), atol=1e-5
        )
        weights = net.features[0].weight.detach()[:, 0].numpy()
        np.testing.assert_allclose(
            axes[1].images[0].get_array(), tiles(weights / abs(weights).max(), 4), atol=1e-6
        )
        assert f"{(first[6] > 0).float().mean():.0%} of its 28 × 28" in panel.message
        panel.set(layer=1, unit=31)
        np.testing.assert_allclose(
            axes[2].images[0].get_array(), tiles((second / second.max()).numpy(), 6, 2), atol=1e-5
        )
    # Scrubbing must leave the reader's net alone.
    assert all(torch.equal(before[k], v) for k, v in run.models[0].state_dict().items())
    panel.set(layer=0)
    x, y, w, h = tile_box(9, 16, 4, 28, 28, gap=2)
    send(panel, "press", 2, (x + w / 2, y + h / 2))
    assert panel.values["unit"] == 9


def stroke() -> np.ndarray:
    return np.stack([np.linspace(0.3, 0.7, 12), np.linspace(0.2, 0.8, 12)], axis=1)


def test_draw_reads_what_is_drawn(shipped: nn.Module) -> None:
    panel = cnn.draw_digit({"shipped": shipped})
    assert "Draw a digit" in panel.message
    points = stroke()
    send(panel, "ink-start", 0, *points[:1])
    send(panel, "ink-move", 0, *points[1:6])
    send(panel, "ink-move", 0, *points[6:])
    ink = rasterize([points], size=280, width=cnn_digits.PEN)
    axes = panel.figure.figure.axes
    np.testing.assert_allclose(axes[0].images[0].get_array(), ink, atol=5e-3)
    image = as_mnist(ink)
    inputs = image[None, None].clone().requires_grad_()
    logits = shipped(inputs)
    probabilities = logits.softmax(dim=1)[0].detach().numpy()
    widths = [bar.get_width() for bar in axes[2].patches]
    np.testing.assert_allclose(widths, probabilities, atol=1e-3)
    logits.max().backward()
    for explain, expected in (
        ("gradient × input", (inputs.grad * inputs.detach())[0, 0]),
        ("gradient", inputs.grad[0, 0]),
    ):
        panel.set(explain=explain)
        shown = axes[3].images[0].get_array()
        np.testing.assert_allclose(shown, expected / expected.abs().max(), atol=2e-2)
    panel.set(layer=0)
    maps = shipped.features[:3](image[None, None])[0].detach()
    np.testing.assert_allclose(
        axes[4].images[0].get_array(), tiles((maps / maps.max()).numpy(), 16), atol=2e-2
    )
    send(panel, "ink-start", 0, (0.2, 0.2))
    assert axes[0].images[0].get_array()[56, 56] > 0.9  # a second stroke, a dot
    panel.actions["Clear"]()
    assert axes[0].images[0].get_array().max() == 0
    assert not any(bar.get_width() for bar in axes[2].patches)


def test_draw_presets_do_what_they_say(shipped: nn.Module) -> None:
    panel = cnn.draw_digit({"shipped": shipped})
    assert sweep_all(panel) > 8
    says = {}
    for preset in panel.presets:
        panel.apply(preset)
        says[preset] = re.search(r"<b>(\d)</b> \((\d+)%\)", panel.message).groups()
    assert says["works"][0] == says["works: moved back"][0] == "3"
    assert int(says["works"][1]) > 90
    assert says["fails: as drawn"][0] != "3"
    assert says["fails: not a digit"][0] in "0123456789"
    # A stroke over an example starts a drawing of one's own.
    send(panel, "ink-start", 0, *stroke())
    assert panel.values["example"] == "your own"


def test_draw_shows_a_broken_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "strict", False)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 26 * 26, 9))
    assert "(1, 9)" in cnn.draw_digit({"nine classes": net}).shown


# ---- the device


def test_seconds_waits_for_the_result_and_skips_the_warm_up() -> None:
    calls = []

    def work() -> torch.Tensor:
        calls.append(0)
        time.sleep(0.05 if len(calls) == 1 else 0.002)
        return torch.ones(2, 2)

    measured = FUNCTIONS["seconds"](work, repeats=3)
    assert len(calls) == 4
    assert 0.002 <= measured < 0.05


def test_speed_plots_what_was_measured(shipped: nn.Module) -> None:
    threads = torch.get_num_threads()
    clock = iter(range(1, 1000))
    panel = cnn.speed(lambda work: work().numel() and next(clock) * 1e-4, shipped)
    assert "Press Play" in panel.message
    panel.run.advance(10**6)
    panel.refresh()
    assert panel.run.error is None and torch.get_num_threads() == threads
    spots = cnn_speed.places()
    assert spots[0][2] == 1
    taken = iter(range(1, 1000))
    for ax, (work, sizes) in zip(panel.figure.figure.axes, cnn_speed.SIZES.items(), strict=True):
        lines = [line for line in ax.lines if len(line.get_xdata()) == len(sizes)]
        assert len(lines) == len(spots)
        for k, size in enumerate(sizes):
            for line in lines:
                value = next(taken) * 1e-4 / (size if work == cnn_speed.BATCH else 1)
                assert line.get_xdata()[k] == size
                assert line.get_ydata()[k] == pytest.approx(value)
    for name in ("matrix", "batch"):
        for value in control_values(panel.controls[name]):
            panel.set(**{name: value})
            assert panel.error is None and f"n = {value}:" in panel.message
    panel.run.rewind()
    panel.refresh()
    assert "Press Play" in panel.message


def test_speed_really_measures(shipped: nn.Module) -> None:
    panel = cnn.speed(lambda work: FUNCTIONS["seconds"](work, repeats=1), shipped)
    spots = len(cnn_speed.places())
    panel.run.advance(8 * spots)
    label = cnn_speed.places()[0][0]
    values = panel.run.curve(f"{cnn_speed.MATRIX}, {label}")[1]
    assert len(values) == 8 and min(values) > 0
    # 2048 x 2048 is two million times the work of 16 x 16.
    assert values[-1] > 10 * statistics.median(values[:3])


@pytest.mark.parametrize(
    ("seconds", "words"), [(2.5, "2.5 s"), (0.0301, "30.1 ms"), (4.2e-5, "42 µs"), (8e-9, "8 ns")]
)
def test_duration(seconds: float, words: str) -> None:
    assert cnn_speed.duration(seconds) == words


def test_where_the_idea_comes_from_and_what_the_operation_is() -> None:
    """facts.md, correction 8."""
    assert "The model is the cortex, not the eye." in CELLS["cortex"]
    for name in ("Hubel and Wiesel", "neocognitron", "LeCun"):
        assert name in CELLS["cortex"]
    assert "*cross-correlation*" in CELLS["cross-correlation"]
    assert "(*NHWC*)" in CELLS["ball"] and "*NCHW*" in CELLS["ball"]
    image, kernel = torch.rand(6, 6), torch.rand(3, 3)
    conv2d = run_cells(NOTEBOOK, "conv2d", torch=torch)["conv2d"]
    flipped = torch.nn.functional.conv2d(image[None, None], kernel.flip(0, 1)[None, None])[0, 0]
    assert not torch.allclose(conv2d(image, kernel), flipped), "not the convolution that flips"
