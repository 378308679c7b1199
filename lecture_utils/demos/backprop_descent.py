"""The descent panel of 03_backprop: optimizers race on a landscape seen from above."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm

from .. import style
from ..draw import place
from ..live import LiveFigure
from ..panel import Panel, Player, choice, log_slider, slider

LOW, HIGH = -2.0, 2.0
STEPS = 100
RACERS = ((style.BLUE, "o"), (style.ORANGE, "s"), (style.PURPLE, "^"), (style.INK, "D"))
"""Colour and marker of each optimizer, in the order of the notebook."""
DEFAULTS = {"x0": -1.5, "y0": 1.5, "rate": 0.01, "momentum": 0.9, "noise": 0.0}


def heights(loss: Callable[..., Any], count: int = 161) -> np.ndarray:
    """``loss`` on a square grid, (count, count), the first row at the bottom."""
    line = np.linspace(LOW, HIGH, count)
    x, y = np.meshgrid(line, line)
    z = np.asarray(loss(x, y), float)
    if z.shape != x.shape:
        raise ValueError(f"the loss returned shape {z.shape} for a grid {x.shape}")
    return z


def race(
    landscapes: Mapping[str, Callable[..., Any]],
    optimizers: Mapping[str, Callable[..., Any]],
    descend: Callable[..., list[tuple[float, float, float]]],
) -> Panel:
    """Paths of all ``optimizers`` from one start, and their losses.

    ``descend(loss, optimizer, start, steps, learning_rate, momentum, noise)`` gives one row
    (x, y, loss) for the start and for each step; fewer if it stops early.
    """
    fig = LiveFigure(820, 430)
    ax, loss_ax = fig.add_subplot(), fig.add_subplot()
    place(fig, {ax: (70, 62, 350, 350), loss_ax: (512, 62, 286, 268)})
    ax.set(xlim=(LOW, HIGH), ylim=(LOW, HIGH), xlabel="$x$", ylabel="$y$")
    ax.set(xticks=[-2, -1, 0, 1, 2], yticks=[-2, -1, 0, 1, 2])
    loss_ax.set(xlim=(0, STEPS), ylim=(1e-5, 1e2), yscale="log", xlabel="step")
    loss_ax.set_ylabel("above lowest point", labelpad=2)
    line = np.linspace(LOW, HIGH, 161)
    ground: dict[str, Any] = {"name": None, "artists": []}
    paths, ends, curves, marks = [], [], [], []
    for name, (colour, marker) in zip(optimizers, RACERS, strict=False):
        look = {"color": colour, "mec": style.PAPER, "clip_on": False}
        paths += ax.plot([], [], color=colour, lw=3, zorder=3)
        ends += ax.plot([], [], marker, ms=15, mew=1.5, zorder=5, **look)
        curves += loss_ax.plot([], [], color=colour, lw=3)
        marks += loss_ax.plot([], [], marker, ms=12, label=name, **look)
    (start_mark,) = ax.plot([], [], "*", color=style.RED, ms=20, mec=style.PAPER, zorder=4)
    loss_ax.legend(
        loc="lower center", ncols=2, bbox_to_anchor=(0.45, 1.0), columnspacing=1, handletextpad=0.3
    )
    fig.live(paths, start_mark, ends, curves, marks)
    player = Player(STEPS, STEPS, label="step", rate=15)
    runs: dict[str, Any] = {"key": None}

    def draw_ground(name: str) -> None:
        for artist in ground["artists"]:
            artist.remove()
        z = heights(landscapes[name])
        low = float(z.min())
        levels = np.geomspace(0.02, max(float(z.max() - low), 0.04), 11)
        filled = ax.contourf(
            line,
            line,
            np.maximum(z - low, 1e-9),
            [1e-12, *levels],
            cmap=style.SEQUENTIAL,
            norm=LogNorm(0.01, 30, clip=True),
            alpha=0.45,
        )
        rings = ax.contour(line, line, z - low, levels, colors="#57606a", linewidths=1)
        ground.update(name=name, artists=[filled, rings], low=low)

    def update(
        k: int, landscape: str, rate: float, momentum: float, noise: float, x0: float, y0: float
    ) -> str:
        if ground["name"] != landscape:
            draw_ground(landscape)
        key = (landscape, rate, momentum, noise, x0, y0)
        if runs["key"] != key:  # a scrub shows the same race, it does not run it again
            runs["key"] = None
            runs["rows"] = [
                np.array(descend(landscapes[landscape], f, (x0, y0), STEPS, rate, momentum, noise))
                for f in optimizers.values()
            ]
            runs["key"] = key
        start_mark.set_data([x0], [y0])
        now = {}
        for i, (name, rows) in enumerate(zip(optimizers, runs["rows"], strict=True)):
            shown = rows[: k + 1]
            inside = np.clip(shown[:, :2], LOW - 1, HIGH + 1)
            paths[i].set_data(*inside.T)
            tip = np.clip(shown[-1, :2], LOW, HIGH)
            ends[i].set_data([tip[0]], [tip[1]])
            above = np.clip(shown[:, 2] - ground["low"], 1e-5, 1e2)
            curves[i].set_data(np.arange(len(above)), above)
            marks[i].set_data([len(above) - 1], [above[-1]])
            gone = len(rows) <= STEPS and k >= len(rows) - 1
            now[name] = np.inf if gone else float(shown[-1, 2] - ground["low"])
        best = min(now, key=now.get)
        words = ", ".join(f"{name} {_height(v)}" for name, v in now.items())
        lead = f" Lowest: <b>{best}</b>." if now[best] < np.inf and k else ""
        return f"Step {k}, above the lowest point: {words}.{lead}"

    panel = Panel(
        update,
        fig,
        title="Downhill race",
        look="Click where to start. Each optimizer sees only the slope under its feet. "
        "Rate, beta and noise are the same for all.",
        presets={
            "bowl": {**DEFAULTS, "landscape": "bowl", "rate": 0.1, "k": STEPS}
            | {"note": "Works for all: one minimum, and every slope points more or less there."},
            "narrow valley": {**DEFAULTS, "landscape": "narrow valley", "k": STEPS}
            | {"note": "SGD crawls along the floor; momentum adds up the small slopes."},
            "saddle": {**DEFAULTS, "landscape": "saddle", "x0": -1.5, "y0": 0.01, "k": STEPS}
            | {"rate": 0.02, "note": "Flat, but no minimum. Who gets away first?"},
            "several minima": {**DEFAULTS, "landscape": "several minima", "k": STEPS}
            | {"x0": 0.1, "y0": 0.3, "note": "Fails to find the lowest: downhill is local."},
            "too fast": {**DEFAULTS, "landscape": "narrow valley", "rate": 0.1, "k": STEPS}
            | {
                "note": "Fails for SGD and momentum: too long a step for these walls. "
                "RMSprop and Adam divide by the slope's size."
            },
            "noisy": {**DEFAULTS, "landscape": "bowl", "rate": 0.1, "noise": 2.0, "k": STEPS}
            | {"note": "Minibatch noise: it gets near and then jitters. A smaller rate calms it."},
        },
        k=player,
        landscape=choice(list(landscapes), "narrow valley", "land"),
        rate=log_slider(1e-3, 1.0, DEFAULTS["rate"], "learn rate"),
        momentum=slider(0.0, 0.99, 0.01, DEFAULTS["momentum"], "beta"),
        noise=slider(0.0, 5.0, 0.1, 0.0, "noise"),
        x0=slider(LOW, HIGH, 0.01, DEFAULTS["x0"], "x"),
        y0=slider(LOW, HIGH, 0.01, DEFAULTS["y0"], "y"),
    )

    def choose(x: float, y: float) -> None:
        panel.set(x0=round(x, 2), y0=round(y, 2))

    fig.on_press(ax, choose)
    fig.on_drag(ax, lambda x, y, phase: choose(min(max(x, LOW), HIGH), min(max(y, LOW), HIGH)))
    return panel


def _height(value: float) -> str:
    """A height in the sentence under the race."""
    if value == np.inf:
        return "<b>flew off the map</b>"
    return f"{value:.2g}" if value > 1e-5 else "under 0.00001"
