"""Slider to pixel: a key press on a slider until the new picture is in the page.

One notebook in one JupyterLab and one browser holds every way of drawing the same figure
(a line and a decision map, 800 x 360), and the presses go round them in turn, so that a noisy
machine is noisy to all alike. "Bare round trip" is the floor: the kernel answers with a number
that the page writes, and nothing is drawn.

    python benchmarks/slider_latency.py [--presses 30]
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))
from lab import Notebook, browser_page, lab_server
from playwright.sync_api import Page
from table import show

SETUP = """
%matplotlib inline
import numpy as np, ipywidgets as widgets, matplotlib.pyplot as plt
from IPython.display import display
import lecture_utils as lu

x, grid = np.linspace(-3, 3, 300), np.linspace(-3, 3, 60)
surface = lambda w: np.sin(w * grid[:, None] * grid)

def mark(widget, name):
    widget.add_class("bench-" + name)
    return widget

def draw(fig, axes, w):
    (line,) = axes[0].plot(x, np.sin(w * x))
    axes[0].set_ylim(-1.5, 1.5)
    return line, axes[1].imshow(surface(w), vmin=-1, vmax=1, cmap="PuOr")

new_slider = lambda: widgets.FloatSlider(value=1, min=0, max=5, step=0.01)
"""

VARIANTS = {
    "bare": """
slider, label = new_slider(), widgets.Label()
slider.observe(lambda change: setattr(label, "value", f"{change['new']:.4f}"), "value")
display(mark(widgets.VBox([slider, label]), "bare"))
""",
    "interact": """
slider, output = new_slider(), widgets.Output()
def show(w):
    fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), dpi=100)
    draw(fig, axes, w)
    plt.show()
shown = widgets.interactive(show, w=slider)
shown.children[-1].layout.height = "380px"
display(mark(shown, "interact"))
""",
    "ipympl": """
%matplotlib widget
slider = new_slider()
with plt.ioff():
    fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), dpi=100)
fig.canvas.header_visible = False
line, image = draw(fig, axes, 1)
def follow(change):
    line.set_ydata(np.sin(change["new"] * x))
    image.set_data(surface(change["new"]))
    fig.canvas.draw_idle()
slider.observe(follow, "value")
display(mark(widgets.VBox([slider, fig.canvas]), "ipympl"))
""",
    "ours": """
figure = lu.LiveFigure(800, 360)
line, image = figure.live(*draw(figure, figure.subplots(1, 2), 1))
def update(w):
    line.set_ydata(np.sin(w * x))
    image.set_data(surface(w))
    return f"w = {w:.2f}"
panel = lu.Panel(update, figure, title="ours", look="", w=new_slider())
display(mark(panel, "ours"))
""",
}

# The moment of the key press, and the moment the answer is in the page: text for the bare round
# trip, a decoded image for inline figures, a drawn canvas for the others.
WATCH = """
([name, slider]) => {
  const root = [...document.querySelectorAll('.bench-' + name)].at(-1);
  const handle = root.querySelectorAll('.noUi-handle')[slider];
  handle.focus();
  return new Promise((resolve, reject) => {
    let start = null;
    const done = () => { cleanup(); resolve(performance.now() - start); };
    const observer = new MutationObserver(async records => {
      if (start === null) return;
      if (name === 'bare') {
        const own = records.some(r => r.target.parentElement?.closest('.widget-label') ||
                                      r.target.closest?.('.widget-label'));
        if (own) done();
      } else if (name === 'interact') {
        for (const record of records) for (const node of record.addedNodes) {
          const image = node.matches?.('img') ? node : node.querySelector?.('img');
          if (image) { await image.decode(); done(); }
        }
      }
    });
    const kept = {};
    for (const method of ['drawImage', 'putImageData']) {
      const plain = kept[method] = CanvasRenderingContext2D.prototype[method];
      CanvasRenderingContext2D.prototype[method] = function (...args) {
        const result = plain.apply(this, args);
        if (start !== null && root.contains(this.canvas)) done();
        return result;
      };
    }
    const cleanup = () => {
      observer.disconnect();
      Object.assign(CanvasRenderingContext2D.prototype, kept);
      handle.removeEventListener('keydown', began, true);
      clearTimeout(timer);
    };
    const began = () => { start = performance.now(); };
    const timer = setTimeout(() => { cleanup(); reject(name + ': no new picture'); }, 10000);
    observer.observe(root, { childList: true, subtree: true, characterData: true });
    handle.addEventListener('keydown', began, true);
    window.benchReady = true;
  });
}
"""


def key_press(page: Page, name: str, key: str, slider: int = 0) -> float:
    """Milliseconds from ``key`` on a slider of the last ``.bench-name`` to the answer."""
    page.evaluate(f"() => {{ window.answer = ({WATCH})([{name!r}, {slider}]); }}")
    page.wait_for_timeout(150)  # to take the focus may scroll the page, which is no part of this
    page.keyboard.press(key)
    return page.evaluate("() => window.answer")


def measure(presses: int) -> dict[str, list[float]]:
    """Milliseconds for each press and variant."""
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, *VARIANTS.values())]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(notebook, Path(folder) / "latency.ipynb")
        own = Path(folder) / "own"
        with lab_server(Path(folder), own) as (base, token), browser_page(1500, 2600) as page:
            opened = Notebook(page, base, token, "latency.ipynb")
            opened.run_all()
            page.wait_for_timeout(3000)
            for press in range(presses + 3):
                for name in VARIANTS:
                    elapsed = key_press(
                        page, name, "ArrowRight" if press % 40 < 20 else "ArrowLeft"
                    )
                    if press >= 3:  # the first ones fill caches
                        times[name].append(elapsed)
                    page.wait_for_timeout(150)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=30)
    times = measure(parser.parse_args().presses)
    medians = {name: statistics.median(values) for name, values in times.items()}
    names = {
        "bare": "bare round trip",
        "interact": "interact + inline",
        "ipympl": "ipympl",
        "ours": "LiveFigure in a Panel",
    }
    show(
        ["way", "median ms", "10th", "90th", "x bare", "x ours"],
        [
            [
                names[name],
                f"{medians[name]:.1f}",
                f"{statistics.quantiles(values, n=10)[0]:.1f}",
                f"{statistics.quantiles(values, n=10)[-1]:.1f}",
                f"{medians[name] / medians['bare']:.2f}",
                f"{medians[name] / medians['ours']:.2f}",
            ]
            for name, values in times.items()
        ],
    )


if __name__ == "__main__":
    main()
