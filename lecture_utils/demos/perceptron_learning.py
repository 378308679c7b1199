"""Panels of 01_perceptron: the learning rule on points and on digits."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import style
from ..draw import arrow_in, number, place, point_arrow, vector
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider
from .perceptron_parts import Plane, Predict, answers, ends


def widest_margin(x: Tensor, y: Tensor, steps: int = 20_000) -> tuple[float, float]:
    """(R, gamma) of rows x (N, d) with labels y of 0 and 1, the bias taken as one more input 1.

    R is the longest row, gamma the widest margin of any plane: the distance from the origin to
    the convex hull of the rows signed by class, found with the algorithm of Mitchell, Demyanov
    and Malozemov (1974), and returned from below, as the margin that its plane has. gamma is 0
    if none was found, which is so whenever no plane separates the classes.
    """
    rows = np.column_stack([np.asarray(x, float), np.ones(len(x))])
    signed = rows * np.where(np.asarray(y) == 1, 1.0, -1.0)[:, None]
    products = signed @ signed.T
    share = np.zeros(len(rows))
    share[0] = 1.0
    along = products[0].copy()  # each signed row times the present point of the hull
    for _ in range(steps):
        size2 = float(share @ along)
        held = np.where(share > 0, along, -np.inf)
        near, far = int(np.argmin(along)), int(np.argmax(held))
        gap = along[far] - along[near]
        if gap <= 1e-6 * size2 or size2 < 1e-12:
            break
        turn2 = products[near, near] + products[far, far] - 2 * products[near, far]
        t = min(share[far], gap / turn2)
        share[near] += t
        share[far] = 0.0 if t == share[far] else share[far] - t
        along += t * (products[near] - products[far])
    size = float(np.sqrt(max(share @ products @ share, 0)))
    margin = float((products @ share).min() / size) if size > 1e-9 else 0.0
    return float(np.sqrt(np.diag(products).max())), max(margin, 0.0)


def _point_sets() -> dict[str, list[tuple[float, float, int]]]:
    """Named sets of (x1, x2, class)."""

    def blobs(centres: list[tuple[float, float]], spread: float, seed: int) -> list[Any]:
        made = np.random.default_rng(seed)
        return [
            (*np.clip(made.normal(centres[k % 2], spread), -2.8, 2.8).round(1).tolist(), k % 2)
            for k in range(20)
        ]

    narrow = [
        (float(a), round(float(0.5 * a + 0.6 + s * d), 2), int(s > 0))
        for k, (a, d) in enumerate(
            zip(np.linspace(-2.6, 2.6, 14), [0.15, 0.9, 0.5, 0.2, 1.2, 0.7, 0.15] * 2, strict=True)
        )
        for s in [1 if k % 2 else -1]
    ]
    return {
        "wide gap": blobs([(0.0, -0.8), (1.6, 1.4)], 0.5, 6),
        "narrow gap": [(round(a, 2), b, c) for a, b, c in narrow],
        "overlapping": blobs([(-0.5, -0.3), (0.8, 0.6)], 0.9, 3),
        "XOR": [(-1.0, -1.0, 0), (-1.0, 1.0, 1), (1.0, -1.0, 1), (1.0, 1.0, 0)],
    }


def learning(
    learn: Callable[..., tuple[Tensor, Tensor, list[Any]]], predict: Predict, passes: int = 100
) -> Panel:
    """Every update of ``learn`` on points in the plane, with the weight vector beside it.

    ``learn(x, y, passes)`` returns w, b and a list of (index of the point, w before, b before).
    """
    fig = LiveFigure(820, 430)
    ax, space, strip = fig.subplots(1, 3)
    place(fig, {ax: (72, 58, 360, 360), space: (530, 160, 255, 255), strip: (485, 58, 310, 34)})
    view = Plane(fig, ax, -3, 3)
    (old,) = ax.plot([], [], "--", color=style.MUTED, lw=3, zorder=2)
    (cursor,) = ax.plot([], [], "+", color=style.INK, ms=18, mew=2, zorder=6)
    for points in view.points:
        points.set_markersize(12)
    view.rings.set_markersize(25)
    space.set(aspect="equal", xlabel="$w_1$", ylabel="$w_2$")
    space.axhline(0, color=style.FAINT, lw=2)
    space.axvline(0, color=style.FAINT, lw=2)
    before = arrow_in(space, style.MUTED, dashed=True)
    change = arrow_in(space, style.GRADIENT)
    after = arrow_in(space, style.WEIGHT, zorder=3)
    strip.set(xscale="log", xlim=(0.7, 2e4), ylim=(0, 1), yticks=[], xlabel="mistakes so far")
    strip.set_xticks([1, 10, 100, 1000, 10000], ["1", "10", "100", "1000", "10⁴"])
    strip.minorticks_off()
    bar = strip.add_patch(Rectangle((0.7, 0.15), 0, 0.7, color=style.RED))
    (limit,) = strip.plot([], [], color=style.INK, lw=5)
    limit_text = strip.text(1, 0.5, "", va="center")
    fig.live(old, cursor, before, change, after, bar, limit, limit_text)
    sets = _point_sets()
    sets["your own"] = []
    state: dict[str, Any] = {"loaded": None, "edits": 0}
    player = Player(label="update", rate=4)

    def load(data: str) -> None:
        points = np.array(sets[data]).reshape(-1, 3)
        x = torch.tensor(points[:, :2], dtype=torch.float32)
        y = torch.tensor(points[:, 2]).long()
        w, b, steps = learn(x, y, passes)
        path = [(np.asarray(v, float), float(c)) for _, v, c in steps]
        path.append((np.asarray(w, float), float(b)))
        which = [int(i) for i, *_ in steps]
        state.update(largest=[float(np.abs(v).max()) for v, _ in path])
        finished = bool((answers(predict, x, *path[-1]) == y.numpy()).all())
        radius, margin = widest_margin(x, y) if len(x) else (0.0, 0.0)
        state.update(x=x, y=y, path=path, which=which, finished=finished)
        state.update(radius=radius, margin=margin, loaded=(data, state["edits"]))
        bound = (radius / margin) ** 2 if margin else 0.0
        limit.set_data([bound] * 2 if bound else [], [0, 1] if bound else [])
        beyond = bound > 300  # no room for the words on its right
        limit_text.set_position((bound * (0.8 if beyond else 1.25), 0.5))
        limit_text.set_text(f"bound {bound:,.0f}" if bound else "")
        limit_text.set_ha("right" if beyond else "left")
        player.max = len(which)
        player.rate = max(4.0, len(which) / 20)  # to play it all takes 20 s at most

    def update(k: int, data: str, click: str, x1: float, x2: float) -> str:
        if state["loaded"] != (data, state["edits"]):
            load(data)
        total = len(state["which"])
        k = min(k, total)
        (w_old, b_old), (w, b) = state["path"][max(k - 1, 0)], state["path"][k]
        x, y = state["x"], state["y"]
        view.show(predict, w, b)
        wrong = np.zeros(len(x), bool)
        if k:
            wrong[state["which"][k - 1]] = True
        view.mark(x, y, wrong)
        shown = ends(w_old, b_old, view.low, view.high) if k else None
        old.set_data(*(np.empty((0, 2)) if shown is None else shown).T)
        cursor.set_data([x1], [x2])
        # Doubled when needed and not for each step, so that the axes seldom change.
        reach = 2.0 ** np.ceil(np.log2(1.1 * max(1.0, *state["largest"][: k + 1])))
        if space.get_xlim()[1] != reach:
            space.set(xlim=(-reach, reach), ylim=(-reach, reach))
        point_arrow(before, (0, 0), w_old)
        point_arrow(change, w_old, w)
        point_arrow(after, (0, 0), w)
        bar.set_width(k - 0.7 if k else 0)
        return _tell_update(state, k, total, passes, w_old, w, b)

    panel = Panel(
        update,
        fig,
        title="The perceptron learns",
        look="Step through the updates, both ways. The ringed point was wrong; "
        "the red arrow is what it adds to w. Click in the left picture to place points.",
        presets={
            "Wide gap": {"data": "wide gap", "k": 0}
            | {"note": "Works after few mistakes. Press Play."},
            "Narrow gap": {"data": "narrow gap", "k": 0}
            | {"note": "Works, but a narrow gap allows many mistakes. Press Play."},
            "Overlapping": {"data": "overlapping", "k": 0}
            | {"note": "Fails: no line separates these points, so the rule never stops."},
            "XOR": {"data": "XOR", "k": 0}
            | {"note": "Fails: four points are enough to keep it going for ever."},
        },
        actions={"Click at +": lambda: edit(panel.values["x1"], panel.values["x2"])},
        k=player,
        data=choice(list(sets)),
        click=choice({"adds class 0": "0", "adds class 1": "1", "erases": "erase"}),
        x1=slider(-3.0, 3.0, 0.1, -2.0, "+ at x1"),
        x2=slider(-3.0, 3.0, 0.1, 2.0, "+ at x2"),
    )

    def edit(x: float, y: float) -> None:
        points = list(sets[panel.values["data"]])
        if panel.values["click"] == "erase":
            far = [np.hypot(p[0] - x, p[1] - y) for p in points]
            if far and min(far) < 0.4:
                points.pop(int(np.argmin(far)))
        else:
            points.append((round(x, 2), round(y, 2), int(panel.values["click"])))
        sets["your own"] = points
        state["edits"] += 1
        panel.set(data="your own", x1=round(x, 1), x2=round(y, 1))
        panel.set(k=player.max)

    fig.on_press(ax, edit)
    return panel


def _tell_update(
    state: Mapping[str, Any], k: int, total: int, passes: int, w_old: Any, w: Any, b: float
) -> str:
    """The sentence under the learning panel."""
    if not len(state["x"]):
        return "No points yet: click in the left picture."
    radius, margin = state["radius"], state["margin"]
    most = f"{(radius / margin) ** 2:,.0f}" if margin else ""
    if not k:
        return "Before the first update: w = (0, 0), b = 0. " + (
            f"At most (R/γ)² = ({radius:.2f}/{margin:.3f})² = {most} mistakes can come."
            if margin
            else "No line separates these points: γ = 0, and there is no bound."
        )
    i = state["which"][k - 1]
    label = int(state["y"][i])
    point = vector(state["x"][i])
    text = (
        f"Update {k}: {point} of class {label} was called {1 - label}, so w becomes "
        f"{vector(w_old)} {'+' if label else '−'} {point} = {vector(w)}, b = {number(b)}. "
        + (f"{k} of at most {most} mistakes." if margin else f"{k} mistakes, and no bound.")
    )
    if k == total:
        text += (
            " <b>A whole pass without a mistake: done.</b>"
            if state["finished"]
            else f" <b>Still wrong after {passes} passes.</b>"
        )
    return text


def digits(
    learn: Callable[..., tuple[Tensor, Tensor, list[Any]]],
    predict: Predict,
    two_digits: Callable[[Tensor, Tensor, int, int], tuple[Tensor, Tensor]],
    data: Any,
) -> Panel:
    """``learn`` on two digits: the weight vector as an image, update by update.

    ``two_digits(images, labels, a, b)`` returns rows (N, 784) and labels of 0 and 1.
    """
    fig = LiveFigure(820, 390)
    weights_ax, wrong_ax, curve_ax = fig.subplots(1, 3, width_ratios=[1, 1, 1.35])
    weights = weights_ax.imshow(np.zeros((28, 28)), cmap=style.SIGNED, vmin=-1, vmax=1)
    wrong = wrong_ax.imshow(np.zeros((28, 28)), cmap=style.IMAGE, vmin=0, vmax=1)
    weights_ax.set_title("weights w")
    wrong_ax.set_title("got wrong")
    for ax in (weights_ax, wrong_ax):
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
        fig.live(ax.spines.values())  # else the live image covers them
    curve_ax.set(ylim=(0.45, 1.02), xlabel="update", title="held-out accuracy")
    (curve,) = curve_ax.plot([], [], color=style.TEST, lw=2)
    (here,) = curve_ax.plot([], [], "o", color=style.WEIGHT, ms=13, clip_on=False)
    curve_ax.xaxis.get_major_locator().set_params(integer=True)
    caption = wrong_ax.text(0.5, -0.12, "", transform=wrong_ax.transAxes, ha="center", va="center")
    fig.live(weights, wrong, curve, here, caption)
    player = Player(label="update", rate=4)
    state: dict[str, Any] = {"pair": None}

    def load(pair: tuple[int, int]) -> None:
        x, y = two_digits(data.train_x, data.train_y, *pair)
        test_x, test_y = two_digits(data.test_x, data.test_y, *pair)
        w, b, steps = learn(x, y)
        path = [(v, c) for _, v, c in steps] + [(w, b)]
        scores = [float((answers(predict, test_x, v, c) == test_y.numpy()).mean()) for v, c in path]
        state.update(x=x, y=y, path=path, scores=scores, which=[i for i, *_ in steps])
        state.update(bound=widest_margin(x, y), tested=len(test_y), pair=pair)
        curve.set_data(range(len(scores)), scores)
        curve_ax.set_xlim(0, max(len(steps), 1) * 1.03)
        player.max = len(steps)
        player.rate = max(4.0, len(steps) / 20)

    def update(k: int, pair: tuple[int, int]) -> str:
        if state["pair"] != pair:
            load(pair)
        k = min(k, len(state["which"]))
        w = np.asarray(state["path"][k][0]).reshape(28, 28)
        size = float(np.abs(w).max()) or 1.0
        weights.set_clim(-size, size)
        weights.set_data(w)
        here.set_data([k], [state["scores"][k]])
        if k:
            i = state["which"][k - 1]
            label = int(state["y"][i])
            wrong.set_data(state["x"][i].reshape(28, 28).numpy())
            caption.set_text(f"a {pair[label]}, called {pair[1 - label]}")
            act = "added to" if label else "taken from"
            text = f"Update {k} of {len(state['which'])}: this {pair[label]} is {act} w."
        else:
            wrong.set_data(np.zeros((28, 28)))
            caption.set_text("")
            text = "No update yet: every weight is 0."
        radius, margin = state["bound"]
        bound = f" Bound: {(radius / margin) ** 2:,.0f} updates." if margin else ""
        return (
            f"{text} Right on {state['scores'][k]:.1%} of {state['tested']} held-out digits.{bound}"
        )

    pairs = {f"{a} against {b}": (a, b) for a, b in [(0, 1), (3, 5), (4, 9)]}
    return Panel(
        update,
        fig,
        title="A perceptron reads digits",
        look="Ink on blue speaks for the second digit, ink on orange for the first. "
        "Watch w become a picture of the difference.",
        presets={
            "0 against 1": {"pair": (0, 1), "k": 0}
            | {"note": "Works: a handful of digits is enough. Press Play."},
            "3 against 5": {"pair": (3, 5), "k": 0}
            | {"note": "Harder: alike in shape, hundreds of updates, and the accuracy jumps."},
        },
        k=player,
        pair=choice(pairs),
    )
