"""What to try first in the playground: settings that work, and that fail, and why."""

from collections.abc import Sequence
from typing import Any


def presets(features: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Presets by name; ``features`` are those the notebook offers, used by name where it has them.

    Whatever a preset does not mention is as the panel started.
    """
    plain = tuple(features[:2])
    start = {
        "data": "circle", "noise": 0, "share": 50, "batch": 10, "features": plain,
        "units": "4 2", "activation": "tanh", "weights": 0, "learning_rate": 0.1,
        "penalty": "none", "rate": 0.001, "show": "output", "test": False,
    }  # fmt: skip

    def case(note: str, **settings: Any) -> dict[str, Any]:
        return {**start, **settings, "note": note}

    def told(*names: str) -> tuple[str, ...]:
        return tuple(name for name in features if name in names) or plain

    overfit = {"noise": 30, "share": 10, "units": "8 8", "learning_rate": 10**-0.5, "test": True}
    return {
        "Circle": case("Works: the first layer draws lines, the second closes them to a border."),
        "No hidden layer": case(
            "Fails: XOR from x1 and x2 alone. One unit draws one straight line.",
            data="XOR",
            units="",
        ),
        "One feature": case(
            "Works: XOR is the sign of x1·x2. The right feature makes layers needless.",
            data="XOR",
            units="",
            features=told("x1·x2"),
        ),
        "Linear": case(
            "Fails: without an activation all layers together are one linear map.",
            units="8 8",
            activation="linear",
        ),
        "Too small": case("Fails: six units can't bend a border along the spiral.", data="spiral"),
        "Deep": case(
            "Works, with patience: the spiral from x1 and x2. It takes some 400 epochs.",
            data="spiral",
            units="8 8 8",
        ),
        "Sines": case(
            "Works sooner: told sin x1 and sin x2 as well, the net finds the spiral in 100 epochs.",
            data="spiral",
            units="8 8",
            features=told("x1", "x2", "sin x1", "sin x2"),
        ),
        "Too slow": case("Fails: steps this small get nowhere.", learning_rate=0.001),
        "Too fast": case(
            "Fails: each step jumps over what it looks for, and the loss leaps about.",
            learning_rate=10.0,
        ),
        "Dead ReLU": case(
            "Fails: one long step, and the last layer is 0 everywhere. No gradient brings it back.",
            activation="ReLU",
            learning_rate=10**0.5,
        ),
        "Sigmoids": case(
            "Fails: the gradient fades on its way through five sigmoids. Change them to ReLU.",
            units="6 6 6 6 6",
            activation="sigmoid",
        ),
        "Overfits": case(
            "Fails: 50 noisy points learned by heart. The test loss (orange) climbs.", **overfit
        ),
        "L2": case(
            "Works: the same points, with L2. Small weights, a smooth border, a lower test loss.",
            **overfit,
            penalty="L2",
            rate=10**-1.5,
        ),
        "L1": case(
            "Works: given every feature, L1 keeps one weight, that of x1·x2, and hardly any other.",
            data="XOR",
            units="",
            features=tuple(features),
            penalty="L1",
            rate=0.01,
        ),
    }
