"""Train RNNs and LSTMs on the adding problem and keep their curves: data/adding.json.

Three nets, every length, several seeds, all with the same settings. Run from anywhere:

    python data/build/adding.py
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

from lecture_utils.data import adding_problem
from lecture_utils.models import Recurrent

LENGTHS, SEEDS = (10, 20, 30, 50, 100), 2
NETS = {"RNN": ("RNN", 0.0), "LSTM": ("LSTM", 1.0), "LSTM, forget bias 0": ("LSTM", 0.0)}
STEPS, EVERY, HIDDEN_SIZE, BATCH_SIZE, LEARNING_RATE = 1500, 25, 32, 64, 0.01


def train(kind: str, forget_bias: float, length: int, seed: int) -> tuple[list[float], float]:
    """Training error, the mean of every ``EVERY`` steps, and the error on new sequences."""
    torch.manual_seed(seed)
    net = Recurrent(kind, inputs=2, hidden_size=HIDDEN_SIZE, outputs=1)
    if kind == "LSTM":
        with torch.no_grad():
            net.cell.bias_hh_l0[HIDDEN_SIZE : 2 * HIDDEN_SIZE] = forget_bias
            net.cell.bias_ih_l0[HIDDEN_SIZE : 2 * HIDDEN_SIZE] = 0
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    errors = []
    for step in range(STEPS):
        x, target = adding_problem(BATCH_SIZE, length, seed=1 + step + STEPS * seed)
        loss = F.mse_loss(net(x)[:, -1, 0], target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        errors.append(loss.item())
    x, target = adding_problem(1000, length, seed=0)
    with torch.no_grad():
        test = F.mse_loss(net(x)[:, -1, 0], target).item()
    curve = torch.tensor(errors).reshape(-1, EVERY).mean(dim=1)
    return [round(v, 5) for v in curve.tolist()], round(test, 5)


def main() -> None:
    torch.set_num_threads(1)
    results = {}
    for name, (kind, forget_bias) in NETS.items():
        results[name] = {}
        for length in LENGTHS:
            runs = [train(kind, forget_bias, length, seed) for seed in range(SEEDS)]
            curves, tests = zip(*runs, strict=True)
            results[name][length] = {"curves": curves, "test": tests}
            print(f"{name}, T = {length}: test MSE {tests}", flush=True)
    settings = {"steps": STEPS, "every": EVERY, "hidden_size": HIDDEN_SIZE}
    settings |= {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE}
    text = json.dumps({"settings": settings, "results": results}, separators=(",", ":"))
    (Path(__file__).parents[1] / "adding.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
