"""Tables for the screen and for spreadsheets, made of text that strangers wrote."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path


def plain(text: str) -> str:
    """`text` in one line without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """The rows as lines whose columns stand under each other; the last one is left ragged.

    `right`: the columns of numbers.
    """
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def write_csv(file: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write `rows` in one step, in UTF-8 with the mark that spreadsheets look for."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        cells = [plain(cell) for cell in row]
        # A spreadsheet would run a cell that starts like a formula.
        writer.writerow([f"'{cell}" if cell[:1] in tuple("=+-@") else cell for cell in cells])
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}-{os.getpid()}")
    scratch.write_text(text.getvalue(), "utf-8-sig", newline="")
    os.replace(scratch, file)
