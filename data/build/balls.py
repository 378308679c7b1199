"""Train the nets that guess a moving ball's velocity: data/weights/ball_*.safetensors.

Two stories, each with 500 examples and the same training for every net: balls anywhere in the
frame, and balls in its left part only, tested ever further to the right. The last two nets change
`BallConv` half way to `BallConvPool`; they are measured and not kept. Run from anywhere:

    python data/build/balls.py
"""

import math

import torch
from save import save_half
from torch import Tensor, nn
from torch.nn import functional as F

from lecture_utils.data import LEFT, moving_ball
from lecture_utils.models import BallConv, BallConvPool, BallDense

EXAMPLES, EPOCHS, BATCH_SIZE, LEARNING_RATE = 500, 30, 16, 1e-3
SHIFTS = (0, 2, 4, 8, 12, 16, 20, 24, 28)


def train(model: nn.Module, frames: Tensor, velocity: Tensor) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters())
    steps = EPOCHS * math.ceil(len(frames) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(frames), generator=generator).split(BATCH_SIZE):
            optimizer.zero_grad()
            F.mse_loss(model(frames[rows]), velocity[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def test(model: nn.Module, x_range: tuple[float, float]) -> float:
    frames, velocity = moving_ball(1000, seed=1, x_range=x_range)
    return F.mse_loss(model(frames), velocity).item()


def pool_only() -> nn.Module:
    return nn.Sequential(BallConv().features, nn.AdaptiveMaxPool2d(1), BallConvPool().head)


def padding_only() -> nn.Module:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 2))
    return nn.Sequential(BallConvPool().features[:-1], wide)


def main() -> None:
    torch.set_num_threads(1)
    anywhere = (3.0, 46.0)
    print("balls anywhere: test MSE")
    for make, name in ((BallDense, "ball_dense"), (BallConv, "ball_conv")):
        torch.manual_seed(0)
        model = train(make(), *moving_ball(EXAMPLES, x_range=anywhere))
        print(f"{make.__name__:13}{test(model, anywhere):7.3f}")
        save_half(model, name)

    print("balls on the left: test MSE as they are shifted")
    print(f"{'pixels':13}" + "".join(f"{shift:7}" for shift in SHIFTS))
    kept = {BallDense: "ball_dense", BallConv: "ball_conv", BallConvPool: "ball_conv_pool"}
    for make in (*kept, pool_only, padding_only):
        torch.manual_seed(0)
        model = train(make(), *moving_ball(EXAMPLES, x_range=LEFT))
        errors = [test(model, (LEFT[0] + shift, LEFT[1] + shift)) for shift in SHIFTS]
        print(f"{make.__name__:13}" + "".join(f"{error:7.3f}" for error in errors))
        if make in kept:
            save_half(model, f"{kept[make]}_left")


if __name__ == "__main__":
    main()
