"""A Matplotlib figure that follows a slider.

The still part of the figure is drawn once and kept. A change restores it, draws only the *live*
artists over it (blitting), compares with the last frame, and sends the pixels that differ. They
travel as runs of equal colour, which a page unpacks in a millisecond; a PNG takes a browser
longer to decode than the kernel takes to answer. The canvas keeps its picture while it changes,
so it is never empty and never of another size.
"""

import base64
import io
import re
import threading
from collections.abc import Callable, Iterable
from html import unescape
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import matplotlib as mpl
import numpy as np
import traitlets
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from . import style

STATIC = Path(__file__).parent / "static"
DPI = 96
GROUP = 4
"""Droppable frames to one answer of the page: each answer makes JupyterLab show a busy kernel."""
_RENDER = threading.RLock()  # Matplotlib shares font and mathtext state between figures
# Artists take their style when they are made, by the reader's own ax.plot: set it for all.
mpl.rcParams.update(style.RC)


def pack(old: np.ndarray | None, new: np.ndarray) -> tuple[dict[str, int], list[bytes]]:
    """The change from frame ``old`` to ``new``, both (H, W, 4) uint8: where it is, and its pixels.

    The smallest rectangle that holds every change is cut out and unchanged pixels in it are set
    to 0 (no opaque pixel is). Rows equal to the one above are dropped, the others cut into runs
    of equal value. Buffers, all little-endian uint32: how often each row stands, the length of
    each run, the value of each run. No lengths: every value is one pixel.
    """
    pixels = new.view("<u4")[..., 0]
    height, width = pixels.shape
    place = {"width": width, "height": height}
    if old is None or old.shape != new.shape:
        top, bottom, left, right = 0, height, 0, width
        part = pixels
    else:
        before = old.view("<u4")[..., 0]
        differs = pixels != before
        rows = np.flatnonzero(differs.any(axis=1))
        if not rows.size:
            return place, []
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(differs[top:bottom].any(axis=0))
        left, right = int(columns[0]), int(columns[-1]) + 1
        part = np.where(differs, pixels, np.uint32(0))[top:bottom, left:right]
    fresh = np.ones(len(part), bool)
    fresh[1:] = (part[1:] != part[:-1]).any(axis=1)
    starts = np.flatnonzero(fresh)
    repeats = np.diff(starts, append=len(part)).astype("<u4")
    flat = part[starts].ravel()
    cuts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.concatenate([[0], cuts])
    if 2 * len(runs) < len(flat):
        lengths, values = np.diff(runs, append=len(flat)).astype("<u4"), flat[runs]
    else:
        lengths, values = np.empty(0, "<u4"), flat
    place |= {"x": left, "y": top, "columns": right - left}
    return place, [repeats.tobytes(), lengths.tobytes(), values.astype("<u4").tobytes()]


def answer_beside_cells(widget: widgets.Widget) -> None:
    """Let a widget and those in it answer the page while a cell is running.

    JupyterLab sends widget messages to a kernel thread of their own. ipykernel 7 hands them to
    the thread that last wrote to the widget, and that of the cells is busy until the cell ends.
    """
    if widget.comm is not None:
        widget.comm._reply_subshell_for = lambda data, asked: asked
    for child in getattr(widget, "children", ()):
        answer_beside_cells(child)


class LiveFigure(anywidget.AnyWidget):
    """A figure of ``width`` x ``height`` CSS pixels whose live artists move at slider speed.

    >>> fig = LiveFigure(600, 300)
    >>> ax = fig.add_subplot()
    >>> (line,) = fig.live(*ax.plot([0, 1], [0, 1]))
    >>> line.set_ydata([0, 2]); fig.refresh()

    Anything may change between two refreshes: if only live artists did, the frame costs a few
    milliseconds; if the still part did (limits, titles, new artists), it is redrawn by itself.

    Pointer events arrive in data coordinates through ``on_press``, ``on_drag`` and ``on_ink``.
    ``lock`` is held during each refresh; hold it to change artists from another thread.
    """

    _esm = STATIC / "live.js"
    _css = STATIC / "live.css"
    _size = traitlets.Tuple(traitlets.Int(), traitlets.Int()).tag(sync=True)
    _first = traitlets.Dict().tag(sync=True)
    _ink = traitlets.List().tag(sync=True)
    _hot = traitlets.List().tag(sync=True)

    def __init__(self, width: int = 860, height: int = 420, alt: str = "") -> None:
        self.lock = threading.RLock()
        self._live: list[Artist] = []
        self._background = None
        self._last: np.ndarray | None = None
        self._settled = False  # the layout is fixed
        self._ratio = 1.0
        self._connected = False
        self._owed = False  # the page has been asked for an answer and has not given it
        self._since = GROUP  # droppable frames sent since it was asked
        self._handlers: list[tuple[str, Axes, Callable[..., Any]]] = []
        self._grabbed: tuple[str, Axes, Callable[..., Any]] | None = None
        self.figure = Figure(figsize=(width / DPI, height / DPI), layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        self.report: Callable[[Exception], None] | None = None  # shows what a handler raised
        super().__init__(_size=(width, height))
        answer_beside_cells(self)
        self.say("", alt)
        self._set_dpi()
        self.on_msg(self._receive)

    # ---- drawing

    def subplots(self, *args: Any, **kwargs: Any) -> Any:
        """``Figure.subplots``."""
        return self.figure.subplots(*args, **kwargs)

    def add_subplot(self, *args: Any, **kwargs: Any) -> Axes:
        """``Figure.add_subplot``."""
        return self.figure.add_subplot(*args, **kwargs)

    def mosaic(self, layout: Any, **kwargs: Any) -> dict[Any, Axes]:
        """``Figure.subplot_mosaic``."""
        return self.figure.subplot_mosaic(layout, **kwargs)

    def live(self, *artists: Artist | Iterable[Artist]) -> list[Artist]:
        """Mark artists (or lists of them) as moving; returns them flat, in the order given."""
        flat: list[Artist] = []
        for artist in artists:
            flat.extend([artist] if isinstance(artist, Artist) else list(artist))
        for artist in flat:
            artist.set_animated(True)
        self._live.extend(flat)
        # Stable sort: among equals the order of creation decides, as in Matplotlib itself.
        self._live.sort(key=lambda a: ((a.axes.zorder if a.axes else 0), a.zorder))
        return flat

    def render(self) -> np.ndarray:
        """Draw now; the (H, W, 4) uint8 pixels (a view: copy it to keep it)."""
        with self.lock, _RENDER:
            if self.figure.stale or self._background is None:
                self._draw_still()
            else:
                self.canvas.restore_region(self._background)
            renderer = self.canvas.get_renderer()
            self._live = [artist for artist in self._live if artist.figure is not None]  # removed
            for artist in self._live:
                artist.draw(renderer)
            return np.asarray(self.canvas.buffer_rgba())

    def _draw_still(self) -> None:
        self._background = None
        if not self._settled:
            # Fixed from here on: a longer tick label must not move the axes.
            if (engine := self.figure.get_layout_engine()) is not None:
                engine.execute(self.figure)
            self.figure.set_layout_engine("none")
            self._settled = True
        self.canvas.draw()
        self._background = self.canvas.copy_from_bbox(self.figure.bbox)
        self._set_hot()

    def _settle(self) -> None:
        if not self._settled:
            self.render()

    def refresh(self, *, droppable: bool = False) -> bool:
        """Draw and show the present state. False if the frame was dropped.

        A ``droppable`` frame (of a running training, say) is not drawn while the page still owes
        an answer for the last group: a slow page skips frames instead of playing old ones.
        """
        with self.lock:
            if droppable and self._connected and self._owed and self._since >= GROUP:
                return False
            if self.comm is None:  # closed, or no notebook at all
                return False
            pixels = self.render()
            if not self._connected:
                # The page may be busy building the view: only a trait is sure to reach it.
                self._show_first(pixels)
                return True
            ask = droppable and not self._owed and self._since >= GROUP
            if droppable:
                self._owed, self._since = self._owed or ask, 1 if ask else self._since + 1
            self._send_frame(pixels, ask)
            return True

    def say(self, caption: str, alt: str = "") -> None:
        """Set the HTML line under the next frame, and its text alternative."""
        self.caption = caption
        self.alt = unescape(re.sub(r"<[^>]+>", "", f"{alt} {caption}")).strip()

    def png(self) -> bytes:
        """The present picture as PNG."""
        with self.lock:
            picture = Image.fromarray(self._picture())
        file = io.BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    def tell(self) -> None:
        """Show what ``say`` set over the picture as it is, for when the artists can't be drawn."""
        with self.lock:
            if self._connected:
                height, width = self._blank_or_last().shape[:2]
                place = {"width": width, "height": height}
                self.send({"type": "frame", "answer": False, **self._words(), **place}, [])
            else:
                self._show_first(self._blank_or_last())

    def _blank_or_last(self) -> np.ndarray:
        if self._last is not None:
            return self._last
        width, height = self.canvas.get_width_height()
        return np.full((height, width, 4), 255, np.uint8)

    def _picture(self) -> np.ndarray:
        """The present picture for a new view; the last good one, with a report, if it fails."""
        try:
            return self.render()
        except Exception as error:
            if self.report is None:
                raise
            self.report(error)
            return self._blank_or_last()

    def _show_first(self, pixels: np.ndarray) -> None:
        self._last = pixels.copy()
        place, buffers = pack(None, pixels)
        self._first = {**self._words(), **place, "buffers": buffers}

    def _words(self) -> dict[str, str]:
        return {"alt": self.alt, "caption": self.caption}

    def _send_frame(self, pixels: np.ndarray, answer: bool = False) -> None:
        place, buffers = pack(self._last, pixels)
        if buffers:
            self._last = pixels.copy()
        message = {"type": "frame", "answer": answer, **self._words(), **place}
        self.send(message, buffers)

    def _set_dpi(self) -> None:
        # style.RC counts in CSS pixels, Matplotlib in points of 1/72 inch.
        self.figure.set_dpi(DPI * self._ratio)
        self._background = self._last = None

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        self.prepare()
        return with_still(super()._repr_mimebundle_(**kwargs), self)

    def prepare(self) -> None:
        """Give the page a picture to start from: called before the figure is displayed."""
        with self.lock:
            self._show_first(self._picture())

    # ---- pointer

    def on_press(self, ax: Axes, handler: Callable[[float, float], Any]) -> None:
        """Call ``handler(x, y)`` when the pointer goes down inside ``ax`` (data coordinates)."""
        self._listen("press", ax, handler)

    def on_drag(self, ax: Axes, handler: Callable[[float, float, str], Any]) -> None:
        """Call ``handler(x, y, phase)`` with phase "start", "move" or "end".

        Between two calls only the newest position is kept, so a slow handler never lags behind.
        """
        self._listen("drag", ax, handler)

    def on_hover(self, ax: Axes, handler: Callable[[float | None, float | None], Any]) -> None:
        """Call ``handler(x, y)`` as the pointer moves over ``ax``, with None once it left."""
        self._listen("hover", ax, handler)

    def on_ink(
        self, ax: Axes, handler: Callable[[np.ndarray, bool], Any], width: float, colour: str
    ) -> None:
        """Let the user draw in ``ax``: ``handler(points, new)`` gets each batch as it is drawn.

        ``points`` is (k, 2) in data coordinates, ``new`` says that a stroke begins. The page
        draws a line of ``width`` CSS pixels under the pointer at once and drops it when the
        frame that holds those points arrives: the handler must draw them.
        """
        self._listen("ink", ax, handler)
        self._ink = [{"axes": self._index(ax), "width": width, "colour": colour}]

    def _index(self, ax: Axes) -> int:
        return self.figure.axes.index(ax)

    def _listen(self, kind: str, ax: Axes, handler: Callable[..., Any]) -> None:
        self._handlers.append((kind, ax, handler))
        if self._settled:
            self._set_hot()

    def _set_hot(self) -> None:
        """Tell the page which rectangles listen: cursor shape, and no message for the rest."""
        width, height = self._size
        hot = []
        for kind, ax, _ in self._handlers:
            box = ax.get_window_extent().transformed(self.figure.transFigure.inverted())
            hot.append(
                {
                    "kind": kind,
                    "axes": self._index(ax),
                    "left": box.x0 * width,
                    "right": box.x1 * width,
                    "top": (1 - box.y1) * height,
                    "bottom": (1 - box.y0) * height,
                }
            )
        self._hot = hot

    def _data(self, ax: Axes, x: float, y: float) -> tuple[float, float]:
        """CSS pixels from the top left -> data coordinates of ``ax``."""
        self._settle()
        pixel = (x * self._ratio, (self._size[1] - y) * self._ratio)
        dx, dy = ax.transData.inverted().transform(pixel)
        return float(dx), float(dy)

    def _receive(self, _: Any, message: dict[str, Any], buffers: list[Any]) -> None:
        kind = message.get("type")
        if kind == "hello":
            with self.lock:
                self._connected, self._owed, self._since = True, False, GROUP
                ratio = min(max(float(message["ratio"]), 1.0), 2.0)
                if ratio != self._ratio:
                    self._ratio = ratio
                    self._set_dpi()
                picture = self._picture()
                self._last = None  # a new view starts from nothing
                self._send_frame(picture)
        elif kind == "drawn":
            self._owed = False
        elif kind == "pointer":
            try:
                self.pointer(
                    message["event"], message["axes"], np.asarray(message["points"], float)
                )
            finally:
                self.send({"type": "handled"})

    def pointer(self, event: str, axes: int, points: np.ndarray) -> None:
        """Deliver a pointer event as the page does; tests call it in place of a mouse.

        ``event`` is press, drag-start, drag-move, drag-end, hover, leave, ink-start or ink-move;
        ``axes`` the index of the axes; ``points`` (k, 2) in CSS pixels from the top left.
        """
        kind, _, phase = event.partition("-")
        ax = self.figure.axes[axes]
        for listens, where, handler in list(self._handlers):
            if where is not ax or listens != ("hover" if kind == "leave" else kind):
                continue
            data = np.array([self._data(ax, x, y) for x, y in points]).reshape(-1, 2)
            arguments = {
                "press": lambda data=data: tuple(data[-1].tolist()),
                "hover": lambda data=data: tuple(data[-1].tolist()),
                "leave": lambda: (None, None),
                "drag": lambda data=data: (*data[-1].tolist(), phase),
                "ink": lambda data=data: (data, phase == "start"),
            }[kind]()
            try:
                handler(*arguments)
            except Exception as error:
                if self.report is None:
                    raise
                self.report(error)

    def to_page(self, ax: Axes, x: float, y: float) -> tuple[float, float]:
        """Data coordinates -> CSS pixels from the top left of the figure."""
        self._settle()
        px, py = ax.transData.transform((x, y))
        return float(px / self._ratio), float(self._size[1] - py / self._ratio)


def with_still(bundle: Any, figure: LiveFigure) -> Any:
    """Add a still ``image/png`` to a widget's display bundle, for pages without a kernel."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    if data is None:
        return bundle
    return {**data, "image/png": base64.b64encode(figure.png()).decode()}, metadata or {}
