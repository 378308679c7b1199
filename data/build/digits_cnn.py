"""Train the digits CNN that the drawing pad uses: data/weights/digits_cnn.safetensors.

Every batch is turned, sheared, scaled, shifted, and drawn with a thinner or thicker pen, because
people draw more variously with a mouse than the digits of MNIST were written. Run from anywhere:

    python data/build/digits_cnn.py
"""

import math

import torch
from save import save_half
from torch import Tensor
from torch.nn import functional as F

from lecture_utils.data import mnist
from lecture_utils.models import DigitsCNN

EPOCHS, BATCH_SIZE, LEARNING_RATE = 40, 64, 5e-3


def uniform(n: int, largest: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * largest


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    n = len(images)
    angle = uniform(n, math.radians(15), generator)
    shear = uniform(n, 0.25, generator)
    scale_x, scale_y = (1 + uniform(n, 0.15, generator) for _ in range(2))
    shift_x, shift_y = (uniform(n, 2 / 14, generator) for _ in range(2))
    cos, sin = angle.cos(), angle.sin()
    affine = torch.stack(
        [
            torch.stack([cos * scale_x, (shear * cos - sin) * scale_y, shift_x], 1),
            torch.stack([sin * scale_x, (shear * sin + cos) * scale_y, shift_y], 1),
        ],
        1,
    )
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, align_corners=False)

    # Dilation and erosion by one pixel, each blended in by a random amount.
    thicker = F.max_pool2d(images, 3, stride=1, padding=1)
    thinner = -F.max_pool2d(-images, 3, stride=1, padding=1)
    amount = uniform(n, 1, generator)[:, None, None, None]
    changed = torch.where(amount > 0, thicker, thinner)
    return images + 0.7 * amount.abs() * (changed - images)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    digits = mnist()
    model = DigitsCNN()
    optimizer = torch.optim.Adam(model.parameters())
    steps = EPOCHS * math.ceil(len(digits.train_x) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(digits.train_x), generator=generator).split(BATCH_SIZE):
            optimizer.zero_grad()
            logits = model(augment(digits.train_x[rows], generator))
            F.cross_entropy(logits, digits.train_y[rows]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(digits.test_x).argmax(1) == digits.test_y).float().mean()
    print(f"accuracy on the 1000 test digits: {accuracy:.3f}")
    save_half(model, "digits_cnn")


if __name__ == "__main__":
    main()
