"""A real JupyterLab and a real browser on it, for the browser tests and the benchmarks."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Locator, Page, sync_playwright

from lecture_utils import cli

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str:
    """The system's Chromium: ``CHROMIUM`` if set, else the first one on the path."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    for name in names:
        if name and (found := shutil.which(name)):
            return found
    raise FileNotFoundError(
        "No Chromium was found. Install it (Debian: apt-get install chromium) or set CHROMIUM."
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def lab_server(notebooks: Path, own: Path, present: bool = False) -> Iterator[tuple[str, str]]:
    """JupyterLab as ``lecture`` starts it, on the folder ``notebooks``: (base address, token)."""
    own.mkdir(parents=True, exist_ok=True)
    token, port = secrets.token_hex(16), free_port()
    with (own / "jupyterlab.log").open("wb") as log:
        server = subprocess.Popen(
            [*cli.command(notebooks, port), "--LabApp.expose_app_in_browser=True"],
            env=cli.environment(own, token, present),
            cwd=own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not cli.request(f"{base}/api/status", token):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((own / "jupyterlab.log").read_text()[-2000:])
            time.sleep(0.2)
        yield base, token
    finally:
        cli.stop(server, base, token)


@contextmanager
def browser_page(width: int = 1366, height: int = 900, **context: object) -> Iterator[Page]:
    """A page of the system's Chromium, started with an empty profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height}, **context)
        page.set_default_timeout(60_000)
        yield page
        browser.close()


class Notebook:
    """An open notebook: run its cells, find its panels."""

    def __init__(self, page: Page, base: str, token: str, name: str, present: bool = False):
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        view = "doc" if present else "lab"
        page.goto(f"{base}/{view}/tree/{name}?token={token}&reset")
        self.cells.first.wait_for()
        # Before the kernel answers, "run" is ignored.
        page.evaluate(
            """async () => {
                 const { sessionContext } = window.jupyterapp.shell.currentWidget.context;
                 await sessionContext.ready;
                 await sessionContext.session.kernel.info;
               }"""
        )

    @property
    def cells(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")

    def run_all(self, timeout: float = 240) -> None:
        """Run every cell and wait until the last one is done; an error stops it as in class."""
        self.page.locator(".jp-Notebook").first.click(position={"x": 5, "y": 5})
        self.command("notebook:run-all-cells")
        self.wait_idle(timeout)

    def command(self, name: str) -> None:
        """Run a JupyterLab command by its id."""
        self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def wait_idle(self, timeout: float = 240) -> None:
        """Wait until no cell is waiting or running."""
        self.page.wait_for_timeout(500)
        self.page.wait_for_function(
            """() => ![...document.querySelectorAll('.jp-InputPrompt')].some(
                 p => p.textContent.includes('*'))""",
            timeout=timeout * 1000,
        )

    def panel(self, title: str) -> Locator:
        """The panel with this title, scrolled into view."""
        found = self.page.locator(".lecture-panel", has=self.page.get_by_text(title, exact=True))
        found.last.scroll_into_view_if_needed()
        return found.last


@contextmanager
def opened(
    folder: Path,
    stem: str,
    edit: Callable[[nbformat.NotebookNode], None] = lambda notebook: None,
    timeout: float = 240,
) -> Iterator[Notebook]:
    """The lecture part of a notebook, without its homework, run in a JupyterLab of its own.

    ``edit`` may change the notebook first: fewer epochs, say. Fails on an error of the page.
    """
    lecture = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)
    ids = [cell.id for cell in lecture.cells]
    if "homework" in ids:
        lecture.cells = lecture.cells[: ids.index("homework")]
    edit(lecture)
    nbformat.write(lecture, folder / f"{stem}.ipynb")
    with lab_server(folder, folder / "own") as (base, token), browser_page() as page:
        notebook = Notebook(page, base, token, f"{stem}.ipynb")
        notebook.run_all(timeout)
        page.wait_for_timeout(1000)  # until the last panels have their place
        yield notebook
        assert notebook.errors == []


def replacing(cell_id: str, old: str, new: str) -> Callable[[nbformat.NotebookNode], None]:
    """For ``opened``: other words in one cell, as fewer epochs."""

    def edit(lecture: nbformat.NotebookNode) -> None:
        (cell,) = (cell for cell in lecture.cells if cell.id == cell_id)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return edit


def message(panel: Locator) -> Locator:
    """The sentence under a panel's figure."""
    return panel.locator(".lecture-figure .lecture-message")


def press(panel: Locator, name: str) -> None:
    """Press a button by its words; those of a preset begin with a capital in the page."""
    panel.get_by_role("button", name=name[:1].upper() + name[1:], exact=True).click()


def row(panel: Locator, label: str) -> Locator:
    """A slider with its label and number."""
    return panel.locator(".widget-slider", has=panel.page.get_by_text(label, exact=True))


def value(panel: Locator, label: str) -> float:
    """The number beside a slider."""
    return float(row(panel, label).locator(".widget-readout").inner_text().replace("−", "-"))


def slide(panel: Locator, label: str, by: float, steps: int = 5) -> None:
    """Drag a slider's handle by so many pixels with the mouse."""
    handle = row(panel, label).locator(".noUi-handle")
    handle.scroll_into_view_if_needed()
    box, mouse = handle.bounding_box(), panel.page.mouse
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + by, y, steps=steps)
    mouse.up()


def until(panel: Locator, condition: Callable[[], bool]) -> None:
    """Wait for what the kernel will answer."""
    for _ in range(1200):
        if condition():
            return
        panel.page.wait_for_timeout(50)
    raise AssertionError(f"it never came; the panel says: {message(panel).inner_text()}")


def within(box: tuple[float, ...], x: float, y: float) -> tuple[float, float]:
    """A place in placed axes, (0, 0) lower left, (1, 1) upper right, as a place for ``spot``.

    ``box``: left, bottom, width, height as given to ``draw.place``; then the figure's own size.
    """
    left, bottom, width, height, whole, high = box
    return (left + x * width) / whole, 1 - (bottom + y * height) / high


def spot(panel: Locator, x: float, y: float) -> tuple[float, float]:
    """Page coordinates of a place in the figure: (0, 0) upper left, (1, 1) lower right."""
    canvas = panel.locator(".lecture-figure canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(panel: Locator, *places: tuple[float, float], steps: int = 5) -> None:
    """Press at the first place of the figure, move over the others, let go."""
    mouse = panel.page.mouse
    mouse.move(*spot(panel, *places[0]))
    mouse.down()
    for place in places[1:]:
        mouse.move(*spot(panel, *place), steps=steps)
    mouse.up()


def frames(panel: Locator) -> int:
    """How many frames a panel's figure has painted."""
    return int(panel.locator(".lecture-figure canvas").first.get_attribute("data-frames") or 0)


def pixels(panel: Locator) -> str:
    """The picture in a panel's canvas as a data address: equal strings are equal pictures."""
    return panel.locator(".lecture-figure canvas").first.evaluate("c => c.toDataURL()")


def settle(panel: Locator) -> None:
    """Wait until a panel's figure is at rest.

    A slider keeps its newest value back while the kernel works on the one before. A button
    pressed in that moment overtakes it.
    """
    still, count = 0, frames(panel)
    while still < 3:
        panel.page.wait_for_timeout(150)
        still, count = (still + 1 if frames(panel) == count else 0), frames(panel)
