"""08_recap in a real JupyterLab and a real browser: the table, the counter, the quiz."""

from collections.abc import Iterator

import pytest
from lab import Notebook, message, opened, pixels, press, until
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with opened(tmp_path_factory.mktemp("lab"), "08_recap") as made:
        yield made


def test_a_row_of_the_table_is_filled(notebook: Notebook) -> None:
    panel = notebook.panel("What each architecture shares, sees and costs")
    panel.locator("select").first.select_option("recurrent")
    panel.locator("select").nth(1).select_option("all steps")
    expect(panel).to_contain_text("all steps ✓")
    expect(panel).to_contain_text("1 of 16 right")
    press(panel, "Show all")
    expect(panel).to_contain_text("16 of 16 right")


def test_nets_are_counted_and_reach_is_drawn(notebook: Notebook) -> None:
    panel = notebook.panel("Every net of the lecture, counted")
    panel.locator("select").first.select_option("7 · 64 × 64, G")
    expect(message(panel)).to_contain_text("3,576,704 parameters")
    panel = notebook.panel("How far it sees")
    before = pixels(panel)
    panel.locator("select").first.select_option("attention")
    expect(message(panel)).to_contain_text("41 of 41")
    until(panel, lambda: pixels(panel) != before)


def test_quiz(notebook: Notebook) -> None:
    quiz = notebook.page.locator(".lecture-panel", has_text="Question 1 of").last
    quiz.scroll_into_view_if_needed()
    quiz.get_by_text("3", exact=True).click()
    quiz.get_by_role("button", name="Commit", exact=True).click()
    expect(quiz).to_contain_text("Right so far: 1 of 1")
    quiz.get_by_role("button", name="Next ▶", exact=True).click()
    expect(notebook.page.get_by_text("Question 2 of")).to_be_visible()
