"""What lies in a folder or a zip of submissions, read without trusting it.

Nothing is unpacked to the disk: each file comes as bytes, or with the reason why it is refused. A
member that is refused costs the others nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from .course import HomeworkError
from .submission import LARGEST

MB = 2**20
LARGEST_ZIP = 50 * MB
"""Bytes of a student's own zip: a notebook of the largest kind and some pictures. It is held in
memory."""
FREE = {"export": 1024 * MB, "own": 100 * MB}
"""Bytes that a zip may unpack to, whatever its size: a platform's export of a class (500 notebooks
of 2 MB), a student's own zip."""
RATIO = 100
"""An export may unpack to this many times its size, too: text packs to a tenth, pictures hardly,
and only repetition to less than a hundredth."""
TOTAL = 10 * 1024 * MB
"""Bytes that an export may unpack to in any case: 500 notebooks of the largest kind."""
MOST = {"export": 20_000, "own": 1_000}
"""Files in an export (500 students, 40 files each), in a student's own zip."""
DIRECTORY = 8 * MB
"""Bytes of a zip's table of contents, for 20,000 files of long names. It is read at once."""
PACKINGS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The others unpack a block at once, however large it becomes."""
CHUNK = 2**16

NOTEBOOK = re.compile(r"\.ipynb(\.json|\.txt)?$", re.IGNORECASE)  # browsers add an ending
# What systems and programs leave behind, and the text we give out ourselves.
LITTER = re.compile(
    r"(^|/)(__MACOSX|\.ipynb_checkpoints|\.git|__pycache__)/"
    r"|(^|/)(\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini|README\.txt)$",
    re.IGNORECASE,
)
UTF8_NAME = 0x800


class Refused(Exception):
    """Why a file is not taken."""


@dataclass
class Entry:
    """A file of an export. `content` is None when there is a `problem`."""

    name: str
    """Its path in the export, with '/'."""
    inner: str
    """Its path in the student's own zip `name`, or ''."""
    time: datetime
    """When it was last changed, in UTC. A zip has no time zone: it is taken as this machine's."""
    content: bytes | None
    problem: str = ""

    @property
    def path(self) -> str:
        """The whole path."""
        return f"{self.name}/{self.inner}" if self.inner else self.name


class Allowance:
    """The bytes that may still be unpacked."""

    def __init__(self, size: int) -> None:
        self.size = self.left = size

    def spend(self, size: int) -> None:
        """Count `size` bytes. Raises Refused when there were too many."""
        self.left -= size
        if self.left < 0:
            raise Refused(f"the zip unpacks to more than {self.size // MB} MB")


def entries(path: Path) -> Iterator[Entry]:
    """Every notebook of a folder or a zip, also in zips inside it, and what else needs a word.

    Raises HomeworkError if `path` is neither.
    """
    if path.is_dir():
        yield from _folder(path)
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise HomeworkError(f"{path}: {error.strerror}.") from error
    with file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise HomeworkError(f"{path} is neither a folder nor a zip.")
        free = min(TOTAL, max(FREE["export"], RATIO * about.st_size))
        try:
            archive = _open(file)
        except Refused as problem:
            raise HomeworkError(f"{path}: {problem}. Get the export again.") from problem
        yield from _members(archive, "export", "", _utc(about.st_mtime), Allowance(free))


def _folder(root: Path) -> Iterator[Entry]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*files, *(f for f in folders if os.path.islink(Path(folder, f)))]):
            file = Path(folder, name)
            about = file.lstat()
            entry = Entry(file.relative_to(root).as_posix(), "", _utc(about.st_mtime), None)
            try:
                if stat.S_ISLNK(about.st_mode):
                    raise Refused("is a link")
                if not stat.S_ISREG(about.st_mode):
                    raise Refused("is no plain file")
                if LITTER.search(entry.name):
                    continue
                limit = _limit(entry.name, "export")
                if about.st_size > limit:
                    raise Refused(f"has more than {limit // MB} MB")
                entry.content = file.read_bytes()
            except (Refused, OSError) as problem:
                entry.problem = getattr(problem, "strerror", None) or str(problem)
            yield from _unfolded(entry)


def _unfolded(entry: Entry) -> Iterator[Entry]:
    """The entry itself; or, if it is a zip, what lies in it."""
    if entry.content is None or not entry.name.lower().endswith(".zip"):
        yield entry
        return
    content, entry.content = entry.content, None
    try:
        archive = _open(io.BytesIO(content))
    except Refused as problem:
        entry.problem = str(problem)
        yield entry
        return
    found = False
    for inner in _members(archive, "own", entry.name, entry.time, Allowance(FREE["own"])):
        found = True
        yield inner
    if not found:
        entry.problem = "holds no notebook"
        yield entry


class _File:
    """A zip's file while zipfile reads its table of contents.

    zipfile gives up a whole archive for one name that is not the UTF-8 it says to be. So that mark
    is taken away and kept in `utf8`; `_open` sees to the names. And zipfile reads the table at
    once, in one call, of whatever size.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close
        self.opening = True
        self.utf8: list[bool] = []

    def seekable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Bytes of the file."""
        if not self.opening:
            return self.file.read(size)
        if size > DIRECTORY:
            raise Refused("has too many files")
        data = bytearray(self.file.read(size))
        at = 0
        while data[at : at + 4] == b"PK\1\2" and at + 46 <= len(data):
            self.utf8.append(bool(data[at + 9] & UTF8_NAME >> 8))
            data[at + 9] &= ~(UTF8_NAME >> 8) & 0xFF
            at += 46 + sum(struct.unpack_from("<HHH", data, at + 28))
        return bytes(data)


def _open(file: BinaryIO) -> zipfile.ZipFile:
    """A zip, with its table of contents read. Raises Refused."""
    reader = _File(file)
    try:
        archive = zipfile.ZipFile(reader)
    except Refused:
        raise
    except Exception as error:  # zipfile answers damage with many kinds
        raise Refused(f"is no zip that can be read ({error})") from error
    reader.opening = False
    for info, utf8 in zip(archive.infolist(), reader.utf8, strict=True):
        raw = info.orig_filename.encode("cp437")
        with contextlib.suppress(UnicodeDecodeError):
            # Some programs write UTF-8 and do not say so.
            info.filename = raw.decode("utf-8")
            if utf8:  # zipfile compares this one with what stands before the member
                info.orig_filename = info.filename
    return archive


def _name(info: zipfile.ZipInfo) -> str:
    """The member's path as it stands in the zip, zero bytes and all."""
    return info.filename.replace("\\", "/")  # as some programs for Windows write it


def _unsafe(info: zipfile.ZipInfo, name: str) -> str:
    """Why a member is not to be touched, whatever it holds; or ''."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if "\0" in name:
        return "has a zero byte in its name"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in name.split("/"):
        return "leads out of the zip"
    if kind == stat.S_IFLNK:
        return "is a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is no plain file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in PACKINGS:
        return "is packed in an unusual way"
    return ""


def _limit(name: str, level: str) -> int:
    """Bytes that a file of this name may have. Raises Refused for what is not to be read."""
    if NOTEBOOK.search(name):
        return LARGEST
    if not name.lower().endswith(".zip"):
        raise Refused("is no notebook")
    if level == "own":
        raise Refused("is a zip in a zip in a zip")
    return LARGEST_ZIP


def _members(
    archive: zipfile.ZipFile, level: str, outer: str, time: datetime, allowance: Allowance
) -> Iterator[Entry]:
    """The files of a zip: the smallest first, so that who exhausts the allowance loses his own."""
    members = [(_name(info), info) for info in archive.infolist()]
    last = dict(members)
    members.sort(key=lambda member: member[1].file_size)
    for place, (name, info) in enumerate(members):
        if place == MOST[level]:
            more = f"{len(members) - place} more than the {place} files that are read"
            yield Entry(outer or "the zip", "", time, None, f"holds {more}")
            return
        entry = Entry(outer or name, name if outer else "", _changed(info, time), None)
        try:
            if name.endswith("/"):
                continue
            if problem := _unsafe(info, name):
                raise Refused(problem)
            if LITTER.search(name):
                continue
            if level == "own" and not NOTEBOOK.search(name) and not name.lower().endswith(".zip"):
                continue  # a student's own zip may hold what he likes
            limit = _limit(name, level)
            if last[name] is not info:
                raise Refused("stands twice in the zip: the last one counts")
            entry.content = _read(archive, info, limit, allowance)
        except Refused as problem:
            entry.problem = str(problem)
        yield from _unfolded(entry) if level == "export" else [entry]


def _read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int, allowance: Allowance
) -> bytes:
    """A member's bytes, counted as they come. Raises Refused."""
    too_large = Refused(f"has more than {limit // MB} MB")
    if info.file_size > limit:
        raise too_large  # by its own word; whether a smaller word is true is seen below
    parts, size = [], 0
    try:
        with archive.open(info) as member:
            while part := member.read(CHUNK):
                size += len(part)
                if size > limit:
                    raise too_large
                allowance.spend(len(part))
                parts.append(part)
    except Refused:
        raise
    except Exception as error:  # zipfile and zlib answer damage with many kinds
        raise Refused(f"cannot be unpacked ({error})") from error
    return b"".join(parts)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _changed(info: zipfile.ZipInfo, otherwise: datetime) -> datetime:
    """A member's time. `otherwise` where there is none: many programs then write 1980."""
    try:
        time = datetime(*info.date_time).astimezone(UTC)
    except (ValueError, OverflowError):
        return otherwise
    return time if time.year > 1980 else otherwise
