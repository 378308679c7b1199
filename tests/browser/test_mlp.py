"""02_mlp in a real JupyterLab and a real browser: sliders, drawing, throwing, training."""

import nbformat
import pytest
from lab import (
    Notebook,
    drag,
    message,
    pixels,
    press,
    row,
    settle,
    slide,
    spot,
    until,
    value,
    within,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NOTEBOOK = "02_mlp"
# Where axes stand in their figures: left, bottom, width, height; then the figure's own size.
ZOO = (60, 56, 330, 300, 820, 400)
CURVE = (66, 56, 440, 320, 820, 420)
FRAME = (10, 14, 370, 370, 820, 420)
TABLE = (232, 20, 560, 370, 820, 400)


def edit(lecture: nbformat.NotebookNode) -> None:
    """The Playground has browser tests of its own."""
    lecture.cells = [cell for cell in lecture.cells if not cell.id.startswith("playground")]


def on_curve(x: float, y: float) -> tuple[float, float]:
    """Data coordinates of the curve panel as places in its figure."""
    return within(CURVE, (x + 1.05) / 2.1, (y + 1.6) / 3.2)


def test_network_by_preset_and_keyboard(notebook: Notebook) -> None:
    panel = notebook.panel("What a multilayer perceptron is made of")
    expect(message(panel)).to_contain_text("37 parameters")
    old = pixels(panel)
    row(panel, "units").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(message(panel)).to_contain_text("51 parameters")
    assert pixels(panel) != old
    press(panel, "Shallow")
    expect(message(panel)).to_contain_text("33 parameters")
    expect(message(panel)).to_contain_text("shallow")
    settle(panel)


def test_stack_bends_only_with_an_activation(notebook: Notebook) -> None:
    panel = notebook.panel("A stack without activations")
    press(panel, "Collapses")
    expect(message(panel)).to_contain_text("8 layers without an activation = one affine layer")
    old = pixels(panel)
    panel.locator("select").select_option("tanh")
    expect(message(panel)).to_contain_text("bend the grid")
    until(panel, lambda: pixels(panel) != old)


def test_tangent_follows_the_mouse(notebook: Notebook) -> None:
    panel = notebook.panel("The activation zoo")
    press(panel, "Fails: saturated")
    expect(message(panel)).to_contain_text("Saturated")
    settle(panel)
    old = pixels(panel)
    drag(panel, within(ZOO, 0.9, 0.5), within(ZOO, 0.5, 0.5))
    until(panel, lambda: value(panel, "z") == 0)
    expect(message(panel)).to_contain_text("f ′ = 0.25")
    assert pixels(panel) != old


def test_costs_are_measured_on_demand(notebook: Notebook) -> None:
    panel = notebook.panel("What f and f ′ cost on this machine")
    expect(message(panel)).to_contain_text("Cheapest derivative")
    old = pixels(panel)
    press(panel, "Measure again")
    until(panel, lambda: pixels(panel) != old)


def test_dead_units_while_it_trains_and_back(notebook: Notebook) -> None:
    panel = notebook.panel("Dying ReLU")
    press(panel, "Born dead")
    expect(message(panel)).to_contain_text("and 100% dead")
    press(panel, "Play")
    expect(panel.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    until(panel, lambda: panel.get_by_text("step 300 of 300").count() == 1)
    expect(panel.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(message(panel)).to_contain_text("Step 300. ReLU:")
    expect(message(panel)).to_contain_text("and 100% dead")
    settle(panel)
    end = pixels(panel)
    scrub = row(panel, "scrub")
    scrub.locator(".noUi-handle").focus()
    notebook.page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("Step 0. ReLU:")
    until(panel, lambda: pixels(panel) != end)
    notebook.page.keyboard.press("ArrowRight")
    expect(message(panel)).to_contain_text("Step 10. ReLU:")
    settle(panel)
    slide(panel, "scrub", scrub.locator(".noUi-base").bounding_box()["width"], steps=6)
    expect(message(panel)).to_contain_text("Step 300. ReLU:")
    until(panel, lambda: pixels(panel) == end)


def test_race_one_step_at_a_time(notebook: Notebook) -> None:
    panel = notebook.panel("ReLU against sigmoid, on real digits")
    press(panel, "Three layers")
    expect(message(panel)).to_contain_text("Step 0:")
    press(panel, "Step")
    expect(message(panel)).to_contain_text("Step 1:")
    old = pixels(panel)
    press(panel, "Play")
    until(panel, lambda: pixels(panel) != old)
    press(panel, "Pause")
    expect(panel.get_by_role("button", name="Play", exact=True)).to_be_visible()
    press(panel, "Rewind")
    expect(message(panel)).to_contain_text("Step 0:")


def test_target_drawn_with_the_mouse(notebook: Notebook) -> None:
    panel = notebook.panel("One hidden layer, any curve")
    press(panel, "Works")
    expect(message(panel)).to_contain_text("32 hidden units")
    settle(panel)
    old = pixels(panel)
    drag(panel, on_curve(-1.02, 1.2), on_curve(0, -1.2), on_curve(1.02, 1.2), steps=12)
    until(panel, lambda: panel.locator("select").first.input_value() == "your own")
    settle(panel)
    assert pixels(panel) != old
    expect(message(panel)).to_contain_text("32 kinks")
    panel.get_by_text("look outside the interval").click()
    expect(message(panel)).to_contain_text("straight line")
    below = notebook.panel("Existence is not training")
    below.locator("select").first.select_option("your own")
    press(below, "Play")
    until(below, lambda: "Step 0:" not in message(below).inner_text())
    press(below, "Pause")
    expect(below.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_ball_thrown_by_the_mouse(notebook: Notebook) -> None:
    panel = notebook.panel("The slides' dense net watches a ball")
    old = pixels(panel)
    drag(panel, within(FRAME, 0.4, 0.5), within(FRAME, 0.56, 0.66))
    until(panel, lambda: value(panel, "vx") == pytest.approx(2, abs=0.11))
    assert value(panel, "vy") == pytest.approx(-2, abs=0.11)  # y runs down
    assert value(panel, "x") == pytest.approx(19.5, abs=0.6)
    settle(panel)
    assert pixels(panel) != old
    press(panel, "Step")
    expect(message(panel)).to_contain_text("Step 1, MSE on 500 test balls")
    press(panel, "Rewind")
    expect(message(panel)).to_contain_text("Step 0, MSE on 500 test balls")


def test_bill(notebook: Notebook) -> None:
    panel = notebook.panel("What does it cost to train?")
    expect(message(panel)).to_contain_text("355 years on one GPU")
    expect(message(panel)).to_contain_text("$4.67 million")
    press(panel, "At the V100's peak")
    expect(message(panel)).to_contain_text("80 years on one GPU")
    old = pixels(panel)
    row(panel, "N, billion").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(message(panel)).to_contain_text("9.69e+23 FLOP")
    until(panel, lambda: pixels(panel) != old)
    table = notebook.panel("StyleGAN2: where 51 GPU-years went")
    notebook.page.mouse.click(*spot(table, *within(TABLE, 0.1, 1 - 2.5 / 7)))
    expect(message(table)).to_contain_text("FFHQ config F: 0.23 GPU-years")
