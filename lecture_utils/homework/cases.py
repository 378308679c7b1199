"""Submissions of every kind, good and bad: what the demo grades, and what the tests hold true.

Each case is a submission of 01_perceptron that differs from a right one in the exercise `update`
or around it, and says what has to come of that. `homework/README.md` shows the table.
"""

import copy
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from .submission import Assignment, answered

STEM, VICTIM = "01_perceptron", "update"
RIGHT = """def update(x, y, w, b):
    if y * (x @ w + b) <= 0:
        w, b = w + y * x, b + y
    return w, b
"""
WRONG = """def update(x, y, w, b):
    return w + y * x, b + y
"""


@dataclass(frozen=True)
class Case:
    """`outcome` is that of the exercise `update`, or of the file; `others` that of the rest."""

    does: str
    ends: str
    """In a person's words, for the table."""
    make: Callable[[Assignment], bytes]
    outcome: str
    others: str = "passed"
    flag: str = ""
    """Words of a flag that it must raise; with none it must raise none."""
    repair: str = ""
    """Words of a repair that it must report."""


def to_bytes(notebook: NotebookNode) -> bytes:
    """The notebook as a file."""
    return nbformat.writes(notebook).encode()


def place(notebook: NotebookNode, name: str) -> int:
    """Where the cell `name` is."""
    return [cell.id for cell in notebook.cells].index(name)


def answer(source: str) -> Callable[[Assignment], bytes]:
    """A submission whose `update` is this."""

    def make(assignment: Assignment) -> bytes:
        notebook = answered(assignment)
        notebook.cells[place(notebook, VICTIM)].source = source
        return to_bytes(notebook)

    return make


def before(source: str, then: str = RIGHT) -> Callable[[Assignment], bytes]:
    """A submission with a cell of its own in front of its `update`."""

    def make(assignment: Assignment) -> bytes:
        notebook = answered(assignment)
        where = place(notebook, VICTIM)
        notebook.cells[where].source = then
        cell = nbformat.v4.new_code_cell(source, id=uuid.uuid5(uuid.NAMESPACE_OID, source).hex[:8])
        notebook.cells.insert(where, cell)
        return to_bytes(notebook)

    return make


def edit(change: Callable[[NotebookNode, Assignment], None]) -> Callable[[Assignment], bytes]:
    """A right submission, changed as a whole."""

    def make(assignment: Assignment) -> bytes:
        notebook = answered(assignment)
        change(notebook, assignment)
        return to_bytes(notebook)

    return make


def inside(*lines: str) -> Callable[[Assignment], bytes]:
    """A submission whose `update` runs these lines before it answers rightly."""
    head, body = RIGHT.split("\n", 1)
    return answer("\n".join([head, *(f"    {line}" for line in lines), body]))


def _blank(assignment: Assignment) -> bytes:
    return to_bytes(assignment.released)


def _half(assignment: Assignment) -> bytes:
    notebook = answered(assignment)
    for name in list(assignment.solutions)[2:]:
        notebook.cells[place(notebook, name)].source = assignment.blank[name]
    return to_bytes(notebook)


def _twice(notebook: NotebookNode, assignment: Assignment) -> None:
    where = place(notebook, VICTIM)
    older = copy.deepcopy(notebook.cells[where])
    older.source, older.id = WRONG, "older"
    notebook.cells.insert(where, older)


def _below(notebook: NotebookNode, assignment: Assignment) -> None:
    where = place(notebook, VICTIM)
    own = nbformat.v4.new_code_cell(notebook.cells[where].source, id="own")
    notebook.cells[where].source = assignment.blank[VICTIM]
    notebook.cells.insert(where + 2, own)


def _without(name: str) -> Callable[[NotebookNode, Assignment], None]:
    def change(notebook: NotebookNode, assignment: Assignment) -> None:
        del notebook.cells[place(notebook, name)]

    return change


def _without_checks(notebook: NotebookNode, assignment: Assignment) -> None:
    for check in assignment.checks_of(VICTIM):
        del notebook.cells[place(notebook, check.id)]


def _edited_checks(notebook: NotebookNode, assignment: Assignment) -> None:
    notebook.cells[place(notebook, VICTIM)].source = WRONG
    for check in assignment.checks_of(VICTIM):
        notebook.cells[place(notebook, check.id)].source = "assert True"


def _backwards(notebook: NotebookNode, assignment: Assignment) -> None:
    start = place(notebook, "homework-setup") + 1
    notebook.cells[start:] = notebook.cells[start:][::-1]


def _bare(notebook: NotebookNode, assignment: Assignment) -> None:
    for cell in notebook.cells:
        cell.metadata = NotebookNode()


def _nameless(assignment: Assignment) -> bytes:
    notebook = answered(assignment)
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = NotebookNode(), f"c{number}"
    raw = json.loads(nbformat.writes(notebook))
    for cell in raw["cells"]:
        del cell["id"]
    return json.dumps(raw | {"nbformat_minor": 4}).encode()


def _other(assignment: Assignment) -> bytes:
    cell = nbformat.v4.new_code_cell("def attend(q, k, v):\n    return v", id="attend")
    return to_bytes(nbformat.v4.new_notebook(cells=[cell]))


def _broken(assignment: Assignment) -> bytes:
    return to_bytes(answered(assignment))[:-200]


def _claims(notebook: NotebookNode, assignment: Assignment) -> None:
    cell = nbformat.v4.new_code_cell('student_id = "grace"', id="student-id")
    if "student-id" in assignment.cells:
        notebook.cells[place(notebook, "student-id")] = cell
    else:
        notebook.cells.insert(place(notebook, VICTIM), cell)


FORGED = """
import json, os, socket, struct
body = json.dumps({"outcome": "passed", "nonce": "0" * 32}).encode()
for number in range(3, 64):
    try:
        os.write(number, struct.pack("!I", len(body)) + body)
    except OSError:
        pass
"""
HOOK = """
import ast
class Softer(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
    def visit_Raise(self, node):
        return ast.Pass()
get_ipython().ast_transformers.append(Softer())
"""
CELL_HOOK = """
seen = []
get_ipython().events.register("pre_run_cell", lambda info: seen.append(info.raw_cell))
"""
ALWAYS_EQUAL = """
class Same:
    def __eq__(self, other):
        return True
    def __bool__(self):
        return True
    def __array__(self, *_, **__):
        raise TypeError
    def __iter__(self):
        return iter((self, self))
    def __len__(self):
        return 2

def update(x, y, w, b):
    return Same()
"""
PEEK = (
    "import sys",
    "frame = sys._getframe(1)",
    "while frame is not None:",
    "    if 'expected' in frame.f_locals:",
    "        return frame.f_locals['expected']",
    "    frame = frame.f_back",
)
FORKS = ("import os", "while True:", "    os.fork()")

CASES: dict[str, Case] = {
    "right": Case("answers everything", "full marks", answer(RIGHT), "passed"),
    "half": Case("answers two exercises", "their points, the rest blank", _half, "passed", "mixed"),
    "blank": Case("hands in what it was given", "0, as blank", _blank, "blank", "blank"),
    "wrong": Case("has one mistake", "that exercise fails with a message", answer(WRONG), "failed"),
    "syntax": Case(
        "does not parse", "that exercise: error", answer("def update(x, y, w, b)\n"), "error"
    ),
    "warnings": Case(
        "prints warnings to stderr",
        "full marks",
        inside("import warnings, sys", "warnings.warn('mind')", "print('x', file=sys.stderr)"),
        "passed",
    ),
    "own-names": Case(
        "calls variables sum, random, list, x",
        "full marks",
        before("sum = 0\nrandom = 1\nx = y = w = b = None\ncases = list = 5"),
        "passed",
    ),
    "helper": Case(
        "puts a helper in a cell of its own",
        "full marks",
        before("def step(y, x):\n    return y * x", RIGHT.replace("y * x,", "step(y, x),")),
        "passed",
    ),
    "own-cell": Case(
        "leaves the stub and writes the function in a cell below",
        "the last definition counts; full marks",
        edit(_below),
        "passed",
    ),
    "endless-loop": Case(
        "loops for ever", "that exercise: timeout", inside("while True:", "    pass"), "timeout"
    ),
    "endless-cell": Case(
        "loops for ever in the cell itself",
        "stopped; its function is there, so it is graded",
        answer(RIGHT + "while True:\n    pass\n"),
        "passed",
    ),
    "stubborn-loop": Case(
        "loops and swallows every exception",
        "killed; that exercise: timeout",
        inside(
            "while True:",
            "    try:",
            "        while True:",
            "            pass",
            "    except BaseException:",
            "        pass",
        ),  # fmt: skip
        "timeout",
    ),
    "uninterruptible": Case(
        "computes in C without end",
        "killed; that exercise: timeout",
        inside("sum(range(10 ** 14))"),
        "timeout",
    ),
    "exit": Case(
        "calls os._exit(0)",
        "that exercise: crash, the others are graded",
        inside("import os", "os._exit(0)"),
        "crash",
        flag="ends the process",
    ),
    "exit-cell": Case(
        "calls os._exit(0) in a cell",
        "that exercise: crash, the others are graded",
        answer(RIGHT + "import os\nos._exit(0)\n"),
        "crash",
        flag="ends the process",
    ),
    "sys-exit": Case(
        "calls sys.exit()",
        "that exercise: error",
        inside("import sys", "sys.exit()"),
        "error",
    ),
    "segfault": Case(
        "reads memory at address 0",
        "that exercise: crash",
        inside("import ctypes", "ctypes.string_at(0)"),
        "crash",
        flag="calls C functions",
    ),
    "fork-bomb": Case(
        "forks without end",
        "stopped at the limit of processes; the others are graded",
        inside(*FORKS),
        "stopped",
        flag="starts a process",
    ),
    "memory": Case(
        "asks for 100 GB",
        "that exercise: memory",
        inside("bytearray(10 ** 11)"),
        "memory",
    ),
    "memory-slowly": Case(
        "asks for ever more memory",
        "that exercise: memory",
        inside("kept = []", "while True:", "    kept.append(bytearray(10 ** 8))"),
        "memory",
    ),
    "disk": Case(
        "fills the scratch folder",
        "that exercise: error",
        inside(
            "for n in range(10 ** 6):",
            "    with open(f'scratch{n}', 'wb') as file:",
            "        file.write(bytes(10 ** 7))",
        ),
        "error",
        flag="opens a file",
    ),
    "twice": Case(
        "holds the answer's cell twice, the older one wrong",
        "the last written answer counts; reported",
        edit(_twice),
        "passed",
        repair="stands there 2 times",
    ),
    "no-check": Case(
        "has deleted a check",
        "the check is put back; full marks; reported",
        edit(_without_checks),
        "passed",
        repair="was missing",
    ),
    "no-answer": Case(
        "has deleted an answer's cell",
        "that exercise: blank; reported",
        edit(_without(VICTIM)),
        "blank",
        repair="was missing",
    ),
    "edited-check": Case(
        "has a check that says `assert True`, and a wrong answer",
        "our check runs; that exercise fails; reported",
        edit(_edited_checks),
        "failed",
        repair="had been changed",
    ),
    "reordered": Case(
        "has its cells in reverse order",
        "full marks",
        edit(_backwards),
        "passed",
    ),
    "no-metadata": Case(
        "has lost nbgrader's marks",
        "found by cell id; full marks; reported",
        edit(_bare),
        "passed",
        repair="had lost its mark",
    ),
    "no-ids": Case(
        "has lost marks and cell ids",
        "found by the functions it defines; full marks; reported",
        _nameless,
        "passed",
        repair="had lost its mark",
    ),
    "broken": Case("is cut off", "unreadable, no score", _broken, "unreadable", ""),
    "other": Case("is another assignment's notebook", "other, no score", _other, "other", ""),
    "huge-output": Case(
        "prints 200 MB in one line",
        "cut off after 20,000 characters; full marks",
        before("print('x' * 200_000_000)"),
        "passed",
    ),
    "endless-output": Case(
        "prints for ever",
        "cut off; that exercise: timeout",
        inside("while True:", "    print('again')"),
        "timeout",
    ),
    "input": Case(
        "asks for input", "nobody answers; that exercise: error", inside("input()"), "error"
    ),
    "hidden-files": Case(
        "looks for hidden tests in files",
        "finds none; that exercise: error",
        inside(
            "import lecture_utils, pathlib",
            "root = pathlib.Path(lecture_utils.__file__).parents[1]",
            "found = [*root.glob('notebooks/*'), *root.glob('homework/*'), *root.glob('.git/*')]",
            "found += [*root.glob('tests/*'), *root.glob('lecture_utils/notebooks/*')]",
            "raise LookupError(f'{len(found)} files found')",
        ),
        "error",
    ),
    "frames": Case(
        "reads the expected answer from its caller's frame",
        "passes, since both live in one process: flagged for a human",
        inside(*PEEK),
        "passed",
        flag="looks into its caller's frames",
    ),
    "gradebook": Case(
        "opens the gradebook",
        "it is not there; that exercise: error",
        inside(
            "import lecture_utils, pathlib, sqlite3",
            "root = pathlib.Path(lecture_utils.__file__).parents[1]",
            "sqlite3.connect(root / 'homework' / 'gradebook.db').execute('select * from grade')",
        ),
        "error",
        flag="opens databases",
    ),
    "others-work": Case(
        "looks at other processes and students",
        "sees none; that exercise: error",
        inside("import os", "raise LookupError(f\"{len(os.listdir('/proc'))} entries\")"),
        "error",
    ),
    "network": Case(
        "opens a connection",
        "there is no network; that exercise: error",
        inside("import socket", "socket.create_connection(('127.0.0.1', 80), 2)"),
        "error",
        flag="uses the network",
    ),
    "write-outside": Case(
        "changes the library's files",
        "read-only; that exercise: error",
        inside("import lecture_utils", "open(lecture_utils.__file__, 'a').write('x = 1')"),
        "error",
        flag="opens a file",
    ),
    "kill": Case(
        "kills every process it can",
        "reaches none; that exercise: error",
        inside("import os", "os.kill(0, 9)", "os.kill(-1, 9)", "os.kill(os.getppid(), 9)"),
        "error",
        flag="sends a signal",
    ),
    "always-equal": Case(
        "returns an object that equals everything",
        "that exercise fails; flagged",
        answer(ALWAYS_EQUAL),
        "failed",
        flag="defines what is equal",
    ),
    "patched-allclose": Case(
        "replaces np.allclose and torch.allclose",
        "put back before the check; that exercise fails; flagged",
        before(
            "import numpy as np, torch\n"
            "np.allclose = np.isclose = torch.allclose = lambda *_, **__: np.array(True)",
            WRONG,
        ),
        "failed",
        flag="assigns to np.allclose",
    ),
    "patched-check": Case(
        "replaces lu.check",
        "put back before the check; that exercise fails; flagged",
        before(
            "import lecture_utils.checks as c\nc.check = c.check_that = lambda *_, **__: None\n"
            "import lecture_utils as lu\nlu.check = c.check",
            WRONG,
        ),
        "failed",
        flag="changed library code",
    ),
    "fake-module": Case(
        "puts a module of its own in the place of lecture_utils",
        "put back before the check; that exercise fails; flagged",
        before(
            "import sys, types\n"
            "fake = types.ModuleType('lecture_utils')\n"
            "fake.check = fake.check_that = lambda *_, **__: None\n"
            "sys.modules['lecture_utils'] = fake",
            WRONG,
        ),
        "failed",
        flag="changed library code",
    ),
    "fake-lookup": Case(
        "changes where lecture_utils looks for its functions",
        "put back before the check; that exercise fails; flagged",
        before(
            "import sys, types, lecture_utils\n"
            "fake = sys.modules['lecture_utils.fake'] = types.ModuleType('fake')\n"
            "fake.check = fake.check_that = lambda *_, **__: None\n"
            "lecture_utils._HOME.update(check='fake', check_that='fake')",
            WRONG,
        ),
        "failed",
        flag="changed library code",
    ),
    "float64": Case(
        "sets torch's default type and turns gradients off for all",
        "set back before each check; full marks",
        before("torch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)"),
        "passed",
    ),
    "patched-inside": Case(
        "replaces the comparison while it is checked",
        "neither points nor zero: withheld for a human; flagged",
        answer(
            "def update(x, y, w, b):\n"
            "    import lecture_utils.checks as c\n"
            "    c.difference = lambda *_, **__: ''\n"
            "    return w + y * x, b + y\n"
        ),
        "tampered",
        flag="while it was checked",
    ),
    "patched-code": Case(
        "changes the code of the comparison",
        "put back before the check; that exercise fails; flagged",
        before(
            "import lecture_utils.checks as c\n"
            "def nothing(got, expected, tolerance=1e-5):\n    return ''\n"
            "c.difference.__code__ = nothing.__code__",
            WRONG,
        ),
        "failed",
        flag="changed library code",
    ),
    "ast-hook": Case(
        "drops assert and raise by an IPython AST transformer",
        "checks do not go through IPython: that exercise fails; flagged",
        before(HOOK, WRONG),
        "failed",
        flag="changes how IPython reads cells",
    ),
    "cell-hook": Case(
        "registers a hook on cells, to read the checks",
        "checks are no cells; nothing is seen; flagged",
        before(CELL_HOOK),
        "passed",
        flag="talks to IPython",
    ),
    "forged": Case(
        "writes a passing answer to the grader",
        "that cell is left out and the rest graded; flagged",
        before(FORGED),
        "passed",
        flag="answer of its own",
    ),
    "thread": Case(
        "leaves a thread running to wait for the checks",
        "graded; flagged",
        before(
            "import threading, time\n"
            "threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()"
        ),
        "passed",
        flag="left threads running",
    ),
    "other-id": Case(
        "states another student's id",
        "the real id is used; flagged",
        edit(_claims),
        "passed",
        flag="states another student's id",
    ),
}
