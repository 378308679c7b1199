"""Measure who can look a key up in a list of pairs: data/recall.csv.

An RNN, an LSTM and one layer of attention, all 64 wide, the same 1000 steps for each length and
three seeds. Takes about four minutes of one core. Run from anywhere:

    python data/build/recall.py
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lecture_utils.models import Recurrent
from lecture_utils.sequences import KEYS, VALUES, key_values

PAIRS, SEEDS = (2, 4, 8, 16, 24), 3
STEPS, BATCH_SIZE, LEARNING_RATE, WIDTH = 1000, 64, 3e-3, 64
TEST_SEED = 10**6


class Reader(nn.Module):
    """One head of attention: the last step asks, all steps answer. (N, T, 36) -> (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(KEYS + VALUES, WIDTH) for _ in range(3))
        self.output = nn.Linear(WIDTH, VALUES)

    def forward(self, x: Tensor) -> Tensor:
        z = F.scaled_dot_product_attention(self.query(x[:, -1:]), self.key(x), self.value(x))
        return self.output(z[:, 0])


class Last(Recurrent):
    """A recurrent net that answers at the last step only. (N, T, 36) -> (N, 10)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, -1]


def nets() -> dict[str, nn.Module]:
    return {
        "RNN": Last("RNN", KEYS + VALUES, WIDTH, VALUES),
        "LSTM": Last("LSTM", KEYS + VALUES, WIDTH, VALUES),
        "attention": Reader(),
    }


def train(net: nn.Module, pairs: int, seed: int) -> float:
    """Train on fresh lists; the share of 2000 new ones answered right."""
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    for k in range(STEPS):
        x, y = key_values(BATCH_SIZE, pairs, STEPS * seed + k)
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    x, y = key_values(2000, pairs, TEST_SEED)
    with torch.no_grad():
        return (net(x).argmax(dim=1) == y).float().mean().item()


def main() -> None:
    torch.set_num_threads(1)
    lines = ["net,pairs,seed,accuracy"]
    for name in ("RNN", "LSTM", "attention"):
        for pairs in PAIRS:
            for seed in range(SEEDS):
                torch.manual_seed(seed)
                accuracy = train(nets()[name], pairs, seed)
                lines.append(f"{name},{pairs},{seed},{accuracy:.4f}")
                print(lines[-1], flush=True)
    (Path(__file__).resolve().parents[1] / "recall.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
