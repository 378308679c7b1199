"""Minibatches, runs in the background, scrubbing, ``fit``, and what happens when training fails."""

import linecache
import math
import threading
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from waiting import PATIENCE, wait_for, within

from lecture_utils import device, panel, training
from lecture_utils.live import LiveFigure
from lecture_utils.panel import Panel
from lecture_utils.training import Run, RunControls, TrainingFailed, accuracy, batch, fit

pytestmark = pytest.mark.usefixtures("one_thread")


# ---- minibatches


@given(st.integers(1, 200), st.integers(1, 220), st.integers(0, 3), st.integers(0, 4))
def test_batches_cover_an_epoch_exactly_once(count, size, seed, epoch):
    per_epoch = count // min(size, count)
    steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
    drawn = Counter(i for k in steps for i in batch(k, count, size, seed).tolist())
    assert set(drawn.values()) == {1}
    assert set(drawn) <= set(range(count))
    assert len(drawn) == count - count % min(size, count)


def test_a_batch_is_a_function_of_its_step():
    drawn = [batch(k, 100, 10, 5) for k in range(40)]
    for k in reversed(range(40)):
        assert torch.equal(batch(k, 100, 10, 5), drawn[k])
    batch(7, 100, 10, 5).zero_()
    assert torch.equal(batch(7, 100, 10, 5), drawn[7]), "a reader's change must not stay"
    assert not torch.equal(batch(0, 100, 10, 5), batch(10, 100, 10, 5)), "epochs differ"
    assert not torch.equal(batch(0, 100, 10, 5), batch(0, 100, 10, 6)), "seeds differ"


def test_accuracy_is_the_share_of_right_rows():
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 1.0], [1.0, 0.0]])
    assert accuracy(logits, torch.tensor([0, 1, 1, 0])) == 0.75


# ---- runs


class Problem:
    """A small regression with Adam, whose state an interrupted run must not lose."""

    def __init__(self, learning_rate=0.02, break_at=None, error=None, **options):
        generator = torch.Generator().manual_seed(3)
        x = torch.randn(64, 3, generator=generator)
        y = (x @ torch.tensor([[1.0], [-2.0], [0.5]])).tanh()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=learning_rate)
        self.break_at, self.error, self.calls = break_at, error, []
        options = {"data": [x, y], **options}
        self.run = Run(self.step, models=[self.model], optimizers=[self.optimizer], **options)

    def step(self, k, x, y):
        self.calls.append(k)
        chosen = batch(k, len(x), 16).to(x.device)
        loss = nn.functional.mse_loss(self.model(x[chosen]), y[chosen])
        if k == self.break_at:
            if isinstance(self.error, float):
                loss = loss * self.error
            else:
                raise self.error
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    @property
    def weights(self):
        return [p.detach().cpu().clone() for p in self.model.parameters()]

    @property
    def moments(self):
        state = self.optimizer.state_dict()["state"]
        return [v.detach().cpu().clone() for entry in state.values() for v in entry.values()]


def same(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def close(*wanted):
    return [pytest.approx(w, rel=1e-5, abs=1e-7) for w in wanted]


def finish(run):
    """Wait until a playing run has ended by itself."""
    run._thread.join(PATIENCE)
    assert not run._thread.is_alive(), "the run is stuck"


def test_a_run_equals_a_plain_loop():
    ours, plain = Problem(steps=50), Problem()
    assert ours.run.advance(1000) == 50
    x, y = plain.run.data
    losses = [plain.step(k, x, y).item() for k in range(50)]
    assert same(ours.weights, plain.weights)
    assert same(ours.moments, plain.moments)
    assert ours.run.history["loss"] == (list(range(50)), losses)
    assert ours.run.last("loss") == losses[-1]
    assert math.isnan(ours.run.last("score"))
    assert losses[-1] < losses[0] / 2


def test_playing_in_the_background_does_the_same_steps():
    ours, plain = Problem(steps=60), Problem()
    ours.run.play()
    finish(ours.run)
    plain.run.advance(60)
    assert not ours.run.playing
    assert ours.run.message == "Done: 60 steps."
    assert same(ours.weights, plain.weights)
    assert ours.run.history == plain.run.history
    assert ours.run.snapshots[-1][0] == 60
    ours.run.play()
    assert "Rewind" in ours.run.message
    assert not ours.run.playing


def test_pause_keeps_the_state_and_play_goes_on():
    ours, plain = Problem(), Problem()
    ours.run.play()
    wait_for(lambda: ours.run.reached > 20)
    ours.run.pause()
    stood = ours.run.reached
    assert not ours.run.playing
    assert ours.run.snapshots[-1][0] == stood == ours.run.position
    ours.run.step(5)
    assert ours.run.reached == stood + 5
    ours.run.play()
    wait_for(lambda: ours.run.reached > stood + 20)
    ours.run.pause()
    plain.run.advance(ours.run.reached)
    assert ours.calls == list(range(ours.run.reached))
    assert same(ours.weights, plain.weights)


def test_rewind_and_replay_is_bit_identical():
    problem = Problem(steps=40, snapshot_every=7)
    start = problem.weights
    problem.run.advance(40)
    first = problem.weights, problem.moments, dict(problem.run.history)
    problem.run.rewind()
    assert same(problem.weights, start)
    assert problem.moments == []
    assert (problem.run.position, problem.run.reached, problem.run.history) == (0, 0, {})
    problem.run.play()
    finish(problem.run)
    assert same(problem.weights, first[0])
    assert same(problem.moments, first[1])
    assert problem.run.history == first[2]


def test_restart_counts_from_the_weights_given():
    problem = Problem(steps=30)
    problem.run.advance(10)
    given = problem.weights
    problem.run.restart()
    assert problem.run.position == problem.run.reached == 0
    assert problem.run.history == {}
    assert problem.moments == []
    problem.run.advance(5)
    problem.run.rewind()
    assert same(problem.weights, given)


def test_restart_without_halt_goes_on_playing():
    problem = Problem()
    problem.run.play()
    wait_for(lambda: problem.run.reached > 30)
    with problem.run.paused():
        given = problem.weights
        problem.run.restart(halt=False)
        assert problem.run.position == problem.run.reached == 0
        assert problem.run.history == {}
    wait_for(lambda: problem.run.reached > 3)
    assert problem.run.playing
    problem.run.rewind()
    assert same(problem.weights, given)


def test_branch_forgets_what_came_after():
    plain, problem = Problem(snapshot_every=5), Problem(snapshot_every=5)
    plain.run.advance(15)
    problem.run.advance(30)
    problem.run.seek(3)
    with torch.no_grad():
        problem.model[0].bias.add_(1.0)
    given = problem.weights
    problem.run.branch()
    assert (problem.run.position, problem.run.reached) == (15, 15)
    assert [step for step, _ in problem.run.snapshots] == [0, 5, 10, 15]
    assert problem.run.curve("loss") == plain.run.curve("loss")
    problem.run.advance(5)
    assert problem.run.reached == 20
    problem.run.seek(3)
    assert same(problem.weights, given), "the state changed by hand is the one that is kept"
    problem.run.rewind()
    assert same(problem.weights, Problem().weights)


@pytest.mark.parametrize("go_on", ["advance", "step", "play"])
def test_after_a_seek_training_goes_on_from_the_end(go_on):
    ours, plain = Problem(steps=45, snapshot_every=6), Problem(steps=45, snapshot_every=6)
    ours.run.advance(20)
    states = dict(ours.run.snapshots)
    for index in (1, 0, 2):
        ours.run.seek(index)
        step = ours.run.snapshots[index][0]
        assert ours.run.position == step
        assert same(ours.weights, list(states[step][0][0].values()))
    assert ours.run.reached == 20
    if go_on == "play":
        ours.run.play()
        finish(ours.run)
    else:
        getattr(ours.run, go_on)(25)
    plain.run.advance(45)
    assert ours.calls == plain.calls
    assert same(ours.weights, plain.weights)
    assert same(ours.moments, plain.moments)
    assert ours.run.history == plain.run.history


def test_seeking_does_not_touch_the_snapshots():
    problem = Problem()
    problem.run.advance(5)
    kept = [state[0][0]["0.weight"].clone() for _, state in problem.run.snapshots]
    problem.run.seek(2)
    problem.run.advance(1)
    problem.run.seek(0)
    with torch.no_grad():
        problem.model[0].weight.zero_()
    after = [state[0][0]["0.weight"] for _, state in problem.run.snapshots[: len(kept)]]
    assert same(after, kept)


def test_seek_finds_its_snapshot_although_pausing_thins_them_out():
    problem = Problem(max_snapshots=10, snapshot_every=2)
    problem.run.advance(19)
    assert len(problem.run.snapshots) == 10
    problem.run.seek(9)  # keeps step 19 first, one too many
    assert problem.run.position == 18 or 18 not in [s for s, _ in problem.run.snapshots]
    assert problem.run.position in (16, 18)
    assert same(
        problem.weights, list(dict(problem.run.snapshots)[problem.run.position][0][0].values())
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 30), st.integers(1, 9), st.integers(1, 300))
def test_snapshots_are_thinned_out(most, every, steps):
    weight = nn.Linear(1, 1)
    run = Run(lambda k: 0.0, models=[weight], snapshot_every=every, max_snapshots=most)
    run.step(steps)
    kept = [step for step, _ in run.snapshots]
    assert kept[0] == 0
    assert kept[-1] == steps
    assert kept == sorted(set(kept))
    assert len(kept) <= most + 1
    if steps >= every * most:
        assert len(kept) >= most // 2
        gaps = [b - a for a, b in pairwise(kept)]
        assert max(gaps) <= 4 * steps / most + every, "the gaps must stay even"


def test_a_learning_rate_set_while_training_survives_a_seek():
    problem = Problem()
    problem.run.play()
    wait_for(lambda: problem.run.reached > 5)
    problem.optimizer.param_groups[0]["lr"] = 0.123
    wait_for(lambda: problem.run.reached > 15)
    problem.run.seek(0)
    assert problem.optimizer.param_groups[0]["lr"] == 0.123
    problem.run.step()
    assert problem.optimizer.param_groups[0]["lr"] == 0.123


def test_scores_are_taken_with_each_snapshot():
    asked = []

    def evaluate(x, y):
        asked.append(1)
        return {"first weight": problem.model[0].weight[0, 0]} if asked[1:] else {}

    problem = Problem(evaluate=evaluate, snapshot_every=4)
    problem.run.advance(8)
    assert problem.run.curve("first weight")[0] == [4, 8]
    expected = [float(state[0][0]["0.weight"][0, 0]) for _, state in problem.run.snapshots[1:]]
    assert problem.run.curve("first weight")[1] == expected
    assert problem.run.curve("unknown") == ([], [])


def test_a_step_may_return_several_numbers():
    run = Run(lambda k: {"generator": k, "critic": torch.tensor(2.0 * k)}, steps=3)
    run.advance(10)
    assert run.history == {"generator": ([0, 1, 2], [0, 1, 2]), "critic": ([0, 1, 2], [0, 2, 4])}


def test_paused_holds_a_playing_run_between_steps():
    problem = Problem()
    problem.run.play()
    for _ in range(20):
        with problem.run.paused():
            before = problem.run.position, problem.weights
            threading.Event().wait(0.002)
            assert problem.run.position == before[0]
            assert same(problem.weights, before[1])
    reached = problem.run.reached
    wait_for(lambda: problem.run.reached > reached)
    problem.run.pause()


def test_speed_limits_the_steps():
    run = Run(lambda k: 0.0, speed=50)
    run.play()
    wait_for(lambda: run.reached >= 3)
    run.speed = 1e-3
    wait_for(lambda: run._thread.is_alive())
    within(run.pause)  # the wait for the next step must not hold up the pause
    assert 3 <= run.reached < 50


def test_a_new_speed_makes_up_for_nothing(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
    times = []

    class Stop:
        def is_set(self):
            return len(times) >= 200

        def wait(self, seconds):
            clock[0] += seconds
            return False

    def step(k):
        times.append(clock[0])
        if k == 100:
            run.speed = 10  # from here ten times as fast, not at once where it would be by now
        return 0.0

    run = Run(step, speed=1)
    run._train(Stop())
    assert times[101] == pytest.approx(100.1)
    assert times[199] - times[101] == pytest.approx(9.8)


# ---- failures


@pytest.mark.parametrize("way", ["advance", "play"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_stops_with_a_sentence_and_the_last_good_state(way, value):
    problem = Problem(break_at=25, error=value, snapshot_every=10)
    if way == "play":
        problem.run.play()
        finish(problem.run)
    else:
        problem.run.advance(100)
    run = problem.run
    assert isinstance(run.error, TrainingFailed)
    assert "at step 25" in run.message
    assert "back at step 20" in run.message
    assert run.position == run.reached == 20
    assert all(w.isfinite().all() for w in problem.weights)
    plain = Problem()
    plain.run.advance(20)
    assert same(problem.weights, plain.weights)
    assert same(problem.moments, plain.moments)
    assert not run.playing
    assert run.history["loss"][0] == list(range(25)), "the curve shows how it went wrong"
    problem.break_at = None
    run.step(10)
    assert run.error is None
    assert run.history["loss"][0] == list(range(30)), "no step stands twice in the record"
    plain.run.advance(10)
    assert same(problem.weights, plain.weights)


def test_weights_that_are_not_finite_are_never_kept():
    model = nn.Linear(1, 1)

    def step(k):
        if k == 12:
            model.weight.data.fill_(math.nan)  # the loss of this step is still finite
        return 1.0

    run = Run(step, models=[model], snapshot_every=5)
    run.advance(100)
    assert isinstance(run.error, TrainingFailed)
    assert run.position == 10
    assert model.weight.isfinite().all()


def test_a_step_that_raises_is_shown_with_the_reader_s_line():
    source = (
        "def step(k):\n    if k == 4:\n        raise IndexError('no such class')\n    return 1.0\n"
    )
    name = "/tmp/ipykernel_99/1.py"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    names = {}
    exec(compile(source, name, "exec"), names)
    run = Run(names["step"])
    run.play()
    finish(run)
    assert isinstance(run.error, IndexError)
    assert "no such class" in run.message
    assert "line 3 of your cell" in run.message
    assert (run.reached, run.playing) == (4, False)
    controls = RunControls(run)
    assert run.message in controls.state.value
    run.rewind()
    assert (run.error, run.message) == (None, "")


def test_an_error_in_a_listener_ends_the_run_and_is_kept():
    run = Run(lambda k: 0.0)
    told = []
    run.on_frame(lambda: 1 / 0 if threading.current_thread() is run._thread else None)
    run.on_frame(lambda: told.append(run.playing))
    run.play()
    finish(run)
    assert isinstance(run.error, ZeroDivisionError)
    assert not run.playing
    assert told[-1] is False, "the other listeners hear of it"


# ---- controls


def test_run_controls_drive_the_run():
    problem = Problem(steps=30)
    controls = RunControls(problem.run, stride=4)
    assert (controls.slider.max, controls.slider.value) == (0, 0)
    controls.step_button.click()
    assert problem.run.reached == 4
    assert controls.state.value == "step 4 of 30"
    assert controls.slider.value == controls.slider.max == len(problem.run.snapshots) - 1
    controls.slider.value = 2
    assert problem.run.position == problem.run.snapshots[2][0]
    assert problem.run.reached == 4
    controls.play_button.click()
    finish(problem.run)
    assert problem.run.position == 30
    assert controls.slider.value == controls.slider.max == 30
    assert controls.play_button.description == "Play"
    assert "Done: 30 steps." in controls.state.value
    controls.rewind_button.click()
    assert problem.run.position == 0
    assert controls.slider.max == 0


def test_the_slider_of_a_playing_run_never_seeks_by_itself():
    problem = Problem(max_snapshots=8)
    controls = RunControls(problem.run)
    sought, plain = [], problem.run.seek
    problem.run.seek = lambda index: (sought.append(index), plain(index))
    problem.run.play()
    for _ in range(200):  # as the shell thread does after a click, while the run does it too
        controls._follow()
    wait_for(lambda: problem.run.reached > 300)
    problem.run.pause()
    assert sought == []


# ---- panels, runs and other threads


def run_panel(problem, **options):
    """A panel on a run, its controls changed by the tests from other threads."""
    fig = LiveFigure(160, 100)
    ax = fig.add_subplot()
    ax.set(xlim=(0, 1), ylim=(-3, 3))
    (line,) = fig.live(*ax.plot([0, 1], [0, 0]))
    positions = []

    def update(height, rate):
        with problem.run.paused():
            positions.append(problem.run.position)
            first = float(problem.model[0].weight[0, 0].detach())
        line.set_ydata([first, height])
        return f"step {problem.run.position}"

    made = Panel(
        update,
        fig,
        title="t",
        look="l",
        run=problem.run,
        height=(-3, 3, 1, 0),
        rate=(0, 9, 1, 1),
        **options,
    )
    made.positions, made.line = positions, line
    return made


def test_a_panel_follows_its_run_and_shows_the_end():
    problem = Problem(steps=200)
    made = run_panel(problem)
    made.figure._receive(None, {"type": "hello", "ratio": 1}, [])
    made.figure._owed = True  # a page that never answers: droppable frames are dropped
    problem.run.play()
    finish(problem.run)
    assert made.positions == sorted(made.positions)
    assert made.positions[-1] == 200
    assert made.figure.caption == "step 200"
    made.figure.send = lambda *_: None
    last = made.figure._last.copy()
    made.figure.refresh()
    assert (made.figure._last == last).all(), "the page must end on the last state"


def storm(problem, made, rounds=25):
    """Everything a class can do to a playing run, at once from several threads."""

    def sliders():
        for k in range(rounds * 4):
            made.controls["height"].value = k % 7 - 3

    def presses():
        for k in range(rounds):
            problem.run.play()
            threading.Event().wait(0.003)
            [problem.run.pause, problem.run.rewind, problem.run.step][k % 3]()

    def scrubs():
        for k in range(rounds):
            slider = made.run_controls.slider
            slider.value = k % (slider.max + 1)

    def looks():
        for _ in range(rounds):
            with problem.run.paused():
                assert all(w.isfinite().all() for w in problem.weights)
            made.refresh()
            made.figure.render()

    threads = [threading.Thread(target=f, daemon=True) for f in (sliders, presses, scrubs, looks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "deadlock"


def test_a_storm_of_controls_leaves_a_run_that_works():
    problem = Problem()
    made = run_panel(problem)
    storm(problem, made)
    problem.run.pause()
    problem.run.rewind()
    problem.run.play()
    wait_for(lambda: problem.run.reached >= 30)
    problem.run.pause()
    plain = Problem()
    plain.run.advance(problem.run.reached)
    assert same(problem.weights, plain.weights)
    assert made.error is None
    assert made.figure.caption == f"step {problem.run.position}"


@pytest.mark.parametrize("act", ["pause", "rewind", "seek", "step", "play"])
def test_a_control_handler_may_command_a_training_run(act):
    problem = Problem()
    made = run_panel(problem)
    command = {"seek": lambda: problem.run.seek(0)}.get(act, getattr(problem.run, act))
    made.controls["rate"].observe(lambda _: command(), "value")
    problem.run.play()
    wait_for(lambda: problem.run.reached > 10)
    for value in (2, 3, 4):
        within(lambda value=value: setattr(made.controls["rate"], "value", value))
    assert problem.run.playing == (act == "play")
    within(problem.run.pause)
    assert made.error is None


def test_a_run_ends_while_a_panel_is_locked():
    """Who holds a panel may wait for the training thread, which wants to draw that panel."""
    problem = Problem()
    made = run_panel(problem)
    problem.run.play()
    wait_for(lambda: len(made.positions) > 2)

    def pause_inside():
        with made.lock:
            problem.run.pause()

    within(pause_inside)
    assert not problem.run.playing
    assert made.figure.caption == f"step {problem.run.position}"


def test_switching_the_device_while_training_in_the_background():
    problem = Problem()
    made = run_panel(problem)
    toggle = device.DeviceToggle()
    problem.run.play()
    for _ in range(20):
        within(toggle.buttons["cpu"].click)
        within(lambda: device.use("cpu"))
    reached = problem.run.reached
    wait_for(lambda: problem.run.reached > reached)
    within(problem.run.pause)
    assert problem.run.error is None
    assert made.error is None


# ---- fit


def digits_like(count=60):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 4, generator=generator)
    return x, (x[:, 0] > 0).long()


def classifier():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


@pytest.mark.parametrize("live", [True, False])
def test_fit_equals_a_plain_loop(live):
    x, y = digits_like()
    model, plain = classifier(), classifier()
    run = fit(
        model,
        (x, y),
        loss=nn.functional.cross_entropy,
        test=(x[:20], y[:20]),
        scores={"accuracy": accuracy},
        epochs=3,
        batch_size=16,
        learning_rate=0.05,
        seed=7,
        live=live,
    )
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.05)
    losses = []
    for k in range(9):  # three whole batches of 16 in 60 examples
        chosen = batch(k, 60, 16, 7)
        loss = nn.functional.cross_entropy(plain(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert same([p.detach() for p in model.parameters()], [p.detach() for p in plain.parameters()])
    assert run.history["loss"] == (list(range(9)), losses)
    steps, scores = run.history["test accuracy"]
    assert steps == [0, 3, 6, 9]
    assert scores[-1] == float(accuracy(plain(x[:20]), y[:20]))
    assert run.message == ""
    assert not model.training
    run.seek(0)
    assert same([p.detach() for p in model.parameters()], list(classifier().state_dict().values()))


def test_fit_evaluates_in_evaluation_mode_and_trains_in_training_mode():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    modes = {"loss": set(), "accuracy": set()}

    def loss(outputs, targets):
        modes["loss"].add((model.training, torch.is_grad_enabled()))
        return nn.functional.cross_entropy(outputs, targets)

    x, y = digits_like()
    run = fit(model, (x, y), loss=loss, test=(x, y), epochs=2, live=False)
    assert modes["loss"] == {(True, True), (False, False)}
    whole = nn.functional.cross_entropy(model(x), y).item()
    assert run.last("test loss") == pytest.approx(whole)


def test_augmented_inputs_are_the_same_at_the_same_step():
    seen = []

    def augment(inputs, generator):
        seen.append(torch.rand(1, generator=generator).item())
        return inputs + seen[-1]

    x, y = digits_like()
    options = {"loss": nn.functional.cross_entropy, "augment": augment, "live": False}
    fit(classifier(), (x, y), epochs=2, batch_size=30, **options)
    fit(classifier(), (x, y), epochs=2, batch_size=30, **options)
    assert seen[:4] == seen[4:]
    assert len(set(seen)) == 4


@pytest.mark.parametrize("where", ["loss", "model"])
def test_an_interrupt_keeps_the_state(where):
    x, y = digits_like()
    model, calls = classifier(), []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt

    def loss(outputs, targets):
        if where == "loss":
            interrupt()
        return nn.functional.cross_entropy(outputs, targets)

    if where == "model":
        model[0].register_forward_hook(interrupt)
    run = fit(model, (x, y), loss=loss, epochs=50, batch_size=30, learning_rate=0.05)
    assert run.position == run.reached == 7
    assert "Interrupted at step 7" in run.message
    assert run.error is None
    plain = classifier()
    again = fit(
        plain,
        (x, y),
        loss=nn.functional.cross_entropy,
        epochs=50,
        batch_size=30,
        learning_rate=0.05,
        live=False,
    )
    again.seek(3)
    assert again.position == 6
    expected = list(dict(again.snapshots)[6][0][0].values())
    run.seek(3)
    assert same([p.detach() for p in model.parameters()], expected)
    assert run.snapshots[-1][0] == 7
    run.step(3)
    assert run.reached == 10, "training can be taken up again"


def test_fit_raises_a_sentence_when_the_loss_is_not_finite():
    x, y = digits_like()
    calls = []

    def loss(outputs, targets):
        calls.append(1)
        scale = math.nan if len(calls) == 5 else 1.0
        return scale * nn.functional.cross_entropy(outputs, targets)

    model = classifier()
    with pytest.raises(TrainingFailed, match="step 4.*back at step 4, its last good state"):
        fit(model, (x, y), loss=loss, epochs=5, batch_size=30)
    assert all(p.isfinite().all() for p in model.parameters())


def test_fit_raises_what_a_step_raises():
    x, y = digits_like()
    with pytest.raises(RuntimeError, match="shape|size"):
        fit(nn.Linear(5, 2), (x, y), loss=nn.functional.cross_entropy)
    with pytest.raises(ValueError, match="60 inputs but 59 targets"):
        fit(classifier(), (x, y[:-1]), loss=nn.functional.cross_entropy)


def test_the_curves_of_fit_end_on_the_last_state(monkeypatch):
    kept = []

    class Recorded(training.Curves):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.figure._receive(None, {"type": "hello", "ratio": 1}, [])
            self.figure._owed = True  # a page that never answers
            kept.append(self)

    monkeypatch.setattr(training, "Curves", Recorded)
    x, y = digits_like()
    test = {"test": (x, y), "scores": {"accuracy": accuracy}}
    run = fit(classifier(), (x, y), loss=nn.functional.cross_entropy, epochs=4, **test)
    (curves,) = kept
    assert list(curves.loss.get_ydata()) == run.curve("loss")[1]
    assert list(curves.test.get_xdata()) == run.curve("test loss")[0]
    assert list(curves.scores["test accuracy"].get_ydata()) == run.curve("test accuracy")[1]
    assert (curves.figure.render() == curves.figure._last).all(), "the last frame must be shown"


def test_own_errors_of_a_panel_on_a_run_are_shown(monkeypatch):
    monkeypatch.setattr(panel, "strict", False)
    problem = Problem(steps=30)

    def update(n):
        if problem.run.position > 10:
            raise ValueError("too far")

    made = Panel(update, LiveFigure(100, 80), title="t", look="l", run=problem.run, n=(0, 3, 1))
    problem.run.play()
    finish(problem.run)
    assert problem.run.reached == 30, "an error in a picture must not stop training"
    assert "too far" in made.shown


def test_controls_name_a_turn_as_the_run_does():
    run = Run(lambda k: 0.0, turn_name="epoch")
    controls = RunControls(run)
    run.step()
    assert controls.state.value == "epoch 1"
    assert RunControls(Run(lambda k: 0.0, steps=9)).state.value == "step 0 of 9"
