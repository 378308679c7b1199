"""Make the students' notebooks: solutions and hidden tests taken out, everything else as taught.

    python homework/release.py            all notebooks with exercises -> homework/release/
    python homework/release.py 01 04      these only

The notebooks stay plain: a student needs JupyterLab and lecture_utils, not nbgrader.
"""

import argparse
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ClearSolutions, LockCells

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "notebooks"


def exercises(notebook: NotebookNode) -> dict[str, int]:
    """Points of each test cell by its id."""
    marks = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
    return {m["grade_id"]: m["points"] for m in marks if m.get("grade")}


def student_version(notebook: NotebookNode) -> NotebookNode:
    """A copy of ``notebook`` with every solution replaced by ``raise NotImplementedError()``.

    Raises ``ValueError`` if a marker would be left in the copy (a misspelt one is not removed).
    """
    copy = nbformat.from_dict(notebook)
    for step in (ClearOutput(), LockCells(), ClearSolutions(), ClearHiddenTests()):
        copy, _ = step.preprocess(copy, {})
    for cell in copy.cells:
        for word in ("SOLUTION", "HIDDEN TEST"):
            if word in cell.source.upper() and "###" in cell.source:
                raise ValueError(f"cell {cell.id}: a marker with {word!r} is left in the release")
    return copy


def main() -> None:
    """Write the release; one line a notebook."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", help="01, 04, ... (default: all with exercises)")
    wanted = tuple(parser.parse_args().sections) or ("",)
    target = HERE / "release"
    target.mkdir(exist_ok=True)
    found = [p for p in sorted(NOTEBOOKS.glob("*.ipynb")) if p.name.startswith(wanted)]
    if not found:
        sys.exit(f"No notebook starts with {' or '.join(wanted)} in {NOTEBOOKS}.")
    for path in found:
        notebook = nbformat.read(path, as_version=4)
        points = exercises(notebook)
        if points:
            nbformat.write(student_version(notebook), target / path.name)
            print(f"{target / path.name}: {len(points)} exercises, {sum(points.values())} points")


if __name__ == "__main__":
    main()
