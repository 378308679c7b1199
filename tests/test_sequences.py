"""The made-up tasks: their answers are right by a plain reading of each example."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lecture_utils.sequences import IGNORED, LETTERS, key_values, reversals


@settings(deadline=None)
@given(st.integers(1, 26), st.integers(0, 10**6), st.sampled_from(["key", "last"]))
def test_the_value_asked_for(pairs: int, seed: int, ask: str) -> None:
    x, answers = key_values(5, pairs, seed, ask)
    assert x.shape == (5, pairs + 1, 36) and answers.shape == (5,)
    for row, answer in zip(x, answers.tolist(), strict=True):
        listed = [(int(step[:26].argmax()), int(step[26:].argmax())) for step in row[:-1]]
        assert row[:-1].sum(dim=1).tolist() == [2.0] * pairs
        assert len(dict(listed)) == pairs, "a key comes twice"
        if ask == "last":
            assert not row[-1].any() and listed[-1][1] == answer
        else:
            assert row[-1].sum() == 1 and dict(listed)[int(row[-1].argmax())] == answer


def test_lists_repeat_with_their_seed_only() -> None:
    one, same, other = (key_values(20, 4, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_every_value_and_place_is_asked_for() -> None:
    x, answers = key_values(4000, 4, 0)
    assert answers.unique().tolist() == list(range(10))
    asked = (x[:, :-1, :26] * x[:, -1:, :26]).sum(dim=2).argmax(dim=1)
    assert (torch.bincount(asked) / 4000 - 0.25).abs().max() < 0.03


@pytest.mark.parametrize(("pairs", "ask"), [(0, "key"), (27, "key"), (3, "first")])
def test_impossible_lists_are_refused(pairs: int, ask: str) -> None:
    with pytest.raises(ValueError, match="ask must be"):
        key_values(1, pairs, 0, ask)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 5))
def test_reversals(seed: int, shortest: int, more: int) -> None:
    longest = shortest + more
    tokens, targets = reversals(6, seed, shortest, longest)
    assert tokens.shape == targets.shape == (6, 2 * longest)
    for row, target in zip(tokens.tolist(), targets.tolist(), strict=True):
        n = row.index(12)
        string = row[:n]
        assert shortest <= n <= longest and max(string) < len(LETTERS)
        answer = string[::-1]
        assert row[n + 1 :] == (answer + [13] * (2 * (longest - n)))[: len(row) - n - 1]
        assert target == [IGNORED] * n + answer + [IGNORED] * (2 * longest - 2 * n)


def test_all_lengths_and_letters_come() -> None:
    tokens, targets = reversals(2000, 0)
    assert (targets != IGNORED).sum(dim=1).unique().tolist() == list(range(1, 9))
    assert tokens.unique().tolist() == list(range(14))
