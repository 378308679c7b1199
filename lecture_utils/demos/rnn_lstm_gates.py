"""Panels of 05_rnn_lstm: the gates of an LSTM cell, by hand and as a trained one uses them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from .. import style
from ..draw import place
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider, text
from .rnn_lstm_parts import Boxes, short

GATES = ("f", "i", "g", "o")
NAMES = ("f  keep", "i  write", "g  what", "o  show")
HAND_STEPS, TRAINED_STEPS = 8, 10
KEPT, WRITTEN, SHOWN, LOST = style.PURPLE, style.ORANGE, style.ACTIVATION, "#ead9e7"
TOPS = (0.6, 1.25, 2.5, 5.0, 10.0)
"""Half heights of the picture of the cell."""

Table = tuple[tuple[float, ...], ...]
Update = Callable[..., tuple[Tensor, Tensor]]


class GateSliders(widgets.VBox):
    """Sliders for the gates of the step that ``player`` stands on, counted from 1.

    ``value`` holds a row of numbers for each of f, i, g, o, with one number a step.
    """

    value = traitlets.Tuple()

    def __init__(self, value: Table, player: Player) -> None:
        self.player = player
        self.sliders = [slider(-1.0 if n == "g" else 0.0, 1.0, 0.05, 0.0, n) for n in GATES]
        self._filling = False
        super().__init__(self.sliders, value=value, layout={"flex_flow": "row wrap"})
        self.add_class("lecture-wide")
        for one in self.sliders:
            one.layout.width, one.layout.flex = "auto", "1 1 24em"
            one.observe(self._take, "value")
        self.observe(self._fill, "value")
        player.observe(self._fill, "value")
        self._fill()

    @property
    def _step(self) -> int:
        return max(self.player.value, 1) - 1

    def _take(self, _: Any) -> None:
        if not self._filling:
            rows = [list(row) for row in self.value]
            for row, one in zip(rows, self.sliders, strict=True):
                row[self._step] = one.value
            self.value = tuple(map(tuple, rows))

    def _fill(self, _: Any = None) -> None:
        self._filling = True
        try:
            for row, one in zip(self.value, self.sliders, strict=True):
                one.value = row[self._step]
        finally:
            self._filling = False


class CellPicture:
    """The cell state as a sum, step by step, and rows of bars below: gates, inputs."""

    def __init__(self, fig: LiveFigure, steps: int, rows: Sequence[tuple[str, float]]) -> None:
        """``rows`` are names, and the least number of each (its greatest is 1)."""
        self.steps, self.rows = steps, list(rows)
        self.cell, self.bars = fig.subplots(2, 1)
        whole, height = fig._size[1], 33 * len(rows)
        place(fig, {self.cell: (112, 60 + height, 570, whole - 70 - height)})
        place(fig, {self.bars: (112, 46, 570, height)})
        limits = (0.4, steps + 0.6)
        self.cell.set(xlim=limits, ylim=(-TOPS[0], TOPS[0]), xticks=[])
        self.cell.spines["bottom"].set_visible(False)
        self.cell.axhline(0, color=style.FAINT, lw=2, zorder=0)
        self.bars.set(xlim=limits, ylim=(0, len(rows)), xticks=range(1, steps + 1))
        self.bars.set_yticks([len(rows) - 0.5 - k for k in range(len(rows))], [n for n, _ in rows])
        self.bars.tick_params(length=0)
        self.bars.spines[:].set_visible(False)
        for k, (_, low) in enumerate(rows):
            self.bars.axhline(self.base(k, low), color=style.FAINT, lw=1.5, zorder=0)
        self.bands = [a.axvspan(0.55, 1.45, color="#fdebcf", zorder=0) for a in self._axes]
        width = 570 / (steps + 0.2)

        def sticks(ax: Axes, wide: float, colour: Any, order: int) -> LineCollection:
            lines = LineCollection([], linewidths=wide * 0.75, colors=colour, zorder=order)
            return ax.add_collection(lines, autolim=False)

        self.lost = sticks(self.cell, 0.3 * width, LOST, 1)
        self.kept = sticks(self.cell, 0.3 * width, KEPT, 2)
        self.written = sticks(self.cell, 0.3 * width, WRITTEN, 2)
        (self.states,) = self.cell.plot([], [], "D", color=style.INK, ms=9, zorder=4)
        (self.shown,) = self.cell.plot([], [], "s-", color=SHOWN, ms=8, lw=2.5, zorder=3)
        self.gates = sticks(self.bars, 0.5 * width, [], 2)
        self._legend(fig, whole)
        fig.live(self.bands, self.lost, self.kept, self.written, self.states, self.shown)
        fig.live(self.gates)

    @property
    def _axes(self) -> tuple[Axes, Axes]:
        return self.cell, self.bars

    def _legend(self, fig: LiveFigure, whole: int) -> None:
        box = fig.add_subplot()
        place(fig, {box: (690, whole - 194, 126, 180)})
        box.set(xlim=(0, 1), ylim=(0, 5.4))
        box.set_axis_off()
        marks = [
            (KEPT, "kept f·c$_{t−1}$"),
            (LOST, "forgotten"),
            (WRITTEN, "added i·g$_t$"),
            (style.INK, "cell c$_t$"),
            (SHOWN, "hidden h$_t$"),
        ]
        for k, (colour, words) in enumerate(marks):
            box.add_patch(Rectangle((0, 4.55 - k), 0.11, 0.5, color=colour))
            box.text(0.17, 4.8 - k, words, va="center", size=14)

    def base(self, row: int, low: float) -> float:
        """Height of 0 in a row."""
        return len(self.rows) - row - 0.93 + (0.43 if low < 0 else 0)

    def value_at(self, x: float, y: float) -> tuple[int, int, float]:
        """(row, step from 0, value) under a place in the bars."""
        row = int(np.clip(len(self.rows) - np.ceil(y), 0, len(self.rows) - 1))
        low = self.rows[row][1]
        size = 0.43 if low < 0 else 0.86
        value = float(np.clip((y - self.base(row, low)) / size, low, 1))
        return row, int(np.clip(round(x), 1, self.steps)) - 1, round(value / 0.05) * 0.05

    def show(
        self,
        now: int,
        before: np.ndarray,
        kept: np.ndarray,
        cells: np.ndarray,
        hidden: np.ndarray,
        table: Sequence[Sequence[float]],
    ) -> None:
        """The state after ``now`` steps; arrays (steps,), ``table`` one row a row of bars."""
        seen = np.arange(1, now + 1)
        a, b = seen - 0.17, seen + 0.17
        largest = np.abs(cells).max()  # of all steps: stepping must not move the scale
        part = slice(0, now)
        before, kept, cells = before[part], kept[part], cells[part]
        self.lost.set_segments([[(x, k), (x, v)] for x, k, v in zip(a, kept, before, strict=True)])
        self.kept.set_segments([[(x, 0), (x, v)] for x, v in zip(a, kept, strict=True)])
        self.written.set_segments(
            [[(x, k), (x, v)] for x, k, v in zip(b, kept, cells, strict=True)]
        )
        self.states.set_data(b, cells)
        self.shown.set_data(seen, hidden[part])
        top = next((t for t in TOPS if largest < t), TOPS[-1])
        if self.cell.get_ylim()[1] != top:
            self.cell.set_ylim(-top, top)
        segments, colours = [], []
        for row, (values, (_, low)) in enumerate(zip(table, self.rows, strict=False)):
            base, size = self.base(row, low), 0.43 if low < 0 else 0.86
            segments += [[(t + 1, base), (t + 1, base + size * v)] for t, v in enumerate(values)]
            colours += [(KEPT, WRITTEN, WRITTEN, SHOWN, style.INK, style.INK)[row]] * self.steps
        self.gates.set_segments(segments)
        self.gates.set_color(colours)
        for band in self.bands:
            band.set_x(now - 0.45)


def _checked(update: Update, before: Tensor, gates: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    h, c = update(before, *gates)
    for name, value in (("h", h), ("c", c)):
        if tuple(value.shape) != tuple(before.shape):
            raise ValueError(
                f"the update returned {name} of shape {tuple(value.shape)}, expected "
                f"{tuple(before.shape)}"
            )
    return h, c


def _sentence(
    t: int, gates: Sequence[float], before: Sequence[float], c: Sequence[float], h: Sequence[float]
) -> str:
    """The two equations of step ``t`` (from 1) with their numbers; ``gates`` are f, i, g, o."""
    if not t:
        return "Before the first step the cell is empty: c<sub>0</sub> = 0, h<sub>0</sub> = 0."
    f, i, g, o = map(short, gates)
    return (
        f"c<sub>{t}</sub> = f·c<sub>{t - 1}</sub> + i·g<sub>{t}</sub> = "
        f"{f}·{short(before[t - 1])} + {i}·{g} = <b>{short(c[t - 1])}</b>.<br>"
        f"h<sub>{t}</sub> = o·tanh(c<sub>{t}</sub>) = "
        f"{o}·{short(float(np.tanh(c[t - 1])))} = <b>{short(h[t - 1])}</b>."
    )


def _table(f: Any, i: Any, g: Any, o: Any) -> Table:
    """Four rows of gates; a single number stands for all steps."""
    return tuple(
        tuple(float(v) for v in (row if isinstance(row, Sequence) else [row] * HAND_STEPS))
        for row in (f, i, g, o)
    )


WHAT = (0.8, -0.6, 0.4, -0.9, 0.7, -0.3, 0.5, -0.8)
"""Candidates that come by: what could be written at each step."""
REMEMBER = _table(1, (1, 0, 0, 0, 0, 0, 0, 0), WHAT, (0, 0, 0, 0, 0, 0, 0, 1))
BY_HAND: Mapping[str, tuple[Table, str]] = {
    "remember": (
        REMEMBER,
        "Write once, keep with f = 1, show at the end: what came in between left no trace.",
    ),
    "overwrite": (
        _table((1, 1, 1, 1, 0, 1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0), WHAT, 1),
        "At step 5 the old is dropped (f = 0) and the new is written (i = 1).",
    ),
    "forget": (
        _table((1, 1, 1, 0, 1, 1, 1, 1), (1, 0, 0, 0, 0, 0, 0, 0), WHAT, 1),
        "f = 0 once, and nothing is left. A forget gate of 1 means: keep.",
    ),
    "leak": (
        _table(0.7, (1, 0, 0, 0, 0, 0, 0, 0), WHAT, 1),
        "Fails to remember: gates are soft, and 0.7 at every step leaves 0.7⁷ = 8%.",
    ),
    "count": (
        _table(1, 1, (1, 0, 1, 1, 0, 1, 0, 1), 1),
        "The update adds: c counts the ones and passes 1. h, behind a tanh, can't.",
    ),
}


def gates(lstm_update: Update) -> Panel:
    """One LSTM cell over eight steps; you are its gates.

    ``lstm_update(c_before, f, i, g, o)`` returns h_t and c_t; all tensors of shape (1,).
    """
    fig = LiveFigure(820, 430)
    picture = CellPicture(fig, HAND_STEPS, list(zip(NAMES, (0, 0, -1, 0), strict=True)))
    player = Player(HAND_STEPS, HAND_STEPS, label="step", rate=1.5)

    def update(t: int, table: Table) -> str:
        h, c = torch.zeros(1), torch.zeros(1)
        before, cells, hidden = [], [], []
        for column in zip(*table, strict=True):
            before.append(float(c))
            h, c = _checked(lstm_update, c, [torch.tensor([v]) for v in column])
            cells.append(float(c))
            hidden.append(float(h))
        kept = np.array(table[0]) * np.array(before)
        arrays = (np.array(before), kept, np.array(cells), np.array(hidden))
        picture.show(t, *arrays, table)
        return _sentence(t, [row[t - 1] for row in table], before, cells, hidden)

    panel = Panel(
        update,
        fig,
        title="You are the gates",
        look="Drag the gates f, i, o and the candidate g<sub>t</sub>. Each new c<sub>t</sub> is a "
        "<b>sum</b>: what is kept plus what is added.",
        t=player,
        table=GateSliders(REMEMBER, player),
        presets={
            name: {"table": table, "t": HAND_STEPS, "note": note}
            for name, (table, note) in BY_HAND.items()
        },
    )

    def drag(x: float, y: float, _: str) -> None:
        row, step, value = picture.value_at(x, y)
        rows = [list(r) for r in panel.values["table"]]
        rows[row][step] = value
        panel.set(t=step + 1, table=tuple(map(tuple, rows)))

    fig.on_drag(picture.bars, drag)
    return panel


# ---- a trained cell


def read_marked(line: str) -> tuple[list[float], list[bool]]:
    """Numbers and marks of a line such as "0.8* 0.1 -0.5*": a star marks. Raises ValueError."""
    words = line.replace(",", " ").replace("−", "-").split()
    if len(words) > TRAINED_STEPS:
        raise ValueError(f"there are {len(words)} numbers, and room for {TRAINED_STEPS}")
    numbers = [float(word.rstrip("*")) for word in words]
    if any(abs(v) > 1 for v in numbers):
        raise ValueError("every number must lie between −1 and 1")
    missing = TRAINED_STEPS - len(words)
    return numbers + missing * [0.0], [w.endswith("*") for w in words] + missing * [False]


def write_marked(numbers: Sequence[float], marks: Sequence[bool]) -> str:
    """The line of text that ``read_marked`` reads."""
    return " ".join(f"{v + 0:.2g}{'*' * bool(m)}" for v, m in zip(numbers, marks, strict=True))


def right_answers(task: str, numbers: Sequence[float], marks: Sequence[bool]) -> list[float]:
    """What each step of a task asks for: "hold" the number marked last, "count" the marks."""
    wanted, found, held = [], 0, 0.0
    for number, mark in zip(numbers, marks, strict=True):
        found, held = found + mark, number if mark else held
        wanted.append(float(found) if task == "count" else held)
    return wanted


SEQUENCE = "0.8* 0.1 -0.5 0.3 -0.6* 0.9 0.2 0.5* -0.9 0.4"


def trained_gates(
    lstm_gates: Callable[..., Sequence[Tensor]], lstm_update: Update, nets: Mapping[str, nn.Module]
) -> Panel:
    """The gates that trained LSTMs of one cell, "hold" and "count", set for themselves.

    ``lstm_gates(x_t, h_before, W_x, W_h, b)`` returns f, i, g, o, each (1,), for W_x (4, 2),
    W_h (4, 1), b (4,) in PyTorch's order i, f, g, o.
    """
    fig = LiveFigure(820, 500)
    lows = (0, 0, -1, 0, -1, 0, 0)
    picture = CellPicture(
        fig,
        TRAINED_STEPS,
        list(zip((*NAMES, "number", "mark", "answer"), lows, strict=True)),
    )
    answers = Boxes(fig, picture.bars, (0.9, 0.8), font=14)

    @torch.no_grad()
    def update(t: int, task: str, x: str) -> str:
        numbers, marks = read_marked(x)
        net = nets[task]
        w = {k: v.detach().cpu() for k, v in net.state_dict().items()}
        bias = w["cell.bias_ih_l0"] + w["cell.bias_hh_l0"]
        h, c = torch.zeros(1), torch.zeros(1)
        columns, before, cells, hidden, said = [], [], [], [], []
        for number, mark in zip(numbers, marks, strict=True):
            before.append(float(c))
            inputs = torch.tensor([number, float(mark)])
            opened = lstm_gates(inputs, h, w["cell.weight_ih_l0"], w["cell.weight_hh_l0"], bias)
            h, c = _checked(lstm_update, c, opened)
            columns.append([float(v) for v in opened])
            cells.append(float(c))
            hidden.append(float(h))
            said.append(float(w["output.weight"] @ h + w["output.bias"]))
        table = [list(row) for row in zip(*columns, strict=True)]
        kept = np.array(table[0]) * np.array(before)
        arrays = (np.array(before), kept, np.array(cells), np.array(hidden))
        picture.show(t, *arrays, [*table, numbers, [float(m) for m in marks]])
        wanted = right_answers(task, numbers, marks)
        wrong = [
            abs(a - b) > (0.5 if task == "count" else 0.15)
            for a, b in zip(said, wanted, strict=True)
        ]
        answers.show(
            [[k + 1, 0.5] for k in range(t)],
            [short(v, 1) for v in said[:t]],
            [to_rgba("#f6c8cc" if bad else "#dbe7fe") for bad in wrong[:t]],
        )
        words = _sentence(t, [row[t - 1] for row in table], before, cells, hidden)
        if t:
            words += f" Answer {short(said[t - 1])}, right is {short(wanted[t - 1])}."
        count = sum(p.numel() for p in net.parameters())
        return f"{words} All {count} weights were learned from examples."

    panel = Panel(
        update,
        fig,
        title="A trained cell sets its own gates",
        look="Drag a number, click a mark (* in the line “inputs”). What do f and i do at a "
        "mark, and what between?",
        t=Player(TRAINED_STEPS, TRAINED_STEPS, label="step", rate=1.5),
        task=choice(
            {"hold the number marked last": "hold", "count the marks": "count"}, label="task"
        ),
        x=text(SEQUENCE, "inputs"),
        presets={
            "hold": {"task": "hold", "x": SEQUENCE, "t": TRAINED_STEPS}
            | {"note": "At a mark f falls and i rises: overwrite. Between marks f ≈ 1: remember."},
            "count": {"task": "count", "x": SEQUENCE, "t": TRAINED_STEPS}
            | {"note": "f stays up; each mark adds the same step to c."},
            "no mark": {"task": "hold", "t": TRAINED_STEPS}
            | {"x": "0.8 0.1 -0.5 0.3 -0.6 0.9"}
            | {"note": "Without a mark the input gate stays shut, and the cell empty."},
            "fails: many marks": {"task": "count", "t": TRAINED_STEPS}
            | {"x": " ".join(["0.5*"] * TRAINED_STEPS)}
            | {"note": "So many marks were rare in training: h runs into its tanh."},
        },
    )

    def drag(x: float, y: float, phase: str) -> None:
        row, step, value = picture.value_at(x, y)
        numbers, marks = read_marked(panel.values["x"])
        if row == 4:
            numbers[step] = value
        elif row == 5 and phase == "start":
            marks[step] = not marks[step]
        elif row != 5:
            return
        panel.set(t=max(step + 1, panel.values["t"]), x=write_marked(numbers, marks))

    fig.on_drag(picture.bars, drag)
    return panel
