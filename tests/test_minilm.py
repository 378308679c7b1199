"""The shipped transformer and its tokenizer, against what the original made."""

import string
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lecture_utils import minilm
from lecture_utils.data import DataError, path

README = path("mnist.npz").with_name("README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    return minilm.load()


@pytest.fixture(scope="module")
def original() -> dict[str, np.ndarray]:
    with np.load(path("minilm_reference.npz")) as arrays:
        return dict(arrays)


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple:
    """By PyTorch: the weights are what identity values give."""
    n = k.shape[-2]
    identity = torch.eye(n).expand(*k.shape[:-2], n, n)
    weights = F.scaled_dot_product_attention(q, k, identity, scale=q.shape[-1] ** -0.5)
    return F.scaled_dot_product_attention(q, k, v), weights


def test_pieces_are_the_original_tokenizer_s(
    model: minilm.MiniLM, original: dict[str, np.ndarray]
) -> None:
    assert len(original["texts"]) > 20
    for text, words in zip(original["texts"], original["pieces"], strict=True):
        assert " ".join(model.tokenize(str(text))) == str(words), str(text)


def test_weights_are_near_the_original_s(
    model: minilm.MiniLM, original: dict[str, np.ndarray]
) -> None:
    largest = 0.0
    for k, sentence in enumerate(original["sentences"]):
        x, maps = model(model.tokenize(str(sentence)), attention)
        reference = original[f"map_{k}"]
        assert maps.shape == reference.shape == (6, 12, len(x), len(x))
        assert torch.allclose(maps.sum(dim=-1), torch.ones(()), atol=1e-5)
        largest = max(largest, float(np.abs(maps.numpy() - reference).max()))
    assert largest < 0.035
    assert f"more than\n{largest:.4f} from the original's" in README


def test_another_attention_would_be_noticed(
    model: minilm.MiniLM, original: dict[str, np.ndarray]
) -> None:
    tokens = model.tokenize(str(original["sentences"][0]))
    unscaled = model(tokens, lambda q, k, v: attention(q * q.shape[-1] ** 0.5, k, v))[1]
    assert float(np.abs(unscaled.numpy() - original["map_0"]).max()) > 0.3


@settings(max_examples=200, deadline=None)
@given(st.text(string.ascii_letters + string.digits + string.punctuation + " ", max_size=60))
def test_any_ascii_text_is_split_and_can_be_put_together(text: str) -> None:
    model = minilm.load()
    tokens = model.tokenize(text)
    assert tokens[0] == "[CLS]" and tokens[-1] == "[SEP]"
    assert "[UNK]" not in tokens
    joined = "".join(token.removeprefix("##") for token in tokens[1:-1])
    assert joined == "".join(text.lower().split())
    assert model.numbers(tokens).shape == (len(tokens),)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_no_text_is_too_strange(text: str) -> None:
    tokens = minilm.load().tokenize(text)
    assert minilm.load().numbers(tokens).shape == (len(tokens),)
    assert not any(unicodedata.category(c) == "Mn" for token in tokens for c in token)


def test_longest_piece_first() -> None:
    vocabulary = {"un", "una", "##ble", "##b", "##l", "##e", "unable"}
    assert minilm.pieces("unable", vocabulary) == ["unable"]
    assert minilm.pieces("unable", vocabulary - {"unable"}) == ["una", "##ble"]
    assert minilm.pieces("unx", vocabulary) == ["[UNK]"]
    assert minilm.tokenize("Unable!", vocabulary | {"!"}) == ["[CLS]", "unable", "!", "[SEP]"]


def test_every_letter_is_a_piece(model: minilm.MiniLM) -> None:
    for letter in string.ascii_lowercase + string.digits:
        assert letter in model.vocabulary and f"##{letter}" in model.vocabulary
    assert all(mark in model.vocabulary for mark in string.punctuation)
    assert len(model.vocabulary) == 11_000


def test_positions_are_added_before_the_first_layer(model: minilm.MiniLM) -> None:
    tokens = ["[CLS]", "dog", "dog", "[SEP]"]
    there, same = model.embed(tokens), model.embed(tokens, positions=False)
    assert not torch.allclose(there[1], there[2], atol=1e-2)
    assert torch.equal(same[1], same[2])
    assert torch.allclose(there.mean(dim=1), there.new_zeros(4), atol=0.2)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**6), st.floats(1e-3, 100))
def test_quantized_weights_are_off_by_half_a_scale(
    rows: int, groups: int, seed: int, size: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = size * torch.randn(rows, groups * minilm.GROUP, generator=generator)
    whole, scales = minilm.quantize(weight)
    assert whole.dtype == torch.int8 and scales.shape == (rows, groups)
    error = (minilm.restore(whole, scales) - weight).abs()
    allowed = scales.float().repeat_interleave(minilm.GROUP, dim=1)
    assert (error <= 0.5 * allowed * 1.15 + 1e-6).all()


def test_a_file_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    minilm.load.cache_clear()
    monkeypatch.setattr("safetensors.torch.load_file", lambda file: {"words.weight": torch.ones(1)})
    with pytest.raises(DataError, match="minilm.safetensors does not fit"):
        minilm.load()
    monkeypatch.undo()
    assert isinstance(minilm.load(), minilm.MiniLM)
