"""The device switch: on every device there is, and on torch's lazy tensors where there is one."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from second_device import LAZY, offer
from torch import nn
from waiting import wait_for, within

from lecture_utils import device
from lecture_utils.training import Run, RunControls, batch, fit

OTHERS = [LAZY, *(d.name for d in device.devices() if d.available and d.name != "cpu")]


@pytest.fixture(autouse=True)
def start_on_the_cpu(monkeypatch, one_thread):
    offer(monkeypatch)


def seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def small_net():
    return seeded(lambda: nn.Sequential(nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 2), Scale()))


def small_cnn():
    return seeded(
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 6, 6)),
            nn.Conv2d(1, 3, 3, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 2),
        )
    )


class Scale(nn.Module):
    """A parameter without dimensions, as a temperature is."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return x * self.scale


def points(count=40):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(count, 36, generator=generator)
    return x, (x.mean(dim=1) > 0).long()


def compute(on):
    """Lazy tensors grow a graph until told to compute; others have done so already."""
    if on.type == LAZY:
        torch._lazy.mark_step()


class Training:
    """A small net with Adam or momentum, as a ``Run``."""

    def __init__(self, optimizer=torch.optim.Adam, model=small_net, **options):
        self.model = model()
        self.optimizer = optimizer(self.model.parameters(), lr=0.01)
        self.on = []
        self.run = Run(
            self.step, models=[self.model], optimizers=[self.optimizer], data=points(), **options
        )

    def step(self, k, x, y):
        self.on.append(x.device.type)
        chosen = batch(k, len(x), 10).to(x.device)
        loss = nn.functional.cross_entropy(self.model(x[chosen]), y[chosen])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        compute(x.device)
        return loss


def momentum(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


# ---- what is there


def test_unavailable_devices_are_listed_with_a_reason():
    found = {info.name: info for info in device.devices()}
    assert found["cpu"].available
    assert found["cpu"].reason == ""
    assert "cuda" in found
    for info in found.values():
        assert info.available == (not info.reason)


@pytest.mark.parametrize(
    ("cuda", "available", "words"),
    [(None, False, "CPU-only build"), ("13.0", False, "no NVIDIA GPU with a working driver")],
)
def test_the_reason_why_cuda_is_unavailable(monkeypatch, cuda, available, words):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    info = device.devices()[1]
    assert (info.name, info.available) == ("cuda", False)
    assert words in info.reason


def test_a_gpu_that_cannot_compute_is_unavailable(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("CUDA error: no kernel image\nmore")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", broken)
    assert device.devices()[1].reason == "CUDA error: no kernel image"


def test_an_unknown_or_unavailable_device_changes_nothing(monkeypatch):
    monkeypatch.setattr(device, "_cuda", lambda: device.DeviceInfo("cuda", "CUDA", False, "gone"))
    model = device.follow(nn.Linear(2, 2))
    with pytest.raises(device.DeviceError, match=r"no device 'gpu'. Choose one of: cpu, cuda"):
        device.use("gpu")
    with pytest.raises(device.DeviceError, match="cuda can't be used: gone"):
        device.use("cuda")
    assert device.current().type == model.weight.device.type == "cpu"


def test_lecture_device_chooses_where_to_start(monkeypatch):
    monkeypatch.setattr(device, "_current", None)
    monkeypatch.setenv("LECTURE_DEVICE", "LAZY")
    assert device.current().type == LAZY
    monkeypatch.setattr(device, "_current", None)
    monkeypatch.setenv("LECTURE_DEVICE", "toaster")
    with pytest.raises(device.DeviceError, match="no device 'toaster'. Choose one of: cpu"):
        device.current()
    monkeypatch.delenv("LECTURE_DEVICE")
    assert device.current().type == "cpu"


def test_a_script_that_asks_for_an_unavailable_device_gets_a_sentence():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import torch; torch.cuda.is_available = lambda: False\n"
            "import lecture_utils as lu; lu.follow(torch.zeros(1))",
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(device.__file__).parents[1]),
            "LECTURE_DEVICE": "cuda",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "LECTURE_DEVICE asks for cuda, but" in last
    assert "Unset it to use the CPU." in last


# ---- what follows


@pytest.mark.parametrize("name", OTHERS)
def test_models_and_tensors_follow_and_stay_the_same_objects(name):
    model = small_net()
    table, leaf = torch.arange(6.0).reshape(2, 3), torch.ones(2, requires_grad=True)
    followed = device.follow(model, table, leaf)
    objects = [model, table, leaf, *model.modules(), *model.parameters()]
    assert all(a is b for a, b in zip(followed, objects, strict=False))
    expected = {k: v.clone() for k, v in model.state_dict().items()}
    for where in (name, "cpu", name, "cpu"):
        device.use(where)
        assert device.current().type == where
        tensors = [table, leaf, *model.state_dict().values(), *model.buffers()]
        assert {t.device.type for t in tensors} == {where}
        now = [model, table, leaf, *model.modules(), *model.parameters()]
        assert all(a is b for a, b in zip(objects, now, strict=True))
        assert torch.equal(table.cpu(), torch.arange(6.0).reshape(2, 3))
        assert leaf.requires_grad
        (leaf * 3).sum().backward()
        assert leaf.grad.device.type == where
    assert leaf.grad.tolist() == [12, 12], "a gradient moves with its tensor"
    for key, value in model.state_dict().items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("name", OTHERS)
def test_what_follows_later_starts_on_the_device_in_use(name):
    device.use(name)
    model = device.follow(nn.Linear(2, 2))
    assert model.weight.device.type == name
    assert device.follow(model) is model
    device.use("cpu")
    assert model.weight.device.type == "cpu"


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("make", [torch.optim.Adam, momentum])
@pytest.mark.parametrize("model_first", [True, False])
def test_an_optimizer_follows_with_its_state(name, make, model_first):
    def losses(places):
        device.use("cpu")
        model, (x, y) = small_net(), points()
        optimizer = make(model.parameters(), lr=0.01)
        device.follow(*([model, optimizer] if model_first else [optimizer, model]), x, y)
        found = []
        for where in places:
            device.use(where)
            for _ in range(3):
                loss = nn.functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                compute(x.device)
                found.append(loss.item())
        return found

    moved = losses(["cpu", name, "cpu", name])
    assert moved == pytest.approx(losses(["cpu"] * 4), abs=1e-5)
    assert moved[-1] < moved[0]


def test_what_nobody_holds_is_forgotten():
    model = device.follow(nn.Linear(2, 2))
    device.follow(nn.Linear(3, 3))
    gc.collect()
    device.use(LAZY)
    assert [ref() for ref in device._followers] == [model]


# ---- training moves


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("make", [torch.optim.Adam, momentum])
@pytest.mark.parametrize(("model", "turns"), [(small_net, 6), (small_cnn, 2)])
def test_a_training_goes_there_and_back_with_the_same_losses(name, make, model, turns):
    moved, still = Training(make, model), Training(make, model)
    identity = moved.model, moved.optimizer
    for where in ("cpu", name, "cpu", name):
        device.use(where)
        moved.run.advance(turns)
    device.use("cpu")
    still.run.advance(4 * turns)
    assert moved.on == (["cpu"] * turns + [name] * turns) * 2
    assert (moved.run.models[0], moved.run.optimizers[0]) == identity
    assert moved.run.history["loss"][0] == list(range(4 * turns))
    assert moved.run.history["loss"][1] == pytest.approx(still.run.history["loss"][1], abs=1e-5)
    for a, b in zip(moved.model.parameters(), still.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_seek_and_rewind_work_on_either_device(name):
    moved, still = Training(momentum, snapshot_every=5), Training(momentum, snapshot_every=5)
    moved.run.advance(10)
    device.use(name)
    moved.run.seek(1)
    assert moved.run.position == 5
    moved.run.advance(10)
    device.use("cpu")
    still.run.advance(20)
    assert moved.run.history["loss"][1] == pytest.approx(still.run.history["loss"][1], abs=1e-5)
    device.use(name)
    moved.run.rewind()
    moved.run.advance(20)
    assert moved.run.history["loss"][1] == pytest.approx(still.run.history["loss"][1], abs=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_a_playing_run_moves_between_two_steps(name):
    moved, still = Training(momentum, snapshot_every=50), Training(momentum)
    controls = RunControls(moved.run)
    moved.run.play()
    for where in (name, "cpu", name, "cpu"):
        reached = moved.run.reached
        wait_for(lambda reached=reached: moved.run.reached > reached + 4)
        within(lambda where=where: device.use(where))
        assert moved.run.playing
        assert controls.play_button.description == "Pause"
    moved.run.pause()
    assert moved.run.error is None, moved.run.message
    assert set(moved.on) == {"cpu", name}
    still.run.advance(moved.run.reached)
    assert moved.run.history["loss"][1] == pytest.approx(still.run.history["loss"][1], abs=1e-4)


@pytest.mark.parametrize("name", OTHERS)
def test_fit_runs_on_the_device_in_use(name):
    x, y = points()
    options = {"loss": nn.functional.cross_entropy, "test": (x, y), "epochs": 2, "batch_size": 10}
    expected = fit(small_net(), (x, y), **options).history
    device.use(name)
    model = small_net()
    run = fit(model, (x, y), **options)
    assert {p.device.type for p in model.parameters()} == {name}
    for key, (steps, values) in expected.items():
        assert run.history[key][0] == steps
        assert run.history[key][1] == pytest.approx(values, abs=1e-5)


# ---- out of memory


@pytest.mark.parametrize("where", ["forward", "half way through the update", "evaluation"])
def test_out_of_memory_falls_back_to_the_cpu_with_a_sentence(where):
    moved, still = Training(momentum, snapshot_every=5), Training(momentum, snapshot_every=5)

    def burst(*_):
        on = next(moved.model.parameters()).device.type
        if on == LAZY and moved.run.position >= 13:
            raise torch.OutOfMemoryError("CUDA out of memory")

    if where == "forward":
        moved.model.register_forward_hook(burst)
    elif where == "half way through the update":
        moved.optimizer.register_step_post_hook(burst)
    else:
        moved.run.evaluate = lambda *_: burst() or {}
    device.use(LAZY)
    moved.run.advance(25)
    assert device.current().type == "cpu"
    assert "ran out of memory" in moved.run.message
    assert moved.run.error is None
    assert moved.run.reached == 25
    still.run.advance(25)
    assert moved.run.history["loss"][0] == list(range(25))
    assert moved.run.history["loss"][1] == pytest.approx(still.run.history["loss"][1], abs=1e-5)


def test_out_of_memory_on_the_cpu_stops_with_the_error():
    def step(k):
        raise torch.OutOfMemoryError("no memory")

    run = Run(step)
    run.advance(3)
    assert isinstance(run.error, torch.OutOfMemoryError)
    assert "no memory" in run.message


def test_out_of_memory_during_the_move_brings_everything_back():
    class Big(nn.Linear):
        def _apply(self, function, recurse=True):
            if function(torch.zeros(1)).device.type == LAZY:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super()._apply(function, recurse)

    small, big = device.follow(nn.Linear(2, 2), Big(2, 2))
    toggle = device.DeviceToggle()
    with pytest.raises(device.DeviceError, match="too little free memory.*back on the CPU"):
        device.use(LAZY)
    assert {small.weight.device.type, big.weight.device.type} == {"cpu"}
    assert device.current().type == "cpu"
    toggle.buttons[LAZY].click()
    assert "too little free memory" in toggle.note.value
    assert toggle.buttons["cpu"].button_style == "primary"


def test_another_error_during_the_move_puts_everything_back():
    class Stubborn(nn.Linear):
        def _apply(self, function, recurse=True):
            if function(torch.zeros(1)).device.type == LAZY:
                raise RuntimeError("not this one")
            return super()._apply(function, recurse)

    small, _stubborn = device.follow(nn.Linear(2, 2), Stubborn(2, 2))
    toggle = device.DeviceToggle()
    toggle.choose(LAZY)
    assert "not this one" in toggle.note.value
    assert device.current().type == small.weight.device.type == "cpu"


# ---- threads


def test_following_inside_a_step_does_not_lock_up_a_switch():
    """A step holds its run; a switch waits for it: the step must not wait for the switch."""
    entered, go_on = threading.Event(), threading.Event()

    def step(k):
        entered.set()
        go_on.wait(60)
        device.follow(torch.zeros(2))
        return 0.0

    run = Run(step, steps=3)
    run.play()
    assert entered.wait(60)
    switch = threading.Thread(target=device.use, args=(LAZY,), daemon=True)
    switch.start()
    wait_for(lambda: device.current().type == LAZY)  # it has begun, and waits for the step
    go_on.set()
    switch.join(60)
    assert not switch.is_alive(), "deadlock"
    run._thread.join(60)
    assert run.reached == 3


def test_a_listener_may_wait_for_a_panel_that_follows():
    panel = threading.RLock()
    inside = threading.Event()

    class Listener:
        def redraw(self):
            inside.set()
            with panel:
                self.seen = device.current().type

    listener = Listener()
    device.on_switch(listener.redraw)
    with panel:
        switch = threading.Thread(target=device.use, args=(LAZY,), daemon=True)
        switch.start()
        assert inside.wait(60)
        within(lambda: device.follow(torch.zeros(1)))
    switch.join(60)
    assert listener.seen == LAZY


# ---- the widget


def test_the_toggle_switches_and_shows_where_we_are():
    toggle, second = device.DeviceToggle(), device.DeviceToggle()
    assert {n: b.button_style for n, b in toggle.buttons.items() if b.button_style} == {
        "cpu": "primary"
    }
    toggle.buttons[LAZY].click()
    assert device.current().type == LAZY
    for each in (toggle, second):
        assert each.buttons[LAZY].button_style == "primary"
        assert each.buttons["cpu"].button_style == ""


def test_the_toggle_greys_what_is_unavailable_and_says_why(monkeypatch):
    reason = "no GPU & no driver"
    monkeypatch.setattr(device, "_cuda", lambda: device.DeviceInfo("cuda", "CUDA", False, reason))
    toggle = device.DeviceToggle()
    assert toggle.buttons["cuda"].disabled
    assert toggle.buttons["cuda"].tooltip == reason
    assert "CUDA is unavailable: no GPU &amp; no driver" in toggle.note.value
    assert not toggle.buttons["cpu"].disabled


def test_one_thread_gives_the_others_back():
    torch.set_num_threads(2)

    @device.one_thread()
    def inside(fails):
        seen.append(torch.get_num_threads())
        if fails:
            raise ValueError("as asked")

    seen: list[int] = []
    inside(False)
    with pytest.raises(ValueError, match="as asked"):
        inside(True)
    assert seen == [1, 1] and torch.get_num_threads() == 2
