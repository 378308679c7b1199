"""The playground of 02_mlp: a small net learns points in the plane, and shows all it does."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import style
from ..device import one_thread
from ..draw import lattice, number
from ..panel import Panel, choice, log_slider, slider, text, toggle
from .mlp_playground_controls import CodeView, Offer, Toggles, hidden_widths
from .mlp_playground_data import OWN, REACH, SETS, make_points, no_points
from .mlp_playground_engine import TrainStep
from .mlp_playground_presets import presets
from .mlp_playground_training import ACTIVATIONS, Features, Training, as_code, losses
from .mlp_playground_view import Target, View

GRID = 81
"""Points a side at which every unit is asked for its map."""
SPEEDS = {"as fast as it can": 0, "30 epochs a second": 30, "5 a second": 5, "1 a second": 1}
LEARNING_RATE = 0.1


def short(unit: str) -> str:
    """h1.2 for unit 2 of layer 1."""
    return unit.replace("layer ", "h").replace(", unit ", ".")


class _Game:
    """Ties the controls to the training and the training to the picture."""

    def __init__(self, features: Features, make_net: Callable[..., nn.Module], step: TrainStep):
        self.training = Training(features, make_net, step)
        self.view = View()
        self.names: list[str] = []
        self.widths: tuple[int, ...] = ()
        self.own = no_points()
        self.built: Any = None
        """What the present net and points were made from."""
        self.layout: Any = None
        self.hover: Target | None = None
        self.news = ("", 0.0)
        self.pace = (0.0, 0, 0.0)  # when and at how many steps it was measured, steps a second
        self.code = CodeView()
        self.panel: Panel | None = None

    def forget(self) -> None:
        """Let the next update begin the training anew, whatever the controls say."""
        self.built = None

    # ---- the net and its points

    def sync(self, v: dict[str, Any]) -> None:
        """Bring the training in line with the controls, at once or by a new start."""
        training = self.training
        widths = hidden_widths(v["units"])
        names = training.names()
        active = tuple(k for k, name in enumerate(names) if name in v["features"]) or (0,)
        made = (v["data"], v["noise"], v["share"]) if v["data"] != OWN else (OWN,)
        wanted = (made, names, active, widths, v["activation"], v["weights"])
        if wanted != self.built:
            points = self.own
            if v["data"] != OWN:
                points = make_points(v["data"], v["noise"] / 100, v["share"] / 100)
            with training.run.paused():  # not a step between the new net and its step 0
                training.build(points, active, widths, v["activation"], v["weights"])
                again = self.built is not None
                self.built, self.names, self.widths = wanted, names, widths
                if self.layout != (names, active, widths):  # else the still part stays
                    self.layout = (names, active, widths)
                    self.look_at_grid()
                    self.view.build(names, active, widths)
                    self.hover = None
                    self.offer_units()
                words = "<b>Rebuilt: it starts anew.</b> " if again else ""
                self.news = (words, time.perf_counter())
                training.run.restart(halt=False)
        training.rates = (
            v["learning_rate"],
            v["rate"] * (v["penalty"] == "L1"),
            v["rate"] * (v["penalty"] == "L2"),
        )
        training.size = v["batch"]
        training.run.speed = v["speed"] or None

    def look_at_grid(self) -> None:
        """Features at the points of the map, all of them, and scaled for their own pictures."""
        rows = self.training.rows(lattice(-REACH, REACH, GRID))
        size = rows.abs().amax(dim=0).clamp(min=1e-9)
        self.grid = rows[:, list(self.training.active)]
        self.feature_maps = (rows / size).t().reshape(-1, GRID, GRID).numpy()

    def maps(self) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        """Map of every unit in -1..1, weights and biases, of the net as it is now."""
        training = self.training
        layers = [layer for layer in training.net if isinstance(layer, nn.Linear)]
        where = layers[0].weight.device
        with training.run.paused():
            *hidden, logits = (a.cpu() for a in training.outputs(self.grid.to(where)))
            weights = [layer.weight.detach().cpu().numpy().copy() for layer in layers]
            biases = [layer.bias.detach().cpu().numpy().copy() for layer in layers]
        hidden = [a / a.abs().amax(dim=0).clamp(min=1.0) for a in hidden]
        parts = [a.t().reshape(-1, GRID, GRID).numpy() for a in [*hidden, (logits / 2).tanh()]]
        return np.concatenate([self.feature_maps, *parts]), weights, biases

    # ---- units and weights by name

    def units(self) -> list[str]:
        hidden = [
            f"layer {layer}, unit {unit}"
            for layer, width in enumerate(self.widths, 1)
            for unit in range(1, width + 1)
        ]
        return [*self.names, *hidden, "output"]

    def place_of(self, unit: str) -> tuple[int, int]:
        """Layer of weights that lead to a unit, and its row there; layer -1 for a feature."""
        k = self.units().index(unit)
        if k < len(self.names):
            return -1, k
        layer = int(np.searchsorted(self.view.first, k, side="right")) - 2
        return layer, k - int(self.view.first[layer + 1])

    def sources(self, unit: str) -> list[str]:
        """What feeds a unit, in the order of its weights; its bias last."""
        layer, _ = self.place_of(unit)
        if layer < 0:
            return []
        if layer == 0:
            return [*[self.names[k] for k in self.training.active], "bias"]
        width = self.widths[layer - 1]
        return [*[f"layer {layer}, unit {k + 1}" for k in range(width)], "bias"]

    def offer_units(self) -> None:
        """Let the list of units be that of this net."""
        if self.panel is not None:
            with self.panel._batch():
                *others, output = self.units()
                self.panel.controls["show"].offer([output, *others])

    def offer_weights(self, unit: str) -> str:
        """Let the list of weights be that of ``unit``; returns the one chosen."""
        if self.panel is None:
            return "bias"
        with self.panel._batch():
            self.panel.controls["weight"].offer(self.sources(unit) or ["none"])
        return self.panel.controls["weight"].value

    def parameter(self, unit: str, source: str) -> Tensor:
        """The weight or bias as a tensor of one number, a view of the net's own."""
        layer, row = self.place_of(unit)
        linear = [m for m in self.training.net if isinstance(m, nn.Linear)][layer]
        if source == "bias":
            return linear.bias.data[row]
        return linear.weight.data[row, self.sources(unit).index(source)]

    def set_weight(self, unit: str, source: str, words: str) -> None:
        """Give a weight the value typed; training goes on from the net as it is shown."""
        try:
            value = float(words.replace("−", "-").replace(",", "."))
        except ValueError:
            raise ValueError(f"{words!r} is no number.") from None
        if not abs(value) < 1e3:
            raise ValueError(f"{words}: a weight between −1000 and 1000, please.")
        if not self.sources(unit):
            raise ValueError(f"{unit} is a feature: no weights lead to it.")
        run = self.training.run
        with run.paused():
            self.parameter(unit, source).fill_(value)
            run.branch()

    # ---- the picture

    @one_thread()
    def update(self, **v: Any) -> str:
        self.sync(v)
        training, run, view = self.training, self.training.run, self.view
        if v["set_to"] and self.panel is not None:
            with self.panel._batch():
                self.panel.controls["set_to"].value = ""
            self.set_weight(v["show"], self.offer_weights(v["show"]), v["set_to"])
        units = self.units()
        pinned = v["show"] if v["show"] in units else "output"
        source = self.offer_weights(pinned)
        hover = self.hover
        shown = units[hover.index] if hover and hover.kind == "unit" else pinned
        maps, weights, biases = self.maps()
        view.show(maps, weights, biases, units.index(shown), v["sharp"])
        view.title.words = "output: chance of blue" if shown == "output" else shown
        view.show_points(training.points, v["test"])
        view.cursor.set_data([v["x1"]], [v["x2"]])
        view.cursor.set_visible((v["x1"], v["x2"]) != (0.0, 0.0))
        with run.paused():
            position = run.position
        view.show_losses({name: run.curve(name) for name in ("train", "test")}, position)
        if hover and hover.kind == "weight":
            value = float(weights[hover.layer][hover.unit, hover.source])
            view.mark(hover, number(round(value, 2)))
        else:
            view.mark(None)
        if self.panel is not None:
            now = ""
            if self.sources(pinned):
                now = f"now {float(self.parameter(pinned, source)):.3f}".replace("-", "−")
            if not run.playing:
                self.panel.controls["set_to"].placeholder = now
        if not run.playing:
            active = [self.names[k] for k in training.active]
            self.code.show(as_code(training.net, active))
        return self.sentence(position, shown, weights, biases)

    def sentence(self, position: int, shown: str, weights: Any, biases: Any) -> str:
        """Where training is and what is pointed at; then the losses, and how many are right."""
        training, run = self.training, self.training.run
        scores = []
        with run.paused(), torch.no_grad():
            x, y, test_x, test_y = run.data
            for name, rows, labels, colour in (
                ("training", x, y, style.TRAIN),
                ("test", test_x, test_y, style.TEST),
            ):
                if len(rows):
                    logits = training.net(rows)[:, 0]
                    right = int(((logits > 0) == (labels > 0.5)).sum())
                    loss = float(losses(training.net, rows, labels))
                    scores.append(
                        f'<span style="color:{colour}">■</span> {name} loss <b>{loss:.3f}</b>, '
                        f"{right} of {len(rows)} right"
                    )
            dead = self.dead(x) if len(x) else 0
        words, since = self.news
        if run.playing and time.perf_counter() - since > 3:
            words = ""
        first = f"{words}Epoch <b>{position:,}</b>{self.tempo()}. "
        if self.hover and self.hover.kind == "weight":
            source, unit = self.ends(self.hover)
            first += f"Weight from {source} to {unit}; click it to give it another value."
        else:
            first += self.formula(shown, weights, biases)
        if dead:
            first += f" <b>{dead} dead</b> unit{'s' * (dead > 1)}: 0 at every training point."
        second = " &nbsp; ".join(scores) or "No points yet: click into the large map."
        return f"{first}<br>{second}"

    def tempo(self) -> str:
        """Steps a second, measured over the last second, and by whose step."""
        now, steps, playing = time.perf_counter(), self.training.steps, self.training.run.playing
        then, before, rate = self.pace
        if now - then > 1:
            rate = (steps - before) / (now - then) if playing and now - then < 3 else 0.0
            self.pace = (now, steps, rate)
        pace = f", {float(f'{rate:.2g}'):,.0f} steps a second" if playing and rate else ""
        return pace + ("" if self.training.fast else ", by your own train_step")

    def dead(self, x: Tensor) -> int:
        """Hidden ReLU units that are 0 at every row of ``x``."""
        if not any(isinstance(layer, nn.ReLU) for layer in self.training.net):
            return 0
        *hidden, _ = self.training.outputs(x)
        return sum(int((a == 0).all(dim=0).sum()) for a in hidden)

    def formula(self, shown: str, weights: Any, biases: Any) -> str:
        """What a hidden unit computes, written out."""
        layer, row = self.place_of(shown)
        if layer < 0 or shown == "output":
            return ""
        terms = zip([*weights[layer][row], biases[layer][row]], self.sources(shown), strict=True)
        words = "".join(
            f" {'−' if w < 0 else '+'} {abs(w):.2f}" + ("" if name == "bias" else f"·{short(name)}")
            for w, name in terms
        )
        return f"{short(shown)} = {self.built[4]}({words.removeprefix(' + ').strip()})."

    def ends(self, weight: Target) -> tuple[str, str]:
        """Names of the two units that a weight joins."""
        unit = self.units()[int(self.view.first[weight.layer + 1]) + weight.unit]
        return self.sources(unit)[weight.source], unit

    # ---- pointer and buttons

    def point(self, x: float | None, y: float | None) -> None:
        target = None if x is None or y is None else self.view.at(x, y)
        if target is not None and target.kind not in ("unit", "weight"):
            target = None
        if target != self.hover:
            self.hover = target
            self.panel.refresh()

    def press(self, x: float, y: float) -> None:
        target = self.view.at(x, y)
        if target is None:
            return
        if target.kind == "unit":
            if target.index < len(self.names):
                self.toggle_feature(self.names[target.index])
            else:
                self.panel.set(show=self.units()[target.index])
        elif target.kind == "weight":
            source, unit = self.ends(target)
            self.panel.set(show=unit)
            self.panel.set(weight=source)
        else:
            widths = list(self.widths)
            if target.kind == "units":
                widths[target.layer] += target.change
            elif target.change > 0:
                widths.append(widths[-1] if widths else 4)
            else:
                widths.pop()
            self.panel.set(units=" ".join(map(str, widths)))

    def toggle_feature(self, name: str) -> None:
        on = set(self.panel.values["features"]) ^ {name}
        if on:
            self.panel.set(features=tuple(n for n in self.names if n in on))

    def edit(self, x: float, y: float) -> None:
        """Add or erase a point; the points so far become the reader's own."""
        click, x, y = self.panel.values["click"], round(x, 2), round(y, 2)
        points = self.training.points
        points = points.without(x, y) if click < 0 else points.plus(x, y, click)
        self.use_own(points, x1=round(x, 1), x2=round(y, 1))

    def use_own(self, points: Any, **also: float) -> None:
        """Go on training, on other points."""
        with self.panel.lock:  # no frame in between: it would take the points away again
            self.own = points
            self.built = ((OWN,), *self.built[1:])
            self.training.use_points(points)
            self.panel.set(data=OWN, **also)

    def new_weights(self) -> None:
        seed = self.panel.controls["weights"]
        self.panel.set(weights=(seed.value + 1) % (seed.max + 1))


def playground(
    features: Features, make_net: Callable[..., nn.Module], train_step: TrainStep
) -> Panel:
    """Points, features, a net and its training, all to be changed while it trains.

    ``features(x1, x2)`` returns a dict of up to eight columns (N,), ``make_net(inputs, widths,
    activation)`` an ``nn.Sequential`` with one logit, ``train_step(net, x, y, learning_rate, l1,
    l2)`` does one step of gradient descent. Where a quicker way gives the same weights, the panel
    takes that; any other ``train_step`` is run as it is.
    """
    game = _Game(features, make_net, train_step)
    try:
        names = game.training.names()
    except Exception:  # the panel will say it: its update calls them again
        names = []
    game.names, game.widths = names, (4, 2)
    panel = Panel(
        game.update,
        game.view.fig,
        title="Playground",
        anew=game.forget,
        look="Press Play. Blue is positive, orange negative, in units and in weights. Point at a "
        "unit or a line; click a feature to switch it, or the large map to place points.",
        presets=presets(names),
        actions={
            "New weights": game.new_weights,
            "Go on from here": game.training.run.branch,
            "Point at +": lambda: game.edit(panel.values["x1"], panel.values["x2"]),
            "No points": lambda: game.use_own(no_points()),
        },
        run=game.training.run,
        dense=True,
        data=choice([*SETS, OWN]),
        learning_rate=log_slider(0.001, 10, LEARNING_RATE, "learn rate", per_decade=4),
        activation=choice(list(ACTIVATIONS)),
        noise=slider(0, 50, 5, 0, "noise %"),
        penalty=choice(["none", "L1", "L2"]),
        rate=log_slider(1e-4, 1, 0.001, "strength", per_decade=4),
        weights=slider(0, 99, 1, 0, "seed"),
        share=slider(10, 90, 10, 50, "train %"),
        units=text("4 2"),
        batch=slider(1, 30, 1, 10),
        speed=choice(SPEEDS),
        show=Offer(["output", *game.units()[:-1]]),
        weight=Offer(["none"]),
        set_to=text("", "set it to"),
        click=choice({"adds orange": 0, "adds blue": 1, "erases": -1}),
        x1=slider(-6.0, 6.0, 0.1, 0.0, "+ at x1"),
        x2=slider(-6.0, 6.0, 0.1, 0.0, "+ at x2"),
        sharp=toggle(False, "two colours only"),
        test=toggle(False, "show test points"),
        features=Toggles(names, names[:2]),
        code=game.code,
    )
    game.panel, panel.game = panel, game
    fig = game.view.fig
    fig.on_hover(game.view.net, game.point)
    fig.on_press(game.view.net, game.press)
    fig.on_press(game.view.plane, game.edit)
    if panel.error is None:
        panel.refresh()  # now that the lists of units and weights can be filled
    return panel
