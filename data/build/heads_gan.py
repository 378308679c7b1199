"""Train the generator of heads that 07_gan ships: data/weights/heads_gan.safetensors, and the
pictures of its training, data/heads_training.webp.

    python data/build/heads_gan.py [--state FILE]

About 6 s an epoch on one core. With ``--state`` everything is kept in FILE every ten epochs; the
same command goes on from there, to the same bytes as without a break. To train for longer, add
epochs to ``HEAD_EPOCHS`` and give the FILE again.

What goes beyond the notebook's loop is there because 840 drawings
are few: the same random changes on real and fake (Zhao et al. 2020, arXiv:2006.10738), a penalty on
D's slope at real pictures (Mescheder et al. 2018, arXiv:1801.04406), the spread of the batch as a
feature of D (Karras et al. 2018, arXiv:1710.10196), and an average over G's last weights.
"""

import argparse
import copy
import os
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
BATCH = 32
SAVE_EVERY = 10
"""Epochs. These, and those of ``HEAD_EPOCHS``, also leave a sheet of pictures."""
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


class Training:
    """The nets, their optimizers and what is kept of them, between two epochs."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.G = Generator(NZ, NGF, 3)
        weights_as_in_dcgan(self.G)
        self.D = Critic()
        self.mean = copy.deepcopy(self.G).eval()
        self.opt_G, self.opt_D = (
            torch.optim.Adam(net.parameters(), 2.5e-4, betas=(0.0, 0.99))
            for net in (self.G, self.D)
        )
        self.fixed = noise(64, torch.Generator().manual_seed(7))
        self.epoch = self.turn = 0
        self.sheets: dict[int, Tensor] = {}

    def train_epoch(self, images: Tensor) -> tuple[float, float]:
        """One pass over ``images`` (N, 3, 64, 64) in -1..1; the last losses of D and G."""
        order = torch.randperm(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            losses = self.turn_of(images[order[start : start + BATCH]])
        self.epoch += 1
        if self.epoch in HEAD_EPOCHS or self.epoch % SAVE_EVERY == 0:
            self.sheets[self.epoch] = torch.from_numpy(sheet(self.mean, self.fixed))
        return losses

    def turn_of(self, real: Tensor) -> tuple[float, float]:
        """One step of D and one of G; then the average follows G."""
        real = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, real.flip(3), real)
        with torch.no_grad():
            fake = self.G(noise(BATCH))
        real = change(real).requires_grad_(self.turn % PENALTY_EVERY == 0)
        d_real = self.D(real)
        d_loss = F.softplus(-d_real).mean() + F.softplus(self.D(change(fake))).mean()
        if real.requires_grad:
            (slope,) = torch.autograd.grad(d_real.sum(), real, create_graph=True)
            penalty = PENALTY_EVERY * PENALTY * slope.square().sum((1, 2, 3)).mean()
            d_loss = d_loss + penalty
        self.opt_D.zero_grad()
        d_loss.backward()
        self.opt_D.step()
        self.D.requires_grad_(False)
        g_loss = F.softplus(-self.D(change(self.G(noise(BATCH))))).mean()
        self.opt_G.zero_grad()
        g_loss.backward()
        self.opt_G.step()
        self.D.requires_grad_(True)
        keep = min(0.998, (1 + self.turn) / (20 + self.turn))
        with torch.no_grad():
            for old, new in zip(self.mean.parameters(), self.G.parameters(), strict=True):
                old.lerp_(new, 1 - keep)
            for old, new in zip(self.mean.buffers(), self.G.buffers(), strict=True):
                old.lerp_(new, 1 - keep) if old.is_floating_point() else old.copy_(new)
        self.turn += 1
        return d_loss.item(), g_loss.item()

    def save(self, file: Path) -> None:
        """Everything that the next epoch depends on, the random numbers included."""
        parts = {name: getattr(self, name).state_dict() for name in PARTS}
        kept = {"epoch": self.epoch, "turn": self.turn, "sheets": self.sheets}
        beside = file.with_name(file.name + ".new")
        torch.save(parts | kept | {"random": torch.get_rng_state()}, beside)
        os.replace(beside, file)  # whole, or not at all

    def load(self, file: Path) -> None:
        kept = torch.load(file, weights_only=True)
        for name in PARTS:
            getattr(self, name).load_state_dict(kept[name])
        self.epoch, self.turn, self.sheets = kept["epoch"], kept["turn"], kept["sheets"]
        torch.set_rng_state(kept["random"])


PARTS = ("G", "D", "mean", "opt_G", "opt_D")


def noise(count: int, generator: torch.Generator | None = None) -> Tensor:
    return torch.randn(count, NZ, generator=generator)[:, :, None, None]


def train(epochs: int, state: Path | None = None) -> Training:
    """Train for ``epochs`` in all, those in the file ``state`` included if there is one."""
    torch.set_num_threads(1)
    with np.load(DATA / "heads.npz") as arrays:
        images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    training = Training()
    if state is not None and state.exists():
        training.load(state)
    while training.epoch < epochs:
        d_loss, g_loss = training.train_epoch(images)
        if training.epoch in training.sheets:
            print(f"epoch {training.epoch}: D {d_loss:.3f}, G {g_loss:.3f}", flush=True)
        if state is not None and (training.epoch % SAVE_EVERY == 0 or training.epoch == epochs):
            training.save(state)
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=Path, help="file to go on from, and to save into")
    training = train(HEAD_EPOCHS[-1], parser.parse_args().state)
    missing = [epoch for epoch in HEAD_EPOCHS if epoch not in training.sheets]
    if training.epoch != HEAD_EPOCHS[-1] or missing:
        raise SystemExit(f"The state is of epoch {training.epoch}; it has no sheet of {missing}.")
    save_half(training.mean, "heads_gan")
    tall = np.concatenate([training.sheets[epoch].numpy() for epoch in HEAD_EPOCHS])
    Image.fromarray(tall).save(DATA / "heads_training.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
