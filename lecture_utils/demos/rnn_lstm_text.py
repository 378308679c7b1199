"""The panel of 05_rnn_lstm that writes: names and Shakespeare, character by character."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from torch import nn
from torch.nn import functional as F

from .. import style
from ..data import END, encode
from ..draw import place
from ..live import LiveFigure
from ..panel import Panel, Player, choice, log_slider, slider, text
from .rnn_lstm_parts import short

LONGEST = 320
"""Characters sampled at most."""
LIKELY = 10
"""Next characters shown."""
COLUMNS, ROWS, COLUMN = 38, 11, 12
"""Characters in a row, rows, characters in a column of names."""


class Writer(NamedTuple):
    """A net (N, T, symbols) -> (N, T, symbols), its symbols, and whether each line begins anew."""

    net: nn.Module
    symbols: str
    lines: bool


class Stream:
    """A text as it is sampled: hidden state and logits after each character, never computed twice.

    ``sample(logits, temperature, generator)`` returns the number of the next symbol.
    """

    def __init__(
        self, writer: Writer, sample: Callable[..., Any], prompt: str, temperature: float, seed: int
    ) -> None:
        self.writer, self.sample, self.temperature = writer, sample, temperature
        # A copy: the reader's net may move to another device, or go on training, meanwhile.
        self.net = copy.deepcopy(writer.net).cpu().eval()
        self.generator = torch.Generator().manual_seed(seed)
        self.text, self.hidden, self.logits = "", [], []
        self.state: Any = None
        if writer.lines:
            prompt = prompt.lower()
        self.skipped = len(END) if writer.lines or not prompt else 0
        for symbol in encode((END if self.skipped else "") + prompt, writer.symbols).tolist():
            self._read(symbol)
        self.prompt = len(self.text)

    @torch.no_grad()
    def _read(self, symbol: int) -> None:
        character = self.writer.symbols[symbol]
        if self.writer.lines and character == END:
            self.state = None
        x = F.one_hot(torch.tensor([[symbol]]), len(self.writer.symbols)).float()
        hidden, self.state = self.net.cell(x, self.state)
        self.text += character
        self.hidden.append(hidden[0, 0])
        self.logits.append(self.net.output(hidden)[0, 0])

    def extend(self, count: int) -> None:
        """Sample until there are ``count`` characters behind the prompt."""
        while len(self.text) < self.prompt + count:
            found = self.sample(self.logits[-1].clone(), self.temperature, self.generator)
            symbol = int(found)
            if not 0 <= symbol < len(self.writer.symbols) or symbol != found:
                raise ValueError(
                    f"sample returned {found!r}, expected a whole number from 0 to "
                    f"{len(self.writer.symbols) - 1}"
                )
            self._read(symbol)


@functools.lru_cache(maxsize=512)
def glyph(character: str, pixels: int, width: int, height: int) -> np.ndarray:
    """The ink (height, width) of a character of a fixed-width font on its base line."""
    font = FontProperties(family="DejaVu Sans Mono")
    renderer = RendererAgg(width, height, 72)
    pen = renderer.new_gc()
    pen.set_linewidth(0)
    outline = TextPath((0, 0), character, size=pixels, prop=font)
    left = (width - 0.602 * pixels) / 2
    move = Affine2D().translate(left, height * 0.28)
    renderer.draw_path(pen, outline, move, (0.0, 0.0, 0.0))
    return np.asarray(renderer.buffer_rgba())[..., 3] / 255.0


class Page(Artist):
    """Characters in a grid of ``ROWS`` x ``COLUMNS``, each on a colour of its own."""

    def __init__(self, fig: LiveFigure, ax: Axes) -> None:
        super().__init__()
        self.items: list[tuple[int, int, str, Any, bool]] = []
        ax.set(xlim=(0, COLUMNS), ylim=(ROWS, 0))
        ax.set_axis_off()
        ax.add_artist(self)
        fig.live(self)

    def draw(self, renderer: RendererAgg) -> None:
        box = self.axes.get_window_extent()
        across, down = int(box.width) // COLUMNS, int(box.height) // ROWS
        sheet = np.ones((down * ROWS, across * COLUMNS, 4))
        pixels = round(16 * self.axes.figure.dpi / 72)
        black = np.array(to_rgba(style.INK))
        for row, column, character, colour, given in self.items:
            part = sheet[row * down : (row + 1) * down, column * across : (column + 1) * across]
            part[2:-2] = colour
            if given:
                part[-4:-2] = black
            if character.strip():
                ink = glyph(character, pixels, across, down)[..., None]
                part += ink * (black - part)
        picture = np.ascontiguousarray((255 * sheet[::-1]).round().astype(np.uint8))
        pen = renderer.new_gc()
        renderer.draw_image(pen, int(box.x0), int(box.y1) - down * ROWS, picture)
        pen.restore()


def layout(written: str, lines: bool) -> list[tuple[int, int]]:
    """Row and column of each character on an endless page.

    Names stand in columns, a text in lines broken at spaces. The character that ends a line keeps
    its place behind it.
    """
    places, row, column = [], 0, 0
    if lines:
        across = COLUMNS // COLUMN
        name, within = 0, 0
        for character in written:
            places.append((name // across, name % across * COLUMN + min(within, COLUMN - 1)))
            within += 1
            if character == END:
                name, within = name + 1, 0
        return places
    for k, character in enumerate(written):
        begins = column and written[k - 1] == " "
        word = len(written[k : k + COLUMNS].split(" ")[0].split("\n")[0]) if begins else 0
        if column >= COLUMNS - 1 or column + word > COLUMNS - 1:
            row, column = row + 1, 0
        places.append((row, column))
        row, column = (row + 1, 0) if character == "\n" else (row, column + 1)
    return places


def shown(character: str) -> str:
    """A character as it is named in a list."""
    return {"\n": "⏎", " ": "space"}.get(character, character)


def writing(
    writers: Mapping[str, Writer],
    sample: Callable[..., Any],
    known: Sequence[str] = (),
    units: Mapping[str, Mapping[str, int]] | None = None,
) -> Panel:
    """Text from trained nets as it is sampled, coloured by one hidden unit.

    ``writers`` by name; ``sample(logits, temperature, generator)`` returns the number of the next
    symbol; ``known`` are the names the nets were trained on; ``units`` gives, by writer, hidden
    units worth a look and what they follow.
    """
    names = list(writers)
    known = set(known)
    fig = LiveFigure(820, 430)
    page_ax, bars_ax = fig.subplots(1, 2)
    place(fig, {page_ax: (8, 14, 556, 396), bars_ax: (646, 56, 160, 338)})
    page = Page(fig, page_ax)
    bars_ax.set(xlim=(0, 1), ylim=(LIKELY - 0.4, -0.6), title="next?", yticks=[])
    bars_ax.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    bars = fig.live(*bars_ax.barh(range(LIKELY), np.zeros(LIKELY), color=style.PREDICTION))
    words = [
        bars_ax.text(-0.05, k, "", ha="right", va="center", family="DejaVu Sans Mono", size=16)
        for k in range(LIKELY)
    ]
    fig.live(words)
    kept: dict[str, Any] = {"key": None, "stream": None, "places": []}

    def stream_of(model: str, prompt: str, temperature: float, seed: int) -> Stream:
        key = (model, prompt, temperature, seed)
        if kept["key"] != key:
            made = Stream(writers[model], sample, prompt, temperature, seed)
            kept.update(key=key, stream=made)
        return kept["stream"]

    def update(t: int, model: str, prompt: str, temperature: float, unit: int, seed: int) -> str:
        stream = stream_of(model, prompt, temperature, seed)
        try:
            stream.extend(t)
        except Exception:
            kept["key"] = None  # half a text: the next attempt begins anew
            raise
        end = stream.prompt + t
        written, skip = stream.text[:end], stream.skipped
        count = len(stream.hidden[0])
        unit = min(unit, count - 1)
        values = torch.stack(stream.hidden[skip:end]) if end > skip else torch.zeros(0, count)
        colours = style.SIGNED(0.5 + 0.4 * values[:, unit].numpy())
        places = layout(written[skip:], stream.writer.lines)
        last = places[-1][0] if places else 0
        above = max(0, last - ROWS + 1)
        page.items = [
            (row - above, column, character, colour, k + skip < stream.prompt)
            for k, ((row, column), character, colour) in enumerate(
                zip(places, written[skip:], colours, strict=True)
            )
            if row >= above
        ]
        kept["places"] = [(row - above, column) for row, column in places]
        chances = (stream.logits[end - 1] / temperature).softmax(dim=0)
        top, which = chances.topk(LIKELY)
        for bar, word, p, index in zip(bars, words, top.tolist(), which.tolist(), strict=True):
            bar.set_width(p)
            word.set_text(shown(stream.writer.symbols[index]))
        likely = stream.writer.symbols[int(which[0])]
        said = (
            f"{t} characters at temperature {temperature:.2g}. Most likely next: "
            f"<b>{shown(likely)}</b>, {float(top[0]):.0%}."
        )
        if stream.writer.lines:
            done = written[skip:].split(END)[:-1]
            old = sum(name in known for name in done)
            said += f" Of {len(done)} names, {old} stand in its training list: {len(done) - old} "
            said += "are invented."
        if len(values):
            said += f"<br>Unit {unit} of {count} is now {short(float(values[-1, unit]))}."
        for meaning, number in (units or {}).get(model, {}).items():
            said += f" Unit {number} follows: {meaning}." if number == unit else ""
        return said

    panel = Panel(
        update,
        fig,
        title="A net that writes",
        look="Press Play, then move the temperature: the same random numbers, another text. Blue "
        "and orange show one hidden unit as it reads. What does it follow?",
        t=Player(LONGEST, 160, label="length", rate=14),
        model=choice(names, label="net"),
        prompt=text("", "prompt", "begin with …"),
        temperature=log_slider(0.1, 3.0, 0.8, "temp.", per_decade=20),
        unit=slider(0, max(w.net.cell.hidden_size for w in writers.values()) - 1, 1, 0, "unit"),
        seed=slider(0, 19, 1, 0),
        presets=_presets(writers, units or {}),
    )

    def press(x: float, y: float) -> None:
        """Go back to the character under the pointer."""
        spot = (int(y), int(x))
        stream = kept["stream"]
        if stream is not None and spot in kept["places"]:
            k = kept["places"].index(spot) + stream.skipped + 1 - stream.prompt
            panel.set(t=max(0, k))

    fig.on_press(page_ax, press)
    return panel


def _presets(
    writers: Mapping[str, Writer], units: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, Any]]:
    names = [name for name, writer in writers.items() if writer.lines]
    plays = [name for name, writer in writers.items() if not writer.lines]
    presets: dict[str, dict[str, Any]] = {}
    if names:
        presets["names"] = {"model": names[-1], "prompt": "", "temperature": 10**-0.1, "t": 160}
        presets["names"]["note"] = "Most of these names stand in no list."
    for model in plays:
        start = {"model": model, "t": 240}
        presets["Shakespeare"] = start | {"prompt": "ACT III.\n", "temperature": 10**-0.2}
        presets["Shakespeare"]["note"] = "Speakers, lines, full stops: form, and hardly any sense."
        presets["fails: too cold"] = start | {"prompt": "To be, or not to be", "temperature": 0.1}
        presets["fails: too cold"]["note"] = "Always the likeliest character: it goes in circles."
        presets["fails: too hot"] = start | {"prompt": "To be, or not to be"}
        presets["fails: too hot"] |= {"temperature": 10**0.4}
        presets["fails: too hot"]["note"] = "Unlikely characters come too often: letter salad."
        for meaning, unit in units.get(model, {}).items():
            note = f"Unit {unit}, found by its correlation in held-out text. No label told it."
            presets[meaning] = presets["Shakespeare"] | {"unit": unit, "note": note}
    return presets
