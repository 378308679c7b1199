"""The playground of 02_mlp in a real JupyterLab and a real browser, while it trains."""

import re
from collections.abc import Iterator

import nbformat
import pytest
from lab import Notebook, frames, message, pixels, press, row, settle, spot, until, value
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.browser
NOTEBOOK = "02_mlp"
WIDTH, HEIGHT = 1056, 492  # of the figure


def edit(notebook: nbformat.NotebookNode) -> None:
    """The set-up and the playground's own cells."""
    first = next(c for c in notebook.cells if c.cell_type == "code")
    notebook.cells = [first, *(c for c in notebook.cells if c.id.startswith("playground-"))]


@pytest.fixture
def playground(notebook: Notebook) -> Iterator[Locator]:
    found = notebook.panel("Playground")
    press(found, "Reset")
    expect(message(found)).to_contain_text("Epoch 0")
    yield found
    pause = found.get_by_role("button", name="Pause", exact=True)
    if pause.count():
        pause.click()
    expect(found.get_by_role("button", name="Play", exact=True)).to_be_visible()


def at(panel: Locator, x: float, y: float) -> tuple[float, float]:
    """Page coordinates of a place given in the figure's own pixels from its upper left."""
    return spot(panel, x / WIDTH, y / HEIGHT)


def epoch(panel: Locator) -> int:
    found = re.search(r"Epoch ([\d,]+)", message(panel).inner_text())
    return int(found[1].replace(",", "")) if found else -1


def losses(panel: Locator) -> list[float]:
    return [float(v) for v in re.findall(r"loss (\d+\.\d+)", message(panel).inner_text())]


def test_it_learns_while_its_sliders_move(playground: Locator) -> None:
    start, count = pixels(playground), frames(playground)
    press(playground, "Play")
    until(playground, lambda: epoch(playground) > 50 and losses(playground)[0] < 0.05)
    until(playground, lambda: frames(playground) > count + 5)
    assert pixels(playground) != start
    handle = row(playground, "learn rate").locator(".noUi-handle")
    before = value(playground, "learn rate")
    handle.focus()
    for _ in range(4):
        playground.page.keyboard.press("ArrowRight")
    until(playground, lambda: value(playground, "learn rate") > before)
    now = epoch(playground)
    until(playground, lambda: epoch(playground) > now)  # it went on, and did not start anew
    playground.get_by_label("data", exact=True).select_option("XOR")
    until(playground, lambda: epoch(playground) < now)
    expect(message(playground)).to_contain_text("250 right")
    expect(playground.get_by_role("button", name="Pause", exact=True)).to_be_visible()


def test_training_is_scrubbed_and_rewound(playground: Locator) -> None:
    start = pixels(playground)
    for _ in range(3):
        press(playground, "Step")
    until(playground, lambda: epoch(playground) == 3)
    settle(playground)
    third = pixels(playground)
    scrub = row(playground, "scrub").locator(".noUi-handle")
    scrub.focus()
    playground.page.keyboard.press("ArrowLeft")
    until(playground, lambda: epoch(playground) == 2)
    playground.page.keyboard.press("ArrowRight")
    until(playground, lambda: epoch(playground) == 3)
    until(playground, lambda: pixels(playground) == third)
    press(playground, "Rewind")
    until(playground, lambda: pixels(playground) == start)


def test_a_unit_and_a_weight_under_the_pointer(playground: Locator) -> None:
    mouse = playground.page.mouse
    old = pixels(playground)
    mouse.move(*at(playground, 297, 213))
    expect(message(playground)).to_contain_text("h1.1 = tanh(")
    assert pixels(playground) != old
    mouse.click(*at(playground, 297, 213))
    expect(playground.get_by_label("show", exact=True)).to_have_value("layer 1, unit 1")
    mouse.move(*at(playground, 585, 275))  # from the upper unit of layer 2 to the output
    expect(message(playground)).to_contain_text("Weight from layer 2, unit 1 to output")
    mouse.click(*at(playground, 585, 275))
    expect(playground.get_by_label("weight", exact=True)).to_have_value("layer 2, unit 1")
    field = playground.get_by_label("set it to", exact=True)
    field.fill("2.5")
    field.press("Enter")
    expect(field).to_have_attribute("placeholder", "now 2.500")
    expect(field).to_have_value("")


def test_layers_and_features_by_click(playground: Locator) -> None:
    mouse = playground.page.mouse
    units = playground.get_by_label("units", exact=True)
    mouse.click(*at(playground, 507, 24))
    expect(units).to_have_value("4 2 2")
    units.fill("3")
    units.press("Enter")
    expect(message(playground)).to_contain_text("Rebuilt")
    mouse.click(*at(playground, 100, 238))  # x1² is the third of seven
    feature = playground.get_by_role("button", name="x1²", exact=True)
    expect(feature).to_have_class(re.compile("mod-active"))
    old = frames(playground)
    feature.click()
    until(playground, lambda: frames(playground) > old)
    expect(feature).not_to_have_class(re.compile("mod-active"))


def test_own_points_are_clicked_and_learned(playground: Locator) -> None:
    press(playground, "No points")
    expect(message(playground)).to_contain_text("No points yet")
    press(playground, "Play")
    for label, x in (("adds orange", 840), ("adds blue", 980)):
        playground.get_by_label("click", exact=True).select_option(label)
        playground.page.mouse.click(*at(playground, x, 180))
    expect(playground.get_by_label("data", exact=True)).to_have_value("your own")
    until(
        playground,
        lambda: (
            losses(playground)[:1] < [0.1] and "2 of 2 right" in message(playground).inner_text()
        ),
    )
    playground.get_by_label("click", exact=True).select_option("erases")
    playground.page.mouse.click(*at(playground, 840, 180))
    expect(message(playground)).to_contain_text("1 of 1 right")


def test_code_unfolds(playground: Locator) -> None:
    button = playground.get_by_role("button", name="As PyTorch code", exact=True)
    button.click()
    expect(playground.locator("pre")).to_contain_text("nn.Linear(in_features=2, out_features=4")
    button.click()
    expect(playground.locator("pre")).to_have_count(0)
