"""Train LSTMs of a single cell: data/weights/gates_hold.safetensors, gates_count.safetensors.

Each step shows a number and, now and then, a mark. One LSTM must hold the number that was marked
last, the other count the marks. Run from anywhere:

    python data/build/gates.py
"""

import torch
from save import save_half
from torch import Tensor
from torch.nn import functional as F

from lecture_utils.models import Recurrent

LENGTH, BATCH_SIZE, STEPS = 16, 64, 1500


def marked(n: int, share: float, generator: torch.Generator) -> Tensor:
    numbers = torch.rand(n, LENGTH, generator=generator) * 2 - 1
    marks = (torch.rand(n, LENGTH, generator=generator) < share).float()
    return torch.stack([numbers, marks], dim=2)


def hold(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = marked(n, 0.25, generator)
    x[:, 0, 1] = 1
    steps = torch.arange(LENGTH).expand(n, LENGTH)
    last = torch.where(x[..., 1] == 1, steps, 0).cummax(dim=1).values
    return x, x[..., 0].gather(1, last)


def count(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = marked(n, 0.3, generator)
    return x, x[..., 1].cumsum(dim=1)


def turn(net: Recurrent) -> None:
    """Give the cell the sign of the answer: -c and -h in place of c and h answer the same."""
    weights = dict(net.named_parameters())
    with torch.no_grad():
        if net.output.weight < 0:
            net.output.weight.neg_()
            weights["cell.weight_hh_l0"].neg_()
            for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
                weights[f"cell.{name}"][2].neg_()  # the candidate's row


def train(task: object, seed: int) -> Recurrent:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = Recurrent("LSTM", inputs=2, hidden_size=1, outputs=1)
    with torch.no_grad():
        net.cell.bias_hh_l0[1] = 1.0  # the forget gate starts nearly open
    optimizer = torch.optim.Adam(net.parameters(), 0.03)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.03 if step < 1000 else 0.005
        x, target = task(BATCH_SIZE, generator)
        loss = F.mse_loss(net(x)[..., 0], target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    turn(net)
    return net


def main() -> None:
    torch.set_num_threads(1)
    for task, seed in ((hold, 1), (count, 0)):
        net = train(task, seed)
        x, target = task(1000, torch.Generator().manual_seed(100))
        with torch.no_grad():
            error = F.mse_loss(net(x)[..., 0], target)
        print(f"{task.__name__}: test MSE {error:.4f}, variance {target.var():.2f}")
        save_half(net, f"gates_{task.__name__}")


if __name__ == "__main__":
    main()
