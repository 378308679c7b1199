"""The `lecture` command, run as its users run it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import browser_page, free_port

from lecture_utils import cli

ROOT = Path(__file__).resolve().parents[1]
LECTURE = [sys.executable, "-m", "lecture_utils.cli"]
WAIT = 180


class Lecture:
    """A running `lecture`: where it answers, and what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.printed = ""

    def await_address(self) -> None:
        """Read its output until it names the address."""
        # Ends the wait, and with it the test, if the command hangs.
        watch = threading.Timer(WAIT, os.killpg, (self.process.pid, signal.SIGKILL))
        watch.start()
        try:
            for line in self.process.stdout:
                self.printed += line
                if found := re.search(r"(http://127\.0\.0\.1:\d+)(/\S+)\?token=(\w+)", line):
                    self.base, self.path, self.token = found.groups()
                    return
        finally:
            watch.cancel()
        raise AssertionError(f"no address in: {self.printed}")

    def get(self, path: str) -> str:
        """The body of an answer with HTTP status 200; any other raises."""
        return self.ask(path, {"Authorization": f"token {self.token}"})

    def ask(self, path: str, headers: dict[str, str]) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(
            urllib.request.Request(self.base + path, headers=headers), timeout=60
        ) as r:
            assert r.status == 200
            return r.read().decode()

    def settings(self, plugin: str) -> dict[str, object]:
        return json.loads(json.loads(self.get(f"/lab/api/settings/{plugin}"))["raw"])

    def end(self, with_signal: int = signal.SIGINT) -> int:
        """Press Ctrl-C: the signal goes to the whole process group, as from a terminal."""
        os.killpg(self.process.pid, with_signal)
        self.printed += self.process.communicate(timeout=WAIT)[0]
        return self.process.returncode


@contextmanager
def lecture(command: list[str], folder: Path, **variables: str) -> Iterator[Lecture]:
    """Start a command with a HOME and a LECTURE_HOME of its own, and see that it ends."""
    for name in ("user", "own"):
        (folder / name).mkdir(exist_ok=True)
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "LECTURE_", "MAKE"))}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=keep | {"HOME": str(folder / "user"), "LECTURE_HOME": str(folder / "own")} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Lecture(process)
    try:
        running.await_address()
        yield running
    finally:
        if process.poll() is None:
            running.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lecture]:
    """`lecture --no-browser`, in a folder `folder` of its own."""
    folder = tmp_path_factory.mktemp("served")
    port = free_port()
    with lecture([*LECTURE, "--no-browser", "--port", str(port)], folder) as running:
        running.folder, running.port = folder, port
        yield running


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(
        [*LECTURE, *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=WAIT,
    )


def complaint(finished: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that failed."""
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert line.startswith("lecture: ")
    return line


def test_opens_on_the_start_notebook(served: Lecture) -> None:
    assert served.base == f"http://127.0.0.1:{served.port}"
    assert served.path == "/lab/tree/00_start.ipynb"
    assert "jupyter-config-data" in served.get("/lab")
    listing = json.loads(served.get("/api/contents/"))["content"]
    assert {"00_start.ipynb", "04_cnn.ipynb"} <= {entry["name"] for entry in listing}


def test_asks_for_its_token(served: Lecture) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        served.ask("/api/contents/", {})


def test_text_is_larger_and_no_news_are_asked_for(served: Lecture) -> None:
    notification = served.settings("@jupyterlab/apputils-extension:notification")
    assert notification == {"fetchNews": "false", "checkForUpdates": False}
    fonts = served.settings("@jupyterlab/apputils-extension:themes")["overrides"]
    assert set(fonts) == {"code-font-size", "content-font-size1", "ui-font-size1"}
    page = served.get("/lab")
    assert '"news": {"disabled": true}' in page


def test_no_file_of_the_user_is_touched(served: Lecture) -> None:
    body = json.dumps({"name": "python3"}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    started = urllib.request.Request(
        f"{served.base}/api/kernels", body, {"Authorization": f"token {served.token}"}
    )
    with opener.open(started, timeout=60) as answer:
        assert answer.status == 201
    assert list((served.folder / "user").iterdir()) == []
    assert (served.folder / "own" / "runtime").is_dir()


def test_says_that_the_port_is_taken(served: Lecture, tmp_path: Path) -> None:
    again = run("--no-browser", "--port", str(served.port), LECTURE_HOME=str(tmp_path))
    assert f"port {served.port} is taken" in complaint(again)


def test_a_second_lecture_takes_another_port(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = cli.choose_port(None)
        busy.bind(("127.0.0.1", port))
        busy.listen()
        assert cli.choose_port(None) > port


@pytest.mark.browser
def test_the_page_shows_the_notebook_in_larger_text(served: Lecture) -> None:
    with browser_page() as page:
        elsewhere = []
        page.on("request", lambda r: elsewhere.append(r.url))
        page.goto(f"{served.base}{served.path}?token={served.token}")
        page.locator(".jp-MarkdownCell h1").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        assert "The deep learning lecture" in page.locator(".jp-MarkdownCell h1").first.inner_text()
        for selector, least in [(".jp-RenderedMarkdown p", 18), (".jp-CodeCell .cm-content", 17)]:
            size = page.locator(selector).first.evaluate("e => getComputedStyle(e).fontSize")
            assert float(size.removesuffix("px")) >= least, selector
        assert page.get_by_text("news", exact=False).count() == 0
        local = (served.base, "data:", "blob:")
        assert not [url for url in elsewhere if not url.startswith(local)]


def test_presentation_mode_and_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    command = [*LECTURE, "04", "--present", "--no-browser", "--port", str(port)]
    with lecture(command, tmp_path) as running:
        assert running.path == "/doc/tree/04_cnn.ipynb"
        fonts = running.settings("@jupyterlab/apputils-extension:themes")["overrides"]
        in_class = json.loads((cli.PACKAGE / "jupyter" / "class.json").read_text())
        smaller = in_class["@jupyterlab/apputils-extension:themes"]["overrides"]
        assert all(int(fonts[k][:-2]) > int(smaller[k][:-2]) for k in smaller)
        assert running.end() == 0
        assert "Traceback" not in running.printed
    assert cli.choose_port(port) == port


def test_kill_ends_jupyterlab_too(tmp_path: Path) -> None:
    port = free_port()
    with lecture([*LECTURE, "--no-browser", "--port", str(port)], tmp_path) as running:
        os.kill(running.process.pid, signal.SIGTERM)
        assert running.process.wait(WAIT) == 0
    assert cli.choose_port(port) == port


def test_make_lecture_answers(tmp_path: Path) -> None:
    """`make lecture` itself, in the environment this test runs in."""
    port = free_port()
    command = [
        *("make", "lecture", f"VENV={sys.prefix}"),
        *("-o", f"{sys.prefix}/.installed"),  # already installed: leave it as it is
        f"LECTURE_ARGS=--no-browser --port {port}",
    ]
    with lecture(command, tmp_path) as running:
        assert running.base == f"http://127.0.0.1:{port}"
        assert "jupyter-config-data" in running.get("/lab/tree/00_start.ipynb")
        running.end()
        assert "Ending the lecture." in running.printed
    assert cli.choose_port(port) == port


def test_settings_the_class_changed_are_kept(tmp_path: Path) -> None:
    folder = cli.settings_folder(tmp_path, present=False)
    file = folder / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
    assert "code-font-size" in file.read_text()
    file.write_text('{"theme": "JupyterLab Dark"}')
    assert cli.settings_folder(tmp_path, present=False) == folder
    assert file.read_text() == '{"theme": "JupyterLab Dark"}'


def test_the_layout_the_class_made_is_kept(tmp_path: Path) -> None:
    folder = cli.workspaces_folder(tmp_path)
    (file,) = folder.iterdir()
    assert json.loads(file.read_text())["data"]["layout-restorer:data"]["left"]["collapsed"]
    file.write_text("{}")
    assert cli.workspaces_folder(tmp_path) == folder
    assert file.read_text() == "{}"


def test_shipped_settings_fit_jupyterlab() -> None:
    """Every setting of ours is one that JupyterLab knows."""
    schemas = Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas"
    for shipped in sorted((cli.PACKAGE / "jupyter").glob("*.json")):
        for plugin, settings in json.loads(shipped.read_text()).items():
            schema = json.loads((schemas / f"{plugin.replace(':', '/')}.json").read_text())
            assert set(settings) <= set(schema["properties"]), (shipped.name, plugin)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "lab"])
def test_refuses_what_is_no_port(text: str) -> None:
    finished = run("--no-browser", f"--port={text}")
    assert finished.returncode == 2
    assert "is no port: give a number from 1 to 65535" in finished.stderr


def test_names_the_notebooks_there_are(tmp_path: Path) -> None:
    line = complaint(run("99", "--no-browser", LECTURE_HOME=str(tmp_path)))
    assert "'99' is no notebook of the lecture" in line
    assert "04_cnn" in line


def test_says_that_several_notebooks_fit() -> None:
    with pytest.raises(cli.LectureError, match="'0' fits several notebooks.*04_cnn"):
        cli.find_notebook(ROOT / "notebooks", "0")


@pytest.mark.parametrize("wanted", ["04", "04_cnn", "04_cnn.ipynb"])
def test_finds_a_notebook_by_the_start_of_its_name(wanted: str) -> None:
    assert cli.find_notebook(ROOT / "notebooks", wanted) == "04_cnn.ipynb"


def test_says_that_the_folder_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = complaint(run("--no-browser", LECTURE_HOME=str(tmp_path / "file" / "inside")))
    assert "cannot write in" in line
    assert "Set LECTURE_HOME" in line


def test_says_that_jupyterlab_is_missing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['jupyterlab'] = None\n"
        "from lecture_utils.cli import main; sys.exit(main(['--no-browser']))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"LECTURE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    line = complaint(finished)
    assert "JupyterLab is not installed" in line
    assert "pip install -r requirements.txt" in line


def test_says_that_jupyterlab_did_not_start(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(cli, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(cli.LectureError, match=r"did not start. The end of .*jupyterlab\.log"):
        cli.serve(tmp_path, tmp_path, "00_start.ipynb", free_port(), False, False)


def test_opens_the_browser_once_it_answers(tmp_path: Path, monkeypatch, capsys) -> None:
    opened: list[str] = []
    page = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=%d, bind='127.0.0.1')"
    port = free_port()
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "status").write_text("")
    monkeypatch.setattr(cli, "command", lambda *_: [sys.executable, "-c", page % port])

    def browser(url: str) -> bool:
        opened.append(url)
        signal.raise_signal(signal.SIGINT)  # Ctrl-C
        return False

    monkeypatch.setattr(cli.webbrowser, "open", browser)
    cli.serve(tmp_path, tmp_path, "04_cnn.ipynb", port, False, True)
    (url,) = opened
    assert url in capsys.readouterr().out
    assert url.startswith(f"http://127.0.0.1:{port}/lab/tree/04_cnn.ipynb?token=")


def test_help_is_quick_to_load() -> None:
    """`lecture --help` loads neither torch nor JupyterLab."""
    code = (
        "import sys\nfrom lecture_utils.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'torch', 'jupyterlab', 'matplotlib'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "--present" in out
    assert out.splitlines()[-1] == "[]"
