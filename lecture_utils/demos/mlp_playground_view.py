"""The picture of the playground: a net whose units show their own maps, the plane, the losses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba

from .. import style
from ..draw import (
    LEVELS,
    Edges,
    PlaneMap,
    levels,
    pixel_picture,
    pixel_words,
    place,
    sprite,
)
from ..live import DPI, LiveFigure
from .mlp_playground_data import REACH, Points

WIDTH, HEIGHT = 1056, 492
UNIT = 44
"""Side of a unit's map in CSS pixels."""
MOST_LAYERS, MOST_UNITS = 6, 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 100, 690, 404, 4
_PLANE = (758, 172, 288, 288)
_LOSSES = (806, 52, 222, 84)


def _faded(colours: np.ndarray, share: float) -> np.ndarray:
    """Colours mixed with the paper."""
    return np.column_stack([1 - share * (1 - colours[:, :3]), colours[:, 3]])


_RAMP = style.SIGNED(np.linspace(0, 1, LEVELS))
_VIVID, _PALE = pixel_words(_RAMP), pixel_words(_faded(_RAMP, 0.25))
_PLANE_RAMP = _faded(style.SIGNED(np.linspace(0.1, 0.9, LEVELS)), 0.6)
_INK, _LINE, _CHOSEN = pixel_words(
    np.array([to_rgba(c) for c in (style.INK, "#8c959f", style.WEIGHT)])
)


class UnitMaps(Artist):
    """Small square maps at given places, each framed and with its bias in a corner."""

    def __init__(self, fig: LiveFigure, ax: Axes) -> None:
        super().__init__()
        self.places = np.empty((0, 2))
        self.colours = np.empty((0, 1, 1), np.uint8)
        self.biases: list[float | None] = []
        self.pale: set[int] = set()
        self.chosen = 0
        self.top = 1.0
        ax.add_artist(self)
        self.set_zorder(2)
        fig.live(self)

    def draw(self, renderer: RendererAgg) -> None:
        scale = self.axes.figure.dpi / DPI
        side, frame = round(UNIT * scale), max(1, round(1.5 * scale))
        nearest = np.arange(side) * self.colours.shape[1] // side
        spread = self.colours[:, nearest[:, None], nearest]
        pen = renderer.new_gc()
        for k, (x, y) in enumerate(self.places):
            picture = (_PALE if k in self.pale else _VIVID).take(spread[k])
            chosen = k == self.chosen
            width = 2 * frame if chosen else frame
            colour = _CHOSEN if chosen else _LINE
            for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
                picture[edge] = colour
            if (bias := self.biases[k]) is not None:
                corner = round(13 * scale)
                shade = levels(np.array(bias / self.top))
                picture[:corner, :corner] = _INK
                inside = slice(frame, corner - frame)
                picture[inside, inside] = _VIVID[shade]
            left, bottom = np.rint(np.array((x, y)) * scale - side / 2)
            renderer.draw_image(pen, left, bottom, pixel_picture(picture))
        pen.restore()


class Heading(Artist):
    """Words centred at a place of the axes, kept as a picture from frame to frame."""

    def __init__(self, fig: LiveFigure, ax: Axes, x: float, y: float) -> None:
        super().__init__()
        self.words, self.place = "", (x, y)
        ax.add_artist(self)
        fig.live(self)

    def draw(self, renderer: RendererAgg) -> None:
        if not self.words:
            return
        letters = sprite(self.words, round(style.FONT_SIZE * self.axes.figure.dpi / 72), style.INK)
        x, y = self.axes.transAxes.transform(self.place)
        left, bottom = round(x - letters.shape[1] / 2), round(y - letters.shape[0] / 2)
        pen = renderer.new_gc()
        picture = np.round(255 * letters[::-1]).astype(np.uint8)
        renderer.draw_image(pen, left, bottom, np.ascontiguousarray(picture))
        pen.restore()


@dataclass(frozen=True)
class Target:
    """What lies under the pointer.

    ``kind`` is "unit" (``index`` counts all units), "weight" (``layer``, ``unit``, ``source``),
    "units" (``layer``, ``change``) or "layers" (``change``).
    """

    kind: str
    index: int = 0
    layer: int = 0
    unit: int = 0
    source: int = 0
    change: int = 0


class View:
    """Draws the net; units are counted features first, then layer by layer, the output last."""

    def __init__(self) -> None:
        self.fig = LiveFigure(WIDTH, HEIGHT, alt="A net in training")
        self.net, self.plane, self.losses = self.fig.subplots(1, 3)
        place(
            self.fig,
            {self.net: (0, 0, 740, HEIGHT), self.plane: _PLANE, self.losses: _LOSSES},
        )
        self.net.set(xlim=(0, 740), ylim=(0, HEIGHT))
        self.net.set_axis_off()
        style.picture(self.plane).set(xlim=(-REACH, REACH), ylim=(-REACH, REACH))
        self.edges = Edges(self.fig, self.net, [])
        self.maps = UnitMaps(self.fig, self.net)
        self.map = PlaneMap(self.fig, self.plane, _PLANE_RAMP)
        (self.marked,) = self.net.plot([], [], color=style.INK, lw=3, zorder=1.5)
        self.tag = self.net.text(
            0, 0, "", zorder=5, ha="center", va="center", fontsize=14,
            bbox={"boxstyle": "round,pad=0.3", "fc": style.PAPER, "ec": style.INK},
        )  # fmt: skip
        self.tag.set_visible(False)
        axes = [self.plane.axhline(0, color=style.INK, lw=1, alpha=0.3)]
        axes.append(self.plane.axvline(0, color=style.INK, lw=1, alpha=0.3))
        self.points = [
            [
                self.plane.plot([], [], m, color=c, ms=size, mec=edge, mew=width, zorder=4)[0]
                for c, m in zip(style.CLASSES[:2], ("o", "s"), strict=True)
            ]
            for edge, size, width in ((style.PAPER, 6.5, 0.8), (style.INK, 5.5, 1.2))
        ]
        (self.cursor,) = self.plane.plot([], [], "+", color=style.INK, ms=15, mew=2, zorder=5)
        self.losses.set(xlim=(0, 50), ylim=(0, 0.8), yticks=[0, 0.5])
        self.losses.set_ylabel("loss", labelpad=8)
        self.losses.text(1, -0.52, "epoch", transform=self.losses.transAxes, ha="right")
        self.curves = [
            self.losses.plot([], [], color=c, lw=2.5, ls=d)[0]
            for c, d in ((style.TEST, "-"), (style.TRAIN, "-"))
        ]
        (self.here,) = self.losses.plot([], [], color=style.INK, lw=1.5)
        self.fig.live(
            axes, self.marked, self.tag, *self.points, self.cursor, self.curves, self.here
        )
        self.fig.live(self.plane.spines.values())
        self.title = Heading(self.fig, self.plane, 0.5, 1.05)
        self._texts: list[Any] = []
        self._handles: list[tuple[float, float, Target]] = []

    # ---- what stands still until the net is another

    def build(self, names: Sequence[str], active: Sequence[int], widths: Sequence[int]) -> None:
        """Set out the units: ``names`` of all features, which are ``active``, hidden ``widths``."""
        for words in self._texts:
            words.remove()
        self._texts, self._handles = [], []
        self.active, self.widths = list(active), list(widths)
        pitch = (_TOP - _BOTTOM) / MOST_UNITS
        middle = (_TOP + _BOTTOM) / 2

        def column(x: float, count: int) -> np.ndarray:
            rows = middle + pitch * ((count - 1) / 2 - np.arange(count))
            return np.stack([np.full(count, x), rows], axis=1)

        xs = np.linspace(_LEFT, _RIGHT, len(widths) + 2)
        features = column(_LEFT, len(names))
        layers = [column(x, n) for x, n in zip(xs[1:], [*widths, 1], strict=True)]
        self.maps.places = np.concatenate([features, *layers])
        self.maps.pale = set(range(len(names))) - set(active)
        self.first = np.cumsum([0, len(names), *widths])
        """Index of the first unit of each layer, features being layer 0."""
        self.edges.move([features[list(active)], *layers])
        for (x, y), name in zip(features, names, strict=True):
            shade = style.INK if len(self._texts) in active else style.MUTED
            self._write(x - UNIT / 2 - 8, y, name, ha="right", color=shade, fontsize=14)
        top = HEIGHT - 24
        count = f"{len(widths)} hidden layer{'s' * (len(widths) != 1)}"
        centre = (_LEFT + _RIGHT) / 2
        self._write(_LEFT + UNIT / 2, top, "features", ha="right")
        self._write(_RIGHT + UNIT / 2, top, "output", ha="right")
        self._write(centre, top, count)
        self._knob(centre - 112, top, Target("layers", change=-1), bool(widths))
        self._knob(centre + 112, top, Target("layers", change=1), len(widths) < MOST_LAYERS)
        for layer, (x, width) in enumerate(zip(xs[1:-1], widths, strict=True)):
            self._write(x, top - 40, str(width))
            self._knob(x - 27, top - 40, Target("units", layer=layer, change=-1), width > 1)
            self._knob(x + 27, top - 40, Target("units", layer=layer, change=1), width < MOST_UNITS)

    def _write(self, x: float, y: float, words: str, **how: Any) -> None:
        how = {"ha": "center", "va": "center", **how}
        self._texts.append(self.net.text(x, y, words, **how))

    def _knob(self, x: float, y: float, target: Target, usable: bool) -> None:
        shade = style.INK if usable else style.FAINT
        disc = {"boxstyle": "circle,pad=0.12", "fc": "#eef0f3", "ec": "none"}
        sign = "+" if target.change > 0 else "−"
        self._write(x, y, sign, color=shade, bbox=disc, family="DejaVu Sans Mono")
        if usable:
            self._handles.append((x, y, target))

    def at(self, x: float, y: float) -> Target | None:
        """What the net shows at CSS pixel (x, y) from its lower left corner."""
        for left, low, target in self._handles:
            if np.hypot(x - left, y - low) < 15:
                return target
        away = np.abs(self.maps.places - (x, y)).max(axis=1)
        if away.min() <= UNIT / 2 + 2:
            return Target("unit", index=int(away.argmin()))
        start, end = self.edges.segments[:, 0], self.edges.segments[:, 1]
        along = end - start
        part = np.clip(((np.array((x, y)) - start) * along).sum(1) / (along**2).sum(1), 0.0, 1.0)
        far = np.hypot(*(start + part[:, None] * along - (x, y)).T)
        if far.min() > 7:
            return None
        k = int(far.argmin())
        sizes = [len(self.active), *self.widths, 1]
        for layer, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            if k < inputs * outputs:
                unit, source = divmod(k, inputs)
                return Target("weight", layer=layer, unit=unit, source=source)
            k -= inputs * outputs
        raise AssertionError("a line belongs to a layer")

    # ---- what moves

    def show(
        self,
        maps: np.ndarray,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray],
        chosen: int,
        discrete: bool,
    ) -> None:
        """Maps (units, n, n) in -1..1; weights (out, in) and biases (out,) of each layer."""
        self.maps.colours = levels(maps, discrete)
        largest = max(float(np.abs(w).max(initial=0)) for w in weights)
        top = min(
            max(1.0, largest), 3.0
        )  # beyond it all are as wide: one giant would hide the rest
        self.maps.top = top
        self.maps.biases = [None] * int(self.first[1]) + np.concatenate(biases).tolist()
        self.maps.chosen = chosen
        self.map.values, self.map.discrete = maps[chosen], discrete
        self.edges.show(weights, top)

    def mark(self, weight: Target | None, words: str = "") -> None:
        """Draw the line of a weight dark, with ``words`` on it."""
        self.tag.set_visible(weight is not None)
        if weight is None:
            self.marked.set_data([], [])
            return
        sizes = [len(self.active), *self.widths, 1]
        before = sum(a * b for a, b in zip(sizes[: weight.layer], sizes[1:], strict=False))
        k = before + weight.unit * sizes[weight.layer] + weight.source
        line = self.edges.segments[k]
        self.marked.set_data(*line.T)
        middle = line.mean(axis=0)
        self.tag.set_position((middle[0], middle[1] + 20))
        self.tag.set_text(words)

    def show_points(self, points: Points, test: bool) -> None:
        """Points to train on with a white rim; those held out with a dark one, if wanted."""
        for artists, side in zip(self.points, (True, False), strict=True):
            x, y = points.side(side)
            for label, artist in enumerate(artists):
                chosen = x[y == label] if side or test else x[:0]
                artist.set_data(*chosen.numpy().T)

    def show_losses(
        self, curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], position: int
    ) -> None:
        """Loss by epoch for "train" and "test", and where the net is now."""
        furthest, highest = 50, 0.8
        for line, name in zip(self.curves, ("test", "train"), strict=True):
            epochs, values = curves[name]
            few = slice(None, None, 1 + len(epochs) // 400)
            line.set_data(epochs[few], values[few])
            furthest = max([furthest, *epochs[-1:]])
            highest = max([highest, *values[few]])
        # Doubled when needed, so that the still part is seldom drawn anew.
        right = 50 * 2 ** int(np.ceil(np.log2(max(furthest, position) / 50)))
        top = 0.8 * 2 ** int(np.ceil(np.log2(highest / 0.8)))
        if self.losses.get_xlim()[1] != right:
            self.losses.set(xlim=(0, right), xticks=[0, right // 2, right])
        if self.losses.get_ylim()[1] != top:
            self.losses.set(ylim=(0, top), yticks=[0, 0.5 if top == 0.8 else top / 2])
        self.here.set_data([position, position], [0, top])
