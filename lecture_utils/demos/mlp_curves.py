"""The panels of 02_mlp on universal approximation: a curve from kinks, solved and trained."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import style
from ..draw import number, place
from ..live import LiveFigure
from ..panel import Panel, choice, log_slider, slider, toggle
from ..training import Run

Curve = Callable[[Tensor], Tensor]
OWN = "your own"
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
SEEN, FAR = 1.0, 2.5
COUNT = 401


class Board:
    """A target curve on -1..1: one of ``targets`` by name, or one drawn with the mouse."""

    def __init__(self, targets: Mapping[str, Curve]) -> None:
        self.targets = dict(targets)
        self.x = torch.linspace(-SEEN, SEEN, COUNT, dtype=torch.float64)
        self.name = next(iter(targets))
        self.own = self.values(self.name).clone()

    def values(self, name: str) -> Tensor:
        """The target at ``x``, (401,)."""
        return self.own if name == OWN else self.targets[name](self.x)

    def draw(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Pull the drawn curve to the line from ``start`` to ``end``."""
        (x0, y0), (x1, y1) = sorted([start, end])
        step = 2 * SEEN / (COUNT - 1)
        first, last = (int(np.clip(round((v + SEEN) / step), 0, COUNT - 1)) for v in (x0, x1))
        self.own[first : last + 1] = torch.linspace(y0, y1, last - first + 1, dtype=torch.float64)


def _short(error: float) -> str:
    """Two digits of an error, down to a thousandth."""
    return number(max(float(f"{error:.2g}"), 0.001))


def approximation(
    fit_curve: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor, Tensor]],
    one_layer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    targets: Mapping[str, Curve],
) -> Panel:
    """``one_layer(x, *fit_curve(x, y, units))`` against a target curve, its kinks and its error.

    ``fit_curve`` returns (kinks, weights, bias). The panel's ``board`` holds the target.
    """
    board = Board(targets)
    fig = LiveFigure(820, 420)
    left, right = fig.subplots(1, 2)
    place(fig, {left: (66, 56, 440, 320), right: (590, 56, 210, 280)})
    left.set(xlim=(-1.05, 1.05), ylim=(-1.6, 1.6), xlabel="x")
    left.set_title("target (grey) and net (orange)", pad=12)
    right.set(xscale="log", yscale="log", xlim=(0.9, 72), ylim=(1e-4, 4), xlabel="units")
    right.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
    right.minorticks_off()
    right.set_title("largest error", pad=12)
    left.axvspan(-SEEN, SEEN, color="#f6f8fa", zorder=0)
    (goal,) = left.plot([], [], color=style.DATA, lw=7, alpha=0.3)
    (beyond,) = left.plot([], [], ":", color=style.DATA, lw=4, alpha=0.5)
    (line,) = left.plot([], [], color=style.PREDICTION, lw=3.5)
    (corners,) = left.plot([], [], "o", color=style.WEIGHT, ms=8, zorder=4)
    (worst,) = left.plot([], [], color=style.LOSS, lw=4, zorder=5)
    (errors,) = right.plot([], [], "o-", color=style.LOSS, ms=7)
    (here,) = right.plot([], [], "o", color=style.INK, ms=13, zorder=4)
    fig.live(goal, beyond, line, corners, worst, errors, here)
    wide = torch.linspace(-FAR, FAR, COUNT, dtype=torch.float64)
    state: dict[str, Any] = {"drawing": False, "from": None}

    def net(x: Tensor, fitted: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        y = one_layer(x, *fitted)
        if y is None or y.shape != x.shape:
            got = "nothing" if y is None else f"shape {tuple(y.shape)}"
            raise ValueError(f"one_layer returned {got}, expected shape {tuple(x.shape)}")
        return y.detach()

    def largest(units: int, y: Tensor) -> float:
        return float((net(board.x, fit_curve(board.x, y, units)) - y).abs().max())

    def update(target: str, units: int, outside: bool) -> str:
        board.name = target
        y = board.values(target)
        fitted = fit_curve(board.x, y, units)
        inside = net(board.x, fitted)
        gap = (inside - y).abs()
        error, at = float(gap.max()), int(gap.argmax())
        reach = FAR if outside else 1.05
        if left.get_xlim()[1] != reach:
            left.set_xlim(-reach, reach)
        goal.set_data(board.x, y)
        far = outside and target != OWN
        left_part = wide.abs() >= SEEN
        beyond.set_data(wide, torch.where(left_part, targets[target](wide), torch.nan)
                        if far else torch.full_like(wide, torch.nan))  # fmt: skip
        shown = wide if outside else board.x
        line.set_data(shown, net(shown, fitted))
        corners.set_data(fitted[0].detach(), net(fitted[0].detach(), fitted))
        worst.set_data([board.x[at]] * 2, [y[at], inside[at]])
        if state["drawing"]:
            errors.set_data([], [])
        else:
            errors.set_data(WIDTHS, [max(largest(w, y), 1e-4) for w in WIDTHS])
        here.set_data([units], [max(error, 1e-4)])
        text = (
            f"{units} hidden unit{'s' * (units > 1)}, {units} kink{'s' * (units > 1)}: on −1 … 1 "
            f"the net is at most <b>{_short(error)}</b> off (red)."
        )
        if not outside:
            return text
        if target == OWN:
            return f"{text} Beyond, you drew nothing, and the net goes on in a straight line."
        miss = float((net(wide, fitted) - targets[target](wide))[left_part].abs().max())
        return f"{text} Beyond, up to x = ±{FAR}, it is up to <b>{miss:.1f}</b> off."

    panel = Panel(
        update,
        fig,
        title="One hidden layer, any curve",
        look="Draw your own target: press on the left picture and drag. Then add hidden units. "
        "Each brings one kink (violet).",
        presets={
            "Works": {"target": "sine", "units": 32, "outside": False}
            | {"note": "More units, smaller error, everywhere on the interval."},
            "Too few": {"target": "wiggle", "units": 6, "outside": False}
            | {"note": "Fails: fewer kinks than bends."},
            "Fails: a jump": {"target": "jump", "units": 64, "outside": False}
            | {"note": "The theorem asks for a continuous f. At a jump the net is off by about "
               "half of it, with any number of units."},
            "Fails: outside": {"target": "sine", "units": 64, "outside": True}
            | {"note": "The theorem ends where the interval ends."},
        },
        target=choice([*targets, OWN]),
        units=slider(1, 64, 1, 4),
        outside=toggle(False, "look outside the interval"),
    )  # fmt: skip

    def draw(x: float, y: float, phase: str) -> None:
        spot = (float(np.clip(x, -SEEN, SEEN)), float(np.clip(y, -1.5, 1.5)))
        if phase == "start":
            if panel.values["target"] != OWN:
                board.own = board.values(panel.values["target"]).clone()
            state["from"] = spot
        board.draw(state["from"], spot)
        state.update({"from": spot, "drawing": phase != "end"})
        panel.set(target=OWN)

    fig.on_drag(left, draw)
    panel.board = board
    return panel


def descent(
    make_net: Callable[[int], nn.Module],
    train_step: Callable[..., Tensor],
    fit_curve: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor, Tensor]],
    one_layer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    board: Board,
    steps: int = 2000,
) -> Panel:
    """The target of ``board``, now found by gradient descent in ``make_net(units)``.

    The net's first and last layers are ``nn.Linear``, with ReLU between; Adam trains it on all
    401 points at once. Beside its loss stands that of the kinks placed evenly and solved.
    """
    fig = LiveFigure(820, 420)
    left, right = fig.subplots(1, 2)
    place(fig, {left: (66, 56, 400, 320), right: (556, 56, 236, 280)})
    left.set(xlim=(-1.05, 1.05), ylim=(-1.6, 1.6), xlabel="x")
    left.set_title("target (grey) and net (orange)", pad=12)
    right.set(xlim=(0, steps), ylim=(1e-6, 3), yscale="log", xlabel="step")
    right.set_title("mean squared error", pad=12)
    right.set_xticks([0, steps // 2, steps])
    (goal,) = left.plot([], [], color=style.DATA, lw=7, alpha=0.3)
    (line,) = left.plot([], [], color=style.PREDICTION, lw=3.5)
    (corners,) = left.plot([], [], "o", color=style.WEIGHT, ms=8, zorder=4)
    (loss_line,) = right.plot([], [], color=style.LOSS)
    (now,) = right.plot([], [], "o", color=style.INK, ms=11)
    (solved,) = right.plot([], [], "--", color=style.WEIGHT, label="solved")
    right.legend(loc="upper right")
    fig.live(goal, line, corners, loss_line, now, solved)
    x = board.x.float()[:, None]
    state: dict[str, Any] = {"set": None}

    def make(units: int, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return make_net(units)

    def step(k: int, x: Tensor, y: Tensor) -> Tensor:
        return train_step(run.models[0], run.optimizers[0], nn.functional.mse_loss, x, y)

    net = make(16, 0)
    run = Run(
        step,
        models=[net],
        optimizers=[torch.optim.Adam(net.parameters(), lr=0.01)],
        data=[x, board.values(board.name).float()[:, None]],
        steps=steps,
        snapshot_every=10,
        speed=400,
    )

    def begin(units: int, seed: int, y: Tensor) -> None:
        reference = one_layer(board.x, *fit_curve(board.x, y, units))
        state["solved"] = float((reference - y).square().mean())
        run.pause()
        with run.paused():
            run.models[:] = [make(units, seed)]
            run.optimizers[:] = [torch.optim.Adam(run.models[0].parameters(), lr=0.01)]
            run.data[1] = y.float()[:, None]
            run.move(run.data[0].device)
        run.restart()

    def update(target: str, units: int, rate: float, seed: int) -> str:
        y = board.values(target)
        wanted = (target, units, seed, tuple(y.tolist()))
        if state["set"] != wanted:
            state["set"] = wanted
            begin(units, seed, y)
        with run.paused(), torch.no_grad():
            run.optimizers[0].param_groups[0]["lr"] = rate
            model = run.models[0]
            answer = model(run.data[0]).cpu()[:, 0]
            hidden = next(m for m in model.modules() if isinstance(m, nn.Linear))
            kinks = (-hidden.bias / hidden.weight[:, 0]).cpu()
            kinks = kinks[kinks.abs() <= SEEN]
            heights = model(kinks[:, None].to(run.data[0])).cpu()[:, 0]
            position = run.position
        goal.set_data(board.x, y)
        line.set_data(board.x, answer)
        corners.set_data(kinks, heights)
        steps_, losses = run.curve("loss")
        loss_line.set_data(steps_, losses)
        past = [v for s, v in zip(steps_, losses, strict=True) if s < position]
        now.set_data([position] if past else [], past[-1:])
        solved.set_data([0, steps], [max(state["solved"], 1e-6)] * 2)
        off = float((answer.double() - y).abs().max())
        mse = float((answer.double() - y).square().mean())
        return (
            f"Step {position}: {len(kinks)} of {units} kinks lie on the interval. Largest error "
            f"<b>{_short(off)}</b>; mean squared {mse:.1e}, against "
            f"{state['solved']:.1e} for evenly placed kinks, solved at once."
        )

    return Panel(
        update,
        fig,
        title="Existence is not training",
        look="The same curve, but now gradient descent has to find kinks and weights. Press Play: "
        "the kinks wander. What you drew above is there too.",
        presets={
            "Works": {"target": "sine", "units": 32, "rate": 0.01}
            | {"note": "Works: enough units, enough steps."},
            "Stuck": {"target": "wiggle", "units": 16, "rate": 0.01}
            | {"note": "Fails: a good fit with these units exists. Descent does not find it."},
            "Too fast": {"target": "sine", "units": 32, "rate": 10**-0.5}
            | {"note": "Fails: the steps are too long; kinks jump off the interval."},
        },
        run=run,
        still=1000,
        target=choice([*board.targets, OWN], value=board.name),
        units=slider(1, 64, 1, 16),
        rate=log_slider(1e-3, 1.0, 0.01, "learn rate", per_decade=4),
        seed=slider(0, 9, 1, 0),
    )
