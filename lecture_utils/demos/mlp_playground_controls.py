"""Controls of the playground that no other panel has."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
import traitlets

from .mlp_playground_view import MOST_LAYERS, MOST_UNITS


class Toggles(widgets.HBox):
    """A row of buttons that are on or off; ``value`` holds the names of those on, never none."""

    value = traitlets.Tuple()

    def __init__(self, names: Sequence[str], value: Sequence[str]) -> None:
        self.buttons = {
            name: widgets.ToggleButton(description=name, layout={"width": "auto"}) for name in names
        }
        super().__init__([*self.buttons.values()], value=tuple(value))
        self.add_class("lecture-buttons")
        self.add_class("lecture-wide")
        self._filling = False
        for toggled in self.buttons.values():
            toggled.observe(self._take, "value")
        self.observe(self._show, "value")
        self._show()

    def _take(self, _: Any) -> None:
        if self._filling:
            return
        on = tuple(name for name, toggled in self.buttons.items() if toggled.value)
        if on:
            self.value = on
        else:
            self._show()  # the last one stays on

    def _show(self, _: Any = None) -> None:
        self._filling = True
        try:
            for name, toggled in self.buttons.items():
                toggled.value = name in self.value
                toggled.button_style = "primary" if name in self.value else ""
        finally:
            self._filling = False


class Offer(widgets.Dropdown):
    """A list whose options change; a value it has not got stands for its first."""

    def __init__(self, options: Sequence[str], label: str = "") -> None:
        super().__init__(options=list(options), description=label)

    @traitlets.validate("value")
    def _validate_value(self, proposal: Any) -> str:
        known = proposal["value"] in self.options
        return proposal["value"] if known else self.options[0]

    def offer(self, options: Sequence[str]) -> None:
        """Other options; the value stays if it is among them."""
        if list(self.options) != list(options):
            keep = self.value
            self.options = list(options)
            self.value = keep


class CodeView(widgets.VBox):
    """A button that unfolds a text to copy; ``value`` says whether it is open."""

    value = traitlets.Bool(False)

    def __init__(self) -> None:
        self.button = widgets.ToggleButton(
            description="As PyTorch code", tooltip="The net with its weights, to copy"
        )
        self.button.layout = {"width": "auto", "align_self": "flex-start"}
        self.text = ""
        self.area = widgets.HTML()
        super().__init__([self.button, self.area])
        self.add_class("lecture-wide")
        traitlets.link((self, "value"), (self.button, "value"))

    def show(self, text: str) -> None:
        """Set the text; nothing is shown while closed."""
        self.text = text if self.value else ""
        self.area.value = f"<pre>{escape(text)}</pre>" if self.value else ""


def hidden_widths(words: str) -> tuple[int, ...]:
    """Units of each hidden layer from "4 2" or "4, 2"; none from an empty text."""
    parts = [part for part in re.split(r"[\s,;]+", words.strip()) if part]
    if not all(part.isdecimal() and 1 <= int(part) <= MOST_UNITS for part in parts):
        raise ValueError(
            f"units {words!r}: write a number from 1 to {MOST_UNITS} for each hidden layer, "
            "such as 4 2, or nothing for none."
        )
    if len(parts) > MOST_LAYERS:
        raise ValueError(f"{len(parts)} hidden layers: there is room for {MOST_LAYERS}.")
    return tuple(map(int, parts))
