"""What must hold for every exercise of every notebook, whoever the student is."""

import contextlib
import io
import itertools
import re
from collections import Counter, defaultdict

import pytest
from grading import (
    STUDENT,
    apart,
    checks,
    functions,
    grade,
    load,
    points,
    reference,
    stems,
)

from lecture_utils.checks import CheckFailed

STEMS = stems()
OWN = {
    "01_perceptron": ["own-gate", "xor"],
    "02_mlp": ["spiral"],
    "03_backprop": ["by-eye"],
    "04_cnn": ["stack"],
}
"""Exercises whose numbers come from the student's id."""
IDS = ["bob", "Grace.Hopper", "12345678", *(f"s{number:06}" for number in range(17))]
# Training a net takes a while and does not read the id: here only its size is checked.
NO_TRAINING = {"spiral": "\n\ndef train_on_spiral(seed):\n    return 1.0\n"}


SLOW = defaultdict(set, {"04_cnn": {"budget"}})
"""Exercises whose reference is trained once, in `test_release.py`."""


def quick_points(stem: str) -> dict[str, float]:
    """Full marks by test cell, without those of the slow exercises."""
    full = points(stem)
    quick = set(checks(stem)) - SLOW[stem]
    return {test: full[test] for exercise in quick for test in checks(stem)[exercise]}


def source_of(stem: str, name: str) -> str:
    """The source of a cell."""
    return next(cell.source for cell in load(stem).cells if cell.id == name)


def own_tests(stem: str) -> dict[str, float]:
    """Full marks of the cells that depend on the id."""
    full = points(stem)
    return {test: full[test] for exercise in OWN[stem] for test in checks(stem)[exercise]}


@pytest.mark.parametrize("stem", STEMS)
def test_all_assignments_have_twenty_points(stem: str) -> None:
    assert sum(points(stem).values()) == 20
    assert all(value == int(value) > 0 for value in points(stem).values())


@pytest.mark.parametrize("stem", STEMS)
def test_checks_run_in_a_namespace_of_their_own(stem: str) -> None:
    assert apart(stem, SLOW[stem]) == quick_points(stem)


# ---- names that students take

TAKEN = """
x = y = z = w = b = h = c = k = q = v = g = i = j = n = m = t = u = W = X = Y = 0
random = cases = images = truth = runs = generator = numbers = name = names = data = digits = 1
F = np = torch = nn = math = itertools = hashlib = 3
got = expected = found = answer = score = loss = model = net = grid = layers = field = 'mine'
logits = image = padded = kernel = weights = matrix = shapes = settings = points = spiral = None
wanted = at_least = off = on = distance = parameters = first_units = recordings = share = []
check = checks = right = wrong = near = far = more = one = two = three = example = shown = ()
"""


@pytest.mark.parametrize("stem", STEMS)
def test_a_student_may_take_any_name(stem: str) -> None:
    only = set(checks(stem)) - SLOW[stem]
    assert reference(stem, front=TAKEN, only=only) == quick_points(stem)


# ---- objects that equal everything

TRICKS = """
import numpy as np
import torch


class Same:
    def _same(self, *args, **kwargs):
        return True

    def _itself(self, *args, **kwargs):
        return self

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = _same
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __matmul__ = _itself
    __abs__ = __getitem__ = __call__ = __getattr__ = _itself
    __hash__ = object.__hash__

    def __len__(self):
        return 2

    def __iter__(self):
        return iter((self, self))

    def __array__(self, *args, **kwargs):
        return np.ones(1)

    def __float__(self):
        return 1.0

    @classmethod
    def __torch_function__(cls, *args, **kwargs):
        return torch.tensor(True)


class SameText(str):
    __eq__, __ne__, __hash__ = Same.__eq__, Same.__eq__, str.__hash__


class SameFloat(float):
    __eq__, __ne__, __hash__ = Same.__eq__, Same.__eq__, float.__hash__
    __sub__ = __rsub__ = __abs__ = __float__ = lambda self, *_: 0.0


class SameInt(int):
    __eq__, __ne__, __hash__ = Same.__eq__, Same.__eq__, int.__hash__
    __lt__ = __le__ = __gt__ = __ge__ = Same.__eq__


class SameArray(np.ndarray):
    __eq__ = Same.__eq__

    def __array_function__(self, *args, **kwargs):
        return np.array(True)

    def __array_ufunc__(self, *args, **kwargs):
        return np.array(True)


class SameTensor(torch.Tensor):
    __torch_function__ = Same.__torch_function__


class SaysItIsTensor(Same):
    __class__ = torch.Tensor


def tricked(*args, **kwargs):
    return RETURNED
"""
RETURNS = {
    "object": "Same()",
    "two objects": "(Same(), Same())",
    "four objects": "[Same()] * 4",
    "str": "SameText('scaling')",
    "float": "SameFloat(1.0)",
    "int": "SameInt(1)",
    "array": "np.ones((2, 2)).view(SameArray)",
    "array of objects": "np.array([Same(), Same()], dtype=object)",
    "tensor": "torch.ones(2, 2).as_subclass(SameTensor)",
    "two tensors": "(torch.ones(2).as_subclass(SameTensor),) * 2",
    "says it is a tensor": "SaysItIsTensor()",
    "weights and bias": "([SameFloat(1.0)] * 6, SameFloat(0.5))",
    "layers": "[(SameInt(3), SameInt(1), SameInt(1))] * 3",
    "names": "[SameText('scaling')] * 4",
    "a net": "(SaysItIsTensor(), 0.01)",
}


@pytest.mark.parametrize("trick", RETURNS)
@pytest.mark.parametrize("stem", STEMS)
def test_an_object_that_equals_everything_earns_nothing(stem: str, trick: str) -> None:
    cheat = TRICKS.replace("RETURNED", RETURNS[trick])
    answers = {
        exercise: cheat + "".join(f"\n\n{name} = tricked" for name in functions(stem, exercise))
        for exercise in checks(stem)
    }
    assert grade(stem, answers) == dict.fromkeys(points(stem), 0)


# ---- numbers of one's own


@pytest.mark.parametrize("stem", STEMS)
def test_the_cell_for_the_id_is_as_the_grader_expects_it(stem: str) -> None:
    cells = load(stem).cells
    places = {cell.id: place for place, cell in enumerate(cells)}
    uses = any("student_id" in cell.source for cell in cells)
    assert uses == (stem in OWN) == ("student-id" in places)
    if uses:
        assert places["student-id"] == places["homework-setup"] + 1
        cell = cells[places["student-id"]]
        assert cell.cell_type == "code" and "nbgrader" not in cell.metadata
        comment, code = cell.source.splitlines()
        assert comment.startswith("# Write your student id") and code == 'student_id = ""'


@pytest.mark.parametrize("stem", OWN)
def test_the_page_shows_the_student_s_own_numbers(stem: str) -> None:
    """Each such exercise has a cell above it that prints or draws them, and a sentence before."""
    cells = load(stem).cells
    order = [cell.id for cell in cells]
    for exercise in OWN[stem]:
        text, shown = (cells[order.index(exercise) - step] for step in (1, 2))
        assert text.cell_type == "markdown"
        assert shown.cell_type == "code" and "nbgrader" not in shown.metadata
        assert "(student_id)" in shown.source
        assert re.search(r"print\(|demos\.", shown.source)


@pytest.mark.parametrize("stem", OWN)
def test_without_an_id_the_check_asks_for_it(stem: str) -> None:
    errors: dict[str, Exception] = {}
    only = set(checks(stem)) - SLOW[stem]
    earned = reference(stem, student="", only=only, errors=errors)
    lost = {test for test, mark in earned.items() if not mark}
    assert set(own_tests(stem)) <= lost <= {*own_tests(stem), "diagnose-test"}
    assert errors
    for error in errors.values():
        assert isinstance(error, CheckFailed)
        assert "Write your student id" in str(error)


def namespace(stem: str) -> dict[str, object]:
    """The homework's own definitions and reference answers, for calls by id."""
    names: dict[str, object] = {"__name__": "__main__", "student_id": STUDENT}
    cells = [cell for cell in load(stem).cells if cell.cell_type == "code"]
    start = [cell.id for cell in cells].index("homework-setup")
    for cell in [cells[0], *cells[start:]]:
        if not cell.metadata.get("nbgrader", {}).get("grade") and cell.id != "student-id":
            exec(cell.source, names)
    return names


def marks(stem: str, names: dict[str, object], student: str, author: str) -> dict[str, float]:
    """Marks for the student's own exercises, when the reference is called with the author's id."""
    cells = {cell.id: cell for cell in load(stem).cells}
    names["student_id"] = student
    earned = {}
    for exercise in OWN[stem]:
        source = cells[exercise].source.replace("student_id", repr(author))
        exec(source + NO_TRAINING.get(exercise, ""), names)
        for test in checks(stem)[exercise]:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(cells[test].source, names)
            except CheckFailed:
                earned[test] = 0
            else:
                earned[test] = points(stem)[test]
    return earned


@pytest.mark.parametrize("stem", OWN)
def test_the_reference_is_right_for_any_id(stem: str) -> None:
    names = namespace(stem)
    for student in IDS:
        assert marks(stem, names, student, author=student) == own_tests(stem), student


def test_the_spiral_s_reference_is_right_for_some_ids() -> None:
    for student in IDS[:2]:
        assert reference("02_mlp", student, only=["spiral"]) == own_tests("02_mlp"), student


@pytest.mark.parametrize("stem", OWN)
def test_another_student_s_right_answer_is_wrong(stem: str) -> None:
    """The reference with one student's id fixed in it, graded for another."""
    names = namespace(stem)
    pairs = list(itertools.permutations(IDS, 2))
    same = Counter()
    for author, student in pairs:
        same.update(test for test, mark in marks(stem, names, student, author).items() if mark)
    assert all(count <= 0.03 * len(pairs) for count in same.values()), same


@pytest.mark.parametrize(
    ("stem", "draw"),
    [
        ("01_perceptron", "gate_of(student_id)"),
        ("01_perceptron", "switches_of(student_id)"),
        ("02_mlp", "size_of(student_id)"),
        ("03_backprop", "missing_ingredients()"),
        ("04_cnn", "stack_of(student_id)"),
    ],
)
def test_two_students_seldom_have_the_same_numbers(stem: str, draw: str) -> None:
    names = namespace(stem)
    found: Counter[str] = Counter()
    for number in range(2000):
        names["student_id"] = f"student{number}"
        found[repr(eval(draw, names))] += 1
    same = sum(count * (count - 1) for count in found.values()) / (2000 * 1999)
    assert same < 0.015, f"{same:.2%} of all pairs"
    assert max(found.values()) < 0.04 * 2000
