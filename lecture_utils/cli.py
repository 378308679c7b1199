"""The `lecture` command: JupyterLab on the lecture's notebooks, with settings of its own.

Nothing of the user's Jupyter is read or written: configuration, workspaces, IPython's history
and Matplotlib's font cache live in one folder (see `home`). JupyterLab listens on 127.0.0.1 only
and is not asked to fetch anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
FIRST_NOTEBOOK = "00_start"
FIRST_PORT = 8888
PORTS_TRIED = 10
STOP_SECONDS = 10


class LectureError(Exception):
    """What was wrong and what to do, in one line."""


def in_checkout() -> bool:
    """Whether the package runs from a clone, with the notebooks beside it."""
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "notebooks").is_dir()


def reinstall() -> str:
    """What to do when a package is missing, damaged or of another version."""
    if in_checkout():
        return f"In {CHECKOUT}, run: python -m pip install -r requirements.txt -e ."
    return "Install the lecture again with pip."


def home() -> Path:
    """The folder for everything `lecture` writes.

    `LECTURE_HOME` if it is set, else `.lecture` in a clone, else the user's data folder.
    """
    chosen = os.environ.get("LECTURE_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if in_checkout():
        return CHECKOUT / ".lecture"
    import platformdirs

    return platformdirs.user_data_path("deep-learning-lecture", appauthor=False)


def shipped_notebooks() -> Path:
    """The notebooks as they came: in the clone, or inside the installed package."""
    return CHECKOUT / "notebooks" if in_checkout() else PACKAGE / "notebooks"


def data_folder() -> Path:
    """The folder of the data files: `LECTURE_DATA`, or as they came."""
    if chosen := os.environ.get("LECTURE_DATA"):
        return Path(chosen).expanduser().resolve()
    installed = PACKAGE / "datafiles"
    return installed if installed.is_dir() else CHECKOUT / "data"


def why_not_writable(folder: Path) -> str:
    """Make `folder` and try a file in it: the system's reason if that fails, else ''."""
    probe = folder / f".write-test-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def notebook_folder(own: Path) -> Path:
    """The folder to work in: the clone's notebooks, or copies in `own`.

    An installed package is no place for a student's work: an upgrade would replace it. Copies
    already there are kept as they are.
    """
    shipped = shipped_notebooks()
    if not any(shipped.glob("*.ipynb")):
        raise LectureError(f"no notebooks in {shipped}. Install the lecture again, or clone it.")
    if in_checkout() and not why_not_writable(shipped):
        return shipped
    folder = own / "notebooks"
    folder.mkdir(exist_ok=True)
    for notebook in sorted(shipped.glob("*.ipynb")):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)
    print(f"Your copies of the notebooks are in {folder}.")
    return folder


def find_notebook(folder: Path, wanted: str) -> str:
    """The file name of the notebook `wanted`: its name, or the start of it, such as `04`."""
    names = sorted(path.name for path in folder.glob("*.ipynb"))
    stem = wanted.removesuffix(".ipynb")
    found = [name for name in names if name == f"{stem}.ipynb"]
    found = found or [name for name in names if name.startswith(stem)]
    if len(found) == 1:
        return found[0]
    choices = ", ".join(name.removesuffix(".ipynb") for name in found or names)
    problem = "fits several notebooks" if found else "is no notebook of the lecture"
    raise LectureError(f"'{wanted}' {problem}. Choose one of {choices}.")


def choose_port(wanted: int | None) -> int:
    """`wanted` if it is free, or the first free port from 8888 on when none is asked for."""
    candidates = range(FIRST_PORT, FIRST_PORT + PORTS_TRIED) if wanted is None else [wanted]
    for port in candidates:
        with socket.socket() as probe:
            if os.name != "nt":  # there, the option would let two servers share the port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except PermissionError:
                raise LectureError(
                    f"port {port} is not allowed for you. Choose one above 1023: --port 8890."
                ) from None
            except OSError:
                continue
        return port
    if wanted is None:
        raise LectureError(
            f"ports {candidates[0]} to {candidates[-1]} are taken. Choose another: --port 9000."
        )
    raise LectureError(
        f"port {wanted} is taken. Choose another, or none: lecture takes a free one by itself."
    )


def settings_folder(own: Path, present: bool) -> Path:
    """JupyterLab's settings folder for this mode, filled with ours where it has none yet.

    They are written as the user's settings because JupyterLab takes font sizes from nowhere else.
    What the class changes later is kept.
    """
    mode = "present" if present else "class"
    folder = own / "settings" / mode
    shipped = json.loads((PACKAGE / "jupyter" / f"{mode}.json").read_text("utf-8"))
    for plugin, settings in shipped.items():
        file = folder / f"{plugin.replace(':', '/')}.jupyterlab-settings"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(settings, indent=2), "utf-8")
    return folder


def workspaces_folder(own: Path) -> Path:
    """JupyterLab's folder of layouts; the first begins with the side bars folded.

    On a laptop's screen a panel's controls then stand beside its figure, not below it. What the
    class unfolds later is kept.
    """
    from jupyterlab_server.workspaces_handler import WorkspacesManager

    folder = own / "workspaces"
    if not folder.exists():
        folded = {side: {"collapsed": True, "visible": True} for side in ("left", "right")}
        layout = {"data": {"layout-restorer:data": folded}, "metadata": {"id": "default"}}
        WorkspacesManager(str(folder)).save("default", json.dumps(layout))
    return folder


def environment(own: Path, token: str, present: bool) -> dict[str, str]:
    """The child's environment: this one, with every Jupyter folder moved to `own`."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "IPYTHON"))
    }
    return inherited | {
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_DATA_DIR": str(own / "data"),
        "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings_folder(own, present)),
        "JUPYTERLAB_WORKSPACES_DIR": str(workspaces_folder(own)),
        "IPYTHONDIR": str(own / "ipython"),
        "MPLCONFIGDIR": str(own / "matplotlib"),
        # The kernel named python3 is this Python's, whatever else the user has installed.
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_TOKEN": token,
        # Torch's idle threads would spin, and take the cores that draw the page.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }


def command(folder: Path, port: int) -> list[str]:
    """The command line of JupyterLab."""
    return [
        *(sys.executable, "-m", "jupyterlab"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.open_browser=False",
        # Containers run as root. The server listens on this machine only, behind a token.
        "--ServerApp.allow_root=True",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        # Looking for language servers runs npm, which writes in the user's folder.
        "--LanguageServerManager.autodetect=False",
    ]


def request(url: str, token: str, method: str = "GET") -> bool:
    """Whether the server answers `url` with success, past any proxy the user has set."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Authorization": f"token {token}"}
    try:
        opener.open(urllib.request.Request(url, method=method, headers=headers), timeout=5)
    except (urllib.error.URLError, OSError):
        return False
    return True


def stop(server: subprocess.Popen[bytes], base: str, token: str) -> None:
    """End JupyterLab and its kernels: ask it to, then insist."""
    if server.poll() is None and not request(f"{base}/api/shutdown", token, "POST"):
        server.terminate()
    for insist in (server.terminate, server.kill):
        try:
            server.wait(STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            insist()
    server.wait()


def serve(
    own: Path,
    folder: Path,
    page: str,
    port: int,
    present: bool,
    browser: bool,
    what: str = "lecture",
) -> None:
    """Run JupyterLab until it ends or is interrupted, and open the browser once it answers.

    `page` is a notebook in `folder`, or a page of the server, beginning with a slash.
    """
    token = secrets.token_hex(16)
    base = f"http://127.0.0.1:{port}"
    path = page if page.startswith("/") else f"/{'doc' if present else 'lab'}/tree/{page}"
    url = f"{base}{path}?token={token}"
    log = own / "jupyterlab.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command(folder, port),
            env=environment(own, token, present),
            cwd=own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach only this process, which then ends the server in good order.
            start_new_session=os.name != "nt",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    try:
        announced = False
        while server.poll() is None:
            if not announced and request(f"{base}/api/status", token):
                announced = True
                print(f"The {what} is open at {url}\nCtrl-C here ends it.", flush=True)
                if browser and not webbrowser.open(url):
                    print("No browser was found: open the address above in one.", flush=True)
            time.sleep(0.2)
    except KeyboardInterrupt:
        print("\nEnding the lecture.", flush=True)
    finally:
        stop(server, base, token)
    if not announced and server.returncode != 0:
        raise LectureError(f"JupyterLab did not start. The end of {log} says why.")


def start(wanted: str, port: int | None, present: bool, browser: bool) -> None:
    """Check what JupyterLab needs, then run it."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise LectureError(f"JupyterLab is not installed for {sys.executable}. {reinstall()}")
    own = home()
    reason = why_not_writable(own)
    if reason:
        raise LectureError(
            f"cannot write in {own} ({reason}). Set LECTURE_HOME to a folder of yours."
        )
    folder = notebook_folder(own)
    serve(own, folder, find_notebook(folder, wanted), choose_port(port), present, browser)


def port_number(text: str) -> int:
    """A TCP port from the command line."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: give a number from 1 to 65535")
    return int(text)


def end_as_ctrl_c() -> None:
    """Let a closed terminal or a plain `kill` end this process as Ctrl-C does."""

    def interrupt(signal_number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code: 0 for success, 1 with one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["homework"]:
        from .homework import cli as homework

        end_as_ctrl_c()
        return homework.main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="lecture",
        description="Open the deep learning lecture in JupyterLab.",
        epilog="For those who teach: lecture homework --help. "
        "Everything it writes goes to one folder: LECTURE_HOME, or .lecture in a clone.",
    )
    parser.add_argument(
        "notebook",
        nargs="?",
        default=FIRST_NOTEBOOK,
        help="a notebook or the start of its name, such as 04; "
        "or 'doctor', to check this machine (default: %(default)s)",
    )
    parser.add_argument(
        "--present", action="store_true", help="one notebook, no tabs, larger text still"
    )
    parser.add_argument("--port", type=port_number, metavar="N", help="(default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options = parser.parse_args(arguments)

    if options.notebook == "doctor":
        from lecture_utils import doctor

        return doctor.report()
    end_as_ctrl_c()
    try:
        start(options.notebook, options.port, options.present, not options.no_browser)
    except LectureError as error:
        print(f"lecture: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
