"""The panels of 02_mlp: drawing a net, stacks that collapse, activations and what they cost.

Those that train are in ``mlp_training``, those that fit a curve in ``mlp_curves``, the bill is in
``mlp_cost``.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.collections import LineCollection
from torch import Tensor, nn

from .. import device, style
from ..draw import Edges, lattice, number, place
from ..live import LiveFigure
from ..models import count_parameters
from ..panel import Panel, choice, slider
from .mlp_cost import compute_cost, energy_table
from .mlp_curves import approximation, descent
from .mlp_training import ball, dying, race

__all__ = [
    "approximation",
    "ball",
    "collapse",
    "compute_cost",
    "costs",
    "descent",
    "dying",
    "energy_table",
    "network",
    "race",
    "zoo",
]

Activation = Callable[[Tensor], Tensor]
Affine = tuple[Tensor, Tensor]
"""Weights (outputs, inputs) and biases (outputs,) of one layer, as ``nn.Linear`` keeps them."""


# ---- the drawing


def _depth(hidden: int) -> str:
    if hidden == 0:
        return "No hidden layer: a linear model, one perceptron for each output."
    if hidden == 1:
        return "One hidden layer: the slides call that deep, many texts call it <b>shallow</b>."
    return f"{hidden} hidden layers: deep, by anybody's count."


def network(mlp: Callable[[Sequence[int]], nn.Module]) -> Panel:
    """The net that ``mlp(sizes)`` builds, with an edge for each weight, and its parameters."""
    fig = LiveFigure(820, 420)
    ax = fig.add_subplot()
    place(fig, {ax: (8, 8, 804, 404)})
    ax.set(xlim=(0, 804), ylim=(0, 404))
    ax.axis("off")
    edges = Edges(fig, ax, [np.zeros((1, 2)), np.ones((1, 2))])
    look = {"mec": style.INK, "mew": 2, "ls": "", "zorder": 3}
    kinds = [
        ax.plot([], [], marker, color=colour, ms=size, label=label, **look)[0]
        for marker, colour, size, label in (
            ("s", style.PAPER, 22, "input"),
            ("o", style.ACTIVATION, 24, "hidden"),
            ("D", style.PREDICTION, 20, "output"),
        )
    ]
    words = [ax.text(0, 14, "", ha="center", size=14, color=style.WEIGHT) for _ in range(7)]
    fig.live(kinds, words)

    def update(inputs: int, layers: int, units: int, outputs: int, seed: int) -> str:
        sizes = [inputs, *[units] * layers, outputs]
        torch.manual_seed(seed)
        net = mlp(sizes)
        linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
        shapes = [tuple(m.weight.shape) for m in linear]
        wanted = [(n, m) for m, n in zip(sizes[:-1], sizes[1:], strict=True)]
        if shapes != wanted:
            raise ValueError(f"mlp({sizes}) has weights of shape {shapes}, expected {wanted}")
        xs = np.linspace(50, 754, len(sizes))
        gap = min(340 / max(sizes), 80.0)
        places = [
            np.column_stack([np.full(n, x), 222 + gap * (np.arange(n) - (n - 1) / 2)[::-1]])
            for x, n in zip(xs, sizes, strict=True)
        ]
        edges.move(places)
        edges.show([m.weight for m in linear])
        for artist, where in zip(
            kinds,
            (places[0], np.concatenate([*places[1:-1], np.empty((0, 2))]), places[-1]),
            strict=True,
        ):
            artist.set_data(*where.T)
        terms = [
            f"{m}·{n} + {n}" if layer.bias is not None else f"{m}·{n}"
            for layer, m, n in zip(linear, sizes[:-1], sizes[1:], strict=True)
        ]
        for k, text in enumerate(words):
            text.set_text(terms[k] if k < len(terms) else "")
            if k < len(terms):
                text.set_x((xs[k] + xs[k + 1]) / 2)
        formula = sum(layer.weight.numel() + (layer.bias is not None) * n
                      for layer, n in zip(linear, sizes[1:], strict=True))  # fmt: skip
        counted = count_parameters(net)
        total = f"Weights and biases add up to {formula:,}; "
        same = "PyTorch counts the same" if counted == formula else "but PyTorch counts"
        return f"{total}{same}: <b>{counted:,} parameters</b>. {_depth(layers)}"

    return Panel(
        update,
        fig,
        title="What a multilayer perceptron is made of",
        look="Every line is one weight: blue above 0, orange below, wide when large. "
        "Which grows the count faster, more layers or more units?",
        presets={
            "Perceptrons": {"layers": 0, "note": "No hidden layer: back in section 1."},
            "Shallow": {"layers": 1, "units": 8, "note": "One hidden layer, wide."},
            "Deep": {"layers": 6, "units": 3, "note": "Six hidden layers, narrow."},
            "Largest": {"inputs": 8, "layers": 6, "units": 8, "outputs": 4}
            | {"note": "And still a thousand times smaller than the net for the ball below."},
        },
        inputs=slider(1, 8, 1, 2),
        layers=slider(0, 6, 1, 2, "hidden"),
        units=slider(1, 8, 1, 4),
        outputs=slider(1, 4, 1, 1),
        seed=slider(0, 9, 1, 0),
    )


# ---- the collapse


def _random_stack(depth: int, width: int, seed: int) -> list[Affine]:
    generator = torch.Generator().manual_seed(seed)
    sizes = [2, *[width] * (depth - 1), 2]
    return [
        (
            1.4 * torch.randn(n, m, generator=generator) / m**0.5,
            0.4 * torch.randn(n, generator=generator),
        )
        for m, n in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def collapse(
    stack: Callable[[Tensor, Sequence[Affine], Activation | None], Tensor],
    compose: Callable[[Affine, Affine], Affine],
    activations: Mapping[str, Activation],
) -> Panel:
    """What ``stack(x, layers, activation)`` does to the plane, beside the one layer left of it.

    ``compose(first, second)`` joins two layers without an activation between them into one.
    """
    fig = LiveFigure(820, 420)
    before, after = fig.subplots(1, 2)
    place(fig, {before: (12, 12, 350, 350), after: (440, 12, 350, 350)})
    for ax, title in ((before, "the plane"), (after, "the stack;  ●  one affine layer")):
        style.picture(ax, title)
        ax.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12))
    fig.figure.text(0.49, 0.46, "→", size=34, ha="center", va="center")
    ticks, fine = torch.linspace(-1, 1, 11), torch.linspace(-1, 1, 61)
    upright = torch.stack(torch.meshgrid(ticks, fine, indexing="ij"), dim=-1)  # (11, 61, 2)
    lines = torch.cat([upright, upright.flip(-1)])
    colours = [style.BLUE] * 11 + [style.ORANGE] * 11
    before.add_collection(LineCollection(list(lines.numpy()), colors=colours, lw=2.5))
    grid = after.add_collection(LineCollection([], colors=colours, lw=2.5))
    crossings = lattice(-1, 1, 11)
    (dots,) = after.plot([], [], "o", color=style.INK, ms=6, ls="")
    fig.live(grid, dots)

    def update(layers: int, width: int, activation: str, seed: int) -> str:
        weights = _random_stack(layers, width, seed)
        out = stack(lines.reshape(-1, 2), weights, activations.get(activation))
        if out is None or tuple(out.shape) != (lines.numel() // 2, 2):
            got = "nothing" if out is None else f"shape {tuple(out.shape)}"
            raise ValueError(f"stack returned {got}, expected shape {(lines.numel() // 2, 2)}")
        W, b = weights[0]
        for layer in weights[1:]:
            W, b = compose((W, b), layer)
        affine = crossings @ W.T + b
        # The picture is scaled: how far a random stack stretches the plane says nothing.
        middle, reach = out.mean(0), (out - out.mean(0)).abs().max().clamp(min=1e-9)
        grid.set_segments(((out - middle) / reach).reshape(lines.shape).numpy())
        dots.set_data(*((affine - middle) / reach).T.numpy())
        gap = (stack(crossings, weights, activations.get(activation)) - affine).abs().max().item()
        rank = int(torch.linalg.matrix_rank(W.double(), atol=1e-6))
        stacked = f"{layers} layers" if layers > 1 else "1 layer"
        if activation != "none" and layers > 1:
            return (
                f"{stacked} with {activation} between them bend the grid: the one affine layer of "
                f"the same weights is off by up to <b>{gap:.2f}</b>."
            )
        squeezed = " Its rank is 1: one unit in the middle left only a <b>line</b>."
        flat = "" if rank == 2 else squeezed
        return (
            f"{stacked} without an activation = <b>one</b> affine layer, W = [{_row(W[0])}; "
            f"{_row(W[1])}], b = [{_row(b)}]. Largest difference {gap:.0e}.{flat}"
        )

    return Panel(
        update,
        fig,
        title="A stack without activations",
        look="The net moves every point of the plane. Black dots: where W x + b puts the "
        "crossings, with the single W and b of all layers joined. Add layers. "
        "Then choose an activation.",
        presets={
            "Collapses": {"layers": 8, "width": 6, "activation": "none"}
            | {"note": "Eight layers, and the lines stay straight, parallel and evenly spaced."},
            "A narrow middle": {"layers": 3, "width": 1, "activation": "none"}
            | {"note": "One unit in the middle: the plane is squeezed onto a line for good."},
            "Bends": {"layers": 3, "width": 6, "activation": "ReLU"}
            | {"note": "Works: ReLU between the layers folds the plane."},
        },
        layers=slider(1, 8, 1, 3),
        width=slider(1, 6, 1, 4, "units"),
        activation=choice(["none", *activations]),
        seed=slider(0, 9, 1, 0),
    )


def _row(values: Tensor) -> str:
    return " ".join(f"{round(v, 2) + 0:.2f}".replace("-", "−") for v in values.tolist())


# ---- the zoo

SATURATED = 0.05
"""A slope of less counts as saturated: the gradient shrinks twentyfold or more on the way."""


def zoo(
    activations: Mapping[str, Activation], slope: Callable[[Activation, Tensor], Tensor]
) -> Panel:
    """f with its tangent at z, and its derivative as ``slope(f, z)`` finds it."""
    fig = LiveFigure(820, 400)
    left, right = fig.subplots(1, 2)
    place(fig, {left: (60, 56, 330, 300), right: (474, 56, 330, 300)})
    z_all = torch.linspace(-5, 5, 501)
    left.set(xlim=(-5, 5), ylim=(-2, 5), xlabel="z")
    right.set(xlim=(-5, 5), ylim=(-0.25, 1.25), xlabel="z")
    left.set_title("f(z) and its tangent", pad=12)
    right.set_title("f ′(z)", pad=12)
    for ax in (left, right):
        ax.axhline(0, color=style.FAINT, lw=1.5, zorder=0)
        ax.axvline(0, color=style.FAINT, lw=1.5, zorder=0)
    (curve,) = left.plot([], [], color=style.ACTIVATION, lw=4)
    (tangent,) = left.plot([], [], "--", color=style.GRADIENT)
    (point,) = left.plot([], [], "o", color=style.INK, ms=13, zorder=4)
    (derivative,) = right.plot([], [], color=style.GRADIENT, lw=4)
    (height,) = right.plot([], [], "o", color=style.INK, ms=13, zorder=4)
    (asleep,) = right.plot([], [], color=style.MUTED, lw=9, solid_capstyle="butt")
    right.text(-4.9, -0.2, f"grey: |f ′| < {SATURATED}", color="#57606a", va="bottom", size=14)
    fig.live(curve, tangent, point, derivative, height, asleep)

    def update(activation: str, z: float) -> str:
        f = activations[activation]
        here = torch.tensor([round(z, 6)])
        value, steep = float(f(here)), float(slope(f, here))
        ys, slopes = f(z_all), slope(f, z_all)
        if ys.shape != z_all.shape:
            raise ValueError(f"{activation} returned shape {tuple(ys.shape)}, expected (501,)")
        limits = (-1.4, 1.4) if float(ys.abs().max()) < 1.5 else (-2.0, 5.0)
        if left.get_ylim() != limits:
            left.set_ylim(*limits)
        x = float(here)
        curve.set_data(z_all, ys)
        tangent.set_data([x - 1.6, x + 1.6], [value - 1.6 * steep, value + 1.6 * steep])
        point.set_data([x], [value])
        derivative.set_data(z_all, slopes)
        height.set_data([x], [steep])
        low = slopes.abs() < SATURATED
        asleep.set_data(z_all, torch.where(low, 0.0, torch.nan))
        # One-sided difference quotients: where they disagree there is no derivative.
        h = 1e-3
        sides = [float((f(here + s * h) - f(here)) / (s * h)) for s in (-1, 1)]
        text = f"{activation}: f({number(x)}) = {number(value)}, f ′ = <b>{number(steep)}</b>."
        if abs(sides[0] - sides[1]) > 0.05:
            return (
                f"{text} A kink: the slope is {number(round(sides[0], 2))} from the left, "
                f"{number(round(sides[1], 2))} from the right. There is <b>no derivative</b> "
                "here; PyTorch has to say something, and this is what it says."
            )
        if steep == 0:
            return f"{text} Flat: the unit is off, and <b>no gradient</b> comes through."
        if abs(steep) < SATURATED:
            return (
                f"{text} <b>Saturated</b>: of the gradient that arrives, "
                f"1/{round(1 / abs(steep)):,} goes on."
            )
        share = float(low.float().mean())
        rest = f" It is saturated or off on {share:.0%} of this axis." if share else ""
        return f"{text} The steepest slope on this axis is {number(float(slopes.max()))}.{rest}"

    names = list(activations)
    panel = Panel(
        update,
        fig,
        title="The activation zoo",
        look="Move z with the slider or with the mouse. Where is the slope near 0? "
        "There a unit hardly learns.",
        presets={
            "Works: ReLU, on": {"activation": "ReLU", "z": 2.0}
            | {"note": "Slope exactly 1: the gradient passes unchanged, however large z is."},
            "Fails: saturated": {"activation": "sigmoid", "z": 4.5}
            | {"note": "Large z: the sigmoid is flat, and next to nothing comes back."},
            "Sigmoid at its best": {"activation": "sigmoid", "z": 0.0}
            | {"note": "Even there only a quarter passes: after ten layers, a millionth."},
            "ReLU at 0": {"activation": "ReLU", "z": 0.0}
            | {"note": "Two slopes meet. Any number from 0 to 1 would do; PyTorch takes 0."},
        },
        activation=choice(names, value=names[1] if len(names) > 1 else names[0]),
        z=slider(-5.0, 5.0, 0.1, 1.0),
    )

    def drag(x: float, y: float, phase: str) -> None:
        panel.set(z=round(float(np.clip(x, -5, 5)), 1))

    fig.on_drag(left, drag)
    fig.on_drag(right, drag)
    return panel


def costs(
    activations: Mapping[str, Activation],
    milliseconds: Callable[[Callable[[], object]], float],
) -> Panel:
    """Time of each f and of its backward pass, measured here, beside the layer in front of it."""
    fig = LiveFigure(820, 400)
    ax = fig.add_subplot()
    place(fig, {ax: (150, 62, 650, 290)})
    names = [*activations, "the layer itself"]
    rows = np.arange(len(names))
    forward = ax.barh(rows - 0.19, np.ones(len(names)), 0.36, color=style.ACTIVATION)
    backward = ax.barh(rows + 0.19, np.ones(len(names)), 0.36, color=style.GRADIENT, hatch="//",
                       edgecolor=style.PAPER)  # fmt: skip
    ax.set_yticks(rows, names)
    ax.set(xscale="log", xlim=(3e-3, 300), ylim=(len(names) - 0.5, -0.5), xlabel="milliseconds")
    ax.legend([forward, backward], ["f", "f ′ (backward pass)"], ncols=2, loc="lower right",
              bbox_to_anchor=(1, 1))  # fmt: skip
    fig.live(forward, backward)
    measured: dict[tuple[int, str], list[tuple[float, float]]] = {}

    def measure(rows: int, units: int = 1000) -> list[tuple[float, float]]:
        here = device.current()
        generator = torch.Generator().manual_seed(0)
        z = torch.randn(rows, units, generator=generator).to(here).requires_grad_()
        weight = torch.randn(units, units, generator=generator).to(here).requires_grad_()
        ones = torch.ones(rows, units, device=here)

        def pair(f: Activation) -> tuple[float, float]:
            y = f(z)
            wanted = (z, weight) if f is layer else (z,)

            def back() -> object:
                return torch.autograd.grad(y, wanted, ones, retain_graph=True)[0]

            return milliseconds(lambda: f(z)), milliseconds(back)

        def layer(x: Tensor) -> Tensor:
            return x @ weight.T

        return [pair(f) for f in (*activations.values(), layer)]

    def update(batch: int) -> str:
        key = (batch, str(device.current()))
        if key not in measured:
            measured[key] = measure(batch)
        times = measured[key]
        for bars, values in zip((forward, backward), zip(*times, strict=True), strict=True):
            for bar, value in zip(bars, values, strict=True):
                bar.set_width(value)
        by_name = dict(zip(names, times, strict=True))
        cheapest = min(activations, key=lambda name: by_name[name][1])
        dearest = max(activations, key=lambda name: by_name[name][1])
        ratio = by_name[dearest][1] / by_name[cheapest][1]
        both = sum(by_name["the layer itself"]) / max(sum(by_name[dearest]), 1e-9)
        return (
            f"1000 units, batch of {batch}, {key[1].upper()}. Cheapest derivative: {cheapest}; "
            f"dearest: {dearest}, {ratio:.1f} times as long. The layer itself takes "
            f"<b>{both:.0f} times</b> as long as {dearest}."
        )

    def again() -> None:
        measured.clear()

    return Panel(
        update,
        fig,
        title="What f and f ′ cost on this machine",
        look="Every bar is measured here, now. Compare the activations with each other, "
        "then with the matrix product in front of them. The axis is logarithmic.",
        actions={"Measure again": again},
        batch=choice([16, 64, 256], value=64, label="batch"),
    )
