"""pyproject.toml, the two locks, environment.yml and the wheel agree."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
LOCKS = ["requirements.txt", "requirements-dev.txt"]
# torch's own libraries for CUDA.
CUDA = ("nvidia", "cuda", "triton")


def lines(lock: str) -> list[str]:
    """The lines of a lock that pip acts on."""
    text = (ROOT / lock).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def versions(lock: str) -> dict[str, str]:
    """The one version of each package in a lock."""
    found: dict[str, str] = {}
    for line in lines(lock):
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==" and "*" not in pin.version, line
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} has two versions in {lock}"
        found[name] = pin.version
    return found


def asked_for(lock: str) -> list[Requirement]:
    """What pyproject.toml asks for where `lock` is used."""
    names = list(PROJECT["dependencies"])
    if lock == "requirements-dev.txt":
        names += PROJECT["optional-dependencies"]["dev"]
    return [Requirement(name) for name in names]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_pyproject(lock: str) -> None:
    locked = versions(lock)
    for requirement in asked_for(lock):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name} is not in {lock}: run make lock"
        assert requirement.specifier.contains(locked[name]), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_complete(lock: str) -> None:
    """Every package here that a locked one asks for is locked too, or is one of torch's own."""
    from importlib import metadata

    locked = versions(lock)
    for name in locked:
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of another system
        for requirement in map(Requirement, needed):
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            found = canonicalize_name(requirement.name)
            assert found in locked or found.startswith(CUDA), f"{name} asks for {found}"


def test_development_lock_holds_the_same_versions() -> None:
    plain, development = versions("requirements.txt"), versions("requirements-dev.txt")
    assert plain == {name: development.get(name) for name in plain}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_leaves_cuda_to_torch(lock: str) -> None:
    assert versions(lock)["torch"] == "2.13.0"
    assert not [name for name in versions(lock) if name.startswith(CUDA)]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_its_command_and_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert re.search(rf"^#    uv pip compile .*pyproject\.toml.* -o {lock}$", text, re.MULTILINE)
    assert "://" not in text
    assert not [line for line in lines(lock) if line.startswith("-")]


@pytest.mark.parametrize(
    ("system", "name"), [("win32", "pywinpty"), ("darwin", "appnope"), ("linux", "pexpect")]
)
def test_lock_serves_every_system(system: str, name: str) -> None:
    place = {
        "sys_platform": system,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_system": {"win32": "Windows", "darwin": "Darwin", "linux": "Linux"}[system],
    }
    here = [r.name for r in map(Requirement, lines("requirements.txt")) if not r.marker]
    here += [
        r.name
        for r in map(Requirement, lines("requirements.txt"))
        if r.marker and r.marker.evaluate(place)
    ]
    assert name in here
    assert "torch" in here


def test_conda_installs_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert environment["name"] == PROJECT["name"]
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.txt", "-e ."]
    # Python and pip only: any package named here as well would have a second version.
    assert [d.split("=")[0] for d in plain] == ["python", "pip"]
    (python,) = [d.removeprefix("python=") for d in plain if d.startswith("python=")]
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python}.0")


def test_make_locks_what_the_locks_say() -> None:
    """The commands at the head of the locks are those of `make lock`."""
    shown = subprocess.run(
        ["make", "--no-print-directory", "-n", "lock"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    for lock in LOCKS:
        text = (ROOT / lock).read_text("utf-8")
        command = re.search(r"^#    uv pip compile (.*)$", text, re.MULTILINE)[1]
        assert command in shown


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as built for others, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("deep_learning_lecture-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_from(wheel: Path, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python code with the wheel's package in place of this clone's."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=wheel,
        env=os.environ | {"PYTHONPATH": str(wheel)} | variables,
        capture_output=True,
        text=True,
    )


def test_wheel_holds_the_lecture(wheel: Path) -> None:
    package = wheel / "lecture_utils"
    for name in ("notebooks", "data"):
        inside = package / {"data": "datafiles"}.get(name, name)
        tracked = subprocess.run(
            ["git", "ls-files", name], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        wanted = {Path(f) for f in tracked if not f.startswith("data/build/")}
        assert wanted
        for file in wanted:
            assert (inside / file.relative_to(name)).read_bytes() == (ROOT / file).read_bytes()
    assert not (package / "datafiles" / "build").exists()
    assert {path.name for path in wheel.iterdir() if path.suffix != ".dist-info"} == {
        "lecture_utils"
    }


def test_wheel_finds_its_data(wheel: Path) -> None:
    run = run_from(
        wheel,
        "import lecture_utils as lu; print(lu.__file__); assert lu.data.verify();"
        "assert all(ok for _, ok, _ in lu.data.verify()); print(lu.data.mnist().test_x.shape)",
    )
    assert run.returncode == 0, run.stderr
    assert str(wheel) in run.stdout


def test_wheel_copies_notebooks_and_keeps_your_work(wheel: Path, tmp_path: Path) -> None:
    code = "from lecture_utils import cli; print(cli.notebook_folder(cli.home()))"
    folder = tmp_path / "notebooks"
    run = run_from(wheel, code, LECTURE_HOME=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert str(folder) in run.stdout
    (folder / "00_start.ipynb").write_text("mine")
    (folder / "01_perceptron.ipynb").unlink()
    assert run_from(wheel, code, LECTURE_HOME=str(tmp_path)).returncode == 0
    assert (folder / "00_start.ipynb").read_text() == "mine"
    assert (folder / "01_perceptron.ipynb").is_file()
