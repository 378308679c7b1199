"""Patience with threads: a test that waits fails on a hang, never on a slow machine."""

import threading
from collections.abc import Callable

PATIENCE = 60  # seconds until a thread counts as stuck


def wait_for(condition: Callable[[], object]) -> None:
    """Poll until the condition holds. Raises AssertionError when it never does."""
    gate = threading.Event()
    for _ in range(PATIENCE * 200):
        if condition():
            return
        gate.wait(0.005)
    raise AssertionError("waited in vain")


def within(work: Callable[[], object]) -> None:
    """Run ``work`` in a thread: it must end, and its error is ours."""
    caught: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "deadlock"
    if caught:
        raise caught[0]
