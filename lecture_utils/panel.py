"""A panel: controls, an update function, and a live figure, with title, presets and reset.

Plain Python objects throughout: ``panel.controls["w1"].value = 3`` does what the slider does.
"""

import functools
import linecache
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import traitlets

from .live import STATIC, LiveFigure, answer_beside_cells, with_still

strict = False
"""With ``True`` an error in an update is raised as well as shown; the tests set it."""


@functools.cache
def stylesheet() -> str:
    """The style of all panels, as a tag to put into an HTML widget."""
    return f"<style>{(STATIC / 'panel.css').read_text()}</style>"


# ---- controls


def slider(
    low: float, high: float, step: float = 0.1, value: float | None = None, label: str = ""
) -> widgets.Widget:
    """A slider from ``low`` to ``high``; whole numbers if all three are ints."""
    value = low if value is None else value
    if all(isinstance(v, int) for v in (low, high, step, value)):
        kind, extra = widgets.IntSlider, {}
    else:
        digits = max(0, len(f"{step:.6f}".rstrip("0").split(".")[1]))
        kind, extra = widgets.FloatSlider, {"readout_format": f".{digits}f"}
    return kind(value=value, min=low, max=high, step=step, description=label, **extra)


def log_slider(
    low: float, high: float, value: float, label: str = "", per_decade: int = 10
) -> widgets.Widget:
    """A slider over powers of ten, ``per_decade`` steps each; starts at the step next to ``value``.

    Between two steps the page would show another number than the kernel holds.
    """
    from math import log10

    first = log10(low)
    return widgets.FloatLogSlider(
        value=10 ** (first + round((log10(value) - first) * per_decade) / per_decade),
        min=first,
        max=log10(high),
        step=1 / per_decade,
        description=label,
        readout_format=".2g",
    )


def choice(
    options: Sequence[Any] | Mapping[str, Any], value: Any = None, label: str = ""
) -> widgets.Widget:
    """A drop-down list; a mapping shows its keys and gives its values."""
    options = list(options.items()) if isinstance(options, Mapping) else list(options)
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    return widgets.Dropdown(
        options=options, value=first if value is None else value, description=label
    )


def toggle(value: bool = False, label: str = "") -> widgets.Widget:
    """A check box."""
    return widgets.Checkbox(value=value, description=label, indent=False)


def text(value: str = "", label: str = "", placeholder: str = "") -> widgets.Widget:
    """A line of text, taken when Return is pressed."""
    return widgets.Text(
        value=value, description=label, placeholder=placeholder, continuous_update=False
    )


def control(spec: Any, label: str) -> widgets.Widget:
    """A widget from a short form: (low, high[, step[, value]]), a list, a bool or a string."""
    if isinstance(spec, widgets.Widget):
        widget = spec
    elif isinstance(spec, bool):
        widget = toggle(spec)
    elif isinstance(spec, tuple):
        widget = slider(*spec)
    elif isinstance(spec, list | Mapping):
        widget = choice(spec)
    elif isinstance(spec, str):
        widget = text(spec)
    else:
        raise TypeError(
            f"control {label!r}: expected a widget, (low, high, step, value), a list of options, "
            f"a bool or a string, got {spec!r}"
        )
    if not getattr(widget, "description", None) and hasattr(widget, "description"):
        widget.description = label
    widget.layout.width = "100%"
    return widget


def button(label: str, act: Callable[[], Any], tip: str = "") -> widgets.Button:
    """A button that calls ``act()``; ``tip`` is shown when the pointer rests on it."""
    made = widgets.Button(description=label, tooltip=tip, layout={"width": "auto"})
    made.on_click(lambda _: act())
    return made


class Player(widgets.VBox):
    """A position ``value`` in 0..``max`` with play, pause, step and a slider to scrub.

    Playing counts in the kernel, one step when the picture of the last one is done, so a slow
    figure plays slowly and never shows old frames late. It pauses when anything else moves it:
    a preset, say, or a hand on the slider.
    """

    value = traitlets.Int(0)
    max = traitlets.Int(0)

    def __init__(self, max: int = 0, value: int = 0, label: str = "step", rate: float = 8) -> None:
        self.rate = rate  # steps a second
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.slider = widgets.IntSlider(max=max, value=value, description=label)
        self.slider.layout.width = "100%"
        self.play_button = button("Play", self._toggle, "Play or pause")
        self.buttons = [
            button("Start", self.first, "Back to the start"),
            button("◀", self.back, "One step back"),
            self.play_button,
            button("▶", self.forward, "One step forward"),
        ]
        row = widgets.HBox(self.buttons)
        row.add_class("lecture-buttons")
        super().__init__([row, self.slider], max=max, value=value)
        self.add_class("lecture-wide")
        self.add_class("lecture-run")
        traitlets.link((self, "max"), (self.slider, "max"))
        traitlets.link((self, "value"), (self.slider, "value"))
        self.observe(self._moved, "value")

    def _moved(self, change: Any) -> None:
        if self.playing and change["new"] != change["old"] + 1:
            self.pause()

    @traitlets.validate("value")
    def _inside(self, proposal: Any) -> int:
        return min(max(0, proposal["value"]), self.max)

    def first(self) -> None:
        self.pause()
        self.value = 0

    def back(self) -> None:
        self.pause()
        self.value -= 1

    def forward(self) -> None:
        self.pause()
        self.value += 1

    def _toggle(self) -> None:
        self.pause() if self.playing else self.play()

    @property
    def playing(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    def play(self) -> None:
        """Count up to ``max`` at ``rate`` steps a second; from the start if already there."""
        self.pause()
        if self.value >= self.max:
            self.value = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, args=(self._stop,), daemon=True)
        self.play_button.description = "Pause"
        self._thread.start()

    def pause(self) -> None:
        self._stop.set()
        self.play_button.description = "Play"

    def _count(self, stop: threading.Event) -> None:
        while not stop.wait(1 / self.rate) and self.value < self.max:
            self.value += 1
        if not stop.is_set():
            stop.set()  # this one: a new play may have begun
            self.play_button.description = "Play"


# ---- errors


def own_line(error: BaseException) -> tuple[int, str] | None:
    """(line number, source) of the innermost notebook-cell line in an error's traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = frame.filename
        if name.startswith("<ipython-input") or "ipykernel_" in Path(name).parent.name:
            return frame.lineno or 0, (frame.line or linecache.getline(name, frame.lineno or 0))
    return None


def describe(error: BaseException) -> str:
    """An error as HTML: what was wrong, and the line of the notebook it came from."""
    words = escape(str(error)) or "no message"
    kind = "" if type(error).__name__.endswith("Failed") else f"{type(error).__name__}: "
    where = ""
    if line := own_line(error):
        where = f"<pre>line {line[0]} of your cell:  {escape(line[1].strip())}</pre>"
    return f'<div class="lecture-error" role="alert"><b>{kind}</b>{words}{where}</div>'


# ---- panel

MOST_BUTTONS = 8
"""More presets than these stand in a list: as buttons they would push the controls off the page."""
CHOOSE = "choose a preset …"


class Panel(widgets.VBox):
    """Controls tied to ``update`` and a live figure.

    >>> fig = LiveFigure(600, 300)
    >>> ax = fig.add_subplot()
    >>> (line,) = fig.live(*ax.plot([0, 1], [0, 1]))
    >>> def update(slope):
    ...     line.set_ydata([0, slope])
    ...     return f"rises by {slope:.1f}"
    >>> panel = Panel(update, fig, title="A line", look="Watch the right end.",
    ...               slope=slider(-1, 1, 0.1, 0.5))

    ``update`` gets the value of each control by name and changes artists; what it returns is
    shown under the figure as the message. A preset maps control names to values; the key
    ``"note"`` holds its sentence. ``actions`` are further buttons. With ``run`` (a
    ``training.Run``) the panel gets play, pause, step, rewind and scrubbing, and follows it.
    ``anew`` is called before a preset or a reset sets the controls.
    ``still``: how many steps the run goes for the picture of an exported page, whose reader can't
    press Play; then it is rewound.
    ``dense`` is for many controls: narrower columns, two of them beside the figure if they fit.
    An error in ``update`` is shown in the panel with the reader's own line, and kept in ``error``.
    """

    def __init__(
        self,
        update: Callable[..., Any],
        figure: LiveFigure | None = None,
        *,
        title: str,
        look: str,
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        actions: Mapping[str, Callable[[], Any]] | None = None,
        run: Any = None,
        anew: Callable[[], Any] = lambda: None,
        dense: bool = False,
        still: int = 0,
        **controls: Any,
    ) -> None:
        self.still = still
        self._update, self.figure, self.run, self._anew = update, figure, run, anew
        self.title, self.look = title, look
        self.lock = figure.lock if figure is not None else threading.RLock()
        self.controls = {name: control(spec, name) for name, spec in controls.items()}
        self.presets = {name: dict(values) for name, values in (presets or {}).items()}
        self.actions = dict(actions or {})
        self.error: BaseException | None = None
        self.message = ""
        self.shown = ""
        self._start = {name: c.value for name, c in self.controls.items()}
        self._quiet = 0
        self.preset_list: widgets.Dropdown | None = None
        self._note = ""
        self._message = widgets.HTML()  # only without a figure, which has a line of its own
        self._message.add_class("lecture-message")
        for widget in self.controls.values():
            widget.observe(self._changed, "value")
        super().__init__(self._build())
        self.add_class("lecture-panel")
        if dense:
            self.add_class("lecture-dense")
        answer_beside_cells(self)
        if figure is not None:
            figure.report = self._report
        if run is not None:
            run.on_frame(self._frame)
        self.refresh()

    def _build(self) -> list[widgets.Widget]:
        head = widgets.HTML(
            stylesheet()
            + f'<div class="lecture-title">{escape(self.title)}</div>'
            + f'<div class="lecture-look">{self.look}</div>'
        )
        buttons: list[widgets.Widget] = []
        if len(self.presets) > MOST_BUTTONS:
            self.preset_list = choice([CHOOSE, *self.presets])
            self.preset_list.layout.width = "14em"
            self.preset_list.observe(self._chosen, "value")
            buttons.append(self.preset_list)
        else:
            buttons += [
                button(
                    name[:1].upper() + name[1:],
                    functools.partial(self.apply, name),
                    preset.get("note", ""),
                )
                for name, preset in self.presets.items()
            ]
        buttons += [
            button(name, functools.partial(self._act, f)) for name, f in self.actions.items()
        ]
        if self.controls:
            buttons.append(button("Reset", self.reset, "Back to how the panel started"))
        row = widgets.HBox(buttons)
        row.add_class("lecture-buttons")
        side = list(self.controls.values())
        if self.run is not None:
            from .training import RunControls

            self.run_controls = RunControls(self.run)
            side.insert(0, self.run_controls)
        column = widgets.VBox([row, *side])
        column.add_class("lecture-controls")
        body = widgets.Box([*([self.figure] if self.figure is not None else []), column])
        body.add_class("lecture-body")
        return [head, body] if self.figure is not None else [head, body, self._message]

    @property
    def values(self) -> dict[str, Any]:
        """The value of each control by name."""
        return {name: widget.value for name, widget in self.controls.items()}

    def set(self, **values: Any) -> None:
        """Set several controls and draw once."""
        unknown = set(values) - set(self.controls)
        if unknown:
            raise KeyError(f"no control {sorted(unknown)}; there are {sorted(self.controls)}")
        with self._batch():
            for name, value in values.items():
                self.controls[name].value = value
        self.refresh()

    def apply(self, preset: str) -> None:
        """Set the controls of a preset and show its sentence."""
        self._note = self.presets[preset].get("note", "")
        self._name(preset)
        with self.lock:  # no frame of a training thread between the two
            self._anew()
            self.set(**{k: v for k, v in self.presets[preset].items() if k != "note"})

    def reset(self) -> None:
        """Back to the values the panel started with."""
        self._note = ""
        self._name(CHOOSE)
        with self.lock:
            self._anew()
            self.set(**self._start)

    def refresh(self, *, droppable: bool = False) -> None:
        """Run the update and show the figure."""
        with self.lock:
            self.error = None
            try:
                message = self._update(**self.values)
                self.message = message if isinstance(message, str) else ""
                note = f"<i>{self._note}</i><br>" if self._note else ""
                self._show(note + self.message)
                if self.figure is not None:
                    self.figure.refresh(droppable=droppable)
            except Exception as error:
                self._report(error)

    def _report(self, error: BaseException) -> None:
        self.error = error
        self._show(describe(error))
        if self.figure is not None:
            self.figure.tell()  # artists may be half changed: the last good picture stays
        if strict:
            raise error

    def _show(self, html: str) -> None:
        self.shown = html
        if self.figure is not None:
            self.figure.say(html, f"{self.title}. {self.look}")
        else:
            self._message.value = html

    def _act(self, action: Callable[[], Any]) -> None:
        try:
            with self._batch():
                action()
        except Exception as error:
            self._report(error)
            return
        self.refresh()

    @contextmanager
    def _batch(self) -> Any:
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def _changed(self, _: Any) -> None:
        if not self._quiet:
            self._note = ""
            self._name(CHOOSE)
            self.refresh()

    def _chosen(self, change: Any) -> None:
        if not self._quiet and change["new"] != CHOOSE:
            self.apply(change["new"])

    def _name(self, preset: str) -> None:
        """Show which preset is set, where they are a list."""
        if self.preset_list is not None:
            with self._batch():
                self.preset_list.value = preset

    def _frame(self) -> None:
        # Called by the training thread. Who holds the lock may be waiting for that thread to end.
        while not self.lock.acquire(timeout=0.02):
            if self.run.stopping:
                return
        try:
            self.refresh(droppable=self.run.playing)  # the last picture must come
        finally:
            self.lock.release()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if self.figure is None:
            return bundle
        if self.still and self.run is not None and not (self.run.reached or self.run.playing):
            try:
                self.run.advance(self.still)
                self.refresh()
                bundle = with_still(bundle, self.figure)
            finally:
                self.run.rewind()
        else:
            bundle = with_still(bundle, self.figure)
        self.figure.prepare()
        return bundle
