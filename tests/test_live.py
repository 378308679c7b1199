"""Frames, blitting, pointer events and the still picture of ``lecture_utils.live``."""

import base64
import io
import struct

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lecture_utils import style
from lecture_utils.checks import predict
from lecture_utils.device import DeviceToggle
from lecture_utils.live import LiveFigure, pack
from lecture_utils.panel import Panel


def unpack(old, place, buffers):
    """The page's side of ``pack``, written again pixel by pixel from its description."""
    height, width = place["height"], place["width"]
    fits = old is not None and old.shape == (height, width, 4)
    frame = old.copy() if fits else np.zeros((height, width, 4), np.uint8)
    if not buffers:
        return frame
    repeats, lengths, values = (
        [number for (number,) in struct.iter_unpack("<I", part)] for part in buffers
    )
    if lengths:
        values = [v for n, v in zip(lengths, values, strict=True) for _ in range(n)]
    assert len(values) == len(repeats) * place["columns"]
    y = place["y"]
    for row, times in enumerate(repeats):
        for _ in range(times):
            for column in range(place["columns"]):
                value = values[row * place["columns"] + column]
                if value:
                    frame[y, place["x"] + column] = list(value.to_bytes(4, "little"))
            y += 1
    return frame


def opaque(rgb):
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    return np.ascontiguousarray(np.concatenate([rgb, alpha], axis=2))


@st.composite
def pictures(draw, shape=None):
    """Noise, flat areas, repeated rows, ramps: what figures are made of."""
    height, width = shape or (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "flat", "few colours", "rows", "columns", "box"]))
    if kind == "noise":
        rgb = rng.integers(0, 256, (height, width, 3))
    elif kind == "flat":
        rgb = np.broadcast_to(rng.integers(0, 256, 3), (height, width, 3))
    elif kind == "few colours":
        rgb = rng.integers(0, 256, (2, 3))[rng.integers(0, 2, (height, width))]
    elif kind == "rows":
        rgb = np.broadcast_to(rng.integers(0, 256, (1, width, 3)), (height, width, 3))
    elif kind == "columns":
        rgb = np.broadcast_to(rng.integers(0, 256, (height, 1, 3)), (height, width, 3))
    else:
        rgb = np.zeros((height, width, 3), int)
        rgb[rng.integers(height) :, rng.integers(width) :] = rng.integers(0, 256, 3)
    return opaque(rgb.astype(np.uint8))


@given(st.data())
def test_a_packed_frame_unpacks_to_the_new_one(data):
    new = data.draw(pictures())
    old = data.draw(st.one_of(st.none(), pictures(new.shape[:2]), pictures()))
    assert np.array_equal(unpack(old, *pack(old, new)), new)


@given(pictures(), st.data())
def test_a_single_changed_pixel_is_all_that_travels(old, data):
    y = data.draw(st.integers(0, old.shape[0] - 1))
    x = data.draw(st.integers(0, old.shape[1] - 1))
    new = old.copy()
    new[y, x, 0] ^= 1
    place, buffers = pack(old, new)
    assert (place["x"], place["y"], place["columns"]) == (x, y, 1)
    assert [len(part) for part in buffers] == [4, 0, 4]
    assert np.array_equal(unpack(old, place, buffers), new)


def test_equal_frames_send_no_pixels():
    frame = opaque(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    place, buffers = pack(frame, frame.copy())
    assert buffers == []
    assert place == {"width": 4, "height": 4}


def test_a_flat_frame_travels_as_one_run():
    _, buffers = pack(None, opaque(np.full((300, 500, 3), 200, np.uint8)))
    assert [struct.unpack("<I", part)[0] for part in buffers] == [300, 500, 0xFFC8C8C8]


# ---- blitting


def scene(fig, *, live, shift=0.0):
    """A line, points, an image and words, moved by ``shift``; all above the still parts."""
    left, right = fig.subplots(1, 2)
    x = np.linspace(0, 1, 50)
    artists = [
        *left.plot(x, np.sin(6 * x + shift), zorder=5),
        left.scatter([0.2, 0.5 + shift / 10, 0.8], [0.1, -0.3, shift / 5], zorder=6),
        left.text(0.3 + shift / 20, 0.5, f"shift {shift:.1f}", zorder=7),
    ]
    left.set(xlim=(0, 1), ylim=(-1.2, 1.2), title="still")
    image = right.imshow(np.outer(x, x + shift), vmin=0, vmax=4, cmap="PuOr", zorder=5)
    for side in (*left.spines.values(), *right.spines.values()):
        side.set_zorder(1)
    return live(*artists, image)


def move(artists, shift):
    line, points, words, image = artists
    x = np.linspace(0, 1, 50)
    line.set_ydata(np.sin(6 * x + shift))
    points.set_offsets(np.column_stack([[0.2, 0.5 + shift / 10, 0.8], [0.1, -0.3, shift / 5]]))
    words.set(x=0.3 + shift / 20, text=f"shift {shift:.1f}")
    image.set_data(np.outer(x, x + shift))


def plain_figure(width, height, shift):
    """The same scene by Matplotlib alone, nothing animated, drawn once from nothing."""
    with mpl.rc_context(style.RC):
        figure = Figure(figsize=(width / 96, height / 96), dpi=96, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        scene(figure, live=lambda *artists: artists, shift=shift)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_blitting_equals_a_redraw_from_nothing():
    fig = LiveFigure(420, 240)
    artists = scene(fig, live=fig.live)
    fig.render()
    draws = count_redraws(fig)
    for shift in (0.4, 3.0, -1.5, 0.0, 2.2):
        move(artists, shift)
        blitted = fig.render().copy()
        assert draws == [], "a moved live artist must not redraw the still part"
        assert np.array_equal(blitted, plain_figure(420, 240, shift)), shift


def count_redraws(fig):
    """A list that grows by one with each redraw of the still part."""
    draws, plain = [], fig.canvas.draw
    fig.canvas.draw = lambda: (draws.append(1), plain())
    return draws


@pytest.mark.parametrize(
    "change",
    [
        lambda ax: ax.set_xlim(0, 2),
        lambda ax: ax.set_title("another title"),
        lambda ax: ax.plot([0, 1], [1, 0]),
        lambda ax: ax.set_yscale("symlog"),
        lambda ax: ax.lines[1].set_color("green"),
        lambda ax: ax.figure.text(0.5, 0.5, "words"),
    ],
    ids=["limits", "title", "new artist", "scale", "still artist", "figure text"],
)
def test_a_change_of_the_still_part_is_redrawn(change):
    fig = LiveFigure(300, 200)
    ax = fig.add_subplot()
    fig.live(*ax.plot([0, 1], [0, 1]))
    ax.plot([0, 0.5], [0.2, 0.4])
    ax.set_title("a title")
    before = fig.render().copy()
    draws = count_redraws(fig)
    change(ax)
    after = fig.render().copy()
    assert draws
    assert not np.array_equal(after, before)
    fig._background = None
    assert np.array_equal(after, fig.render())
    del draws[:]
    fig.render()
    assert draws == []


def test_the_axes_never_move():
    fig = LiveFigure(400, 300)
    ax = fig.add_subplot()
    (line,) = fig.live(*ax.plot([0, 1], [0, 1]))
    fig.render()
    place = ax.get_position().bounds
    for top in (1e-4, 10, 1e6):
        line.set_ydata([0, top])
        ax.set_ylim(0, top)
        ax.set_title(f"up to {top}")
        fig.render()
        assert ax.get_position().bounds == place


def test_a_removed_live_artist_leaves_the_picture():
    fig = LiveFigure(300, 200)
    ax = fig.add_subplot()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    empty = fig.render().copy()
    (line,) = fig.live(*ax.plot([0, 1], [0, 1]))
    assert not np.array_equal(fig.render(), empty)
    line.remove()
    assert np.array_equal(fig.render(), empty)


def test_live_artists_are_drawn_by_zorder_then_by_creation():
    fig = LiveFigure(200, 100)
    ax = fig.add_subplot()
    over = ax.axhspan(0, 1, color="red", zorder=3)
    under = ax.axhspan(0, 1, color="blue", zorder=2)
    fig.live(over, under)
    x, y = fig.to_page(ax, 0.5, 0.5)
    assert fig.render()[round(y), round(x)].tolist() == [255, 0, 0, 255]


def test_text_and_lines_made_by_the_reader_have_the_style_of_the_lecture():
    ax = LiveFigure(300, 200).add_subplot()
    (line,) = ax.plot([0, 1], [0, 1], label="a line")
    texts = [ax.text(0, 0, "words"), ax.set_title("title"), ax.set_xlabel("x")]
    assert [t.get_fontsize() for t in texts] == [style.FONT_SIZE] * 3
    assert ax.legend().get_texts()[0].get_fontsize() == style.RC["legend.fontsize"]
    assert line.get_linewidth() == style.RC["lines.linewidth"]


def test_handlers_may_be_added_before_the_figure_is_complete():
    fig = LiveFigure(300, 200)
    ax = fig.add_subplot()
    fig.on_press(ax, lambda x, y: None)
    ax.set_title("a title")
    pixels = fig.render()
    x, y = fig.to_page(ax, 0, 1)
    assert (pixels[: int(y), :, :3] < 128).any(), "the title has no room"
    assert fig._hot[0]["top"] == pytest.approx(y)


def test_listening_rectangles_follow_the_axes():
    fig = LiveFigure(300, 200)
    ax = fig.add_subplot(aspect="equal")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    fig.on_press(ax, lambda x, y: None)
    fig.render()
    ax.set_xlim(0, 2)
    fig.render()
    (zone,) = fig._hot
    assert (zone["left"], zone["bottom"]) == pytest.approx(fig.to_page(ax, 0, 0))
    assert (zone["right"], zone["top"]) == pytest.approx(fig.to_page(ax, 2, 1))


# ---- frames to the page


class Page:
    """Stands in for the page: it keeps the picture from the trait and the messages."""

    def __init__(self, fig, ratio=1.0):
        self.fig, self.messages, self.picture = fig, [], None
        fig.send = self.receive
        fig.observe(lambda change: self.show(change["new"]), "_first")
        if fig._first:
            self.show(fig._first)
        self.ratio = ratio

    def show(self, first):
        self.picture = unpack(None, first, first["buffers"])
        self.caption, self.alt = first["caption"], first["alt"]

    def receive(self, message, buffers=()):
        self.messages.append(message)
        if message["type"] == "frame":
            self.picture = unpack(self.picture, message, buffers)
            self.caption, self.alt = message["caption"], message["alt"]

    def hello(self):
        self.fig._receive(None, {"type": "hello", "ratio": self.ratio}, [])

    def drawn(self):
        self.fig._receive(None, {"type": "drawn"}, [])

    @property
    def frames(self):
        return [m for m in self.messages if m["type"] == "frame"]


def moving_line(width=200, height=120):
    fig = LiveFigure(width, height)
    ax = fig.add_subplot()
    ax.set(xlim=(0, 1), ylim=(0, 10))
    (line,) = fig.live(*ax.plot([0, 1], [0, 1]))
    return fig, ax, line


def test_the_page_has_a_picture_before_it_says_hello():
    fig, _, line = moving_line()
    page = Page(fig)
    fig.prepare()
    assert np.array_equal(page.picture, fig.render())
    line.set_ydata([0, 5])
    assert fig.refresh()
    assert np.array_equal(page.picture, fig.render())
    assert page.messages == []


def test_the_page_always_shows_the_present_state():
    fig, ax, line = moving_line()
    page = Page(fig)
    fig.prepare()
    page.hello()
    for k in range(1, 8):
        line.set_ydata([0, k])
        fig.say(f"<b>{k}</b>", "A line.")
        if k == 4:
            ax.set_title("a title")
        fig.refresh()
        assert np.array_equal(page.picture, fig.render()), k
        assert (page.caption, page.alt) == (f"<b>{k}</b>", f"A line. {k}")
    fig.refresh()
    assert "x" not in page.frames[-1], "an equal frame carries words alone"


def test_a_second_display_keeps_the_first_right():
    fig, _, line = moving_line()
    page = Page(fig)
    fig.prepare()
    page.hello()
    line.set_ydata([0, 9])  # changed without a refresh, then displayed again
    fig.prepare()
    assert np.array_equal(page.picture, fig.render())
    line.set_ydata([0, 1])  # back to what the last frame showed
    fig.refresh()
    assert np.array_equal(page.picture, fig.render())


def test_a_new_page_gets_the_whole_picture_and_may_be_sharper():
    fig, _, line = moving_line(200, 120)
    fig.prepare()
    Page(fig).hello()
    line.set_ydata([0, 7])
    fig.refresh()
    page = Page(fig, ratio=2.0)
    page.picture = None
    page.hello()
    assert page.picture.shape == (240, 400, 4)
    assert np.array_equal(page.picture, fig.render())


def test_droppable_frames_wait_for_the_page():
    fig, _, line = moving_line()
    page = Page(fig)
    page.hello()
    sent = []
    for k in range(6):
        line.set_ydata([0, k])
        sent.append(fig.refresh(droppable=True))
    assert sent == [True, True, True, True, False, False]
    line.set_ydata([0, 6])
    assert fig.refresh(), "a frame that must come is never dropped"
    assert np.array_equal(page.picture, fig.render())
    assert not fig.refresh(droppable=True)
    page.drawn()
    line.set_ydata([0, 7])
    assert fig.refresh(droppable=True)
    assert np.array_equal(page.picture, fig.render())
    assert [fig.refresh(droppable=True) for _ in range(5)] == [True, True, True, False, False]
    page.hello()  # reloaded: the old page's answers will never come
    assert fig.refresh(droppable=True)


def test_one_droppable_frame_of_a_group_asks_for_an_answer():
    fig, _, line = moving_line()
    page = Page(fig)
    page.hello()
    fig.refresh()
    for _ in range(9):
        assert fig.refresh(droppable=True)
        if page.frames[-1]["answer"]:
            page.drawn()
    asked = [frame["answer"] for frame in page.frames[2:]]
    assert asked == [True, False, False, False, True, False, False, False, True]
    assert [frame["answer"] for frame in page.frames[:2]] == [False, False]


def test_a_closed_figure_draws_no_more():
    fig, _, _ = moving_line()
    fig.close()
    assert fig.refresh() is False


def test_the_display_carries_a_still_picture():
    fig, _, line = moving_line()
    line.set_ydata([0, 8])
    data, _ = fig._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    still = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
    assert np.array_equal(still, fig.render())


def test_an_artist_that_cannot_be_drawn_leaves_the_last_picture():
    fig, _, line = moving_line()
    page = Page(fig)
    fig.prepare()
    page.hello()
    good = page.picture
    line.set_data([0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match="shape"):
        fig.refresh()
    fig.report = lambda error: (fig.say(f"wrong: {error}"), fig.tell())
    page.hello()
    assert "wrong: shape" in page.caption
    assert np.array_equal(page.picture, good)
    data, _ = fig._repr_mimebundle_()
    assert "image/png" in data


def test_words_alone_reach_a_page_that_has_not_said_hello():
    fig, _, line = moving_line()
    page = Page(fig)
    line.set_data([0, 1, 2], [0, 1])
    fig.say("wrong &lt;1")
    fig.tell()
    assert (page.caption, page.alt) == ("wrong &lt;1", "wrong <1")
    assert (page.picture == 255).all()


def test_messages_of_a_widget_go_to_the_thread_that_the_page_asks_for():
    fig, _, _ = moving_line()
    panel = Panel(lambda n: None, fig, title="t", look="l", n=(0, 3, 1))
    toggle, asked = DeviceToggle(), predict("?", [1, 2], 1)
    for widget in (panel.controls["n"], fig, toggle.buttons["cpu"], asked.choice):
        assert widget.comm._reply_subshell_for({}, "page") == "page"


# ---- pointer


@pytest.mark.parametrize("ratio", [1.0, 2.0, 1.25])
@pytest.mark.parametrize("scales", [("linear", "linear"), ("log", "linear"), ("log", "log")])
def test_pointer_events_hit_data_coordinates(ratio, scales):
    fig = LiveFigure(400, 300)
    _, ax = fig.subplots(1, 2)
    ax.set(xscale=scales[0], yscale=scales[1], xlim=(1e-3, 10), ylim=(0.1, 100))
    seen = []
    fig.on_press(ax, lambda x, y: seen.append((x, y)))
    Page(fig, ratio).hello()
    for target in [(1e-3, 0.1), (0.5, 3.0), (9.0, 99.0)]:
        fig.pointer("press", 1, np.array([fig.to_page(ax, *target)]))
        assert seen.pop() == pytest.approx(target)


def test_a_press_is_where_the_pixel_is():
    """Independent of Matplotlib's transforms: the dot is drawn where the press is reported."""
    fig, ax, _ = moving_line(300, 200)
    (dot,) = fig.live(*ax.plot([], [], "s", color="#ff0000", ms=8, zorder=9))
    fig.on_press(ax, lambda x, y: dot.set_data([x], [y]))
    Page(fig, 2.0).hello()
    for at in [(120, 60), (200, 100)]:
        fig.pointer("press", 0, np.array([at], float))
        red = (fig.render()[..., :3] == [255, 0, 0]).all(axis=2)
        y, x = np.argwhere(red).mean(axis=0) / 2
        assert (x, y) == pytest.approx(at, abs=1)


def test_pointer_kinds_reach_their_handlers():
    fig = LiveFigure(400, 200)
    left, right = fig.subplots(1, 2)
    for ax in (left, right):
        ax.set(xlim=(0, 1), ylim=(0, 1))
    calls = []
    fig.on_drag(left, lambda x, y, phase: calls.append(("drag", round(x, 3), round(y, 3), phase)))
    fig.on_hover(left, lambda x, y: calls.append(("hover", x, y)))
    fig.on_press(right, lambda x, y: calls.append(("press", round(x, 3), round(y, 3))))
    fig.on_ink(right, lambda p, new: calls.append(("ink", p.round(3).tolist(), new)), 9, "black")
    at = np.array([fig.to_page(left, 0.25, 0.5), fig.to_page(left, 0.5, 0.75)])
    fig.pointer("drag-start", 0, at[:1])
    fig.pointer("drag-move", 0, at)
    fig.pointer("drag-end", 0, at[1:])
    fig.pointer("leave", 0, at)
    fig.pointer("press", 0, at)  # nobody listens there
    at = np.array([fig.to_page(right, 0.1, 0.2), fig.to_page(right, 0.3, 0.4)])
    fig.pointer("press", 1, at[:1])
    fig.pointer("ink-start", 1, at[:1])
    fig.pointer("ink-move", 1, at)
    assert calls == [
        ("drag", 0.25, 0.5, "start"),
        ("drag", 0.5, 0.75, "move"),
        ("drag", 0.5, 0.75, "end"),
        ("hover", None, None),
        ("press", 0.1, 0.2),
        ("ink", [[0.1, 0.2]], True),
        ("ink", [[0.1, 0.2], [0.3, 0.4]], False),
    ]


def test_the_page_knows_which_rectangles_listen():
    fig = LiveFigure(400, 200)
    left, right = fig.subplots(1, 2)
    fig.on_drag(right, lambda *_: None)
    fig.render()
    (zone,) = fig._hot
    assert (zone["kind"], zone["axes"]) == ("drag", 1)
    corners = [
        fig.to_page(right, *right.transData.inverted().transform(p))
        for p in right.get_window_extent().get_points()
    ]
    expected = [corners[0][0], corners[1][0], corners[1][1], corners[0][1]]
    got = [zone["left"], zone["right"], zone["top"], zone["bottom"]]
    assert got == pytest.approx(expected)
    assert 200 < zone["left"] < zone["right"] <= 400


def test_a_pointer_error_is_reported_and_answered():
    fig, ax, _ = moving_line()
    page = Page(fig)
    fig.on_press(ax, lambda x, y: 1 / 0)
    event = {"type": "pointer", "event": "press", "axes": 0, "points": [[100, 50]]}
    with pytest.raises(ZeroDivisionError):
        fig._receive(None, event, [])
    seen = []
    fig.report = seen.append
    fig._receive(None, event, [])
    assert isinstance(seen[0], ZeroDivisionError)
    assert page.messages == [{"type": "handled"}] * 2, "else the page would wait for ever"
