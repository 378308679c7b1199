"""The process inside the sandbox: a warm parent, and its children that run one submission each.

The parent imports torch and the lecture, and runs the definitions of the lecture part, once. Asked
to fork, its child gives up what is left to give up (`confine`), then talks to the grader on a
socket of its own: it runs the student's cells, and at the end the checks. The parent never sees a
student's code or a check, so no child inherits anything of another one.

In the child the checks have a namespace of their own. From the student's they take only the names
that a solution must define, so a student may call a variable `sum` or `random`. A check reaches the
child when it is its turn: while the student's cells run, hidden tests are nowhere in the sandbox.
"""

import ast
import contextlib
import io
import json
import linecache
import os
import random
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Container, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from . import confine, wire
from .guard import Guard, fresh_builtins, names_of, watch

TEXT = 20_000
"""Characters of output that a cell may leave; the rest is counted and dropped."""
PICTURES, PICTURE = 4, 400_000
"""Pictures a cell may leave, and characters (base64) of each."""
POLL = 0.1
STUDENT, CHECK = "<ipython-input-", "<check "


class OverTime(BaseException):
    """The time for a cell is up. Not an Exception, so that `except Exception` lets it pass."""


class Text(io.TextIOBase):
    """Keeps the first `TEXT` characters written to it."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.room, self.dropped = TEXT, 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        kept = str(text)[: self.room]
        if kept:
            self.parts.append(kept)
            self.room -= len(kept)
        self.dropped += len(text) - len(kept)
        return len(text)

    def all(self) -> str:
        """What was kept, and how much was not."""
        end = f"\n[{self.dropped:,} more characters were cut off]" if self.dropped else ""
        return "".join(self.parts) + end


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OverTime in the main thread after `seconds`."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise OverTime

    old = signal.signal(signal.SIGALRM, ring)
    # Again and again: the first may come while an except clause swallows it.
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def describe(error: BaseException) -> tuple[str, str]:
    """Kind and message of an error, with the lines of the student's code that led to it."""
    try:
        text = str(error)[:2000]
    except BaseException:
        text = "(its message raised an error)"
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return kind, "".join(traceback.format_exception_only(error))[:2000]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if STUDENT in f.filename]
    where = "".join(f"\n  line {f.lineno} in {f.name}: {f.line}" for f in frames[-3:])
    return kind, text + where[:2000]


def start_shell() -> Any:
    """IPython without a kernel, history or configuration of anybody; nothing is printed by it."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import Type
    from traitlets.config import Config

    class Hook(DisplayHook):
        """Keeps the value of a cell's last line as an output."""

        def __call__(self, result: Any = None) -> None:
            if result is not None and not self.quiet():
                data, _ = self.compute_format_data(result)
                self.shell.display_pub.publish(data=data)

    class Shell(InteractiveShell):
        """IPython whose outputs are collected."""

        display_pub_class = Type(CapturingDisplayPublisher)
        displayhook_class = Type(Hook)

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = Shell.instance(config=config)
    shell.showtraceback = lambda *a, **k: None  # errors are reported, not printed
    shell.showsyntaxerror = lambda *a, **k: None
    return shell


def prepare(shell: Any, prelude: list[dict[str, str]]) -> None:
    """Load what every submission needs, and the lecture's definitions."""
    import matplotlib.pyplot  # noqa: F401
    import numpy.testing  # noqa: F401
    import torch
    import torch.testing

    import lecture_utils.checks
    import lecture_utils.training

    torch.set_num_threads(1)  # threads would not survive the fork
    torch.set_num_interop_threads(1)
    for name in lecture_utils.__all__:  # what is loaded later could not be guarded
        getattr(lecture_utils, name)
    # The first step of an optimizer loads much, and replaces torch.manual_seed.
    weight = torch.ones(1, requires_grad=True)
    weight.backward()
    torch.optim.Adam([weight]).step()
    for cell in prelude:
        run_definitions(cell["source"], f"<lecture {cell['id']}>", shell.user_ns)


def run_definitions(
    source: str, name: str, namespace: dict[str, Any], calls: Container[str] | None = None
) -> None:
    """Run the imports, functions, classes and constants of a cell; nothing that computes.

    With `calls`, also what computes, unless one of these names is used for it.
    """
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    for node in ast.parse(source).body:
        wanted = isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        if isinstance(node, ast.Assign) and calls is None:
            wanted = isinstance(node.value, ast.Constant | ast.Lambda | ast.UnaryOp)
        elif isinstance(node, ast.Assign):
            used = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
            wanted = not any(n in calls for n in used)
        if wanted:
            module = ast.Module([node], [])
            with contextlib.suppress(Exception):  # it may need what only the lecture computes
                exec(compile(module, name, "exec"), namespace)


def converse(channel: socket.socket, shell: Any) -> None:
    """Run what the grader sends until it closes the channel.

    Everything that decides is bound to local names first: what the student's code does to this
    module afterwards changes nothing here.
    """
    import numpy as np
    import torch

    from lecture_utils.checks import CheckFailed

    send, receive, describe_, compile_, exec_ = wire.send, wire.receive, describe, compile, exec
    Closed, Limit, Writer, redirect = wire.Closed, OverTime, Text, contextlib.redirect_stdout
    redirect_error, limit, clock = contextlib.redirect_stderr, time_limit, time.monotonic
    seeds = (torch.manual_seed, np.random.seed, random.seed)
    define = run_definitions
    set_type, set_gradients = torch.set_default_dtype, torch.set_grad_enabled
    cache, sleeping = linecache.cache, threading.active_count
    publisher = shell.display_pub
    checks: dict[str, Any] = {"__name__": "__main__"}
    students: dict[str, Any] = shell.user_ns
    restore = Guard().restore
    notes = watch(lambda file: STUDENT in file)
    threads = threading.active_count()

    def student_cell(message: dict[str, Any]) -> dict[str, Any]:
        text, error = Writer(), None
        publisher.outputs.clear()
        try:
            with redirect(text), redirect_error(text), limit(message["seconds"]):
                result = shell.run_cell(message["source"], store_history=False)
            error = result.error_before_exec or result.error_in_exec
        except Limit as late:
            error = late
        found = {}
        for name in message.get("names", ()):
            if name in students:
                found[name] = students[name]
        captured.update(found)
        answer = {"outputs": outputs(text), "defined": sorted(found)}
        if isinstance(error, Limit):
            answer["error"] = ["OverTime", f"stopped after {message['seconds']:g} s"]
        elif error is not None:
            answer["error"] = list(describe_(error))
        return answer

    def outputs(text: Text) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        if text.parts or text.dropped:
            made.append({"text": text.all()})
        for item in publisher.outputs[:PICTURES]:
            data = item.get("data", {})
            picture, plain = data.get("image/png"), data.get("text/plain")
            if isinstance(picture, bytes):
                import base64

                picture = base64.b64encode(picture).decode()
            if isinstance(picture, str) and len(picture) <= PICTURE:
                made.append({"png": picture})
            elif isinstance(plain, str):
                made.append({"text": plain[:TEXT]})
        return made

    def check(message: dict[str, Any]) -> dict[str, Any]:
        changed = restore()
        busy = sleeping() - threads
        name = f"{CHECK}{message['id']}>"
        source = message["source"]
        cache[name] = (len(source), None, source.splitlines(True), name)
        checks["__builtins__"] = fresh
        checks.update(captured)
        for earlier in message["earlier"]:
            define(earlier, f"{CHECK}earlier>", checks, captured)
        for seed in seeds:
            seed(0)
        set_type(torch.float32)  # an answer may have set them for all
        set_gradients(True)
        text, outcome, words = Writer(), "passed", ""
        try:
            with redirect(text), redirect_error(text), limit(message["seconds"]):
                exec_(compile_(source, name, "exec", dont_inherit=True), checks)
        except CheckFailed as failed:
            # `check` reports what the answer raised as a mistake, with its cause.
            cause = failed.__cause__
            outcome = "failed" if cause is None else "error"
            outcome = "memory" if isinstance(cause, MemoryError) else outcome
            words = describe_(failed)[1]
        except Limit:
            outcome, words = "timeout", f"stopped after {message['seconds']:g} s"
        except MemoryError:
            outcome, words = "memory", "it asked for more memory than there is"
        except BaseException as error:
            kind, words = describe_(error)
            outcome, words = "error", f"{kind}: {words}"
        during = restore()
        return {
            "outcome": outcome,
            "message": words,
            "text": text.all(),
            "restored": names_of(changed) if changed else "",
            "tampered": names_of(during) if during else "",
            "notes": list(notes),
            "threads": max(0, busy),
        }

    def begin(message: dict[str, Any]) -> dict[str, Any]:
        for namespace in (students, checks):
            namespace["student_id"] = message["student"]
        for cell in message["given"]:  # the assignment's own code cells, for the checks
            with contextlib.suppress(Exception), redirect(Writer()):
                exec_(compile_(cell["source"], f"{CHECK}{cell['id']}>", "exec"), checks)
        return {}

    fresh = fresh_builtins()
    captured: dict[str, Any] = {}
    verbs = {"begin": begin, "cell": student_cell, "check": check}
    own, leave, number = os.getpid(), os._exit, os.getpid
    while True:
        try:
            message = receive(channel)
        except Closed:
            return
        begun = clock()
        try:
            answer = verbs[message["do"]](message)
        except BaseException as error:  # out of this loop only by the grader's will
            answer = {"broken": ": ".join(describe_(error))}
        if number() != own:  # a process that the student's code forked came back here
            leave(1)
        answer["nonce"] = message["nonce"]
        answer["seconds"] = round(clock() - begun, 3)
        send(channel, answer)


def child(channel: socket.socket, news: int, order: dict[str, Any], shell: Any) -> int:
    """What happens after the fork. Returns an exit code; `news` is a pipe to the parent."""
    limits = order["limits"]
    if order["nested"]:
        confine.own_namespaces()
        inner = os.fork()  # the first process of the new number space
        if inner:
            os.write(news, json.dumps({"pid": inner}).encode() + b"\n")
            channel.close()
            _, status = os.waitpid(inner, 0)
            os.write(news, json.dumps({"status": status}).encode() + b"\n")
            return 0
        confine.die_with_parent()
    os.close(news)
    os.setsid()  # kill(0, ...) reaches a whole process group, across the new number space too
    empty = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(empty, number)
    sys.stdin = open(os.devnull)  # noqa: SIM115  for as long as the process lives
    confine.limit(limits["memory"], limits["processes"], limits["file"], limits["cpu"])
    if order["nested"]:
        confine.own_files(limits["scratch"])
        confine.drop_capabilities()
        confine.refuse_calls()
    else:
        os.makedirs(order["scratch"], exist_ok=True)
        os.chdir(order["scratch"])
    converse(channel, shell)
    return 0


def memory_of_children() -> int:
    """Bytes that the processes below this one hold; what several share is counted once."""
    mine = os.getpid()
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                parents[int(name)] = int(stat[1])
    total = 0
    for pid in parents:
        above = pid
        while above in parents and above != mine:
            above = parents[above]
        if above == mine and pid != mine:
            with contextlib.suppress(OSError, ValueError, IndexError):
                shares = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(shares.split("\nPss:")[1].split()[0]) * 1024
    return total


def supervise(control: socket.socket, pid: int, news: int, order: dict[str, Any]) -> None:
    """Watch one child until it has ended and say how; end it when asked to or over its memory."""
    inner, status, why, lines = pid, None, "", b""
    os.set_blocking(news, False)
    control.settimeout(POLL)
    watched = [control, news]

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(inner, signal.SIGKILL)

    while True:
        ready = select.select(watched, [], [], POLL)[0]
        done, code = os.waitpid(pid, os.WNOHANG)
        if news in watched:
            with contextlib.suppress(BlockingIOError):
                said = os.read(news, 4096)
                lines += said
                if not said:  # closed: by the end of the process, or where nothing is nested
                    watched.remove(news)
            *whole, lines = lines.split(b"\n")
            for line in whole:
                told = json.loads(line)
                inner, status = told.get("pid", inner), told.get("status", status)
        if done:
            break
        if memory_of_children() > order["limits"]["resident"]:
            why = "memory"
            end()
        if control in ready:
            try:
                if wire.receive(control).get("do") == "kill":
                    end()
            except wire.Closed:
                end()
                os._exit(0)
    os.close(news)
    control.settimeout(None)
    code = code if status is None else status
    wire.send(
        control,
        {
            "ended": True,
            "why": why,
            "signal": os.WTERMSIG(code) if os.WIFSIGNALED(code) else 0,
            "code": os.WEXITSTATUS(code) if os.WIFEXITED(code) else 0,
        },
    )


def main() -> None:
    """The warm parent. Reads its order from standard input, then waits on descriptor argv[1]."""
    control = socket.socket(fileno=int(sys.argv[1]))
    order = json.load(sys.stdin)
    if order["drop"]:
        confine.become_nobody()
    if order["nested"] or order["drop"]:
        confine.hide_from_children()
    os.makedirs(os.environ["MPLCONFIGDIR"], exist_ok=True)
    for file, text in order["files"].items():
        Path(os.environ["MPLCONFIGDIR"], file).write_text(text)
    shell = start_shell()
    prepare(shell, order["prelude"])
    wire.send(control, {"ready": True})
    while True:
        try:
            first, fds, _, _ = socket.recv_fds(control, 1, 1)
        except OSError:
            first = b""
        if not first:
            os._exit(0)  # tidying up after torch would take seconds
        if not fds:  # a late "kill" for a child that has already ended: read it away
            rest = wire._exactly(control, wire.LENGTH.size - 1)
            wire._exactly(control, wire.LENGTH.unpack(first + rest)[0])
            continue
        news, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                control.close()
                os.close(news)
                code = child(socket.socket(fileno=fds[0]), write, order, shell)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(write)
        os.close(fds[0])
        supervise(control, pid, news, order)
