"""Panels of 05_rnn_lstm: the adding problem, as it was measured and as it is learned live."""

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.collections import LineCollection

from .. import style
from ..data import adding_problem
from ..live import LiveFigure
from ..panel import Panel, slider
from ..training import Run

GUESS = 1 / 6
"""Mean squared error of always answering 1: the variance of a sum of two numbers in 0..1."""
LEARNED = 0.01
"""Below this error we say that a net has learned to add."""


def adding_results(measured: Mapping[str, Any]) -> Panel:
    """Learning curves and final errors of every net and length, from ``data.adding_results()``."""
    results, settings = measured["results"], measured["settings"]
    lengths = sorted(int(n) for n in next(iter(results.values())))
    fig = LiveFigure(820, 420)
    left, right = fig.subplots(1, 2, width_ratios=[1.25, 1])
    steps = settings["every"] * np.arange(1, settings["steps"] // settings["every"] + 1)
    left.set(xlim=(0, settings["steps"]), xlabel="training step", ylabel="squared error")
    right.set(xscale="log", xlabel="length T", xlim=(lengths[0] / 1.2, lengths[-1] * 1.2))
    right.set_title("after training")
    curves, ends = {}, []
    for ax in (left, right):
        ax.set(yscale="log", ylim=(6e-6, 1.2))
        ax.axhline(GUESS, color=style.MUTED, lw=2, zorder=0)
    left.text(settings["steps"], GUESS * 1.12, "always “1”", ha="right", va="bottom", size=14)
    for name, by_length in results.items():
        colour, marker, dash = style.NETS[name]
        count = len(by_length[str(lengths[0])]["test"])
        curves[name] = [left.plot([], [], dash, color=colour, lw=2.5)[0] for _ in range(count)]
        tests = np.array([by_length[str(n)]["test"] for n in lengths])
        mean = np.exp(np.log(tests).mean(axis=1))
        right.plot(lengths, mean, dash, color=colour, label=name, marker=marker)
        ends += right.plot(
            np.repeat(lengths, count), tests.ravel(), marker, color=colour, ms=5, alpha=0.6
        )
    right.set_xticks(lengths, [str(n) for n in lengths])
    right.minorticks_off()
    left.legend(*right.get_legend_handles_labels(), loc="lower left", handlelength=2.4)
    now = right.axvline(lengths[0], color=style.INK, lw=1.5)
    fig.live([line for some in curves.values() for line in some], now)

    def update(length: int) -> str:
        now.set_xdata([length, length])
        words = []
        for name, by_length in results.items():
            found = by_length[str(length)]
            for line, curve in zip(curves[name], found["curves"], strict=True):
                line.set_data(steps, curve)
            tests = found["test"]
            good = sum(error < LEARNED for error in tests)
            listed = " and ".join(f"{error:.4f}" for error in tests)
            words.append(f"{name}: <b>{listed}</b>, {good} of {len(tests)} learned it.")
        return (
            f"T = {length}, error on 1000 new sequences after {settings['steps']} steps, two "
            f"starts each. Always answering 1: {GUESS:.3f}.<br>" + " ".join(words)
        )

    return Panel(
        update,
        fig,
        title="The adding problem, measured",
        look="Move T. Which net leaves the grey line, and when? Each ran from two random starts.",
        length=widgets.SelectionSlider(options=lengths, value=20, description="T"),
        presets={
            "short": {"length": 10, "note": "At T = 10 every net gets somewhere."},
            "long": {
                "length": 100,
                "note": "At T = 100 only the LSTMs carry the first number to the end.",
            },
        },
    )


def adding_live(run: Run, names: Sequence[str], length: int, tests: int = 500) -> Panel:
    """The run of several nets on sequences of ``length``: errors, and answers on one sequence.

    ``run.models`` are the nets called ``names``; each maps (N, T, 2) to (N, T, 1), and its answer
    is the last one. The run's step returns the training error of each by name.
    """
    x, target = adding_problem(tests, length, seed=0)
    fig = LiveFigure(820, 430)
    axes = fig.mosaic([["curve", "sequence"], ["curve", "answers"]], height_ratios=[2.2, 1])
    curve, sequence, line = axes["curve"], axes["sequence"], axes["answers"]
    curve.set(xlim=(0, run.steps), yscale="log", ylim=(1e-4, 1.2))
    curve.set(xlabel="training step", ylabel="squared error")
    curve.axhline(GUESS, color=style.MUTED, lw=2)
    curve.text(run.steps, GUESS * 1.12, "always “1”", ha="right", va="bottom", size=14)
    sequence.set(xlim=(0, length + 1), ylim=(0, 1.05), title="add the two orange numbers")
    sequence.set_xticks([1, length // 2, length])
    line.set(xlim=(-0.1, 2.1), ylim=(0, 1), yticks=[], xlabel="answer")
    numbers = LineCollection([], linewidths=0.75 * 240 / length)
    sequence.add_collection(numbers, autolim=False)
    curves, answers = {}, {}
    for name in names:
        colour, marker, _ = style.NETS[name]
        (curves[name],) = curve.plot([], [], "-", color=colour, lw=1.5)
        (answers[name],) = line.plot([], [], marker, color=colour, ms=15, mec=style.INK)
    curve.legend(list(answers.values()), names, loc="lower left")
    (truth,) = line.plot([], [], color=style.INK, lw=4)
    here = curve.axvline(0, color=style.INK, lw=1.5)
    fig.live(curves.values(), here, numbers, truth, answers.values())

    def update(example: int) -> str:
        said = {}
        with run.paused(), torch.no_grad():
            position = run.position
            for name, net in zip(names, run.models, strict=True):
                where = next(net.parameters()).device
                said[name] = net(x.to(where))[:, -1, 0].cpu()
        here.set_xdata([position, position])
        for name in names:
            curves[name].set_data(*run.curve(name))
        values, marked = x[example, :, 0].tolist(), x[example, :, 1] == 1
        numbers.set_segments([[(t + 1, 0), (t + 1, v)] for t, v in enumerate(values)])
        numbers.set_color([style.ORANGE if m else style.FAINT for m in marked])
        right = float(target[example])
        truth.set_data([right, right], [0, 1])
        for k, name in enumerate(names):
            place = (k + 1) / (len(names) + 1)
            answers[name].set_data([float(said[name][example].clamp(-0.1, 2.1))], [place])
        errors = ", ".join(
            f"{name} <b>{float((v - target).square().mean()):.4f}</b>" for name, v in said.items()
        )
        terms = " + ".join(f"{v:.2f}" for v, m in zip(values, marked, strict=True) if m)
        answered = ", ".join(f"{name} says {float(v[example]):.2f}" for name, v in said.items())
        return (
            f"Step {position}, error on {tests} new sequences: {errors}. Always answering 1: "
            f"{GUESS:.3f}.<br>This one: {terms} = {right:.2f}; {answered}."
        )

    return Panel(
        update,
        fig,
        title=f"Learning to add, live, T = {length}",
        look="Press Play: new sequences at every step. First both learn to answer 1. Who goes on?",
        run=run,
        example=slider(0, tests - 1, 1, 0),
    )
