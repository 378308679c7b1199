"""01_perceptron in a real JupyterLab and a real browser: slider, mouse, keyboard, training."""

import pytest
from lab import (
    Notebook,
    drag,
    frames,
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
NOTEBOOK = "01_perceptron"
# Where squares stand in their figures: left, bottom, width, height; then the figure's own size.
GATES = (50, 55, 350, 350, 820, 420)
SEARCH = (76, 56, 300, 300, 820, 420)
LEARNING = (72, 58, 360, 360, 820, 430)


def in_gates(x1: float, x2: float) -> tuple[float, float]:
    """Data coordinates of the gates panel, -0.5..1.5, as places in its figure."""
    return within(GATES, (x1 + 0.5) / 2, (x2 + 0.5) / 2)


def test_slider_by_mouse_and_keyboard(notebook: Notebook) -> None:
    panel = notebook.panel("One perceptron, one line")
    press(panel, "AND")
    expect(message(panel)).to_contain_text("It computes AND")
    old = pixels(panel)
    slide(panel, "b", 150)
    until(panel, lambda: value(panel, "b") > 0)
    expect(message(panel)).to_contain_text("1 of 4 rows right")
    assert pixels(panel) != old
    before = value(panel, "w1")
    row(panel, "w1").locator(".noUi-handle").focus()
    for _ in range(4):
        notebook.page.keyboard.press("ArrowLeft")
    until(panel, lambda: abs(value(panel, "w1") - (before - 0.2)) < 1e-6)
    settle(panel)


def test_line_moves_and_turns_under_the_mouse(notebook: Notebook) -> None:
    panel = notebook.panel("One perceptron, one line")
    press(panel, "OR")
    expect(message(panel)).to_contain_text("It computes OR")
    settle(panel)
    old = pixels(panel)
    drag(panel, in_gates(0.25, 0.25), in_gates(0.75, 0.75))
    expect(message(panel)).to_contain_text("It computes AND")
    assert (value(panel, "w1"), value(panel, "w2")) == (1, 1)
    until(panel, lambda: abs(value(panel, "b") + 1.5) < 0.03)
    assert pixels(panel) != old
    press(panel, "OR")  # the line from (1, -0.5) to (-0.5, 1): take its lower end
    expect(message(panel)).to_contain_text("It computes OR")
    drag(panel, in_gates(0.98, -0.48), in_gates(0.25, -0.45))
    until(panel, lambda: abs(value(panel, "w2")) < 0.05)
    assert value(panel, "w1") == pytest.approx(2**0.5, abs=0.03)


def test_xor_stays_at_three(notebook: Notebook) -> None:
    panel = notebook.panel("One perceptron, one line")
    press(panel, "XOR")
    expect(message(panel)).to_contain_text("best so far for XOR: 3 of 4")
    count = frames(panel)
    drag(panel, *[in_gates(p, p) for p in (0.25, 0.9, -0.2, 0.5)])
    drag(panel, *[in_gates(*p) for p in ((1.4, -0.4), (0.3, -0.4), (-0.4, 0.6))])
    until(panel, lambda: frames(panel) > count + 10)
    expect(message(panel)).to_contain_text("best so far for XOR: 3 of 4")


def test_a_click_on_the_map_chooses_weights(notebook: Notebook) -> None:
    panel = notebook.panel("All weights at once")
    press(panel, "NOT x1")
    old = pixels(panel)
    notebook.page.mouse.click(*spot(panel, *within(SEARCH, 0.25, 0.5)))
    until(panel, lambda: value(panel, "w1") == -1 and value(panel, "w2") == 0)
    expect(message(panel)).to_contain_text("Here w = (−1.00, 0.00)")
    assert pixels(panel) != old


def test_points_are_placed_and_learned(notebook: Notebook) -> None:
    panel = notebook.panel("The perceptron learns")
    press(panel, "Wide gap")
    expect(message(panel)).to_contain_text("Before the first update")
    before, old = value(panel, "update"), pixels(panel)
    press(panel, "▶")
    expect(message(panel)).to_contain_text("Update 1: ")
    press(panel, "◀")
    expect(message(panel)).to_contain_text("Before the first update")
    assert (value(panel, "update"), pixels(panel)) == (before, old)
    press(panel, "Play")
    expect(message(panel)).to_contain_text("A whole pass without a mistake")
    notebook.page.mouse.click(*spot(panel, *within(LEARNING, 0.95, 0.95)))  # class 0 among class 1
    expect(panel.get_by_label("data", exact=True)).to_have_value("your own")
    expect(message(panel)).to_contain_text("no bound")
    panel.get_by_label("click", exact=True).select_option("erases")
    notebook.page.mouse.click(*spot(panel, *within(LEARNING, 0.95, 0.95)))
    expect(message(panel)).to_contain_text("A whole pass without a mistake")


def test_training_plays_scrubs_and_rewinds(notebook: Notebook) -> None:
    panel = notebook.panel("Two hidden units learn XOR")
    press(panel, "Works")
    expect(message(panel)).to_contain_text("Step 0")
    start, count = pixels(panel), frames(panel)
    press(panel, "Play")
    until(panel, lambda: frames(panel) > count + 5)
    row(panel, "learn rate").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")  # while it trains
    expect(row(panel, "learn rate").locator(".widget-readout")).to_have_text("3.1")
    expect(message(panel)).to_contain_text("4 of 4 right")
    press(panel, "Pause")
    expect(panel.get_by_role("button", name="Play", exact=True)).to_be_visible()
    later = pixels(panel)
    panel.locator(".noUi-handle").first.focus()
    notebook.page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("Step 0")
    assert pixels(panel) not in (start, later)  # the curve stays, the net is the first one
    press(panel, "Rewind")
    until(panel, lambda: pixels(panel) == start)


def test_a_guess_is_committed_before_the_answer(notebook: Notebook) -> None:
    question = notebook.page.locator(
        ".lecture-panel", has=notebook.page.get_by_text("how many rows of XOR")
    ).last
    question.scroll_into_view_if_needed()
    assert "inequalities" not in question.inner_text()
    question.get_by_label("4", exact=True).check()
    press(question, "Commit")
    expect(question).to_contain_text("You said 4.")
    expect(question).to_contain_text("3.")
    expect(question).to_contain_text("inequalities")
