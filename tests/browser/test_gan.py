"""07_gan in a real JupyterLab and a real browser: the game, the stamps, the heads."""

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
    until,
    value,
    within,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NOTEBOOK = "07_gan"
PLANE = (12, 32, 400, 400, 900, 470)


def test_the_game_plays_and_its_rates_change_meanwhile(notebook: Notebook) -> None:
    panel = notebook.panel("Two nets play")
    press(panel, "Covers all 8")
    settle(panel)
    start, count = pixels(panel), frames(panel)
    press(panel, "Play")
    until(panel, lambda: frames(panel) > count + 5)
    row(panel, "G's rate").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowLeft")
    until(panel, lambda: value(panel, "G's rate") < 1e-3)
    press(panel, "Pause")
    settle(panel)
    assert pixels(panel) != start
    press(panel, "Rewind")
    expect(message(panel)).to_contain_text("Step 0:")


def test_one_net_steps_alone(notebook: Notebook) -> None:
    panel = notebook.panel("Two nets play")
    press(panel, "Saturating")
    settle(panel)
    for k, name in enumerate(["Step D", "Step G"], 1):
        press(panel, name)
        expect(message(panel)).to_contain_text(f"Step {k}:")
        settle(panel)
    expect(message(panel)).to_contain_text("The mean pull is")
    press(panel, "Reset")


def test_real_data_is_drawn(notebook: Notebook) -> None:
    panel = notebook.panel("Two nets play")
    press(panel, "Reset")
    settle(panel)
    before = pixels(panel)
    drag(panel, *[within(PLANE, x, 0.7) for x in (0.2, 0.4, 0.6, 0.8)])
    until(panel, lambda: panel.locator("select").first.input_value() == "draw your own")
    assert pixels(panel) != before
    press(panel, "Reset")


def test_stamps_step_by_step(notebook: Notebook) -> None:
    panel = notebook.panel("Transposed convolution, one stamp at a time")
    press(panel, "Checkerboard")
    expect(message(panel)).to_contain_text("Some cells get 4 stamps")
    press(panel, "Start")
    until(panel, lambda: value(panel, "position") == 0)
    press(panel, "▶")
    until(panel, lambda: value(panel, "position") == 1)
    expect(message(panel)).to_contain_text("Input (0, 1)")


def test_a_bug_is_run(notebook: Notebook) -> None:
    panel = notebook.panel("Six bugs")
    panel.locator("select").select_option(index=4)
    expect(panel).to_contain_text("a second time")


def test_another_person(notebook: Notebook) -> None:
    panel = notebook.panel("This person does not exist")
    press(panel, "Reset")
    settle(panel)
    before = pixels(panel)
    press(panel, "Another person")
    until(panel, lambda: pixels(panel) != before)
    settle(panel)
    middle = pixels(panel)
    row(panel, "on the way").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("End")
    expect(message(panel)).to_contain_text("100% of the way from head")
    until(panel, lambda: pixels(panel) != middle)


def test_digits_train_and_are_counted(notebook: Notebook) -> None:
    panel = notebook.panel("Digits nobody wrote")
    panel.locator("select").select_option("shipped, trained longer")
    expect(message(panel)).to_contain_text("The shipped one")
    panel.locator("select").select_option("trained here")
    press(panel, "Step")
    expect(message(panel)).to_contain_text("Step 1:")
    press(panel, "Rewind")
    expect(message(panel)).to_contain_text("Step 0:")
