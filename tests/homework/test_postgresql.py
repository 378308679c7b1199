"""The gradebook on a real PostgreSQL server, made for the test and removed after it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lecture_utils.homework import feedback, grade, release
from lecture_utils.homework.cases import to_bytes
from lecture_utils.homework.course import Course
from lecture_utils.homework.job import load_assignment
from lecture_utils.homework.sandbox import Limits
from lecture_utils.homework.submission import answered

STEM = "06_attention"


def programs() -> Path:
    """Where the server's programs lie: where Debian puts them, or on the path."""
    if folders := sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        return folders[-1]
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise FileNotFoundError(
        "No PostgreSQL server was found. Install it (Debian: apt-get install postgresql)."
    )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An empty database: its address."""
    folder = Path(tempfile.mkdtemp(prefix="lecture-pg-"))
    # The server refuses to run as root.
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if os.getuid() == 0:
        shutil.chown(folder, user)

    def run(name: str, *arguments: str) -> None:
        become = {"user": user, "group": user} if os.getuid() == 0 else {}
        subprocess.run(
            [str(programs() / name), *arguments],
            check=True, capture_output=True, text=True, cwd=folder, **become,
        )  # fmt: skip

    own = folder / "data"
    run("initdb", "-D", str(own), "-U", "lecturer", "--auth=trust", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", str(own), "-l", str(folder / "log"), "-o", options, "-w", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "lecturer", "grades")
        yield f"postgresql+psycopg://lecturer@127.0.0.1:{port}/grades"
    finally:
        run("pg_ctl", "-D", str(own), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def course(server: str, tmp_path_factory: pytest.TempPathFactory) -> Course:
    made = Course.find(tmp_path_factory.mktemp("course"), server)
    release.release(made, STEM)
    return made


def test_a_class_on_postgresql(course: Course) -> None:
    assignment = load_assignment(STEM)
    work = {"ada": to_bytes(answered(assignment)), "claude": to_bytes(assignment.released)}
    for student, content in work.items():
        folder = course.submitted / student / STEM
        folder.mkdir(parents=True)
        (folder / f"{STEM}.ipynb").write_bytes(content)
    results = grade.grade(course, STEM, mode="bubblewrap", limits=Limits(), quiet=True)
    assert [r["score"] for r in results] == [assignment.points, 0]
    with course.gradebook() as gradebook:
        assert gradebook.db.bind.dialect.name == "postgresql"
        assert gradebook.find_submission(STEM, "ada").score == assignment.points
    assert feedback.pages(course, STEM, ["ada", "claude"], quiet=True) == {}
    page = (course.feedback / "claude" / STEM / f"{STEM}.html").read_text()
    assert "no answer was given" in page
    release.release(course, STEM)  # again, with submissions there
    assert not (course.root / "gradebook.db").exists()


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_many_write_at_once(kind: str, course: Course, tmp_path: Path) -> None:
    """With SQLite's own 5 s a busy gradebook answers "database is locked"."""
    if kind == "sqlite":
        course = Course.find(tmp_path)
        release.release(course, STEM)
    failed: list[Exception] = []

    def write(number: int) -> None:
        try:
            with course.gradebook() as gradebook:
                for turn in range(5):
                    student = f"s{number}-{turn}"
                    gradebook.add_student(student)
                    gradebook.update_or_create_submission(STEM, student)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with course.gradebook() as gradebook:
        assert sum(s.id.startswith("s") for s in gradebook.students) == 30
