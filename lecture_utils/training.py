"""Training that can be watched, paused, scrubbed and moved between devices.

``Run`` wraps one optimisation step; ``fit`` is the blocking form for supervised learning. Both
keep snapshots, so that a slider goes back and forth through training without training again.
"""

import copy
import functools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import ipywidgets as widgets
import torch
from torch import nn

from . import device, style
from .live import LiveFigure
from .panel import button, describe, stylesheet

FRAME_SHARE = 0.03
"""Share of the time that live curves may take in ``fit``, in the kernel."""
FIT_FRAMES_PER_SECOND = 4
"""Pictures a second of ``fit``, at most: the browser that shows them works on the same machine."""
FRAMES_PER_SECOND = 15
"""Pictures a second of a background run, at most."""


class TrainingFailed(RuntimeError):
    """Training stopped: the message says why, and which state was kept."""


@functools.lru_cache(maxsize=4)
def _order(count: int, seed: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def batch(step: int, count: int, size: int, seed: int = 0) -> torch.Tensor:
    """Indices (size,) of minibatch ``step`` out of ``count`` examples, each epoch shuffled anew.

    A function of ``step`` alone: a run that was rewound draws the same batches again.
    """
    size = min(size, count)
    epoch, within = divmod(step, count // size)
    order = _order(count, 1_000_003 * seed + epoch)
    return order[within * size : (within + 1) * size].clone()


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Share of rows of ``logits`` (N, classes) whose largest entry is at ``labels`` (N,)."""
    return (logits.argmax(dim=1) == labels).float().mean()


class Run:
    """A training that plays in the background.

    ``step(k, *data)`` does optimisation step ``k`` = 0, 1, ... and returns its loss, or a dict of
    named numbers of which the first is the loss. ``data`` are tensors; they, the ``models`` and
    the ``optimizers`` follow the device switch. Randomness must come from ``k`` (see ``batch``),
    then rewinding and playing again repeats the same run.

    ``evaluate(*data)``, if given, returns a dict of numbers, asked for with each snapshot.
    ``speed`` limits the steps a second, so that a class can watch a small problem. ``turn_name``
    is what the controls call a step, for one call of ``step`` may do a whole epoch.

    The run stops with a sentence in ``message`` when it reaches ``steps``, when the loss is no
    longer finite (the last good state is put back) and when ``step`` raises (kept in ``error``).
    """

    def __init__(
        self,
        step: Callable[..., Any],
        *,
        models: Sequence[nn.Module] = (),
        optimizers: Sequence[torch.optim.Optimizer] = (),
        data: Sequence[torch.Tensor] = (),
        evaluate: Callable[..., Mapping[str, Any]] | None = None,
        steps: int | None = None,
        snapshot_every: int = 1,
        max_snapshots: int = 200,
        speed: float | None = None,
        turn_name: str = "step",
    ) -> None:
        self._step, self.turn_name = step, turn_name
        self.models, self.optimizers = list(models), list(optimizers)
        self.data = [torch.as_tensor(d) for d in data]
        self.evaluate, self.steps, self.speed = evaluate, steps, speed
        self.snapshot_every, self.max_snapshots = snapshot_every, max_snapshots
        self._first_interval = snapshot_every
        self.position = 0
        """Steps behind the state that the models are in now."""
        self.reached = 0
        """Steps done so far, wherever the models are."""
        self.history: dict[str, tuple[list[int], list[float]]] = {}
        self.snapshots: list[tuple[int, Any]] = []
        self.message = ""
        self.error: BaseException | None = None
        self.playing = False
        self.lock = threading.RLock()
        self._guests = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[], None]] = []
        self._pending: list[tuple[int, dict[str, Any]]] = []
        self.move(device.current())
        device.follow(self)
        self._snapshot()

    # ---- state

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the run between two steps, for instance to look at its models.

        A panel's update may do this. Draw nothing inside: panels wait for runs, never the reverse.
        """
        # A thread that loops over a lock would take it again before a waiting one wakes up.
        self._guests += 1
        try:
            with self.lock:
                yield
        finally:
            self._guests -= 1

    def move(self, target: torch.device) -> None:
        """Bring models, optimizers and data to ``target``, between two steps."""
        with self.paused():
            for model in self.models:
                model.to(target)
            for optimizer in self.optimizers:
                device.move_optimizer(optimizer)
            self.data = [d.to(target) for d in self.data]

    def _state(self) -> Any:
        def clone(value: Any) -> Any:
            if torch.is_tensor(value):
                return value.detach().to("cpu", copy=True)
            if isinstance(value, Mapping):
                return {k: clone(v) for k, v in value.items()}
            return copy.copy(value)

        models = [clone(model.state_dict()) for model in self.models]
        return models, [clone(o.state_dict()["state"]) for o in self.optimizers]

    def _load(self, state: Any) -> None:
        models, optimizers = state
        for model, values in zip(self.models, models, strict=True):
            model.load_state_dict(values)
        for optimizer, values in zip(self.optimizers, optimizers, strict=True):
            # Settings such as the learning rate stay as the reader set them last.
            groups = optimizer.state_dict()["param_groups"]
            values = copy.deepcopy(values)
            optimizer.load_state_dict({"state": values, "param_groups": groups})

    def _snapshot(self) -> None:
        """Keep the present state, which must be the furthest."""
        if self.snapshots and self.snapshots[-1][0] == self.position:
            return
        self.snapshots.append((self.position, self._state()))
        if len(self.snapshots) > self.max_snapshots:
            # Drop every other one: even spacing, bounded memory. First and newest stay.
            self.snapshot_every *= 2
            self.snapshots = self.snapshots[:-1:2] + self.snapshots[-1:]
        if self.evaluate is not None:
            for name, value in self.evaluate(*self.data).items():
                value = value.detach() if torch.is_tensor(value) else value
                self._record(name, self.position, float(value))

    def _record(self, name: str, step: int, value: float) -> None:
        steps, values = self.history.setdefault(name, ([], []))
        while steps and steps[-1] >= step:  # done again, after going back to a good state
            del steps[-1], values[-1]
        steps.append(step)
        values.append(value)

    def _to_end(self) -> None:
        """Undo a seek: the models go back to the furthest state (``seek`` has kept it)."""
        if self.position != self.reached:
            self.position, state = self.snapshots[-1]
            self._load(state)

    # ---- steps

    @property
    def finished(self) -> bool:
        """Nothing more to do: all steps done, or stopped by an error."""
        return self.error is not None or (self.steps is not None and self.reached >= self.steps)

    def advance(self, steps: int = 1) -> int:
        """Do up to ``steps`` steps in the calling thread; returns how many were done."""
        start = self.reached
        while self.reached < start + steps and not self.finished:
            self.turn()
        with self.paused():
            self._flush()
        return self.reached - start

    def turn(self) -> None:
        """One step, then make way for whoever waits in ``paused``."""
        fall_back = False
        with self.lock:
            try:
                self._to_end()
                self._one()
            except torch.OutOfMemoryError as error:
                fall_back = device.current().type != "cpu"
                if not fall_back:
                    self._fail(error)
            except Exception as error:
                self._fail(error)
        if fall_back:  # here the error no longer holds the tensors of its step
            self._out_of_memory()
        while self._guests and not self._stop.is_set():
            time.sleep(0.0005)

    def _one(self) -> None:
        result = self._step(self.position, *self.data)
        if not isinstance(result, Mapping):
            result = {"loss": result}
        numbers = {k: v.detach() if torch.is_tensor(v) else v for k, v in result.items()}
        self._pending.append((self.position, numbers))
        self.position += 1
        self.reached = self.position
        due = self.position % self.snapshot_every == 0 or self.position == self.steps
        # To read a number from an accelerator is to wait for it: there, read in groups.
        group = 1 if device.current().type == "cpu" else 20
        if due or len(self._pending) >= group:
            self._flush()
        if due and self.error is None:
            if all(bool(p.isfinite().all()) for m in self.models for p in m.parameters()):
                self._snapshot()
            else:
                self._not_finite(self.position)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for step, numbers in pending:
            found = {name: float(value) for name, value in numbers.items()}
            if not math.isfinite(next(iter(found.values()), 0.0)):
                self._not_finite(step)
                return
            for name, value in found.items():
                self._record(name, step, value)

    def _not_finite(self, step: int) -> None:
        good, state = self.snapshots[-1]
        self._load(state)
        self.position = self.reached = good
        self._fail(
            TrainingFailed(
                f"The loss was no longer a finite number at step {step}. Training stopped; the "
                f"model is back at step {good}, its last good state. The usual causes: a learning "
                "rate that is too high, log(0), or a division by zero."
            )
        )

    def _out_of_memory(self) -> None:
        for model in self.models:
            model.zero_grad(set_to_none=True)
        device.use("cpu")
        with self.paused():
            # The step may have stopped half way through the weights.
            self.position, state = self.snapshots[-1]
            self.reached = self.position
            self._pending.clear()
            self._load(state)
        self.message = (
            f"The accelerator ran out of memory. Training goes on on the CPU from step "
            f"{self.position}. A smaller batch may fit."
        )

    def _fail(self, error: BaseException) -> None:
        self.error, self.message = error, describe(error)

    # ---- in the background

    def play(self) -> None:
        """Go on from the furthest step in a thread of its own."""
        if self.playing:
            return
        self._halt()
        self.error, self.message = None, ""
        if self.finished:
            self.message = "This run is done. Rewind to train again."
            self._notify()
            return
        self._stop = threading.Event()
        self.playing = True
        self._thread = threading.Thread(target=self._loop, args=(self._stop,), daemon=True)
        self._thread.start()
        self._notify()

    def pause(self) -> None:
        """Stop after the step under way; the state stays."""
        self._halt()
        self._notify()

    def step(self, steps: int = 1) -> None:
        """Pause, do ``steps`` steps and show the result."""
        self._halt()
        self.error, self.message = None, ""
        self.advance(steps)
        self._keep()
        self._notify()

    def rewind(self) -> None:
        """Back to the state before the first step; the record is emptied."""
        self._halt()
        with self.paused():
            self._load(self.snapshots[0][1])
            self._begin()
        self._notify()

    def restart(self, *, halt: bool = True) -> None:
        """Begin anew from the models as they are now, after they were given other weights.

        Without ``halt`` a run that plays goes on playing.
        """
        if halt:
            self._halt()
        with self.paused():
            for optimizer in self.optimizers:
                optimizer.state.clear()
            self._begin()
        self._notify()

    def branch(self) -> None:
        """Forget what came after the present state, and go on from it as it is now.

        For after a seek, or after the models were changed by hand.
        """
        with self.paused():
            now = self.position
            self.reached = now
            self.error, self.message = None, ""
            self.snapshots = [s for s in self.snapshots if s[0] < now]
            self._pending = [p for p in self._pending if p[0] < now]
            for steps, values in self.history.values():
                while steps and steps[-1] >= now:
                    del steps[-1], values[-1]
            self._snapshot()
        self._notify()

    def _begin(self) -> None:
        """Count the present state as step 0 and empty the record."""
        self.position = self.reached = 0
        self.snapshot_every = self._first_interval
        self.error, self.message = None, ""
        self.history, self.snapshots = {}, []
        self._pending.clear()
        self._snapshot()

    def seek(self, index: int) -> None:
        """Put the models into snapshot ``index``; ``play`` and ``step`` go on from the end."""
        wanted, _ = self.snapshots[index]
        self._halt()  # may keep one more snapshot, and thin them out
        with self.paused():
            earlier = [s for s in self.snapshots if s[0] <= wanted]
            self.position, state = earlier[-1]
            self._load(state)
        self._notify()

    def _halt(self) -> None:
        """End the thread, with the furthest state in the last snapshot."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._keep()

    def _keep(self) -> None:
        with self.paused():
            if self.error is None and self.position == self.reached:
                self._flush()
            if self.error is None and self.position == self.reached:
                self._snapshot()

    @property
    def stopping(self) -> bool:
        """Somebody waits for this very thread to end: a listener in it must not block now."""
        return self._stop.is_set() and threading.current_thread() is self._thread

    def on_frame(self, listener: Callable[[], None]) -> None:
        """Call ``listener()`` while training, at most 15 times a second, and on each change."""
        self._listeners.append(listener)

    def _notify(self) -> None:
        errors = []
        for listener in list(self._listeners):
            try:
                listener()
            except Exception as error:  # the others are told all the same
                errors.append(error)
        if errors:
            raise errors[0]

    def _loop(self, stop: threading.Event) -> None:
        for work in (functools.partial(self._train, stop), self._notify):
            try:
                work()
            except Exception as error:  # of a listener: those of a step are kept by `turn`
                self._fail(error)
            self.playing = False

    def _train(self, stop: threading.Event) -> None:
        shown = due = time.perf_counter()
        while not stop.is_set() and not self.finished:
            self.turn()
            now = time.perf_counter()
            if self.speed:  # which may change meanwhile
                due = max(due, now - 1 / self.speed) + 1 / self.speed
                if due > now and stop.wait(due - now):
                    break
            if now - shown >= 1 / FRAMES_PER_SECOND:
                with self.lock:
                    self._flush()
                self._notify()
                # A slow picture is followed by as long a time for training.
                after = time.perf_counter()
                shown = max(now, after - 1 / FRAMES_PER_SECOND + (after - now))
        self._keep()
        if self.finished and self.error is None:
            self.message = f"Done: {self.reached} steps."

    # ---- results

    def last(self, name: str) -> float:
        """The newest value of ``name`` in the record (nan if there is none)."""
        return self.history[name][1][-1] if name in self.history else math.nan

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values recorded for ``name``."""
        steps, values = self.history.get(name, ([], []))
        length = min(len(steps), len(values))  # the other thread may be between two appends
        return steps[:length], values[:length]


class RunControls(widgets.VBox):
    """Play, pause, step, rewind and scrub for a ``Run``."""

    def __init__(self, run: Run, stride: int = 1) -> None:
        self.run = run
        self.play_button = button("Play", self._toggle, "Train, or pause")
        self.step_button = button("Step", lambda: run.step(stride), f"{stride} {run.turn_name}(s)")
        self.rewind_button = button("Rewind", run.rewind, "Back to the start, same random numbers")
        row = widgets.HBox([self.play_button, self.step_button, self.rewind_button])
        row.add_class("lecture-buttons")
        self.slider = widgets.IntSlider(max=0, description="scrub", readout=False)
        self.slider.layout.width = "100%"
        self.state = widgets.HTML()
        self._own = threading.local()  # set in a thread that moves the slider for the run
        self.slider.observe(self._scrub, "value")
        super().__init__([row, self.slider, self.state])
        self.add_class("lecture-wide")
        self.add_class("lecture-run")
        run.on_frame(self._follow)
        self._follow()

    def _toggle(self) -> None:
        self.run.pause() if self.run.playing else self.run.play()
        self._follow()

    def _scrub(self, change: Any) -> None:
        if not getattr(self._own, "moves", False):
            self.run.seek(change["new"])

    def _follow(self) -> None:
        run = self.run
        steps = [step for step, _ in list(run.snapshots)]
        # Snapshots are thinned out, so the place is looked up, never counted.
        place = max((i for i, s in enumerate(steps) if s <= run.position), default=0)
        self._own.moves = True
        try:
            self.slider.max = len(steps) - 1
            self.slider.value = place
        finally:
            self._own.moves = False
        self.play_button.description = "Pause" if run.playing else "Play"
        total = f" of {run.steps}" if run.steps else ""
        self.state.value = f"{run.turn_name} {run.position}{total}" + (
            f"<br>{run.message}" if run.message else ""
        )


class Curves:
    """Live loss curve, with a second axis for scores in 0..1 if there are any.

    Axis limits are fixed ahead, so a frame moves lines only and costs a few milliseconds.
    """

    def __init__(self, steps: int, scores: Sequence[str] = (), top: float = 1.0) -> None:
        self.figure = LiveFigure(860, 340, alt="Loss while training")
        axes = self.figure.subplots(1, 2 if scores else 1, squeeze=False)[0]
        self.loss_axes = axes[0]
        self.loss_axes.set(
            xlim=(0, max(steps, 1)), xlabel="step", ylabel="loss", ylim=(0, 1.1 * top)
        )
        (self.loss,) = self.figure.live(
            *self.loss_axes.plot([], [], color=style.TRAIN, lw=1.5, alpha=0.8, label="train")
        )
        (self.test,) = self.figure.live(
            *self.loss_axes.plot([], [], "o-", color=style.TEST, label="test")
        )
        self.loss_axes.legend(loc="upper right")
        self.scores = {}
        if scores:
            axes[1].set(xlim=(0, max(steps, 1)), ylim=(0, 1.02), xlabel="step")
            for name, marker in zip(scores, style.MARKERS, strict=False):
                self.scores[name] = self.figure.live(
                    *axes[1].plot([], [], f"{marker}-", color=style.TEST, label=name)
                )[0]
            axes[1].legend(loc="lower right")

    def draw(self, run: Run, droppable: bool = True) -> None:
        for line, name in [
            (self.loss, "loss"),
            (self.test, "test loss"),
            *((line, name) for name, line in self.scores.items()),
        ]:
            line.set_data(*run.curve(name))
        top = max([*run.curve("loss")[1], *run.curve("test loss")[1]], default=1.0)
        if top > self.loss_axes.get_ylim()[1] or self.loss_axes.get_ylim()[1] > 20 * top:
            self.loss_axes.set_ylim(0, 1.1 * top)
        self.figure.refresh(droppable=droppable)


def fit(
    model: nn.Module,
    train: tuple[torch.Tensor, torch.Tensor],
    *,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    test: tuple[torch.Tensor, torch.Tensor] | None = None,
    scores: Mapping[str, Callable[[torch.Tensor, torch.Tensor], Any]] | None = None,
    epochs: int = 1,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None,
    seed: int = 0,
    live: bool = True,
) -> Run:
    """Train ``model`` on ``train`` = (inputs, targets) here and now, with live curves.

    ``loss`` and each of ``scores`` take (outputs, targets). The test set is looked at after every
    epoch. An interrupt (the stop button) ends training and keeps the state reached. Returns the
    ``Run``: its ``history``, and its snapshots to scrub through.

    Raises ``TrainingFailed`` when the loss is no longer finite; the last good state is kept.
    """
    scores = dict(scores or {})
    count = len(train[0])
    if len(train[1]) != count:
        raise ValueError(f"train: {count} inputs but {len(train[1])} targets; they must pair up.")
    per_epoch = max(count // min(batch_size, count), 1)
    steps = epochs * per_epoch
    device.follow(model)
    stepper = optimizer(model.parameters(), lr=learning_rate)

    def step(k: int, x: torch.Tensor, y: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        chosen = batch(k, count, batch_size, seed).to(x.device)
        inputs = x[chosen]
        if augment is not None:
            generator = torch.Generator().manual_seed(1_000_003 * seed + k)
            inputs = augment(inputs, generator)
        model.train()
        value = loss(model(inputs), y[chosen])
        stepper.zero_grad()
        value.backward()
        stepper.step()
        return value

    def evaluate(*tensors: torch.Tensor) -> dict[str, Any]:
        model.eval()
        x, y = tensors[-2:]
        with torch.no_grad():
            outputs = torch.cat([model(x[i : i + 1000]) for i in range(0, len(x), 1000)])
            found = {"test loss": loss(outputs, y)}
            return found | {f"test {name}": score(outputs, y) for name, score in scores.items()}

    run = Run(
        step,
        models=[model],
        optimizers=[stepper],
        data=[*train, *(test or ())],
        evaluate=evaluate if test is not None else None,
        steps=steps,
        snapshot_every=per_epoch,
    )
    _fit_loop(run, [f"test {name}" for name in scores] if test is not None else [], live, per_epoch)
    model.eval()
    return run


def _fit_loop(run: Run, scores: list[str], live: bool, per_epoch: int) -> None:
    """Drive ``run`` to its end with a progress bar and curves, in the calling thread."""
    bar = widgets.IntProgress(max=run.steps, layout={"width": "320px"})
    words = widgets.HTML()
    run.turn()  # the first loss sets the axis
    curves = None
    if live:
        curves = Curves(run.steps, scores, max(run.curve("loss")[1], default=1.0) or 1.0)
        row = widgets.HBox([bar, words])
        box = widgets.VBox([widgets.HTML(stylesheet()), row, curves.figure])
        box.add_class("lecture-panel")
        _display(box)
    began = last = time.perf_counter()
    cost = spent = 0.0

    def tell(end: str = "") -> None:
        seconds = time.perf_counter() - began
        bar.value = run.position
        numbers = "  ".join(f"{name} {run.last(name):.3f}" for name in run.history)
        left = seconds / max(run.position, 1) * (run.steps - run.position)
        words.value = escape(
            f"epoch {run.position / per_epoch:.1f}  {numbers}  "
            + (end or f"{seconds:.0f} s, about {left:.0f} s left")
        )
        if curves is not None:
            curves.draw(run, droppable=not end)

    end = "interrupted"
    try:
        while not run.finished:
            run.turn()
            now = time.perf_counter()
            due = now - last > 1 / FIT_FRAMES_PER_SECOND
            if live and due and spent + cost < FRAME_SHARE * (now - began):
                tell()
                last = time.perf_counter()
                cost = last - now
                spent += cost
        end = "done" if run.error is None else "stopped"
    except KeyboardInterrupt:
        run.message = f"Interrupted at step {run.position}: the model keeps what it has learned."
    run._keep()
    if live:
        tell(f"{end} after {time.perf_counter() - began:.1f} s")
        if run.message:
            words.value += f"<br>{run.message}"
    if run.error is not None:
        raise run.error


def _display(widget: widgets.Widget) -> None:
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        display(widget)
