"""A Matplotlib figure that follows a slider.

The still part of the figure is drawn once and kept. A change restores it, draws only the *live*
artists over it (blitting), compares with the last frame, and sends the rectangle that differs as
one PNG to a canvas in the page. The canvas keeps its old picture until the new one is decoded,
so it is never empty and never changes size.
"""

import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anywidget
import matplotlib as mpl
import numpy as np
import traitlets
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import style

STATIC = Path(__file__).parent / "static"
DPI = 96
_RENDER = threading.RLock()  # Matplotlib shares font and mathtext state between figures


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG bytes of an (H, W, 4) uint8 array.

    No row filters and the fastest deflate: on the flat colours of a plot this takes a third of
    the time of a general-purpose encoder and gives files of about the same size.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 4 * width), np.uint8)  # leading 0 of each row: filter "none"
    rows[:, 1:] = pixels.reshape(height, -1)

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )


def changed_box(old: np.ndarray, new: np.ndarray) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) of the smallest rectangle holding every differing pixel."""
    differs = old.view(np.uint32)[..., 0] != new.view(np.uint32)[..., 0]
    rows = np.flatnonzero(differs.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


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
    _frame = traitlets.Bytes(b"").tag(sync=True, from_json=lambda v, w: bytes(v))
    _ink = traitlets.List().tag(sync=True)
    _hot = traitlets.List().tag(sync=True)
    _alt = traitlets.Unicode("").tag(sync=True)

    def __init__(self, width: int = 860, height: int = 420, alt: str = "") -> None:
        self.lock = threading.RLock()
        self._live: list[Artist] = []
        self._background = None
        self._last: np.ndarray | None = None
        self._ratio = 1.0
        self._connected = False
        self._unseen = 0  # frames sent with a request to answer, not yet answered
        self._handlers: list[tuple[str, Axes, Callable[..., Any]]] = []
        self._grabbed: tuple[str, Axes, Callable[..., Any]] | None = None
        with mpl.rc_context(style.RC):
            self.figure = Figure(figsize=(width / DPI, height / DPI), layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        self.report: Callable[[Exception], None] | None = None  # shows what a handler raised
        super().__init__(_size=(width, height))
        self.describe(alt)
        self._set_dpi()
        self.on_msg(self._receive)

    # ---- drawing

    def subplots(self, *args: Any, **kwargs: Any) -> Any:
        """``Figure.subplots`` in the style of the lecture."""
        with mpl.rc_context(style.RC):
            return self.figure.subplots(*args, **kwargs)

    def add_subplot(self, *args: Any, **kwargs: Any) -> Axes:
        """``Figure.add_subplot`` in the style of the lecture."""
        with mpl.rc_context(style.RC):
            return self.figure.add_subplot(*args, **kwargs)

    def mosaic(self, layout: Any, **kwargs: Any) -> dict[Any, Axes]:
        """``Figure.subplot_mosaic`` in the style of the lecture."""
        with mpl.rc_context(style.RC):
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
        with self.lock, _RENDER, mpl.rc_context(style.RC):
            if self.figure.stale or self._background is None:
                self.canvas.draw()
                if self.figure.get_layout_engine() is not None:
                    # Fixed from here on: a longer tick label must not move the axes.
                    self.figure.set_layout_engine("none")
                    self.canvas.draw()
                self._background = self.canvas.copy_from_bbox(self.figure.bbox)
            else:
                self.canvas.restore_region(self._background)
            renderer = self.canvas.get_renderer()
            for artist in self._live:
                artist.draw(renderer)
            return np.asarray(self.canvas.buffer_rgba())

    def refresh(self, *, droppable: bool = False) -> bool:
        """Draw and show the present state. False if the frame was dropped.

        A ``droppable`` frame (of a running training, say) is not drawn while the page still owes
        an answer for the last two: a slow page skips frames instead of playing old ones.
        """
        with self.lock:
            if droppable and self._connected and self._unseen >= 2:
                return False
            if self.comm is None:  # closed, or no notebook at all
                return False
            pixels = self.render()
            if not self._connected:
                # The page may be busy building the view: only a trait is sure to reach it.
                self._frame = encode_png(pixels)
                return True
            self._send(pixels, self._last, droppable)
            return True

    def describe(self, alt: str) -> None:
        """Set the text alternative of the next frame (HTML tags are dropped)."""
        self.alt = re.sub(r"<[^>]+>", "", alt).strip()
        if not self._connected:
            self._alt = self.alt

    def png(self) -> bytes:
        """The present picture as PNG."""
        return encode_png(self.render())

    def _send(self, pixels: np.ndarray, last: np.ndarray | None, answer: bool = False) -> None:
        height, width, _ = pixels.shape
        if last is None or last.shape != pixels.shape:
            box: tuple[int, int, int, int] | None = (0, height, 0, width)
        else:
            box = changed_box(last, pixels)
        message = {"type": "frame", "width": width, "height": height, "x": 0, "y": 0}
        message["alt"] = self.alt
        buffers = []
        if box is not None:
            top, bottom, left, right = box
            message |= {"x": left, "y": top}
            buffers = [encode_png(pixels[top:bottom, left:right])]
            self._last = pixels.copy()
        if answer:
            self._unseen += 1
            message["answer"] = True
        self.send(message, buffers)

    def _set_dpi(self) -> None:
        # style.RC counts in CSS pixels, Matplotlib in points of 1/72 inch.
        self.figure.set_dpi(DPI * self._ratio)
        self._background = self._last = None

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        with self.lock:
            pixels = self.render()
            self._frame = encode_png(pixels)
        bundle = super()._repr_mimebundle_(**kwargs)
        return with_still(bundle, self._frame)

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
        self._set_hot()

    def _set_hot(self) -> None:
        """Tell the page which rectangles listen: cursor shape, and no message for the rest."""
        self.render()  # the layout must be settled
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
        pixel = (x * self._ratio, (self._size[1] - y) * self._ratio)
        dx, dy = ax.transData.inverted().transform(pixel)
        return float(dx), float(dy)

    def _receive(self, _: Any, message: dict[str, Any], buffers: list[Any]) -> None:
        kind = message.get("type")
        if kind == "hello":
            with self.lock:
                self._connected, self._unseen = True, 0
                ratio = min(max(float(message["ratio"]), 1.0), 2.0)
                if ratio != self._ratio:
                    self._ratio = ratio
                    self._set_dpi()
                self._last = None  # a new view starts from nothing
                self._send(self.render(), None)
        elif kind == "drawn":
            self._unseen = max(0, self._unseen - 1)
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
        px, py = ax.transData.transform((x, y))
        return float(px / self._ratio), float(self._size[1] - py / self._ratio)


def with_still(bundle: Any, png: bytes) -> Any:
    """Add a still ``image/png`` to a widget's display bundle, for pages without a kernel."""
    import base64

    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    if data is None:
        return bundle
    return {**data, "image/png": base64.b64encode(png).decode()}, metadata or {}
