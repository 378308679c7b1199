"""`lecture doctor`: each line says ok or what to do, and the exit code says whether to worry."""

import sys
import webbrowser
from importlib import metadata
from pathlib import Path

import pytest

from lecture_utils import cli, data, device, doctor


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path):
    """Run the command: (exit code, {status: [messages]})."""
    monkeypatch.setenv("LECTURE_HOME", str(tmp_path / "own"))

    def run() -> tuple[int, dict[str, list[str]]]:
        code = cli.main(["doctor"])
        found: dict[str, list[str]] = {"ok": [], "note": [], "fix": []}
        for line in capsys.readouterr().out.splitlines():
            status, message = line.split(maxsplit=1)
            found[status].append(message)
        return code, found

    return run


def test_a_good_machine(report) -> None:
    code, found = report()
    assert code == 0
    assert found["fix"] == []
    ok = "\n".join(found["ok"])
    assert f"Python {sys.version.split()[0]}" in ok
    for package in ("torch", "jupyterlab", "matplotlib", "anywidget"):
        assert f"{package} {metadata.version(package)}" in ok + "\n".join(found["note"])
    assert "device cpu" in ok
    assert "data mnist.npz" in ok
    assert ok.count("is writable") == 2


def test_every_device_and_file_has_its_line(report) -> None:
    lines = sum(report()[1].values(), [])
    for info in device.devices():
        (line,) = [line for line in lines if line.startswith(f"device {info.name}")]
        assert info.available or info.reason in line
    assert len([line for line in lines if line.startswith("data ")]) == len(data.verify())


def test_damaged_data(report, monkeypatch) -> None:
    monkeypatch.setattr(data, "verify", lambda: [("mnist.npz", False, "restore it")])
    code, found = report()
    assert code == 1
    assert found["fix"] == ["data mnist.npz: restore it"]


def test_torch_does_not_load(report, monkeypatch) -> None:
    def broken() -> None:
        raise OSError("libtorch.so: cannot open shared object file\nmore")

    monkeypatch.setattr(device, "devices", broken)
    code, found = report()
    assert code == 1
    (line,) = found["fix"]
    assert line.startswith("torch does not start: libtorch.so: cannot open shared object file.")
    assert "pip install -r requirements.txt" in line


def test_missing_package(report, monkeypatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "anywidget":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    code, found = report()
    assert code == 1
    assert [line for line in found["fix"] if line.startswith("anywidget is not installed.")]


def test_another_version_than_tested(report, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "locked_versions", lambda: {"numpy": "1.0"})
    code, found = report()
    assert code == 0
    assert [line for line in found["note"] if f"numpy {metadata.version('numpy')}" in line]
    assert [line for line in found["note"] if "tested with 1.0" in line]


def test_folder_not_writable(report, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LECTURE_HOME", str(tmp_path / "file" / "inside"))
    code, found = report()
    assert code == 1
    (line,) = found["fix"]
    assert line.startswith("cannot write in")


def test_no_browser(report, monkeypatch) -> None:
    def none() -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    code, found = report()
    assert code == 0
    assert [line for line in found["note"] if line.startswith("no browser found.")]
