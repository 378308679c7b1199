"""Time and peak memory of each notebook, run top to bottom in a kernel of its own.

python benchmarks/notebooks.py [01 04]
"""

import argparse
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from table import show

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PEAK = """
import resource, sys
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("PEAK", peak / (2**20 if sys.platform == "darwin" else 2**10))
"""


def run(path: Path) -> tuple[float, float]:
    """(seconds from starting the kernel to the last cell, peak resident MB of the kernel)."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.id == "student-id":
            cell.source = 'student_id = "benchmark"'
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as elsewhere:
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=elsewhere)
    seconds = time.perf_counter() - begin
    return seconds, float(notebook.cells[-1].outputs[0].text.split()[1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", help="01, 04, ... (default: all)")
    wanted = tuple(parser.parse_args().sections) or ("",)
    rows = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if path.name.startswith(wanted):
            seconds, peak = run(path)
            rows.append([path.stem, f"{seconds:.1f}", f"{peak:.0f}"])
    show(["notebook", "seconds", "peak MB"], rows)


if __name__ == "__main__":
    main()
