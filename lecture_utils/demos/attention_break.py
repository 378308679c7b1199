"""The break of 06_attention: a clock that runs beside the cells."""

import threading
import time

import ipywidgets as widgets

from ..live import answer_beside_cells
from ..panel import button, stylesheet


class Countdown(widgets.VBox):
    """Minutes and seconds to go, in large digits; ``left`` holds the seconds.

    It counts in a thread of its own by the computer's clock, so cells run meanwhile.
    """

    def __init__(self, minutes: float = 5, start: bool = False) -> None:
        self.total = self.left = 60.0 * minutes
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.digits = widgets.HTML()
        self.start_button = button("Start", self._toggle, "Start or pause")
        self.buttons = [
            self.start_button,
            button("+1 min", self.longer, "One minute more"),
            button("Reset", self.reset, "Back to the full time"),
        ]
        row = widgets.HBox(self.buttons)
        row.add_class("lecture-buttons")
        head = widgets.HTML(stylesheet() + '<div class="lecture-title">Break</div>')
        super().__init__([head, self.digits, row])
        self.add_class("lecture-panel")
        answer_beside_cells(self)
        self._show()
        if start:
            self.start()

    @property
    def running(self) -> bool:
        """Whether it counts at this moment."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    def start(self) -> None:
        """Go on from where it stands; from the full time once it has come to its end."""
        self.pause()
        if self.left <= 0:
            self.left = self.total
        self._stop = threading.Event()
        until = time.monotonic() + self.left
        self._thread = threading.Thread(target=self._count, args=(self._stop, until), daemon=True)
        self.start_button.description = "Pause"
        self._thread.start()

    def pause(self) -> None:
        """Stop and keep the time that is left."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.start_button.description = "Start"
        self._show()

    def longer(self) -> None:
        """One minute more, running or not."""
        going = self.running
        self.pause()
        self.left += 60
        self._show()
        if going:
            self.start()

    def reset(self) -> None:
        """Stop, and back to the full time."""
        self.pause()
        self.left = self.total
        self._show()

    def _toggle(self) -> None:
        self.pause() if self.running else self.start()

    def _count(self, stop: threading.Event, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self.left = left
            self._show()
            # Until the digits change; `pause` need not wait for it.
            if stop.wait(left % 1 or 1):
                self.left = max(until - time.monotonic(), 0.0)
                return
        self.left = 0.0
        stop.set()
        self.start_button.description = "Start"
        self._show()

    def _show(self) -> None:
        seconds = -int(-self.left // 1)
        words = f"{seconds // 60}:{seconds % 60:02d}" if seconds > 0 else "Welcome back"
        self.digits.value = (
            '<div role="timer" style="font-size: 9rem; line-height: 1.15; font-weight: 600; '
            f'font-variant-numeric: tabular-nums; text-align: center">{words}</div>'
        )
