"""Panels of 03_backprop: training on real digits with one ingredient taken out, and its symptom."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import device, style
from ..data import Digits
from ..data import path as data_path
from ..draw import place
from ..live import LiveFigure
from ..panel import Panel, Player, choice, toggle
from ..probe import UPDATE_RATIO, Probe
from ..training import Run

BATCH = 64
SEEN = 400 * BATCH
"""Digits a training sees, whatever its batch size."""
PROBE_EVERY = 5
LAYERS = ("0", "2", "4")
"""Names of the three linear layers in the net; "1" and "3" follow with the activation."""
FLOOR, TOP = 1e-6, 1e2
"""Limits of the probe's axis; 0 is drawn at the lower one."""
SYMPTOMS = ("healthy", "diverging", "dead", "stuck at chance", "forgetting", "plateau", "slow")

Recipe = dict[str, Any]


def measure(probe: Probe) -> dict[str, float]:
    """What the probe saw in the last step: numbers by "group layer".

    Spread of each layer's activations, root mean square of the gradient that reaches it (for one
    example), size of its last update relative to its weights, and the share of dead hidden units.
    """
    records = {record.name: record for record in probe.records()}
    found = {}
    for k, name in enumerate(LAYERS):
        after = records.get(str(int(name) + 1), records[name])
        found[f"activation {k + 1}"] = after.std
        gradient = records[name].gradient
        found[f"gradient {k + 1}"] = 0.0 if math.isnan(gradient) else gradient * after.shape[0]
        found[f"update {k + 1}"] = records[name].update_ratio
        if after is not records[name]:
            found[f"dead {k + 1}"] = after.dead
    return found


class Training:
    """A net, its optimizer and its probe, made anew for each recipe; steps for a ``Run``."""

    def __init__(
        self,
        make_net: Callable[..., nn.Module],
        train_step: Callable[..., Tensor],
        prepare: Callable[[Tensor, Recipe], Tensor],
        seed: int = 0,
    ) -> None:
        self.make_net, self.train_step, self.prepare, self.seed = (
            make_net,
            train_step,
            prepare,
            seed,
        )

    def begin(self, recipe: Recipe, count: int) -> None:
        """Start over with ``recipe`` on ``count`` training digits."""
        self.recipe = dict(recipe)
        self.batch = BATCH if recipe["batches"] else count
        self.steps = math.ceil(SEEN / self.batch)
        self.net = self.make_net(self.recipe, self.seed).to(device.current())
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=recipe["rate"])

    def step(self, k: int, images: Tensor, labels: Tensor, *_: Tensor) -> dict[str, Any]:
        """Step ``k`` for a ``Run``; every fifth is probed, which takes as long as the step."""
        arguments = (k, self.net, self.optimizer, images, labels, self.recipe, self.seed)
        if k % PROBE_EVERY and self.batch == BATCH:
            return {"loss": self.train_step(*arguments)}
        with Probe(self.net, self.optimizer) as probe:
            loss = self.train_step(*arguments)
        return {"loss": loss, **measure(probe)}

    @torch.no_grad()
    def evaluate(self, *data: Tensor) -> dict[str, Tensor]:
        images, labels = data[-2:]
        said = self.net(self.prepare(images, self.recipe)).argmax(dim=1)
        return {"accuracy": (said == labels).float().mean()}

    def run(self, digits: Digits) -> Run:
        """A ``Run`` of the recipe begun last; its snapshots are densest where most happens."""
        return Run(
            self.step,
            models=[self.net],
            optimizers=[self.optimizer],
            data=list(digits),
            evaluate=self.evaluate,
            steps=self.steps,
            snapshot_every=1,
            max_snapshots=50,
            speed=150,
        )


def record(training: Training, recipe: Recipe, digits: Digits) -> dict[str, Any]:
    """Train to the end; the history by name, each (steps, values), and the batch size."""
    training.begin(recipe, len(digits.train_x))
    run = training.run(digits)
    run.advance(training.steps)
    return {**run.history, "batch": training.batch, "failed": run.error is not None}


def as_arrays(history: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A record as arrays of float32, one row for each probed step.

    step (T,), loss (T,), accuracy (T,), activation, gradient and update (T, 3), dead (T, 2).
    """
    steps = history["gradient 1"][0]
    found = {
        "step": steps,
        "loss": [_until(history["loss"], k)[-1] for k in steps],
        "accuracy": [_until(history["accuracy"], k)[-1] for k in steps],
    }
    for group, layers in (("activation", 3), ("gradient", 3), ("update", 3), ("dead", 2)):
        columns = [history[f"{group} {k + 1}"][1] for k in range(layers)]
        found[group] = np.stack(columns, axis=1)
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def recorded_runs() -> dict[str, dict[str, np.ndarray]]:
    """The shipped recordings by name, "healthy" and "A" to "I", as ``as_arrays`` gives them."""
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(data_path("backprop_runs.npz")) as arrays:
        for key in arrays:
            name, part = key.split("/")
            found.setdefault(name, {})[part] = arrays[key]
    return found


def _until(curve: tuple[list[int], list[float]], step: float) -> list[float]:
    """Values of a curve up to ``step``."""
    return [v for k, v in zip(*curve, strict=True) if k <= step]


def symptom(history: Mapping[str, Any], healthy: Mapping[str, Any], position: int) -> str:
    """One of ``SYMPTOMS``, from what a look at curves and probe shows after ``position`` steps."""
    losses = _until(history["loss"], position - 1) if "loss" in history else []
    if history["failed"] or (losses and losses[-1] > 10):
        return "diverging"
    if len(losses) * history["batch"] < 1000:
        return ""
    accuracy = _until(history["accuracy"], position)[-1]
    same = position * history["batch"] / healthy["batch"]
    good = _until(healthy["accuracy"], same)[-1]
    dead = max(_until(history[f"dead {k}"], position - 1)[-1] for k in (1, 2))
    if max(losses) - min(losses) < 0.1 and abs(losses[-1] - math.log(10)) < 0.1:
        return "stuck at chance"
    if dead > 0.9:
        return "dead"
    recent = losses[-60:]
    if max(recent) > 2 * math.log(10) or (max(recent) > 20 * min(recent) and accuracy < 0.7):
        return "forgetting"
    if good - accuracy < 0.025:
        return "healthy"
    earlier = _until(history["accuracy"], 0.75 * position)[-1]
    return "plateau" if accuracy > 0.8 and accuracy - earlier < 0.015 else "slow"


WHY = {
    "backprop": "The hidden layers keep their random weights; only the last one learns.",
    "zero_grad": "Old gradients add up, the steps grow, and ReLU ends at 0 everywhere.",
    "batches": "As many digits seen, but in only 7 steps.",
    "shuffled": "Each batch holds one kind of digit: it is learned, and the one before forgotten.",
    "activation": "With nothing between them, three layers are one linear map.",
    "loss": "A softmax of a softmax: faint gradients, and no loss below 1.46.",
    "initialization": "All units of a layer are alike, and no gradient gets past zero weights.",
    "scaling": "Inputs up to 255: the first steps are so long that they throw every unit to "
    "where ReLU is 0.",
    "rate up": "Every step overshoots further than the one before.",
    "rate down": "The right way, in tiny steps: look how small the updates are.",
}
"""Why a recipe without the ingredient goes wrong."""

LABELS = {
    "backprop": "backprop through all layers",
    "zero_grad": "zero_grad each step",
    "batches": "batches of 64",
    "shuffled": "shuffled digits",
    "activation": "ReLU between layers",
    "loss": "right loss",
    "initialization": "random initialization",
    "scaling": "scaled inputs",
}


def broken(values: Recipe, healthy: Recipe) -> list[str]:
    """The ingredients in which two recipes differ, as keys of ``WHY``."""
    found = [name for name in LABELS if values[name] != healthy[name]]
    if values["rate"] != healthy["rate"]:
        found.append("rate up" if values["rate"] > healthy["rate"] else "rate down")
    return found


class _View:
    """Loss, accuracy and probe of one training beside those of the healthy one."""

    def __init__(self, fig: LiveFigure, healthy: Mapping[str, Any]) -> None:
        self.healthy = healthy
        self.loss_ax, self.score_ax, self.probe_ax = (fig.add_subplot() for _ in range(3))
        place(
            fig,
            {
                self.loss_ax: (96, 250, 284, 160),
                self.score_ax: (96, 62, 284, 150),
                self.probe_ax: (466, 62, 342, 290),
            },
        )
        thousands = 1.1 * SEEN / 1000
        self.loss_ax.set(xlim=(0, thousands), ylim=(0.01, 1000), yscale="log", ylabel="loss")
        self.loss_ax.set(xticklabels=[], yticks=[0.01, 1, 100])
        self.score_ax.set(xlim=(0, thousands), ylim=(0, 1), ylabel="accuracy")
        self.score_ax.set_xlabel("digits seen, in thousands", labelpad=2)
        grey = {"color": style.MUTED, "lw": 3}
        for ax, name in ((self.loss_ax, "loss"), (self.score_ax, "accuracy")):
            ax.plot(*self._scaled(healthy, name), **grey, label="healthy")
        (self.loss,) = self.loss_ax.plot([], [], color=style.LOSS, lw=2.5)
        (self.score,) = self.score_ax.plot([], [], color=style.TEST, lw=3)
        self.marks = [
            ax.plot([], [], "o", color=style.INK, ms=10, clip_on=False, zorder=5)[0]
            for ax in (self.loss_ax, self.score_ax)
        ]
        self.loss_ax.legend(loc="upper right", borderaxespad=0)
        self._build_probe()
        fig.live(self.loss, self.score, self.marks, self.theirs, self.ours)

    def _build_probe(self) -> None:
        ax = self.probe_ax
        ax.set(xlim=(-0.7, 10.7), ylim=(FLOOR / 2, TOP * 2), yscale="log", xlabel="layer")
        ax.set_xticks([0, 1, 2, 4, 5, 6, 8, 9, 10], [1, 2, 3] * 3)
        ax.set_yticks([FLOOR, 1e-4, 1e-2, 1, 100], ["0", "$10^{-4}$", "0.01", "1", "100"])
        ax.minorticks_off()
        ax.plot([7.4, 10.6], [UPDATE_RATIO] * 2, ":", color=style.INK, lw=2.5)
        ax.text(7.5, UPDATE_RATIO * 0.75, "$10^{-3}$", va="top", ha="left")
        heads = ("activation\nspread", "gradient", "update /\nweight")
        colours = (style.ACTIVATION, style.GRADIENT, style.WEIGHT)
        self.ours, self.theirs = [], []
        for k, (head, colour, marker) in enumerate(zip(heads, colours, "osD", strict=True)):
            ax.text(4 * k + 1, TOP * 4, head, color=colour, weight="bold", ha="center", va="bottom")
            self.theirs += ax.plot(
                [], [], marker, ms=17, mfc="none", mec=style.MUTED, mew=3, ls="none"
            )
            self.ours += ax.plot([], [], marker, ms=11, color=colour, lw=2, clip_on=False)

    @staticmethod
    def _scaled(history: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
        """A curve over thousands of digits, its values kept inside the axes."""
        steps, values = history.get(name, ([], []))
        low, high = (0.01, 1000) if name == "loss" else (0, 1)
        return np.array(steps) * history["batch"] / 1000, np.clip(values, low, high)

    def show(self, history: Mapping[str, Any], position: int) -> None:
        """``history`` after ``position`` steps; the healthy one after as many digits."""
        for line, mark, name in zip(
            (self.loss, self.score), self.marks, ("loss", "accuracy"), strict=True
        ):
            x, y = self._scaled(history, name)
            line.set_data(x, y)
            now = position - (name == "loss")
            seen = x <= now * history["batch"] / 1000 + 1e-9
            mark.set_data(x[seen][-1:], y[seen][-1:])
        same = position * history["batch"] / self.healthy["batch"]
        for k, group in enumerate(("activation", "gradient", "update")):
            for lines, source, step in (
                (self.ours, history, position),
                (self.theirs, self.healthy, same),
            ):
                values = [
                    _until(source.get(f"{group} {layer}", ([], [])), max(step - 1, 0))[-1:]
                    for layer in (1, 2, 3)
                ]
                known = [v[0] for v in values if v] if step else []
                heights = np.clip(np.nan_to_num(known, posinf=TOP), FLOOR, TOP)
                lines[k].set_data(4 * k + np.arange(len(heights)), heights)


def recipe(
    make_net: Callable[..., nn.Module],
    train_step: Callable[..., Tensor],
    prepare: Callable[[Tensor, Recipe], Tensor],
    healthy: Recipe,
    digits: Digits,
) -> Panel:
    """The training of ``train_step`` with a switch for each ingredient, beside the healthy one.

    ``make_net(recipe, seed)`` builds a net of three linear layers, ``prepare(images, recipe)``
    its inputs; ``train_step(k, net, optimizer, images, labels, recipe, seed)`` returns a loss.
    The healthy training is done here, once.
    """
    good = record(Training(make_net, train_step, prepare), healthy, digits)
    fig = LiveFigure(820, 430)
    view = _View(fig, good)
    training = Training(make_net, train_step, prepare)
    training.begin(healthy, len(digits.train_x))
    run = training.run(digits)
    state = {"recipe": dict(training.recipe)}

    def update(rate: float, **switches: bool) -> str:
        values = {**healthy, **switches, "rate": rate}
        if values != state["recipe"]:
            state["recipe"] = values
            run.pause()
            with run.paused():
                training.begin(values, len(digits.train_x))
                run.models[:], run.optimizers[:] = [training.net], [training.optimizer]
                run.steps = training.steps
            run.restart()
        with run.paused():
            history = {name: run.curve(name) for name in run.history}
            position, failed = run.position, run.error is not None
        history.update(batch=training.batch, failed=failed)
        view.show(history, position)
        return _tell(history, good, position, broken(values, healthy))

    def preset(note: str, **changed: Any) -> dict[str, Any]:
        values = {name: value for name, value in healthy.items() if name in (*LABELS, "rate")}
        return {**values, **changed, "note": note}

    rate = healthy["rate"]
    return Panel(
        update,
        fig,
        title="The recipe, with switches",
        look="Take an ingredient out and press Play. Grey is the healthy training. "
        "Name the symptom before the panel does.",
        run=run,
        still=200,
        presets={
            "healthy": preset("Works: all ingredients are in."),
            "zero weights": preset("Fails: stuck at chance.", initialization=False),
            "no zero_grad": preset("Fails: starts well, then dies.", zero_grad=False),
            "no ReLU": preset("Fails: a plateau, at what a linear net can do.", activation=False),
            "rate × 100": preset("Fails: diverges.", rate=100 * rate),
            "huge batch": preset("Fails: slow.", batches=False),
        },
        rate=choice(
            {f"{rate:g}": rate, f"{rate:g} × 100": 100 * rate, f"{rate:g} ÷ 100": rate / 100},
            rate,
            "learn rate",
        ),
        **{name: toggle(healthy[name], label) for name, label in LABELS.items()},
    )


def _tell(
    history: Mapping[str, Any], healthy: Mapping[str, Any], position: int, missing: list[str]
) -> str:
    """The sentence under the recipe panel."""
    if not position and not history["failed"]:
        return "Nothing trained yet: press Play." + (" What will happen?" if missing else "")
    accuracy = _until(history["accuracy"], position)[-1]
    same = _until(healthy["accuracy"], position * history["batch"] / healthy["batch"])[-1]
    losses = _until(history["loss"], max(position - 1, 0)) if "loss" in history else []
    said = f"{position} step{'s' * (position != 1)}, {position * history['batch']:,} digits: "
    if losses:
        said += f"loss {losses[-1]:.3g}, "
    said += f"{accuracy:.1%} of the test digits right (healthy: {same:.1%})."
    name = symptom(history, healthy, position)
    if not name:
        return said + " Too early to say."
    said += f" Looks <b>{name}</b>." if name == "healthy" else f" Symptom: <b>{name}</b>."
    done = position * history["batch"] >= SEEN / 2 or history["failed"]
    if missing and done and name != "healthy":
        said += " " + " ".join(WHY[m] for m in missing)
    return said


def _as_history(run: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What ``as_arrays`` made, as curves by name again."""
    steps = run["step"].astype(int).tolist()
    curves: dict[str, Any] = {"batch": BATCH, "failed": False}
    for name in ("loss", "accuracy"):
        curves[name] = (steps, run[name].tolist())
    for name in ("activation", "gradient", "update", "dead"):
        for k, column in enumerate(run[name].T):
            curves[f"{name} {k + 1}"] = (steps, column.tolist())
    return curves


def recorded(runs: Mapping[str, Mapping[str, np.ndarray]], names: str = "ABC") -> Panel:
    """The recordings ``names`` beside the healthy one, without their diagnosis."""
    fig = LiveFigure(820, 430)
    histories = {name: _as_history(run) for name, run in runs.items()}
    view = _View(fig, histories["healthy"])
    steps = histories["healthy"]["loss"][0]
    player = Player(len(steps) - 1, len(steps) - 1, label="time", rate=10)

    def update(recording: str, k: int) -> str:
        history = histories[recording]
        view.show(history, steps[k] + 1)
        dead = ", ".join(f"{history[f'dead {layer}'][1][k]:.0%}" for layer in (1, 2))
        return (
            f"Run {recording}, step {steps[k]}: loss {history['loss'][1][k]:.3g}, "
            f"{history['accuracy'][1][k]:.1%} right. Dead units in layers 1 and 2: {dead}."
        )

    return Panel(
        update,
        fig,
        title="Recorded runs",
        look="One ingredient is missing in each. Scrub, and compare with the healthy one in grey.",
        recording=choice(list(names)),
        k=player,
    )
