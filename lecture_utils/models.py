"""Networks that more than one notebook uses. Images are NCHW: (batch, channels, height, width)."""

from torch import Tensor, nn


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
