"""08_recap in a real JupyterLab and a real browser: the table, the counter, the quiz."""

import numpy as np
import pytest
from lab import Notebook, message, pixels, press, row, settle, spot, until
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NOTEBOOK = "08_recap"


def test_a_row_of_the_table_is_filled(notebook: Notebook) -> None:
    panel = notebook.panel("What each architecture shares, sees and costs")
    panel.locator("select").first.select_option("recurrent")
    panel.locator("select").nth(1).select_option("all steps")
    expect(panel).to_contain_text("all steps ✓")
    expect(panel).to_contain_text("1 of 16 right")
    press(panel, "Show all")
    expect(panel).to_contain_text("16 of 16 right")
    press(panel, "Reset")
    expect(panel).to_contain_text("0 of 16 right")
    for k, answer in enumerate(["nobody", "an input of fixed size", "1", "n²"]):
        panel.locator("select").nth(k + 1).select_option(answer)
    expect(panel).to_contain_text("4 of 16 right. n inputs and n outputs")


def test_nets_are_counted_and_reach_is_drawn(notebook: Notebook) -> None:
    panel = notebook.panel("Every net of the lecture, counted")
    panel.locator("select").first.select_option("7 · 64 × 64, G")
    expect(message(panel)).to_contain_text("3,576,704 parameters")
    mouse = notebook.page.mouse
    left, bottom, width, height = 92 / 820, 62 / 460, 716 / 820, 388 / 460
    across = np.log10([22 / 3, 6e7 / 3])  # 22 parameters, 130 multiplications: the single cell
    up = np.log10([130 / 2, 3e9 / 2])
    place = (left + width * across[0] / across[1], 1 - bottom - height * up[0] / up[1])
    mouse.click(*spot(panel, *place))
    expect(message(panel)).to_contain_text("5 · one cell, LSTM: 22 parameters, 130")
    press(panel, "Reset")
    expect(message(panel)).to_contain_text("1 · XOR: 9 parameters")
    panel = notebook.panel("How far it sees")
    before = pixels(panel)
    panel.locator("select").first.select_option("attention")
    expect(message(panel)).to_contain_text("41 of 41")
    until(panel, lambda: pixels(panel) != before)
    panel.locator("select").first.select_option("convolution")
    panel.locator("select").nth(1).select_option("7")
    expect(message(panel)).to_contain_text("7 of 41")
    row(panel, "layers").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("End")
    expect(message(panel)).to_contain_text("41 of 41 places. 8·(7 − 1) + 1 = 49")


def test_length_is_timed_here(notebook: Notebook) -> None:
    panel = notebook.panel("What does length cost?")
    press(panel, "Play")
    until(panel, lambda: panel.get_by_text("step 24 of 24").count() == 1)
    settle(panel)
    before = pixels(panel)
    row(panel, "T").locator(".noUi-handle").focus()
    notebook.page.keyboard.press("Home")
    expect(message(panel)).to_contain_text("T = 16")
    until(panel, lambda: pixels(panel) != before)


@pytest.mark.parametrize(
    ("question", "answer"),
    [("400 X-ray", "a CNN that was trained"), ("Find one sentence", "search first")],
)
def test_cases_answer_when_committed(notebook: Notebook, question: str, answer: str) -> None:
    card = notebook.page.locator(".lecture-panel", has_text=question).last
    card.scroll_into_view_if_needed()
    card.get_by_text(answer).first.click()
    press(card, "Commit")
    expect(card).to_contain_text("Yes.")
    press(card, "Ask again")
    expect(card).not_to_contain_text("Yes.")


def test_quiz(notebook: Notebook) -> None:
    quiz = notebook.page.locator(".lecture-panel", has_text="Question 1 of").last
    quiz.scroll_into_view_if_needed()
    quiz.get_by_text("3", exact=True).click()
    quiz.get_by_role("button", name="Commit", exact=True).click()
    expect(quiz).to_contain_text("Right so far: 1 of 1")
    quiz.get_by_role("button", name="Next ▶", exact=True).click()
    expect(notebook.page.get_by_text("Question 2 of")).to_be_visible()
    quiz = notebook.page.locator(".lecture-panel", has_text="Right so far").last
    quiz.locator("select").select_option("section 6")
    expect(quiz).to_contain_text("Question 1 of 4, from section 6. Right so far: 0 of 0")
