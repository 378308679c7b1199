"""Record the trainings of the exercise "diagnose the run": data/backprop_runs.npz.

Trains the recipe of 03_backprop, with the cells of the notebook, each time with one ingredient
taken out. Run from anywhere:

    python data/build/backprop_runs.py
"""

from pathlib import Path

import nbformat
import numpy as np
import torch

from lecture_utils import data
from lecture_utils.demos.backprop_recipe import Training, as_arrays, record

ROOT = Path(__file__).resolve().parents[2]
CELLS = ("setup", "recipe-net", "recipe-step")
RUNS = {  # name: seed, the ingredient taken out
    "healthy": (0, ""),
    "A": (1, "scaling"),
    "B": (2, "backprop"),
    "C": (3, "zero_grad"),
    "D": (4, "initialization"),
    "E": (5, "zero_grad"),
    "F": (6, "backprop"),
    "G": (7, "scaling"),
    "H": (8, "initialization"),
    "I": (9, "zero_grad"),
}


def main() -> None:
    torch.set_num_threads(1)
    names: dict[str, object] = {}
    for cell in nbformat.read(ROOT / "notebooks" / "03_backprop.ipynb", as_version=4).cells:
        if cell.id in CELLS:
            exec(cell.source, names)
    digits, arrays = data.mnist(), {}
    for name, (seed, missing) in RUNS.items():
        recipe = names["healthy"] | ({missing: False} if missing else {})
        training = Training(names["make_net"], names["train_step"], names["prepare"], seed)
        found = as_arrays(record(training, recipe, digits))
        arrays |= {f"{name}/{key}": value for key, value in found.items()}
        print(name, missing, f"accuracy {found['accuracy'][-1]:.3f}")
    np.savez_compressed(ROOT / "data" / "backprop_runs.npz", **arrays)


if __name__ == "__main__":
    main()
