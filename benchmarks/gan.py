"""The live panels of 07_gan: steps and pictures a second, and slider to picture of the heads.

Everything runs in a real JupyterLab and a real browser. Steps are those that the page shows,
pictures those that it has painted. A slider's way to the picture is measured in turn with a bare
round trip, as in slider_latency.py.

    python benchmarks/gan.py [--seconds 8] [--rounds 3] [--presses 20]
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))
from lab import Notebook, frames, opened, press, settle, until
from playwright.sync_api import Locator
from slider_latency import VARIANTS, key_press
from table import show

PANELS = {"Two nets play": "Covers all 8", "Digits nobody wrote": "Rewind"}
HEADS = {"seed": 0, "on the way": 2, "a direction": 3}  # the place of the slider in the panel
WANTED = 10
CELLS = (
    *("setup", "nets", "step", "lab-panel", "generator", "trained", "directions", "person-panel"),
    *("digits", "digits-panel"),
)


def few_cells(notebook: nbformat.NotebookNode) -> None:
    """The cells of the panels, and a bare slider."""
    notebook.cells = [c for c in notebook.cells if c.id in CELLS]
    for cell in notebook.cells:
        if cell.id == "person-panel":
            *before, last = cell.source.split("\n")
            cell.source = "\n".join(
                [*before, f"person = {last}", 'person.add_class("bench-heads")', "person"]
            )
    widget = "import ipywidgets as widgets\nfrom IPython.display import display\n"
    functions = (
        "new_slider = lambda: widgets.FloatSlider(max=5, step=0.01)\n"
        "def mark(widget, name):\n    widget.add_class('bench-' + name)\n    return widget\n"
    )
    bare = nbformat.v4.new_code_cell(widget + functions + VARIANTS["bare"])
    notebook.cells.append(bare)


def step(panel: Locator) -> int:
    """The step that the run's own line shows."""
    found = re.search(r"step (\d+)", panel.locator(".lecture-run").inner_text())
    return int(found[1]) if found else 0


def play(panel: Locator, seconds: float) -> tuple[float, float]:
    """Steps a second and pictures a second, from two seconds after the start."""
    press(panel, "Play")
    until(panel, lambda: step(panel) > 5)
    panel.page.wait_for_timeout(2000)
    start, first, painted = time.perf_counter(), step(panel), frames(panel)
    panel.page.wait_for_timeout(1000 * seconds)
    spent = time.perf_counter() - start
    found = (step(panel) - first) / spent, (frames(panel) - painted) / spent
    press(panel, "Pause")
    settle(panel)
    return found


def sliders(notebook: Notebook, presses: int) -> dict[str, list[float]]:
    """Milliseconds for each press: the bare round trip and the sliders of the heads, in turn."""
    times: dict[str, list[float]] = {name: [] for name in ("bare", *HEADS)}
    for k in range(presses + 3):
        key = "ArrowRight" if k % 10 < 5 else "ArrowLeft"
        for name in times:
            place = ("bare", 0) if name == "bare" else ("heads", HEADS[name])
            elapsed = key_press(notebook.page, place[0], key, place[1])
            if k >= 3:  # the first ones fill caches
                times[name].append(elapsed)
            notebook.page.wait_for_timeout(150)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--presses", type=int, default=20)
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {title: [] for title in PANELS}
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder), "07_gan", few_cells) as notebook,
    ):
        for title, button in PANELS.items():
            for _ in range(args.rounds):
                panel = notebook.panel(title)
                press(panel, button)
                settle(panel)
                found[title].append(play(panel, args.seconds))
        times = sliders(notebook, args.presses)
    rows = []
    for title, results in found.items():
        steps, pictures = (statistics.median(values) for values in zip(*results, strict=True))
        spread = f"{min(s for s, _ in results):.0f} to {max(s for s, _ in results):.0f}"
        rows.append([title, f"{steps:.0f}", spread, f"{pictures:.1f}", f"{WANTED}"])
    show(["panel", "steps/s", "range", "pictures/s", "wanted"], rows)
    medians = {name: statistics.median(values) for name, values in times.items()}
    show(
        ["slider of the heads", "median ms", "10th", "90th", "x bare"],
        [
            [name, f"{medians[name]:.1f}"]
            + [f"{statistics.quantiles(values, n=10)[k]:.1f}" for k in (0, -1)]
            + [f"{medians[name] / medians['bare']:.2f}"]
            for name, values in times.items()
        ],
    )


if __name__ == "__main__":
    main()
