"""06_attention in a real JupyterLab and a real browser: mouse, text, training, the clock."""

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
    slide,
    spot,
    until,
    value,
    within,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NOTEBOOK = "06_attention"
# Where axes stand in their figures: left, bottom, width, height; then the figure's own size.
STAGES = (112, 8, 358, 358, 820, 450)
WALL = (424, 238, 384, 186, 820, 480)
LINES = (128, 8, 120, 464, 820, 480)
SMALL = (484, 344, 324, 81, 820, 480)


def test_numbers_of_the_slide_are_changed(notebook: Notebook) -> None:
    panel = notebook.panel("“Thinking Machines”, by hand")
    expect(message(panel)).to_contain_text("0.881 v₁ + 0.119 v₂")
    old = pixels(panel)
    panel.get_by_label("divide by √d_k").uncheck()
    expect(message(panel)).to_contain_text("0.9999999 v₁ + 1e-07 v₂")
    assert pixels(panel) != old
    press(panel, "the slide")
    fields = panel.locator("input[type=number]")
    assert fields.count() == 8 + 8 + 4
    fields.first.fill("1")  # q1 = (1, 1, 1, 1) likes both keys the same
    fields.first.press("Enter")
    expect(message(panel)).to_contain_text("0.500 v₁ + 0.500 v₂")
    press(panel, "Reset")
    expect(message(panel)).to_contain_text("0.881")


def test_temperature_by_slider(notebook: Notebook) -> None:
    panel = notebook.panel("Softmax and its temperature")
    expect(message(panel)).to_contain_text("0.636")
    slide(panel, "divide by", 400)
    expect(message(panel)).to_contain_text("as if 5.0 of 5")


def test_a_word_is_pointed_at_and_stages_are_played(notebook: Notebook) -> None:
    panel = notebook.panel("Self-attention, stage by stage, on your words")
    press(panel, "Reset")
    old = pixels(panel)
    # Row 5 of 7: “tired”.
    notebook.page.mouse.move(*spot(panel, *within(STAGES, 0.4, 1 - 4.5 / 7)))
    until(panel, lambda: value(panel, "word") == 5)
    expect(message(panel)).to_contain_text("“tired” asks")
    assert pixels(panel) != old
    notebook.page.mouse.move(5, 5)
    press(panel, "Play")
    until(panel, lambda: "is 32 numbers" in message(panel).inner_text())
    assert value(panel, "stage") == 4
    words = panel.get_by_label("words", exact=True)
    words.fill("Dogs chase cats")
    words.press("Enter")
    expect(message(panel)).to_contain_text("“cats” is 32 numbers")
    press(panel, "causal")
    expect(message(panel)).to_contain_text("itself and what came before")


def test_shuffled_words(notebook: Notebook) -> None:
    panel = notebook.panel("Does the order of the words matter?")
    press(panel, "fails: no positions")
    expect(message(panel)).to_contain_text("bag")
    old = pixels(panel)
    panel.get_by_label("positions", exact=True).check()
    expect(message(panel)).to_contain_text("the order matters")
    assert pixels(panel) != old


def test_your_own_sentence_in_every_head(notebook: Notebook) -> None:
    panel = notebook.panel("72 heads read your sentence")
    expect(message(panel)).to_contain_text("“it” looks at animal 0.67")
    field = panel.get_by_label("sentence", exact=True)
    old, count = pixels(panel), frames(panel)
    field.fill("My cat sleeps.")
    field.press("Enter")
    expect(message(panel)).to_contain_text("“[SEP]” looks at")
    assert frames(panel) > count and pixels(panel) != old
    notebook.page.mouse.click(*spot(panel, *within(WALL, 2.5 / 12, 1 - 0.5 / 6)))
    until(panel, lambda: (value(panel, "layer"), value(panel, "head")) == (0, 2))
    # Words from above: [CLS], my, cat, sleep, ##s, ., [SEP].
    notebook.page.mouse.move(*spot(panel, *within(LINES, 0.1, 1 - 2.6 / 7.2)))
    expect(message(panel)).to_contain_text(re.compile("“cat” looks at my (0.9|1.0)"))
    notebook.page.mouse.move(5, 5)
    press(panel, "… too wide")
    expect(message(panel)).to_contain_text("still prefers the animal")
    expect(field).to_have_value(re.compile("too wide"))


def test_the_story_is_tested(notebook: Notebook) -> None:
    panel = notebook.panel("Test your story")
    expect(message(panel)).to_contain_text("right on 9 of 18")
    old = pixels(panel)
    press(panel, "best of 72")
    expect(message(panel)).to_contain_text("right on 13 of 18")
    assert pixels(panel) != old


def test_training_is_watched_and_scrubbed(notebook: Notebook) -> None:
    panel = notebook.panel("A tiny transformer learns to reverse")
    expect(message(panel)).to_contain_text("Step 0")
    count = frames(panel)
    press(panel, "Play")
    expect(panel).to_contain_text("Done: 500 steps", timeout=240_000)
    expect(message(panel)).to_contain_text("feedback → kcabdeef, 8 of 8")
    assert frames(panel) > count + 3
    after = pixels(panel)
    box = row(panel, "scrub").locator(".noUi-base").bounding_box()
    notebook.page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    expect(message(panel)).to_contain_text("Step 0")
    assert pixels(panel) != after
    # Within the 300 ms in which noUiSlider would not listen.
    notebook.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    expect(message(panel)).to_contain_text("8 of 8")
    notebook.page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    row(panel, "scrub").locator(".noUi-handle").press("End")
    until(panel, lambda: pixels(panel) == after)
    press(panel, "Fails: 9 letters")
    expect(message(panel)).to_contain_text(re.compile("[0-5] of 9 letters right"))
    old = pixels(panel)
    notebook.page.mouse.click(*spot(panel, *within(SMALL, 0.1, 0.5)))
    expect(message(panel)).to_contain_text("Layer 0, head 0")
    assert pixels(panel) != old


def test_three_nets_race(notebook: Notebook) -> None:
    panel = notebook.panel("Who can look something up?")
    old = pixels(panel)
    press(panel, "Play")
    until(panel, lambda: "attention 100%" in message(panel).inner_text().split("Shipped")[0])
    press(panel, "Pause")
    assert pixels(panel) != old
    drag(panel, (0.5, 0.5), (0.5, 0.5))  # a click on the picture changes nothing
    press(panel, "24 pairs")
    expect(message(panel)).to_contain_text("Step 0, 24 pairs")


def test_the_clock_runs_beside_the_cells(notebook: Notebook) -> None:
    clock = notebook.panel("Break")
    digits = clock.get_by_role("timer")
    expect(digits).to_have_text("5:00")
    press(clock, "Start")
    expect(digits).to_have_text("4:58")
    panel = notebook.panel("Test your story")
    press(panel, "L5 H11")
    expect(message(panel)).to_contain_text("Layer 5, head 11")
    clock = notebook.panel("Break")
    press(clock, "Pause")
    press(clock, "Reset")
    expect(digits).to_have_text("5:00")
