"""Questions the class answers before it sees, and checks that say what was wrong on which input."""

import hashlib
import inspect
import random
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch

from . import panel
from .live import answer_beside_cells
from .panel import button, describe, stylesheet


class CheckFailed(AssertionError):
    """A check did not pass. Shown in the notebook as its sentence, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not yet.\n{self}"]


class Prediction(widgets.VBox):
    """See ``predict``."""

    def __init__(
        self, question: str, options: Sequence[Any], answer: Any, why: str | Callable[[], str]
    ) -> None:
        self._answer, self._why = answer, why
        self.options = [str(option) for option in options]
        if not callable(answer) and str(answer) not in self.options:
            raise ValueError(f"the answer {answer!r} is not among the options {self.options}")
        self.guess: str | None = None
        self.right: bool | None = None
        self.choice = widgets.RadioButtons(options=self.options, value=None)
        self.choice.layout.width = "auto"
        self.commit_button = button("Commit", self.commit, "Your guess is final, then you see")
        self.again_button = button("Ask again", self.again, "For the next class")
        self.reveal = widgets.HTML()
        head = widgets.HTML(
            stylesheet()
            + f'<div class="lecture-title">Predict</div><div class="lecture-look">{question}</div>'
        )
        row = widgets.HBox([self.commit_button, self.again_button])
        row.add_class("lecture-buttons")
        super().__init__([head, self.choice, row, self.reveal])
        self.add_class("lecture-panel")
        self.choice.observe(self._chosen, "value")
        answer_beside_cells(self)
        self.again()

    def _chosen(self, _: Any) -> None:
        self.commit_button.disabled = self.choice.value is None or self.guess is not None

    def commit(self) -> None:
        """Fix the guess; only now is the answer worked out and sent to the page."""
        if self.choice.value is None or self.guess is not None:
            return
        try:
            answer = str(self._answer() if callable(self._answer) else self._answer)
            if answer not in self.options:
                raise ValueError(f"the computed answer {answer!r} is not among {self.options}")
            why = self._why() if callable(self._why) else self._why
        except Exception as error:
            self.reveal.value = describe(error)
            if panel.strict:
                raise
            return
        self.guess = self.choice.value
        self.right = self.guess == answer
        mark = "Yes." if self.right else f"You said {escape(self.guess)}."
        style = "lecture-good" if self.right else "lecture-error"
        self.reveal.value = (
            f'<div class="lecture-message" role="status"><span class="{style}">{mark}</span> '
            f"<b>{escape(answer)}.</b> {why}</div>"
        )
        self.choice.disabled = True
        self.commit_button.disabled = True
        self.again_button.disabled = False

    def again(self) -> None:
        """Forget the guess and hide the answer."""
        self.guess = self.right = None
        self.reveal.value = ""
        self.choice.disabled = False
        self.choice.value = None
        self.commit_button.disabled = True
        self.again_button.disabled = True


def predict(
    question: str,
    options: Sequence[Any],
    answer: Any,
    why: str | Callable[[], str] = "",
) -> Prediction:
    """Ask before telling: the answer stays in the kernel until a guess is committed.

    ``answer`` is one of ``options``, or a function that computes it when the guess is in, so that
    the page states what the code found. ``why`` (HTML, or a function) is shown with it.
    """
    return Prediction(question, options, answer, why)


def _text(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        words = np.array2string(value, precision=4, threshold=40, edgeitems=3, separator=", ")
        return words.rstrip(".") if value.ndim == 0 else f"{words} of shape {value.shape}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if type(value) is list:
        return f"[{', '.join(map(_text, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(_text, value))}{',' * (len(value) == 1)})"
    return value.__name__ if inspect.isfunction(value) else repr(value)


def _call(args: Sequence[Any], name: str) -> str:
    return f"{name}({', '.join(_text(arg) for arg in args)})"


# Compared by `is`: a class of the student's may say that it equals one of these.
_NUMBERS = (bool, int, float, complex, *{id(k): k for k in np.sctypeDict.values()}.values())
_ATOMS = (type(None), str, *_NUMBERS)
_TENSORS = (torch.Tensor, torch.nn.Parameter)


def plain(value: Any, what: str = "it") -> Any:
    """A fresh copy of ``value``, which must be plain data; use it on all that students return.

    Plain are numbers, text, ``None``, NumPy arrays of numbers or text, tensors (detached, on the
    CPU), and tuples, lists and dictionaries of those, each of exactly that class. An object of a
    class of its own, a subclass too, may equal everything it is compared with; it raises
    ``CheckFailed``, with ``what`` for its subject.
    """
    kind = type(value)
    if any(kind is k for k in _ATOMS):
        return value
    if any(kind is k for k in _TENSORS):
        return torch.Tensor.cpu(torch.Tensor.detach(value)).clone()
    if kind is np.ndarray:
        if value.dtype.kind not in "biufcSU":
            raise CheckFailed(f"{what} returned an array of {value.dtype}, expected numbers")
        return value.copy()
    if kind is list:
        return [plain(v, what) for v in value]
    if kind is tuple or kind is torch.Size:
        return tuple(plain(v, what) for v in value)
    if kind is dict:
        return {plain(k, what): plain(v, what) for k, v in value.items()}
    name = type.__getattribute__(kind, "__name__")
    raise CheckFailed(
        f"{what} returned an object of the class {name}; expected a plain number, text, tuple, "
        "list, dictionary, NumPy array or tensor"
    )


def answer(function: Callable[..., Any], *args: Any) -> Any:
    """What ``function(*args)`` returns, as ``plain`` data.

    Raises ``CheckFailed`` if it is not written yet, raises an error, or returns something else.
    """
    name = getattr(function, "__name__", "your function")
    shown = [_copy(arg) for arg in args]
    try:
        got = function(*args)
    except NotImplementedError:
        raise CheckFailed(f"{name} is not written yet.") from None
    except Exception as error:
        raise CheckFailed(
            f"{_call(shown, name)}\nraised {type(error).__name__}: {error}"
        ) from error
    return plain(got, name)


def difference(got: Any, expected: Any, tolerance: float = 1e-5) -> str:
    """What is wrong with ``got``, in words; empty if it equals ``expected``.

    Compares kind, shape and values, with an absolute and relative ``tolerance``; whole numbers
    and text exactly. Tensors, arrays, numbers and nested tuples or lists of them; objects that are
    not ``plain`` are wrong, whatever they say they equal.
    """
    try:
        got = plain(got)
    except CheckFailed as refused:
        return str(refused)
    if got is None:
        return "it returned nothing: is a `return` missing?"
    if isinstance(expected, tuple | list) and not np.isscalar(expected):
        if not isinstance(got, tuple | list):
            return f"it returned {_text(got)}, expected {len(expected)} values"
        if len(got) != len(expected):
            return f"it returned {len(got)} values, expected {len(expected)}"
        for i, (g, e) in enumerate(zip(got, expected, strict=True)):
            if words := difference(g, e, tolerance):
                return f"value {i}: {words}"
        return ""
    if isinstance(expected, str):
        same = isinstance(got, str) and got == expected
        return "" if same else f"it returned {_text(got)}, expected {expected!r}"
    try:
        g = np.asarray(got)
        e = np.asarray(expected.detach().cpu() if isinstance(expected, torch.Tensor) else expected)
        g_numbers = g.astype(float)
    except (TypeError, ValueError):
        return f"it returned {type(got).__name__} {_text(got)}, expected {_text(expected)}"
    if g.shape != e.shape:
        return f"it returned shape {g.shape}, expected shape {e.shape}"
    e_numbers = e.astype(float)
    if np.isnan(g_numbers).any() and not np.isnan(e_numbers).any():
        return f"it returned {_text(got)}, which holds NaN; expected {_text(expected)}"
    if g.dtype.kind in "OSU":  # text that looks like a number is none
        return f"it returned {_text(got)}, expected {_text(expected)}"
    if g.dtype.kind in "bui" and e.dtype.kind in "bui":
        tolerance = 0
    close = np.isclose(g_numbers, e_numbers, rtol=tolerance, atol=tolerance, equal_nan=True)
    if close.all():
        return ""
    if g.ndim == 0:
        return f"it returned {_text(got)}, expected {_text(expected)}"
    where = tuple(int(i) for i in np.argwhere(~close)[0])
    return (
        f"{int((~close).sum())} of {close.size} entries differ; the first is at {list(where)}: "
        f"{g_numbers[where]:.6g}, expected {e_numbers[where]:.6g}"
    )


def check(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    cases: Iterable[Sequence[Any]],
    *,
    tolerance: float = 1e-5,
    explain: Callable[..., str | None] | None = None,
) -> None:
    """Compare ``function`` with ``reference`` on each case, a tuple of arguments.

    Raises ``CheckFailed`` with the first input that differs, what was returned, what was
    expected, and ``explain(got, expected, *args)`` if that has something to say (the mistake
    behind a typical wrong answer). Arguments must not be changed in place, nor what is in them.
    """
    name = getattr(function, "__name__", "your function")
    count = 0
    for case in cases:
        kept = [_copy(arg) for arg in case]
        expected = reference(*[_copy(arg) for arg in case])
        try:
            got = function(*case)
        except NotImplementedError:
            raise CheckFailed(f"{name} is not written yet.") from None
        except Exception as error:
            raise CheckFailed(
                f"{_call(kept, name)}\nraised {type(error).__name__}: {error}"
            ) from error
        for number, (arg, before) in enumerate(zip(case, kept, strict=True)):
            if _changed(arg, before):
                raise CheckFailed(f"{name} changed its argument number {number + 1} in place.")
        try:
            got = plain(got)
        except CheckFailed as refused:
            raise CheckFailed(f"{_call(kept, name)}\n{refused}.") from None
        if words := difference(got, expected, tolerance):
            hint = explain(got, expected, *kept) if explain else None
            raise CheckFailed(f"{_call(kept, name)}\n{words}." + (f"\n{hint}" if hint else ""))
        count += 1
    if not count:
        raise ValueError("check needs at least one case")
    print(f"{name}: right on all {count} inputs.")


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copy(part) for part in value)
    return value.copy() if isinstance(value, np.ndarray) else value


def _changed(value: Any, before: Any) -> bool:
    """Whether an argument, or something in it, is no longer what it was."""
    if isinstance(before, np.ndarray | torch.Tensor):
        return difference(value, before, 0) != ""
    if isinstance(before, dict):
        return value.keys() != before.keys() or any(_changed(value[k], before[k]) for k in before)
    if type(before) in (list, tuple):
        pairs = zip(value, before, strict=False)
        return len(value) != len(before) or any(_changed(new, old) for new, old in pairs)
    return False


def check_that(condition: Any, message: str) -> None:
    """Raise ``CheckFailed`` with ``message`` unless ``condition`` holds; it must be ``plain``."""
    if not bool(plain(condition, "a comparison with your answer")):
        raise CheckFailed(message)


def variant(student_id: str, exercise: str) -> random.Random:
    """The random numbers that belong to one student and one exercise, the same for ever.

    Seeded by SHA-256 of both. Upper and lower case and blanks around the id do not matter. Raises
    ``CheckFailed`` while there is no id.
    """
    if type(student_id) is not str or not student_id.strip():
        raise CheckFailed(
            'Write your student id between the quotes of student_id = "", in the cell at the '
            "beginning of the homework. Run that cell, then those below it."
        )
    words = f"{unicodedata.normalize('NFC', student_id.strip().casefold())}\n{exercise}"
    return random.Random(int.from_bytes(hashlib.sha256(words.encode()).digest(), "big"))


def source_uses(function: Callable[..., Any], *names: str) -> list[str]:
    """Which of ``names`` stand in the source of ``function``; empty if it can't be read."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return []
    return [name for name in names if name in source]
