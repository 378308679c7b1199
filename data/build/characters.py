"""Train the nets that write names and Shakespeare: data/weights/names_*, shakespeare_lstm.

Names: an RNN and an LSTM with about as many weights each, trained as `05_rnn_lstm` does.
Run from anywhere:

    python data/build/characters.py
"""

import torch
from save import save_half
from torch import Tensor
from torch.nn import functional as F

from lecture_utils import fit
from lecture_utils.data import encode, name_examples, names, shakespeare
from lecture_utils.models import Recurrent, count_parameters

NAMES = {"RNN": 128, "LSTM": 64}
"""Hidden sizes that give both nets about 25,000 weights."""
HIDDEN_SIZE, LENGTH, BATCH_SIZE, STEPS, LEARNING_RATE = 192, 100, 32, 1800, 6e-3


def nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy a character; targets of -1 are padding."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


def train_names(kind: str) -> Recurrent:
    train, test, symbols = names()
    torch.manual_seed(0)
    net = Recurrent(kind, len(symbols), NAMES[kind], len(symbols))
    run = fit(
        net,
        name_examples(train, symbols),
        test=name_examples(test, symbols),
        loss=nats,
        epochs=12,
        batch_size=64,
        learning_rate=5e-3,
        live=False,
    )
    print(
        f"names {kind} {count_parameters(net)}: {[round(v, 3) for v in run.curve('test loss')[1]]}"
    )
    return net


def train_shakespeare() -> Recurrent:
    train, test, symbols = shakespeare()
    torch.manual_seed(0)
    net = Recurrent("LSTM", len(symbols), HIDDEN_SIZE, len(symbols))
    numbers, held_out = encode(train, symbols), encode(test, symbols)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    within = torch.arange(LENGTH + 1)
    for step in range(STEPS):
        starts = torch.randint(len(numbers) - LENGTH, (BATCH_SIZE, 1), generator=generator)
        batch = numbers[starts + within]
        loss = nats(net(F.one_hot(batch[:, :-1], len(symbols)).float()), batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 99 or step == STEPS - 1:
            with torch.no_grad():
                answer = net(F.one_hot(held_out[None, :-1], len(symbols)).float())
                value = nats(answer, held_out[None, 1:]).item()
            print(
                f"Shakespeare, step {step + 1}: {loss.item():.3f}, held out {value:.3f}", flush=True
            )
    return net


def main() -> None:
    torch.set_num_threads(1)
    for kind in NAMES:
        save_half(train_names(kind), f"names_{kind.lower()}")
    save_half(train_shakespeare(), "shakespeare_lstm")


if __name__ == "__main__":
    main()
