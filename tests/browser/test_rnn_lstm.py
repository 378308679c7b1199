"""05_rnn_lstm in a real JupyterLab and a real browser: mouse, keyboard, gates, text, training."""

import pytest
from lab import (
    Notebook,
    drag,
    frames,
    message,
    pixels,
    press,
    replacing,
    row,
    slide,
    spot,
    until,
    value,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NOTEBOOK = "05_rnn_lstm"
edit = replacing("adding-run", "steps=600", "steps=60")


def test_inputs_are_dragged_and_steps_played(notebook: Notebook) -> None:
    panel = notebook.panel("One cell, eight steps")
    expect(message(panel)).to_contain_text("tanh(1.00·1.00 + 0.80·0.00) = 0.76")
    old = pixels(panel)
    drag(panel, (0.38, 0.775), (0.38, 0.87))  # the bar of step 3, to the bottom
    expect(panel.locator("input[type=text]")).to_have_value("1 0 -1 0 0 0 0 0")
    until(panel, lambda: value(panel, "step") == 3)
    assert pixels(panel) != old
    press(panel, "Play")
    until(panel, lambda: value(panel, "step") == 8)
    press(panel, "latch")
    expect(message(panel)).to_contain_text("for good")
    field = panel.locator("input[type=text]")
    field.fill("0 1")
    field.press("Enter")
    expect(message(panel)).to_contain_text("= 0.96")
    field.fill("2")
    field.press("Enter")
    expect(panel).to_contain_text("between -1 and 1")
    press(panel, "Reset")
    expect(message(panel)).to_contain_text("= 0.76")


def test_gates_by_mouse_and_keyboard(notebook: Notebook) -> None:
    panel = notebook.panel("You are the gates")
    press(panel, "remember")
    expect(message(panel)).to_contain_text("1.00·0.80 + 0.00·−0.80 = 0.80")
    old = pixels(panel)
    # The forget gate of step 5, half closed: its row is the first of four of 33 pixels.
    y = (430 - 46 - 4 * 33 + 17) / 430
    drag(panel, (0.53, y - 0.02), (0.53, y))
    until(panel, lambda: value(panel, "step") == 5)
    until(panel, lambda: 0.3 < value(panel, "f") < 0.7)
    assert pixels(panel) != old
    row(panel, "i").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")
    until(panel, lambda: value(panel, "i") == 0.05)
    expect(message(panel)).to_contain_text("0.05·0.70")
    press(panel, "count")
    expect(message(panel)).to_contain_text("= 5.00")


def test_a_mark_is_clicked(notebook: Notebook) -> None:
    panel = notebook.panel("A trained cell sets its own gates")
    press(panel, "hold")
    field = panel.locator("input[type=text]")
    before = field.input_value()
    old = pixels(panel)
    # Step 3 of 10; the row of marks is the sixth of seven.
    x, y = (112 + 570 * 2.6 / 10.2) / 820, (500 - 46 - 1.5 * 33) / 500
    notebook.page.mouse.click(*spot(panel, x, y))
    until(panel, lambda: field.input_value() != before)
    assert field.input_value().split()[2] == "-0.5*"
    until(panel, lambda: pixels(panel) != old)
    press(panel, "count")
    expect(message(panel)).to_contain_text("right is 3.00")


def test_gradient_follows_a_dragged_slider(notebook: Notebook) -> None:
    panel = notebook.panel("Gradient through time")
    press(panel, "RNN vanishes")
    expect(message(panel)).to_contain_text("it vanishes")
    old, count = pixels(panel), frames(panel)
    slide(panel, "radius", 400, steps=8)
    until(panel, lambda: value(panel, "radius") == 3)
    expect(message(panel)).to_contain_text("it explodes")
    assert frames(panel) > count and pixels(panel) != old
    panel.get_by_label("clip the gradient at 1").check()
    expect(message(panel)).to_contain_text("Clipping divides the whole gradient")


def test_text_streams_and_the_temperature_changes_it(notebook: Notebook) -> None:
    panel = notebook.panel("A net that writes")
    press(panel, "Shakespeare")
    expect(message(panel)).to_contain_text("240 characters")
    old = pixels(panel)
    press(panel, "Start")
    expect(message(panel)).to_contain_text("0 characters")
    press(panel, "Play")
    until(panel, lambda: value(panel, "length") > 5)
    press(panel, "Pause")
    press(panel, "fails: too cold")
    expect(message(panel)).to_contain_text("in circles")
    assert pixels(panel) != old
    press(panel, "vowel")
    expect(message(panel)).to_contain_text("follows: vowel")
    field = panel.locator("input[type=text]")
    panel.get_by_label("net", exact=True).select_option("names, LSTM")
    field.fill("zo")
    field.press("Enter")
    expect(message(panel)).to_contain_text("names,")
    cold = pixels(panel)
    row(panel, "temp.").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")
    until(panel, lambda: pixels(panel) != cold)


def test_adding_is_learned_and_scrubbed(notebook: Notebook) -> None:
    panel = notebook.panel("Learning to add, live, T = 20")
    expect(message(panel)).to_contain_text("Step 0,")
    old = pixels(panel)
    press(panel, "Play")
    expect(panel).to_contain_text("Done: 60 steps", timeout=120_000)
    assert pixels(panel) != old
    press(panel, "Rewind")
    expect(message(panel)).to_contain_text("Step 0,")
    panel = notebook.panel("The adding problem, measured")
    press(panel, "long")
    expect(message(panel)).to_contain_text("T = 100")


def test_times_are_measured_in_the_background(notebook: Notebook) -> None:
    panel = notebook.panel("What does length cost?")
    expect(message(panel)).to_contain_text("Press Play")
    old = pixels(panel)
    press(panel, "Play")
    expect(panel).to_contain_text("Done: 24 steps", timeout=240_000)
    expect(message(panel)).to_contain_text("512² = 262,144 scores")
    assert pixels(panel) != old
