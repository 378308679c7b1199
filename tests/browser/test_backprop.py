"""03_backprop in a real JupyterLab and a real browser: steps, sliders, clicks, training."""

import re

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
    spot,
    until,
    value,
    within,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NOTEBOOK = "03_backprop"
# Where the landscape stands: left, bottom, width, height; then the figure's own size.
LAND = (70, 62, 350, 350, 820, 430)


def test_steps_forward_and_back(notebook: Notebook) -> None:
    panel = notebook.panel("Values forward, gradients backward")
    press(panel, "gradients")
    expect(message(panel)).to_contain_text("∂L/∂w1 = −4")
    end = pixels(panel)
    press(panel, "◀")
    expect(message(panel)).to_contain_text("Back through z")
    before = pixels(panel)
    assert before != end
    press(panel, "▶")
    expect(message(panel)).to_contain_text("Back through a")
    until(panel, lambda: pixels(panel) == end)
    row(panel, "w2").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowLeft")
    expect(message(panel)).to_contain_text("∂L/∂w1 = −4.18")  # 2·(0.5·1.9 − 1.5)·1.9·2
    press(panel, "Start")
    count = frames(panel)
    press(panel, "Play")
    until(panel, lambda: frames(panel) >= count + 3)
    press(panel, "Pause")
    settle(panel)


def test_the_engine_draws_another_formula(notebook: Notebook) -> None:
    panel = notebook.panel("Your engine, step by step")
    press(panel, "works")
    expect(message(panel)).to_contain_text("∂v7/∂w1 = −4")
    old = pixels(panel)
    panel.get_by_label("graph", exact=True).select_option("one weight, used twice")
    expect(message(panel)).to_contain_text("(paths add)")
    assert pixels(panel) != old


def test_a_nudge_is_dragged(notebook: Notebook) -> None:
    panel = notebook.panel("Nudge a weight")
    old = pixels(panel)
    drag(panel, (0.55, 0.5), (0.75, 0.5))
    until(panel, lambda: value(panel, "nudge Δ") > 0.4)
    settle(panel)
    words = message(panel).inner_text().replace("−", "-")
    predicted = float(re.search(r"= ([-+][\d.]+), real", words)[1])
    assert predicted == pytest.approx(-4 * value(panel, "nudge Δ"), abs=1e-3)
    assert pixels(panel) != old


def test_the_engine_learns_xor_and_is_scrubbed(notebook: Notebook) -> None:
    panel = notebook.panel("Nine weights, your engine, XOR")
    press(panel, "works")
    expect(message(panel)).to_contain_text("Step 0")
    start, count = pixels(panel), frames(panel)
    press(panel, "Play")
    until(panel, lambda: frames(panel) > count + 5)
    expect(message(panel)).to_contain_text("4 of 4 right")
    press(panel, "Pause")
    settle(panel)
    later = pixels(panel)
    panel.locator(".noUi-handle").first.focus()
    notebook.page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("Step 0")
    assert pixels(panel) not in (start, later)
    press(panel, "Rewind")
    until(panel, lambda: pixels(panel) == start)


def test_a_click_starts_another_race(notebook: Notebook) -> None:
    panel = notebook.panel("Downhill race")
    press(panel, "bowl")
    expect(message(panel)).to_contain_text("Works for all")
    old = pixels(panel)
    notebook.page.mouse.click(*spot(panel, *within(LAND, 0.75, 0.25)))
    until(panel, lambda: abs(value(panel, "x") - 1) < 0.03 and abs(value(panel, "y") + 1) < 0.03)
    settle(panel)
    assert pixels(panel) != old
    here = message(panel).inner_text()
    drag(panel, within(LAND, 0.75, 0.25), within(LAND, 0.25, 0.25))
    until(panel, lambda: value(panel, "x") < -0.95)
    settle(panel)
    panel.locator(".noUi-handle").first.focus()
    notebook.page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("Step 0")
    assert message(panel).inner_text() != here


def test_an_ingredient_is_taken_out(notebook: Notebook) -> None:
    panel = notebook.panel("The recipe, with switches")
    panel.get_by_label("random initialization", exact=True).uncheck()
    expect(message(panel)).to_contain_text("What will happen?")
    count = frames(panel)
    press(panel, "Play")
    until(panel, lambda: frames(panel) > count + 3)
    expect(message(panel)).to_contain_text("Symptom: stuck at chance", timeout=60_000)
    press(panel, "Pause")
    settle(panel)
    later = pixels(panel)
    panel.locator(".noUi-handle").first.focus()
    notebook.page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("Nothing trained yet")
    assert pixels(panel) != later
    press(panel, "healthy")
    expect(message(panel)).to_contain_text("Works: all ingredients are in.")


def test_a_guess_is_committed_before_the_answer(notebook: Notebook) -> None:
    question = notebook.page.locator(
        ".lecture-panel", has=notebook.page.get_by_text("A narrow, bent valley.")
    ).last
    question.scroll_into_view_if_needed()
    assert "adds it up" not in question.inner_text()
    question.get_by_label("Adam", exact=True).check()
    press(question, "Commit")
    expect(question).to_contain_text("You said Adam.")
    expect(question).to_contain_text("momentum.")
