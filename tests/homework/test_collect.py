"""Submissions as learning platforms export them, and what hostile students put into theirs."""

import bz2
import csv
import io
import json
import os
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbgrader.utils import parse_utc
from school import School, homework

from lecture_utils.homework import archives, collect, report
from lecture_utils.homework.collect import Row, table
from lecture_utils.homework.naming import LONGEST, safe_id, sender

STEMS = ["01_squares", "02_cubes"]
MOODLE = "Lovelace Ada_4711_assignsubmission_file_"
DAY = (2026, 11, 26, 12, 0, 0)


def notebook(stem: str = "01_squares", answer: str = "x * x", **changes: str) -> bytes:
    """A submission."""
    name = {"01_squares": "square", "02_cubes": "cube"}.get(stem, "other")
    made = homework(solution=f"def {name}(x):\n    return {answer}", name=name)
    if changes.get("ids") == "lost":
        for number, cell in enumerate(made.cells):
            cell.id, cell.metadata = f"cell-{number}", {}
    return nbformat.writes(made).encode()


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    school = School(tmp_path, monkeypatch)
    school.write("01_squares", homework())
    school.write("02_cubes", homework(name="cube"))
    return school


class Export:
    """A zip as a platform writes it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)

    def add(self, name: str, content: bytes, day: tuple[int, ...] = DAY, **more: int) -> None:
        """Add a member as it is named, with the attributes given."""
        info = zipfile.ZipInfo("x", day)
        info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
        for attribute, value in more.items():
            setattr(info, attribute, value)
        self.archive.writestr(info, content, info.compress_type)

    def close(self) -> Path:
        """The finished file."""
        self.archive.close()
        return self.file


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path / "export.zip")


def zipped(**files: bytes) -> bytes:
    """A student's own zip. '__' in a name stands for '/'."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/") + ".ipynb", content)
    return file.getvalue()


def submitted(school: School) -> dict[str, bytes]:
    """Content of what lies in submitted/, by student and assignment."""
    found = school.course.submitted.glob("*/*/*.ipynb")
    return {f"{p.parts[-3]}/{p.parts[-2]}": p.read_bytes() for p in found}


def rows(school: School) -> list[Row]:
    """The last report."""
    with (school.root / "collected.csv").open(encoding="utf-8-sig", newline="") as file:
        return [Row(**row) for row in csv.DictReader(file)]


def refusals(school: School) -> dict[str, str]:
    """Why, by path."""
    return {row.file: row.why for row in rows(school) if row.outcome == "refused"}


SHAPES = {
    "Moodle, folders": {
        f"{MOODLE}/01_squares.ipynb": "Lovelace_Ada",
        "Hopper Grace_4712_assignsubmission_file_/deep/01_squares.ipynb": "Hopper_Grace",
    },
    "Moodle 4, folders": {"Ng Li_12_assignsubmission_file/01_squares.ipynb": "Ng_Li"},
    "Moodle, flat": {
        f"{MOODLE}01_squares.ipynb": "Lovelace_Ada",
        "Nuñez, Zoë_4713_assignsubmission_file_my work.ipynb": "Nuñez_Zoë",
    },
    "Canvas": {
        "lovelaceada_LATE_12345_67890_01_squares-1.ipynb": "lovelaceada_12345",
        "hoppergrace_12346_67891_01_squares.ipynb": "hoppergrace_12346",
        "12347_67892_01_squares.ipynb": "12347",
    },
    "ILIAS": {
        "Sheet 1/Lovelace_Ada_alove_4711/20261126103000_01_squares.ipynb": (
            "Lovelace_Ada_alove_4711"
        ),
        "Sheet 1/Hopper_Grace_ghop_4712/20261126103001_01_squares.ipynb": "Hopper_Grace_ghop_4712",
    },
    "ILIAS, one student": {
        "Sheet 1/Lovelace_Ada_alove_4711/20261126103000_01_squares.ipynb": (
            "Lovelace_Ada_alove_4711"
        ),
    },
    "flat": {"ada_01_squares.ipynb": "ada", "g.hopper-01_squares (1).ipynb": "g.hopper"},
    "flat in a folder": {"all/ada_01_squares.ipynb": "ada", "all/bob 01_squares.IPYNB": "bob"},
    "folders": {
        "ada/01_squares.ipynb": "ada",
        "class/bob/homework.ipynb": "bob",
        "class/grace/01_squares/01_squares.ipynb": "grace",
        "伊藤/01_squares-Copy1.ipynb": "伊藤",
    },
    "one folder": {"ada/01_squares.ipynb": "ada"},
    "browser's ending": {"ada/01_squares.ipynb.txt": "ada", "bob/01_squares.ipynb.json": "bob"},
    "backslashes": {"ada\\01_squares.ipynb": "ada"},
}


@pytest.mark.parametrize(
    ("shape", "kind"),
    [(s, k) for s in SHAPES for k in ("zip", "folder") if (s, k) != ("backslashes", "folder")],
)
def test_shapes_of_exports(
    school: School, export: Export, tmp_path: Path, shape: str, kind: str
) -> None:
    for name in SHAPES[shape]:
        export.add(name, notebook())
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(notebook())
    path = export.close() if kind == "zip" else tmp_path / "folder"
    assert school.collect(path) == 0
    assert set(submitted(school)) == {f"{s}/01_squares" for s in SHAPES[shape].values()}
    assert {row.file.replace("\\", "/"): row.student for row in rows(school)} == {
        name.replace("\\", "/"): student for name, student in SHAPES[shape].items()
    }


def test_writes_what_nbgrader_reads(school: School, export: Export) -> None:
    export.add("ada/01_squares.ipynb", notebook(), (2026, 3, 1, 23, 59, 58))
    export.add("bob/20260301235957_01_squares.ipynb", notebook())
    assert school.collect(export.close()) == 0
    folder = school.course.submitted / "ada" / "01_squares"
    assert {path.name for path in folder.iterdir()} == {"01_squares.ipynb", "timestamp.txt"}
    here = datetime(2026, 3, 1, 23, 59, 58).astimezone(UTC).replace(tzinfo=None)
    assert parse_utc((folder / "timestamp.txt").read_text()) == here
    directory = school.course.api().coursedir
    assert directory.get_existing_timestamp(str(folder)) == here
    assert (here - directory.get_existing_timestamp(str(folder.parents[1] / "bob/01_squares"))) == (
        datetime(2026, 3, 1, 0, 0, 1) - datetime(2026, 3, 1)
    )
    assert not [path for path in school.root.iterdir() if path.name.startswith(".")]


def test_told_by_its_cells(
    school: School, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    export.add("ada/My homework, final.ipynb", notebook("02_cubes"))
    export.add("bob/01_squares.ipynb", notebook("02_cubes"))
    export.add("cyd/Untitled.ipynb", notebook("other"))
    export.add("dan/01_squares.ipynb", notebook(ids="lost"))
    export.add("eve/essay.pdf", b"%PDF")
    assert school.collect(export.close()) == 1
    assert set(submitted(school)) == {"ada/02_cubes", "dan/01_squares"}
    assert refusals(school) == {
        "bob/01_squares.ipynb": "is named as 01_squares, but holds the exercises of 02_cubes",
        "cyd/Untitled.ipynb": "holds no exercise of the lecture",
        "eve/essay.pdf": "is no notebook",
    }
    (note,) = [row.why for row in rows(school) if row.student == "dan"]
    assert note == "told by its name only: its cells have lost their ids"
    out = capsys.readouterr().out
    assert "2 taken (new), 3 refused (not taken)" in out
    assert "holds the exercises of 02_cubes" in out


def test_only_the_assignment_asked_for(school: School, export: Export) -> None:
    for stem in STEMS:
        export.add(f"ada/{stem}.ipynb", notebook(stem))
    path = export.close()
    assert school.collect(path, "--assignment", "02") == 1
    assert set(submitted(school)) == {"ada/02_cubes"}
    assert refusals(school) == {"ada/01_squares.ipynb": "is 01_squares, asked for was 02_cubes"}
    assert school.collect(path) == 0
    assert [row.outcome for row in rows(school)] == ["taken", "unchanged"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"cells": [', "it is not valid JSON"),
        (b"", "the file is empty"),
        (b"[" * 100_000, "it is not valid JSON"),
        (b"\xff\xfe\x00", "it is not text in UTF-8"),
        (b'{"a": 1}', "it has no cells"),
    ],
)
def test_unreadable_is_taken_for_the_grader_to_report(
    school: School, export: Export, content: bytes, why: str
) -> None:
    export.add("ada/01_squares.ipynb", content)
    export.add("bob/work.ipynb", content)
    path = export.close()
    assert school.collect(path) == 1
    assert submitted(school) == {"ada/01_squares": content}
    assert why in next(row.why for row in rows(school) if row.student == "ada")
    assert "say what it is: --assignment" in refusals(school)["bob/work.ipynb"]
    assert school.collect(path, "--assignment", "01") == 0
    assert submitted(school) == {"ada/01_squares": content, "bob/01_squares": content}


def test_newest_of_several_counts(school: School, export: Export) -> None:
    export.add("ada/01_squares.ipynb", notebook(answer="1"), (2026, 1, 1, 0, 0, 0))
    export.add("ada/again.ipynb", notebook(answer="2"), (2026, 1, 3, 0, 0, 0))
    export.add("ada/01_squares (2).ipynb", notebook(answer="3"), (2026, 1, 2, 0, 0, 0))
    for number in (9, 10, 2):  # at the same time
        export.add(f"bob_1234_5678_01_squares-{number}.ipynb", notebook(answer=str(number)))
    assert school.collect(export.close()) == 0
    assert submitted(school) == {
        "ada/01_squares": notebook(answer="2"),
        "bob_1234/01_squares": notebook(answer="10"),
    }
    assert sorted(row.outcome for row in rows(school)) == ["older"] * 4 + ["taken"] * 2


def test_handed_in_again(school: School, tmp_path: Path) -> None:
    def hand_in(answer: str, day: int) -> list[str]:
        export = Export(tmp_path / f"{answer}.zip")
        export.add("ada/01_squares.ipynb", notebook(answer=answer), (2026, 1, day, 0, 0, 0))
        assert school.collect(export.close()) == 0
        (row,) = rows(school)
        return [row.outcome, row.why]

    assert hand_in("a", 2) == ["taken", ""]
    assert hand_in("a", 3) == ["unchanged", ""]
    assert hand_in("b", 4) == ["replaced", "grade it again"]
    assert hand_in("c", 3)[0] == "older"
    assert submitted(school) == {"ada/01_squares": notebook(answer="b")}


def test_two_students_of_one_name(school: School, export: Export) -> None:
    for number in (7, 8):
        export.add(f"Lee Kim_{number}_assignsubmission_file_/01_squares.ipynb", notebook())
    export.add("Lee Kim_99_assignsubmission_file_/02_cubes.ipynb", notebook("02_cubes"))
    export.add("a/homework/01_squares.ipynb", notebook(answer="1"))
    export.add("b/homework/01_squares.ipynb", notebook(answer="2"))
    assert school.collect(export.close()) == 1
    assert set(submitted(school)) == {
        "Lee_Kim_7/01_squares",
        "Lee_Kim_8/01_squares",
        "Lee_Kim/02_cubes",
    }
    assert set(refusals(school)) == {f"{s}/homework/01_squares.ipynb" for s in "ab"}
    assert set(refusals(school).values()) == {
        "2 places with this name of a student; tell them apart: --pattern"
    }


def test_own_pattern(school: School, export: Export, capsys: pytest.CaptureFixture[str]) -> None:
    export.add("hw-1/2026-01-02 s123 x.ipynb", notebook())
    export.add("hw-1/2026-01-03 s124 x.ipynb", b"broken")
    export.add("hw-1/other.ipynb", notebook())
    path = export.close()
    pattern = r"hw-(?P<assignment>\d)/(?P<time>[\d-]+) (?P<student>\w+)"
    assert school.collect(path, "--pattern", pattern.replace("hw-", "hw-(?#)")) == 1
    assert refusals(school)["hw-1/other.ipynb"] == "its path does not fit --pattern"
    assert set(submitted(school)) == {"s123/01_squares"}
    assert (school.course.submitted / "s123/01_squares/timestamp.txt").read_text()[:4] == "2026"
    for bad, said in [("(", "is no regular expression"), (r"(\w+)", "(?P<student>...)")]:
        assert school.collect(path, "--pattern", bad) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("lecture: --pattern") and said in line


LIST = (
    "id,last_name,first_name,email\ns1,Lovelace,Ada,\ns2,Hopper,Grace,\ns3,Lee,Kim,\ns4,Lee,Kim,\n"
)


def test_class_list_gives_the_ids(school: School, export: Export, tmp_path: Path) -> None:
    names = {
        f"{MOODLE}/01_squares.ipynb": "s1",
        "hoppergrace_12345_67890_01_squares.ipynb": "s2",
        "Lee_Kim_s3_4711/20261126103000_01_squares.ipynb": "s3",
        "Lee Kim_9_assignsubmission_file_/01_squares.ipynb": "",  # the name of two
        "s4/01_squares.ipynb": "s4",
        "Nobody_12_assignsubmission_file_/01_squares.ipynb": "",
    }
    for name in names:
        export.add(name, notebook())
    path = export.close()
    for text in (LIST, LIST.replace(",", ";")):
        (tmp_path / "class.csv").write_text(text, "utf-8-sig")
        assert school.collect(path, "--students", str(tmp_path / "class.csv")) == 1
        assert set(submitted(school)) == {f"{student}/01_squares" for student in names.values()} - {
            "/01_squares"
        }
        assert set(refusals(school)) == {name for name, student in names.items() if not student}
        assert "'Nobody' is not one student of class.csv" in refusals(school).values()


@pytest.mark.parametrize("text", [None, "", "name\nada", b"\xff\xfe"])
def test_class_list_that_is_none(
    school: School,
    export: Export,
    tmp_path: Path,
    text: str | bytes | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if text is not None:
        (tmp_path / "class.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    assert school.collect(export.close(), "--students", str(tmp_path / "class.csv")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lecture: ") and "class.csv" in line


def test_other_id_in_the_notebook_is_noted(school: School, export: Export) -> None:
    made = nbformat.reads(notebook().decode(), as_version=4)
    stated = nbformat.v4.new_code_cell('# Your id\nstudent_id = " S1 "', id="student-id")
    made.cells.insert(0, stated)
    for student in ("s1", "s2"):
        export.add(f"{student}/01_squares.ipynb", nbformat.writes(made).encode())
    assert school.collect(export.close()) == 0
    assert {row.student: row.why for row in rows(school)} == {"s1": "", "s2": "states the id 'S1'"}


def test_no_student_in_the_name(school: School, export: Export) -> None:
    export.add("01_squares.ipynb", notebook())
    export.add("work.ipynb", notebook())
    assert school.collect(export.close()) == 1
    assert set(refusals(school).values()) == {
        "no student in its path; say where the name stands: --pattern"
    }


def test_students_own_zip(school: School, export: Export) -> None:
    export.add(f"{MOODLE}/hw.zip", zipped(**{"01_squares__01_squares": notebook()}))
    export.add("bob/bob.zip", zipped(a=notebook("02_cubes"), **{".ipynb_checkpoints__a": b"x"}))
    export.add("cyd_01_squares.zip", zipped(work=notebook()))
    deep = Export(export.file.with_name("deep.zip"))
    deep.add("a.ipynb", notebook())
    deep.add("b.zip", zipped(a=notebook()))
    export.add("dan/deep.zip", deep.close().read_bytes())
    export.add("eve/empty.zip", zipped())
    export.add("fay/damaged.zip", zipped(a=notebook())[:-40])
    export.add("gus/01_squares.zip", b"Rar!\x1a\x07")
    assert school.collect(export.close()) == 1
    assert set(submitted(school)) == {
        "Lovelace_Ada/01_squares",
        "bob/02_cubes",
        "cyd/01_squares",
        "dan/01_squares",
    }
    why = refusals(school)
    assert why.pop("eve/empty.zip") == "holds no notebook"
    assert why.pop("fay/damaged.zip").startswith("is no zip that can be read")
    assert why.pop("gus/01_squares.zip").startswith("is no zip that can be read")
    assert why == {"dan/deep.zip/b.zip": "is a zip in a zip in a zip"}


def test_litter_is_passed_over(school: School, export: Export) -> None:
    export.add("ada/01_squares.ipynb", notebook())
    for name in (
        "__MACOSX/ada/._01_squares.ipynb",
        "ada/._01_squares.ipynb",
        "ada/.ipynb_checkpoints/01_squares-checkpoint.ipynb",
        "ada/.DS_Store",
        "ada/README.txt",
        "ada/",
    ):
        export.add(name, b"")
    assert school.collect(export.close()) == 0
    assert [row.file for row in rows(school)] == ["ada/01_squares.ipynb"]


LINK = {"external_attr": (stat.S_IFLNK | 0o777) << 16, "create_system": 3}
DEVICE = {"external_attr": (stat.S_IFCHR | 0o666) << 16, "create_system": 3}
HOSTILE: dict[str, tuple[str, bytes, dict[str, int], str]] = {
    "leads out": ("../../ada/01_squares.ipynb", notebook(), {}, "leads out of the zip"),
    "leads out inside": ("ada/../../01_squares.ipynb", notebook(), {}, "leads out of the zip"),
    "leads out, Windows": ("..\\..\\01_squares.ipynb", notebook(), {}, "leads out of the zip"),
    "absolute": ("/etc/01_squares.ipynb", notebook(), {}, "has an absolute path"),
    "drive": ("C:\\01_squares.ipynb", notebook(), {}, "has an absolute path"),
    "link": ("ada/01_squares.ipynb", b"/etc/passwd", LINK, "is a link"),
    "link from Windows": (
        "ada/01_squares.ipynb",
        b"/etc/passwd",
        LINK | {"create_system": 0},
        "is a link",
    ),
    "device": ("ada/01_squares.ipynb", b"", DEVICE, "is no plain file"),
    "bzip2": (
        "ada/01_squares.ipynb",
        notebook(),
        {"compress_type": zipfile.ZIP_BZIP2},
        "is packed in an unusual way",
    ),
    "large": ("ada/01_squares.ipynb", bytes(21 * 2**20), {}, "has more than 20 MB"),
    "large zip": ("ada/hw.zip", bytes(51 * 2**20), {}, "has more than 50 MB"),
}


# Whatever its size, a zip in a zip in a zip is refused.
@pytest.mark.parametrize(
    ("case", "level"),
    [
        (c, level)
        for c in HOSTILE
        for level in ("export", "own")
        if (c, level) != ("large zip", "own")
    ],
)
def test_hostile_member_is_refused_by_name_and_the_others_taken(
    school: School, export: Export, tmp_path: Path, case: str, level: str
) -> None:
    name, content, attributes, why = HOSTILE[case]
    export.add("bob/01_squares.ipynb", notebook())
    shown = name.replace("\\", "/")
    if level == "export":
        export.add(name, content, **attributes)
    else:
        own = Export(tmp_path / "own.zip")
        own.add(name, content, **attributes)
        own.add("fine/01_squares.ipynb", notebook())
        export.add("ada/own.zip", own.close().read_bytes())
        shown = f"ada/own.zip/{shown}"
    assert school.collect(export.close()) == 1
    assert refusals(school) == {shown: why}
    assert set(submitted(school)) == {"bob/01_squares"} | (
        {"ada/01_squares"} if level == "own" else set()
    )
    outside = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert outside <= {"course", "notebooks", "export.zip", "own.zip"}


def raw(entries: list[dict[str, object]]) -> bytes:
    """A zip, byte by byte: its headers say what they are told to (APPNOTE.TXT, 4.3)."""
    body, table = bytearray(), bytearray()
    for entry in entries:
        name, content = entry["name"], entry["content"]
        packed = zipfile.zlib.compressobj(9, zipfile.zlib.DEFLATED, -15)
        data = packed.compress(content) + packed.flush()
        method, flags = entry.get("method", 8), entry.get("flags", 0)
        data = entry.get("data", data)
        crc = zipfile.crc32(content) if entry.get("crc", True) else 1
        size = entry.get("size", len(content))
        start = entry.get("start", len(body))
        common = struct.pack(
            "<HHHHHLLLHH", 20, flags, method, 0, 0x5821, crc, len(data), size, len(name), 0
        )
        table += b"PK\1\2" + struct.pack("<H", 20) + common
        table += struct.pack("<HHHLL", 0, 0, 0, 0, start) + name
        body += b"PK\3\4" + common + name + data
    end = struct.pack("<HHHHLLH", 0, 0, len(entries), len(entries), len(table), len(body), 0)
    return bytes(body + table) + b"PK\5\6" + end


FINE = {"name": b"bob/01_squares.ipynb", "content": notebook()}
CORRUPT: dict[str, tuple[dict[str, object], str, str]] = {
    "encrypted": (
        {"name": b"ada/01_squares.ipynb", "content": notebook(), "flags": 1},
        "ada/01_squares.ipynb",
        "is encrypted",
    ),
    "size is a lie": (  # 30 MB that say they were 1 kB
        {"name": b"ada/01_squares.ipynb", "content": bytes(30 * 2**20), "size": 1000},
        "ada/01_squares.ipynb",
        "cannot be unpacked",
    ),
    "size is a lie the other way": (
        {"name": b"ada/01_squares.ipynb", "content": notebook(), "size": 2**32 - 2},
        "ada/01_squares.ipynb",
        "has more than 20 MB",
    ),
    "checksum": (
        {"name": b"ada/01_squares.ipynb", "content": notebook(), "crc": False},
        "ada/01_squares.ipynb",
        "cannot be unpacked (Bad CRC-32",
    ),
    "no deflate": (
        {"name": b"ada/01_squares.ipynb", "content": notebook(), "data": b"\xff" * 50},
        "ada/01_squares.ipynb",
        "cannot be unpacked",
    ),
    "unknown method": (
        {"name": b"ada/01_squares.ipynb", "content": notebook(), "method": 99},
        "ada/01_squares.ipynb",
        "is packed in an unusual way",
    ),
    "bzip2 bomb": (
        {
            "name": b"ada/01_squares.ipynb",
            "content": b"",
            "data": bz2.compress(bytes(2**26)),
            "size": 1000,
            "method": 12,
        },
        "ada/01_squares.ipynb",
        "is packed in an unusual way",
    ),
    "zero byte": (
        {"name": b"ada/01_squares.ipynb\0.png", "content": notebook()},
        "ada/01_squares.ipynb\N{REPLACEMENT CHARACTER}.png",
        "has a zero byte in its name",
    ),
    "no header where it should be": (
        {"name": b"ada/01_squares.ipynb", "content": notebook(), "start": 2**31},
        "ada/01_squares.ipynb",
        "cannot be unpacked",
    ),
    "header of another": (
        {"name": b"ada/01_squares.ipynb", "content": notebook(), "start": 0},
        "ada/01_squares.ipynb",
        "cannot be unpacked",
    ),
}


@pytest.mark.parametrize("case", CORRUPT)
def test_corrupt_member_is_refused_by_name(school: School, tmp_path: Path, case: str) -> None:
    entry, name, why = CORRUPT[case]
    file = tmp_path / "export.zip"
    file.write_bytes(raw([FINE, entry]))
    assert school.collect(file) == 1
    assert set(submitted(school)) == {"bob/01_squares"}
    (refused,) = refusals(school).items()
    assert refused[0] == name
    assert refused[1].startswith(why)


@pytest.mark.parametrize(
    ("name", "flags", "student"),
    [
        ("Zoë/01_squares.ipynb".encode(), 0x800, "Zoë"),
        ("Zoë/01_squares.ipynb".encode(), 0, "Zoë"),  # as macOS writes it
        ("Zoë/01_squares.ipynb".encode("cp437"), 0, "Zoë"),  # as the format says
    ],
)
def test_odd_encodings_lose_nobody(
    school: School, tmp_path: Path, name: bytes, flags: int, student: str
) -> None:
    file = tmp_path / "export.zip"
    file.write_bytes(raw([FINE, {"name": name, "content": notebook(), "flags": flags}]))
    assert school.collect(file) == 0
    assert set(submitted(school)) == {"bob/01_squares", f"{student}/01_squares"}


def test_name_in_no_encoding_is_refused(school: School, tmp_path: Path) -> None:
    name = "Zoë/01_squares.ipynb".encode("latin-1")
    file = tmp_path / "export.zip"
    file.write_bytes(raw([FINE, {"name": name, "content": notebook(), "flags": 0x800}]))
    assert school.collect(file) == 1
    assert set(submitted(school)) == {"bob/01_squares"}
    ((name, why),) = refusals(school).items()
    assert name.endswith("/01_squares.ipynb") and "codec can't decode" in why


def test_name_that_stands_twice(school: School, export: Export) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        for answer in ("first", "last"):
            export.add("ada/01_squares.ipynb", notebook(answer=answer))
    assert school.collect(export.close()) == 1
    assert submitted(school) == {"ada/01_squares": notebook(answer="last")}
    assert refusals(school) == {
        "ada/01_squares.ipynb": "stands twice in the zip: the last one counts"
    }


def test_bomb_of_many_members(
    school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is small enough, together they are not: the smallest are taken."""
    monkeypatch.setattr(archives, "FREE", {"export": 3 * 2**20, "own": 2 * 2**20})
    monkeypatch.setattr(archives, "RATIO", 1)
    large = [{"name": b"%d/01_squares.ipynb" % i, "content": bytes(2**20)} for i in range(8)]
    own = {"name": b"ada/own.zip", "content": raw([FINE, *large])}
    file = tmp_path / "export.zip"
    file.write_bytes(raw([*large, FINE, own]))
    assert school.collect(file) == 1
    assert {"bob/01_squares", "ada/01_squares"} <= set(submitted(school))
    why = refusals(school)
    assert why["7/01_squares.ipynb"] == "the zip unpacks to more than 3 MB"
    assert why["ada/own.zip/7/01_squares.ipynb"] == "the zip unpacks to more than 2 MB"


def test_more_files_than_a_class_has(
    school: School, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST", {"export": 3, "own": 2})
    export.add("ada/01_squares.ipynb", notebook())
    export.add("bob/own.zip", zipped(a=notebook(), b=b"1" * 5000, c=b"1" * 5000, d=b"1" * 5000))
    for number in range(4):
        export.add(f"late/{number}.ipynb", b"1" * 9000)
    assert school.collect(export.close()) == 1
    assert {"ada/01_squares", "bob/01_squares"} <= set(submitted(school))
    why = refusals(school)
    assert why["the zip"] == "holds 3 more than the 3 files that are read"
    assert why["bob/own.zip"] == "holds 2 more than the 2 files that are read"


def test_table_of_contents_of_any_size_is_not_read(school: School, tmp_path: Path) -> None:
    many = [{"name": b"%06d" % i + b"x" * 100, "content": b""} for i in range(60_000)]
    file = tmp_path / "export.zip"
    inner = raw(many)
    assert len(inner) < archives.LARGEST_ZIP
    export = Export(file)
    export.add("ada/many.zip", inner)
    export.add("bob/01_squares.ipynb", notebook())
    export.close()
    assert school.collect(file) == 1
    assert set(submitted(school)) == {"bob/01_squares"}
    assert refusals(school) == {"ada/many.zip": "has too many files"}


def test_folder_with_links_and_pipes(school: School, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(notebook())
    folder = tmp_path / "folder"
    for student in ("ada", "bob", "cyd", "dan"):
        (folder / student).mkdir(parents=True)
    (folder / "ada/01_squares.ipynb").symlink_to(secret)
    (folder / "bob/link").symlink_to(tmp_path)
    os.mkfifo(folder / "cyd/01_squares.ipynb")
    (folder / "dan/01_squares.ipynb").write_bytes(notebook())
    (folder / "dan/large.ipynb").write_bytes(bytes(21 * 2**20))
    assert school.collect(folder) == 1
    assert set(submitted(school)) == {"dan/01_squares"}
    assert refusals(school) == {
        "ada/01_squares.ipynb": "is a link",
        "bob/link": "is a link",
        "cyd/01_squares.ipynb": "is no plain file",
        "dan/large.ipynb": "has more than 20 MB",
    }


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b"hello"), "is no zip that can be read"),
        (lambda path: path.mkdir(), "holds no notebook"),
        (lambda path: path.write_bytes(raw([])), "holds no notebook"),
    ],
)
def test_path_that_is_no_export(
    school: School,
    tmp_path: Path,
    make: Callable[[Path], object],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / "export")
    assert school.collect(tmp_path / "export") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lecture: ") and said in line


def test_strange_names_are_shown_harmless(
    school: School, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    export.add("=cmd|x/\x1b[2J\u202e.png", b"")
    export.add(f"{'long/' * 30}a.png", b"")
    export.add("ada/01_squares.ipynb", notebook())
    assert school.collect(export.close()) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out
    assert all(len(line) < 200 for line in out.splitlines()[:-1])
    text = (school.root / "collected.csv").read_text("utf-8-sig")
    assert "\n'=cmd" in text.replace("refused,,,", "\n") and "\x1b" not in text
    assert f"{'long/' * 30}a.png" in text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_id_is_safe(text: str) -> None:
    made = safe_id(text)
    assert made == safe_id(made)
    assert made == unicodedata.normalize("NFC", made)
    assert len(made) <= LONGEST and len(made.encode()) <= 2 * LONGEST
    assert not set(made) & set("/\\:*?[]<>|\"',+ \0\n") and made.isprintable()
    assert not made.startswith((".", "-", "_", "@")) and not made.endswith((".", "_"))


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=60))
def test_moodles_name_is_the_id(name: str) -> None:
    for path in (f"{name}_7_assignsubmission_file_/a.ipynb", f"{name}_7_assignsubmission_file_a"):
        found = sender(path, "01_squares", False)
        assert (found.student if found else "") == safe_id(name)


def test_long_ids_stay_apart() -> None:
    one, other = (safe_id("x" * 100 + end) for end in "ab")
    assert one != other and len(one) <= LONGEST


def test_table_says_it_all() -> None:
    shown = table(
        [
            Row("taken", "ada", "01_squares", "ada/a.ipynb", "", ""),
            Row("refused", "", "", "b.ipynb", "", "is a link"),
        ]
    )
    assert shown.splitlines()[1].split() == ["taken", "ada", "01_squares", "ada/a.ipynb"]
    assert shown.splitlines()[2].split() == ["refused", "b.ipynb", "is", "a", "link"]
    assert shown.splitlines()[-1] == "1 taken (new), 1 refused (not taken)"
    assert report.plain("a\tb") == "a\N{REPLACEMENT CHARACTER}b"
    assert collect.recognise(json.dumps({"cells": []}).encode(), {"01": {"x"}}) == ("", "", "")
