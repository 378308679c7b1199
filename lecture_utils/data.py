"""Data, weights and drawn images of the lecture: found with the package, checked, never downloaded.

Files lie in `data/` of a checkout, or inside the installed package; `data/README.md` says what each
is and where it comes from. `LECTURE_DATA` names another folder.
What feeds a network is a torch tensor (N, C, H, W); a picture is a NumPy array (H, W) in 0..1.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .cli import data_folder

SUMS = "SHA256SUMS"
# The centres, in x, of the balls on which the weights called ball_*_left were trained.
LEFT = (3.0, 18.0)
Model = TypeVar("Model", bound=nn.Module)
_checked: set[Path] = set()


class DataError(RuntimeError):
    """A data file is missing, damaged or does not fit; says which, where, and what to do."""


def _problem(name: str, what: str) -> DataError:
    folder = data_folder()
    if os.environ.get("LECTURE_DATA"):
        remedy = "copy the right file there or unset LECTURE_DATA"
    elif folder.name == "datafiles":
        remedy = "reinstall deep-learning-lecture"
    else:
        remedy = f"restore it with `git checkout -- data/{name}` in {folder.parent}"
    return DataError(f"{name} {what} in {folder}: {remedy}.")


def _sums() -> dict[str, str]:
    """Names and SHA-256 of the files, from a list in the format of `sha256sum -c`."""
    try:
        lines = (data_folder() / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        raise _problem(SUMS, "is missing") from None
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def _check(name: str, digest: str) -> Path:
    file = data_folder() / name
    try:
        content = file.read_bytes()
    except OSError:
        raise _problem(name, "is missing") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise _problem(name, "is damaged (its SHA-256 is not the one listed)")
    return file


def path(name: str) -> Path:
    """Where the data file `name` lies, for instance "mnist.npz"; its SHA-256 is checked once.

    Raises DataError when the file is not listed, missing or damaged.
    """
    file = data_folder() / name
    if file not in _checked:
        sums = _sums()
        if name not in sums:
            raise DataError(f"{name} is not a file of the lecture; there are {', '.join(sums)}.")
        _checked.add(_check(name, sums[name]))
    return file


def verify() -> list[tuple[str, bool, str]]:
    """Check every data file now: (name, whether it is right, "ok" or what to do)."""
    try:
        sums = _sums()
    except DataError as error:
        return [(SUMS, False, str(error))]
    report = []
    for name, digest in sums.items():
        try:
            _check(name, digest)
            report.append((name, True, "ok"))
        except DataError as error:
            report.append((name, False, str(error)))
    return report


class Digits(NamedTuple):
    """MNIST digits: images (N, 1, 28, 28) float32, 0 paper and 1 ink; labels (N,) int64."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def mnist() -> Digits:
    """Real handwritten digits: 4000 to train on, 1000 to test on, every class equally often.

    The split is fixed and both parts are shuffled. Source: LeCun, Cortes and Burges, MNIST, from
    NIST's special databases 1 and 3. Raises DataError.
    """
    with np.load(path("mnist.npz")) as arrays:
        parts = {name: torch.from_numpy(arrays[name]) for name in Digits._fields}
    return Digits(
        **{
            name: part.long() if name.endswith("_y") else part[:, None].float() / 255
            for name, part in parts.items()
        }
    )


HEAD_EPOCHS = (1, 2, 3, 5, 8, 12, 16, 20, 30, 50, 80, 120, 170, 240, 340, 480, 680, 840)
"""After which epochs the pictures of ``heads_training`` were made."""


def heads() -> NDArray[np.uint8]:
    """840 drawn heads on white, (840, 64, 64, 3): Noto emoji of one person. Raises DataError."""
    with np.load(path("heads.npz")) as arrays:
        return arrays["images"]


def heads_training() -> tuple[NDArray[np.uint8], tuple[int, ...]]:
    """Pictures (E, 256, 512, 3) of the same 32 noises, 8 a row, and after which epochs.

    Made by the generator of heads while it was trained. Raises DataError.
    """
    from PIL import Image

    with Image.open(path("heads_training.webp")) as image:
        tall = np.asarray(image.convert("RGB"))
    return tall.reshape(len(HEAD_EPOCHS), 256, 512, 3), HEAD_EPOCHS


def load_weights(model: Model, name: str) -> Model:
    """Fill `model` with shipped weights, for instance "digits_cnn"; returns it, in eval mode.

    The files hold float16; the model keeps its own dtype and device. Raises DataError when the
    file is missing or damaged, or when its names and shapes are not those of the model.
    """
    from safetensors.torch import load_file

    file = f"weights/{name}.safetensors"
    weights = load_file(path(file))
    own = model.state_dict()
    for key in [*own, *weights]:
        here, there = (tuple(d[key].shape) if key in d else "absent" for d in (own, weights))
        if here != there:
            raise DataError(
                f"{file} does not fit this {type(model).__name__}: "
                f"{key} is {here} in the model and {there} in the file."
            )
    model.load_state_dict(weights)
    return model.eval()


def photograph(size: int = 256) -> NDArray[np.float32]:
    """A photograph in gray, (H, W) in 0..1, its longer side `size` pixels.

    Commander Grace Hopper, US Navy, public domain, from Matplotlib's sample data. Raises DataError
    where Matplotlib was installed without it.
    """
    from matplotlib import cbook
    from PIL import Image

    try:
        file = cbook.get_sample_data("grace_hopper.jpg")
    except FileNotFoundError:
        raise DataError(
            "grace_hopper.jpg is missing in Matplotlib's sample data: reinstall matplotlib."
        ) from None
    with file, Image.open(file) as image:
        scale = size / max(image.size)
        shape = [max(1, round(side * scale)) for side in image.size]
        return np.asarray(image.convert("L").resize(shape, Image.Resampling.LANCZOS), "f4") / 255


def draw_balls(centre: Tensor, radius: float = 3.0, size: int = 50) -> Tensor:
    """Anti-aliased white balls on black: centres (..., 2) as (x, y) pixels -> (..., size, size).

    Pixel (0, 0) is the centre of the upper left pixel; x runs to the right, y down.
    """
    pixel = torch.arange(size, dtype=torch.float32, device=centre.device)
    dx2, dy2 = ((pixel - centre[..., axis, None].float()).square_() for axis in (0, 1))
    distance = (dx2[..., None, :] + dy2[..., :, None]).sqrt_()
    return distance.neg_().add_(radius + 0.5).clamp_(0, 1)


def moving_ball(
    n: int,
    seed: int = 0,
    *,
    x_range: tuple[float, float] = (3, 46),
    y_range: tuple[float, float] = (3, 46),
    max_speed: float = 3.0,
    radius: float = 3.0,
    size: int = 50,
) -> tuple[Tensor, Tensor]:
    """Four frames of a ball at constant velocity: frames (n, 4, size, size), velocity (n, 2).

    Velocity is (x, y) in pixels a frame, each uniform in -max_speed..max_speed. In all four frames
    the centre stays within `x_range` and `y_range`, pixels. The same seed with both ends of a range
    moved by d gives the same balls moved by d. Raises ValueError when a range is too narrow for the
    fastest ball or lets the ball leave the frame.
    """
    low, high = torch.tensor([x_range, y_range], dtype=torch.float32).T
    steps = 3
    if (high - low).min() < steps * max_speed:
        raise ValueError(f"x_range and y_range must be at least {steps * max_speed} pixels wide")
    if low.min() < radius or high.max() > size - 1 - radius:
        raise ValueError(f"the ball's centre must stay within {radius} .. {size - 1 - radius}")
    generator = torch.Generator().manual_seed(seed)
    velocity = (torch.rand(n, 2, generator=generator) * 2 - 1) * max_speed
    travel = steps * velocity
    first = low - travel.clamp(max=0)
    last = high - travel.clamp(min=0)
    start = first + torch.rand(n, 2, generator=generator) * (last - first)
    time = torch.arange(steps + 1)[:, None]
    return draw_balls(start[:, None] + time * velocity[:, None], radius, size), velocity


def rasterize(
    strokes: Sequence[ArrayLike], size: int = 280, width: float = 0.08
) -> NDArray[np.float32]:
    """Pen strokes as an image of ink, (size, size) in 0..1.

    A stroke is an array (k, 2) of points (x, y), x to the right and y down, the image spanning
    0..1; `width` is the pen's, in the same units. Ends and joins are round and a single point is a
    dot. Raises ValueError for a stroke of another shape.
    """
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path as Curve
    from matplotlib.transforms import Affine2D

    points, codes = [], []
    for stroke in strokes:
        stroke = np.asarray(stroke, float)
        if stroke.ndim != 2 or stroke.shape[1] != 2:
            raise ValueError(f"a stroke must have shape (k, 2), not {stroke.shape}")
        if len(stroke) == 0:
            continue
        # Agg draws no line of length zero: the last step, a thousandth of a pixel, makes the dot.
        points.append(np.vstack([stroke, stroke[-1] + [1e-3 / size, 0]]))
        codes.append(np.r_[Curve.MOVETO, np.full(len(stroke), Curve.LINETO)])
    if not points:
        return np.zeros((size, size), np.float32)

    renderer = RendererAgg(size, size, 72)
    pen = renderer.new_gc()
    pen.set_linewidth(width * size)
    pen.set_capstyle("round")
    pen.set_joinstyle("round")
    pen.set_snap(False)
    curve = Curve(np.vstack(points), np.concatenate(codes))
    curve.should_simplify = False
    # Agg's y runs up, and the first row of its buffer is the top.
    to_pixels = Affine2D().scale(size, -size).translate(0, size)
    renderer.draw_path(pen, curve, to_pixels)
    return np.asarray(renderer.buffer_rgba())[..., 3].astype(np.float32) / 255


def as_mnist(image: ArrayLike | Tensor) -> Tensor:
    """Prepare an image of ink, (H, W), 0 paper and 1 ink, as MNIST was: (28, 28) float32.

    Cropped to its ink, the longer side scaled to 20 pixels with anti-aliasing, the darkest ink
    set to 1, and moved by whole pixels so that its centre of mass lies at pixel (14, 14), or as
    near as keeps all ink inside. No ink gives zeros. Raises ValueError for another shape.
    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998, III.A.
    """
    image = torch.as_tensor(image, dtype=torch.float32)
    if image.ndim != 2:
        raise ValueError(f"image must have shape (H, W), not {tuple(image.shape)}")
    digit = image.new_zeros(28, 28)
    ink = image > 0.05
    if not ink.any():
        return digit
    rows, columns = (ink.any(dim=axis).nonzero() for axis in (1, 0))
    crop = image[rows[0, 0] : rows[-1, 0] + 1, columns[0, 0] : columns[-1, 0] + 1]
    height, width = (max(1, round(side * 20 / max(crop.shape))) for side in crop.shape)
    small = F.interpolate(
        crop[None, None], (height, width), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]
    small = (small / small.max()).clamp(0, 1)

    mass = small.sum()
    pixel = torch.arange(20.0, device=image.device)
    centre_y = (small.sum(1) * pixel[:height]).sum() / mass
    centre_x = (small.sum(0) * pixel[:width]).sum() / mass
    top = min(max(round(14 - centre_y.item()), 0), 28 - height)
    left = min(max(round(14 - centre_x.item()), 0), 28 - width)
    digit[top : top + height, left : left + width] = small
    return digit


END = "\n"
"""Stands before and after every name."""


def names(held_out: int = 500) -> tuple[list[str], list[str], str]:
    """First names, lower case, to train on and to test on, and their symbols: a-z and the end.

    The split is fixed. Source: the 1990 census of the United States, public domain. Raises
    DataError.
    """
    every = path("names.txt").read_text("ascii").split()
    # RandomState's stream is frozen by NumPy, so the split is the same with every version.
    mixed = [every[i] for i in np.random.RandomState(0).permutation(len(every))]
    return mixed[held_out:], mixed[:held_out], "".join(sorted({END}.union(*every)))


def encode(text: str, symbols: str) -> Tensor:
    """Each character's place in `symbols`: (len(text),) int64. Raises ValueError for others."""
    if unknown := sorted(set(text) - set(symbols)):
        raise ValueError(f"these characters are not among the symbols: {unknown}")
    return torch.tensor([symbols.index(character) for character in text], dtype=torch.int64)


def name_examples(names: Sequence[str], symbols: str) -> tuple[Tensor, Tensor]:
    """Names as inputs (N, T, symbols) one-hot and targets (N, T): each next character.

    T is the longest name's length plus one, for the end. Behind the end targets are -1 and inputs
    0: leave them out of the loss.
    """
    longest = max(len(name) for name in names) + 1
    inputs = torch.zeros(len(names), longest, len(symbols))
    targets = torch.full((len(names), longest), -1)
    for row, name in enumerate(names):
        numbers = encode(END + name + END, symbols)
        inputs[row, torch.arange(len(name) + 1), numbers[:-1]] = 1
        targets[row, : len(name) + 1] = numbers[1:]
    return inputs, targets


def shakespeare(held_out: int = 20_000) -> tuple[str, str, str]:
    """Hamlet, Romeo and Juliet, Macbeth: text to train on and to test on, and its symbols.

    The test text is the end of the last play. Source: William Shakespeare, public domain, modern
    spelling. Raises DataError.
    """
    import gzip

    text = gzip.decompress(path("shakespeare.txt.gz").read_bytes()).decode("ascii")
    return text[:-held_out], text[-held_out:], "".join(sorted(set(text)))


def adding_problem(n: int, length: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Sequences (n, length, 2) of a number in 0..1 and a mark, and the sum of the two marked (n,).

    One mark lies in the first half, one in the second. Always answering 1 has a mean squared error
    of 1/6. Source: Hochreiter and Schmidhuber, Long short-term memory, 1997, 5.4, in the form of
    Le, Jaitly and Hinton, 2015.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.rand(n, length, generator=generator)
    marks = torch.zeros(n, length)
    half = length // 2
    marks.scatter_(1, torch.randint(half, (n, 1), generator=generator), 1)
    marks.scatter_(1, torch.randint(half, length, (n, 1), generator=generator), 1)
    return torch.stack([numbers, marks], dim=2), (numbers * marks).sum(dim=1)


def adding_results() -> dict[str, Any]:
    """How RNNs and LSTMs learned the adding problem, as measured by `data/build/adding.py`.

    "settings" of the training; "results" by net and by length, "curves" (mean squared error of
    every so many steps) and "test" (on 1000 new sequences), one for each random start. Raises
    DataError.
    """
    import json

    return json.loads(path("adding.json").read_text("utf-8"))
