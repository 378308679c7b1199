"""all-MiniLM-L6-v2: a small pretrained transformer, and its tokenizer, from shipped int8 weights.

Wang et al., MiniLM, 2020, trained further by sentence-transformers; Apache 2.0. `data/README.md`
says how the copy was made and how far it is from the original.
"""

import functools
import string
import unicodedata
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .data import DataError, path

LAYERS, HEADS, WIDTH, HIDDEN, POSITIONS = 6, 12, 384, 1536, 128
START, END, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
GROUP = 64
"""Neighbouring weights of a row that share one scale."""

Attention = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""``attention(q, k, v)``, (heads, n, d_k) each -> outputs alike and weights (heads, n, n)."""


# ---- words to pieces


def split(text: str) -> list[str]:
    """Lower-case words and single punctuation marks, without accents."""
    found = ""
    for c in unicodedata.normalize("NFD", text):
        kind = unicodedata.category(c)
        if c.isspace():
            found += " "
        elif kind.startswith("P") or c in string.punctuation:
            found += f" {c} "
        elif kind != "Mn" and not kind.startswith("C"):  # neither an accent nor invisible
            found += c.lower()
    return found.split()


def pieces(word: str, vocabulary: Collection[str]) -> list[str]:
    """A word as the longest pieces of the vocabulary, from the left; inner ones begin with ##."""
    found: list[str] = []
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                break
        else:
            return [UNKNOWN]
        found.append(piece)
        start = end
    return found


def tokenize(text: str, vocabulary: Collection[str]) -> list[str]:
    """[CLS], the pieces of each word, [SEP]: WordPiece (Schuster and Nakajima, 2012)."""
    return [START, *(p for word in split(text) for p in pieces(word, vocabulary)), END]


# ---- the encoder


class Block(nn.Module):
    """Self-attention, then a small dense net at each place; both are added to their input."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.output = nn.Linear(WIDTH, WIDTH)
        self.attention_norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of every head, (HEADS, n, WIDTH / HEADS), of x (n, WIDTH)."""
        return tuple(
            layer(x).reshape(len(x), HEADS, -1).transpose(0, 1)
            for layer in (self.query, self.key, self.value)
        )

    def forward(self, x: Tensor, attention: Attention) -> tuple[Tensor, Tensor]:
        z, weights = attention(*self.heads(x))
        z = z.transpose(0, 1).reshape(len(x), WIDTH)
        x = self.attention_norm(x + self.output(z))
        return self.norm(x + self.down(F.gelu(self.up(x)))), weights


class MiniLM(nn.Module):
    """6 layers of 12 heads; token numbers (n,) -> vectors (n, 384) and weights (6, 12, n, n).

    ``attention`` is the function that every head uses: the reader's own may be passed.
    """

    def __init__(self, vocabulary: list[str]) -> None:
        super().__init__()
        self.vocabulary = {piece: number for number, piece in enumerate(vocabulary)}
        # Empty, for they are read from a file: random numbers for all words take a while.
        self.words = nn.Embedding.from_pretrained(torch.empty(len(vocabulary), WIDTH))
        self.positions = nn.Embedding.from_pretrained(torch.empty(POSITIONS, WIDTH))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text, [CLS] and [SEP] included."""
        return tokenize(text, self.vocabulary)

    def numbers(self, tokens: list[str]) -> Tensor:
        """The vocabulary's numbers (n,) of pieces."""
        return torch.tensor([self.vocabulary[token] for token in tokens])

    def embed(self, tokens: list[str], positions: bool = True) -> Tensor:
        """What enters the first layer, (n, 384); without positions every word is at place 0."""
        places = torch.arange(len(tokens)) * positions
        return self.norm(self.words(self.numbers(tokens)) + self.positions(places))

    def forward(self, tokens: list[str], attention: Attention) -> tuple[Tensor, Tensor]:
        x = self.embed(tokens)
        maps = []
        for block in self.blocks:
            x, weights = block(x, attention)
            maps.append(weights)
        return x, torch.stack(maps)


# ---- the shipped copy


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, columns) -> int8 of that shape, and float16 scales (rows, columns / GROUP)."""
    groups = weight.reshape(len(weight), -1, GROUP)
    scales = (groups.abs().amax(dim=2) / 127).clamp(min=1e-6).half()
    whole = (groups / scales.float()[..., None]).round().clamp(-127, 127)
    return whole.to(torch.int8).reshape(weight.shape), scales


def restore(whole: Tensor, scales: Tensor) -> Tensor:
    """The inverse of ``quantize``, as float32: off by at most half a scale."""
    groups = whole.reshape(*scales.shape, -1).float()
    return (groups * scales.float()[..., None]).reshape(whole.shape)


def unpacked(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by name from the shipped form: int8 with ``.scales``, the others as float16."""
    return {
        name: restore(part, packed[f"{name}.scales"]) if part.dtype == torch.int8 else part.float()
        for name, part in packed.items()
        if not name.endswith(".scales")
    }


@functools.cache
def load() -> MiniLM:
    """The shipped transformer, read once. Raises DataError."""
    from safetensors.torch import load_file

    lines = path("minilm_vocabulary.txt").read_text(encoding="utf-8").splitlines()
    model = MiniLM(lines)
    file = path("weights/minilm.safetensors")
    try:
        model.load_state_dict(unpacked(load_file(file)), assign=True)
    except (RuntimeError, KeyError) as error:
        raise DataError(f"{file.name} does not fit this MiniLM: {error}") from None
    return model.eval().requires_grad_(False)
