"""Controls, presets, errors and players of ``lecture_utils.panel``."""

import base64
import linecache
import threading

import ipywidgets as widgets
import pytest
import torch
from waiting import wait_for

from lecture_utils import panel as panels
from lecture_utils.live import STATIC, LiveFigure
from lecture_utils.panel import Panel, Player, choice, control, log_slider, slider, text, toggle
from lecture_utils.training import Run


def line_panel(update=None, **controls):
    """A panel with a line; ``panel.drawn`` counts its updates, ``panel.line`` is the artist."""
    fig = LiveFigure(200, 120)
    ax = fig.add_subplot()
    ax.set(xlim=(0, 1), ylim=(0, 10))
    (line,) = fig.live(*ax.plot([0, 1], [0, 1]))
    drawn = []

    def plain(**values):
        drawn.append(values)
        line.set_ydata([0, values["height"]])
        return f"height <b>{values['height']}</b>"

    controls = controls or {"height": (0, 10, 1, 2), "other": False}
    presets = controls.pop("presets", None)
    made = Panel(
        update or plain, fig, title="A line", look="Watch it.", presets=presets, **controls
    )
    made.drawn, made.line = drawn, line
    return made


# ---- controls


@pytest.mark.parametrize(
    ("spec", "kind", "value"),
    [
        ((0, 5), widgets.FloatSlider, 0),
        ((0, 5, 1), widgets.IntSlider, 0),
        ((0, 5, 1, 3), widgets.IntSlider, 3),
        ((-1.0, 1.0, 0.25, 0.5), widgets.FloatSlider, 0.5),
        (["a", "b"], widgets.Dropdown, "a"),
        ({"first": 1, "second": 2}, widgets.Dropdown, 1),
        (True, widgets.Checkbox, True),
        ("words", widgets.Text, "words"),
    ],
)
def test_short_forms(spec, kind, value):
    made = control(spec, "name")
    assert type(made) is kind
    assert made.value == value
    assert made.description == "name"


def test_a_widget_is_taken_as_it_is_and_keeps_its_label():
    own = slider(0, 1, label="own label")
    assert control(own, "name") is own
    assert own.description == "own label"


def test_an_unknown_short_form_is_named():
    with pytest.raises(TypeError, match=r"control 'weight'.*got 3\.5"):
        control(3.5, "weight")


def test_sliders_keep_their_numbers():
    assert (slider(-2, 2, 0.05).min, slider(-2, 2, 0.05).readout_format) == (-2, ".2f")
    assert slider(0, 1, 0.125).readout_format == ".3f"
    assert slider(0.0, 10.0, 2.0).readout_format == ".0f"
    whole = slider(1, 9, 2, 3)
    assert isinstance(whole.value, int)
    powers = log_slider(1e-4, 10, 1e-2)
    assert (powers.min, powers.max, powers.value) == (-4, 1, 1e-2)
    between = log_slider(1e-4, 10, 3e-3).value
    assert between == pytest.approx(10**-2.5), "the step nearest to 0.003, as the page shows it"


def test_other_controls():
    assert choice({"a": 1, "b": 2}, 2).value == 2
    assert choice([("a", 1), ("b", 2)]).value == 1
    assert toggle(True).value is True
    assert text("x").continuous_update is False


# ---- panel


def test_the_update_gets_the_values_and_its_words_are_shown():
    panel = line_panel()
    assert panel.drawn == [{"height": 2, "other": False}]
    panel.controls["height"].value = 7
    assert panel.drawn[-1] == {"height": 7, "other": False}
    assert panel.line.get_ydata() == [0, 7]
    assert panel.message == panel.shown == "height <b>7</b>"
    assert panel.figure.caption == panel.shown
    assert panel.figure.alt == "A line. Watch it. height 7"


def test_set_draws_once():
    panel = line_panel()
    before = len(panel.drawn)
    panel.set(height=3, other=True)
    assert panel.drawn[before:] == [{"height": 3, "other": True}]
    with pytest.raises(KeyError, match="no control.*'hight'.*'height', 'other'"):
        panel.set(hight=3)


def test_presets_set_the_controls_and_say_why_until_something_changes():
    presets = {"works": {"height": 9, "note": "It is high."}, "fails": {"height": 0}}
    panel = line_panel(presets=presets, height=(0, 10, 1, 2), other=False)
    panel.controls["other"].value = True
    before = len(panel.drawn)
    panel.apply("works")
    assert panel.drawn[before:] == [{"height": 9, "other": True}]
    assert panel.shown == "<i>It is high.</i><br>height <b>9</b>"
    panel.refresh()
    assert "It is high." in panel.shown
    panel.controls["height"].value = 8
    assert "It is high." not in panel.shown
    panel.apply("works")
    panel.apply("fails")
    assert panel.shown == "height <b>0</b>"
    panel.apply("works")
    panel.reset()
    assert panel.values == {"height": 2, "other": False}
    assert panel.shown == "height <b>2</b>"
    assert presets["works"] == {"height": 9, "note": "It is high."}


def buttons(panel):
    found, stack = {}, [panel]
    while stack:
        widget = stack.pop()
        stack.extend(getattr(widget, "children", ()))
        if isinstance(widget, widgets.Button):
            found[widget.description] = widget
    return found


def test_buttons_do_what_they_say():
    presets = {"works": {"height": 9, "note": "It is high."}}
    panel = line_panel(presets=presets, height=(0, 10, 1, 2))
    assert buttons(panel)["Works"].tooltip == "It is high.", "like Play, Step and Reset"
    buttons(panel)["Works"].click()
    assert panel.values == {"height": 9}
    buttons(panel)["Reset"].click()
    assert panel.values == {"height": 2}


def test_many_presets_are_a_list():
    presets = {f"height {k}": {"height": k, "note": f"It is {k}."} for k in range(9)}
    panel = line_panel(presets=presets, height=(0, 10, 1, 2))
    assert list(buttons(panel)) == ["Reset"]
    chosen = panel.preset_list
    assert chosen.value == panels.CHOOSE and list(chosen.options[1:]) == list(presets)
    chosen.value = "height 7"
    assert panel.values == {"height": 7} and "It is 7." in panel.shown
    assert chosen.value == "height 7"
    panel.controls["height"].value = 3
    assert chosen.value == panels.CHOOSE, "it is that preset no longer"
    panel.apply("height 5")
    assert chosen.value == "height 5" and len(panel.drawn) == 4, "drawn once for each change"
    buttons(panel)["Reset"].click()
    assert chosen.value == panels.CHOOSE and panel.values == {"height": 2}
    chosen.value = panels.CHOOSE
    assert panel.values == {"height": 2}


def test_an_exported_page_shows_the_run_under_way():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step(k):
        optimizer.zero_grad()
        loss = (weight - 1).square().sum()
        loss.backward()
        optimizer.step()
        return loss

    model = torch.nn.ParameterList([weight])
    run = Run(step, models=[model], optimizers=[optimizer], steps=50)
    fig = LiveFigure(300, 200)
    ax = fig.add_subplot()
    ax.set(xlim=(0, 50), ylim=(0, 1.1))
    (line,) = fig.live(*ax.plot([], []))

    def update():
        line.set_data(*run.curve("loss"))
        return f"step {run.position}"

    panel = Panel(update, fig, title="t", look="l", run=run, still=40)
    empty = fig.png()
    bundle = panel._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert base64.b64decode(data["image/png"]) != empty, "the curve, not the empty axes"
    assert run.reached == 0 and weight.item() == 0 and run.curve("loss") == ([], [])
    assert panel.shown == "step 0" and fig.png() == empty, "in class it begins at the start"
    run.advance(10)
    panel._repr_mimebundle_()
    assert run.reached == 10, "a run under way is left alone"


def test_an_action_draws_once_and_shows_its_error(monkeypatch):
    monkeypatch.setattr(panels, "strict", False)
    drawn = []

    def act():
        panel.controls["a"].value = 3
        panel.controls["b"].value = 4

    panel = Panel(
        lambda a, b: drawn.append((a, b)),
        title="t",
        look="l",
        actions={"Act": act, "Break": lambda: 1 / 0},
        a=(0, 5, 1),
        b=(0, 5, 1),
    )
    buttons(panel)["Act"].click()
    assert drawn == [(0, 0), (3, 4)]
    buttons(panel)["Break"].click()
    assert "division by zero" in panel.shown
    panel.controls["a"].value = 5
    assert drawn[-1] == (5, 4), "the panel must live on after an error in an action"


def test_a_panel_without_a_figure_shows_its_words():
    panel = Panel(lambda n: f"n = {n}", title="t", look="l", n=(0, 5, 1))
    panel.controls["n"].value = 4
    assert panel._message.value == "n = 4"
    data, *_ = panel._repr_mimebundle_()
    assert "image/png" not in data


def test_the_head_names_the_panel():
    panel = Panel(lambda: None, title="a < b", look="<i>Look</i>")
    head = panel.children[0].value
    assert "a &lt; b" in head
    assert "<i>Look</i>" in head


def test_a_panel_with_a_figure_displays_a_still_picture():
    data, *_ = line_panel()._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(data)


# ---- errors


def cell(source, **names):
    """Run source as JupyterLab runs a cell: its file name and its lines are the cell's."""
    name = "/tmp/ipykernel_4711/1234567.py"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), names)
    return names


def test_an_error_is_shown_with_the_reader_s_own_line(monkeypatch):
    monkeypatch.setattr(panels, "strict", False)
    student = cell(
        "def slope(x):\n"
        "    if x > 5:\n"
        "        return torch.zeros(2) @ torch.zeros(3)  # <- & wrong\n"
        "    return x\n",
        torch=__import__("torch"),
    )["slope"]
    panel = line_panel(lambda height: f"slope {student(height)}", height=(0, 10, 1, 2))
    assert panel.shown == "slope 2"
    panel.controls["height"].value = 6
    assert isinstance(panel.error, RuntimeError)
    assert 'role="alert"' in panel.shown
    assert "RuntimeError: </b>" in panel.shown
    own = "line 3 of your cell:  return torch.zeros(2) @ torch.zeros(3)  # &lt;- &amp; wrong"
    assert own in panel.shown
    assert "inconsistent tensor size" in panel.shown
    panel.controls["height"].value = 3
    assert panel.error is None
    assert panel.shown == "slope 3"


def test_the_innermost_own_line_is_named():
    names = cell("def inner():\n    int('x')\n\ndef outer():\n    inner()\n")
    with pytest.raises(ValueError, match="invalid literal") as caught:
        names["outer"]()
    assert panels.own_line(caught.value) == (2, "int('x')")
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError
    assert panels.own_line(caught.value) is None
    assert "your cell" not in panels.describe(caught.value)


def test_a_wrong_shape_is_shown_although_only_drawing_finds_it(monkeypatch):
    monkeypatch.setattr(panels, "strict", False)

    def update(height):
        if panel is not None:
            panel.line.set_data([0, 1], [0] * (3 if height > 5 else 2))
        return "fine"

    panel = None
    panel = line_panel(update, height=(0, 10, 1, 2))
    picture = panel.figure.png()
    panel.controls["height"].value = 9
    assert "shape mismatch" in panel.shown
    assert panel.figure.caption == panel.shown
    data, *_ = panel._repr_mimebundle_()
    assert "image/png" in data, "a panel with an error can still be displayed"
    panel.controls["height"].value = 4
    assert panel.shown == "fine"
    assert panel.figure.png() != picture


def test_a_panel_that_fails_from_the_start_is_displayed(monkeypatch):
    monkeypatch.setattr(panels, "strict", False)
    calls = []

    def update(height):
        calls.append(height)
        if len(calls) == 1:
            raise NotImplementedError
        return "written"

    panel = line_panel(update, height=(0, 10, 1, 2))
    assert "NotImplementedError" in panel.shown
    data, *_ = panel._repr_mimebundle_()
    assert "image/png" in data
    assert "NotImplementedError" in panel.figure._first["caption"]
    panel.refresh()
    assert panel.shown == "written"


def test_an_error_in_a_pointer_handler_is_shown(monkeypatch):
    monkeypatch.setattr(panels, "strict", False)
    panel = line_panel()
    ax = panel.figure.figure.axes[0]
    panel.figure.on_press(ax, lambda x, y: panel.set(height=round(x * 10) // 0))
    panel.figure.pointer("press", 0, [panel.figure.to_page(ax, 0.5, 5)])
    assert "ZeroDivisionError" in panel.shown


def test_strict_raises_where_the_value_was_set():
    panel = line_panel(lambda height: 1 / (height - 5), height=(0, 10, 1, 2))
    with pytest.raises(ZeroDivisionError):
        panel.controls["height"].value = 5


# ---- player


def test_a_player_steps_within_its_bounds():
    player = Player(max=3, value=1)
    player.forward()
    assert player.value == player.slider.value == 2
    player.forward()
    player.forward()
    assert player.value == 3
    player.first()
    player.back()
    assert player.value == 0
    player.slider.value = 2
    assert player.value == 2
    player.value = 99
    assert player.value == player.slider.value == 3
    player.max = 1
    assert player.value == player.slider.value == 1
    player.max = 5
    assert player.slider.max == 5


def test_a_player_draws_every_step_in_order_and_stops_at_the_end():
    panel = line_panel(height=Player(max=6, rate=200))
    player = panel.controls["height"]
    player.play()
    assert player.play_button.description == "Pause"
    wait_for(lambda: not player.playing)
    assert [values["height"] for values in panel.drawn] == list(range(7))
    wait_for(lambda: player.play_button.description == "Play")
    player.play()  # from the start again
    wait_for(lambda: not player.playing)
    assert [values["height"] for values in panel.drawn] == [*range(7), *range(7)]


def test_a_player_pauses_and_goes_on_from_where_it_was_scrubbed():
    player = Player(max=10_000, rate=500)
    player.play()
    assert player.playing
    wait_for(lambda: player.value > 5)
    player.pause()
    assert not player.playing
    player._thread.join(10)
    stood = player.value
    threading.Event().wait(0.05)
    assert player.value == stood
    player.slider.value = 5000
    player.play()
    wait_for(lambda: player.value > 5003)
    player.back()
    assert not player.playing
    assert player.play_button.description == "Play"


def test_a_player_pauses_when_something_else_moves_it():
    panel = line_panel(height=Player(max=10_000, rate=200))
    player = panel.controls["height"]
    for move in (lambda: panel.set(height=7000), panel.reset, lambda: player.set_trait("value", 3)):
        player.play()
        wait_for(lambda: 0 < player.value < 9000)
        move()
        assert not player.playing
        assert player.play_button.description == "Play"


def test_a_player_s_error_is_shown_and_it_plays_on(monkeypatch):
    monkeypatch.setattr(panels, "strict", False)
    panel = line_panel(lambda height: f"{6 / (height - 3):.0f}", height=Player(max=6, rate=200))
    player = panel.controls["height"]
    player.play()
    wait_for(lambda: player.value == 6 and not player.playing)
    assert panel.shown == "2"
    player.value = 3
    assert "ZeroDivisionError" in panel.shown
    player.forward()
    assert panel.shown == "6"


def test_controls_from_many_threads_end_in_one_consistent_picture():
    panel = line_panel(height=(0, 1000, 1, 0), other=(0, 1000, 1, 0))
    seen = []

    def change(name):
        for k in range(1, 60):
            panel.controls[name].value = k
        seen.append(name)

    threads = [threading.Thread(target=change, args=(n,)) for n in ("height", "other")]
    threads.append(
        threading.Thread(
            target=lambda: [panel.figure.render() for _ in range(60)] and seen.append("render")
        )
    )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seen) == ["height", "other", "render"]
    assert panel.drawn[-1] == {"height": 59, "other": 59}


@pytest.mark.parametrize("dense", [False, True])
def test_many_controls_stand_in_narrow_columns(dense):
    fig = LiveFigure(300, 200)
    made = Panel(lambda: "", fig, title="t", look="", dense=dense)
    assert ("lecture-dense" in made._dom_classes) == dense
    sheet = (STATIC / "panel.css").read_text()
    assert ".lecture-dense .lecture-controls" in sheet, "the class is one the style knows"


def test_presets_and_reset_may_begin_something_anew():
    begun = []
    panel = line_panel(
        height=slider(0, 9, 1, 4),
        presets={"High": {"height": 9}},
        anew=lambda: begun.append(panel.values["height"]),
    )
    panel.set(height=2)
    panel.controls["height"].value = 3
    assert begun == []
    panel.apply("High")
    assert begun == [3] and panel.values == {"height": 9}
    panel.reset()
    assert begun == [3, 9] and panel.values == {"height": 4}
