"""What a student's code can reach: nothing but the lecture, the data and its own scratch folder."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grading import ROOT

from lecture_utils.homework import sandbox as sandboxes
from lecture_utils.homework.cases import to_bytes
from lecture_utils.homework.course import HomeworkError
from lecture_utils.homework.job import Job, judge, load_assignment
from lecture_utils.homework.sandbox import Died, Limits, Sandbox, choose_mode
from lecture_utils.homework.submission import answered

STEMS = [p.stem for p in sorted((ROOT / "notebooks").glob("0[1-7]*.ipynb"))]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    course = tmp_path_factory.mktemp("course")
    (course / "gradebook.db").write_text("secret")
    limits = Limits(memory=2**29, resident=3 * 2**30)
    with Sandbox("bubblewrap", [], limits, course) as made:
        yield made


def said(sandbox: Sandbox, source: str, seconds: float = 30) -> str:
    """What a cell prints, or the error it ends with, in a session of its own."""
    with sandbox.session() as session:
        return told(session, source, seconds)


def told(session: Any, source: str, seconds: float = 30) -> str:
    answer = session.ask({"do": "cell", "source": source, "seconds": seconds}, seconds)
    text = "".join(item.get("text", "") for item in answer["outputs"])
    return text.strip() + " ".join(answer.get("error", []))


@pytest.mark.parametrize("stem", STEMS)
def test_reference_has_full_marks_and_nothing_is_flagged(stem: str) -> None:
    """As a whole class would be graded: the checks need nothing that the sandbox lacks."""
    assignment = load_assignment(stem)
    with Sandbox("bubblewrap", assignment.prelude(), Limits()) as made:
        result = judge(Job(assignment, "ada", to_bytes(answered(assignment))), made)
    assert result["score"] == result["points"] == assignment.points, result["checks"]
    assert (result["flags"], result["repairs"], result["ran_whole"]) == ([], [], False)


def test_lecture_and_data_are_there(sandbox: Sandbox) -> None:
    words = said(sandbox, "import lecture_utils as lu; print(lu.data.mnist().train_x.shape)")
    assert words == "torch.Size([4000, 1, 28, 28])"


def test_nothing_secret_is_in_view(sandbox: Sandbox) -> None:
    walk = """
import os
for name in ("notebooks", "tests", "homework", ".git"):
    print(name, os.path.exists(os.path.join(ROOT, name)) and os.listdir(os.path.join(ROOT, name)))
print(sorted(set(os.listdir("/")) - {"bin", "dev", "etc", "lib", "lib32", "lib64", "proc", "sbin",
    "scratch", "usr", *TOP}))
print(os.path.exists(COURSE))
"""
    folders = [*sandboxes._folders(), ROOT]
    top = {folder.parts[1] for folder in folders}
    head = f"ROOT, COURSE, TOP = {str(ROOT)!r}, {str(sandbox._root)!r}, {top!r}"
    lines = said(sandbox, head + walk).splitlines()
    # Not there; or empty, where the clone lies below the environment's folder.
    assert {line.split()[1] for line in lines[:4]} <= {"False", "[]"}
    assert lines[4:] == ["[]", "False"]


def test_a_course_below_a_shown_folder_is_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "shown" / "course"
    inner.mkdir(parents=True)
    monkeypatch.setattr(sandboxes, "_folders", lambda: [tmp_path / "shown"])
    line = sandboxes.bubblewrap_command(inner)
    assert line[line.index(str(inner)) - 1] == "--tmpfs"


CLOSED = ["/usr/x", "/etc/x", "/x", "/proc/x", "/dev/x", "/tmp/x"]
CLOSED += [f"{ROOT}/data/x", f"{ROOT}/lecture_utils/x"]


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_can_be_written_but_scratch(path: str, sandbox: Sandbox) -> None:
    words = said(sandbox, f"open({path!r}, 'w')")
    assert any(reason in words for reason in ("Read-only", "Permission", "No such", "No space"))


def test_an_ordinary_users_sandbox_is_as_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root and others start bubblewrap in two ways; here the other one, whoever runs the tests."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with Sandbox("bubblewrap", [], Limits()) as made:
        for path in CLOSED:
            test_nothing_can_be_written_but_scratch(path, made)
        test_nothing_secret_is_in_view(made)
        test_scratch_is_empty_each_time_and_bounded(made)
        test_no_rights_and_no_way_to_get_any(made)
        test_one_session_leaves_nothing_for_the_next(made)


def test_scratch_is_empty_each_time_and_bounded(sandbox: Sandbox) -> None:
    leave = "_ = open('/scratch/note', 'w').write('x') + open('/dev/shm/note', 'w').write('x')"
    assert said(sandbox, leave) == ""
    look = "import os; print(os.listdir('/scratch'), os.listdir('/dev/shm'), os.listdir('/proc'))"
    assert said(sandbox, look) == "[] [] []"
    fill = "open('big', 'wb').write(bytes(10 ** 8))"
    assert "File too large" in said(sandbox, fill)


def test_no_rights_and_no_way_to_get_any(sandbox: Sandbox) -> None:
    source = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, *arguments):
    ctypes.set_errno(0)
    return libc[name](*arguments), os.strerror(ctypes.get_errno())
print(os.getuid(), os.getpid())
print(tried("unshare", 0x10000000))
print(tried("mount", b"none", b"/scratch", b"tmpfs", 0, None))
print(tried("umount2", b"/proc", 2))
print(tried("ptrace", 16, 1, None, None))
print(tried("setresuid", 0, 0, 0))
print(tried("syscall", 435, None, 0))
print(tried("syscall", CLONE, 0x10000000 | 17, None, None, None, None))
"""
    clone = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    lines = said(sandbox, f"CLONE = {clone}" + source).splitlines()
    assert lines[0] == "65534 1"
    assert lines[1:5] == ["(-1, 'Operation not permitted')"] * 4
    assert lines[5] == "(-1, 'Invalid argument')"  # there is no such user in its namespace
    assert lines[6] == "(-1, 'Function not implemented')"
    assert lines[7] == "(-1, 'Operation not permitted')"


def test_threads_and_processes_work_up_to_a_limit(sandbox: Sandbox) -> None:
    source = """
import os, threading, time
made = [threading.Thread(target=print, args=("thread",))]
made[0].start(); made[0].join()
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(60)
        count += 1
except BlockingIOError:
    print("stopped")
print(count < 64)
"""
    assert said(sandbox, source).split() == ["thread", "stopped", "True"]


def test_there_is_no_network(sandbox: Sandbox) -> None:
    source = (
        "import socket; print(socket.if_nameindex());socket.create_connection(('127.0.0.1', {}), 2)"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = said(sandbox, source.format(server.getsockname()[1]))
    assert "unreachable" in words and "eth" not in words


def test_environment_says_nothing(sandbox: Sandbox) -> None:
    os.environ["LECTURE_SECRET"] = "x"
    try:
        names = said(sandbox, "import os; print(*sorted(os.environ))").split()
    finally:
        del os.environ["LECTURE_SECRET"]
    extra = {"PWD", "COLUMNS", "LINES", "GIT_PAGER", "PAGER", "TERM", "CLICOLOR", "FORCE_COLOR"}
    extra |= {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "LC_CTYPE", "CLICOLOR_FORCE"}
    assert set(names) - extra <= set(sandboxes._environment("/scratch")) | {
        "TORCHINDUCTOR_CACHE_DIR"
    }


def test_one_session_leaves_nothing_for_the_next(sandbox: Sandbox) -> None:
    with sandbox.session() as first:
        told(first, "import lecture_utils, builtins; builtins.left = lecture_utils.left = left = 1")
        told(first, "import os, time\nif os.fork() == 0: time.sleep(1000)")
    with sandbox.session() as second:
        told(second, "import lecture_utils, builtins")
        assert "NameError" in told(second, "left")
        assert told(second, "print(hasattr(lecture_utils, 'left'))") == "False"


def test_a_kill_ends_all_processes_of_a_session(sandbox: Sandbox) -> None:
    mark = f"lecture-{os.getpid()}-sleeper"
    source = f"""
import ctypes, os, time
for _ in range(3):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, b"{mark[:15]}", 0, 0, 0)
        time.sleep(1000)
time.sleep(1)
while True:
    try:
        time.sleep(1000)
    except BaseException:
        pass
"""

    def named() -> int:
        count = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                count += (folder / "comm").read_text().strip() == mark[:15]
            except OSError:
                continue
        return count

    with sandbox.session() as session, pytest.raises(Died) as died:
        session.ask({"do": "cell", "source": source, "seconds": 2}, 2)
    assert died.value.why == "timeout"
    assert named() == 0


def test_memory_of_all_processes_together_is_bounded(sandbox: Sandbox) -> None:
    source = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        kept = bytearray(3 * 10 ** 8)
        time.sleep(1000)
time.sleep(1000)
"""
    with sandbox.session() as session, pytest.raises(Died) as died:
        session.ask({"do": "cell", "source": source, "seconds": 60}, 60)
    assert died.value.why == "memory"


def test_an_answer_that_never_ends_is_cut(sandbox: Sandbox) -> None:
    flood = """
import os, struct
chunk = struct.pack("!I", 7_000_000) + b"x" * 1000
while True:
    for number in range(3, 30):
        try:
            os.write(number, chunk)
        except OSError:
            pass
"""
    with sandbox.session() as session, pytest.raises(Died) as died:
        session.ask({"do": "cell", "source": flood, "seconds": 20}, 20)
    assert died.value.why in ("forged", "timeout")


def test_without_bubblewrap_it_refuses_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxes.shutil, "which", lambda name: None)
    with pytest.raises(HomeworkError, match=r"bubblewrap is not installed.*--unsafe"):
        choose_mode(unsafe=False, container=False)
    assert choose_mode(unsafe=True, container=False) == "unsafe"


def test_where_namespaces_are_forbidden_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox is tried, not assumed: bubblewrap may be there and not work."""
    monkeypatch.setattr(sandboxes, "_PROBE", "raise SystemExit('no namespaces here')")
    with pytest.raises(HomeworkError, match="no namespaces here"):
        choose_mode(unsafe=False, container=False)


def test_unsafe_mode_grades_too() -> None:
    assignment = load_assignment("06_attention")
    with Sandbox("unsafe", assignment.prelude(), Limits()) as made:
        result = judge(Job(assignment, "ada", to_bytes(answered(assignment))), made)
    assert (result["score"], result["sandbox"]) == (assignment.points, "unsafe")
