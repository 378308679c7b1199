"""What live curves cost: the digits CNN trained by a bare loop and by ``lecture_utils.fit``.

A notebook in a real JupyterLab and a real browser, so that the frames are really sent and painted,
and the browser's own work on the same machine counts. The two take turns, after one round to warm
up; each round trains the same net on the same minibatches. Neither looks at a test set.

    python benchmarks/training_overhead.py [--rounds 7] [--steps 250] [--threads 0]
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))
from lab import Notebook, browser_page, lab_server
from table import show

SETUP = """
import json, time
import torch
import lecture_utils as lu
from lecture_utils.training import batch

if THREADS:
    torch.set_num_threads(THREADS)
digits = lu.data.mnist()
count = 64 * STEPS
picked = torch.arange(count) % len(digits.train_x)
x, y = digits.train_x[picked], digits.train_y[picked]
times = {"bare loop": [], "fit, no curves": [], "fit, live curves": []}
frames = []

def net():
    torch.manual_seed(0)
    return lu.models.DigitsCNN()

def bare():
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for k in range(STEPS):
        chosen = batch(k, count, 64)
        model.train()
        loss = torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

def fitted(live):
    lu.fit(net(), (x, y), loss=torch.nn.functional.cross_entropy, live=live)

def timed(name, train, *args):
    start = time.perf_counter()
    train(*args)
    times[name].append(time.perf_counter() - start)
"""

ROUND = """
for _ in range(ROUNDS):
    timed("bare loop", bare)
    timed("fit, live curves", fitted, True)
    timed("fit, no curves", fitted, False)
"""


def measure(rounds: int, steps: int, threads: int) -> tuple[dict[str, list[float]], int]:
    """Seconds a training for each way and round, and how many frames the page painted."""
    setup = f"ROUNDS, STEPS, THREADS = {rounds}, {steps}, {threads}\n{SETUP}"
    warm = "bare(); fitted(True)"
    cells = [nbformat.v4.new_code_cell(source) for source in (setup, warm, ROUND)]
    cells.append(nbformat.v4.new_code_cell("print(json.dumps(times))"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(notebook, Path(folder) / "overhead.ipynb")
        own = Path(folder) / "own"
        with lab_server(Path(folder), own) as (base, token), browser_page(1500, 2600) as page:
            opened = Notebook(page, base, token, "overhead.ipynb")
            opened.run_all(timeout=1800)
            printed = page.locator(".jp-OutputArea-output pre").last.inner_text()
            painted = page.locator(".lecture-figure canvas[data-frames]").evaluate_all(
                "all => all.slice(1).reduce((sum, c) => sum + Number(c.dataset.frames), 0)"
            )
    return json.loads(printed), painted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0: torch decides")
    args = parser.parse_args()
    times, painted = measure(args.rounds, args.steps, args.threads)
    bare = statistics.median(times["bare loop"])
    rows = []
    for name, seconds in times.items():
        median = statistics.median(seconds)
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        rows.append([name, f"{median:.2f}", spread, f"{median / bare:.3f}"])
    show(["way", "median s", "range", "x bare"], rows)
    print(f"\n{painted} frames painted in the page, {painted / args.rounds:.0f} a training.")


if __name__ == "__main__":
    main()
