"""How the panels of 03_backprop draw a computation graph: nodes, edges, values, gradients."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import LineCollection, PolyCollection

from .. import style
from ..draw import place, sprite
from ..live import LiveFigure

WIDTH, HEIGHT = 820, 400
BOX = (66, 78)
"""Width and height of a node, in CSS pixels, as all lengths here."""
ROWS = {"top": 338, "middle": 196, "bottom": 54}
PAIR = (246, 142)
"""Rows of two steps in one column."""
DEEPEST = 8
"""Steps one after another that there is room for."""
LINE, SMALL = "#8c959f", "#57606a"
"""Rims of boxes, and small print."""
CURRENT, KNOWN, EMPTY = "#fdebcf", "#eef4ff", style.PAPER
"""Boxes: at work, with a value, without."""
FORWARD, BACKWARD = "#b9cff8", "#f3a9b0"
"""Edges that a value, and that a gradient, has gone along."""
FAR = 150
"""An edge that is longer runs along its row and enters its box from above or below."""


@dataclass
class Node:
    """One node of a drawn graph; ``value`` and ``grad`` are None until they are known."""

    name: str
    op: str = ""
    inputs: Sequence[int] = ()
    value: float | None = None
    grad: float | None = None
    local: Sequence[float] = field(default_factory=list)
    constant: bool = False


def short(value: float) -> str:
    """A number in about three digits, with a true minus sign."""
    size = abs(value)
    words = f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"
    if size >= 9999.5:
        words = f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    elif "." in words:
        words = words.rstrip("0").rstrip(".")
    return "0" if words in ("-0", "0") else words.replace("-", "−")


def times(slope: float, grad: float) -> str:
    """1.5 × (−2)."""
    return f"{short(slope)} × " + (f"({short(grad)})" if grad < 0 else short(grad))


def formula(op: str, names: Sequence[str]) -> str:
    """What a step computes, in words: w1·x, a + b1, relu(z), e²."""
    if op == "×":
        return "·".join(names)
    if op in ("+", "−", "÷") and len(names) == 2:
        return f" {op} ".join(names)
    if op.startswith(("²", "^")):
        return names[0] + op
    return f"{op}({', '.join(names)})"


@functools.lru_cache(maxsize=4096)
def _letters(text: str, pixels: int, colour: str, bold: bool, opaque: bool) -> np.ndarray:
    """A text as pixels for Agg, (H, W, 4) uint8, last row first."""
    letters = sprite(text, pixels, colour, bold)
    if opaque:  # on a piece of paper, so that a line behind does not cross it out
        alpha = letters[..., 3:]
        sheet = np.ones((letters.shape[0] + 4, letters.shape[1] + 6, 4))
        sheet[2:-2, 3:-3, :3] += alpha * (letters[..., :3] - 1)
        letters = sheet
    return np.ascontiguousarray((255 * letters[::-1]).round().astype(np.uint8))


class Words(Artist):
    """Many short texts, each (x, y, text, colour, size, bold, opaque), centred at (x, y)."""

    def __init__(self, ax: Axes) -> None:
        super().__init__()
        self.texts: list[tuple[float, float, str, str, float, bool, bool]] = []
        ax.add_artist(self)
        self.set_zorder(6)

    def draw(self, renderer: RendererAgg) -> None:
        scale = self.axes.figure.dpi / 72
        pen = renderer.new_gc()
        for x, y, text, colour, size, bold, opaque in self.texts:
            picture = _letters(text, round(size * scale), colour, bold, opaque)
            px, py = self.axes.transData.transform((x, y))
            height, width = picture.shape[:2]
            renderer.draw_image(pen, round(px - width / 2), round(py - height / 2), picture)
        pen.restore()


def arrange(nodes: Sequence[Node]) -> np.ndarray:
    """Where to draw each node, (N, 2) centres: steps by depth to the right, leaves beside them."""
    users: list[list[int]] = [[] for _ in nodes]
    for k, node in enumerate(nodes):
        for i in node.inputs:
            users[i].append(k)
    depth = [0] * len(nodes)
    for k, node in enumerate(nodes):
        if node.inputs:
            depth[k] = 1 + max(depth[i] for i in node.inputs)
    for k, node in enumerate(nodes):
        if not node.inputs and users[k]:
            depth[k] = min(depth[u] for u in users[k]) - 1
    columns = max(depth) + 1
    if columns - 1 > DEEPEST:
        raise ValueError(
            f"the formula is {columns - 1} steps deep; the picture has room for {DEEPEST}. "
            "The engine itself has no such limit."
        )
    pitch = (WIDTH - BOX[0] - 12) / max(columns - 1, 1)
    places = np.zeros((len(nodes), 2))
    for column in range(columns):
        x = 6 + BOX[0] / 2 + pitch * column
        steps = [k for k, n in enumerate(nodes) if n.inputs and depth[k] == column]
        leaves = [k for k, n in enumerate(nodes) if not n.inputs and depth[k] == column]
        # One that is used twice goes on top, where its long edge has room.
        leaves.sort(key=lambda k: (-len(users[k]), nodes[k].constant, k))
        if not steps and len(leaves) > 1 or steps and leaves and len(users[leaves[0]]) > 1:
            rows = [ROWS["top"], ROWS["bottom"]]
        else:
            rows = [ROWS["bottom"] if steps or leaves else 0, ROWS["top"]]
        if len(leaves) > 2:
            rows = list(np.linspace(ROWS["top"], ROWS["bottom"], len(leaves)))
        if len(nodes) <= 3 and leaves:  # a graph of one step
            rows = [ROWS["middle"]] if len(leaves) == 1 else rows
        for k, y in zip(leaves, rows, strict=False):
            places[k] = x, y
        if len(steps) > len(PAIR):
            raise ValueError(
                f"{len(steps)} steps of the formula stand side by side; the picture has room for "
                f"{len(PAIR)}. The engine itself has no such limit."
            )
        for k, y in zip(steps, [ROWS["middle"]] if len(steps) == 1 else PAIR, strict=False):
            places[k] = x, y
    return places


def _curve(start: np.ndarray, end: np.ndarray, bend: float) -> np.ndarray:
    """An edge between two boxes, (24, 2): straight to a neighbour, along its row if it goes far.

    ``bend`` moves the middle of a straight one aside, in pixels.
    """
    half = np.array(BOX) / 2
    far = end[0] - start[0] > FAR and abs(end[1] - start[1]) > 1
    if far:
        first = start + [half[0], 0]
        last = end + [0, np.sign(start[1] - end[1]) * (half[1] + 26)]
        control = np.array([last[0], first[1]])
    else:
        first = start + [half[0], 0]
        last = end - [half[0], 0]
        if abs(end[1] - start[1]) > 1:
            last = last + [0, np.sign(start[1] - end[1]) * 22]
        control = (first + last) / 2 + [0, 2 * bend]
    t = np.linspace(0, 1, 24)[:, None]
    return (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last


class GraphView:
    """Boxes and arrows of one graph; ``show`` fills in what is known at a step."""

    def __init__(self, fig: LiveFigure) -> None:
        self.ax = fig.add_subplot()
        place(fig, {self.ax: (0, 0, WIDTH, HEIGHT)})
        self.ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        self.ax.set_axis_off()
        self.edges = LineCollection([], zorder=1, capstyle="round")
        self.heads = PolyCollection([], zorder=2)
        self.boxes = PolyCollection([], zorder=4)
        for artist in (self.edges, self.heads, self.boxes):
            self.ax.add_collection(artist, autolim=False)
        self.words = Words(self.ax)
        fig.live(self.edges, self.heads, self.boxes, self.words)
        self.shape: Any = None

    def _arrange(self, nodes: Sequence[Node]) -> None:
        shape = [(n.op, tuple(n.inputs)) for n in nodes]
        if shape == self.shape:
            return
        self.shape, self.places = shape, arrange(nodes)
        self.links = [(i, k, j) for k, n in enumerate(nodes) for j, i in enumerate(n.inputs)]
        curves = []
        for i, k, j in self.links:
            twins = nodes[k].inputs.count(i)
            bend = 24 * (1 - 2 * j) if twins > 1 else 0
            curves.append(_curve(self.places[i], self.places[k], bend))
        self.curves = curves
        self.edges.set_segments(curves)
        heads = []
        for curve in curves:
            along = curve[-1] - curve[-4]
            along = along / np.hypot(*along)
            aside = np.array([-along[1], along[0]])
            heads.append([curve[-1], *(curve[-1] - 13 * along + s * 6 * aside for s in (1, -1))])
        self.heads.set_verts(heads)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array(BOX) / 2
        self.boxes.set_verts([corners + centre for centre in self.places])

    def show(
        self, nodes: Sequence[Node], current: int | None, back: bool, passed: set[int]
    ) -> None:
        """``current`` is the node at work, ``passed`` those that have sent their gradient back."""
        self._arrange(nodes)
        active = style.GRADIENT if back else style.ACTIVATION
        used = [sum(i == k for i, _, _ in self.links) for k in range(len(nodes))]
        colours, widths = [], []
        self.words.texts = texts = []
        for k, (i, target, j) in enumerate(self.links):
            here = target == current
            known = FORWARD if nodes[target].value is not None else style.FAINT
            colours.append(active if here else BACKWARD if target in passed else known)
            widths.append(5 if here else 3)
            if target in passed:
                slope, grad = nodes[target].local[j], nodes[target].grad or 0.0
                self._label_edge(self.curves[k], slope, grad, here, used[i] > 1)
        self.edges.set_color(colours)
        self.edges.set_linewidths(widths)
        self.heads.set_color(colours)
        at_work = [k == current for k in range(len(nodes))]
        faces = [EMPTY if n.value is None else KNOWN for n in nodes]
        self.boxes.set_facecolor([CURRENT if w else f for w, f in zip(at_work, faces, strict=True)])
        self.boxes.set_linewidths([4.0 if w else 2.0 for w in at_work])
        self.boxes.set_edgecolor([active if w else LINE for w in at_work])
        for node, (x, y) in zip(nodes, self.places, strict=True):
            texts.append((x, y + 24, node.name, style.INK, 14, True, False))
            if node.inputs:
                words = formula(node.op, [nodes[i].name for i in node.inputs])
                texts.append((x, y + BOX[1] / 2 + 14, words, SMALL, 13, False, True))
            if node.value is not None:
                texts.append((x, y - 1, short(node.value), style.ACTIVATION, 14, True, False))
            if node.grad is not None and not node.constant:
                texts.append((x, y - 25, short(node.grad), style.GRADIENT, 14, True, False))

    def _label_edge(
        self, curve: np.ndarray, slope: float, grad: float, here: bool, fans_out: bool
    ) -> None:
        """The local derivative of an edge; beside a value that fans out, what came back to it."""
        words = short(slope)
        ink, size = style.INK if here else SMALL, 14
        bend = curve[11, 1] - curve[0, 1]
        share, near = slope * grad, curve[5]  # on a long edge
        if abs(curve[0, 1] - curve[-1, 1]) < 1:  # level: above it, or below if it bends down
            middle = curve[11] + [0, -22 if bend < -1 else 22 if bend > 1 else 18]
            near = curve[6] - [0, 18]
            size = 12 if len(words) > 3 and not bend else 14  # little room between two boxes
        else:
            middle = curve[11]
            if curve[-1, 0] - curve[0, 0] < FAR:
                near = curve[5] + [32, 6]
        self.words.texts.append((*middle, words, ink, size, here, True))
        if fans_out:
            sign = "+" if share >= 0 else "−"
            added = f"{sign}{short(abs(share))}"
            self.words.texts.append((*near, added, style.GRADIENT, 14, True, True))
