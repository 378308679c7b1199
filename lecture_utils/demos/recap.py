"""The panels of 08_recap: the table to fill in, the counter, the reach, the quiz."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import ipywidgets as widgets
import numpy as np
from torch import Tensor, nn

from .. import models, style
from ..checks import Prediction
from ..draw import place
from ..live import LiveFigure, answer_beside_cells
from ..panel import Panel, button, choice, slider, stylesheet
from .recap_quiz import QUESTIONS, Question
from .rnn_lstm_speed import cost

__all__ = ["cost", "counter", "quiz", "reach_of", "table"]

BLANK = "?"
COLUMNS = {
    "weights shared by": ["nobody", "all places", "all steps"],
    "one layer sees": [
        "an input of fixed size",
        "a few neighbours",
        "the past, as one state",
        "everything",
    ],
    "steps in a row": ["1", "n"],
    "work for length n": ["n", "n²"],
}
RIGHT = {
    "dense": ("nobody", "an input of fixed size", "1", "n²"),
    "convolution": ("all places", "a few neighbours", "1", "n"),
    "recurrent": ("all steps", "the past, as one state", "n", "n"),
    "attention": ("all places", "everything", "1", "n²"),
}
WHY = {
    "dense": "n inputs and n outputs, each pair with a weight of its own.",
    "convolution": "The same small kernel at every place. More layers see further.",
    "recurrent": "The same cell at every step, and each step needs the one before.",
    "attention": "The same queries, keys and values everywhere; every place looks at every other.",
}


def table() -> Panel:
    """One table that the class fills, a row at a time."""
    given = {row: [BLANK] * len(COLUMNS) for row in RIGHT}
    names = [f"answer{k}" for k in range(len(COLUMNS))]
    state = {"row": "dense"}

    def update(row: str, **answers: str) -> str:
        if row != state["row"]:  # show what was said about that row
            state["row"] = row
            with panel._batch():
                for name, said in zip(names, given[row], strict=True):
                    panel.controls[name].value = said
        else:
            given[row] = [answers[name] for name in names]
        head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
        body, right = "", 0
        for kind, said in given.items():
            cells = ""
            for mine, true in zip(said, RIGHT[kind], strict=True):
                right += mine == true
                mark = (
                    "lecture-quiet"
                    if mine == BLANK
                    else "lecture-good"
                    if mine == true
                    else "lecture-error"
                )
                sign = "" if mine == BLANK else " ✓" if mine == true else " ✗"
                cells += f"<td><span class='{mark}'>{escape(mine)}{sign}</span></td>"
            here = " class='lecture-here'" if kind == row else ""
            body += f"<tr{here}><th>{kind}</th>{cells}</tr>"
        total = len(RIGHT) * len(COLUMNS)
        done = f" {WHY[row]}" if tuple(given[row]) == RIGHT[row] else ""
        return (
            f"<table class='lecture-table'><tr><th></th>{head}</tr>{body}</table>"
            f"<b>{right} of {total}</b> right.{done}"
        )

    def forget() -> None:
        for kind in given:
            given[kind] = [BLANK] * len(COLUMNS)
        state["row"] = ""

    def solve() -> None:
        for kind, answers in RIGHT.items():
            given[kind] = list(answers)
        state["row"] = ""

    panel = Panel(
        update,
        title="What each architecture shares, sees and costs",
        look="Choose a row and fill it in. n is the length of the sequence, or the number of "
        "places, at a fixed width.",
        actions={"Show all": solve},
        anew=forget,
        row=choice(list(RIGHT)),
        **{
            name: choice([BLANK, *options], label=column)
            for name, (column, options) in zip(names, COLUMNS.items(), strict=True)
        },
    )
    panel.add_class("lecture-long-labels")
    return panel


KINDS = {
    "dense": (style.GREY, "o", ()),
    "convolution": (style.BLUE, "s", (nn.Conv2d, nn.ConvTranspose2d)),
    "recurrent": (style.PURPLE, "^", (nn.RNN, nn.LSTM)),
    "attention": (style.ORANGE, "D", (models.Attention,)),
}
"""Colour, marker and the layers that make a net one of this kind, the last that fits."""


def kind_of(net: nn.Module) -> str:
    """Which of ``KINDS`` a net is."""
    parts = tuple(net.modules())
    return [
        kind
        for kind, (_, _, layers) in KINDS.items()
        if not layers or any(isinstance(part, layers) for part in parts)
    ][-1]


def counter(
    count: Callable[..., tuple[int, int]], nets: Mapping[str, tuple[nn.Module, Tensor | str]]
) -> Panel:
    """Parameters and multiply-accumulates of every net, from ``count(net, x)``."""
    names = list(nets)
    points = np.array([count(net, x) for net, x in nets.values()], dtype=float)
    kinds = np.array([kind_of(net) for net, _ in nets.values()])
    figure = LiveFigure(820, 460)
    ax = figure.add_subplot()
    place(figure, {ax: (92, 62, 716, 388)})
    ends = np.array([3.0, 6e7])
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=(2, 3e9))
    ax.set(xlabel="parameters", ylabel="multiplications", yticks=10.0 ** np.arange(1, 10, 2))
    ax.minorticks_off()
    for times in (1, 10, 100, 1000):
        ax.plot(ends, times * ends, color=style.FAINT, lw=1.5, zorder=0)
        label = ax.text(150, 150 * times, f"{times} ×", color="#57606a", ha="center", va="center")
        label.set_bbox({"fc": style.PAPER, "ec": "none", "pad": 1})
    for kind, (colour, marker, _) in KINDS.items():
        ax.plot(*points[kinds == kind].T, marker, color=colour, ms=11, mec=style.PAPER, label=kind)
    ax.legend(loc="lower right")
    (ring,) = ax.plot([], [], "o", mfc="none", mec=style.INK, mew=3, ms=22)
    name = ax.text(0.02, 0.94, "", transform=ax.transAxes, weight="bold")
    figure.live(ring, name)

    def update(net: str) -> str:
        model, x = nets[net]
        parameters, macs = count(model, x)
        ring.set_data([parameters], [macs])
        name.set_text(net)
        given = f"“{x}”" if isinstance(x, str) else f"an input {tuple(x.shape)}"
        return (
            f"{net}: <b>{parameters:,}</b> parameters, <b>{macs:,}</b> multiplications for "
            f"{given}: <b>{macs / parameters:,.1f}</b> a parameter."
        )

    panel = Panel(
        update,
        figure,
        title="Every net of the lecture, counted",
        look="Choose a net, or click its mark; the number in front is its section. Grey lines: "
        "how often a net uses each weight.",
        net=choice(names),
    )

    def nearest(x: float, y: float) -> None:
        away = np.log10(points / [x, y])
        panel.controls["net"].value = names[int((away**2).sum(axis=1).argmin())]

    figure.on_press(ax, nearest)
    return panel


def reach_of(reach: Callable[[str, int, int, int], Tensor]) -> Panel:
    """Which inputs the output in the middle depends on: ``reach(kind, layers, kernel, n)`` (n,)."""
    figure = LiveFigure(820, 380)
    ax = figure.add_subplot()
    n = 41
    places = np.arange(n) - n // 2
    bars = ax.bar(places, np.zeros(n), 0.8, color=style.GRADIENT)
    ax.set(ylim=(0, 1.08), xlim=(-n // 2 - 0.5, n // 2 + 0.5), yticks=[0, 1])
    ax.set(xlabel="place of the input, from the output's own", ylabel="size of the derivative")
    ax.axvline(0, color=style.INK, lw=1.5, ls=":")
    figure.live(list(bars))

    def update(kind: str, layers: int, kernel: int) -> str:
        size = reach(kind, layers, kernel, n).detach().abs().cpu()
        if tuple(size.shape) != (n,):
            raise ValueError(f"reach returned shape {tuple(size.shape)}, expected ({n},)")
        seen = int((size > 0).sum())
        for bar, value in zip(bars, (size / size.max().clamp(min=1e-30)).tolist(), strict=True):
            bar.set_height(value)
        formula = ""
        if kind == "convolution":
            formula = f" {layers}·({kernel} − 1) + 1 = {layers * (kernel - 1) + 1}."
        return f"The output sees <b>{seen} of {n}</b> places.{formula}"

    return Panel(
        update,
        figure,
        title="How far it sees",
        look="Choose an architecture, then add layers.",
        kind=choice(["convolution", "recurrent", "attention"]),
        layers=slider(1, 8, 1, 1),
        kernel=choice([3, 5, 7]),
    )


class Quiz(widgets.VBox):
    """One question at a time, the answer as soon as a guess is in, and the score."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = list(questions)
        self.cards = [Prediction(q.text, q.options, q.answer, q.why) for q in self.questions]
        self.place = 0
        self.head = widgets.HTML()
        self.holder = widgets.VBox()
        sections = {"all sections": 0} | {f"section {s}": s for s in self.sections()}
        self.section = choice(sections, label="ask about")
        self.section.layout.width = "18em"
        row = widgets.HBox(
            [
                button("◀ Back", lambda: self.go(-1)),
                button("Next ▶", lambda: self.go(1)),
                self.section,
            ]
        )
        row.add_class("lecture-buttons")
        super().__init__([widgets.HTML(stylesheet()), self.head, self.holder, row])
        self.add_class("lecture-panel")
        answer_beside_cells(self)
        self.section.observe(lambda _: self.start(), "value")
        for card in self.cards:
            card.reveal.observe(lambda _: self.tell(), "value")
        self.start()

    def sections(self) -> list[int]:
        """Sections that are asked about, in order."""
        return sorted({q.section for q in self.questions})

    @property
    def asked(self) -> list[int]:
        """Numbers of the questions of the chosen section."""
        wanted = self.section.value
        return [k for k, q in enumerate(self.questions) if wanted in (0, q.section)]

    def start(self) -> None:
        """The first question of the chosen section."""
        self.place = 0
        self.show()

    def go(self, steps: int) -> None:
        """Forwards or backwards; it ends at the ends."""
        self.place = min(max(self.place + steps, 0), len(self.asked) - 1)
        self.show()

    def show(self) -> None:
        self.holder.children = [self.cards[self.asked[self.place]]]
        self.tell()

    def tell(self) -> None:
        """Where we are, and how many were right."""
        asked = self.asked
        done = [self.cards[k] for k in asked if self.cards[k].guess is not None]
        right = sum(bool(card.right) for card in done)
        section = self.questions[asked[self.place]].section
        self.head.value = (
            f"<div class='lecture-look'>Question <b>{self.place + 1}</b> of {len(asked)}, from "
            f"section {section}. Right so far: <b>{right} of {len(done)}</b>.</div>"
        )


def quiz() -> Quiz:
    """Questions over all sections."""
    return Quiz(QUESTIONS)
