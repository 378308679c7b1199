"""04_cnn in a real JupyterLab and a real browser: mouse, keyboard, pen, training, device."""

import math

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
NOTEBOOK = "04_cnn"
edit = replacing("fit", "epochs=6", "epochs=2")


def test_window_follows_the_mouse(notebook: Notebook) -> None:
    panel = notebook.panel("Convolution, one window at a time")
    press(panel, "sharpen")
    expect(message(panel)).to_contain_text("60·5 + 113·−1")
    expect(message(panel)).to_contain_text("= 114.")
    old = pixels(panel)
    drag(panel, (0.1, 0.4), (0.42, 0.95))
    until(panel, lambda: value(panel, "position") == 24)
    expect(message(panel)).to_contain_text("130·5")
    assert pixels(panel) != old
    notebook.page.mouse.move(*spot(panel, 0.56, 0.15))  # point at the first output again
    until(panel, lambda: value(panel, "position") == 0)
    press(panel, "Play")
    until(panel, lambda: value(panel, "position") == 24)
    expect(panel.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_kernel_is_typed_in(notebook: Notebook) -> None:
    panel = notebook.panel("Convolution, one window at a time")
    press(panel, "copy")
    expect(message(panel)).to_contain_text("= 70.")
    fields = panel.locator("input[type=number]")
    assert fields.count() == 9
    fields.nth(4).fill("3")
    fields.nth(4).press("Enter")
    expect(message(panel)).to_contain_text("= 210.")
    press(panel, "fails: too wide")
    expect(message(panel)).to_contain_text("Impossible.")
    press(panel, "Reset")
    expect(message(panel)).to_contain_text("= 114.")


def test_stride_by_slider_and_keyboard(notebook: Notebook) -> None:
    panel = notebook.panel("Convolution, one window at a time")
    press(panel, "sharpen")
    row(panel, "stride").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("ArrowRight")
    expect(message(panel)).to_contain_text("Stride 3 does not come out even")
    slide(panel, "stride", -400, steps=6)
    until(panel, lambda: value(panel, "stride") == 1)
    expect(message(panel)).to_contain_text("/ 1⌋ + 1 = 5")


def test_picture_keeps_its_size_whatever_the_sentence(notebook: Notebook) -> None:
    panel = notebook.panel("Convolution, one window at a time")
    canvas = panel.locator(".lecture-figure canvas").first
    for preset in ("fails: uneven", "sharpen", "fails: too wide"):
        press(panel, preset)
        expect(message(panel)).not_to_be_empty()
        box = canvas.bounding_box()
        assert (round(box["width"]), round(box["height"])) == (820, 420)


def test_photograph_and_pooling_answer(notebook: Notebook) -> None:
    panel = notebook.panel("Nine numbers change a photograph")
    press(panel, "identity")
    expect(message(panel)).to_contain_text("nothing changes")
    old = pixels(panel)
    press(panel, "edges x")
    expect(message(panel)).to_contain_text("add up to 0")
    assert pixels(panel) != old
    panel = notebook.panel("Pooling: keep the strongest, drop the place")
    fields = panel.locator("input[type=number]")
    fields.nth(15).fill("12")
    fields.nth(15).press("Enter")
    expect(message(panel)).to_contain_text("max of 3, 9, 4, 12 = 12")


def test_shifted_ball(notebook: Notebook) -> None:
    panel = notebook.panel("Trained on the left: does it know the right?")
    press(panel, "as trained")
    expect(message(panel)).to_contain_text("In the strip")
    old = pixels(panel)
    press(panel, "fails: shifted")
    expect(message(panel)).to_contain_text("Flattening")
    assert value(panel, "shift") == 12 and pixels(panel) != old


def test_confusion_cell_is_clicked_and_epochs_are_scrubbed(notebook: Notebook) -> None:
    panel = notebook.panel("Which digits does it confuse?")
    expect(message(panel)).to_contain_text("After epoch 2")
    old = pixels(panel)
    notebook.page.mouse.click(*spot(panel, 0.12, 0.24))
    until(panel, lambda: value(panel, "is a") in (0, 1) and value(panel, "says") in (0, 1))
    assert pixels(panel) != old
    press(panel, "Start")
    expect(message(panel)).to_contain_text("After epoch 0")
    press(panel, "Play")
    expect(message(panel)).to_contain_text("After epoch 2")


def test_feature_map_is_chosen_by_a_click(notebook: Notebook) -> None:
    panel = notebook.panel("Inside the net")
    old = pixels(panel)
    notebook.page.mouse.click(*spot(panel, 0.94, 0.85))
    until(panel, lambda: value(panel, "unit") == 15)
    expect(message(panel)).to_contain_text("Unit 15")
    assert pixels(panel) != old
    panel.get_by_label("layer", exact=True).select_option("second convolution")
    expect(message(panel)).to_contain_text("14 × 14")


def test_a_drawn_digit_is_read(notebook: Notebook) -> None:
    panel = notebook.panel("Draw a digit")
    panel.get_by_label("weights", exact=True).select_option("shipped, 40 epochs")
    press(panel, "Clear")
    expect(message(panel)).to_contain_text("Draw a digit")
    blank, count = pixels(panel), frames(panel)
    turn = [2 * math.pi * k / 30 for k in range(31)]
    drag(panel, *[(0.18 + 0.07 * math.sin(t), 0.36 - 0.21 * math.cos(t)) for t in turn])
    expect(message(panel)).to_contain_text("It reads a 0")
    assert frames(panel) > count and pixels(panel) != blank
    press(panel, "Clear")
    until(panel, lambda: pixels(panel) == blank)
    drag(panel, (0.19, 0.12), (0.19, 0.25), (0.185, 0.4), (0.18, 0.6))
    expect(message(panel)).to_contain_text("It reads a 1")


def test_times_are_measured_in_the_background(notebook: Notebook) -> None:
    panel = notebook.panel("How long does it take on this machine?")
    expect(message(panel)).to_contain_text("Press Play")
    old = pixels(panel)
    press(panel, "Play")
    other = notebook.panel("An image is a table of numbers")  # the page stays alive
    before = pixels(other)
    drag(other, (0.3, 0.5), (0.1, 0.8))
    until(other, lambda: pixels(other) != before)
    panel = notebook.panel("How long does it take on this machine?")
    expect(panel).to_contain_text("Done: ", timeout=240_000)
    expect(message(panel)).to_contain_text("n = 1024")
    assert pixels(panel) != old


def test_device_switch_is_there(notebook: Notebook) -> None:
    toggle = notebook.page.locator(".lecture-device").first
    toggle.scroll_into_view_if_needed()
    expect(toggle.get_by_role("button", name="CPU", exact=True)).to_be_enabled()
    toggle.get_by_role("button", name="CPU", exact=True).click()
    panel = notebook.panel("Draw a digit")
    press(panel, "works")
    expect(message(panel)).to_contain_text("It reads a 3")
