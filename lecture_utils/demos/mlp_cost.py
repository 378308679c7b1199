"""The panels of 02_mlp on what training costs: GPU-years, money, electricity."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets
import numpy as np

from .. import style
from ..draw import place
from ..live import LiveFigure
from ..panel import Panel, choice, slider

YEAR = 365.25 * 24 * 3600
"""Seconds."""
FLOP_GPT3 = 3.14e23
"""Brown and others, 2020, Language Models are Few-Shot Learners, appendix D."""
PARAMETERS_GPT3, TOKENS_GPT3 = 175e9, 300e9


SIZES = (0.1, 0.3, 1.0, 1.5, 3.0, 7.0, 13.0, 30.0, 70.0, 175.0, 540.0, 1000.0, 2000.0)
TEXTS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0, 20000.0)


def _steps(values: Sequence[float], value: float, label: str) -> widgets.Widget:
    """A slider over ``values``: round numbers on all scales."""
    options = [(f"{v:,g}", v) for v in values]
    return widgets.SelectionSlider(options=options, value=value, description=label)


def money(dollars: float) -> str:
    """$4.67 million of 4672619."""
    for size, word in ((1e12, " trillion"), (1e9, " billion"), (1e6, " million")):
        if dollars >= size:
            return f"${dollars / size:.2f}{word}"
    return f"${dollars:,.0f}"


def span(years: float) -> str:
    """A time in the unit that reads best."""
    for size, word in ((1.0, "years"), (1 / 365.25, "days"), (1 / 8766, "hours")):
        if years >= size:
            value = years / size
            return f"{value:,.0f} {word}" if value >= 10 else f"{value:.1f} {word}"
    return f"{years * YEAR / 60:.1f} minutes"


def compute_cost(
    training_cost: Callable[..., tuple[float, float]], style_gan_years: float
) -> Panel:
    """A calculator around ``training_cost(flop, tflops, dollars_an_hour)`` -> (years, dollars).

    ``style_gan_years`` is drawn beside it for comparison.
    """
    fig = LiveFigure(820, 380)
    ax = fig.add_subplot()
    place(fig, {ax: (236, 62, 564, 300)})
    peak = training_cost(FLOP_GPT3, 125, 1.5)[0]
    deck = training_cost(FLOP_GPT3, 28, 1.5)[0]
    names = ["your setting", "GPT-3 at 28 TFLOPS", "GPT-3 at 125 TFLOPS", "all of StyleGAN2"]
    fixed = [1.0, deck, peak, style_gan_years]
    colours = [style.PREDICTION, style.MUTED, style.MUTED, style.MUTED]
    bars = ax.barh(range(4), fixed, 0.62, color=colours)
    for k, years in enumerate(fixed[1:], start=1):
        ax.text(years * 1.15, k, f"{years:.0f}", va="center")
    mine = ax.text(1, 0, "", va="center", weight="bold")
    ax.set_yticks(range(4), names)
    ax.set(xscale="log", xlim=(1e-3, 3e6), ylim=(3.5, -0.5), xlabel="years on one GPU")
    fig.live(bars[0], mine)

    def update(
        count: str, parameters: float, tokens: float, tflops: float, price: float, gpus: int
    ) -> str:
        per = 6.0 if count == "6·N·D" else FLOP_GPT3 / (PARAMETERS_GPT3 * TOKENS_GPT3)
        flop = per * parameters * 1e9 * tokens * 1e9
        years, dollars = training_cost(flop, tflops, price)
        bars[0].set_width(years)
        mine.set_position((years * 1.15, 0))
        mine.set_text(f"{years:,.0f}" if years >= 10 else f"{years:.2g}")
        how = "6·N·D" if count == "6·N·D" else f"{per:.2f}·N·D, the paper's count for GPT-3"
        fleet = "" if gpus == 1 else f" On {gpus:,} GPUs at once: {span(years / gpus)}, same money."
        return (
            f"{flop:.2e} FLOP ({how}) at {tflops:g} TFLOPS: <b>{span(years)} on one GPU</b>; "
            f"at ${price:.2f} an hour <b>{money(dollars)}</b>.{fleet}"
        )

    start = {"parameters": 175.0, "tokens": 300.0, "tflops": 28.0, "price": 1.5}
    published = "as published"
    return Panel(
        update,
        fig,
        title="What does it cost to train?",
        look="N parameters, D tokens: watch the orange bar on the logarithmic axis. "
        "Which slider rests on a measurement, and which on an assumption?",
        presets={
            "The slide": start
            | {"count": published, "gpus": 1}
            | {"note": "The post of 2020 cut $4.67 million down to “$4,600,000”."},
            "At the V100's peak": start
            | {"count": published, "gpus": 1, "tflops": 125.0}
            | {"note": "125 TFLOPS is the tensor cores' peak. No training reaches it."},
            "Rule of thumb": start
            | {"count": "6·N·D", "gpus": 1}
            | {"note": "6 FLOP for each parameter and token: 3.15e23, within half a percent."},
            "A thousand GPUs": start
            | {"count": published, "gpus": 1000}
            | {"note": "Time is divided, the bill is not. That all of them stay busy is assumed."},
        },
        count=choice([published, "6·N·D"], label="FLOP"),
        parameters=_steps(SIZES, 175.0, "N, billion"),
        tokens=_steps(TEXTS, 300.0, "D, billion"),
        tflops=slider(1.0, 1000.0, 1.0, 28.0, "TFLOPS"),
        price=slider(0.1, 10.0, 0.1, 1.5, "$ an hour"),
        gpus=_steps((1, 10, 100, 1000, 10000), 1, "GPUs"),
    )


def energy_table(rows: Mapping[str, tuple[float, float]], printed: tuple[float, float]) -> Panel:
    """``rows`` maps an item to its (GPU-years, MWh); ``printed`` are the totals of the paper."""
    fig = LiveFigure(820, 400)
    ax = fig.add_subplot()
    place(fig, {ax: (232, 20, 560, 370)})
    names = list(rows)
    table = np.array([rows[name] for name in names])
    bars = ax.barh(range(len(names)), table[:, 0], 0.62, color=style.MUTED)
    labels = [ax.text(0, k, "", va="center") for k in range(len(names))]
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=(0, 1.2), ylim=(len(names) - 0.5, -0.5), xticks=[])
    ax.spines["bottom"].set_visible(False)
    fig.live(bars, labels)
    units = {"GPU-years": 0, "MWh": 1}

    def update(measure: str, item: str) -> str:
        k, chosen = units[measure], names.index(item)
        values = table[:, k]
        for i, (bar, text, value) in enumerate(zip(bars, labels, values, strict=True)):
            bar.set_width(value / values.max())
            bar.set_color(style.PREDICTION if i == chosen else style.MUTED)
            text.set_text(f"{value:.2f}")
            text.set_x(value / values.max() + 0.02)
        total = round(float(values.sum()), 2)
        same = (
            "as the paper prints"
            if total == printed[k]
            else f"the paper prints {printed[k]:.2f}: its rows are rounded"
        )
        return (
            f"{item}: {values[chosen]:.2f} {measure}, <b>{values[chosen] / total:.1%}</b> of the "
            f"project. The rows add up to {total:.2f} {measure}, {same}."
        )

    panel = Panel(
        update,
        fig,
        title="StyleGAN2: where 51 GPU-years went",
        look="Which bar is the network that everybody knows? Click it.",
        presets={
            "The published network": {"item": names[2]}
            | {"note": "One training run. The other bars are how one finds out what to train."}
        },
        measure=choice(list(units)),
        item=choice(names),
    )

    def press(x: float, y: float) -> None:
        panel.set(item=names[int(np.clip(round(y), 0, len(names) - 1))])

    fig.on_press(ax, press)
    return panel
