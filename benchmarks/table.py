"""The one way the benchmarks print: a Markdown table, with the machine above it."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `lecture` sets it; kernels inherit it

import torch


def show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print date, machine and versions, then the table."""
    now = datetime.now(UTC)
    print(
        f"{now:%Y-%m-%d}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}\n"
    )
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for k, row in enumerate([head, *rows]):
        print("| " + " | ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)) + " |")
        if k == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")
