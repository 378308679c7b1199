"""Starts the sandbox and talks to it; this side is trusted, every answer from inside is not.

Three ways to run a student's code:

- ``bubblewrap``: for a lecturer's machine. See `confine` and `worker` for what it shuts off.
- ``container``: inside a container that runs one submission and then ends. The grader keeps root,
  the student's code runs as nobody; the container gives no network and the limits.
- ``unsafe``: none of it. The code can do what you can do.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from lecture_utils import cli

from . import confine, wire
from .course import HomeworkError

START_SECONDS = 120
GRACE = 5.0
"""Seconds after its own time limit until a child that does not answer is killed."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "fonts", "alternatives")
MODES = ("bubblewrap", "container", "unsafe")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a submission may use: bytes, seconds, numbers of processes and threads."""

    cell_seconds: float = 120.0
    extra_seconds: float = 30.0
    """For a cell that is neither a solution nor a check."""
    submission_seconds: float = 900.0
    memory: int = 4 * 2**30
    """Of address space, beyond what the warm parent has."""
    resident: int = 6 * 2**30
    """In memory, all processes of a submission together."""
    processes: int = 64
    file: int = 64 * 2**20
    scratch: int = 128 * 2**20

    def order(self) -> dict[str, int]:
        """What the worker needs of it."""
        parts = ("memory", "resident", "processes", "file", "scratch")
        return {p: getattr(self, p) for p in parts} | {"cpu": int(self.submission_seconds) + 60}


class Died(Exception):
    """The child ended before it answered: `why` is timeout, memory, output, forged or crash."""

    def __init__(self, why: str, words: str) -> None:
        super().__init__(words)
        self.why, self.words = why, words


def _folders() -> list[Path]:
    """What the worker reads: Python, its packages, the lecture's package and data."""
    wanted = [Path(p) for p in (sys.base_prefix, sys.prefix, sysconfig.get_path("stdlib"))]
    wanted += [cli.PACKAGE, cli.data_folder()]
    found: list[Path] = []
    for folder in dict.fromkeys(p.absolute() for p in wanted):
        if not any(folder.is_relative_to(other) for other in [*found, Path("/usr")]):
            found.append(folder)
    return found


def _secrets(course_root: Path | None) -> list[Path]:
    """What nobody in the sandbox may see even if it lies below a folder that is shown."""
    hidden = [cli.shipped_notebooks(), cli.PACKAGE / "notebooks"]
    if cli.in_checkout():
        hidden += [cli.CHECKOUT / name for name in (".git", "homework", "tests", "notebooks")]
    if course_root is not None:
        hidden.append(course_root)
    return [p.absolute() for p in hidden]


def _environment(scratch: str) -> dict[str, str]:
    return {
        "HOME": scratch,
        "LANG": "C.UTF-8",
        "LECTURE_DATA": str(cli.data_folder()),
        "LECTURE_DEVICE": "cpu",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{scratch}/matplotlib",
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": scratch,
        "USER": "student",
    }


def _font_cache() -> dict[str, str]:
    """Matplotlib's list of fonts: without it the first figure costs seconds."""
    import matplotlib
    from matplotlib import font_manager  # noqa: F401  writes the list where there is none

    files = Path(matplotlib.get_cachedir()).glob("fontlist-*.json")
    return {file.name: file.read_text("utf-8") for file in files}


def bubblewrap_command(course_root: Path | None) -> list[str]:
    """The command line of bubblewrap, up to the program it runs."""
    line = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    if os.getuid() == 0:
        # As root, a user namespace would leave the numbers of root outside: limits on processes
        # would not hold. So the worker keeps just what it needs to become nobody.
        line += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        line += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-all", "--uid", "65534", "--gid", "65534"]
    made: set[Path] = set()

    def parents(path: Path) -> None:
        for folder in reversed(path.parents[:-1]):
            if folder not in made and not folder.is_relative_to("/usr"):
                made.add(folder)
                line.extend(["--perms", "0755", "--dir", str(folder)])

    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            line += ["--symlink", os.readlink(path), name]
        elif path.is_dir():
            line += ["--ro-bind", name, name]
    parents(Path("/etc/x"))
    for name in ETC:
        line += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    # /dev belongs to whoever starts bubblewrap: open, it would carry notes between students.
    line += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    line += ["--perms", "1777", "--tmpfs", confine.SCRATCH]
    shown = _folders()
    for folder in shown:
        parents(folder)
        made.add(folder)
        line += ["--ro-bind", str(folder), str(folder)]
    for hidden in _secrets(course_root):
        below = any(hidden.is_relative_to(folder) for folder in [*shown, Path("/usr")])
        if below and hidden.is_dir():
            line += ["--tmpfs", str(hidden), "--remount-ro", str(hidden)]
    line += ["--remount-ro", "/", "--chdir", confine.SCRATCH]
    for name, value in _environment(confine.SCRATCH).items():
        line += ["--setenv", name, value]
    return line


def why_no_bubblewrap() -> str:
    """Why the sandbox cannot be used here; '' if it can."""
    if not sys.platform.startswith("linux"):
        return "bubblewrap exists on Linux only"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian, Ubuntu: apt-get install bubblewrap)"
    probe = [*bubblewrap_command(None), sys.executable, "-c", _PROBE, confine.__file__]
    try:
        run = subprocess.run(probe, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return "bubblewrap does not start"
    if run.returncode != 0:
        last = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"bubblewrap cannot build a sandbox here: {last}"
    return ""


# The worker's own steps, tried once: a kernel may allow the first namespace and refuse the second.
_PROBE = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("confine", sys.argv[1])
confine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(confine)
confine.become_nobody()
confine.own_namespaces()
pid = os.fork()
if pid == 0:
    try:
        confine.limit(2**30, 64, 2**20, 60)
        confine.own_files(2**20)
        confine.drop_capabilities()
        confine.refuse_calls()
        os._exit(0)
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0)
"""


def choose_mode(unsafe: bool, container: bool) -> str:
    """The way to run code here. Raises HomeworkError when there is none that was allowed."""
    if unsafe:
        return "unsafe"
    if container:
        if os.getuid() != 0:
            raise HomeworkError(
                "--in-container needs root in the container, so that the student's code can run as "
                "another user, nobody. Start the container as root (in a user namespace)."
            )
        if _open_to_nobody(cli.shipped_notebooks()):
            raise HomeworkError(
                f"nobody can read {cli.shipped_notebooks()}, which holds the solutions. "
                "Close it in the image: chmod -R go= FOLDER"
            )
        return "container"
    if reason := why_no_bubblewrap():
        raise HomeworkError(
            f"no sandbox: {reason}. Submissions are programs by others. Grade on a machine with "
            "bubblewrap, or give --unsafe to run them with all your rights."
        )
    return "bubblewrap"


def _open_to_nobody(folder: Path) -> bool:
    """Whether a process without any rights can list a folder: tried, in a child."""
    pid = os.fork()
    if pid == 0:
        try:
            confine.become_nobody()
            os.listdir(folder)
        except OSError:
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0


class Session:
    """One child of the warm parent. Use it as a context manager."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox
        self._channel, other = socket.socketpair()
        with other:
            socket.send_fds(sandbox.control, [b"f"], [other.fileno()])
        self.ended: dict[str, Any] | None = None

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send `message` and wait at most `seconds` (and a grace) for its answer. Raises Died."""
        nonce = secrets.token_hex(16)
        try:
            wire.send(self._channel, {**message, "nonce": nonce})
            # The time is that of the whole answer: bytes may come one by one.
            answer = self._receive(time.monotonic() + seconds + GRACE)
        except wire.Closed:
            raise self._death() from None
        except TimeoutError:
            self.kill()
            raise Died("timeout", f"killed after {seconds:g} s") from None
        except wire.TooLarge:
            self.kill()
            raise Died("forged", "sent more than an answer can hold") from None
        except (ValueError, RecursionError):
            self.kill()
            raise Died("forged", "wrote something of its own to the grader") from None
        if not isinstance(answer, dict) or answer.get("nonce") != nonce:
            self.kill()
            raise Died("forged", "wrote an answer of its own to the grader")
        if "broken" in answer:
            self.kill()
            raise Died("crash", f"the code that runs cells broke: {str(answer['broken'])[:500]}")
        return answer

    def _receive(self, deadline: float) -> Any:
        channel = _Deadline(self._channel, deadline)
        return wire.receive(channel)  # type: ignore[arg-type]

    def _death(self) -> Died:
        self._wait()
        ended = self.ended or {}
        if ended.get("why") == "memory":
            return Died("memory", "killed: all its processes together held too much memory")
        if ended.get("signal") == 24:
            return Died("timeout", "killed: it used up its processor time")
        if number := ended.get("signal"):
            import signal

            with contextlib.suppress(ValueError):
                return Died("crash", f"the process died of {signal.Signals(number).name}")
        return Died("crash", f"the process ended itself with code {ended.get('code', '?')}")

    def kill(self) -> None:
        """End the child and everything it started."""
        if self.ended is None:
            with contextlib.suppress(wire.Closed):
                wire.send(self._sandbox.control, {"do": "kill"})
            self._wait()

    def _wait(self) -> None:
        if self.ended is None:
            self._sandbox.control.settimeout(30)
            try:
                self.ended = wire.receive(self._sandbox.control)
            except (TimeoutError, wire.Closed, ValueError):
                self._sandbox.stop()
                raise HomeworkError(
                    "the sandbox itself ended. " + self._sandbox.complaint()
                ) from None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.close()  # a child that waits for a message ends by this
        self.kill()


class _Deadline:
    """A socket whose receiving ends at a point in time, however the bytes trickle."""

    def __init__(self, channel: socket.socket, deadline: float) -> None:
        self._channel, self._deadline = channel, deadline

    def recv(self, count: int) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._channel.settimeout(left)
        return self._channel.recv(count)


class Sandbox:
    """A warm parent. Use it as a context manager; one session at a time."""

    def __init__(
        self,
        mode: str,
        prelude: list[dict[str, str]],
        limits: Limits,
        course_root: Path | None = None,
    ) -> None:
        self.mode, self.limits = mode, limits
        self._prelude, self._root = prelude, course_root
        self._process: subprocess.Popen[bytes] | None = None
        self._own: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Start the parent and wait until it is warm. Raises HomeworkError."""
        self._own = tempfile.TemporaryDirectory(prefix="lecture-", ignore_cleanup_errors=True)
        own = Path(self._own.name)
        os.chmod(own, 0o711)
        scratch = own / "scratch"
        scratch.mkdir()
        os.chmod(scratch, 0o777 | stat.S_ISVTX)
        self.control, other = socket.socketpair()
        inside = "import sys; from lecture_utils.homework import worker; worker.main()"
        program = [sys.executable, "-c", inside, str(other.fileno())]
        environment = _environment(str(scratch))
        if self.mode == "bubblewrap":
            program = [*bubblewrap_command(self._root), *program]
        order = {
            "prelude": self._prelude,
            "limits": self.limits.order(),
            "nested": self.mode == "bubblewrap",
            "drop": self.mode != "unsafe",
            "scratch": str(scratch),
            "files": _font_cache(),
        }
        self._log = (own / "log").open("w+b")
        with other:
            self._process = subprocess.Popen(
                program,
                pass_fds=[other.fileno()],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                env=environment | {"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
                cwd=scratch,
            )
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode())
            self._process.stdin.close()
        self.control.settimeout(START_SECONDS)
        try:
            wire.receive(self.control)
        except (wire.Closed, TimeoutError, ValueError):
            self.stop()
            raise HomeworkError("the sandbox did not start. " + self.complaint()) from None

    def session(self) -> Session:
        """A fresh child; the parent is started when it is not there."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        return Session(self)

    def complaint(self) -> str:
        """The last line that the worker printed."""
        lines = [line for line in self._last.decode(errors="replace").splitlines() if line.strip()]
        return f"It said: {lines[-1][:300]}" if lines else "It said nothing."

    _last = b""

    def kill(self) -> None:
        """End the sandbox from another thread; the one that uses it finds it ended."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def stop(self) -> None:
        """End the parent and everything in the sandbox."""
        if self._process is None:
            return
        self.control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._log.seek(0)
        self._last = self._log.read()[-4000:]
        self._log.close()
        if self._own:
            with contextlib.suppress(OSError):  # in a container, nobody's files are not ours
                self._own.cleanup()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
