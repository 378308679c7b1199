"""The parts panels draw with: edges, tables, tiles, words."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from torch import nn

from lecture_utils import style
from lecture_utils.draw import (
    LEVELS,
    Cells,
    Edges,
    NumberGrid,
    Pixels,
    PlaneMap,
    arrow_in,
    lattice,
    number,
    paint,
    place,
    point_arrow,
    signed_sum,
    tile_box,
    tiles,
    vector,
)
from lecture_utils.live import LiveFigure


def edges_of(net: nn.Sequential) -> tuple[Edges, list[np.ndarray]]:
    sizes = [net[0].in_features, *(m.out_features for m in net if isinstance(m, nn.Linear))]
    places = [np.array([(k, j) for j in range(n)], float) for k, n in enumerate(sizes)]
    fig = LiveFigure(300, 200)
    return Edges(fig, fig.add_subplot(), places), places


def test_an_edge_joins_the_two_units_of_its_weight() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    edges, places = edges_of(net)
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.zero_()
        net[0].weight[2, 1] = -0.5  # from input 1 to hidden unit 2
        net[2].weight[0, 2] = 0.25
    edges.show([net[0].weight, net[2].weight])
    widths = np.array(edges.lines.get_linewidths())
    first, second = np.argsort(-widths)[:2]
    assert np.array_equal(edges.lines.get_segments()[first], [places[0][1], places[1][2]])
    assert np.array_equal(edges.lines.get_segments()[second], [places[1][2], places[2][0]])
    assert widths[first] == pytest.approx(0.4 + edges.widest)
    assert widths[second] == pytest.approx(0.4 + edges.widest / 2)
    colours = edges.lines.get_colors()
    assert np.allclose(colours[first], style.SIGNED(0.0))
    assert np.allclose(colours[second], style.SIGNED(0.75))
    assert np.allclose(np.delete(widths, [first, second]), 0.4)


def test_edges_clip_at_the_top_given_and_refuse_another_net() -> None:
    edges, _ = edges_of(nn.Sequential(nn.Linear(2, 1)))
    edges.show([[[8.0, 1.0]]], top=2)
    widths = edges.lines.get_linewidths()
    assert widths == pytest.approx([0.4 + 3.5, 0.4 + edges.widest]), "the largest is drawn last"
    edges.show([[[0.0, 0.0]]])
    assert edges.lines.get_linewidths() == pytest.approx([0.4, 0.4])
    with pytest.raises(ValueError, match="3 weights for 2 lines"):
        edges.show([[[1.0, 2.0, 3.0]]])
    edges.move([np.zeros((3, 2)), np.ones((1, 2))])
    edges.show([[[1.0, 2.0, 3.0]]])


def test_axes_stand_where_they_were_placed() -> None:
    fig = LiveFigure(400, 200)
    ax = fig.add_subplot()
    place(fig, {ax: (40, 20, 100, 150)})
    fig.prepare()
    width, height = fig.figure.canvas.get_width_height()
    box = ax.get_window_extent()
    assert np.allclose(
        [box.x0 / width, box.y0 / height, box.width / width, box.height / height],
        [0.1, 0.1, 0.25, 0.75],
    )


def test_a_table_is_drawn_in_its_boxes() -> None:
    fig = LiveFigure(300, 200)
    cells = Cells(fig, fig.add_subplot())
    boxes = paint((2, 3), style.PAPER)
    boxes[1, 2] = to_rgba(style.RED)
    cells.show([["", "", ""], ["", "", ""]], boxes)
    empty = fig.render()[..., :3].copy()
    red = (empty == (255 * np.array(to_rgba(style.RED)[:3])).round()).all(axis=-1)
    rows, columns = np.nonzero(red)
    assert rows.min() >= empty.shape[0] // 2 and columns.min() > empty.shape[1] / 2
    cells.show([["−7", "", ""], ["", "", ""]], boxes)
    changed = (fig.render()[..., :3] != empty).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert len(rows) > 20, "the number is drawn"
    assert rows.max() <= empty.shape[0] // 2 and columns.max() < empty.shape[1] / 2


def test_number_grid_follows_its_fields_and_its_value() -> None:
    grid = NumberGrid(((0, -1, 0), (-1, 5, -1), (0, -1, 0)), "kernel")
    seen = []
    grid.observe(lambda change: seen.append(change["new"]), "value")
    grid.fields[1][2].value = 7
    assert grid.value[1] == (-1, 5, 7) and len(seen) == 1
    grid.value = ((1, 1, 1),) * 3
    assert [[f.value for f in row] for row in grid.fields] == [[1] * 3] * 3
    assert len(seen) == 2


def test_tiles_lie_in_their_boxes() -> None:
    images = np.arange(1, 6)[:, None, None] * np.ones((5, 4, 3))
    sheet = tiles(images, 3)
    assert sheet.shape == (9, 11)
    for k in range(5):
        x, y, w, h = tile_box(k, 5, 3, 4, 3)
        part = sheet[round(9 * y) : round(9 * (y + h)), round(11 * x) : round(11 * (x + w))]
        assert part.shape == (4, 3) and (part == k + 1).all()
    assert sheet.mask.sum() == sheet.size - images.size


def test_a_lattice_goes_row_by_row_from_the_lower_left() -> None:
    found = lattice(-1, 1, 3)
    assert found.shape == (9, 2)
    assert found[0].tolist() == [-1, -1]
    assert found[1].tolist() == [0, -1]
    assert found[-1].tolist() == [1, 1]


def test_an_arrow_of_no_length_is_hidden() -> None:
    ax = LiveFigure(300, 200).add_subplot()
    arrow = arrow_in(ax, style.RED)
    point_arrow(arrow, (0, 0), (1, 1))
    assert arrow.get_visible()
    point_arrow(arrow, (1, 1), (1, 1))
    assert not arrow.get_visible()


def test_numbers_in_sentences() -> None:
    assert signed_sum((2, "·x"), (-0.5, "·y"), (1, "")) == "2·x − 0.5·y + 1"
    assert signed_sum((-1, "·x"), (0, "")) == "−1·x + 0"
    assert vector([1, -0.5, -0.0]) == "(1.00, −0.50, 0.00)"
    assert number(-1.25) == "−1.25"


def test_pixels_stand_where_they_belong() -> None:
    fig = LiveFigure(300, 200)
    ax = fig.add_subplot()
    place(fig, {ax: (40, 20, 120, 160)})
    ax.set_axis_off()
    shown = Pixels(fig, ax)
    draw = np.random.default_rng(0)
    shown.picture = draw.integers(0, 256, (4, 3, 3), dtype=np.uint8)
    scale = fig.render().shape[1] / 300
    picture = fig.render()
    for row in range(4):
        for column in range(3):
            x, y = 40 + 120 * (column + 0.5) / 3, 20 + 160 * (row + 0.5) / 4  # from the top left
            assert np.array_equal(
                picture[round(y * scale), round(x * scale), :3], shown.picture[row, column]
            )
    assert picture[:, : round(38 * scale), :3].min() == 255


def test_a_plane_s_map_has_its_first_row_below() -> None:
    fig = LiveFigure(200, 200)
    ax = fig.add_subplot()
    place(fig, {ax: (0, 0, 200, 200)})
    ax.set_axis_off()
    colours = np.ones((LEVELS, 4))
    colours[:, 0] = np.linspace(0, 1, LEVELS)
    shown = PlaneMap(fig, ax, colours)
    shown.values = np.array([[-1.0, 0.0], [0.0, 1.0]], np.float32)
    picture = fig.render()[..., 0].astype(int)
    assert picture[-1, 0] < 10 and picture[0, -1] > 245
    assert abs(picture[0, 0] - 128) < 10 and abs(picture[-1, -1] - 128) < 10
