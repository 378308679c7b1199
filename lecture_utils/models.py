"""Networks that more than one notebook uses. Images are NCHW: (batch, channels, height, width)."""

import torch
from torch import Tensor, nn

from . import minilm


def count_parameters(module: nn.Module) -> int:
    """How many numbers training may change."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class DigitsCNN(nn.Module):
    """A small convolutional net for digits: (N, 1, 28, 28) -> logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),  # 28 x 28
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 14 x 14
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 7 x 7
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(32 * 7 * 7, 10))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))


class BallDense(nn.Module):
    """The deck's dense net: four frames (N, 4, 50, 50) -> velocity (N, 2), pixels a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(4 * 50 * 50, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 512),
            nn.ReLU(),
            nn.Linear(512, 2),
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(frames)


class BallConv(nn.Module):
    """The deck's convolutional net: four frames (N, 4, 50, 50) -> velocity (N, 2), pixels a frame.

    Flattening gives every position weights of its own: where the ball is still matters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(4, 32, kernel_size=8, stride=4),  # 11 x 11
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2),  # 4 x 4
            nn.ReLU(),
            nn.Conv2d(64, 64, kernel_size=3, stride=1),  # 2 x 2
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * 2 * 2, 512), nn.ReLU(), nn.Linear(512, 2)
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.head(self.features(frames))


class BallConvPool(nn.Module):
    """`BallConv` with padding, and with each channel's maximum in place of flattening.

    Padding gives 49 positions to look from instead of 4, and the maximum forgets which one saw the
    ball: the answer hardly depends on where the ball is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(4, 32, kernel_size=8, stride=4, padding=4),  # 13 x 13
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=2),  # 7 x 7
            nn.ReLU(),
            nn.Conv2d(64, 64, kernel_size=3, stride=1, padding=1),  # 7 x 7
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(1),  # 1 x 1
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 2))

    def forward(self, frames: Tensor) -> Tensor:
        return self.head(self.features(frames))


class Recurrent(nn.Module):
    """An RNN (tanh) or LSTM that answers at every step: (N, T, inputs) -> (N, T, outputs)."""

    def __init__(self, kind: str, inputs: int, hidden_size: int, outputs: int) -> None:
        super().__init__()
        self.cell = {"RNN": nn.RNN, "LSTM": nn.LSTM}[kind](inputs, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cell(x)
        return self.output(states)


class Generator(nn.Module):
    """The deck's generator (DCGAN): noise (N, nz, 1, 1) -> pictures (N, nc, 64, 64) in -1..1.

    Radford, Metz and Chintala 2016, arXiv:1511.06434.
    """

    def __init__(self, nz: int, ngf: int, nc: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 8, 4, 1, 0, bias=False),  # 4 x 4
            nn.BatchNorm2d(ngf * 8),
            nn.ReLU(),
            nn.ConvTranspose2d(ngf * 8, ngf * 4, 4, 2, 1, bias=False),  # 8 x 8
            nn.BatchNorm2d(ngf * 4),
            nn.ReLU(),
            nn.ConvTranspose2d(ngf * 4, ngf * 2, 4, 2, 1, bias=False),  # 16 x 16
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),  # 32 x 32
            nn.BatchNorm2d(ngf),
            nn.ReLU(),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),  # 64 x 64
            nn.Tanh(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        return self.main(noise)


class Discriminator(nn.Module):
    """The deck's discriminator, whole: pictures (N, nc, 64, 64) -> probability of real, (N,)."""

    def __init__(self, nc: int, ndf: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),  # 32 x 32
            nn.LeakyReLU(0.2),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),  # 16 x 16
            nn.LeakyReLU(0.2),
            nn.Dropout(0.25),
            nn.BatchNorm2d(ndf * 2),
            nn.Conv2d(ndf * 2, ndf * 4, 4, 2, 1, bias=False),  # 8 x 8
            nn.LeakyReLU(0.2),
            nn.BatchNorm2d(ndf * 4),
            nn.Dropout(0.25),
            nn.Conv2d(ndf * 4, ndf * 8, 4, 2, 1, bias=False),  # 4 x 4
            nn.LeakyReLU(0.2),
            nn.BatchNorm2d(ndf * 8),
            nn.Dropout(0.25),
            nn.Conv2d(ndf * 8, 1, 4, 1, 0, bias=False),  # 1 x 1
            nn.Sigmoid(),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return self.main(pictures).flatten()


class Attention(nn.Module):
    """softmax(q k^T / sqrt(d_k)) v as a layer, so that a hook sees it; mask True: may look."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.where(mask, float("-inf"))
        return scores.softmax(dim=-1) @ v


class MultiHead(nn.Module):
    """Attention by several heads, each on its part of the width: (N, T, width) -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.attention = heads, Attention()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        parts = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in parts)
        return self.out(self.attention(q, k, v, mask).transpose(-3, -2).flatten(-2))


class TinyTransformer(nn.Module):
    """Letters (N, T) -> logits (N, T, 12); each place sees itself and what comes before."""

    def __init__(self, width: int = 32, heads: int = 2, layers: int = 2, places: int = 20) -> None:
        super().__init__()
        self.letter = nn.Embedding(14, width)  # 12 letters, ">" and filling
        self.place = nn.Embedding(places, width)
        self.attend = nn.ModuleList(MultiHead(width, heads) for _ in range(layers))
        self.dense = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
            for _ in range(layers)
        )
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers + 1))
        self.out = nn.Linear(width, 12)

    def forward(self, tokens: Tensor) -> Tensor:
        n = tokens.shape[1]
        causal = torch.ones(n, n, dtype=torch.bool, device=tokens.device).tril()
        x = self.letter(tokens) + self.place.weight[:n]
        for i, (attend, dense) in enumerate(zip(self.attend, self.dense, strict=True)):
            x = x + attend(self.norm[2 * i](x), causal)
            x = x + dense(self.norm[2 * i + 1](x))
        return self.out(self.norm[-1](x))


class Reader(nn.Module):
    """One head of attention without positions: (N, T, 36) -> logits (N, T, 10)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(36, width) for _ in range(3))
        self.attention = Attention()
        self.out = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.attention(self.q(x), self.k(x), self.v(x)))


class Pretrained(nn.Module):
    """The shipped MiniLM: a text -> a vector for each of its word pieces, (n, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.attention = minilm.load(), Attention()

    def forward(self, text: str) -> Tensor:
        def attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            return self.attention(q, k, v), q.new_zeros(())  # the weights are not wanted here

        return self.net(self.net.tokenize(text), attend)[0]
