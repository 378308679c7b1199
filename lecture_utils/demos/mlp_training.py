"""The panels of 02_mlp that train: dying units, ReLU against sigmoid, the net for the ball."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import device, style
from ..data import Digits, draw_balls, moving_ball
from ..draw import number, place
from ..live import LiveFigure
from ..panel import Panel, choice, log_slider, slider
from ..probe import Probe
from ..training import Run, accuracy, batch

TrainStep = Callable[[nn.Module, torch.optim.Optimizer, Any, Tensor, Tensor], Tensor]
"""``train_step(net, optimizer, loss, inputs, targets)``: one step, returns its loss."""
BATCH = 32
LOOKS = ((style.BLUE, "o", "-"), (style.ORANGE, "s", "--"))


def _optimizers(
    nets: Sequence[nn.Module], make: Callable[..., torch.optim.Optimizer]
) -> list[torch.optim.Optimizer]:
    return [make(net.parameters(), lr=1e-3) for net in nets]  # the panel sets the rate


def _give(run: Run, nets: Sequence[nn.Module], make: Callable[..., torch.optim.Optimizer]) -> None:
    """Begin ``run`` anew with other nets, each with an optimizer of its own."""
    run.pause()
    with run.paused():
        run.models[:] = nets
        run.optimizers[:] = _optimizers(nets, make)
        run.move(device.current())
    run.restart()


def _value(run: Run, name: str, position: int) -> float:
    """The newest number recorded as ``name`` at or before ``position``."""
    steps, values = run.curve(name)
    past = [v for s, v in zip(steps, values, strict=True) if s <= position]
    return past[-1] if past else float("nan")


# ---- dying units


def dying(
    make_net: Callable[[Callable[[], nn.Module], float], nn.Module],
    train_step: TrainStep,
    optimizer: Callable[..., torch.optim.Optimizer],
    digits: Digits,
    steps: int = 300,
) -> Panel:
    """Two nets ``make_net(activation, bias)`` on the same batches, with ReLU and with leaky ReLU.

    Counted after each ``nn.ReLU`` and ``nn.LeakyReLU``: units at or below 0 on every training
    image. With ReLU those are dead: their output and their gradient are 0.
    """
    kinds: dict[str, Callable[[], nn.Module]] = {
        "ReLU": nn.ReLU,
        "leaky ReLU": lambda: nn.LeakyReLU(0.1),
    }
    fig = LiveFigure(820, 410)
    axes = dict(zip(kinds, fig.subplots(1, 2), strict=True))
    lines: dict[tuple[str, int], Any] = {}
    for k, (name, ax) in enumerate(axes.items()):
        place(fig, {ax: (70 + 396 * k, 58, 336, 290)})
        ax.set(xlim=(0, steps), ylim=(-3, 103), xlabel="step", yticks=[0, 50, 100])
        ax.set_yticklabels(["0%", "50%", "100%"])
        ax.set_title("ReLU: dead units" if name == "ReLU" else f"{name}: ≤ 0 on all data", pad=12)
        for layer, (colour, marker, dash) in enumerate(LOOKS, start=1):
            (lines[name, layer],) = ax.plot(
                [],
                [],
                dash,
                color=colour,
                marker=marker,
                ms=7,
                label=f"layer {layer}",
                clip_on=False,
            )
    fig.figure.legend(
        *axes["ReLU"].get_legend_handles_labels(), loc="lower center", ncols=2,
        bbox_to_anchor=(0.525, -0.012), columnspacing=1,
    )  # fmt: skip
    nows = [ax.axvline(0, color=style.INK, lw=2) for ax in axes.values()]
    fig.live(lines.values(), nows)
    x, y = digits.train_x.flatten(1), digits.train_y
    silent: dict[int, dict[tuple[str, int], Tensor]] = {}

    def step(k: int, x: Tensor, y: Tensor, *_: Tensor) -> dict[str, Tensor]:
        rows = batch(k, len(x), BATCH).to(x.device)
        return {
            name: train_step(net, adam, F.cross_entropy, x[rows], y[rows])
            for name, net, adam in zip(kinds, run.models, run.optimizers, strict=True)
        }

    @torch.no_grad()
    def evaluate(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor) -> dict[str, float]:
        found, masks = {}, {}
        for name, net in zip(kinds, state["models"], strict=True):
            with Probe(net) as probe:
                net(x)
            activated = [
                probe.activations[layer]
                for layer, module in probe.layers.items()
                if isinstance(module, nn.ReLU | nn.LeakyReLU)
            ]
            for number_, a in enumerate(activated, start=1):
                masks[name, number_] = (a <= 0).all(dim=0).cpu()
                found[f"{name} {number_}"] = 100 * float(masks[name, number_].float().mean())
            found[f"{name} zeros"] = float((torch.cat(activated, 1) == 0).float().mean())
            found[f"{name} right"] = float(accuracy(net(test_x), test_y))
        position = run.position if "run" in state else 0
        silent[position] = masks
        return found

    def fresh(bias: float) -> list[nn.Module]:
        return [make_net(kind, bias) for kind in kinds.values()]

    start = (10**-1.2, 0.0)
    state: dict[str, Any] = {"set": start, "models": fresh(start[1])}
    run = Run(
        step,
        models=state["models"],
        optimizers=_optimizers(state["models"], optimizer),
        data=[x, y, digits.test_x.flatten(1), digits.test_y],
        evaluate=evaluate,
        steps=steps,
        snapshot_every=10,
    )
    state["run"] = run

    def update(rate: float, bias: float) -> str:
        if state["set"] != (rate, bias):
            anew = not run.playing or state["set"][1] != bias
            state["set"] = (rate, bias)
            if anew:
                silent.clear()
                state["models"] = fresh(bias)
                _give(run, state["models"], optimizer)
        with run.paused():
            for stepper in run.optimizers:
                stepper.param_groups[0]["lr"] = rate
            position = run.position
        for (name, layer), line in lines.items():
            line.set_data(*run.curve(f"{name} {layer}"))
        for now in nows:
            now.set_xdata([position, position])
        words = []
        for name in kinds:
            parts = [f"{_value(run, f'{name} {k}', position):.0f}%" for k in (1, 2)]
            right = _value(run, f"{name} right", position)
            if name == "ReLU":
                zeros = _value(run, "ReLU zeros", position)
                words.append(
                    f"ReLU: <b>{' and '.join(parts)} dead</b>, {zeros:.0%} of all activations are "
                    f"0, {right:.0%} of test digits right."
                )
            else:
                words.append(f"Leaky: {' and '.join(parts)} below 0 throughout, {right:.0%} right.")
        risen = _revived(silent, position)
        back = f" {risen} dead ReLU units have come back to life." if risen else ""
        return f"Step {position}. {' '.join(words)}{back}"

    return Panel(
        update,
        fig,
        title="Dying ReLU",
        look="Choose a case, press Play, then scrub. The rate may change while it trains; "
        "any other change begins anew.",
        presets={
            "Works": {"rate": 10**-2.5, "bias": 0.0}
            | {"note": "Works: few units die, and still nearly every second activation is 0: "
               "sparse, not dead."},
            "Dies while it learns": {"rate": 10**-1.2, "bias": 0.0}
            | {"note": "Fails: steps so long that units land below 0 on all the data."},
            "Born dead": {"rate": 0.01, "bias": -1.0}
            | {"note": "Fails: no unit of layer 2 is ever above 0, so no gradient reaches any "
               "weight before it. Leaky ReLU gets out."},
            "Revived": {"rate": 0.01, "bias": -0.5}
            | {"note": "A third of layer 2 starts dead. Its own weights get no gradient, but "
               "layer 1 moves, and with it their inputs."},
        },
        run=run,
        still=300,
        rate=log_slider(1e-3, 0.1, start[0], "learn rate"),
        bias=slider(-2.0, 0.5, 0.1, start[1], "first bias"),
    )  # fmt: skip


def _revived(silent: Mapping[int, Mapping[tuple[str, int], Tensor]], position: int) -> int:
    """How many ReLU units were dead at some look before ``position`` and are not now."""
    seen = sorted(step for step in silent if step <= position)
    if not seen:
        return 0
    now = silent[seen[-1]]
    return sum(
        int((torch.stack([silent[s][key] for s in seen]).any(dim=0) & ~now[key]).sum())
        for key in now
        if key[0] == "ReLU"
    )


# ---- ReLU against sigmoid


def race(
    mlp: Callable[..., nn.Module],
    train_step: TrainStep,
    optimizer: Callable[..., torch.optim.Optimizer],
    digits: Digits,
    steps: int = 600,
    units: int = 64,
) -> Panel:
    """``mlp(sizes, activation)`` with ReLU and with sigmoid: same seed, same batches, two losses.

    The bars show the gradient that reaches the output of each linear layer, by ``Probe``.
    """
    kinds = {"ReLU": nn.ReLU, "sigmoid": nn.Sigmoid}
    deepest = 4
    fig = LiveFigure(820, 410)
    left, right = fig.subplots(1, 2)
    place(fig, {left: (64, 58, 400, 312), right: (560, 58, 244, 280)})
    left.set(xlim=(0, steps), ylim=(0, 2.6), xlabel="step", ylabel="loss")
    left.axhline(np.log(10), color=style.MUTED, lw=2, ls=":")
    left.text(steps, np.log(10) + 0.02, "guessing: ln 10", ha="right", va="bottom", size=14)
    right.set(xlim=(0.4, deepest + 0.6), ylim=(1e-8, 1e-1), yscale="log", xlabel="layer")
    right.set_xticks(range(1, deepest + 1))
    right.set_title("gradient in layer", pad=12)
    curves, bars = {}, {}
    for k, (name, (colour, _, dash)) in enumerate(zip(kinds, LOOKS, strict=True)):
        (curves[name],) = left.plot([], [], dash, color=colour, label=name, lw=2.5)
        bars[name] = right.bar(
            np.arange(1, deepest + 1) + 0.4 * (k - 0.5), 1e-9, 0.38, color=colour,
            hatch="//" if k else "", edgecolor=style.PAPER,
        )  # fmt: skip
    left.legend(loc="upper right", bbox_to_anchor=(1.0, 0.86))
    now = left.axvline(0, color=style.INK, lw=2)
    fig.live(curves.values(), now, *bars.values())

    def step(k: int, x: Tensor, y: Tensor, *_: Tensor) -> dict[str, Tensor]:
        rows = batch(k, len(x), BATCH).to(x.device)
        return {
            name: train_step(net, stepper, F.cross_entropy, x[rows], y[rows])
            for name, net, stepper in zip(kinds, run.models, run.optimizers, strict=True)
        }

    def evaluate(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor) -> dict[str, float]:
        found = {}
        for name, net in zip(kinds, state["models"], strict=True):
            with Probe(net) as probe:
                F.cross_entropy(net(x[:200]), y[:200]).backward()
            net.zero_grad()
            gradients = [r.gradient for r in probe.records() if r.kind == "Linear"]
            found |= {f"{name} gradient {k}": g for k, g in enumerate(gradients, start=1)}
            with torch.no_grad():
                found[f"{name} right"] = float(accuracy(net(test_x), test_y))
        return found

    def fresh(layers: int) -> list[nn.Module]:
        nets = []
        for activation in kinds.values():
            torch.manual_seed(0)
            nets.append(mlp([784, *[units] * layers, 10], activation))
        return nets

    start = {"layers": 2, "relu": 10**-0.5, "sigmoid": 10**-0.5}
    state: dict[str, Any] = {"set": tuple(start.values()), "models": fresh(2)}
    run = Run(
        step,
        models=state["models"],
        optimizers=_optimizers(state["models"], optimizer),
        data=[digits.train_x.flatten(1), digits.train_y, digits.test_x.flatten(1), digits.test_y],
        evaluate=evaluate,
        steps=steps,
        snapshot_every=20,
    )

    def update(layers: int, relu: float, sigmoid: float) -> str:
        if state["set"] != (layers, relu, sigmoid):
            anew = not run.playing or state["set"][0] != layers
            state["set"] = (layers, relu, sigmoid)
            if anew:
                state["models"] = fresh(layers)
                _give(run, state["models"], optimizer)
        with run.paused():
            for stepper, rate in zip(run.optimizers, (relu, sigmoid), strict=True):
                stepper.param_groups[0]["lr"] = rate
            position = run.position
        now.set_xdata([position, position])
        for name, curve in curves.items():
            steps_, losses = run.curve(name)
            curve.set_data(steps_, _smooth(losses))
            for k, bar in enumerate(bars[name], start=1):
                there = k <= layers + 1
                bar.set_height(_value(run, f"{name} gradient {k}", position) if there else 1e-9)
        got = {name: _value(run, f"{name} right", position) for name in kinds}
        first = [_value(run, f"{name} gradient 1", position) for name in kinds]
        return (
            f"Step {position}: with ReLU <b>{got['ReLU']:.1%}</b> of the test digits are right, "
            f"with sigmoid <b>{got['sigmoid']:.1%}</b>. Gradient in layer 1: {first[0]:.0e} with "
            f"ReLU, {first[1]:.0e} with sigmoid."
        )

    return Panel(
        update,
        fig,
        title="ReLU against sigmoid, on real digits",
        look="Same seed, same batches. Choose a case and press Play; then scrub. "
        "Is it the activation that is slow, or the rate, or the depth?",
        presets={
            "Same rate": start
            | {"note": "One rate for both, two hidden layers: ReLU is ahead from the start."},
            "Each its own rate": start
            | {"layers": 1, "sigmoid": 1.0}
            | {"note": "One hidden layer and a larger rate for the sigmoid: the lead is gone."},
            "Three layers": start
            | {"layers": 3, "sigmoid": 1.0}
            | {"note": "Fails: three sigmoids in a row, and layer 1 gets next to no gradient."},
            "ReLU too fast": start
            | {"layers": 1, "relu": 10**0.5, "sigmoid": 10**0.5}
            | {"note": "Fails: at this rate it is ReLU that breaks, and the sigmoid that learns."},
        },
        run=run,
        still=300,
        layers=choice([1, 2, 3], value=2, label="hidden"),
        relu=log_slider(0.01, 10, 10**-0.5, "ReLU rate", per_decade=4),
        sigmoid=log_slider(0.01, 10, 10**-0.5, "σ rate", per_decade=4),
    )


def _smooth(values: Sequence[float], width: int = 15) -> np.ndarray:
    """Mean of up to ``width`` values before and at each place: one batch says little."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)


# ---- the moving ball

TRUE, SCALE = "truth", 4
NETS = (
    ("rate 1e-5", style.PURPLE, "s", ":"),
    ("rate 1e-3", style.ORANGE, "o", "-"),
    ("shipped", style.BLUE, "^", "--"),
)


def ball(
    make_net: Callable[[], nn.Module],
    train_step: TrainStep,
    shipped: nn.Module,
    steps: int = 400,
) -> Panel:
    """The net's guess of a ball's velocity, drawn on the frames, while it trains at two rates.

    ``make_net()`` maps frames (N, 4, 50, 50) to velocities (N, 2), pixels a frame. Both nets start
    alike and train with Adam on new balls in every batch, so each loss is one on unseen balls.
    """
    fig = LiveFigure(820, 420)
    left, right = fig.subplots(1, 2)
    place(fig, {left: (10, 14, 370, 370), right: (470, 58, 316, 300)})
    style.picture(left, "four frames, drawn over each other")
    left.title.set_fontsize(15)
    picture = left.imshow(np.zeros((50, 50)), cmap=style.IMAGE, vmin=0, vmax=1)
    left.set(xlim=(-0.5, 49.5), ylim=(49.5, -0.5))
    (truth,) = left.plot([], [], "-", color=style.INK, lw=9, alpha=0.4, label=TRUE)
    arrows = {
        name: left.plot([], [], dash, color=colour, marker=marker, markevery=[1], label=name)[0]
        for name, colour, marker, dash in NETS
    }
    right.set(xlim=(0, steps), ylim=(0.02, 30), yscale="log", xlabel="step")
    right.set_title("squared error on new balls", pad=12)
    curves = {
        name: right.plot([], [], dash, color=colour, marker=marker, markevery=[-1], lw=2.5)[0]
        for name, colour, marker, dash in NETS[:2]
    }
    test_frames, test_velocity = moving_ball(500, seed=1)
    with torch.no_grad():
        here = next(shipped.parameters()).device
        shipped_error = float(F.mse_loss(shipped(test_frames.to(here)).cpu(), test_velocity))
    name, colour, marker, dash = NETS[2]
    right.axhline(shipped_error, color=colour, ls=dash, lw=2)
    rest = float(test_velocity.square().mean())
    right.axhline(rest, color=style.MUTED, lw=1.5)
    right.text(steps, rest * 1.1, "“at rest”, always", ha="right", va="bottom", size=14)
    fig.figure.legend(
        [truth, *arrows.values()], [TRUE, *arrows], loc="upper right", ncols=2, fontsize=14,
        bbox_to_anchor=(0.985, 0.86), columnspacing=1, handlelength=2.4,
    )  # fmt: skip
    now = right.axvline(0, ymax=0.72, color=style.INK, lw=2)
    fig.live(picture, truth, arrows.values(), curves.values(), now)

    torch.manual_seed(0)
    first = make_net()
    torch.manual_seed(0)
    nets = [first, make_net()]
    optimizers = [
        torch.optim.Adam(net.parameters(), lr=rate)
        for net, rate in zip(nets, (1e-5, 1e-3), strict=True)
    ]

    def step(k: int, *_: Tensor) -> dict[str, Tensor]:
        frames, velocity = (t.to(device.current()) for t in moving_ball(BATCH, seed=1000 + k))
        return {
            name: train_step(net, optimizer, F.mse_loss, frames, velocity)
            for name, net, optimizer in zip(curves, nets, optimizers, strict=True)
        }

    @torch.no_grad()
    def evaluate(frames: Tensor, velocity: Tensor) -> dict[str, float]:
        found = {}
        for name, net in zip(curves, nets, strict=True):
            answer = net(frames)
            found[f"{name} MSE"] = float(F.mse_loss(answer, velocity))
            found[f"{name} MAE"] = float(F.l1_loss(answer, velocity))
        return found

    run = Run(
        step,
        models=nets,
        optimizers=optimizers,
        data=[test_frames, test_velocity],
        evaluate=evaluate,
        steps=steps,
        snapshot_every=40,
        max_snapshots=12,  # 16 MB each
    )
    everyone = dict(zip(arrows, [*nets, device.follow(shipped)], strict=True))

    def update(x: float, y: float, vx: float, vy: float) -> str:
        velocity = torch.tensor([vx, vy])
        times = torch.arange(-3, 1)[:, None]
        frames = draw_balls(torch.tensor([x, y]) + times * velocity)
        fade = torch.tensor([0.25, 0.4, 0.6, 1.0])[:, None, None]
        picture.set_data((frames * fade).amax(0).numpy())
        truth.set_data([x, x + SCALE * vx], [y, y + SCALE * vy])
        with run.paused(), torch.no_grad():
            position = run.position
            guesses = {}
            for name, net in everyone.items():
                where = next(net.parameters()).device
                guesses[name] = net(frames[None].to(where))[0].cpu()
        for name, guess in guesses.items():
            arrows[name].set_data([x, x + SCALE * guess[0]], [y, y + SCALE * guess[1]])
        for name, curve in curves.items():
            steps_, losses = run.curve(name)
            curve.set_data(steps_, _smooth(losses))
        now.set_xdata([position, position])
        said = ", ".join(
            f"{name} ({number(round(float(g[0]), 1))}, {number(round(float(g[1]), 1))})"
            for name, g in guesses.items()
        )
        errors = ", ".join(
            f"{name} <b>{_value(run, f'{name} MSE', position):.2f}</b> "
            f"(MAE {_value(run, f'{name} MAE', position):.2f})"
            for name in curves
        )
        centres = torch.tensor([x, y]) + times * velocity
        new = abs(vx) > 3 or abs(vy) > 3 or float(centres.min()) < 3 or float(centres.max()) > 46
        unseen = " No training ball was like this one." if new else ""
        return (
            f"True velocity ({number(vx)}, {number(vy)}) pixels a frame; guesses: {said}.{unseen} "
            f"Step {position}, MSE on 500 test balls: {errors}, shipped {shipped_error:.2f}."
        )

    panel = Panel(
        update,
        fig,
        title="The slides' dense net watches a ball",
        look="Press on the frame and drag: that throws the ball. The arrows are the guesses, four "
        "frames ahead. Then press Play.",
        presets={
            "Slow": {"x": 25.0, "y": 25.0, "vx": 0.5, "vy": -0.5}
            | {"note": "Half a pixel a frame: the four frames hardly differ."},
            "Fast": {"x": 33.0, "y": 16.0, "vx": 2.5, "vy": -2.5}
            | {"note": "Works, once trained at 1e-3: like the training balls."},
            "Fails: too fast": {"x": 28.0, "y": 25.0, "vx": 5.0, "vy": 0.0}
            | {"note": "No training ball was faster than 3. A net answers all the same."},
        },
        run=run,
        still=100,
        x=slider(3.0, 46.0, 0.5, 33.0),
        y=slider(3.0, 46.0, 0.5, 16.0),
        vx=slider(-5.0, 5.0, 0.1, 2.5, "vx"),
        vy=slider(-5.0, 5.0, 0.1, -2.5, "vy"),
    )
    held: dict[str, float] = {}

    def throw(x: float, y: float, phase: str) -> None:
        if phase == "start":
            held.update(x=float(np.clip(x, 3, 46)), y=float(np.clip(y, 3, 46)))
            panel.set(x=round(2 * held["x"]) / 2, y=round(2 * held["y"]) / 2)
            return
        speed = (np.array([x, y]) - [held["x"], held["y"]]) / SCALE
        vx, vy = (round(float(v), 1) for v in np.clip(speed, -5, 5))
        panel.set(vx=vx, vy=vy)

    fig.on_drag(left, throw)
    return panel
