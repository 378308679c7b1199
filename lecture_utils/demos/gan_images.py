"""Panels of 07_gan that show generated pictures: digits, heads, and how a generator gets there."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import device, style
from ..data import load_weights
from ..draw import Pixels, place, tiles
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider
from ..training import Run

SHEET = 64
"""Fakes on the sheet of digits, 8 x 8."""
JUDGED = 128
"""Fakes that the classifier looks at."""
SURE = 0.9
"""The chance from which on the classifier counts as sure."""


class Reading(NamedTuple):
    """What the classifier sees: share of each digit (10,), share it is sure of, at which step."""

    share: Tensor
    sure: float
    step: int


def noise(count: int, size: int, seed: int) -> Tensor:
    """The same normal noise (count, size, 1, 1) for the same seed."""
    return torch.randn(count, size, 1, 1, generator=torch.Generator().manual_seed(seed))


def colours(images: Tensor) -> np.ndarray:
    """Pictures (N, 3, H, W) in -1..1 as (N, H, W, 3) in 0..1."""
    return ((images.detach().float().cpu() + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def mosaic(images: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Pictures (N, H, W, 3) side by side on white, ``columns`` a row."""
    channels = [tiles(images[..., c], columns, gap).filled(1.0) for c in range(3)]
    return np.stack(channels, axis=-1)


# ---- digits


def digits_game(
    run: Run, G: nn.Module, judge: nn.Module, real: Tensor, shipped: str = "digits_gan"
) -> Panel:
    """A GAN on digits while it trains: a sheet of fakes, and how often each digit is among them.

    ``G`` maps noise (N, size, 1, 1) to (N, 1, 28, 28) in -1..1; ``judge`` maps images in 0..1 to
    logits (N, 10). ``real`` (M, 1, 28, 28) in 0..1 are digits that neither has seen, to compare
    with. ``shipped`` names the weights of a longer training of the same G.
    """
    size = next(G.parameters()).shape[0]
    trained = load_weights(copy.deepcopy(G).cpu(), shipped)
    device.follow(trained, judge)
    figure = LiveFigure(820, 430)
    left, right, below = (figure.figure.add_subplot() for _ in range(3))
    place(
        figure,
        {left: (12, 12, 390, 390), right: (470, 218, 320, 180), below: (470, 58, 320, 80)},
    )
    style.picture(left, "fakes")
    sheet = left.imshow(np.zeros((8, 8)), cmap=style.IMAGE, vmin=0, vmax=1, extent=(0, 1, 0, 1))
    right.set(
        xlim=(-0.6, 9.6), ylim=(0, 0.4), xticks=range(10), yticks=[0, 0.1, 0.2, 0.3, 0.4],
        title="what our CNN reads",
    )  # fmt: skip
    right.axhline(0.1, color=style.MUTED, lw=2, ls=":")
    bars = right.bar(range(10), np.zeros(10), color=style.PREDICTION)
    ends = [0, run.steps or 1]
    below.set(xlim=ends, ylim=(0, 1), xticks=ends, yticks=[0, 1], xlabel="step")
    below.set_title("share it is sure of")
    (done,) = below.fill([0, 0, 0, 0], [0, 1, 1, 0], color=style.MUTED, alpha=0.2)
    (sure_line,) = below.plot([], [], color=style.PREDICTION, lw=2.5)
    (here,) = below.plot([], [], color=style.INK, lw=1.5)
    figure.live(sheet, list(bars), done, sure_line, here)
    newest = Reading(torch.zeros(10), 0.0, -1)

    def make(model: nn.Module, count: int) -> Tensor:
        """The first ``count`` fakes in 0..1, with the running statistics of the batches."""
        was, where = model.training, next(model.parameters()).device
        with torch.no_grad():
            model.eval()
            fakes = (model(noise(count, size, 1).to(where)) + 1) / 2
        model.train(was)
        return fakes

    def reading(images: Tensor) -> Reading:
        with torch.no_grad():
            chance = judge(images).softmax(dim=1).cpu()
        sure, found = chance.max(dim=1)
        share = torch.bincount(found, minlength=10) / len(found)
        return Reading(share, float((sure > SURE).float().mean()), run.position)

    def read(model: nn.Module) -> Reading:
        return reading(make(model, JUDGED))

    of_real = reading(real.to(next(judge.parameters()).device)).sure
    below.axhline(of_real, color=style.MUTED, lw=2, ls=":")

    @device.one_thread()
    def evaluate(*_: Tensor) -> dict[str, float]:
        """For the record of the run, with each snapshot."""
        nonlocal newest
        newest = read(G)
        return {"sure": newest.sure}

    run.evaluate = evaluate

    @device.one_thread()
    def update(shown: str) -> str:
        nonlocal newest
        with run.paused():
            fakes = make(trained if shown == "shipped" else G, SHEET)[:, 0].float().cpu()
            if shown == "shipped":
                now = read(trained)
            else:
                if not run.playing:  # else that of the last snapshot: no picture waits for the CNN
                    newest = read(G)
                now = newest
            steps, values = run.curve("sure")
            position = run.position
        sheet.set_data(tiles(fakes.numpy(), 8, 1).filled(0.0))
        for bar, value in zip(bars, now.share.tolist(), strict=True):
            bar.set_height(min(value, 0.4))
        done.set_xy([[0, 0], [0, 1], [run.reached, 1], [run.reached, 0]])
        sure_line.set_data(steps, values)
        here.set_data([position, position], [0, 1])
        covered = int((now.share >= 0.01).sum())
        where_from = f"Step {now.step}" if shown == "here" else "The shipped one"
        return (
            f"{where_from}: <b>{covered} of 10</b> digits among {JUDGED} fakes, the most frequent "
            f"{float(now.share.max()):.0%} of the time. The CNN of section 4 is more than "
            f"{SURE:.0%} sure of <b>{now.sure:.0%}</b>; of real ones, {of_real:.0%}."
        )

    return Panel(
        update,
        figure,
        title="Digits nobody wrote",
        look="Press Play, then scrub back. Dotted: an equal share above, real digits below. Grey: "
        "how far the training is.",
        run=run,
        shown=choice({"trained here": "here", "shipped, trained longer": "shipped"}, label="show"),
    )


# ---- heads


def layers(G: nn.Module, nz: int) -> Panel:
    """What each layer of a generator holds for one noise, from 1 x 1 to the picture."""
    blocks = [m for m in G.main if isinstance(m, nn.ReLU | nn.Tanh)]
    device.follow(G)
    figure = LiveFigure(820, 420)
    left, right = (figure.figure.add_subplot() for _ in range(2))
    place(figure, {left: (16, 12, 380, 380), right: (424, 12, 380, 380)})
    style.picture(left, "the first 16 maps here")
    style.picture(right, "what comes out at the end")
    maps = left.imshow(np.zeros((4, 4)), cmap=style.SEQUENTIAL, vmin=0, vmax=1, extent=(0, 1, 0, 1))
    out = right.imshow(np.zeros((4, 4, 3)), extent=(0, 1, 0, 1))
    figure.live(maps, out)

    def update(layer: int, seed: int) -> str:
        found: list[Tensor] = []
        z = noise(1, nz, seed)
        hooks = [
            m.register_forward_hook(lambda _, __, y: found.append(y[0].clone())) for m in blocks
        ]
        try:
            with torch.no_grad():
                picture = G(z.to(next(G.parameters()).device))
        finally:
            for hook in hooks:
                hook.remove()
        at = [z[0], *found][layer]
        shape = tuple(at.shape)
        shown = at[:16].float().cpu()
        low, high = shown.amin(), shown.amax()
        shown = (shown - low) / (high - low).clamp(min=1e-9)
        columns = 4 if len(shown) > 3 else 2
        maps.set_data(tiles(shown.numpy(), columns, max(1, shape[1] // 8)))
        out.set_data(colours(picture)[0])
        numbers = shape[0] * shape[1] * shape[2]
        maps_of = f"<b>{shape[0]} maps of {shape[1]} × {shape[2]}</b>"
        if layer == 0:
            return f"The noise: {maps_of}, the only thing that differs from picture to picture."
        last = " These are red, green and blue." if layer == len(blocks) else ""
        return (
            f"Layer {layer} of {len(blocks)}: {maps_of}, {numbers:,} numbers, from {nz} numbers "
            f"of noise.{last}"
        )

    return Panel(
        update,
        figure,
        title="From noise to a picture",
        look="Step through the layers: the maps grow, and become fewer.",
        layer=Player(len(blocks), label="layer", rate=1),
        seed=slider(0, 99, 1, 9),
    )


def person(
    G: nn.Module, nz: int, directions: Tensor, names: Sequence[str], real: np.ndarray
) -> Panel:
    """A head that nobody drew, moved along ``directions`` (K, nz), beside the nearest real one.

    ``real`` (N, 64, 64, 3) uint8 are the drawings the generator was trained on.
    """
    device.follow(G)
    flat = torch.from_numpy(real).float().flatten(1) / 255
    figure = LiveFigure(620, 430)
    face, near, strip = (figure.figure.add_subplot() for _ in range(3))
    place(
        figure,
        {face: (12, 96, 304, 304), near: (340, 132, 268, 268), strip: (12, 8, 596, 74.5)},
    )
    style.picture(face, "made by G")
    style.picture(near, "nearest real drawing")
    strip.set_axis_off()
    shown, nearest = Pixels(figure, face), Pixels(figure, near)
    between = strip.imshow(
        np.zeros((64, 8 * 64, 3)), extent=(0, 8, 0, 1), aspect="auto", interpolation="bilinear"
    )
    (frame,) = strip.plot([], [], color=style.PREDICTION, lw=4, clip_on=False)
    figure.live(between, frame)
    steps = torch.linspace(0, 1, 8)
    squares = flat.square().sum(dim=1)
    drawn: dict[str, Any] = {}  # the row below that stands there

    def update(seed: int, other: int, towards: float, **moves: float) -> str:
        offset = sum(
            (m * d for m, d in zip(moves.values(), directions.cpu(), strict=True)),
            torch.zeros(nz),
        )[None, :, None, None]
        a, b = noise(1, nz, seed), noise(1, nz, other)

        def mix(t: Any) -> Tensor:
            """On the sphere: noise in the middle is as long as at the ends."""
            z = (1 - t) * a + t * b
            length = (1 - t) * a.norm() + t * b.norm()
            return z * (length / z.flatten(1).norm(dim=1)[:, None, None, None].clamp(min=1e-6))

        def make(t: Tensor) -> Tensor:
            with torch.no_grad():
                z = mix(t.view(-1, 1, 1, 1)) + offset
                return G(z.to(next(G.parameters()).device))

        head = torch.from_numpy(colours(make(torch.tensor([towards])))[0])
        shown.picture = (255 * head).round().byte().numpy()
        x = towards * 7
        frame.set_data([x, x + 1, x + 1, x, x], [0, 0, 1, 1, 0])
        figure.refresh(droppable=True)  # the head at once; what takes longer comes with the words
        # |a - b|² = |a|² - 2 ab + |b|²: one pass over the drawings finds the nearest.
        k = int((squares - 2 * (flat @ head.flatten())).argmin())
        distance = float((flat[k] - head.flatten()).square().mean().sqrt())
        nearest.picture = real[k]
        row = (seed, other, *moves.values())
        if row != drawn.get("row"):
            drawn["row"] = row
            between.set_data(mosaic(colours(make(steps)), 8, 0))
        who = f"Head {seed}"
        if towards > 0:
            who = f"{towards:.0%} of the way from head {seed} to head {other}"
        return (
            f"{who}: this person does not exist. The nearest of {len(real)} drawings is "
            f"<b>{distance:.2f}</b> away (root mean square over the pixels, 0 to 1)."
        )

    def another() -> None:
        panel.set(seed=(panel.controls["seed"].value * 7 + 13) % 1000, towards=0.0)

    controls: dict[str, Any] = {
        f"move{k}": slider(-4.0, 4.0, 0.5, 0.0, name) for k, name in enumerate(names)
    }
    panel = Panel(
        update,
        figure,
        title="This person does not exist",
        look="Press the button for another head. Move a direction and watch what changes; the row "
        "below leads to a second head.",
        actions={"Another person": another},
        seed=slider(0, 999, 1, 9),
        other=slider(0, 999, 1, 1, "second seed"),
        towards=slider(0.0, 1.0, 0.01, 0.0, "on the way"),
        **controls,
    )
    panel.add_class("lecture-long-labels")
    return panel


def growth(frames: np.ndarray, epochs: Sequence[int]) -> Panel:
    """The same 32 noises through the generator as it trained: ``frames`` (E, 256, 512, 3) uint8."""
    figure = LiveFigure(820, 430)
    ax = figure.figure.add_subplot()
    place(figure, {ax: (10, 15, 800, 400)})
    ax.set_axis_off()
    image = ax.imshow(frames[0], extent=(0, 2, 0, 1), interpolation="bilinear")
    figure.live(image)

    def update(moment: int) -> str:
        image.set_data(frames[moment])
        count = epochs[moment]
        after = f"{count} epoch{'s' if count > 1 else ''}"
        return f"After <b>{after}</b>: 32 noises, always the same."

    return Panel(
        update,
        figure,
        title="How a generator learns to draw",
        look="Press Play. What comes first: colour, outline, or eyes?",
        moment=Player(len(frames) - 1, label="moment", rate=2),
    )
