"""Panels of 03_backprop: a computation graph, its values forward and its gradients backward."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import style
from ..live import LiveFigure
from ..panel import Panel, Player, choice, slider
from .backprop_draw import HEIGHT, SMALL, WIDTH, GraphView, Node, formula, short, times

START = {"x": 2.0, "w1": 0.5, "b1": -0.5, "w2": 2.0, "b2": 0.5, "t": 2.0}
"""Where the sliders start."""

Tape = Sequence[
    tuple[str, str, Sequence[str], Callable[..., float], Callable[..., Sequence[float]]]
]
"""Steps in order: (name, operation, names of the inputs, value, local derivatives)."""


# ---- what drives it


@dataclass
class Trace:
    """A graph after ``k`` single steps: forward through all steps, then back from the last."""

    nodes: list[Node]
    current: int | None
    back: bool
    passed: set[int]
    before: list[float | None]
    """Gradients before the last step."""


def trace_tape(
    tape: Tape, forward_step: Callable, backward_step: Callable, start: Mapping[str, float], k: int
) -> Trace:
    """The first ``k`` single steps of a hand-written list, by the reader's own functions."""
    wanted = {name for step in tape for name in step[2]}
    names = [name for name in start if name in wanted] + [step[0] for step in tape]
    place_of = {name: i for i, name in enumerate(names)}
    leaves = len(names) - len(tape)
    value = {name: start[name] for name in names[:leaves]}
    for step in tape[:k]:
        forward_step(step, value)
    known = dict(value)
    back = k > len(tape)
    grad: dict[str, float] = {}
    before: dict[str, float] = {}
    passed: set[int] = set()
    if back:
        grad = dict.fromkeys(names, 0.0)
        grad[names[-1]] = 1.0
        for step in reversed(tape[len(tape) - (k - len(tape) - 1) :] if k > len(tape) + 1 else ()):
            before = dict(grad)
            backward_step(step, value, grad)
            passed.add(place_of[step[0]])
    nodes = []
    for i, name in enumerate(names):
        node = Node(name, value=known.get(name))
        if i >= leaves:
            _, node.op, inputs, _, local = tape[i - leaves]
            node.inputs = [place_of[n] for n in inputs]
            if i in passed:
                node.local = list(local(*[value[n] for n in inputs]))
        nodes.append(node)
    _known_gradients(nodes, [grad.get(name, 0.0) for name in names], passed, back)
    return Trace(
        nodes,
        _current(k, leaves, len(tape)),
        back,
        passed,
        [before.get(name) for name in names],
    )


def trace_engine(
    function: Callable[..., Any],
    scalar: Callable[[float], Any],
    order: Callable[[Any], list[Any]],
    pass_back: Callable[[Any], None],
    start: Mapping[str, float],
    k: int,
) -> Trace:
    """The same for a formula on the notebook's own scalars, which know their graph."""
    leaves = {name: scalar(value) for name, value in start.items()}
    last = function(**leaves)
    if not hasattr(last, "inputs"):
        raise TypeError(f"the function returned {last!r}, expected a Scalar made of its arguments")
    found = order(last)
    if found[-1] is not last or any(i not in found for n in found for i in n.inputs):
        raise ValueError("order must give every node, inputs first and the last node last")
    names = {id(leaf): name for name, leaf in leaves.items()}
    rank = {name: i for i, name in enumerate(start)}
    made = [n for n in found if n.inputs]
    given = sorted(
        (n for n in found if not n.inputs), key=lambda n: rank.get(names.get(id(n), ""), 99)
    )
    ordered = given + made
    where = {id(n): i for i, n in enumerate(ordered)}
    for n in ordered:
        n.grad = 0.0
    back = k > len(made)
    passed: set[int] = set()
    before: list[float | None] = [None] * len(ordered)
    if back:
        last.grad = 1.0
        for n in made[::-1][: k - len(made) - 1]:
            before = [m.grad for m in ordered]
            pass_back(n)
            passed.add(where[id(n)])
    nodes = []
    for i, n in enumerate(ordered):
        step = i - len(given)
        name = names.get(id(n), f"v{step + 1}" if n.inputs else short(n.value))
        node = Node(name, n.op, [where[id(m)] for m in n.inputs])
        node.value = n.value if step < k else None
        node.local = list(n.local)
        node.constant = not n.inputs and id(n) not in names
        nodes.append(node)
    _known_gradients(nodes, [n.grad for n in ordered], passed, back)
    return Trace(nodes, _current(k, len(given), len(made)), back, passed, before)


def _known_gradients(
    nodes: Sequence[Node], grads: Sequence[float], passed: set[int], back: bool
) -> None:
    """A gradient is shown once something has arrived at its node."""
    reached = {i for k in passed for i in nodes[k].inputs}
    for k, node in enumerate(nodes):
        if back and (k in reached or k == len(nodes) - 1):
            node.grad = grads[k]


def _current(k: int, leaves: int, steps: int) -> int | None:
    """The node at work in step ``k`` of 2 · steps + 1; None before the first."""
    if k == 0:
        return None
    if k <= steps:
        return leaves + k - 1
    return leaves + steps - 1 - max(0, k - steps - 2)


def tell(trace: Trace) -> str:
    """The sentence under the graph."""
    nodes, current = trace.nodes, trace.current
    if current is None:
        return "The inputs and weights are given. Step forward: ▶."
    node = nodes[current]
    last = nodes[-1].name
    if not trace.back:
        words = formula(node.op, [nodes[i].name for i in node.inputs])
        return f"Forward: {node.name} = {words} = <b>{short(node.value)}</b>."
    if not trace.passed:
        return f"Backward starts at the end: {last} changes with itself at the rate <b>1</b>."
    shares: dict[int, list[str]] = {}
    for i, slope in zip(node.inputs, node.local, strict=True):
        if not nodes[i].constant:
            shares.setdefault(i, []).append(times(slope, node.grad))
    parts = []
    for i, products in shares.items():
        old = trace.before[i] or 0.0
        total = f" = <b>{short(nodes[i].grad)}</b>"
        if old or len(products) > 1:
            start = f"{short(old)} + " if old else ""
            parts.append(f"{nodes[i].name}: {start}{' + '.join(products)}{total} (paths add)")
        else:
            parts.append(f"{nodes[i].name}: {products[0]}{total}")
    said = f"Back through {node.name}, local derivative × its gradient. " + "; ".join(parts) + "."
    if len(trace.passed) == sum(bool(n.inputs) for n in nodes):
        slopes = ", ".join(
            f"∂{last}/∂{n.name} = {short(n.grad or 0)}"
            for n in nodes
            if not n.inputs and not n.constant and n.name not in ("x", "t")
        )
        said += (
            f"<br>Done in one pass back: {slopes or f'∂{last}/∂x = {short(nodes[0].grad or 0)}'}."
        )
    return said


def _panel(
    trace: Callable[..., Trace], names: Sequence[str], title: str, look: str, presets: Mapping
) -> Panel:
    fig = LiveFigure(WIDTH, HEIGHT)
    view = GraphView(fig)
    ax = view.ax
    ax.text(92, HEIGHT - 14, "value", color=style.ACTIVATION, weight="bold", va="center")
    ax.text(178, HEIGHT - 14, "gradient", color=style.GRADIENT, weight="bold", va="center")
    ax.text(306, HEIGHT - 14, "on an edge: local derivative", color=SMALL, va="center")
    player = Player(max=99, label="step", rate=1.5)
    chooser = choice(list(names))

    def fit(shown: Trace) -> int:
        """Give the player as many steps as the graph has; where it stands now."""
        total = 2 * sum(bool(n.inputs) for n in shown.nodes) + 1
        if player.max != total:
            k = total if player.value >= player.max else player.value
            player.max = total  # who was at the end stays at the end
            player.value = k
        return player.value

    def chosen(change: Any) -> None:
        try:
            shown = trace(change["new"], START, 0)
        except Exception:  # the update meets it again, and shows it
            return
        fit(shown)

    chooser.observe(chosen, "value")  # before the panel: a preset's step must find its place

    def update(k: int, graph: str, **start: float) -> str:
        shown = trace(graph, start, k)
        if (here := fit(shown)) != k:
            shown = trace(graph, start, here)
        view.show(shown.nodes, shown.current, shown.back, shown.passed)
        return tell(shown)

    return Panel(
        update,
        fig,
        title=title,
        look=look,
        presets=presets,
        k=player,
        graph=chooser,
        **{name: slider(-3.0, 3.0, 0.1, value) for name, value in START.items()},
    )


def graph(graphs: Mapping[str, Tape], forward_step: Callable, backward_step: Callable) -> Panel:
    """Hand-written graphs, one node at a time, by ``forward_step(node, value)`` and
    ``backward_step(node, value, grad)``."""
    names = list(graphs)
    steps = {name: len(tape) for name, tape in graphs.items()}
    return _panel(
        lambda name, start, k: trace_tape(graphs[name], forward_step, backward_step, start, k),
        names,
        "Values forward, gradients backward",
        "Press ▶ step by step, or Play. First the values fill in from the left, "
        "then the gradients from the right.",
        {
            "values": {"graph": names[0], **START, "k": steps[names[0]]}
            | {"note": "Forward only: the net's answer, and nothing about its weights yet."},
            "gradients": {"graph": names[1], **START, "k": 2 * steps[names[1]] + 1}
            | {"note": "Works: one pass back, and every weight knows its slope."},
            "fan-out": {"graph": names[2], **START, "k": 2 * steps[names[2]] + 1}
            | {"note": "x goes two ways, so its gradient is a sum of two."},
            "dead unit": {"graph": names[1], **START, "w1": -1.0, "k": 2 * steps[names[1]] + 1}
            | {"note": "Fails: z is below 0, ReLU is flat, and w1 and b1 get no gradient at all."},
        },
    )


def engine(
    functions: Mapping[str, Callable[..., Any]],
    scalar: Callable[[float], Any],
    order: Callable[[Any], list[Any]],
    pass_back: Callable[[Any], None],
) -> Panel:
    """The graphs of ``functions``, found by running them on ``scalar`` numbers."""
    names = list(functions)
    return _panel(
        lambda name, start, k: trace_engine(functions[name], scalar, order, pass_back, start, k),
        names,
        "Your engine, step by step",
        "The same picture, drawn from what your Scalars remember. Choose a formula.",
        {
            "works": {"graph": names[0], **START, "k": 99}
            | {"note": "The neuron and its loss again: compare with the panel above."},
            "fan-out": {"graph": names[1], **START, "k": 99}
            | {"note": "w1 is used in two places: two gradients arrive, and they add."},
            "saturated": {"graph": names[2], **START, "w1": 3.0, "x": 2.0, "k": 99}
            | {"note": "Fails: tanh is nearly flat out here, so hardly any gradient gets past it."},
        },
    )
