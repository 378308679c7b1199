"""07_gan: the game in the plane, transposed convolution, the deck's nets and loop, the heads."""

import copy
import importlib
import math
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from panels import NOTEBOOKS, answered, send, show, sources, sweep, sweep_all
from second_device import LAZY, offer

import lecture_utils as lu
from lecture_utils import device
from lecture_utils.demos import gan, gan_images, gan_lab
from lecture_utils.draw import Cells, Pixels, PlaneMap
from lecture_utils.panel import Panel

NOTEBOOK = "07_gan"


@pytest.fixture(scope="module")
def lab(lesson: SimpleNamespace) -> Panel:
    return show(lesson, "lab-panel")


def axes(panel: Panel) -> list:
    return panel.figure.figure.axes


# ---- the game's mathematics


def test_the_best_discriminator_is_p_over_p_plus_q() -> None:
    """No table of answers on a grid has a smaller loss than p / (p + q)."""
    draw = torch.Generator().manual_seed(0)
    p, q = (torch.rand(50, generator=draw).double() + 0.05 for _ in range(2))

    def loss(d: torch.Tensor) -> torch.Tensor:
        return -(p * d.log() + q * (1 - d).log()).sum()

    logits = torch.zeros(50, dtype=torch.double, requires_grad=True)
    search = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-10)

    def closure() -> torch.Tensor:
        search.zero_grad()
        value = loss(torch.sigmoid(logits))
        value.backward()
        return value

    search.step(closure)
    found = gan_lab.best_discriminator(p, q)
    assert torch.allclose(found, torch.sigmoid(logits.detach()), atol=1e-4)


def test_jensen_shannon_against_the_loss_of_the_best_discriminator() -> None:
    """Goodfellow 2014, theorem 1: the best D's loss is 2 ln 2 − 2 JS (in nats)."""
    draw = torch.Generator().manual_seed(1)
    p, q = (torch.rand(40, generator=draw).double() for _ in range(2))
    p, q = p / p.sum(), q / q.sum()
    d = p / (p + q)
    loss = -(p * d.log() + q * (1 - d).log()).sum()
    assert gan_lab.jensen_shannon(p, q) * math.log(2) == pytest.approx(
        float(2 * math.log(2) - loss) / 2
    )
    assert gan_lab.jensen_shannon(p, p) == pytest.approx(0, abs=1e-12)
    apart = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert gan_lab.jensen_shannon(*apart) == pytest.approx(1)


@pytest.mark.parametrize("name", gan_lab.mixtures())
def test_a_mixture_s_density_is_that_of_its_samples(name: str) -> None:
    mixture = gan_lab.mixtures()[name]
    side = 241
    line = torch.linspace(-4, 4, side)
    grid = torch.cartesian_prod(line, line)
    total = mixture.density(grid, blur=0.15).sum() * (8 / (side - 1)) ** 2
    assert total == pytest.approx(1, abs=0.02)
    samples = mixture.sample(60_000, torch.Generator().manual_seed(0))
    measured = gan_lab.smooth_density(samples)
    exact = mixture.density(gan_lab.lattice(-gan_lab.REACH, gan_lab.REACH, gan_lab.GRID), 0.15)
    assert float((measured - exact).abs().max() / exact.max()) < 0.1
    assert gan_lab.jensen_shannon(measured, exact) < 0.01


def test_modes_are_counted() -> None:
    ring = gan_lab.mixtures()["ring of 8"]
    exact = ring.centres.repeat(50, 1)
    assert gan_lab.modes_covered(exact, ring) == (8, 1.0)
    assert gan_lab.modes_covered(exact[:1].repeat(100, 1), ring) == (1, 1.0)
    assert gan_lab.modes_covered(exact * 0.5, ring) == (0, 0.0)
    few = torch.cat([ring.centres[:1].repeat(995, 1), ring.centres[1:2].repeat(5, 1)])
    assert gan_lab.modes_covered(few, ring) == (1, 1.0)


@pytest.mark.parametrize(
    "learn, detach, saturating", list(product(["both", "D", "G"], [1, 0], [1, 0]))
)
def test_gan_step_against_gradients_taken_one_by_one(
    lesson: SimpleNamespace, learn: str, detach: int, saturating: int
) -> None:
    nets = [lesson.make_nets(2, 0) for _ in range(2)]
    real, noise = torch.randn(6, 2), torch.randn(6, 2)
    (G, D), (G2, D2) = nets
    before = [p.clone() for p in [*G.parameters(), *D.parameters()]]
    losses = lesson.gan_step(
        G,
        D,
        *(torch.optim.SGD(net.parameters(), lr=0.1) for net in (G, D)),
        real,
        noise,
        learn=learn,
        detach=bool(detach),
        saturating=bool(saturating),
    )
    fake = G2(noise)
    d_loss = -F.logsigmoid(D2(real)).mean() - F.logsigmoid(-D2(fake)).mean()
    both = [*G2.parameters(), *D2.parameters()]
    slopes = torch.autograd.grad(d_loss, both, retain_graph=True)
    count = len(list(G2.parameters()))
    if learn != "G":
        with torch.no_grad():
            for p, slope in zip(D2.parameters(), slopes[count:], strict=True):
                p -= 0.1 * slope
    fake = G2(noise)
    g_loss = (F.logsigmoid(-D2(fake)) if saturating else -F.logsigmoid(D2(fake))).mean()
    wanted = torch.autograd.grad(g_loss, list(G2.parameters()))
    if learn != "D":
        with torch.no_grad():
            for p, slope, extra in zip(G2.parameters(), wanted, slopes, strict=False):
                p -= 0.1 * (slope + (0 if detach or learn == "G" else extra))
    for p, q in zip([*G.parameters(), *D.parameters()], both, strict=True):
        assert torch.allclose(p, q, atol=1e-6)
    assert losses[0].item() == pytest.approx(d_loss.item(), abs=1e-5)
    assert losses[1].item() == pytest.approx(g_loss.item(), abs=1e-5)
    moved = [
        not torch.equal(p, q)
        for p, q in zip(before, [*G.parameters(), *D.parameters()], strict=True)
    ]
    assert all(moved[:count]) == (learn != "D") and all(moved[count:]) == (learn != "G")


# ---- the laboratory


def mapped(ax: Axes) -> np.ndarray:
    """The probabilities that a map of the laboratory shows."""
    (found,) = (a for a in ax.get_children() if isinstance(a, PlaneMap))
    return (found.values + 1) / 2


def test_lab_shows_what_the_nets_say(lab: Panel, lesson: SimpleNamespace) -> None:
    lab.reset()
    lab.run.step(20)
    G, D = lab.run.models
    plane, best, *_ = axes(lab)
    grid = gan_lab.lattice(-3, 3, gan_lab.GRID)
    with torch.no_grad():
        said = torch.sigmoid(D(grid)).reshape(gan_lab.GRID, gan_lab.GRID)
        z = torch.randn(gan_lab.ASKED, 2, generator=torch.Generator().manual_seed(2))
        made = G(z)
    assert np.allclose(mapped(plane), said, atol=1e-6)
    fakes = next(line for line in plane.lines if line.get_label() == "fake")
    assert np.allclose(np.stack(fakes.get_data(), 1), made[: gan_lab.SHOWN], atol=1e-5)
    p = gan_lab.mixtures()["ring of 8"].density(grid, gan_lab.BLUR)
    q = gan_lab.smooth_density(made)
    ratio = mapped(best).ravel()
    busy = (p + q) > 1e-2
    assert np.allclose(ratio[busy], (p / (p + q))[busy], atol=1e-3)
    assert "Step 20" in lab.message and f"JS {gan_lab.jensen_shannon(p, q):.2f}" in lab.message


def test_lab_sweep(lab: Panel) -> None:
    for name, value in sweep(lab, between=1):
        if name in ("data", "noise", "opt_D", "opt_G", "seed", "k", "learn"):
            lab.run.step(2)
            assert lab.run.error is None, (name, value, lab.run.error)
            assert lab.error is None
    lab.reset()


def test_lab_controls_reach_the_game(lab: Panel) -> None:
    lab.reset()
    G, D = lab.run.models
    first = [p.clone() for p in G.parameters()]
    lab.set(learn="D")
    lab.run.step(3)
    assert all(torch.equal(p, q) for p, q in zip(first, G.parameters(), strict=True))
    lab.set(learn="G", lr_G=1e-2)
    held = [p.clone() for p in D.parameters()]
    lab.run.step(1)
    assert lab.run.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-2)
    assert all(torch.equal(p, q) for p, q in zip(held, D.parameters(), strict=True))
    assert not torch.equal(first[0], next(G.parameters()))
    lab.set(noisy=False)
    fakes = np.stack(axes(lab)[0].lines[1].get_data(), 1)
    assert np.ptp(fakes, axis=0).max() < 1e-6, "without noise all fakes are one point"
    lab.set(draw="pull of D", noisy=True)
    G, D = lab.run.models
    with torch.no_grad():
        z = torch.randn(gan_lab.ASKED, 2, generator=torch.Generator().manual_seed(2))
        fakes = G(z)[:60]
    fakes.requires_grad_(True)
    (slope,) = torch.autograd.grad(-F.logsigmoid(D(fakes)).sum(), fakes)
    assert f"mean pull is <b>{slope.norm(dim=1).mean():.3f}" in lab.message
    lines = axes(lab)[0].collections[1].get_segments()
    ahead = np.array([s[1] - s[0] for s in lines])
    assert ((ahead * -slope.numpy()).sum(axis=1) >= 0).all()
    lab.reset()


def test_one_step_of_one_net(lab: Panel) -> None:
    lab.reset()
    lab.set(k=3)
    for name, moves in (("Step D", (False, True)), ("Step G", (True, False))):
        before = [copy.deepcopy(net.state_dict()) for net in lab.run.models]
        lab._act(lab.actions[name])
        for net, old, moved in zip(lab.run.models, before, moves, strict=True):
            changed = [not torch.equal(p, old[key]) for key, p in net.state_dict().items()]
            assert all(changed) if moved else not any(changed)
    assert lab.run.reached == 2 and lab.error is None
    lab.run.step()  # and then both again
    assert not any(
        torch.equal(p, old[key])
        for net, old in zip(lab.run.models, before, strict=True)
        for key, p in net.state_dict().items()
    )
    lab.reset()


def test_lab_draws_modes_and_divergence_over_time(lab: Panel) -> None:
    lab.apply("Covers all 8")
    covered(lab, 300)
    steps, modes = lab.run.curve("modes")
    lines = {line.get_label(): line.get_data() for line in axes(lab)[3].lines}
    assert np.allclose(lines["modes"], [steps, np.array(modes) / 8])
    assert np.allclose(lines["JS"], lab.run.curve("JS"))
    assert steps == [0, 100, 200, 300]
    lab.set(data="spiral")
    lines = {line.get_label(): line.get_data() for line in axes(lab)[3].lines}
    assert len(lines["modes"][0]) == 0 and len(lines["JS"][0]) == 1
    lab.reset()


def test_lab_rewinds_to_the_same_game(lab: Panel) -> None:
    lab.reset()
    lab.run.step(15)
    state = [p.clone() for net in lab.run.models for p in net.parameters()]
    said = lab.message
    lab.run.rewind()
    assert "Step 0" in lab.message
    lab.run.step(15)
    again = [p for net in lab.run.models for p in net.parameters()]
    assert all(torch.equal(p, q) for p, q in zip(state, again, strict=True))
    assert lab.message == said


def test_real_data_is_drawn_with_the_mouse(lab: Panel) -> None:
    lab.reset()
    ax = axes(lab)[0]
    stroke = np.stack([np.linspace(-2, 2, 50), np.full(50, 1.0)], axis=1)
    send(lab, "ink", 0, *stroke)
    assert lab.controls["data"].value == gan_lab.DRAWN
    real = np.stack(ax.lines[0].get_data(), 1)
    assert abs(real[:, 1] - 1).max() < 0.5 and np.ptp(real[:, 0]) > 3
    lab.run.step(2)
    assert lab.error is None and lab.run.error is None
    lab.reset()


def test_fakes_outside_the_picture_are_told_of(lab: Panel) -> None:
    lab.reset()
    assert "outside" not in lab.message
    with torch.no_grad():
        lab.run.models[0][-1].bias += torch.tensor([4.0, 0.0])
    lab.refresh()
    assert "100% of the fakes lie outside the picture." in lab.message
    lab.reset()


def covered(lab: Panel, steps: int) -> tuple[int, float]:
    lab.run.advance(steps)
    lab.refresh()
    return int(lab.run.last("modes")), lab.run.last("good")


def test_the_preset_that_works_covers_all_modes(lab: Panel) -> None:
    lab.apply("Covers all 8")
    modes, good = covered(lab, 2500)
    assert modes == 8 and good > 0.3, lab.message


def test_the_preset_that_collapses_keeps_two_modes(lab: Panel) -> None:
    lab.apply("Collapses")
    modes, good = covered(lab, 3500)
    assert modes <= 3 and good > 0.6, lab.message


def test_the_presets_that_break_the_game(lab: Panel) -> None:
    lab.apply("No detach")
    modes, good = covered(lab, 3000)
    assert modes <= 4 and good > 0.3, lab.message
    lab.reset()


def mean_pull(lab: Panel) -> float:
    return float(lab.message.split("mean pull is <b>")[1].split("<")[0])


def test_the_saturating_loss_holds_g_where_it_is(lab: Panel) -> None:
    """A sure D gives it no slope; the other loss, from the same state, takes G to the data."""
    lab.apply("Saturating")
    covered(lab, 100)
    assert mean_pull(lab) < 0.01
    before = lab.run.models[0][0].weight.clone()
    assert covered(lab, 50)[1] == 0 and lab.run.last("JS") > 0.95, lab.message
    assert torch.allclose(lab.run.models[0][0].weight, before, atol=1e-4)
    lab.set(saturating=False)
    assert mean_pull(lab) > 1
    assert covered(lab, 150)[1] > 0.05 and lab.run.last("JS") < 0.85, lab.message
    lab.reset()


def test_the_lab_moves_to_another_device(
    lesson: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On torch's lazy tensors, a second device that there is everywhere."""
    offer(monkeypatch)
    lab = show(lesson, "lab-panel")
    lab.set(opt_G="SGD", opt_D="SGD")
    lab.run.advance(3)
    device.use(LAZY)
    lab.refresh()
    assert {p.device.type for net in lab.run.models for p in net.parameters()} == {LAZY}
    lab.run.advance(2)
    lab.set(draw="pull of D")
    assert lab.error is None and "Step 5" in lab.message
    device.use("cpu")
    lab.run.advance(1)
    lab.refresh()
    assert lab.error is None and "Step 6" in lab.message


# ---- transposed convolution


@pytest.mark.parametrize(
    "size, stride, padding", list(product([1, 2, 3, 4], [1, 2, 3], [0, 1, 2, 3]))
)
def test_conv_transpose2d_is_torchs(
    lesson: SimpleNamespace, size: int, stride: int, padding: int
) -> None:
    draw = torch.Generator().manual_seed(size)
    for shape in [(3, 3), (1, 1), (4, 2)]:
        if min((n - 1) * stride + size - 2 * padding for n in shape) < 1:
            continue
        x, kernel = torch.randn(shape, generator=draw), torch.randn(size, size, generator=draw)
        expected = F.conv_transpose2d(x[None, None], kernel[None, None], None, stride, padding)
        got = lesson.conv_transpose2d(x, kernel, stride, padding)
        assert torch.allclose(got, expected[0, 0], atol=1e-5)


@pytest.fixture
def stepper(lesson: SimpleNamespace) -> Panel:
    return show(lesson, "transposed-panel")


def table(panel: Panel, ax: int) -> Cells:
    (found,) = (a for a in axes(panel)[ax].get_children() if isinstance(a, Cells))
    return found


def shown_numbers(panel: Panel) -> np.ndarray:
    rows = [[float(t.replace("−", "-")) for t in row if t] for row in table(panel, 2).numbers]
    return np.array([row for row in rows if row])


def test_stepper_shows_what_torch_computes(stepper: Panel) -> None:
    """At every setting; a lopsided kernel tells rows from columns."""
    draw = torch.Generator().manual_seed(3)
    x, whole = (torch.randint(-9, 10, (n, n), generator=draw) for n in (3, 4))
    stepper.set(x=tuple(map(tuple, x.tolist())), kernel=tuple(map(tuple, whole.tolist())))
    for size, stride, padding in product([1, 2, 3, 4], [1, 2, 3], [0, 1, 2, 3]):
        stepper.set(size=size, stride=stride, padding=padding, position=8)
        full = (3 - 1) * stride + size
        side = full - 2 * padding
        assert f"= <b>{str(side).replace('-', '−')}</b>" in stepper.message
        words = table(stepper, 2).numbers
        assert len(words) == len(words[0]) == full
        if side < 1:
            assert "Impossible" in stepper.message and not any(map(any, words))
            continue
        kernel = whole[:size, :size].float()
        for position in (0, 4, 8):
            stepper.set(position=position)
            so_far = torch.where(torch.arange(9).view(3, 3) <= position, x, 0).float()
            expected = F.conv_transpose2d(
                so_far[None, None], kernel[None, None], stride=stride, padding=padding
            )
            words = table(stepper, 2).numbers
            inner = [row[padding : padding + side] for row in words[padding : padding + side]]
            shown = [[float(word.replace("−", "-")) for word in row] for row in inner]
            assert np.array_equal(shown, expected[0, 0].numpy())
            outside = sum(bool(word) for row in words for word in row) - side * side
            assert outside == 0, "what the padding cuts off is grey and empty"


def test_stepper_follows_its_tables_and_presets(stepper: Panel) -> None:
    sweep_all(stepper)
    stepper.set(x=((0, 0, 0), (0, 5, 0), (0, 0, 0)), position=8)
    kernel = np.array(gan.KERNEL)
    assert shown_numbers(stepper).max() == 5 * kernel.max()
    stepper.apply("Checkerboard")
    assert set(np.unique(shown_numbers(stepper))) == {1, 2, 4}
    assert "Some cells get 4 stamps, some 1" in stepper.message
    stepper.apply("Side by side")
    assert shown_numbers(stepper).shape == (6, 6) and "checkerboard" not in stepper.message
    stepper.apply("Deck's layer")
    assert shown_numbers(stepper).shape == (6, 6) and "checkerboard" not in stepper.message


def test_a_wrong_conv_transpose2d_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lecture_utils.panel.strict", False)
    panel = gan.transposed(lambda x, kernel, stride, padding: x)
    assert "the formula gives (6, 6)" in panel.shown


def test_transposed_is_not_inverse_but_adjoint(lesson: SimpleNamespace) -> None:
    assert lesson.back.shape == lesson.x.shape and not torch.allclose(lesson.back, lesson.x)
    assert torch.allclose(lesson.one, lesson.other, atol=1e-5)


# ---- the deck's nets and loop


def test_the_nets_are_the_deck_s(lesson: SimpleNamespace) -> None:
    G, D = lesson.Generator(100, 64, 3), lesson.Discriminator(3, 64)
    assert lu.models.count_parameters(G) == 3_576_704
    for mine, shared in [(G, lu.models.Generator(100, 64, 3)), (D, lu.models.Discriminator(3, 64))]:
        assert str(mine) == str(shared)
        shared.load_state_dict(mine.state_dict())
        assert [type(m) for m in mine.main] == [type(m) for m in shared.main]
    rows = lesson.shapes(G, torch.zeros(2, 100, 1, 1))
    deck = [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]
    assert [shape for name, shape, _ in rows if name == "ConvTranspose2d"] == deck
    assert sum(count for *_, count in rows) == 3_576_704
    back = lesson.shapes(D, torch.zeros(2, 3, 64, 64))
    sides = [shape for name, shape, _ in back if name == "Conv2d"]
    assert sides == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1, 1, 1)]
    assert D(G(torch.randn(2, 100, 1, 1))).shape == (2,)


def test_the_right_loop_trains_both(lesson: SimpleNamespace) -> None:
    torch.manual_seed(0)
    G, D = lesson.Generator(8, 4, 1), lesson.Discriminator(1, 4)
    before = [p.clone() for p in [*G.parameters(), *D.parameters()]]
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3) for net in (G, D)]
    lesson.train(G, D, *optimizers, lesson.pictures, nz=8)
    after = [*G.parameters(), *D.parameters()]
    assert not any(torch.equal(p, q) for p, q in zip(before, after, strict=True))


def test_every_bug_does_what_it_is_shown_for(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "bugs-panel")
    said = {}
    for _, bug in panel.controls["bug"].options:
        panel.set(bug=bug)
        assert f"<mark>        {bug.replace(chr(34), '&quot;')}</mark>" in panel.message, bug
        said[bug] = panel.message.split("</pre>")[1]
    assert len(said) == 6
    errors = [words for words in said.values() if "No error" not in words]
    assert len(errors) == 3
    assert any("NameError" in w and "sample" in w for w in errors)
    assert any("target size" in w for w in errors)
    assert any("backward through the graph a second time" in w for w in errors)
    assert "3.0 times as long" in said["gen_loss.backward()"]
    assert "moved by 0" in said["real_loss = criterion(d_real, real_labels)"]
    assert "0 of them" in said["latent_noise = torch.randn(sample_size, nz, 1, 1)"]


@pytest.mark.parametrize(
    "cell, answer",
    [
        ("best-question", "0.5"),
        ("transposed-question", "64"),
        ("inverse-question", "the shape is, the numbers are not"),
        ("shapes-question", "the second (8 × 8)"),
        ("bugs-question", "3"),
    ],
)
def test_questions_have_these_answers(lesson: SimpleNamespace, cell: str, answer: str) -> None:
    answered(show(lesson, cell), answer)


# ---- pictures


def test_digits_game_counts_what_the_classifier_reads(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "digits-panel")
    sweep_all(panel)
    panel.run.step(3)
    judge = lu.data.load_weights(lu.models.DigitsCNN(), "digits_cnn")
    z = torch.randn(gan_images.JUDGED, 32, 1, 1, generator=torch.Generator().manual_seed(1))
    for choice in ("here", "shipped"):
        panel.set(shown=choice)
        G = lesson.G28
        if choice == "shipped":
            G = lu.data.load_weights(torch.nn.Sequential(*lesson.G28), "digits_gan")
        G.eval()
        with torch.no_grad():
            fakes = (G(z) + 1) / 2
            counts = judge(fakes).argmax(dim=1).bincount(minlength=10)
        heights = [bar.get_height() for bar in axes(panel)[1].patches]
        assert np.allclose(heights, (counts / counts.sum()).clamp(max=0.4), atol=1e-6)
        assert f"{int((counts >= 0.01 * len(z)).sum())} of 10" in panel.message
    assert int((counts >= 0.01 * len(z)).sum()) == 10, "the shipped generator covers the digits"
    sure = (judge(fakes).softmax(dim=1).max(dim=1).values > 0.9).float().mean()
    assert f"more than 90% sure of <b>{sure:.0%}</b>; of real ones, 98%." in panel.message
    assert 0.6 < sure < 0.95
    panel.run.rewind()


def test_digits_are_judged_with_each_snapshot(lesson: SimpleNamespace) -> None:
    """The record that is drawn over the steps is what the CNN says of those weights."""
    panel = show(lesson, "digits-panel")
    run = panel.run
    run.rewind()
    run.step(60)
    steps, sure = run.curve("sure")
    assert steps == [0, 50, 60] and "Step 60:" in panel.message
    done, *_ = (patch for patch in axes(panel)[2].patches)
    assert done.get_xy()[:, 0].max() == 60 and axes(panel)[2].get_xlim() == (0, run.steps)
    assert np.allclose(axes(panel)[2].lines[0].get_data(), [steps, sure])
    run.seek(1)
    assert run.position == 50 and "Step 50:" in panel.message
    assert f"sure of <b>{sure[1]:.0%}</b>" in panel.message
    run.playing = True  # a picture of a run that plays does not wait for the CNN
    run.position = 57
    panel.refresh()
    assert "Step 50:" in panel.message
    run.playing = False
    run.rewind()
    assert "Step 0:" in panel.message


def test_heads(lesson: SimpleNamespace) -> None:
    heads = lesson.heads
    assert heads.shape == (840, 64, 64, 3) and heads.dtype == np.uint8
    G = lesson.G
    assert lu.models.count_parameters(G) <= 4_000_000
    assert lu.data.path("weights/heads_gan.safetensors").stat().st_size <= 8_000_000
    with torch.no_grad():
        made = gan_images.colours(G(gan_images.noise(64, 100, 3)))
    flat = torch.from_numpy(heads).float().flatten(1) / 255
    mine = torch.from_numpy(made).flatten(1)
    size = math.sqrt(flat.shape[1])
    nearest = torch.cdist(mine, flat).min(dim=1).values / size
    among = torch.cdist(flat, flat)
    among.fill_diagonal_(math.inf)
    assert float(nearest.min()) > float((among.min(dim=1).values / size).median()), "no copies"
    readme = " ".join((NOTEBOOKS.parent / "data" / "README.md").read_text().split())
    drawings = among.min(dim=1).values.median() / size
    assert (
        f"is {nearest.min():.3f} at the least and {nearest.median():.3f} in the middle; "
        f"from a drawing to the nearest other drawing it is {drawings:.3f} in the middle: no copies"
    ) in readme
    assert f"trained for {lu.data.HEAD_EPOCHS[-1]} epochs" in readme
    apart = torch.cdist(mine, mine)[~torch.eye(64, dtype=bool)] / size
    assert float(apart.min()) > 0.02, "every noise has a head of its own"


def test_the_training_of_heads_goes_on_from_a_saved_state(
    lesson: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit as without a break: weights, averages, optimizers, random numbers, pictures."""
    monkeypatch.syspath_prepend(NOTEBOOKS.parent / "data" / "build")
    heads_gan = importlib.import_module("heads_gan")
    few = torch.from_numpy(lesson.heads[:64]).permute(0, 3, 1, 2).float() / 127.5 - 1
    whole, first, second = (heads_gan.Training() for _ in range(3))
    torch.manual_seed(0)
    for _ in range(2):
        whole.train_epoch(few)
    torch.manual_seed(0)
    first.train_epoch(few)
    first.save(tmp_path / "state.pt")
    torch.manual_seed(5)
    second.load(tmp_path / "state.pt")
    second.train_epoch(few)
    assert (second.epoch, second.turn) == (whole.epoch, whole.turn) == (2, 4)
    assert list(second.sheets) == [1, 2]
    assert all(torch.equal(second.sheets[e], whole.sheets[e]) for e in (1, 2))
    for name in heads_gan.PARTS:
        ours, theirs = (getattr(t, name).state_dict() for t in (second, whole))
        ours, theirs = (d.get("state", {0: d}) for d in (ours, theirs))
        for key, values in theirs.items():
            assert all(torch.equal(ours[key][k], value) for k, value in values.items()), name


def pixels(ax: Axes) -> np.ndarray:
    """The picture that ``Pixels`` shows in these axes, in 0..1."""
    (found,) = (a for a in ax.get_children() if isinstance(a, Pixels))
    return found.picture / 255


def test_person_panel(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "person-panel")
    sweep_all(panel, between=1)
    panel.set(seed=5, other=9, towards=0.0)
    with torch.no_grad():
        a, b = (gan_images.colours(lesson.G(gan_images.noise(1, 100, s)))[0] for s in (5, 9))
    assert np.allclose(pixels(axes(panel)[0]), a, atol=0.5 / 255 + 1e-4)
    distance = np.sqrt(((lesson.heads / 255 - a) ** 2).mean(axis=(1, 2, 3)))
    assert f"<b>{distance.min():.2f}</b>" in panel.message
    assert np.allclose(pixels(axes(panel)[1]), lesson.heads[distance.argmin()] / 255)
    panel.set(towards=1.0)
    assert np.allclose(pixels(axes(panel)[0]), b, atol=0.5 / 255 + 1e-4)
    strip = np.asarray(axes(panel)[2].images[0].get_array())
    assert np.allclose(strip[:, :64], a, atol=1e-4) and np.allclose(strip[:, -64:], b, atol=1e-4)
    panel.set(towards=0.0, move0=3.0)
    with torch.no_grad():
        z = gan_images.noise(1, 100, 5) + 3 * lesson.directions[0].view(1, -1, 1, 1)
        moved = gan_images.colours(lesson.G(z))[0]
    assert np.allclose(pixels(axes(panel)[0]), moved, atol=0.5 / 255 + 1e-4)
    strip = np.asarray(axes(panel)[2].images[0].get_array())
    assert np.allclose(strip[:, :64], moved, atol=1e-4), "the row below moves with it"
    before = panel.controls["seed"].value
    panel._act(panel.actions["Another person"])
    assert panel.controls["seed"].value != before
    panel.reset()


def test_directions_are_the_principal_ones_of_the_first_layer(lesson: SimpleNamespace) -> None:
    W = lesson.G.main[0].weight.detach().flatten(1).double()
    values, vectors = torch.linalg.eigh(W @ W.T)
    largest = vectors[:, -4:].flip(1).T
    agreement = (largest * lesson.directions.double()).sum(dim=1).abs()
    assert torch.allclose(agreement, torch.ones(4).double(), atol=1e-3)


def test_layers_and_growth(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "layers-panel")
    sweep_all(panel)
    panel.set(seed=3, layer=0)
    assert "100 maps of 1 × 1" in panel.message
    panel.set(layer=5)
    assert "3 maps of 64 × 64" in panel.message
    with torch.no_grad():
        expected = gan_images.colours(lesson.G(gan_images.noise(1, 100, 3)))[0]
    assert np.allclose(np.asarray(axes(panel)[1].images[0].get_array()), expected, atol=1e-4)
    panel.set(layer=2)
    assert "128 maps of 8 × 8" in panel.message
    growth = show(lesson, "growth-panel")
    sweep_all(growth)
    frames, epochs = lu.data.heads_training()
    growth.set(moment=len(epochs) - 1)
    assert np.array_equal(axes(growth)[0].images[0].get_array(), frames[-1])
    assert f"{epochs[-1]} epochs" in growth.message


def test_what_the_slides_say_loosely_is_said_exactly() -> None:
    """facts.md, correction 13."""
    text = {name: " ".join(source.split()) for name, source in sources(NOTEBOOK).items()}
    assert "$z$ is noise that we draw. It is no compressed picture of anything" in text["game-text"]
    assert "Transposed is not inverse." in text["inverse-question"]
