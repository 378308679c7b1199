"""Train the generator of heads that 07_gan ships: data/weights/heads_gan.safetensors, and the
pictures of its training, data/heads_training.webp.

    python data/build/heads_gan.py

About 10 s an epoch on one core. What goes beyond the notebook's loop is there because 840 drawings
are few: the same random changes on real and fake (Zhao et al. 2020, arXiv:2006.10738), a penalty on
D's slope at real pictures (Mescheder et al. 2018, arXiv:1801.04406), the spread of the batch as a
feature of D (Karras et al. 2018, arXiv:1710.10196), and an average over G's last weights.
"""

import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from save import save_half
from torch import Tensor, nn

from lecture_utils.data import HEAD_EPOCHS
from lecture_utils.models import Generator

DATA = Path(__file__).resolve().parents[1]
NZ, NGF, NDF = 100, 32, 24
BATCH, EPOCHS = 32, HEAD_EPOCHS[-1]
PENALTY_EVERY, PENALTY = 16, 0.15
REACH, HOLE = 8, 14
"""Pixels that a picture is moved by at most; half the side of the square that is blanked."""


class Critic(nn.Module):
    """D without normalisation; its last feature is how much a group of 8 pictures varies."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in (NDF, 2 * NDF, 4 * NDF, 8 * NDF):
            layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
            channels = width
        self.net = nn.Sequential(*layers)
        self.out = nn.Linear(channels * 16 + 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        h = self.net(pictures)
        group = min(8, len(h))
        spread = h.view(-1, group, *h.shape[1:]).std(1, unbiased=False).mean((1, 2, 3))
        features = torch.cat([h.flatten(1), spread.repeat_interleave(group)[:, None]], 1)
        return self.out(features)[:, 0]


def weights_as_in_dcgan(G: nn.Module) -> None:
    for module in G.modules():
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)


def change(pictures: Tensor) -> Tensor:
    """Random brightness, saturation, contrast, place, and a blanked square; differentiable."""
    n = len(pictures)
    v = pictures + (torch.rand(n, 1, 1, 1) - 0.5) * 0.6
    grey = v.mean(1, keepdim=True)
    v = (v - grey) * (torch.rand(n, 1, 1, 1) * 2) + grey
    middle = v.mean((1, 2, 3), keepdim=True)
    v = (v - middle) * (torch.rand(n, 1, 1, 1) + 0.5) + middle
    dx = torch.randint(-REACH, REACH + 1, (n,))
    dy = torch.randint(-REACH, REACH + 1, (n,))
    padded = F.pad(v, (REACH,) * 4, value=1.0)
    line = torch.arange(64)
    columns, rows = line + REACH + dx[:, None], line + REACH + dy[:, None]
    v = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    v = v.permute(0, 3, 1, 2)
    cx = torch.randint(-8, 72, (n, 1, 1, 1))
    cy = torch.randint(-8, 72, (n, 1, 1, 1))
    hole = ((line.view(1, 1, 1, 64) - cx).abs() < HOLE) & (
        (line.view(1, 1, 64, 1) - cy).abs() < HOLE
    )
    return v * (~hole)


def sheet(G: nn.Module, noise: Tensor) -> np.ndarray:
    """32 pictures, 4 rows of 8, as (256, 512, 3) uint8."""
    with torch.no_grad():
        made = G(noise)[:32]
    pixels = ((made + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return pixels.reshape(4, 8, 64, 64, 3).transpose(0, 2, 1, 3, 4).reshape(256, 512, 3)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with np.load(DATA / "heads.npz") as arrays:
        images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    G = Generator(NZ, NGF, 3)
    weights_as_in_dcgan(G)
    D = Critic()
    mean = copy.deepcopy(G).eval()
    opt_G = torch.optim.Adam(G.parameters(), 2.5e-4, betas=(0.0, 0.99))
    opt_D = torch.optim.Adam(D.parameters(), 2.5e-4, betas=(0.0, 0.99))
    fixed = torch.randn(64, NZ, generator=torch.Generator().manual_seed(7))[:, :, None, None]
    turn, frames = 0, []

    def noise() -> Tensor:
        return torch.randn(BATCH, NZ)[:, :, None, None]

    for epoch in range(1, EPOCHS + 1):
        order = torch.randperm(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            real = images[order[start : start + BATCH]]
            real = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, real.flip(3), real)
            with torch.no_grad():
                fake = G(noise())
            real = change(real).requires_grad_(turn % PENALTY_EVERY == 0)
            d_real = D(real)
            d_loss = F.softplus(-d_real).mean() + F.softplus(D(change(fake))).mean()
            if real.requires_grad:
                (slope,) = torch.autograd.grad(d_real.sum(), real, create_graph=True)
                penalty = PENALTY_EVERY * PENALTY * slope.square().sum((1, 2, 3)).mean()
                d_loss = d_loss + penalty
            opt_D.zero_grad()
            d_loss.backward()
            opt_D.step()
            D.requires_grad_(False)
            g_loss = F.softplus(-D(change(G(noise())))).mean()
            opt_G.zero_grad()
            g_loss.backward()
            opt_G.step()
            D.requires_grad_(True)
            keep = min(0.998, (1 + turn) / (20 + turn))
            with torch.no_grad():
                for old, new in zip(mean.parameters(), G.parameters(), strict=True):
                    old.lerp_(new, 1 - keep)
                for old, new in zip(mean.buffers(), G.buffers(), strict=True):
                    old.lerp_(new, 1 - keep) if old.is_floating_point() else old.copy_(new)
            turn += 1
        if epoch in HEAD_EPOCHS:
            frames.append(sheet(mean, fixed))
            print(f"epoch {epoch}: D {d_loss.item():.3f}, G {g_loss.item():.3f}", flush=True)
    save_half(mean, "heads_gan")
    Image.fromarray(np.concatenate(frames)).save(DATA / "heads_training.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
