"""Data files and their hashes; digits, balls and strokes against independent computations."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import cbook
from matplotlib import pyplot as plt
from PIL import Image

from lecture_utils import cli, data
from lecture_utils.data import DataError

FOLDER = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the digits that a test may damage, in use through LECTURE_DATA."""
    for name in (data.SUMS, "mnist.npz"):
        shutil.copy(FOLDER / name, tmp_path)
    monkeypatch.setenv("LECTURE_DATA", str(tmp_path))
    return tmp_path


# Files


def listed() -> dict[str, str]:
    lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {line[66:]: line[:64] for line in lines}


def test_hashes_agree_in_files_sums_and_readme() -> None:
    computed = {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in listed()}
    rows = re.findall(
        r"^\| `(\S+)` \|.*\| (\d+) \| `([0-9a-f]{64})` \|$",
        (FOLDER / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert computed == listed() == {name: digest for name, _, digest in rows}
    assert {name: int(size) for name, size, _ in rows} == {
        name: (FOLDER / name).stat().st_size for name in listed()
    }


def test_nothing_unlisted_lies_in_data() -> None:
    found = {
        file.relative_to(FOLDER).as_posix()
        for file in FOLDER.rglob("*")
        if file.is_file() and file.relative_to(FOLDER).parts[0] != "build"
    }
    assert found == {*listed(), "README.md", "SHA256SUMS"}


def test_every_file_names_the_script_that_made_it() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in listed():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert (FOLDER / "build" / re.search(r"`build/(\w+\.py)`", row)[1]).is_file()


def test_verify_finds_every_file_right() -> None:
    assert data.verify() == [(name, True, "ok") for name in listed()]


def test_found_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert data.path("mnist.npz").read_bytes() == (FOLDER / "mnist.npz").read_bytes()


def test_found_inside_an_installed_package(tmp_path: Path) -> None:
    package, elsewhere = tmp_path / "site" / "lecture_utils", tmp_path / "elsewhere"
    (package / "datafiles").mkdir(parents=True)
    elsewhere.mkdir()
    for name in ("__init__.py", "cli.py", "data.py"):
        shutil.copy(Path(data.__file__).with_name(name), package)
    for name in (data.SUMS, "mnist.npz"):
        shutil.copy(FOLDER / name, package / "datafiles")
    environment = {k: v for k, v in os.environ.items() if k != "LECTURE_DATA"}
    code = "from lecture_utils import data; print(data.path('mnist.npz')); data.path('weights/x')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env={**environment, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert Path(run.stdout.strip()) == (package / "datafiles" / "mnist.npz").resolve()
    assert "weights/x is not a file of the lecture" in run.stderr


def test_a_damaged_file_is_named_with_what_to_do(copy: Path) -> None:
    content = bytearray((copy / "mnist.npz").read_bytes())
    content[1000] ^= 1
    (copy / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError) as damaged:
        data.mnist()
    message = str(damaged.value)
    assert "mnist.npz is damaged" in message
    assert str(copy) in message
    assert "unset LECTURE_DATA" in message
    assert "\n" not in message
    report = {name: (ok, text) for name, ok, text in data.verify()}
    assert report["mnist.npz"] == (False, message)


def test_a_missing_file_is_named_with_where_it_was_looked_for(copy: Path) -> None:
    (copy / "mnist.npz").unlink()
    with pytest.raises(DataError, match=r"mnist\.npz is missing in .*: copy the right file there"):
        data.mnist()


def test_in_a_checkout_git_restores_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LECTURE_DATA", raising=False)
    monkeypatch.setattr(cli, "PACKAGE", tmp_path / "lecture_utils")
    monkeypatch.setattr(cli, "CHECKOUT", tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy(FOLDER / data.SUMS, tmp_path / "data")
    with pytest.raises(DataError, match=r"`git checkout -- data/mnist\.npz` in "):
        data.path("mnist.npz")


def test_a_missing_list_of_hashes_is_reported(copy: Path) -> None:
    (copy / data.SUMS).unlink()
    [(name, ok, message)] = data.verify()
    assert (name, ok) == (data.SUMS, False)
    assert "SHA256SUMS is missing" in message
    with pytest.raises(DataError, match="SHA256SUMS is missing"):
        data.mnist()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"cifar\.npz is not a file.*mnist\.npz"):
        data.path("cifar.npz")


# Digits


def test_digits_have_the_promised_shapes_and_values() -> None:
    digits = data.mnist()
    for x, y, n in ((digits.train_x, digits.train_y, 4000), (digits.test_x, digits.test_y, 1000)):
        assert x.shape == (n, 1, 28, 28)
        assert y.shape == (n,)
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        assert x.min() == 0
        assert x.max() == 1
        assert torch.equal((x * 255).round() / 255, x)
        assert y.bincount().tolist() == [n // 10] * 10


def test_no_digit_is_in_both_parts_or_twice() -> None:
    digits = data.mnist()
    images = torch.cat([digits.train_x, digits.test_x]).flatten(1)
    assert len({image.numpy().tobytes() for image in images}) == 5000


def test_digits_are_shuffled() -> None:
    for labels in (data.mnist().train_y, data.mnist().test_y):
        repeats = (labels[1:] == labels[:-1]).float().mean()
        assert 0.05 < repeats < 0.15


def test_labels_belong_to_the_images() -> None:
    digits = data.mnist()
    means = torch.stack([digits.train_x[digits.train_y == k].mean(0) for k in range(10)])
    nearest = torch.cdist(digits.test_x.flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == digits.test_y).float().mean() > 0.75


# Photograph


@pytest.mark.parametrize("size", [64, 256])
def test_photograph_is_the_sample_in_gray(size: int) -> None:
    picture = data.photograph(size)
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        original = plt.imread(file, format="jpg") / 255 @ [0.299, 0.587, 0.114]
    assert picture.dtype == np.float32
    assert max(picture.shape) == size
    assert picture.shape[0] / picture.shape[1] == pytest.approx(
        original.shape[0] / original.shape[1], rel=0.02
    )
    assert picture.min() >= 0
    assert picture.max() <= 1
    halves = [np.array_split(image, 2) for image in (picture, original)]
    for mine, theirs in zip(*halves, strict=True):
        assert mine.mean() == pytest.approx(theirs.mean(), abs=0.01)


# Moving ball


def centroids(frames: torch.Tensor) -> torch.Tensor:
    """Centre of the ink, (..., 2) as (x, y)."""
    pixel = torch.arange(50.0)
    ink = frames.sum((-1, -2))
    return torch.stack([frames.sum(-2) @ pixel, frames.sum(-1) @ pixel], -1) / ink[..., None]


def test_the_ball_moves_by_its_velocity() -> None:
    frames, velocity = data.moving_ball(300, seed=3)
    assert frames.shape == (300, 4, 50, 50)
    assert frames.dtype == velocity.dtype == torch.float32
    steps = centroids(frames).diff(dim=1)
    assert (steps - velocity[:, None]).abs().max() < 0.05


def test_the_ball_is_whole_in_every_frame() -> None:
    frames, _ = data.moving_ball(1000, seed=4)
    assert frames.min() == 0
    assert frames.max() == 1
    area = frames.sum((-1, -2))
    assert (area - torch.pi * 3**2).abs().max() < 0.6


def test_velocities_are_uniform_so_the_mean_misses_by_three() -> None:
    _, velocity = data.moving_ball(4000, seed=5)
    assert velocity.abs().max() <= 3
    assert velocity.var(0).tolist() == pytest.approx([3, 3], abs=0.15)


def test_ranges_confine_the_centre_in_every_frame() -> None:
    frames, _ = data.moving_ball(500, seed=6, x_range=(20, 34), y_range=(3, 15))
    x, y = centroids(frames).unbind(-1)
    for value, low, high in ((x, 20, 34), (y, 3, 15)):
        assert value.min() > low - 0.05
        assert value.max() < high + 0.05
        assert value.min() < low + 1
        assert value.max() > high - 1


def test_moving_the_range_moves_the_same_balls() -> None:
    left, velocity = data.moving_ball(50, seed=7, x_range=(3, 18))
    right, same = data.moving_ball(50, seed=7, x_range=(15, 30))
    assert torch.equal(velocity, same)
    torch.testing.assert_close(right, left.roll(12, dims=-1), atol=1e-4, rtol=0)


def test_balls_repeat_with_their_seed_only() -> None:
    assert torch.equal(data.moving_ball(5, seed=1)[0], data.moving_ball(5, seed=1)[0])
    assert not torch.equal(data.moving_ball(5, seed=1)[1], data.moving_ball(5, seed=2)[1])


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    data.moving_ball(5, seed=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x_range": (10, 18)}, "at least 9"),
        ({"y_range": (1, 40)}, "within 3"),
        ({"x_range": (20, 48)}, "within 3"),
    ],
)
def test_impossible_ranges_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.moving_ball(1, **options)


# Strokes


def by_distance(strokes: list[np.ndarray], size: int, width: float) -> np.ndarray:
    """Ink by brute force: the distance of every pixel to every line of every stroke."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    nearest = np.full((size, size), np.inf)
    for stroke in strokes:
        ends = stroke[1:] if len(stroke) > 1 else stroke
        for (ax, ay), (bx, by) in zip(stroke, ends, strict=False):
            length2 = (bx - ax) ** 2 + (by - ay) ** 2
            t = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2 if length2 else 0
            t = np.clip(t, 0, 1)
            distance = np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay))
            nearest = np.minimum(nearest, distance)
    return np.clip((width / 2 - nearest) * size + 0.5, 0, 1)


def random_strokes(kind: str, rng: np.random.Generator) -> list[np.ndarray]:
    if kind == "dots":
        return [rng.random((1, 2)) for _ in range(3)]
    if kind == "corners":
        return [rng.random((8, 2)), rng.random((2, 2))]
    return [0.5 + np.cumsum(rng.normal(0, 0.008, (200, 2)), 0) for _ in range(2)]


@pytest.mark.parametrize("kind", ["dots", "corners", "scribble"])
@pytest.mark.parametrize(("size", "width"), [(280, 0.08), (140, 0.05)])
def test_rasterize_against_brute_force(kind: str, size: int, width: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        strokes = random_strokes(kind, rng)
        image = data.rasterize(strokes, size=size, width=width)
        difference = np.abs(image - by_distance(strokes, size, width))
        assert image.shape == (size, size)
        assert image.dtype == np.float32
        # Where lines meet at a sharp angle, coverage and distance shade an edge pixel differently.
        assert difference.max() < 0.6
        assert (difference > 0.25).mean() < 0.002
        assert difference.mean() < 0.003


def test_no_strokes_no_ink() -> None:
    assert not data.rasterize([]).any()
    assert not data.rasterize([np.empty((0, 2))]).any()


def test_a_stroke_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(k, 2\), not \(3,\)"):
        data.rasterize([[0.1, 0.2, 0.3]])


# Preparing an image as MNIST was


@pytest.mark.parametrize("kind", ["corners", "scribble"])
def test_as_mnist_scales_to_twenty_and_centres_by_mass(kind: str) -> None:
    rng = np.random.default_rng(1)
    pixel = torch.arange(28.0)
    for _ in range(40):
        digit = data.as_mnist(data.rasterize(random_strokes(kind, rng)))
        assert digit.shape == (28, 28)
        assert digit.dtype == torch.float32
        assert digit.min() == 0
        assert digit.max() == 1
        rows, columns = (digit.sum(axis).nonzero().flatten() for axis in (1, 0))
        assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 == 20
        for axis in (0, 1):
            centre = (digit.sum(axis) @ pixel / digit.sum()).item()
            assert centre == pytest.approx(14, abs=1)


def test_as_mnist_against_pillow() -> None:
    image = data.rasterize([np.array([[0.3, 0.2], [0.6, 0.4], [0.35, 0.75]])])
    rows, columns = np.nonzero(image > 0.05)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    height, width = box[3] - box[1], box[2] - box[0]
    shape = [round(20 * side / max(height, width)) for side in (width, height)]
    small = Image.fromarray(image).crop(box).resize(shape, Image.Resampling.BILINEAR)
    expected = np.asarray(small) / np.asarray(small).max()
    digit = data.as_mnist(image).numpy()
    ink = digit[digit.any(1)][:, digit.any(0)]
    np.testing.assert_allclose(ink, expected, atol=0.01)


def test_as_mnist_leaves_mnist_as_it_is() -> None:
    images = data.mnist().test_x[:200, 0]
    difference = torch.stack([data.as_mnist(image) - image for image in images]).abs()
    assert difference.mean() < 0.005


def test_as_mnist_does_not_depend_on_size_or_place() -> None:
    stroke = np.array([[0.2, 0.2], [0.5, 0.3], [0.4, 0.6]])
    small = data.as_mnist(data.rasterize([stroke * 0.6 + 0.3], size=600, width=0.06))
    large = data.as_mnist(data.rasterize([stroke], size=600, width=0.1))
    assert (small - large).abs().mean() < 0.02


def test_as_mnist_keeps_lopsided_ink_inside() -> None:
    image = np.zeros((100, 100), np.float32)
    image[10:90, 10:14] = 1
    image[86:90, 10:90] = 1
    image[10:80, 10:30] = 1
    digit = data.as_mnist(image)
    rows, columns = (digit.sum(axis).nonzero().flatten() for axis in (1, 0))
    assert len(rows) == len(columns) == 20


def test_as_mnist_without_ink_is_blank() -> None:
    assert torch.equal(data.as_mnist(np.zeros((50, 80))), torch.zeros(28, 28))


def test_as_mnist_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(H, W\), not \(1, 28, 28\)"):
        data.as_mnist(torch.zeros(1, 28, 28))


# Text


def test_names_are_split_without_overlap() -> None:
    train, test, symbols = data.names()
    assert (len(train), len(test)) == (4663, 500)
    assert not set(train) & set(test) and len(set(train + test)) == 5163
    assert symbols == "\nabcdefghijklmnopqrstuvwxyz"
    assert {"mary", "john"} <= set(train + test)
    assert data.names()[1] == test


def test_encode_gives_places_and_refuses_the_rest() -> None:
    assert data.encode("cab", "abc").tolist() == [2, 0, 1]
    assert data.encode("", "abc").dtype == torch.int64
    with pytest.raises(ValueError, match=r"\['x', 'z'\]"):
        data.encode("zax", "abc")


def test_name_examples_ask_for_each_next_letter() -> None:
    inputs, targets = data.name_examples(["abc", "b"], "\nabc")
    assert inputs.shape == (2, 4, 4) and targets.tolist() == [[1, 2, 3, 0], [2, 0, -1, -1]]
    assert inputs[0].argmax(dim=1).tolist() == [0, 1, 2, 3]
    assert inputs.sum(dim=2).tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_shakespeare_is_three_plays() -> None:
    train, test, symbols = data.shakespeare()
    assert len(test) == 20_000 and len(train) > 390_000
    assert len(symbols) == 65 and set(train + test) == set(symbols)
    assert train.startswith("ACT I.\n") and "To be, or not to be" in train
    assert "Macbeth" in test and "\n\n\n" not in train


def test_adding_problem_marks_one_number_in_each_half() -> None:
    x, target = data.adding_problem(300, 7, seed=4)
    marks = x[..., 1]
    assert x.shape == (300, 7, 2) and set(marks.unique().tolist()) == {0, 1}
    assert (marks[:, :3].sum(1) == 1).all() and (marks[:, 3:].sum(1) == 1).all()
    assert (marks.sum(0) > 0).all()
    sums = [row[m == 1].sum() for row, m in zip(x[..., 0], marks, strict=True)]
    torch.testing.assert_close(target, torch.stack(sums))
    assert torch.equal(data.adding_problem(300, 7, seed=4)[0], x)
    assert not torch.equal(data.adding_problem(300, 7, seed=5)[0], x)


def test_adding_results_are_complete() -> None:
    measured = data.adding_results()
    settings = measured["settings"]
    for by_length in measured["results"].values():
        assert list(by_length) == ["10", "20", "30", "50", "100"]
        for found in by_length.values():
            assert len(found["curves"]) == len(found["test"]) == 2
            assert {len(c) for c in found["curves"]} == {settings["steps"] // settings["every"]}
