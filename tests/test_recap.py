"""08_recap: the table, the counter, the reach, and a quiz whose numbers are computed."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from panels import answered, run_cells, show, sources, sweep_all
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import lecture_utils as lu
from lecture_utils.demos import recap
from lecture_utils.demos.recap_quiz import QUESTIONS

NOTEBOOK = "08_recap"


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


def test_work_in_the_table_grows_as_counted(lesson: SimpleNamespace) -> None:
    """Twice the length: twice or four times the multiplications."""

    def growth(make: Callable[[int], tuple[nn.Module, torch.Tensor]]) -> float:
        return lesson.count(*make(2000))[1] / lesson.count(*make(1000))[1]

    class Once(nn.Module):  # a hook sees what a layer is called with
        def __init__(self) -> None:
            super().__init__()
            self.attention = lu.models.Attention()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x)

    grows = {
        "dense": growth(lambda n: (nn.Linear(n, n), torch.zeros(1, n))),
        "convolution": growth(
            lambda n: (nn.Conv2d(4, 4, (1, 3), padding=(0, 1)), torch.zeros(1, 4, 1, n))
        ),
        "recurrent": growth(lambda n: (nn.RNN(4, 4, batch_first=True), torch.zeros(1, n, 4))),
        "attention": growth(lambda n: (Once(), torch.zeros(1, n, 4))),
    }
    said = {kind: {"n": 2, "n²": 4}[answers[3]] for kind, answers in recap.RIGHT.items()}
    assert grows == said


# ---- the counter


def flop(net: nn.Module, x: torch.Tensor) -> int:
    """Floating-point operations of matrix products and convolutions, by torch's own counter."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(x)
    return counter.get_total_flops()


def test_count_agrees_with_torchs_own_counter(lesson: SimpleNamespace) -> None:
    compared = 0
    for name, (net, x) in lesson.nets.items():
        parameters, macs = lesson.count(net, x)
        assert parameters == sum(p.numel() for p in net.parameters())
        if any(isinstance(m, nn.RNN | nn.LSTM) for m in net.modules()):
            continue  # torch does not count them
        assert macs == flop(net, x) // 2, name
        compared += 1
    assert compared >= 18


def test_count_of_recurrent_nets_and_attention_by_hand(lesson: SimpleNamespace) -> None:
    nets = lesson.nets
    assert lesson.count(*nets["5 · names, RNN"])[1] == 10 * (27 * 128 + 128 * 128 + 128 * 27)
    shakespeare = lesson.count(*nets["5 · Shakespeare, LSTM"])[1]
    assert shakespeare == 100 * (4 * 192 * (65 + 192) + 192 * 65)
    n, d = 9, 64
    assert lesson.count(*nets["6 · recall, attention"])[1] == n * (3 * 36 * d + d * 10 + 2 * n * d)


def test_facts_of_the_deck(lesson: SimpleNamespace) -> None:
    counts = {name: lesson.count(*given) for name, given in lesson.nets.items()}
    assert counts["2 · ball, dense"][0] == 678_530
    assert counts["4 · ball, conv"][0] == 210_594
    assert counts["7 · 64 × 64, G"][0] == 3_576_704
    digits, ball = counts["4 · digits, CNN"], counts["2 · ball, dense"]
    assert digits[1] > ball[1] and 30 < ball[0] / digits[0] < 36  # as the page says


def cells(stem: str, *ids: str) -> SimpleNamespace:
    """What these cells of a notebook define, and its set-up."""
    return SimpleNamespace(**run_cells(stem, *ids))


def test_every_net_of_the_lecture_is_there(lesson: SimpleNamespace) -> None:
    """The same parameters as in the notebooks of the sections."""
    counts = {name: lesson.count(*given)[0] for name, given in lesson.nets.items()}

    def parameters(*nets: nn.Module) -> list[int]:
        return [sum(p.numel() for p in net.parameters()) for net in nets]

    one = cells("01_perceptron", "train-code")
    two = cells("02_mlp", "network-code", "dying-code", "ball-code")
    three = cells("03_backprop", "recipe-net")
    four = cells("04_cnn", "conv-net", "digits-net")
    five = cells(
        "05_rnn_lstm", "rnn-step", "same-as-rnncell", "recurrent", "sample", "adding-run", "names"
    )
    six = cells("06_attention", "attention", "same-as-torch", "multi-head", "tiny", "recall-nets")
    seven = cells("07_gan", "nets", "generator", "discriminator", "digits")
    nets = six.make_nets(0)
    G, D = seven.make_nets(2, 0)
    theirs = {
        "1 · XOR": one.make_net(0),
        "2 · Playground, 4 and 2 units": two.mlp([2, 4, 2, 1]),
        "2 · a curve, 16 units": two.mlp([1, 16, 1]),
        "2 · digits, dense": two.digits_net(nn.ReLU),
        "2 · ball, dense": two.make_dense_net(),
        "3 · the recipe's digits": three.make_net(three.healthy),
        "4 · ball, conv": four.conv_net,
        "4 · ball, conv and pool": lu.models.BallConvPool(),
        "4 · digits, CNN": four.DigitsCNN(),
        "5 · one cell, LSTM": five.Recurrent("LSTM", 2, 1, 1),
        "5 · adding, RNN": five.adders["RNN"],
        "5 · adding, LSTM": five.adders["LSTM"],
        "5 · names, RNN": five.names_rnn,
        "5 · names, LSTM": five.names_lstm,
        "5 · Shakespeare, LSTM": five.Recurrent("LSTM", 65, 192, 65),
        "6 · MiniLM": lu.minilm.load(),
        "6 · reversing, transformer": six.TinyTransformer(),
        "6 · recall, RNN": nets[0],
        "6 · recall, LSTM": nets[1],
        "6 · recall, attention": nets[2],
        "7 · plane, G": G,
        "7 · plane, D": D,
        "7 · 64 × 64, G": seven.Generator(100, 64, 3),
        "7 · 64 × 64, D": seven.Discriminator(3, 64),
        "7 · heads, G": seven.Generator(100, 32, 3),
        "7 · digits, G": seven.G28,
        "7 · digits, D": seven.D28,
    }
    assert list(theirs) == list(counts)
    assert parameters(*theirs.values()) == list(counts.values())
    tokens, _ = lu.sequences.reversals(1, seed=0)
    assert tokens.shape == lesson.nets["6 · reversing, transformer"][1].shape
    x, _ = lu.sequences.key_values(1, seed=0, pairs=8)
    assert x.shape == lesson.nets["6 · recall, attention"][1].shape


def test_counter_panel(lesson: SimpleNamespace) -> None:
    panel = show(lesson, "count-panel")
    sweep_all(panel)
    ax = panel.figure.figure.axes[0]
    drawn = {
        line.get_label(): {tuple(point) for point in line.get_xydata()}
        for line in ax.lines
        if line.get_label() in recap.KINDS
    }
    counts = {name: tuple(map(float, lesson.count(*given))) for name, given in lesson.nets.items()}
    assert set.union(*drawn.values()) == set(counts.values())
    assert counts["6 · MiniLM"] in drawn["attention"]
    assert counts["6 · recall, LSTM"] in drawn["recurrent"]
    assert counts["7 · digits, D"] in drawn["convolution"]
    assert counts["7 · plane, G"] in drawn["dense"]
    panel.set(net="2 · ball, dense")
    assert "678,530" in panel.message and "677,888" in panel.message
    assert "<b>1.0</b> a parameter" in panel.message
    for name, (x, y) in counts.items():  # a click chooses the mark under it
        ((_, _, handler),) = panel.figure._handlers
        handler(x, y)
        assert counts[panel.values["net"]] == (x, y), name


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
        answered(show(lesson, cell), answer)


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


def test_the_recap_does_not_repeat_what_the_slides_say_loosely() -> None:
    """facts.md, corrections 1, 9, 11 to 13."""
    said = " ".join(sources(NOTEBOOK)["statements"].split())
    for words in (
        "on a bounded set, **some** net comes as close to a continuous function as you like",
        "Nothing is promised about finding it, its size, or anything outside",
        "compute $h_t$ from $x_t$ and $h_{t-1}$",
        "Better than recurrent where there is much data and many processors; it costs $n^2$",
        "from **noise that we draw**, not from a compressed picture",
    ):
        assert words in said, words
    assert "any function" not in said and "h_{t+1}" not in said
    assert 39e9 < 200_000**2 < 41e9  # a case: "are 40 billion"
