"""One look for all notebooks: a colour per concept, two colour maps, text for the last row.

The cycle is petroff6 (Petroff 2021, arXiv:2107.02270), chosen for colour-blind readers; lines
that must be told apart also differ in marker or dash.
"""

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

BLUE, ORANGE, RED, PURPLE, GREY, VIOLET = (
    "#5790fc",
    "#f89c20",
    "#e42536",
    "#964a8b",
    "#9c9ca1",
    "#7a21dd",
)
INK, PAPER, FAINT = "#1f2328", "#ffffff", "#d8dbe0"

DATA = INK
WEIGHT = VIOLET
ACTIVATION = BLUE
GRADIENT = RED
LOSS = RED
PREDICTION = ORANGE
MUTED = GREY
TRAIN, TEST = BLUE, ORANGE
RIGHT, WRONG = BLUE, RED
CLASSES = (ORANGE, BLUE, PURPLE, RED, VIOLET, GREY)
"""Colour of class 0, 1, ...: drawn with the marker of the same index in ``MARKERS``."""
MARKERS = ("o", "s", "^", "D", "v", "P")
NETS = {
    "RNN": (PURPLE, "o", "--"),
    "LSTM": (BLUE, "s", "-"),
    "LSTM, forget bias 0": (GREY, "^", ":"),
    "attention": (ORANGE, "D", "-."),
}
"""Colour, marker and dash of each kind of net that reads sequences."""

SIGNED = LinearSegmentedColormap.from_list(
    "lecture_signed", ["#b35c00", ORANGE, "#fdf3e3", PAPER, "#e8f0ff", BLUE, "#1b4fb5"]
)
"""Diverging map for signed values: orange below zero, white at zero, blue above."""
REGIONS = LinearSegmentedColormap.from_list("lecture_regions", ["#fbd9a8", PAPER, "#c3d8fe"])
"""A pale version of ``SIGNED`` for decision maps, so that points on it stay readable."""
SEQUENTIAL = mpl.colormaps["cividis"]
IMAGE = mpl.colormaps["gray_r"]
"""Digits as dark ink on white paper."""

FONT_SIZE = 16
RC = {
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE - 2,
    "ytick.labelsize": FONT_SIZE - 2,
    "legend.fontsize": FONT_SIZE - 2,
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "axes.prop_cycle": mpl.cycler(color=[BLUE, ORANGE, RED, PURPLE, GREY, VIOLET]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#57606a",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 3,
    "lines.markersize": 10,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}
"""Matplotlib settings of every figure. At 96 dots an inch 16 pt are 21 CSS pixels."""


def picture(axes: Axes, title: str = "") -> Axes:
    """Make ``axes`` a frame for an image: no ticks, a thin line all round."""
    axes.set(title=title, xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=FAINT, linewidth=1.5)
    return axes


def contrast(value: float, vmin: float, vmax: float) -> str:
    """Ink or paper: the colour of a number written on a dark-is-high cell of ``value``."""
    return PAPER if value > vmin + 0.55 * (vmax - vmin) else INK
