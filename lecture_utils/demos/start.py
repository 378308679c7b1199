"""The panels of 00_start."""

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch

from .. import doctor, style
from ..data import Digits
from ..live import LiveFigure
from ..panel import Panel, slider, stylesheet


def ink(is_ink: Callable[[Any, float], Any], digits: Digits) -> Panel:
    """A digit beside what ``is_ink(image, threshold)`` makes of it; ``image`` is (28, 28), 0..1.

    ``is_ink`` must return 28 x 28 truth values or numbers.
    """
    images = digits.test_x[:, 0]
    figure = LiveFigure(820, 400)
    left, right = figure.subplots(1, 2)
    shown = []
    for axes, title in [(left, "one number per pixel"), (right, "ink, says your function")]:
        shown.append(
            style.picture(axes, title).imshow(np.zeros((28, 28)), cmap=style.IMAGE, vmin=0, vmax=1)
        )
    figure.live(shown)

    def update(digit: int, threshold: float) -> str:
        image = images[digit]
        result = torch.as_tensor(is_ink(image.clone(), threshold))
        if result.shape != (28, 28):
            raise ValueError(
                f"is_ink returned shape {tuple(result.shape)}; the panel needs (28, 28), "
                "one value a pixel."
            )
        shown[0].set_data(image.numpy())
        shown[1].set_data(result.float().numpy())
        count = int((result != 0).sum())
        return f"A {int(digits.test_y[digit])}: <b>{count} of {result.numel()}</b> pixels are ink."

    return Panel(
        update,
        figure,
        title="Which pixels are ink?",
        look="Raise the threshold until the stroke breaks.",
        digit=slider(0, len(images) - 1, 1, 3),
        threshold=slider(0.0, 1.0, 0.01, 0.5),
        presets={
            "works": {"threshold": 0.5, "note": "Half of full ink keeps the shape."},
            "fails: too low": {
                "threshold": 0.0,
                "note": "The grey rim of the pen counts as ink: the stroke swells.",
            },
            "fails: too high": {
                "threshold": 0.99,
                "note": "Only the darkest pixels are left: the stroke breaks.",
            },
        },
    )


WORDS = {"ok": "ok", "note": "note", "fix": "to do"}
CLASSES = {"ok": "lecture-good", "note": "lecture-quiet", "fix": "lecture-error"}


def machine_check() -> widgets.HTML:
    """The lines of ``lecture doctor`` as a table, what needs doing first."""
    lines = [line for check in doctor.CHECKS for line in check()]
    counts = {status: sum(s == status for s, _ in lines) for status in WORDS}
    order = list(WORDS)[::-1]
    rows = "".join(
        f'<tr><td class="{CLASSES[status]}" style="padding-right:1em">{WORDS[status]}</td>'
        f"<td>{escape(message)}</td></tr>"
        for status, message in sorted(lines, key=lambda line: order.index(line[0]))
    )
    verdict = f"{counts['fix']} to do before class" if counts["fix"] else "This machine is ready"
    page = widgets.HTML(
        f'{stylesheet()}<div class="lecture-title">{verdict}</div>'
        f'<div class="lecture-look">{counts["ok"]} ok, {counts["note"]} to know of.</div>'
        f"<table>{rows}</table>"
    )
    page.add_class("lecture-panel")
    return page
