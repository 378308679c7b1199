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
BOX = (72, 78)
"""Width and height of a node, in CSS pixels, as all lengths here."""
ROWS = {"top": 318, "middle": 196, "bottom": 62}
CURRENT, KNOWN, EMPTY = "#fdebcf", "#eef4ff", style.PAPER


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
    """A number in at most two decimals and few letters, with a true minus sign."""
    words = f"{value:.2f}" if abs(value) < 100 else f"{value:.3g}"
    if "." in words and "e" not in words:
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
        middle = [ROWS["middle"]] if len(steps) == 1 else np.linspace(240, 150, len(steps) or 1)
        for k, y in zip(steps, middle, strict=False):
            places[k] = x, y
    return places


def _curve(start: np.ndarray, end: np.ndarray, bend: float) -> np.ndarray:
    """An edge between two boxes, (24, 2): straight to a neighbour, along its row if it goes far.

    ``bend`` moves the middle of a straight one aside, in pixels.
    """
    half = np.array(BOX) / 2
    far = end[0] - start[0] > 150 and abs(end[1] - start[1]) > 1
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
        used = [sum(i == k for i, _, _ in self.links) for k in range(len(nodes))]
        colours, widths, texts = [], [], []
        for k, (i, target, j) in enumerate(self.links):
            node = nodes[target]
            here = target == current
            colour = style.FAINT
            if target in passed:
                colour = "#f3a9b0"
            elif node.value is not None:
                colour = "#b9cff8"
            if here:
                colour = style.GRADIENT if back else style.ACTIVATION
            colours.append(colour)
            widths.append(5 if here else 3)
            if target in passed:
                # Those beside a straight edge keep clear of it, those on a long one sit on it.
                curve = self.curves[k]
                level = abs(curve[0, 1] - curve[-1, 1]) < 1
                x, y = curve[11] + ([0, 18 + 4 * (curve[11, 1] - curve[0, 1] > 1)] if level else 0)
                if level and curve[11, 1] < curve[0, 1] - 1:
                    y -= 40
                ink = style.INK if here else "#57606a"
                texts.append((x, y, short(node.local[j]), ink, 14, here, True))
                if used[i] > 1 and nodes[i].grad is not None:
                    near = curve[5] + [32, 6]
                    if level:  # two edges from one box to another
                        near = curve[6] - [0, 18]
                    elif curve[-1, 0] - curve[0, 0] > 150:
                        near = curve[5]
                    share = node.local[j] * (node.grad or 0.0)
                    sign = "+" if share >= 0 else "−"
                    words = f"{sign}{short(abs(share))}"
                    texts.append((*near, words, style.GRADIENT, 14, True, True))
        self.edges.set_color(colours)
        self.edges.set_linewidths(widths)
        self.heads.set_color(colours)
        faces = [EMPTY if n.value is None else KNOWN for n in nodes]
        if current is not None:
            faces[current] = CURRENT
        self.boxes.set_facecolor(faces)
        lines = [2.0] * len(nodes)
        rims = ["#8c959f"] * len(nodes)
        if current is not None:
            lines[current], rims[current] = 4, style.GRADIENT if back else style.ACTIVATION
        self.boxes.set_linewidths(lines)
        self.boxes.set_edgecolor(rims)
        for node, (x, y) in zip(nodes, self.places, strict=True):
            texts.append((x, y + 24, node.name, style.INK, 14, True, False))
            if node.inputs:
                words = formula(node.op, [nodes[i].name for i in node.inputs])
                texts.append((x, y + BOX[1] / 2 + 14, words, "#57606a", 13, False, True))
            if node.value is not None:
                texts.append((x, y - 1, short(node.value), style.ACTIVATION, 15, True, False))
            if node.grad is not None and not node.constant:
                texts.append((x, y - 25, short(node.grad), style.GRADIENT, 15, True, False))
        self.words.texts = texts
