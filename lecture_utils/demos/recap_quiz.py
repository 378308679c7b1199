"""The questions of 08_recap. ``tests/test_recap.py`` computes what can be computed."""

from typing import NamedTuple


class Question(NamedTuple):
    """A question with its answers, the right one of them, the reason, and its section."""

    section: int
    text: str
    options: tuple[str, ...]
    answer: str
    why: str


QUESTIONS = (
    Question(
        1,
        "How many of the 4 rows of XOR can one perceptron on x1, x2 get right?",
        ("2", "3", "4"),
        "3",
        "One straight line cannot separate (0,1), (1,0) from (0,0), (1,1).",
    ),
    Question(
        1,
        "The perceptron rule is run on points that a line separates. Does it ever stop?",
        ("always", "only with a small learning rate", "not if there are many points"),
        "always",
        "It makes at most (R/γ)² mistakes: R is the longest input, γ the margin.",
    ),
    Question(
        1,
        "Which extra input lets one perceptron do XOR?",
        ("x1 + x2", "x1 · x2", "a constant"),
        "x1 · x2",
        "A sum or a constant leaves the border straight. The product does not.",
    ),
    Question(
        2,
        "Ten affine layers without activations. What can they compute?",
        ("one affine map", "any polynomial", "any continuous function"),
        "one affine map",
        "W = W₁₀ ··· W₁: multiply them out.",
    ),
    Question(
        2,
        "What does universal approximation promise?",
        (
            "training will find the function",
            "on a bounded set, a wide enough net comes as close as you like",
            "it is right outside the data as well",
        ),
        "on a bounded set, a wide enough net comes as close as you like",
        "Existence only: nothing about finding it, its width, or anything outside the set.",
    ),
    Question(
        2,
        "When is a ReLU unit dead?",
        (
            "its output is negative",
            "its pre-activation is ≤ 0 on all the data",
            "its weights are 0",
        ),
        "its pre-activation is ≤ 0 on all the data",
        "Then output and gradient are 0 everywhere. Its output is never negative.",
    ),
    Question(
        2,
        "How many parameters has nn.Linear(10000, 64)?",
        ("640,000", "640,064", "650,000"),
        "640,064",
        "10,000 × 64 weights and 64 biases.",
    ),
    Question(
        3,
        "A value is used in two places. What is its gradient?",
        ("the larger of the two", "their sum", "their product"),
        "their sum",
        "Both paths change the loss, and the changes add up. That is why backward says +=.",
    ),
    Question(
        3,
        "All weights start at 0 in a net with ReLU. What happens?",
        ("it learns slowly", "the hidden layers never change", "the loss explodes"),
        "the hidden layers never change",
        "Every hidden gradient is multiplied by a weight or an activation that is 0.",
    ),
    Question(
        3,
        "What is backpropagation?",
        (
            "gradient descent",
            "reverse-mode differentiation of a loss",
            "another name for deep learning",
        ),
        "reverse-mode differentiation of a loss",
        "It delivers gradients. What is done with them is the optimizer's business.",
    ),
    Question(
        3,
        "optimizer.zero_grad() is forgotten. What does the optimizer get?",
        ("the newest gradient", "the sum of all gradients so far", "an error"),
        "the sum of all gradients so far",
        "backward adds to .grad; nobody empties it.",
    ),
    Question(
        4,
        "5 × 5 input, 3 × 3 kernel, padding 1, stride 2. How long is a side of the output?",
        ("2", "3", "5"),
        "3",
        "⌊(5 + 2 − 3) / 2⌋ + 1 = 3.",
    ),
    Question(
        4,
        "What do all positions of a convolution's output share?",
        ("their inputs", "their weights", "nothing"),
        "their weights",
        "That is why a convolutional layer is small, and why it finds a pattern anywhere.",
    ),
    Question(
        4,
        "A convolution followed by flatten and a dense layer: is it blind to shifts?",
        ("yes", "no"),
        "no",
        "The dense layer has weights of its own for every place. The maximum over places has not.",
    ),
    Question(
        4,
        "Max pooling 2 × 2, stride 2, on 8 × 8: how many numbers are left of 64?",
        ("16", "32", "49"),
        "16",
        "4 × 4.",
    ),
    Question(
        5,
        "The gradient through 100 steps of an RNN is multiplied 100 times by about 0.9. And then?",
        ("it is about a tenth", "it has vanished", "it has exploded"),
        "it has vanished",
        "0.9¹⁰⁰ is 0.00003.",
    ),
    Question(
        5,
        "What does gradient clipping help against?",
        ("vanishing", "exploding", "both"),
        "exploding",
        "It makes a long step short. It cannot make a step of 0 long.",
    ),
    Question(
        5,
        "Which gates let an LSTM's cell keep what it holds, unchanged?",
        ("f = 1, i = 0", "f = 0, i = 1", "o = 1"),
        "f = 1, i = 0",
        "c_t = f · c_{t−1} + i · g_t. The output gate only decides what is shown.",
    ),
    Question(
        5,
        "What limits every recurrent net, LSTMs included?",
        (
            "it can't detect different features",
            "a state of fixed size, and steps that must wait for each other",
            "it needs sequences of one length",
        ),
        "a state of fixed size, and steps that must wait for each other",
        "Its units can detect as many features as it has units.",
    ),
    Question(
        6,
        "q · k₁ = 112 and q · k₂ = 96, d_k = 64. Which weight gets the first key?",
        ("0.54", "0.88", "1.00"),
        "0.88",
        "Scores 14 and 12 after the division by 8; softmax gives e²/(1 + e²).",
    ),
    Question(
        6,
        "Why divide by √d_k?",
        (
            "to make the weights add up to 1",
            "or long vectors make the softmax a hard choice with no gradient",
            "it is faster",
        ),
        "or long vectors make the softmax a hard choice with no gradient",
        "The spread of a dot product of random vectors grows like √d_k.",
    ),
    Question(
        6,
        "Self-attention without positions: the words are shuffled. What happens to the outputs?",
        ("they are shuffled alike", "they all change", "an error"),
        "they are shuffled alike",
        "Nothing in it knows which word comes first. Positions must be added.",
    ),
    Question(
        6,
        "A head looks from “it” to “animal”. What do we know?",
        (
            "the model understands the sentence",
            "where this head reads from, here",
            "the other heads do the same",
        ),
        "where this head reads from, here",
        "Attention weights are not an explanation. Test your story on more sentences.",
    ),
    Question(
        7,
        "G is perfect. What does the best D answer?",
        ("0", "1/2", "1"),
        "1/2",
        "p / (p + q) with p = q.",
    ),
    Question(
        7,
        "Why is fake.detach() passed to D when D learns?",
        (
            "D's loss must not teach G",
            "otherwise the fakes would change",
            "to save the real data",
        ),
        "D's loss must not teach G",
        "It would teach G to be found out, and it would walk G's graph twice.",
    ),
    Question(
        7,
        "Does a transposed convolution undo a convolution?",
        ("yes", "its shape only"),
        "its shape only",
        "Transposed is not inverse.",
    ),
    Question(
        7,
        "What is z?",
        ("a compressed picture", "noise that we draw", "the label"),
        "noise that we draw",
        "G decides what to make of it.",
    ),
)
