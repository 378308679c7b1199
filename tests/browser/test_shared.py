"""Panels in a real JupyterLab and a real browser: what every notebook relies on."""

import json
from collections.abc import Iterator

import nbformat
import pytest
from lab import Notebook, browser_page, frames, lab_server, pixels
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

CELLS = {
    "setup": """
import threading, time
import numpy as np, torch
import torch._lazy.ts_backend
import lecture_utils as lu
torch._lazy.ts_backend.init()
lu.device._extra.append("lazy")  # a second device, on any machine

def panel(title, before=lambda: None, **controls):
    fig = lu.LiveFigure(300, 200)
    ax = fig.add_subplot()
    ax.set(xlim=(0, 1), ylim=(0, 100))
    (line,) = fig.live(*ax.plot([0, 1], [50, 50], lw=8))
    values = []
    def update(height, **others):
        before()
        values.append(height)
        line.set_ydata([height, height])
        return f"height {height} {others}"
    made = lu.Panel(update, fig, title=title, look="Watch the line.", **controls)
    made.seen, made.ax, made.line = values, ax, line
    return made
""",
    "plain": "plain = panel('Plain', height=(0, 100, 1, 50))\nplain",
    "again": "plain",
    "slow": "slow = panel('Slow', lambda: time.sleep(0.3), height=(0, 100, 1, 50))\nslow",
    "keyboard": """
pressed = []
keyboard = panel("Keyboard", presets={"High": {"height": 90, "note": "It is high."}},
    actions={"Act": lambda: pressed.append("act")}, height=(0, 100, 1, 50),
    kind=["one", "two", "three"], on=False, words="", player=lu.Player(max=5))
keyboard
""",
    "pointer": """
pointer = panel("Pointer", height=(0, 100, 1, 50))
presses, drags = [], []
pointer.figure.on_press(pointer.ax, lambda x, y: presses.append((x, y)))
def drag(x, y, phase):
    time.sleep(0.1)
    drags.append((x, y, phase))
    pointer.set(height=min(max(round(y), 0), 100))
pointer.figure.on_drag(pointer.ax, drag)
pointer
""",
    "ink": """
inked = panel("Ink", height=(0, 100, 1, 50))
(trace,) = inked.figure.live(*inked.ax.plot([], [], color="k", lw=4))
points = []
def draw(new, begins):
    time.sleep(0.15)
    if begins:
        points.clear()
    points.extend(new.tolist())
    trace.set_data(*np.array(points).T)
    inked.refresh()
inked.figure.on_ink(inked.ax, draw, 4, "#000000")
inked
""",
    "run": """
torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
x = torch.randn(64, 3)
used = set()
def step(k, x):
    used.add(x.device.type)
    loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    if x.device.type == "lazy":
        torch._lazy.mark_step()
    return loss
run = lu.Run(step, models=[model], optimizers=[optimizer], data=[x], speed=60)
training = panel("Training", run=run, height=(0, 100, 1, 50))
training
""",
    "toggle": "lu.DeviceToggle()",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source.strip(), id=name) for name, source in CELLS.items()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(made, folder / "shared.ipynb")
    with lab_server(folder, folder / "own") as found:
        yield found


@pytest.fixture(scope="module")
def notebook(server: tuple[str, str]) -> Iterator[Notebook]:
    with browser_page(1366, 900, has_touch=True) as page:
        opened = Notebook(page, *server, "shared.ipynb")
        opened.run_all()
        page.wait_for_timeout(1000)
        yield opened
        assert opened.errors == []


EXECUTE = """
async code => {
  const { sessionContext } = window.jupyterapp.shell.currentWidget.context;
  const future = sessionContext.session.kernel.requestExecute({ code, store_history: false });
  let text = "";
  future.onIOPub = message => {
    if (message.header.msg_type === "stream") text += message.content.text;
    if (message.header.msg_type === "error") text += message.content.evalue;
  };
  await future.done;
  return text;
}
"""


def ask(page: Page, expression: str) -> object:
    """The value of an expression in the notebook's kernel."""
    return json.loads(page.evaluate(EXECUTE, f"import json; print(json.dumps({expression}))"))


def message(panel: Locator) -> Locator:
    return panel.locator(".lecture-figure .lecture-message").first


def handle(panel: Locator, number: int = 0) -> Locator:
    return panel.locator(".noUi-handle").nth(number)


def press_handle(page: Page, panel: Locator) -> tuple[float, float, float]:
    """Put the mouse down on the panel's slider: x and y of the handle, width of the track."""
    panel.scroll_into_view_if_needed()
    box = handle(panel).bounding_box()
    track = panel.locator(".noUi-base").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    return x, y, track["width"]


def settle(page: Page, panel: Locator) -> None:
    """Wait until the panel's picture has stood still for half a second."""
    before = None
    while before != (before := frames(panel)):
        page.wait_for_timeout(500)


def true_picture(page: Page, name: str) -> str:
    """A data address of what the kernel says the panel looks like, decoded by the browser."""
    still = ask(page, f"__import__('base64').b64encode({name}.figure.png()).decode()")
    return page.evaluate(
        """async data => {
             const image = new Image();
             image.src = "data:image/png;base64," + data;
             await image.decode();
             const canvas = document.createElement("canvas");
             [canvas.width, canvas.height] = [image.width, image.height];
             canvas.getContext("2d").drawImage(image, 0, 0);
             return canvas.toDataURL();
           }""",
        still,
    )


def assert_true(page: Page, name: str, *panels: Locator) -> None:
    """The panels show, after at most a few frames, exactly what the kernel has."""
    for _ in range(40):
        truth = true_picture(page, name)
        if all(pixels(panel) == truth for panel in panels):
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"{name}: the page does not show the picture of the kernel")


WATCH = """
canvas => {
  window.watched = [];
  window.watching = true;
  const look = () => {
    const { width, height } = canvas;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    let blue = 0;
    for (let i = 0; i < data.length; i += 4) blue += data[i + 2] > data[i] + 80 ? 1 : 0;
    const box = canvas.getBoundingClientRect();
    window.watched.push([width, height, box.width, box.height, blue]);
    if (window.watching) requestAnimationFrame(look);
  };
  look();
}
"""


def test_the_side_bars_begin_folded(server: tuple[str, str]) -> None:
    base, token = server  # on which nothing was opened yet
    with browser_page(1366, 900) as page:
        page.goto(f"{base}/lab/tree/shared.ipynb?token={token}")
        page.wait_for_function("() => window.jupyterapp")
        page.evaluate("() => window.jupyterapp.restored.then(() => true)")
        width = "document.querySelector('.jp-Notebook .jp-Cell')?.getBoundingClientRect().width"
        page.wait_for_function(f"() => {width} > 1200")
        page.get_by_role("tab", name="File Browser").click()
        expect(page.locator(".jp-DirListing-item", has_text="shared.ipynb")).to_be_visible()


def test_a_drag_moves_the_picture_and_never_empties_it(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Plain")
    canvas = panel.locator("canvas").first
    before, drawn = pixels(panel), frames(panel)
    x, y, width = press_handle(page, panel)
    canvas.evaluate(WATCH)
    for k in range(40):
        page.mouse.move(x + k * width / 100, y)
        page.wait_for_timeout(15)
    page.mouse.up()
    settle(page, panel)
    page.evaluate("() => { window.watching = false; }")
    looks = page.evaluate("() => window.watched")
    assert len(looks) > 10
    assert len({tuple(look[:4]) for look in looks}) == 1, "the picture changed its size"
    full = looks[0][4]
    assert full > 500
    assert min(look[4] for look in looks) > 0.9 * full, "the picture was empty for a moment"
    assert frames(panel) > drawn + 5
    assert pixels(panel) != before
    assert_true(page, "plain", panel)
    value = ask(page, "plain.values['height']")
    assert value > 80
    expect(message(panel)).to_contain_text(f"height {value}")


def test_a_second_view_shows_the_same_picture(notebook: Notebook) -> None:
    page = notebook.page
    views = page.locator(".lecture-panel", has=page.get_by_text("Plain", exact=True))
    assert views.count() == 2
    handle(views.nth(1)).focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    settle(page, views.nth(0))
    assert_true(page, "plain", views.nth(0), views.nth(1))
    words = f"height {ask(page, 'plain.seen[-1]')}"
    for view in (views.nth(0), views.nth(1)):
        expect(message(view)).to_contain_text(words)
        assert words in view.locator("canvas").first.get_attribute("aria-label")


def test_a_display_after_a_silent_change_leaves_no_old_pixels(notebook: Notebook) -> None:
    """The new display shows the change; the next frame must be right in both views."""
    page = notebook.page
    views = page.locator(".lecture-panel", has=page.get_by_text("Plain", exact=True))
    page.evaluate(EXECUTE, "plain.controls['height'].value = 20")
    page.evaluate(EXECUTE, "plain.line.set_ydata([90, 90]); plain._repr_mimebundle_()")
    page.evaluate(EXECUTE, "plain.refresh()")
    assert_true(page, "plain", views.nth(0), views.nth(1))


def test_a_slow_kernel_draws_the_newest_value_only(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Slow")
    before = ask(page, "len(slow.seen)")
    x, y, width = press_handle(page, panel)
    for k in range(41):
        page.mouse.move(x - k * width / 100, y)
        page.wait_for_timeout(10)
    page.mouse.up()
    shown = panel.locator(".widget-readout").first.inner_text()
    expect(message(panel)).to_contain_text(f"height {shown} ")
    settle(page, panel)
    seen = ask(page, f"slow.seen[{before}:]")
    assert seen[-1] == int(shown) <= 15
    assert len(seen) < 15, f"{len(seen)} pictures for 40 values"
    assert seen == sorted(seen, reverse=True)
    assert_true(page, "slow", panel)


def test_every_control_works_by_keyboard_alone(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Keyboard")
    panel.get_by_role("button", name="High", exact=True).focus()
    page.keyboard.press("Space")
    expect(message(panel)).to_contain_text("It is high. ", use_inner_text=True)
    expect(message(panel)).to_contain_text("height 90")

    def tab_to(what: str) -> None:
        """Go on with the tab key, as a reader does, until the focus is on ``what``."""
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("what => document.activeElement.matches(what)", what):
                inside = "p => p.contains(document.activeElement)"
                assert panel.evaluate(inside), f"the focus left the panel before {what}"
                return
        raise AssertionError(f"the tab key does not reach {what}")

    def focused() -> str:
        return page.evaluate("() => document.activeElement.textContent")

    tab_to("button")
    assert focused() == "Act"
    page.keyboard.press("Space")
    tab_to("button")
    assert focused() == "Reset"
    tab_to(".noUi-handle")
    page.keyboard.press("ArrowLeft")
    expect(message(panel)).to_contain_text("height 89")
    page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("height 0 ")
    tab_to("select")
    page.keyboard.press("ArrowDown")
    expect(message(panel)).to_contain_text("'kind': 'two'")
    tab_to("input[type=checkbox]")
    page.keyboard.press("Space")
    expect(message(panel)).to_contain_text("'on': True")
    tab_to("input[type=text]")
    page.keyboard.type("dx")  # both are shortcuts of JupyterLab outside a text field
    page.keyboard.press("Enter")
    expect(message(panel)).to_contain_text("'words': 'dx'")
    for name, position in [("Start", 0), ("◀", 0), ("Play", None), ("▶", None)]:
        tab_to("button")
        assert focused() == name
        page.keyboard.press("Space")
        if position is not None:
            expect(message(panel)).to_contain_text(f"'player': {position}")
    tab_to(".noUi-handle")
    page.keyboard.press("End")
    expect(message(panel)).to_contain_text("'player': 5")
    page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("'player': 0")
    assert ask(page, "pressed") == ["act"]
    assert notebook.cells.count() == len(CELLS), "a key reached JupyterLab's shortcuts"


def test_a_player_plays_in_the_page(notebook: Notebook) -> None:
    panel = notebook.panel("Keyboard")
    panel.get_by_role("button", name="Start", exact=True).click()
    panel.get_by_role("button", name="Play", exact=True).click()
    expect(message(panel)).to_contain_text("'player': 5")
    expect(panel.get_by_role("button", name="Play", exact=True)).to_be_visible()


# ---- pointer


def figure_point(page: Page, name: str, panel: Locator, x: float, y: float) -> tuple[float, float]:
    """Where on the screen a point in data coordinates of a panel's axes is."""
    px, py = ask(page, f"{name}.figure.to_page({name}.ax, {x}, {y})")
    box = panel.locator("canvas").first.bounding_box()
    return box["x"] + px * box["width"] / 300, box["y"] + py * box["height"] / 200


def test_a_drag_on_the_figure_keeps_the_newest_position(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Pointer")
    path = [figure_point(page, "pointer", panel, 0.2 + k / 100, 50 + k) for k in range(41)]
    page.mouse.move(*path[0])
    page.mouse.down()
    for point in path[1:]:
        page.mouse.move(*point)
        page.wait_for_timeout(10)
    page.mouse.up()
    expect(message(panel)).to_contain_text("height 90")
    settle(page, panel)
    drags = ask(page, "drags")
    assert drags[0] == [pytest.approx(0.2, abs=0.02), pytest.approx(50, abs=1.5), "start"]
    assert drags[-1] == [pytest.approx(0.6, abs=0.02), pytest.approx(90, abs=1.5), "end"]
    assert 3 <= len(drags) < 20, "old positions were not dropped"
    heights = [y for _, y, _ in drags]
    assert heights == sorted(heights)
    (press,) = ask(page, "presses")
    assert press == pytest.approx(drags[0][:2])
    assert_true(page, "pointer", panel)


def test_ink_keeps_every_point(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Ink")
    zigzag = [(0.1 + 0.02 * k, 20 + 60 * (k % 2)) for k in range(40)]
    path = [figure_point(page, "inked", panel, x, y) for x, y in zigzag]
    page.mouse.move(*path[0])
    page.mouse.down()
    for point in path[1:]:
        page.mouse.move(*point)
    # The page shows the stroke at once, before the slow kernel has answered.
    shown = panel.locator(".lecture-ink").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
    )
    assert shown
    page.mouse.up()
    page.wait_for_timeout(300)
    settle(page, panel)
    points = ask(page, "points")
    assert len(points) == len(zigzag)
    for got, wanted in zip(points, zigzag, strict=True):
        assert got == [pytest.approx(wanted[0], abs=0.02), pytest.approx(wanted[1], abs=1.5)]
    assert_true(page, "inked", panel)
    left = panel.locator(".lecture-ink").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
    )
    assert not left, "the line under the pointer must give way to the frame"


def test_a_finger_draws_too(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Ink")
    top = page.locator(".jp-WindowedPanel-outer").first.evaluate("e => e.scrollTop")
    wanted = [(0.2, 80), (0.4, 60), (0.6, 40), (0.8, 20)]
    path = [figure_point(page, "inked", panel, x, y) for x, y in wanted]
    touch = page.context.new_cdp_session(page)
    for kind, point in [("touchStart", path[0]), *[("touchMove", p) for p in path[1:]]]:
        x, y = point
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        page.wait_for_timeout(50)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(300)
    settle(page, panel)
    points = ask(page, "points")
    assert points[0] == [pytest.approx(0.2, abs=0.02), pytest.approx(80, abs=1.5)]
    assert points[-1] == [pytest.approx(0.8, abs=0.02), pytest.approx(20, abs=1.5)]
    assert len(points) >= 3
    now = page.locator(".jp-WindowedPanel-outer").first.evaluate("e => e.scrollTop")
    assert now == top, "the finger scrolled the page instead"


# ---- training, devices, a busy kernel


def step_shown(panel: Locator) -> int:
    words = panel.locator(".widget-html", has_text="step ").last.inner_text()
    return int(words.split()[1])


def test_a_run_plays_while_its_sliders_stay_live(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Training")
    panel.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(
        "p => parseInt(p.innerText.split('step ').pop()) > 20", arg=panel.element_handle()
    )
    slider = panel.locator(".widget-slider", has=page.get_by_text("height", exact=True))
    slider.locator(".noUi-handle").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(message(panel)).to_contain_text("height 55")
    assert ask(page, "run.playing")
    panel.get_by_role("button", name="Pause", exact=True).click()
    expect(panel.get_by_role("button", name="Play", exact=True)).to_be_visible()
    reached = ask(page, "run.reached")
    assert reached > 20
    assert ask(page, "run.position") == reached, "the page must not scrub by itself"
    settle(page, panel)
    assert step_shown(panel) == reached
    assert_true(page, "training", panel)
    scrub = panel.locator(".widget-slider", has=page.get_by_text("scrub", exact=True))
    scrub.locator(".noUi-handle").focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(500)
    assert ask(page, "[run.position, run.reached]") == [0, reached]
    assert step_shown(panel) == 0
    page.keyboard.press("End")  # the slider was shorter when the page was made
    page.wait_for_timeout(500)
    assert ask(page, "[run.position, run.reached]") == [reached, reached]
    assert step_shown(panel) == reached
    panel.get_by_role("button", name="Step", exact=True).click()
    page.wait_for_timeout(500)
    assert ask(page, "[run.position, run.reached]") == [reached + 1, reached + 1]


def test_the_device_toggle_moves_a_playing_run(notebook: Notebook) -> None:
    page, panel = notebook.page, notebook.panel("Training")
    toggle = page.locator(".lecture-device")
    panel.get_by_role("button", name="Play", exact=True).click()
    toggle.scroll_into_view_if_needed()
    if not ask(page, "torch.cuda.is_available()"):
        expect(toggle.get_by_role("button", name="CUDA")).to_be_disabled()
        expect(toggle).to_contain_text("CUDA is unavailable")
    toggle.get_by_role("button", name="lazy").click()
    expect(toggle.locator(".mod-primary")).to_have_text("lazy")
    page.wait_for_timeout(1500)
    toggle.get_by_role("button", name="CPU", exact=True).click()
    page.wait_for_timeout(500)
    assert ask(page, "sorted(used)") == ["cpu", "lazy"]
    assert ask(page, "[run.playing, str(run.error)]") == [True, "None"]
    panel.get_by_role("button", name="Pause", exact=True).click()
    expect(panel.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_a_slider_answers_while_a_cell_is_busy(notebook: Notebook) -> None:
    """JupyterLab sends widget messages to a kernel thread of their own."""
    page, panel = notebook.page, notebook.panel("Plain")
    wait = (
        "gate = threading.Event(); "
        "plain.controls['height'].observe(lambda c: c['new'] == 100 and gate.set(), 'value'); "
        "print(gate.wait(60))"
    )
    page.evaluate(f"code => {{ window.busy = ({EXECUTE})(code); }}", wait)
    handle(panel).focus()
    page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("height 0 ")
    assert page.evaluate("() => Promise.race([window.busy, 'busy'])") == "busy"
    page.keyboard.press("End")  # the very value the cell waits for
    assert page.evaluate("() => window.busy") == "True\n"


# ---- other pages on the same kernel


def test_a_reloaded_page_shows_the_present_picture(notebook: Notebook) -> None:
    page = notebook.page
    notebook.command("docmanager:save")
    page.wait_for_timeout(1500)
    page.evaluate(EXECUTE, "plain.controls['height'].value = 33")
    page.reload()
    notebook.cells.first.wait_for()
    panel = notebook.panel("Plain")
    expect(message(panel)).to_contain_text("height 33")
    assert_true(page, "plain", panel)
    handle(panel).focus()
    page.keyboard.press("ArrowRight")
    expect(message(panel)).to_contain_text("height 34")
    assert_true(page, "plain", panel)


def test_a_dense_screen_gets_a_sharp_picture(notebook: Notebook, server: tuple[str, str]) -> None:
    base, token = server
    context = notebook.page.context.browser.new_context(device_scale_factor=2)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{base}/lab/tree/shared.ipynb?token={token}&reset")
    other = notebook.panel("Plain")
    panel = page.locator(".lecture-panel", has=page.get_by_text("Plain", exact=True)).last
    panel.scroll_into_view_if_needed()
    expect(message(panel)).to_contain_text("height 34")
    settle(page, panel)
    canvas = panel.locator("canvas").first
    assert canvas.evaluate("c => [c.width, c.height]") == [600, 400]
    box = canvas.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(1.5, rel=0.01)
    assert_true(page, "plain", panel)
    # Both pages show the sharp picture now, and both follow.
    page.evaluate(EXECUTE, "plain.controls['height'].value = 60")
    assert_true(page, "plain", panel, other)
    context.close()
