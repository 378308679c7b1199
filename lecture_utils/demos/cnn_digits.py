"""The panels of 04_cnn on trained nets: the moving ball, and what the digits CNN does."""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from .. import style
from ..data import Digits, as_mnist, moving_ball, rasterize
from ..draw import Cells, number, tile_box, tiles
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider, toggle
from ..probe import Probe
from ..training import Run

NOTHING = np.zeros((1, 1))


# ---- the moving ball

NET_STYLES = (
    (style.PURPLE, "s", ":"),
    (style.BLUE, "^", "--"),
    (style.ORANGE, "o", "-"),
)


@torch.no_grad()
def _velocity(net: nn.Module, frames: Tensor) -> Tensor:
    here = next(net.parameters()).device
    return net(frames.to(here)).cpu()


def ball(nets: Mapping[str, nn.Module], x_range: tuple[float, float], examples: int = 100) -> Panel:
    """What up to three ``nets`` say of balls that are shifted to the right of where they trained.

    Each maps frames (N, 4, 50, 50) to velocities (N, 2), pixels a frame; ``x_range`` is where the
    centres of the training balls lay.
    """
    furthest = int(46 - x_range[1])
    shifts = list(range(0, furthest + 1, 2))
    figure = LiveFigure(820, 430)
    left, right = figure.subplots(1, 2)
    style.picture(left, "four frames")
    picture = left.imshow(np.zeros((50, 50)), cmap=style.IMAGE, vmin=0, vmax=1)
    left.set(xlim=(-0.5, 49.5), ylim=(49.5, -0.5))
    strip = torch.zeros(50)  # what the training balls covered
    strip[max(0, int(x_range[0]) - 3) : int(x_range[1]) + 4] = 0.12
    (truth,) = left.plot([], [], "-", color=style.INK, lw=7, alpha=0.45, label="truth")
    arrows, curves = {}, {}
    right.set(
        xlim=(-0.5, furthest + 0.5),
        ylim=(2e-3, 2e3),
        yscale="log",
        xlabel="shift, pixels",
        ylabel="squared error",
    )
    for (name, net), (colour, marker, dash) in zip(nets.items(), NET_STYLES, strict=False):
        (arrows[name],) = left.plot([], [], dash, color=colour, marker=marker, markevery=[1], lw=3)
        (curves[name],) = right.plot([], [], dash, color=colour, marker=marker, label=name)
        net.eval()
    now = right.axvline(0, ymax=0.8, color=style.INK, lw=2)
    at_rest = right.axhline(3, color=style.MUTED, lw=1.5, label="“at rest”, always")
    right.legend(loc="upper left", ncols=2, columnspacing=1)
    figure.live(picture, truth, arrows.values(), now)

    def frames_at(shift: int, count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
        return moving_ball(count, seed, x_range=(x_range[0] + shift, x_range[1] + shift))

    measured = {name: [] for name in nets}
    for shift in shifts:
        frames, velocity = frames_at(shift, examples)
        for name, net in nets.items():
            error = nn.functional.mse_loss(_velocity(net, frames), velocity)
            measured[name].append(float(error))
    for name, curve in curves.items():
        curve.set_data(shifts, measured[name])
    guess = float(velocity.square().mean())
    at_rest.set_ydata([guess, guess])

    def update(shift: int, example: int) -> str:
        (frames,), (velocity,) = frames_at(shift, 1, seed=2 + example)
        fade = torch.tensor([0.25, 0.4, 0.6, 1.0])[:, None, None]
        picture.set_data(torch.maximum((frames * fade).amax(0), strip).numpy())
        mass = frames[-1] / frames[-1].sum()
        grid = torch.arange(50.0)
        x, y = float((mass.sum(0) * grid).sum()), float((mass.sum(1) * grid).sum())
        truth.set_data([x, x + 4 * velocity[0]], [y, y + 4 * velocity[1]])
        errors = []
        for name, net in nets.items():
            answer = _velocity(net, frames[None])[0]
            arrows[name].set_data([x, x + 4 * answer[0]], [y, y + 4 * answer[1]])
            errors.append(f"{name} <b>{float((answer - velocity).square().mean()):.2f}</b>")
        now.set_xdata([shift, shift])
        return (
            f"This ball moves by ({number(round(float(velocity[0]), 1))}, "
            f"{number(round(float(velocity[1]), 1))}) pixels a frame (grey bar). "
            f"Squared error: {', '.join(errors)}."
        )

    return Panel(
        update,
        figure,
        title="Trained on the left: does it know the right?",
        look="Shift the ball out of the grey strip where all training balls were.",
        shift=slider(0, furthest, 1, 0),
        example=slider(0, examples - 1, 1, 3),
        presets={
            "as trained": {"shift": 0, "note": "In the strip all nets do well."},
            "fails: shifted": {
                "shift": 12,
                "note": "Flattening gives every place weights of its own: the places on the right "
                "never learned.",
            },
            "works: shifted": {
                "shift": furthest - 4,
                "note": "Padding and one maximum over the whole map: what is seen counts, where "
                "does not.",
            },
        },
    )


# ---- the digits CNN


def _stages(run: Run) -> tuple[nn.Module, Callable[[int], None]]:
    """A copy of the run's model, and a function that puts it into snapshot ``k``.

    A copy: scrubbing must not change the net that the reader trained.
    """
    with run.paused():
        model = copy.deepcopy(run.models[0]).eval()

    def load(k: int) -> None:
        model.load_state_dict(run.snapshots[k][1][0][0])

    return model, load


@torch.no_grad()
def _logits(net: nn.Module, images: Tensor) -> Tensor:
    here = next(net.parameters()).device
    return torch.cat([net(part.to(here)).cpu() for part in images.split(500)])


def confusion(run: Run, digits: Digits) -> Panel:
    """Which test digits the model of ``run`` confuses, after each epoch (snapshot)."""
    model, load = _stages(run)
    last = len(run.snapshots) - 1
    figure = LiveFigure(820, 430)
    axes = figure.mosaic([["table", "digits"]], width_ratios=[1.15, 1])
    left = axes["table"]
    cells = Cells(figure, left, size=14)
    left.set_title("the net says", pad=24)
    left.text(-1.6, 4.5, "the digit is", rotation=90, ha="center", va="center")
    for k in range(10):
        left.text(-0.7, k, str(k), ha="right", va="center")
        left.text(k, -0.7, str(k), ha="center", va="bottom")
    box = left.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.INK, lw=4))
    gallery = style.picture(axes["digits"], "the digits of that cell").imshow(
        NOTHING, cmap=style.IMAGE, vmin=0, vmax=1, extent=(0, 1, 1, 0)
    )
    figure.live(box, gallery)

    @functools.cache
    def answers(epoch: int) -> Tensor:
        load(epoch)
        return _logits(model, digits.test_x).softmax(dim=1)

    def update(epoch: int, is_: int, says: int) -> str:
        probabilities = answers(epoch)
        said = probabilities.argmax(dim=1)
        counts = torch.bincount(10 * digits.test_y + said, minlength=100).reshape(10, 10)
        colours = np.ones((10, 10, 4))
        for i in range(10):
            for j in range(10):
                share = min(1.0, counts[i, j].item() / (100 if i == j else 12)) ** 0.6
                hue = np.array(to_rgb(style.RIGHT if i == j else style.WRONG))
                colours[i, j, :3] = 1 - 0.75 * share * (1 - hue)
        table = [[str(v) if v else "" for v in row] for row in counts.tolist()]
        cells.show(table, colours)
        box.set_xy((says - 0.5, is_ - 0.5))

        chosen = ((digits.test_y == is_) & (said == says)).nonzero()[:, 0]
        order = probabilities[chosen, says].argsort(descending=True)
        shown = chosen[order[:9]]
        pictures = np.zeros((9, 28, 28))
        pictures[: len(shown)] = digits.test_x[shown, 0].numpy()
        gallery.set_data(tiles(pictures, 3, gap=2))
        right = counts.diagonal().sum().item()
        words = (
            f"After epoch {epoch}: <b>{right / len(said):.1%}</b> of {len(said)} test digits are "
            f"right. "
        )
        if not len(chosen):
            return words + f"No {is_} is taken for a {says}."
        most = float(probabilities[shown[0], says])
        verb = "read as" if is_ == says else "taken for"
        return words + (
            f"{len(chosen)} of the {counts[is_].sum().item()} digits {is_} are {verb} {says}; "
            f"the surest comes first, at {most:.0%}."
        )

    final = answers(last).argmax(dim=1)
    mixed = torch.bincount(10 * digits.test_y + final, minlength=100).reshape(10, 10)
    worst = int(mixed.fill_diagonal_(-1).argmax())
    panel = Panel(
        update,
        figure,
        title="Which digits does it confuse?",
        look="Click a red cell: would you have known better? Then scrub back to epoch 0.",
        epoch=Player(last, last, label="epoch", rate=2),
        is_=slider(0, 9, 1, worst // 10, "is a"),
        says=slider(0, 9, 1, worst % 10, "says"),
    )

    def press(x: float, y: float) -> None:
        says, is_ = (int(np.clip(round(v), 0, 9)) for v in (x, y))
        panel.set(is_=is_, says=says)

    figure.on_press(left, press)
    return panel


def inside(run: Run, digits: Digits) -> Panel:
    """First filters and feature maps of the model of ``run`` on a test digit, epoch by epoch.

    The model's first two ``Conv2d`` layers are shown.
    """
    model, load = _stages(run)
    convolutions = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    names = list(convolutions)[:2]
    last = len(run.snapshots) - 1
    figure = LiveFigure(820, 430)
    axes = figure.mosaic(
        [["digit", "filters", "maps"], ["curve", "curve", "maps"]],
        width_ratios=[1, 1, 2.1],
        height_ratios=[1.5, 1],
    )
    style.picture(axes["digit"], "input")
    style.picture(axes["filters"], "filters")
    style.picture(axes["maps"], "feature maps: filter, then ReLU")
    for name in ("filters", "maps"):
        axes[name].set_facecolor(style.FAINT)
    digit_image = axes["digit"].imshow(np.zeros((28, 28)), cmap=style.IMAGE, vmin=0, vmax=1)
    sheets = {
        name: axes[name].imshow(NOTHING, cmap=cmap, vmin=low, vmax=1, extent=(0, 1, 1, 0))
        for name, cmap, low in [("filters", style.SIGNED, -1), ("maps", style.SEQUENTIAL, 0)]
    }
    boxes = {
        name: axes[name].add_patch(
            Rectangle((0, 0), 0, 0, fill=False, ec=style.RED, lw=4, clip_on=False)
        )
        for name in sheets
    }
    curve = axes["curve"]
    errors = [100 * (1 - a) for a in run.curve("test accuracy")[1][: last + 1]]
    curve.semilogy(range(len(errors)), errors, color=style.TEST)
    curve.set(xlabel="epoch", ylabel="test error", ylim=(1, 130), xlim=(-0.2, last + 0.2))
    curve.set_yticks([1, 10, 100], ["1%", "10%", "100%"])
    (now,) = curve.plot([], [], "o", color=style.INK)
    figure.live(digit_image, sheets.values(), boxes.values(), now)

    def update(layer: int, unit: int, digit: int, epoch: int) -> str:
        load(epoch)
        name = names[layer]
        image = digits.test_x[digit : digit + 1]
        with torch.no_grad(), Probe(model) as probe:
            here = next(model.parameters()).device
            probabilities = model(image.to(here)).softmax(dim=1)[0].cpu()
        maps = _after_relu(probe, name)[0].cpu().numpy()
        unit = min(unit, len(maps) - 1)
        weights = convolutions[name].weight.detach().cpu().numpy()
        shown = weights[:, 0] if layer == 0 else weights[unit]
        count, columns = len(maps), 4 if layer == 0 else 6
        digit_image.set_data(image[0, 0].numpy())
        sheets["filters"].set_data(tiles(shown / np.abs(shown).max(), 4))
        sheets["maps"].set_data(tiles(maps / max(maps.max(), 1e-9), columns, gap=2))
        x, y, w, h = tile_box(unit, count, columns, *maps.shape[1:], gap=2)
        boxes["maps"].set_bounds(x, y, w, h)
        boxes["filters"].set_visible(layer == 0)
        if layer == 0:
            boxes["filters"].set_bounds(*tile_box(unit, count, 4, *shown.shape[1:]))
        now.set_data([epoch], errors[epoch : epoch + 1])
        said = int(probabilities.argmax())
        share = float((maps[unit] > 0).mean())
        of = (
            "its own 3 × 3 weights"
            if layer == 0
            else f"{len(shown)} filters, one for each map of the first layer"
        )
        return (
            f"Epoch {epoch}: this {int(digits.test_y[digit])} is read as <b>{said}</b> "
            f"({float(probabilities[said]):.0%}). Unit {unit} has {of}, and is active on "
            f"{share:.0%} of its {maps.shape[1]} × {maps.shape[2]} map."
        )

    panel = Panel(
        update,
        figure,
        title="Inside the net",
        look="Click a map: where does this unit light up? Then scrub the epochs.",
        epoch=Player(last, last, label="epoch", rate=2),
        layer=choice({"first convolution": 0, "second convolution": 1}, label="layer"),
        unit=slider(0, 31, 1, 0),
        digit=slider(0, len(digits.test_x) - 1, 1, 17),
    )

    def press(x: float, y: float) -> None:
        layer = panel.controls["layer"].value
        columns = 4 if layer == 0 else 6
        count = convolutions[names[layer]].out_channels
        rows = -(-count // columns)
        unit = min(int(y * rows), rows - 1) * columns + min(int(x * columns), columns - 1)
        panel.set(unit=min(unit, count - 1))

    figure.on_press(axes["maps"], press)
    return panel


def _after_relu(probe: Probe, name: str) -> Tensor:
    """What leaves the first ReLU behind layer ``name``: its feature maps."""
    following = list(probe.layers)[list(probe.layers).index(name) :]
    for later in following:
        if isinstance(probe.layers[later], nn.ReLU):
            return probe.activations[later]
    return probe.activations[name].clamp(min=0)


# ---- the drawing pad


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> np.ndarray:
    """Part of an ellipse, angles in degrees, clockwise from the right."""
    t = np.radians(np.linspace(start, end, 30))
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


def _three() -> list[np.ndarray]:
    upper = _arc(0.48, 0.32, 0.17, 0.15, -160, 90)
    return [np.vstack([upper, _arc(0.48, 0.66, 0.2, 0.19, -90, 150)])]


EXAMPLES: Mapping[str, list[np.ndarray]] = {
    "your own": [],
    "a three": _three(),
    "small, in a corner": [0.45 * s + [0.03, 0.02] for s in _three()],
    "a house": [
        np.array([[0.2, 0.5], [0.5, 0.15], [0.8, 0.5], [0.2, 0.5], [0.2, 0.88], [0.8, 0.88]]),
        np.array([[0.8, 0.88], [0.8, 0.5]]),
    ],
}
PEN = 0.085
PAD = 300
"""CSS pixels of the drawing area's side, about: the width of the line under the pointer."""


def draw_digit(nets: Mapping[str, nn.Module]) -> Panel:
    """Draw a digit; one of ``nets`` reads it stroke by stroke, with its maps and its reasons.

    Each net maps (N, 1, 28, 28) to logits (N, 10).
    """
    strokes: list[np.ndarray] = []
    figure = LiveFigure(820, 430)
    axes = figure.mosaic(
        [["pad", "seen", "bars"], ["pad", "why", "bars"], ["maps", "maps", "maps"]],
        width_ratios=[2, 1, 1.35],
        height_ratios=[1, 1, 0.6],
    )
    style.picture(axes["pad"], "draw here")
    style.picture(axes["seen"], "the net sees")
    style.picture(axes["why"], "why")
    style.picture(axes["maps"], "feature maps")
    axes["pad"].set(xlim=(0, 1), ylim=(1, 0))
    pad = axes["pad"].imshow(NOTHING, cmap=style.IMAGE, vmin=0, vmax=1, extent=(0, 1, 1, 0))
    seen = axes["seen"].imshow(np.zeros((28, 28)), cmap=style.IMAGE, vmin=0, vmax=1)
    why = axes["why"].imshow(np.zeros((28, 28)), cmap=style.SIGNED, vmin=-1, vmax=1)
    maps = axes["maps"].imshow(
        NOTHING, cmap=style.SEQUENTIAL, vmin=0, vmax=1, extent=(0, 1, 1, 0), aspect="auto"
    )
    bars = axes["bars"].barh(range(10), [0] * 10, color=style.PREDICTION)
    axes["bars"].set(xlim=(0, 1), ylim=(9.6, -0.6), yticks=range(10), xticks=[0, 1])
    axes["bars"].set_title("probability")
    figure.live(pad, seen, why, maps, bars)

    def update(net: str, example: str, prepare: bool, explain: str, layer: int) -> str:
        drawn = strokes if example == "your own" else EXAMPLES[example]
        ink = rasterize(drawn, size=280, width=PEN)
        pad.set_data(ink)
        if prepare:
            image = as_mnist(ink)
        else:
            image = nn.functional.avg_pool2d(torch.from_numpy(ink)[None], 10)[0]
        seen.set_data(image.numpy())
        model = nets[net]
        here = next(model.parameters()).device
        model.eval()
        inputs = image[None, None].to(here).requires_grad_()
        with Probe(model) as probe:
            logits = model(inputs)
        if tuple(logits.shape) != (1, 10):
            raise ValueError(f"the net returned shape {tuple(logits.shape)}, expected (1, 10)")
        said = int(logits.argmax())
        (gradient,) = torch.autograd.grad(logits[0, said], inputs)
        probabilities = logits.detach().softmax(dim=1)[0].cpu()
        reason = gradient[0, 0].cpu()
        reason = reason * image if explain == "gradient × input" else reason
        why.set_data((reason * bool(drawn) / reason.abs().max().clamp(min=1e-9)).numpy())
        found = [n for n, m in probe.layers.items() if isinstance(m, nn.Conv2d)]
        planes = _after_relu(probe, found[min(layer, len(found) - 1)])[0].cpu().numpy()
        blank = not drawn
        maps.set_visible(not blank)
        maps.set_data(tiles(planes / max(planes.max(), 1e-9), 16, gap=1))
        for k, bar in enumerate(bars):
            bar.set_width(0.0 if blank else float(probabilities[k]))
            bar.set_color(style.PREDICTION if k == said else style.MUTED)
        if blank:
            return "Draw a digit with the mouse or a finger. Or choose an example."
        second = int(probabilities.argsort(descending=True)[1])
        sign = (
            "Blue ink speaks for it, orange ink against it (gradient × input)."
            if explain == "gradient × input"
            else "More ink on blue would raise its score, on orange lower it (the gradient)."
        )
        return (
            f"It reads a <b>{said}</b> ({float(probabilities[said]):.0%}), then a {second} "
            f"({float(probabilities[second]):.0%}). {sign}"
        )

    def clear() -> None:
        strokes.clear()
        panel.set(example="your own")

    def case(note: str, example: str, prepare: bool = True) -> dict[str, Any]:
        return {"example": example, "prepare": prepare, "note": note}

    panel = Panel(
        update,
        figure,
        title="Draw a digit",
        look="Watch the bars while you draw: when does it make up its mind?",
        actions={"Clear": clear},
        net=choice(list(nets), label="weights"),
        example=choice(list(EXAMPLES)),
        prepare=toggle(True, "centre and scale, as MNIST was"),
        explain=choice(["gradient × input", "gradient"], label="pixels"),
        layer=choice({"first convolution": 0, "second convolution": 1}, label="maps"),
        presets={
            "works": case("Centred and of the usual size: sure, and right.", "a three"),
            "works: moved back": case(
                "Drawn small in a corner, but centred and scaled before the net sees it.",
                "small, in a corner",
            ),
            "fails: as drawn": case(
                "The same three where it was drawn. A CNN is not indifferent to place and size.",
                "small, in a corner",
                prepare=False,
            ),
            "fails: not a digit": case(
                "Softmax has to share 100% among ten digits. “None of them” is no answer it has.",
                "a house",
            ),
        },
    )

    def ink(points: np.ndarray, new: bool) -> None:
        if panel.controls["example"].value != "your own":
            strokes.clear()
            new = True
        if new or not strokes:
            strokes.append(points)
        else:
            strokes[-1] = np.vstack([strokes[-1], points])
        panel.set(example="your own")

    figure.on_ink(axes["pad"], ink, width=PEN * PAD, colour=style.INK)
    return panel
