"""Made-up sequence tasks whose answer is known: look a key up, reverse a string."""

import torch
from torch import Tensor

KEYS, VALUES = 26, 10
LETTERS = "abcdefghijkl"
SEPARATOR, PADDING = len(LETTERS), len(LETTERS) + 1
IGNORED = -100
"""The target that ``cross_entropy`` leaves out."""


def key_values(n: int, pairs: int, seed: int, ask: str = "key") -> tuple[Tensor, Tensor]:
    """Lists of pairs and a question: x (n, pairs + 1, 36), the value asked for (n,).

    A step holds a key of 26 and a value of 10, one-hot side by side; no key comes twice. The last
    step is the question: with ``ask="key"`` one of the keys, without its value. With
    ``ask="last"`` it is empty, and the answer is the value of the last pair.
    Raises ValueError for another question or more pairs than keys.
    """
    if ask not in ("key", "last") or not 1 <= pairs <= KEYS:
        raise ValueError(f"ask must be 'key' or 'last' and pairs 1..{KEYS}: {ask!r}, {pairs}")
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(n, KEYS, generator=generator).argsort(dim=1)[:, :pairs]
    values = torch.randint(VALUES, (n, pairs), generator=generator)
    place = torch.randint(pairs, (n,), generator=generator)
    rows = torch.arange(n)
    x = torch.zeros(n, pairs + 1, KEYS + VALUES)
    x[:, :pairs].scatter_(2, keys[..., None], 1.0)
    x[:, :pairs].scatter_(2, KEYS + values[..., None], 1.0)
    if ask == "last":
        return x, values[:, -1]
    x[rows, pairs, keys[rows, place]] = 1.0
    return x, values[rows, place]


def reversals(n: int, seed: int, shortest: int = 1, longest: int = 8) -> tuple[Tensor, Tensor]:
    """Strings and their reversals, such as cab>bac: tokens and targets, (n, 2 * longest) int64.

    Letters are 0..11, ">" is 12, 13 fills up. Target t is token t + 1, from ">" on; the string
    itself, which nobody could guess, and the filling have the target -100.
    """
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(shortest, longest + 1, (n, 1), generator=generator)
    strings = torch.randint(len(LETTERS), (n, longest), generator=generator)
    t = torch.arange(2 * longest + 1)
    source = torch.where(t < lengths, t, 2 * lengths - t).clamp(0, longest - 1)
    whole = strings.gather(1, source)
    whole = torch.where(t == lengths, SEPARATOR, whole)
    whole = torch.where(t > 2 * lengths, PADDING, whole)
    answered = (t[:-1] >= lengths) & (t[:-1] < 2 * lengths)
    return whole[:, :-1], torch.where(answered, whole[:, 1:], IGNORED)
