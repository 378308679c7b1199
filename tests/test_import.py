"""The package import is light, and its names are all there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lecture_utils as lu

HEAVY = ["matplotlib", "ipywidgets", "anywidget", "IPython", "PIL", "pandas", "scipy"]


def test_importing_the_package_after_torch_loads_nothing_else():
    code = (
        "import json, sys, torch; before = set(sys.modules); import lecture_utils as lu; "
        "names = dir(lu); print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(lu.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    loaded = json.loads(done.stdout)
    assert "lecture_utils" in loaded
    assert [name for name in loaded if name.partition(".")[0] in HEAVY] == []
    assert [name for name in loaded if name.startswith("lecture_utils.")] == []


@pytest.mark.parametrize("name", lu.__all__)
def test_every_name_is_there(name):
    assert getattr(lu, name) is not None
    assert name in dir(lu)


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(AttributeError, match="has no 'Panell'; it offers: DeviceToggle"):
        _ = lu.Panell
