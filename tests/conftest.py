"""What all tests share: errors in panels are raised, and no figure needs a display."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lecture_utils.data import Digits

# What several test files use lies beside them; its assertions say as much as theirs.
sys.path[:0] = [str(Path(__file__).parent / folder) for folder in (".", "browser", "homework")]
pytest.register_assert_rewrite("grading", "lab", "panels", "school", "waiting")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `lecture` sets it; before torch loads


# The sandbox that grades homework is made of Linux's namespaces.
SANDBOXED = ["cases", "container", "demo", "grade", "postgresql", "sandbox"]
collect_ignore = []
if not sys.platform.startswith("linux"):
    collect_ignore += [f"homework/test_{name}.py" for name in SANDBOXED]
    collect_ignore += ["browser/test_formgrader.py"]


def pytest_report_header() -> list[str]:
    """Say what is left out."""
    return [f"not on this system: {', '.join(collect_ignore)}"] if collect_ignore else []


@pytest.fixture(autouse=True)
def strict_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a panel's update is raised where the control was set."""
    from lecture_utils import panel

    monkeypatch.setattr(panel, "strict", True)


@pytest.fixture(scope="module")
def lesson(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The names of the notebook that the test file is about, its ``NOTEBOOK``."""
    import panels

    return panels.lesson(request.module.NOTEBOOK)


@pytest.fixture(scope="module")
def digits() -> "Digits":
    """The handwritten digits of the lecture."""
    from lecture_utils import data

    return data.mnist()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one core, where small nets go fastest."""
    from lecture_utils import device

    with device.one_thread():
        yield


# xdist's workers ignore Ctrl-C, and what they start would inherit that: `lecture` ends by Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
