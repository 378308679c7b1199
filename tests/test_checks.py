"""Predictions that keep their secret, and checks that say what was wrong."""

import json

import ipywidgets as widgets
import numpy as np
import pytest
import torch

from lecture_utils import panel
from lecture_utils.checks import (
    CheckFailed,
    answer,
    check,
    check_that,
    difference,
    plain,
    predict,
    source_uses,
    variant,
)

# ---- predictions


def synced(widget):
    """All that the page may know: the state of a widget and of everything in it."""
    state, stack = [], [widget]
    while stack:
        each = stack.pop()
        state.append(json.dumps(each.get_state(), default=str))
        stack.extend(getattr(each, "children", ()))
    return " ".join(state)


def test_the_answer_stays_in_the_kernel_until_a_guess_is_committed():
    asked = predict("How many?", [3, 4, 5], 4, why="because of the SECRET")
    hidden = synced(asked)
    assert "SECRET" not in hidden
    for option in asked.options:
        asked.choice.value = option
        assert "SECRET" not in synced(asked)
    states = [predict("How many?", [3, 4, 5], a, why="x") for a in (3, 5)]
    plain = [[w.value for w in (s.reveal, s.choice)] for s in states]
    assert plain[0] == plain[1], "nothing on the page may depend on the answer"
    asked.choice.value = "3"
    asked.commit_button.click()
    assert "SECRET" in synced(asked)
    assert "<b>4.</b>" in asked.reveal.value
    assert (asked.guess, asked.right) == ("3", False)


def test_a_guess_is_final_until_asked_again():
    asked = predict("?", ["a", "b"], "a")
    assert asked.commit_button.disabled
    asked.commit()
    assert asked.guess is None
    asked.choice.value = "a"
    assert not asked.commit_button.disabled
    asked.commit_button.click()
    assert asked.right is True
    assert "Yes." in asked.reveal.value
    assert asked.choice.disabled
    assert asked.commit_button.disabled
    asked.choice.value = "b"
    asked.commit()
    assert asked.guess == "a"
    asked.again_button.click()
    assert (asked.guess, asked.right, asked.choice.value) == (None, None, None)
    assert asked.reveal.value == ""
    assert not asked.choice.disabled
    assert asked.again_button.disabled


def test_a_computed_answer_is_computed_when_the_guess_is_in():
    calls = []
    asked = predict("?", [1, 2], lambda: calls.append("answer") or 2, lambda: f"{len(calls)} call")
    assert calls == []
    asked.choice.value = "2"
    assert calls == []
    asked.commit()
    assert calls == ["answer"]
    assert asked.right
    assert "1 call" in asked.reveal.value


def test_a_wrong_answer_key_is_refused():
    with pytest.raises(ValueError, match="answer 'c' is not among"):
        predict("?", ["a", "b"], "c")


@pytest.mark.parametrize("answer", [lambda: 7, lambda: 1 / 0])
def test_an_answer_that_fails_is_shown_and_may_be_tried_again(monkeypatch, answer):
    monkeypatch.setattr(panel, "strict", False)
    asked = predict("?", [1, 2], answer)
    asked.choice.value = "1"
    asked.commit_button.click()
    assert 'role="alert"' in asked.reveal.value
    assert asked.guess is None
    asked._answer = lambda: 1
    asked.commit_button.click()
    assert asked.right


def test_options_are_text_not_markup():
    asked = predict("?", ["<b>1</b>", "2"], "2")
    asked.choice.value = "<b>1</b>"
    asked.commit()
    assert "&lt;b&gt;1&lt;/b&gt;" in asked.reveal.value
    assert isinstance(asked, widgets.VBox)


# ---- differences


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (1.0, 1.0),
        (1.0 + 1e-7, 1.0),
        (3, 3),
        (3.0, 3),
        (0.1 * 30, 3),
        (np.float64(2), 2.0),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-7])),
        (torch.tensor([1.0], requires_grad=True), torch.tensor([1.0])),
        ([1.0, 2.0], np.array([1.0, 2.0])),
        ((1, torch.zeros(2)), (1, torch.zeros(2))),
        ([1, (2, 3)], [1, (2, 3)]),
        (True, True),
        ("yes", "yes"),
        (torch.tensor([float("nan"), 1.0]), torch.tensor([float("nan"), 1.0])),
        (float("inf"), float("inf")),
        (np.empty((0, 2)), np.empty((0, 2))),
    ],
)
def test_what_is_right(got, expected):
    assert difference(got, expected) == ""


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (None, 1.0, "it returned nothing: is a `return` missing?"),
        (1.0, 2.0, "it returned 1, expected 2"),
        (torch.zeros(2, 3), torch.zeros(3, 2), "it returned shape (2, 3), expected shape (3, 2)"),
        (0.0, torch.zeros(1), "it returned shape (), expected shape (1,)"),
        (float("nan"), 1.0, "it returned nan, which holds NaN; expected 1"),
        (
            torch.tensor([[1.0, 2.0], [3.0, 5.0]]),
            torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
            "1 of 4 entries differ; the first is at [1, 1]: 5, expected 4",
        ),
        ((1, 2), (1, 2, 3), "it returned 2 values, expected 3"),
        (1, (1, 2), "it returned 1, expected 2 values"),
        ((1, 5), (1, 2), "value 1: it returned 5, expected 2"),
        (torch.tensor(1.0), torch.tensor(-2.0), "it returned 1, expected -2"),
        (len, double, "it returned an object of the class builtin_function_or_method"),
        ((1, (2, None)), (1, (2, 3)), "value 1: value 1: it returned nothing"),
        ("no", "yes", "it returned 'no', expected 'yes'"),
        ("3", 3, "it returned '3', expected 3"),
        ({"a": 1}, 3, "it returned dict {'a': 1}, expected 3"),
        (False, True, "it returned False, expected True"),
        (1_000_001, 1_000_000, "it returned 1000001, expected 1000000"),
        (torch.tensor([100_000]), torch.tensor([100_001]), "1 of 1 entries differ"),
    ],
)
def test_what_is_wrong_is_said(got, expected, words):
    assert words in difference(got, expected)


# ---- checks

CASES = [(torch.tensor([1.0, -2.0]),), (torch.tensor([0.5]),)]


def fails(function, reference=double, cases=CASES, **options):
    with pytest.raises(CheckFailed) as caught:
        check(function, reference, cases, **options)
    return str(caught.value)


def test_a_right_function_passes(capsys):
    check(lambda x: x + x, double, CASES)
    assert "right on all 2 inputs" in capsys.readouterr().out


def test_the_first_wrong_input_is_shown():
    def thrice(x):
        return 2 * x if len(x) == 2 else 3 * x

    words = fails(thrice)
    assert words.startswith("thrice([0.5] of shape (1,))\n")
    assert "the first is at [0]: 1.5, expected 1" in words


def test_arrays_in_lists_are_shown_briefly():
    layers = [(np.array([[1 / 3, 2.0]]), torch.tensor([1.0]))]
    words = fails(lambda layers, pair: 0, lambda layers, pair: 1, [(layers, (1 / 3,))])
    assert "([([[0.3333, 2.    ]] of shape (1, 2), [1.] of shape (1,))], (0.333333,))" in words


def test_a_typical_mistake_is_explained():
    def explain(got, expected, x):
        return "You forgot the factor 2." if torch.equal(got, x) else None

    assert fails(lambda x: x, explain=explain).endswith("\nYou forgot the factor 2.")
    assert "factor" not in fails(lambda x: 5 * x, explain=explain)


def test_an_exception_is_named_with_its_input():
    def broken(x):
        return x[7]

    words = fails(broken)
    assert "broken([ 1., -2.] of shape (2,))\nraised IndexError: index 7" in words


def test_a_function_among_the_inputs_is_named():
    words = fails(lambda f, x: 0, lambda f, x: f(x), [(double, 3)])
    assert words.endswith("(double, 3)\nit returned 0, expected 6.")


def test_not_written_yet():
    def empty(x):
        raise NotImplementedError

    assert fails(empty) == "empty is not written yet."
    assert "is a `return` missing?" in fails(lambda x: None)


@pytest.mark.parametrize("make", [torch.tensor, np.array])
def test_arguments_must_not_change(make):
    def in_place(x, y):
        y *= 2
        return x + y

    words = fails(in_place, lambda x, y: x + 2 * y, [(make([1.0]), make([2.0]))])
    assert words == "in_place changed its argument number 2 in place."


def test_an_argument_with_nan_is_not_taken_for_a_changed_one():
    cases = [(torch.tensor([float("nan"), 1.0]),)]
    check(lambda x: x.nan_to_num(), lambda x: torch.nan_to_num(x), cases)


def test_the_reference_cannot_spoil_the_input():
    def careless(x):
        x += 1
        return 2 * x

    check(lambda x: 2 * (x + 1), careless, [(torch.tensor([1.0]),)])


def test_tolerance_is_kept():
    check(lambda x: 2 * x + 0.05, double, CASES, tolerance=0.1)
    assert "entries differ" in fails(lambda x: 2 * x + 0.05, tolerance=0.01)


def test_a_check_needs_a_case():
    with pytest.raises(ValueError, match="at least one case"):
        check(double, double, [])


def test_a_failed_check_is_shown_as_its_sentence():
    with pytest.raises(CheckFailed) as caught:
        check_that(torch.tensor(False), "The loss must fall.")
    assert caught.value._render_traceback_() == ["Not yet.\nThe loss must fall."]
    assert isinstance(caught.value, AssertionError), "nbgrader counts any error"
    check_that(torch.tensor(True), "")


def test_ipython_shows_the_sentence_without_a_traceback(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.user_ns["check_that"] = check_that
    shell.run_cell("check_that(False, 'The loss must fall.')")
    shown = capsys.readouterr().out
    assert "Not yet.\nThe loss must fall." in shown
    assert "Traceback" not in shown


def test_source_uses():
    def student(x):
        return sorted(x)

    assert source_uses(student, "sorted", "torch") == ["sorted"]
    assert source_uses(len, "anything") == []


# ---- only plain data counts


class Same:
    """Equals all, is true, becomes any array, and lets torch do nothing."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __bool__(self):
        return True

    def __array__(self, *_, **__):
        return np.ones(1)

    @classmethod
    def __torch_function__(cls, *_, **__):
        return torch.tensor(True)

    __hash__ = None


class SameText(str):
    __eq__, __ne__, __hash__ = Same.__eq__, Same.__ne__, str.__hash__


class SameNumber(float):
    __eq__, __ne__, __hash__ = Same.__eq__, Same.__ne__, float.__hash__
    __sub__ = __rsub__ = __abs__ = lambda self, *_: 0.0


class SameArray(np.ndarray):
    __eq__ = Same.__eq__


class SameTensor(torch.Tensor):
    __torch_function__ = Same.__torch_function__


class Kind(type):
    """A class that says it is float."""

    def __eq__(cls, other):
        return True

    __hash__ = float.__hash__


class SaysItIsFloat(SameNumber, metaclass=Kind):
    pass


ALWAYS_EQUAL = [
    Same(),
    SameText("no"),
    SameNumber(7),
    SaysItIsFloat(7),
    np.ones(3).view(SameArray),
    torch.ones(3).as_subclass(SameTensor),
    np.array([Same()], dtype=object),
]


@pytest.mark.parametrize("got", ALWAYS_EQUAL, ids=lambda got: type(got).__name__)
@pytest.mark.parametrize(
    "expected", [1.0, "yes", True, np.ones(3), torch.ones(3), (1, 2), [torch.ones(3)]], ids=repr
)
def test_an_object_that_equals_everything_is_wrong(got, expected):
    for answer_ in (got, [got], (got, got), {"a": got}):
        assert "returned an" in difference(answer_, expected)
    with pytest.raises(CheckFailed, match="same\\(1\\)\n.*returned an"):
        check(same := named(got), lambda x: expected, [(1,)])
    with pytest.raises(CheckFailed):
        check_that(got, "")
    with pytest.raises(CheckFailed, match="same returned an"):
        answer(same, 1)


def named(value):
    def same(x):
        return value

    return same


def test_plain_data_are_copied_as_they_are():
    for value in (1, 2.5, True, None, "a", (1, [2.0]), {"a": 1}, np.float32(2), np.bool_(True)):
        assert plain(value) == value
        assert type(plain(value)) is type(value)
    array = np.arange(3)
    copy = plain(array)
    copy[0] = 7
    assert array.tolist() == [0, 1, 2]
    assert plain(torch.Size([1, 2])) == (1, 2)
    assert type(plain(torch.nn.Parameter(torch.ones(1)))) is torch.Tensor


def test_a_tensor_s_own_methods_are_left_behind():
    tricked = torch.zeros(1)
    tricked.detach = tricked.numpy = tricked.cpu = lambda: torch.ones(1)
    assert plain(tricked).tolist() == [0]
    assert "differ" in difference(tricked, torch.ones(1))


def test_what_is_in_a_list_must_not_change_either():
    def spoil(layers):
        layers[0][0][:] *= 2
        return 1

    words = fails(spoil, lambda layers: 1, [([(np.ones(2), np.ones(1))],)])
    assert words == "spoil changed its argument number 1 in place."
    words = fails(lambda xs: xs.pop() and 1, lambda xs: 1, [([1, 2],)])
    assert "in place" in words


def test_an_answer_says_why_there_is_none():
    def empty():
        raise NotImplementedError

    with pytest.raises(CheckFailed, match="^empty is not written yet.$"):
        answer(empty)
    with pytest.raises(CheckFailed, match="double\\('a', 2\\)\nraised TypeError"):
        answer(double, "a", 2)
    assert answer(double, 2) == 4


# ---- numbers of one's own


PINNED = {
    "randrange": [96, 93, 23, 97],
    "sample": ["G", "E", "B", "F"],
    "choice": "H",
    "random": 0.5646955865296193,
}


def test_a_variant_is_the_same_for_ever():
    """If a new Python draws otherwise, submissions of older students are graded wrongly."""
    drawn = variant("ada", "weights")
    assert [drawn.randrange(100) for _ in range(4)] == PINNED["randrange"]
    assert drawn.sample("ABCDEFGHI", 4) == PINNED["sample"]
    assert drawn.choice("ABCDEFGHI") == PINNED["choice"]
    assert drawn.random() == pytest.approx(PINNED["random"])


def test_a_variant_belongs_to_the_id_and_the_exercise():
    def first(*words):
        return variant(*words).random()

    same = {first(name, "xor") for name in ("ada", " Ada ", "ADA\n", "\tada")}
    assert len(same) == 1
    assert first("u\u0308", "xor") == first("\u00fc", "xor")
    others = [first(name, task) for name in ("ada", "bob", "ad a") for task in ("xor", "or")]
    assert len(set(others)) == 6


@pytest.mark.parametrize("nobody", ["", "  ", 12345, None])
def test_without_an_id_there_is_no_variant(nobody):
    with pytest.raises(CheckFailed, match='student_id = ""'):
        variant(nobody, "xor")
