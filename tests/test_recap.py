"""08_recap: the table, the counter, the reach, and a quiz whose numbers are computed."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from panels import lesson as read
from panels import show, sweep_all
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import lecture_utils as lu
from lecture_utils.demos import recap
from lecture_utils.demos.recap_quiz import QUESTIONS


@pytest.fixture(scope="module")
def lesson() -> SimpleNamespace:
    return read("08_recap")


# ---- the table


def test_table_marks_each_answer() -> None:
    panel = recap.table()
    assert "<b>0 of 16</b>" in panel.message
    panel.set(row="recurrent")
    panel.set(answer0="all steps", answer1="a few neighbours")
    assert "<b>1 of 16</b>" in panel.message
    assert "all steps ✓" in panel.message and "a few neighbours ✗" in panel.message
    panel.set(row="attention")
    assert panel.values["answer0"] == "?", "another row has answers of its own"
    panel.set(row="recurrent")
    assert panel.values["answer0"] == "all steps" and "<b>1 of 16</b>" in panel.message
    for row, answers in recap.RIGHT.items():
        panel.set(row=row)
        for k, answer in enumerate(answers):
            panel.controls[f"answer{k}"].value = answer
        assert recap.WHY[row] in panel.message
    assert "<b>16 of 16</b>" in panel.message and "✗" not in panel.message
    panel.reset()
    assert "<b>0 of 16</b>" in panel.message
    panel._act(panel.actions["Show all"])
    assert "<b>16 of 16</b>" in panel.message
    sweep_all(panel)


# ---- the counter


def test_count_agrees_with_torchs_own_counter(lesson: SimpleNamespace) -> None:
    compared = 0
    for name, (net, x) in lesson.nets.items():
        parameters, macs = lesson.count(net, x)
        assert parameters == sum(p.numel() for p in net.parameters())
        if any(isinstance(m, nn.RNN | nn.LSTM | nn.MultiheadAttention) for m in net.modules()):
            continue
        with FlopCounterMode(display=False) as flops, torch.no_grad():
            net.eval()(x)
        assert macs == flops.get_total_flops() // 2, name
        compared += 1
    assert compared >= 6


def test_count_of_recurrent_nets_and_attention_by_hand(lesson: SimpleNamespace) -> None:
    nets = lesson.nets
    assert lesson.count(*nets["RNN, names"])[1] == 10 * (27 * 128 + 128 * 128 + 128 * 27)
    assert lesson.count(*nets["LSTM, Shakespeare"])[1] == 100 * (4 * 192 * (65 + 192) + 192 * 65)
    n, d = 100, 64
    assert (
        lesson.count(*nets["attention, 100 words"])[1] == n * 4 * d**2 + 2 * n**2 * d + n * 8 * d**2
    )


def test_facts_of_the_deck(lesson: SimpleNamespace) -> None:
    counts = {name: lesson.count(*given)[0] for name, given in lesson.nets.items()}
    assert counts["ball, dense"] == 678_530
    assert counts["ball, conv"] == 210_594
    assert counts["GAN, generator"] == 3_576_704


def test_counter_panel(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "count-panel")
    sweep_all(panel)
    bars = panel.figure.figure.axes[0].patches
    widths = [bar.get_width() for bar in bars]
    counts = [lesson.count(*given) for given in lesson.nets.values()]
    assert widths == [float(p) for p, _ in counts] + [float(m) for _, m in counts]
    panel.set(net="ball, dense")
    assert "678,530" in panel.message and "677,888" in panel.message
    assert "<b>1.0</b> multiplications" in panel.message


# ---- reach


@pytest.mark.parametrize("layers, kernel", [(1, 3), (3, 3), (2, 7), (8, 5)])
def test_a_convolution_s_reach(lesson: SimpleNamespace, layers: int, kernel: int) -> None:
    size = lesson.reach("convolution", layers, kernel, 41)
    seen = layers * (kernel - 1) + 1
    around = np.abs(np.arange(41) - 20) <= seen // 2
    assert np.array_equal((size > 0).numpy(), around)


def test_reach_of_the_others(lesson: SimpleNamespace) -> None:
    past = lesson.reach("recurrent", 1, 3, 41) > 0
    assert past[:21].all() and not past[21:].any()
    assert (lesson.reach("attention", 1, 3, 41) > 0).all()
    panel = show(lesson, "reach-panel")
    sweep_all(panel)
    panel.set(kind="convolution", layers=4, kernel=5)
    assert "<b>17 of 41</b>" in panel.message and "4·(5 − 1) + 1 = 17" in panel.message
    heights = np.array([bar.get_height() for bar in panel.figure.figure.axes[0].patches])
    assert heights.max() == pytest.approx(1) and (heights > 0).sum() == 17


def test_questions_that_are_computed(lesson: SimpleNamespace) -> None:
    for cell, answer in [("count-question", "the convolutional one"), ("reach-question", "5")]:
        question = show(lesson, cell)
        question.choice.value = answer
        question.commit()
        assert question.right, cell


# ---- the quiz


def test_quiz_covers_every_section() -> None:
    assert len(QUESTIONS) >= 20
    assert {q.section for q in QUESTIONS} == set(range(1, 8))
    for q in QUESTIONS:
        assert q.answer in q.options and len(set(q.options)) == len(q.options) and q.why
    first = sum(q.answer == q.options[0] for q in QUESTIONS)
    assert first < 0.6 * len(QUESTIONS), "the right answer is not always the first"


def answer(words: str) -> str:
    (found,) = (q.answer for q in QUESTIONS if words in q.text)
    return found


def test_answers_that_can_be_computed() -> None:
    x = torch.randn(1, 1, 5, 5)
    conv = nn.Conv2d(1, 1, 3, stride=2, padding=1)(x)
    assert answer("padding 1, stride 2") == str(conv.shape[-1])
    assert answer("Max pooling") == str(nn.MaxPool2d(2)(torch.zeros(1, 1, 8, 8)).numel())
    assert answer("nn.Linear(10000, 64)") == f"{lu.models.count_parameters(nn.Linear(10000, 64)):,}"
    weight = torch.softmax(torch.tensor([112.0, 96.0]) / math.sqrt(64), 0)[0]
    assert answer("112 and q") == f"{weight:.2f}"
    assert pytest.approx(0.00003, rel=0.15) == 0.9**100
    grid = torch.cartesian_prod(*[torch.arange(-20, 21) / 10] * 2)
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    biases = torch.arange(-41, 42, 2) / 10
    said = (inputs @ grid.T)[None] + biases[:, None, None] > 0
    best = (said == torch.tensor([0, 1, 1, 0], dtype=bool)[:, None]).sum(dim=1).max()
    assert answer("rows of XOR") == str(int(best))
    w = torch.tensor(2.0, requires_grad=True)
    (w * 3 + w * 5).backward()
    assert answer("used in two places") == "their sum" and w.grad == 8


def test_quiz_keeps_the_score() -> None:
    quiz = recap.quiz()
    first, second = quiz.cards[0], quiz.cards[1]
    first.choice.value = QUESTIONS[0].answer
    first.commit()
    assert "Right so far: <b>1 of 1</b>" in quiz.head.value
    quiz.go(1)
    assert quiz.holder.children == (second,)
    second.choice.value = next(o for o in QUESTIONS[1].options if o != QUESTIONS[1].answer)
    second.commit()
    assert "Right so far: <b>1 of 2</b>" in quiz.head.value
    assert QUESTIONS[1].why in second.reveal.value
    quiz.go(-5)
    assert quiz.place == 0
    quiz.section.value = 4
    asked = [q for q in QUESTIONS if q.section == 4]
    assert f"of {len(asked)}, from section 4" in quiz.head.value
    quiz.go(99)
    assert f"Question <b>{len(asked)}</b>" in quiz.head.value
