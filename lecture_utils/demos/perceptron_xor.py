"""Panels of 01_perceptron: XOR from two layers, built and trained."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from .. import style
from ..draw import lattice, number, vector
from ..live import LiveFigure
from ..panel import Panel, choice, slider
from ..training import Run
from .perceptron_learning import widest_margin
from .perceptron_parts import Predict, answers, ends


def morph(
    maps: Mapping[str, tuple[Callable[[Tensor], Tensor], Tensor, float]], predict: Predict
) -> Panel:
    """The four points and the plane's grid on their way from inputs to hidden values.

    ``maps`` names (hidden, w, b): ``hidden`` takes rows (N, 2) to rows (N, 2), on which the
    perceptron w, b answers.
    """
    fig = LiveFigure(820, 420)
    ax, table = fig.subplots(1, 2, width_ratios=[1.25, 1])
    low, high = -0.6, 2.2
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", xticks=[0, 1, 2], yticks=[0, 1, 2])
    ax.set(xlabel="$x_1 \\to h_1$", ylabel="$x_2 \\to h_2$")
    wires = [ax.plot([], [], color=c, lw=1.5, zorder=1)[0] for c in ("#f5c98a", "#9dbdf8")]
    (border,) = ax.plot([], [], color=style.WEIGHT, lw=4, zorder=2)
    view_points = [
        ax.plot([], [], m, color=c, ms=17, mec=style.INK, mew=1.5, zorder=5)[0]
        for c, m in zip(style.CLASSES[:2], style.MARKERS[:2], strict=True)
    ]
    table.set(xlim=(0, 1), ylim=(0, 1))
    table.axis("off")
    mono = {"family": "DejaVu Sans Mono", "va": "center"}
    table.text(0, 0.9, "x₁ x₂    h₁ h₂   out", weight="bold", **mono)
    rows = [table.text(0, 0.76 - 0.12 * k, "", **mono) for k in range(4)]
    status = table.text(0, 0.17, "", va="center", weight="bold")
    fig.live(wires, border, view_points)
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = np.array([0, 1, 1, 0])
    line = torch.linspace(-0.4975, 1.5025, 25)  # beside the decision lines, never on one
    fine = torch.linspace(-0.4975, 1.5025, 49)
    first, second = torch.meshgrid(line, fine, indexing="ij")
    lines = torch.cat([torch.stack([first, second], -1), torch.stack([second, first], -1)])

    def update(t: float, features: str) -> str:
        hidden, w, b = maps[features]

        def lift(x: Tensor) -> Tensor:
            h = torch.as_tensor(hidden(x)).float()
            if h.shape != x.shape:
                raise ValueError(f"hidden returned {tuple(h.shape)}, expected {tuple(x.shape)}")
            return h

        goal = lift(corners)
        points = ((1 - t) * corners + t * goal).numpy()
        flat = lines.reshape(-1, 2)
        away = lift(flat)
        out = answers(predict, away, w, b).reshape(lines.shape[:2])
        grid = ((1 - t) * flat + t * away).reshape(lines.shape).numpy()
        jump = (away.reshape(lines.shape)[:, 1:] - away.reshape(lines.shape)[:, :-1]).abs()
        whole = (jump.amax(-1) < 0.5).numpy()  # a step unit tears the grid: leave the tear open
        pieces = np.stack([grid[:, :-1], grid[:, 1:]], axis=2)[whole]
        broken = np.insert(pieces, 2, np.nan, axis=1)  # the pen is lifted after each piece
        for value, wire in enumerate(wires):
            wire.set_data(*broken[out[:, 1:][whole] == value].reshape(-1, 2).T)
        for value, artist in enumerate(view_points):
            artist.set_data(*points[labels == value].T)
        edge = ends(w, b, low, high)
        border.set_data(*(np.empty((0, 2)) if edge is None else edge).T)
        border.set_alpha(t**2)
        final = answers(predict, goal, w, b)
        for row, (x1, x2), (h1, h2), o in zip(
            rows, corners.int().tolist(), goal.tolist(), final, strict=True
        ):
            row.set_text(f"{x1:2} {x2:2}    {h1:2g} {h2:2g}   {o:2}")
        separable = widest_margin(torch.tensor(points), torch.tensor(labels))[1] > 1e-3
        verdict = "one line is enough" if separable else "no line separates them"
        if status.get_text() != verdict:  # a still text: to set it is to draw all anew
            status.set(text=verdict, color=style.WEIGHT if separable else style.WRONG)
        where = "Inputs" if t == 0 else "Hidden values" if t == 1 else f"{t:.0%} of the way"
        said = f"{where}: {'one line separates' if separable else 'no line separates'} the classes."
        if t == 1:
            right = int((final == labels).sum())
            said += (
                f" The perceptron w = {vector(w)}, b = {number(float(b))} on them gets "
                f"<b>{right} of 4</b> rows of XOR."
            )
        return said

    return Panel(
        update,
        fig,
        title="What the hidden layer does",
        look="Move t from 0 (the inputs) to 1 (the hidden values). "
        "Watch when one straight line becomes enough.",
        presets={
            "Inputs": {"t": 0.0, "note": "Fails here: no line separates the classes."},
            "Hidden values": {"t": 1.0, "note": "Works here: the two blue points are one now."},
        },
        t=slider(0.0, 1.0, 0.01, 0.0),
        features=choice(list(maps)),
    )


def final_losses(
    make_net: Callable[[int], nn.Module],
    loss_of: Callable[..., Tensor],
    x: Tensor,
    y: Tensor,
    *,
    seeds: int,
    steps: int,
    learning_rate: float,
) -> list[float]:
    """Loss of the nets of seeds 0, 1, ... after gradient descent; all are trained at once.

    ``loss_of(net, x, y)`` is the loss of one net, called with any function in the net's place.
    """
    nets = [make_net(seed) for seed in range(seeds)]
    weights, _ = torch.func.stack_module_state(nets)
    weights = {name: value.detach() for name, value in weights.items()}

    def loss(own: dict[str, Tensor]) -> Tensor:
        return loss_of(lambda rows: torch.func.functional_call(nets[0], own, (rows,)), x, y)

    slopes = torch.func.vmap(torch.func.grad(loss))
    for _ in range(steps):
        slope = slopes(weights)
        weights = {name: w - learning_rate * slope[name] for name, w in weights.items()}
    return torch.func.vmap(loss)(weights).tolist()


def xor_training(
    run: Run, make_net: Callable[[int], nn.Module], learning_rate: float, stuck: int, works: int
) -> Panel:
    """The run of a 2-2-1 net on the four rows: its map, its hidden units' lines, its loss.

    ``works`` and ``stuck`` are the seeds of the two presets.
    """
    fig = LiveFigure(820, 410)
    ax, curve_ax = fig.subplots(1, 2, width_ratios=[1, 1.1])
    low, high, count = -0.5, 1.5, 81
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    ax.set(xticks=[0, 1], yticks=[0, 1])
    image = ax.imshow(
        np.zeros((count, count)),
        extent=(low, high, low, high),
        origin="lower",
        cmap=style.REGIONS,
        vmin=0,
        vmax=1,
        interpolation="bilinear",
    )
    units = [ax.plot([], [], d, color=style.WEIGHT, lw=3.5)[0] for d in ("--", "-.")]
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = np.array([0, 1, 1, 0])
    points = [
        ax.plot(
            *inputs.numpy()[labels == k].T, m, color=c, ms=16, mec=style.INK, mew=1.5, zorder=5
        )[0]
        for k, (c, m) in enumerate(zip(style.CLASSES[:2], style.MARKERS[:2], strict=True))
    ]
    curve_ax.set(xlim=(0, run.steps), ylim=(0, 1), xlabel="step", ylabel="loss")
    curve_ax.axhline(np.log(2), color=style.MUTED, lw=2, ls=":")
    curve_ax.text(run.steps, np.log(2) + 0.015, "guessing: ln 2", ha="right", va="bottom")
    (curve,) = curve_ax.plot([], [], color=style.LOSS, lw=3)
    (here,) = curve_ax.plot([], [], "o", color=style.INK, ms=11)
    fig.live(image, units, points, curve, here)
    grid = lattice(low, high, count)
    state = {"seed": None}

    def update(rate: float, seed: int) -> str:
        net = run.models[0]
        run.optimizers[0].param_groups[0]["lr"] = rate
        if state["seed"] != seed:
            state["seed"] = seed
            run.pause()
            with run.paused():
                net.load_state_dict(make_net(seed).state_dict())
            run.restart()
        with run.paused(), torch.no_grad():
            where = next(net.parameters()).device
            chance = torch.sigmoid(net(grid.to(where))).cpu().reshape(count, count)
            rows = torch.sigmoid(net(inputs.to(where))).cpu().ravel().numpy()
            weight, bias = (p.detach().cpu().numpy() for p in (net[0].weight, net[0].bias))
            position = run.position
        image.set_data(chance.numpy())
        for unit, w, b in zip(units, weight, bias, strict=True):
            edge = ends(w, float(b), low, high)
            unit.set_data(*(np.empty((0, 2)) if edge is None else edge).T)
        steps, losses = run.curve("loss")
        curve.set_data(steps, losses)
        now = [value for step, value in zip(steps, losses, strict=True) if step < position]
        here.set_data([position] if now else [], now[-1:])
        right = int(((rows > 0.5) == labels).sum())
        loss = f"loss {now[-1]:.3f}, " if now else ""
        shown = ", ".join(f"{p:.2f}" for p in rows)
        return (
            f"Step {position}: {loss}probabilities {shown} for rows 00, 01, 10, 11; "
            f"<b>{right} of 4</b> right."
        )

    return Panel(
        update,
        fig,
        title="Two hidden units learn XOR",
        look="Press Play. The violet lines are where each hidden unit is at ½; "
        "watch them find their places, "
        "and scrub back to see it again. The learning rate may change while it trains.",
        presets={
            "Works": {"rate": learning_rate, "seed": works}
            | {"note": "Works: the two lines close a band around the blue points. Press Play."},
            "Stuck": {"rate": learning_rate, "seed": stuck}
            | {"note": "Fails: same net, another random start, and it stays on a plateau."},
            "Too slow": {"rate": 0.1, "seed": works}
            | {"note": "Fails: the steps are too small to get anywhere in this run."},
            "Too fast": {"rate": 20.0, "seed": works}
            | {"note": "Fails: each step is so long that it jumps over what it looks for."},
        },
        run=run,
        still=1000,
        anew=lambda: state.update(seed=None),
        rate=slider(0.1, 20.0, 0.1, learning_rate, "learn rate"),
        seed=slider(0, 9, 1, works),
    )
