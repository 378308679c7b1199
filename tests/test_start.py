"""00_start: its panel, its machine check, and a map that is right."""

import re

import nbformat
import numpy as np
import pytest
import torch
from panels import NOTEBOOKS, sources, sweep, sweep_all

from lecture_utils import data, doctor
from lecture_utils.demos import start

CELLS = sources("00_start")


def test_ink_counts_pixels(digits: data.Digits) -> None:
    namespace: dict = {}
    exec(CELLS["is-ink"], namespace)
    panel = start.ink(namespace["is_ink"], digits)
    for _ in sweep(panel):
        values = panel.values
        image = np.asarray(digits.test_x[values["digit"], 0])
        expected = sum(float(p) > values["threshold"] for p in image.ravel())
        assert f"<b>{expected} of 784</b>" in panel.message
        assert panel.message.startswith(f"A {int(digits.test_y[values['digit']])}:")


def test_ink_presets_do_what_they_say(digits: data.Digits) -> None:
    panel = start.ink(lambda image, threshold: image > threshold, digits)
    counts = {}
    for name in panel.presets:
        panel.apply(name)
        counts[name] = int(re.search(r"<b>(\d+) of", panel.message)[1])
    assert counts["fails: too high"] < counts["works"] / 3
    assert counts["fails: too low"] > 1.3 * counts["works"]


def test_ink_runs_on_the_students_function(
    digits: data.Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep_all(start.ink(lambda image, threshold: image < threshold, digits)) > 5
    assert sweep_all(start.ink(lambda image, threshold: np.asarray(image) * 1.0, digits)) > 5
    monkeypatch.setattr("lecture_utils.panel.strict", False)
    panel = start.ink(lambda image, threshold: image.sum(), digits)
    assert "shape ()" in panel.shown and "(28, 28)" in panel.shown
    panel = start.ink(lambda image, threshold: None, digits)
    assert panel.error is not None


def test_ink_may_not_change_the_data(digits: data.Digits) -> None:
    before = digits.test_x.clone()
    start.ink(lambda image, threshold: image.mul_(0) + 1, digits)
    assert torch.equal(before, digits.test_x)


def test_machine_check_says_what_doctor_says() -> None:
    page = start.machine_check().value
    for check in doctor.CHECKS:
        for status, message in check():
            assert start.WORDS[status] in page
            assert message.split(" ")[0] in page


def test_map_links_every_notebook_and_gives_its_minutes() -> None:
    rows = re.findall(r"^\| (\d\d) \| (.+?) \| (\d+) min \|", CELLS["map"], re.M)
    assert [number for number, _, _ in rows] == [f"{i:02d}" for i in range(1, 9)]
    for number, name, minutes in rows:
        (found,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
        assert f"]({found.name})" in name
        title = nbformat.read(found, as_version=4).cells[0].source
        assert title.startswith(f"# {int(number)} · "), f"{found.name} has another number"
        assert f"{minutes} min" in title, f"{found.name} gives another time"


def test_the_device_switch_stands_where_the_page_says() -> None:
    assert "from section 2 on" in CELLS["device"]
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        switched = any(c.cell_type == "code" and "DeviceToggle()" in c.source for c in cells)
        assert switched == (not path.name.startswith("01")), path.name


def test_homework_is_handed_in_as_the_notebooks_say() -> None:
    words = CELLS["homework"]
    for path in sorted(NOTEBOOKS.glob("0[1-7]_*.ipynb")):
        cells = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}
        assert "homework" in cells, f"{path.name}: exercises stand at the end"
        if "student-id" in cells:
            assert cells["student-id"].source.endswith('student_id = ""')
            assert '`student_id = ""`' in words
        assert any("### BEGIN SOLUTION" in cell.source for cell in cells.values()), path.name
