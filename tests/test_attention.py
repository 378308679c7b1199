"""06_attention: its facts, its functions against PyTorch, its panels against arithmetic."""

import itertools
import math
import re
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from panels import answered, axes_of, send, show, sources, sweep, sweep_all
from torch import nn
from torch.nn import functional as F
from waiting import wait_for

from lecture_utils import data, minilm, panel
from lecture_utils.demos import attention as demos
from lecture_utils.demos.attention_heads import best_of_coins, habits, right_answers, weights_of
from lecture_utils.demos.attention_parts import short
from lecture_utils.demos.attention_training import reverse, shares_right
from lecture_utils.panel import Panel

NOTEBOOK = "06_attention"
CELLS = sources(NOTEBOOK)


def cells_of(ax: Any) -> Any:
    return next(a for a in ax.get_children() if type(a).__name__ == "Cells")


# ---- facts


def test_the_slide_s_numbers(lesson: SimpleNamespace) -> None:
    """112 and 96, 14 and 12, .881 and .119; without the division 0.9999999 and 1e-7."""
    shown = show(lesson, "thinking-panel")
    table = cells_of(axes_of(shown)).numbers
    assert table[3][1:] == ("112", "96")
    assert table[4] == ("÷ √64 = 8", "14", "12")
    assert table[5][1:] == ("0.881", "0.119")
    exact = 1 / (1 + math.exp(-2))
    v1, v2 = (7, 2), (-3, 6)
    z = [exact * a + (1 - exact) * b for a, b in zip(v1, v2, strict=True)]
    assert table[8][1] == f"({z[0]:.2f}, {z[1]:.2f})" and table[8][2] == ""
    shown.apply("fails: not divided")
    table = cells_of(axes_of(shown)).numbers
    assert table[4] == ("not divided", "112", "96")
    assert table[5][1:] == ("0.9999999", "1e-07")
    assert math.isclose(1 / (1 + math.exp(16)), 1e-7, rel_tol=0.2)


def test_the_questions_have_these_answers(lesson: SimpleNamespace) -> None:
    for cell, expected, word in [
        ("thinking-question", "0.12", "7.4"),
        ("softmax-question", "nothing", "same factor"),
        ("scaling-question", "most of it", "Divided by 8"),
        ("stages-question", "exactly 0", "whole"),
        ("order-question", "the same outputs, shuffled alike", "equivariance"),
        ("multi-question", "as many", "share the width"),
        ("heads-question", "1", "The word before"),
        ("story-question", "still the animal", "story"),
        ("reverse-question", "hardly any", "never trained"),
        ("recall-question", "about 30%", "attention 100%"),
    ]:
        assert word in answered(show(lesson, cell), expected), cell
    assert (
        abs(lesson.largest_weight(64, False) - 0.84) < 0.05
        and abs(lesson.largest_weight(64, True) - 0.25) < 0.05
    )


def test_the_paper_s_numbers_stand() -> None:
    paper = CELLS["paper"]
    for number in ("28.4", "41.0", "41.8", "3.5 days on eight GPUs", "1706.03762"):
        assert number in paper
    assert "50 minutes" in CELLS["title"]


# ---- the notebook's functions against PyTorch

shapes = st.tuples(*[st.integers(1, 5) for _ in range(5)])


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 10**6), st.booleans())
def test_attention_is_pytorch_s(
    lesson: SimpleNamespace, shape: tuple[int, ...], seed: int, masked: bool
) -> None:
    batch, n, m, d_k, d_v = shape
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(batch, 2, length, width, generator=generator)
        for length, width in ((n, d_k), (m, d_k), (m, d_v))
    )
    mask = torch.rand(n, m, generator=generator) < 0.6
    mask[:, 0] = True  # a row without any word has no weights
    mask = mask if masked else None
    z, weights = lesson.attention(q, k, v, mask)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert (z - expected).abs().max() < 1e-6 * max(1, expected.abs().max())
    assert torch.allclose(weights.sum(dim=-1), torch.ones(()), atol=1e-6)
    if masked:
        assert not weights[..., ~mask].any()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.sampled_from([1, 2, 4]), st.integers(0, 10**6))
def test_multi_head_is_pytorch_s(
    lesson: SimpleNamespace, batch: int, n: int, heads: int, seed: int
) -> None:
    torch.manual_seed(seed)
    ours, theirs = lesson.MultiHead(8, heads), nn.MultiheadAttention(8, heads, batch_first=True)
    ours.qkv.weight, ours.qkv.bias = theirs.in_proj_weight, theirs.in_proj_bias
    ours.out = theirs.out_proj
    x = torch.randn(batch, n, 8)
    causal = torch.ones(n, n, dtype=torch.bool).tril()
    for mask in (None, causal):
        z, weights = ours(x, mask)
        expected, expected_weights = theirs(
            x, x, x, attn_mask=None if mask is None else ~mask, average_attn_weights=False
        )
        assert (z - expected).abs().max() < 1e-6
        assert (weights - expected_weights).abs().max() < 1e-6


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 3))
def test_look_up_and_softmax(lesson: SimpleNamespace, seed: int, n: int, m: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    q, keys, values = (
        torch.randn(*s, generator=generator, dtype=torch.float64) for s in [(6,), (n, 6), (n, m)]
    )
    scores, scaled, weights, z = lesson.look_up(q, keys, values)
    assert torch.allclose(scores, torch.einsum("d,nd->n", q, keys))
    expected = F.scaled_dot_product_attention(q[None, None], keys[None], values[None])[0, 0]
    assert torch.allclose(z, expected)
    assert torch.allclose(lesson.softmax(scaled, 1.0), weights)
    assert torch.allclose(lesson.softmax(scaled, 0.5), (2 * scaled).softmax(dim=0))
    assert lesson.softmax(torch.tensor([1000.0, 0.0]), 1.0).tolist() == [1, 0]


# ---- by hand


def test_thinking_panel_agrees_with_arithmetic(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "thinking-panel")
    tried = 0
    for query, scale, d_k in itertools.product((0, 1), (True, False), (4, 16, 64, 256)):
        for q, k, v in [
            (((2, 1, 1, 1), (0, 2, 1, 1)), ((2, 1, 1, 1), (1, 2, 1, 1)), ((7, 2), (-3, 6))),
            (((1, 0, 0, -1), (0, 0, 0, 0)), ((0, 1, 0, 1), (1, 0, 1, 0)), ((0, -5), (9, 9))),
        ]:
            shown.set(query=query, scale=scale, d_k=d_k, q=q, k=k, v=v)
            raw = [d_k / 4 * sum(a * b for a, b in zip(q[query], key, strict=True)) for key in k]
            divided = [s / math.sqrt(d_k) for s in raw] if scale else raw
            e = [math.exp(s - max(divided)) for s in divided]
            w = [x / sum(e) for x in e]
            z = [w[0] * a + w[1] * b for a, b in zip(*v, strict=True)]
            table = cells_of(axes_of(shown)).numbers
            read = [[float(x.replace("−", "-")) for x in row[1:]] for row in table[3:6]]
            assert np.allclose(read[0], raw) and np.allclose(read[1], divided, rtol=1e-3)
            assert np.allclose(read[2], w, atol=6e-4)
            words = table[8][1 + query].strip("()").replace("−", "-").split(", ")
            assert np.allclose([float(x) for x in words], z, atol=0.006)
            assert table[8][2 - query] == ""
            tried += 1
    assert tried == 16 * 2
    sweep_all(shown)
    shown.apply("a blend")
    assert cells_of(axes_of(shown)).numbers[5][1:] == ("0.500", "0.500")
    shown.apply("the second word")
    assert "z₂" in shown.message and "“Machines”" in shown.message


def test_temperature_panel(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "softmax-panel")
    for _ in sweep(shown):
        t, add, scores = shown.values.values()
        e = [math.exp((s - max(scores[0])) / t) for s in scores[0]]
        widths = [bar.get_width() for bar in axes_of(shown, 1).patches[:5]]
        assert np.allclose(widths, np.array(e) / sum(e), atol=1e-5)
        assert [bar.get_width() for bar in axes_of(shown).patches[:5]] == [
            s + add for s in scores[0]
        ]
    assert "0.636" in shown.message
    shown.apply("10 more for all")
    assert "<b>0.636</b>" in shown.message
    shown.apply("cold")
    assert "<b>1.000</b>" in shown.message
    shown.apply("hot")
    assert "5.0 of 5" in shown.message


def test_scaling_panel_spreads_as_the_root(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "scaling-panel")
    for _ in sweep(shown):
        d_k = shown.values["d_k"]
        raw, top, divided, top_divided = map(
            float,
            re.search(
                r"spread by ([\d.]+) .*<b>([\d.]+)</b>.*spread ([\d.]+), <b>([\d.]+)</b>",
                shown.message,
            ).groups(),
        )
        assert abs(raw / math.sqrt(d_k) - 1) < 0.15
        assert abs(divided - 1) < 0.15
        assert top >= top_divided
        curves = [line.get_ydata() for line in axes_of(shown, 1).lines]
        assert all(abs(sum(curve) - 1) < 1e-5 for curve in curves)
        assert abs(curves[0][0] - top) < 0.006
    shown.apply("fails: large, not divided")
    assert float(re.search(r"<b>([\d.]+)", shown.message)[1]) > 0.9


# ---- on your own words


def first_layer_by_hand(words: list[str], head: int, positions: bool) -> tuple[np.ndarray, ...]:
    """q, k, v (n, 32) of the model's first layer, from its weights, without its code."""
    state = {k: v.numpy() for k, v in minilm.load().state_dict().items()}
    tokens = ["[CLS]", *words, "[SEP]"]
    numbers = [minilm.load().vocabulary[t] for t in tokens]
    places = range(len(tokens)) if positions else [0] * len(tokens)
    x = state["words.weight"][numbers] + state["positions.weight"][list(places)]
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-12)
    x = x * state["norm.weight"] + state["norm.bias"]
    part = slice(32 * head, 32 * head + 32)
    return tuple(
        (x @ state[f"blocks.0.{name}.weight"][part].T + state[f"blocks.0.{name}.bias"][part])[1:-1]
        for name in ("query", "key", "value")
    )


def test_stages_panel_shows_each_matrix(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "stages-panel")
    words = shown.values["words"].split()
    n = len(words)
    for head, causal, positions in [(6, False, True), (2, True, False)]:
        q, k, v = first_layer_by_hand(words, head, positions)
        scores = q @ k.T
        scaled = scores / math.sqrt(32)
        masked = np.where(np.tri(n, dtype=bool) | (not causal), scaled, -np.inf)
        e = np.exp(masked - masked.max(axis=1, keepdims=True))
        weights = e / e.sum(axis=1, keepdims=True)
        for stage, matrix in enumerate((scores, scaled, masked, weights)):
            shown.set(head=head, causal=causal, positions=positions, stage=stage, word=3)
            digits = 2 if stage == 3 else 1
            written = cells_of(axes_of(shown)).numbers
            for a, row in zip(written, matrix, strict=True):
                for word, value in zip(a, row, strict=True):
                    if not np.isfinite(value):
                        assert word == "−∞"
                    else:
                        number = float(word.replace("−", "-"))
                        assert abs(number - value) < 0.51 * 10 ** -(
                            digits if abs(value) < 10 else 0
                        )
            bars = [float(b.get_width()) for b in axes_of(shown, 1).patches[:n]]
            row = np.where(np.isfinite(matrix[2]), matrix[2], 0)
            assert np.allclose(
                np.array(bars) / np.abs(bars).max(), row / np.abs(row).max(), atol=1e-3
            )
        shown.set(stage=4)
        output = weights @ v
        top = np.abs(output).max()
        colours = cells_of(axes_of(shown)).colours
        blue, orange = output > 0.2 * top, output < -0.2 * top
        assert (colours[..., 2] > colours[..., 0])[blue].all()
        assert (colours[..., 0] > colours[..., 2])[orange].all()
    shown.reset()
    assert sweep_all(shown) > 18


def test_stages_panel_follows_the_pointer_and_the_words(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "stages-panel")
    send(shown, "hover", 0, (2.0, 4.1))
    assert shown.values["word"] == 5 and "“tired”" in shown.message
    send(shown, "leave", 0, (2.0, 4.1))
    assert shown.values["word"] == 5
    shown.set(words="Only two", stage=3)
    assert "“two”" in shown.message
    shown.set(words="one two three four five six seven eight nine ten")
    assert "first 8 of 10" in shown.message
    shown.set(words="")
    assert "Write a word" in shown.message
    shown.reset()
    shown.apply("causal")
    assert "may look at 2 of 7 words" in shown.message
    shown.apply("previous word")
    before = first_layer_by_hand(shown.values["words"].split(), 2, True)
    weights = torch.tensor(before[0] @ before[1].T / math.sqrt(32)).softmax(dim=1)
    assert (weights.argmax(dim=1)[2:] == torch.arange(1, 6)).all()
    shown.apply("fails: no positions")
    without = first_layer_by_hand(shown.values["words"].split(), 2, False)
    weights = torch.tensor(without[0] @ without[1].T / math.sqrt(32)).softmax(dim=1)
    assert (weights.argmax(dim=1)[2:] == torch.arange(1, 6)).float().mean() < 0.5


def test_order_is_lost_without_positions(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "order-panel")
    for _ in sweep(shown):
        words, shuffle, back, head, positions = shown.values.values()
        change = float(re.search(r"<b>([\d.e+-]+)</b>", shown.message)[1])
        if positions and shuffle:
            assert change > 0.05 and "the order matters" in shown.message
        else:
            assert change < 1e-5
            assert ("a bag" in shown.message) == (shuffle > 0)
        left, right = (cells_of(axes_of(shown, k)).colours for k in (0, 1))
        if back and not positions:
            assert np.allclose(left, right, atol=1e-4)
    shown.set(words="one")
    assert "two words" in shown.message


# ---- the real transformer


def test_what_its_heads_do(lesson: SimpleNamespace) -> None:
    """On the original's own weights: layer 0 head 2 before, 1-8 after, 4-5 and 2-9 at rest."""
    with np.load(data.path("minilm_reference.npz")) as original:
        maps = [
            original[f"map_{k}"].astype(float)
            for k, sentence in enumerate(original["sentences"])
            if len(str(sentence)) > 10
        ]
    for name, layer, head, least in [
        ("the word before", 0, 2, 0.97),
        ("the word after", 1, 8, 0.55),
        ("[CLS] or [SEP]", 4, 5, 0.8),
        ("[CLS] or [SEP]", 2, 9, 0.8),
    ]:
        found = np.mean([habits(m)[name] for m in maps], axis=0)
        assert found[layer, head] > least
    before = np.mean([habits(m)["the word before"] for m in maps], axis=0)
    after = np.mean([habits(m)["the word after"] for m in maps], axis=0)
    assert before.argmax() == 2 and (before > 0.5).sum() == 1
    assert after.argmax() == 12 + 8


def test_habits_by_hand() -> None:
    n = 5
    assert habits(np.eye(n))["itself"] == 1 and habits(np.eye(n))["the word before"] == 0
    assert habits(np.eye(n, k=-1))["the word before"] == 1
    assert habits(np.eye(n, k=1))["the word after"] == 1
    ends = np.zeros((n, n))
    ends[:, 0], ends[:, -1] = 0.25, 0.75
    assert habits(ends)["[CLS] or [SEP]"] == 1


def test_it_and_the_animal(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "heads-panel")
    shown.apply("“it” → animal?")
    assert re.search(r"“it” looks at animal <b>0.6\d</b>", shown.message)
    for layer, head in [(3, 1), (5, 11)]:
        shown.apply("… too wide")
        shown.set(layer=layer, head=head)
        tokens = lesson.transformer.tokenize(shown.values["sentence"])
        assert tokens[shown.values["word"]] == "it" and "wide" in tokens
        row = lesson.transformer(tokens, torch_attention)[1][layer, head, tokens.index("it")]
        assert row[tokens.index("animal")] > 2 * row[tokens.index("street")]
        assert f"animal <b>{row[tokens.index('animal')]:.2f}</b>" in shown.message
    shown.apply("the word before")
    assert "“it” looks at because <b>1.00</b>" in shown.message
    shown.apply("the word after")
    assert "“it” looks at was" in shown.message
    shown.apply("rests on the marks")
    assert re.search(r"looks at \[(CLS|SEP)\]", shown.message)


def test_heads_panel_shows_the_model_s_weights(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "heads-panel")
    for _ in sweep(shown):
        sentence, layer, head, word = shown.values.values()
        tokens = lesson.transformer.tokenize(sentence)
        weights = lesson.transformer(tokens, torch_attention)[1][layer, head].numpy()
        drawn = axes_of(shown, 2).images[0].get_array()
        assert np.allclose(drawn, weights**0.7, atol=1e-3)
        i = min(word, len(tokens) - 1)
        best = int(weights[i].argmax())
        assert f"“{tokens[i]}” looks at {tokens[best]} <b>{weights[i, best]:.2f}" in shown.message
        widths = [b.get_width() for b in axes_of(shown, 3).patches[:4]]
        assert np.allclose(widths, [float(v) for v in habits(weights).values()], atol=1e-3)
    segments = axes_of(shown).collections[0].get_segments()
    assert (
        len(segments)
        == (weights_of(lesson.transformer, torch_attention, tokens)[3, 1] > 0.03).sum()
    )


def torch_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple:
    """Attention as PyTorch computes it; the weights are what identity values give."""
    n = k.shape[-2]
    identity = torch.eye(n).expand(*k.shape[:-2], n, n)
    return (
        F.scaled_dot_product_attention(q, k, v),
        F.scaled_dot_product_attention(q, k, identity),
    )


def test_heads_are_clicked_and_words_pointed_at(lesson: SimpleNamespace) -> None:
    shown = show(lesson, "heads-panel")
    send(shown, "press", 1, (7.5, 4.5))
    assert (shown.values["layer"], shown.values["head"]) == (4, 7)
    send(shown, "hover", 0, (0.5, 2.2))
    assert shown.values["word"] == 2 and "“animal” looks" in shown.message
    send(shown, "hover", 2, (3.0, 5.5))
    assert shown.values["word"] == 5
    shown.set(sentence="Zyxwvut!")
    assert "Zyxwvut" not in shown.message and shown.error is None
    shown.set(sentence="one two three four five six seven eight nine ten " * 3, word=19)
    assert "first 18 of 30" in shown.message
    shown.set(sentence="")
    assert "[SEP]" in shown.message


def test_stories_are_right_as_often_as_measured(lesson: SimpleNamespace) -> None:
    """Each head on 18 sentences, counted here without the panel's code."""
    right = np.zeros((6, 12), int)
    turned = np.zeros((6, 12), int)
    for sentence, nouns, endings in lesson.pairs:
        leads = []
        for noun, ending in zip(nouns.split(), endings.split(), strict=True):
            tokens = lesson.transformer.tokenize(sentence.format(ending))
            _, maps = lesson.transformer(tokens, torch_attention)
            row = maps[:, :, tokens.index("it")].numpy()
            first, second = (row[..., tokens.index(other)] for other in nouns.split())
            leads.append(first > second)
            right += (first > second) == (noun == nouns.split()[0])
        turned += leads[0] != leads[1]
    assert len(lesson.pairs) == 9
    assert right[3, 1] == right[5, 11] == 9, "as a coin"
    assert (right == 9).sum() > 36, "most heads like one noun whatever the ending"
    assert right.max() == right[3, 5] == 13
    shown = show(lesson, "story-panel")
    for _ in sweep(shown):
        layer, head = shown.values.values()
        assert f"is right on <b>{right[layer, head]} of 18</b>" in shown.message
        assert f"choice in {turned[layer, head]} of 9 pairs" in shown.message
        marks = [t.get_text() for t in axes_of(shown).texts if t.get_text() in "✓✗"]
        assert marks.count("✓") == right[layer, head] and len(marks) == 18
    assert f"{(right == 9).sum()} of 72 heads are right exactly 9 times" in shown.message
    shown.apply("best of 72")
    assert "<b>13 of 18</b>" in shown.message
    found = demos.preferences(lesson.attention, lesson.transformer, lesson.pairs)
    assert (right_answers(found) == right).all()


def test_a_story_needs_whole_words(lesson: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="one piece"):
        demos.preferences(
            lesson.attention,
            lesson.transformer,
            [("The xylophonist saw it {}.", "xylophonist it", "a b")],
        )


def test_the_best_of_many_coins() -> None:
    assert best_of_coins(1, 18) == pytest.approx(9)
    tosses = np.random.default_rng(0).binomial(18, 0.5, (20_000, 72)).max(axis=1)
    assert best_of_coins(72, 18) == pytest.approx(tosses.mean(), abs=0.03)
    # So a score of 13, the best found, is nothing that coins would not reach: three of 72 do.
    assert best_of_coins(72, 18) > 13
    assert 3 < 72 * sum(math.comb(18, k) for k in range(13, 19)) / 2**18 < 4


# ---- training


@pytest.fixture(scope="module")
def trained(lesson: SimpleNamespace) -> Panel:
    shown = show(lesson, "reverse-panel")
    assert lesson.run.steps == 500
    lesson.run.advance(350)
    shown.refresh()
    return shown


def test_the_question_on_nine_letters_puts_the_net_back(lesson: SimpleNamespace) -> None:
    before = {name: value.clone() for name, value in lesson.tiny.state_dict().items()}
    assert lesson.run.position == 0 and lesson.nine_letters() == "hardly any"
    assert lesson.run.position == 0 and not lesson.run.curve("loss")[0]
    assert all(torch.equal(v, before[name]) for name, v in lesson.tiny.state_dict().items())


def test_it_learns_to_reverse(lesson: SimpleNamespace, trained: Panel) -> None:
    shares = shares_right(lesson.tiny)
    assert min(shares[:8]) > 0.95 and max(shares[8:]) < 0.1
    answer, maps = reverse(lesson.tiny, [5, 4, 4, 3, 1, 0, 2, 10])
    assert answer == [10, 2, 0, 1, 3, 4, 4, 5]
    asks = np.arange(8, 16)
    on_letter = [float(w[asks, 15 - asks].mean()) for w in maps[1]]
    assert min(on_letter) > 0.85
    assert "feedback → kcabdeef" in trained.message and "8 of 8" in trained.message
    assert f"<b>{on_letter[1]:.2f}</b> of its weight on the letter" in trained.message
    heights = [bar.get_height() for bar in axes_of(trained, 2).patches]
    assert heights == pytest.approx(shares)
    trained.apply("fails: 9 letters")
    assert re.search(r"[0-5] of 9 letters right", trained.message)


def test_reversing_panel_answers(lesson: SimpleNamespace, trained: Panel) -> None:
    trained.reset()
    trained.controls["word"].value = "badge"
    assert trained.values["length"] == 5 and "badge → egdab" in trained.message
    trained.set(word="xyz")
    assert "letters a to l" in trained.message
    trained.reset()
    send(trained, "press", 1, (0.5, 0.5))
    assert trained.values["shown"] == 0 and "Layer 0, head 0" in trained.message
    colours = cells_of(axes_of(trained)).colours
    assert np.allclose(colours[np.triu_indices(16, 1)][:, :3], 1, atol=2e-3), "nobody looks ahead"
    last = lesson.run.position
    lesson.run.seek(0)
    assert "Step 0" in trained.message and "0%" in trained.message
    lesson.run.seek(len(lesson.run.snapshots) - 1)
    assert f"Step {last}" in trained.message
    trained.reset()


def test_another_start_reads_beside_the_letter(lesson: SimpleNamespace, trained: Panel) -> None:
    """From start 0 the last layer looks one place on, where the first has brought the letter."""
    trained.apply("another start")
    assert lesson.run.position == 0
    lesson.run.advance(350)
    trained.refresh()
    _, maps = reverse(lesson.tiny, [5, 4, 4, 3, 1, 0, 2, 10])
    asks = np.arange(8, 16)
    for weights in maps[1]:
        assert weights[asks, 16 - asks].mean() > 0.6 > 0.2 > weights[asks, 15 - asks].mean()
    inside = np.arange(1, 9)
    brought = [float(w[inside, inside - 1].mean()) for w in maps[0]]
    assert min(brought) > 0.5 and "feedback → kcabdeef" in trained.message


def test_recall_shipped_and_live(lesson: SimpleNamespace) -> None:
    shipped = demos.measured()
    assert {name: sorted(found) for name, found in shipped.items()} == dict.fromkeys(
        ("RNN", "LSTM", "attention"), [2, 4, 8, 16, 24]
    )
    readme = data.path("recall.csv").with_name("README.md").read_text(encoding="utf-8")
    for name, found in shipped.items():
        means = " | ".join(f"{np.mean(found[k]):.2f}" for k in sorted(found))
        assert f"| {name} | {means} |" in readme
        assert all(len(seeds) == 3 for seeds in found.values())
        if name == "attention":
            assert min(min(seeds) for seeds in found.values()) > 0.99
        else:
            assert np.mean(found[8]) < 0.4 and np.mean(found[24]) < 0.25
    shown = show(lesson, "recall-panel")
    assert sweep_all(shown) >= 7
    lesson.recall.advance(240)
    shown.refresh()
    scores = {name: lesson.recall.last(name) for name in lesson.names}
    assert scores["attention"] > 0.95 and max(scores["RNN"], scores["LSTM"]) < 0.45
    assert "attention <b>100%</b>" in shown.message or "attention <b>9" in shown.message
    curves = {tuple(line.get_ydata()) for line in axes_of(shown, 1).lines}
    assert tuple(lesson.recall.curve("LSTM")[1]) in curves
    shown.apply("fails: the last one")
    assert lesson.recall.position == 0 and lesson.task == {"pairs": 8, "ask": "last"}
    lesson.recall.advance(120)
    scores = {name: lesson.recall.last(name) for name in lesson.names}
    assert min(scores["RNN"], scores["LSTM"]) > 0.9 and scores["attention"] < 0.5


# ---- the break


def test_countdown_counts_beside_the_cells() -> None:
    clock = demos.Countdown(minutes=0.05)
    assert "0:03" in clock.digits.value and not clock.running
    seen = set()
    clock.digits.observe(lambda change: seen.add(change["new"]), "value")
    clock.start_button.click()
    assert clock.running and clock.start_button.description == "Pause"
    wait_for(lambda: "Welcome back" in clock.digits.value)
    assert not clock.running and clock.left == 0
    assert len(seen) == 3 and any("0:01" in value for value in seen)
    assert clock.start_button.description == "Start"


def test_countdown_is_paused_made_longer_and_reset() -> None:
    before = threading.active_count()
    clock = demos.Countdown(minutes=5)
    clock.start()
    time.sleep(0.3)
    clock.pause()
    assert threading.active_count() == before and 240 < clock.left < 299.8
    left = clock.left
    clock.buttons[1].click()
    assert clock.left == left + 60 and not clock.running
    clock.start()
    clock.buttons[1].click()
    assert clock.running and clock.left > left + 100
    clock.buttons[2].click()
    assert not clock.running and clock.left == 300 and "5:00" in clock.digits.value


# ---- wrong functions


def test_wrong_functions_show_an_error(
    lesson: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel, "strict", False)
    model = lesson.transformer
    for shown, words in [
        (demos.thinking(lambda q, k, v, scale: None), "return"),
        (demos.thinking(lambda q, k, v, scale: (k @ q, k @ q, k @ q)), "4 values"),
        (demos.thinking(lambda q, k, v, scale: (k @ q, k @ q, v, v[0])), "weights has shape"),
        (demos.temperature(lambda scores, t: scores.sum()), "shape ()"),
        (demos.scaling(lambda q, k, v, scale: (k @ q, q, k @ q, v)), "scaled has shape"),
        (demos.stages(lambda q, k, v, mask: (q, k, v), model), "5 values"),
        (demos.order(lambda q, k, v: (v, q), model), "weights has shape"),
        (demos.heads(lambda q, k, v: (v, q.mean(0)), model), "lecture-error"),
        (demos.heads(lambda q, k, v: 1 / 0, model), "ZeroDivisionError"),
    ]:
        assert shown.error is not None, shown.title
        assert "lecture-error" in shown.shown and words in shown.shown, shown.shown


def test_a_forgotten_root_is_seen(lesson: SimpleNamespace) -> None:
    """The panels run on the reader's function: another one gives other pictures."""

    def no_root(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple:
        return torch_attention(q * q.shape[-1] ** 0.5, k, v)

    right = demos.heads(lesson.attention, lesson.transformer)
    wrong = demos.heads(no_root, lesson.transformer)
    assert right.message != wrong.message


def test_short_numbers() -> None:
    assert [short(x) for x in (0.123, 1.0, -3.44, -0.5, 12.4, -math.inf)] == [
        ".12", "1.00", "−3.44", "−.50", "12", "−∞",
    ]  # fmt: skip


def test_what_the_slides_say_loosely_is_said_exactly() -> None:
    """facts.md, correction 12."""
    assert 'the column of "Machines" is not $z_2$' in CELLS["thinking-saw"]
    assert "**Attention weights are not an explanation.**" in CELLS["story-saw"]
    assert "**depends on data and scale**" in CELLS["recall-saw"]
    assert "n^2" in CELLS["cost"]
    assert "before the softmax" in CELLS["summary"] and "Positions" in CELLS["summary"]
