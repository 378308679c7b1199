"""`lecture doctor`: is this machine ready for class? One line for each thing that matters."""

from __future__ import annotations

import re
import sys
import webbrowser
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from lecture_utils import cli

DISTRIBUTION = "deep-learning-lecture"

# "fix": the lecture will not work. "note": it works, in a way you may want to know of.
Line = tuple[str, str]


def python() -> Iterator[Line]:
    """This interpreter. One that is too old could not have installed the package."""
    yield "ok", f"Python {sys.version.split()[0]}, {sys.executable}"


def locked_versions() -> dict[str, str]:
    """The versions the lecture was tested with, by package. Empty outside a clone."""
    lock = cli.CHECKOUT / "requirements.txt"
    if not cli.in_checkout() or not lock.is_file():
        return {}
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text("utf-8"), re.MULTILINE))


def packages() -> Iterator[Line]:
    """Each package the lecture asks for, and whether its version is the tested one."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield "fix", f"{DISTRIBUTION} is not installed. {cli.reinstall()}"
        return
    locked = locked_versions()
    for requirement in requirements:
        if "extra ==" in requirement:
            continue
        name = re.match(r"[\w.-]+", requirement).group()
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield "fix", f"{name} is not installed. {cli.reinstall()}"
            continue
        tested = locked.get(name)
        if tested in (None, version.split("+")[0]):  # 2.13.0+cpu is a build of 2.13.0
            yield "ok", f"{name} {version}"
        else:
            yield "note", f"{name} {version}; tested with {tested}. {cli.reinstall()}"


def devices() -> Iterator[Line]:
    """Where torch can compute."""
    try:
        from lecture_utils import device

        found = device.devices()
    except (ImportError, OSError, AttributeError) as error:  # OSError: a library will not load
        yield "fix", f"torch does not start: {one_line(error)}. {cli.reinstall()}"
        return
    for info in found:
        if info.available:
            yield "ok", f"device {info.name}: {info.label}"
        else:
            yield "note", f"device {info.name} is not available: {info.reason}"


def data() -> Iterator[Line]:
    """Each data file against its SHA-256."""
    try:
        from lecture_utils import data as files

        results = files.verify()
    except (ImportError, OSError, AttributeError) as error:
        yield "fix", f"the data cannot be checked: {one_line(error)}. {cli.reinstall()}"
        return
    for name, ok, message in results:
        yield "ok" if ok else "fix", f"data {name}: {message}"


def folders() -> Iterator[Line]:
    """Where `lecture` writes."""
    own = cli.home()
    reason = cli.why_not_writable(own)
    if reason:
        yield "fix", f"cannot write in {own} ({reason}). Set LECTURE_HOME to a folder of yours."
    else:
        yield "ok", f"settings folder {own} is writable"
    shipped = cli.shipped_notebooks()
    if not any(shipped.glob("*.ipynb")):
        yield "fix", f"no notebooks in {shipped}. Install the lecture again, or clone it."
    elif cli.in_checkout() and not cli.why_not_writable(shipped):
        yield "ok", f"notebook folder {shipped} is writable"
    else:
        yield "note", f"notebooks are copied from {shipped} to {Path(own, 'notebooks')}"


def browser() -> Iterator[Line]:
    """A browser that `lecture` can open by itself."""
    try:
        controller = webbrowser.get()
    except webbrowser.Error:
        yield "note", "no browser found. Open the address that lecture prints in one of yours."
    else:
        yield "ok", f"browser {getattr(controller, 'name', type(controller).__name__)}"


def one_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


CHECKS = (python, packages, devices, data, folders, browser)


def report() -> int:
    """Print every check. Returns 1 if something must be fixed before class, else 0."""
    failed = False
    for check in CHECKS:
        for status, message in check():
            print(f"{status:<5}{message}", flush=True)
            failed = failed or status == "fix"
    return int(failed)
