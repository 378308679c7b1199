"""Train the generator of digits that 07_gan ships, longer than in class, with its own code.

    python data/build/digits_gan.py

The nets and the turn are those of the notebook's cells, for four times as many steps; over the
second half the learning rates fall to a tenth. About 4 minutes on one core.
"""

from pathlib import Path

import nbformat
import torch
from save import save_half

import lecture_utils as lu

ROOT = Path(__file__).resolve().parents[2]
CELLS = ("step", "digits", "digits-panel")
STEPS = 12_000


def main() -> None:
    torch.set_num_threads(1)
    notebook = nbformat.read(ROOT / "notebooks" / "07_gan.ipynb", as_version=4)
    source = {cell.id: cell.source for cell in notebook.cells}
    names: dict[str, object] = {"torch": torch, "nn": torch.nn, "lu": lu}
    for cell in CELLS:
        code = source[cell].split("\ndemos.")[0]  # without the panel
        exec(compile(code, f"<07_gan: {cell}>", "exec"), names)
    G, D = names["G28"], names["D28"]
    digits = names["digits"]
    step = names["digits_step"]
    optimizers = [names["opt_G28"], names["opt_D28"]]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    for k in range(STEPS):
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, 1 - 1.8 * (k / STEPS - 0.5))
        step(k, digits.train_x)
    D.eval()
    save_half(G.eval(), "digits_gan")


if __name__ == "__main__":
    main()
