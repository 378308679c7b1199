"""The playground: optimisation steps a second while it is watched.

The panel of 02_mlp plays in a real JupyterLab and a real browser, at its full picture rate. Steps
are counted by the epochs that the page shows, pictures by those that the page has painted.
TensorFlow Playground does one epoch (25 steps) a frame of the browser; its numbers in the table
were taken from its own page on a machine like the one of the results.

    python benchmarks/playground.py [--seconds 8] [--rounds 3]
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
from lab import frames, message, opened, press, until
from playwright.sync_api import Locator
from table import show

STEPS_AN_EPOCH = 25  # 250 points in batches of 10
PROBLEMS = {  # preset: what it is, steps a second of TensorFlow Playground, wanted ratio
    "Circle": ("circle, 4-2, tanh, batch 10", 1500, 2),
    "Deep": ("spiral, 8-8-8, tanh, batch 10", 780, 3),
}


def only_playground(notebook: nbformat.NotebookNode) -> None:
    """The set-up and the playground's own cells."""
    first = next(c for c in notebook.cells if c.cell_type == "code")
    notebook.cells = [first, *(c for c in notebook.cells if c.id.startswith("playground-"))]


def epoch(panel: Locator) -> int:
    found = re.search(r"Epoch ([\d,]+)", message(panel).inner_text())
    return int(found[1].replace(",", "")) if found else 0


def play(panel: Locator, preset: str, seconds: float) -> tuple[float, float]:
    """Steps a second and pictures a second, from one second after the start."""
    panel.locator("select").first.select_option(preset)
    press(panel, "Play")
    until(panel, lambda: epoch(panel) > 0)
    panel.page.wait_for_timeout(1000)
    start, first, painted = time.perf_counter(), epoch(panel), frames(panel)
    panel.page.wait_for_timeout(1000 * seconds)
    end, last, more = time.perf_counter(), epoch(panel), frames(panel)
    press(panel, "Pause")
    until(panel, lambda: panel.get_by_role("button", name="Play", exact=True).count() == 1)
    spent = end - start
    return STEPS_AN_EPOCH * (last - first) / spent, (more - painted) / spent


def measure(seconds: float, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(steps a second, pictures a second) of each round, the problems in turn."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PROBLEMS}
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder), "02_mlp", only_playground) as notebook,
    ):
        panel = notebook.panel("Playground")
        for _ in range(rounds):
            for preset in PROBLEMS:
                found[preset].append(play(panel, preset, seconds))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for preset, results in measure(args.seconds, args.rounds).items():
        what, theirs, wanted = PROBLEMS[preset]
        steps, pictures = (statistics.median(values) for values in zip(*results, strict=True))
        spread = f"{min(s for s, _ in results):,.0f} to {max(s for s, _ in results):,.0f}"
        rows.append(
            [what, f"{steps:,.0f}", spread, f"{pictures:.1f}", f"{theirs:,}"]
            + [f"{steps / theirs:.1f}", f"{wanted}"]
        )
    show(["net", "steps/s", "range", "pictures/s", "TF Playground", "ratio", "wanted"], rows)


if __name__ == "__main__":
    main()
