"""The rules of the house: style, clean notebooks, nothing local, no dead links."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from panels import sources

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODULES = sorted((ROOT / "lecture_utils").rglob("*.py"))
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "homework/README.md")]
SETUP_LINES = 3
EXTENSIONS = {".css", ".js", ".json", ".py"}

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    """The notebook's code cells, in order."""
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def slug(heading: str) -> str:
    """GitHub's anchor for a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(text: str, folder: Path) -> list[str]:
    """The relative links and pictures of a Markdown text in `folder` that lead nowhere."""
    headings = {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", prose)
    broken = []
    for target in (markdown or html for markdown, html in links):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        if (file and not (folder / file).exists()) or (not file and anchor not in headings):
            broken.append(target)
    return broken


def strays(text: str) -> list[str]:
    """Traces of one machine in a text: absolute paths of a home or scratch folder."""
    return re.findall(r"(?:/home/|/Users/|/root/|/tmp/|[A-Z]:\\\\?Users)\S*", text)


def fetches(source: str) -> list[str]:
    """Addresses in code other than this machine's. Links in comments and docstrings are prose."""
    tree = ast.parse(source)
    prose = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            prose.add(node.value)
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose
    ]
    return [s for s in strings if re.search(r"https?://(?!127\.0\.0\.1|localhost)", s)]


def python_of(cell: nbformat.NotebookNode) -> str:
    """A cell's source with IPython's line commands taken out."""
    return re.sub(r"^\s*[%!].*$", "", cell.source, flags=re.MULTILINE)


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_ruff(check: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *check, "."], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"00_start", "01_perceptron", "04_cnn"}


@every_notebook
def test_notebook_is_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata, "saved widget state: run nbstripout --keep-id"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    used = [c.id for c in notebook.cells if c.get("outputs") or c.get("execution_count")]
    assert not used, f"outputs in {used}: run nbstripout --keep-id"


@every_notebook
def test_set_up_is_short(path: Path) -> None:
    first = code_cells(path)[0].source
    lines = [line for line in first.splitlines() if line.strip()]
    assert len(lines) <= SETUP_LINES
    assert "import" in first


@every_notebook
def test_notebook_has_its_demos_and_its_tests(path: Path) -> None:
    name = path.stem.split("_", 1)[1]
    assert (ROOT / "lecture_utils" / "demos" / f"{name}.py").is_file()
    assert (ROOT / "tests" / f"test_{name}.py").is_file()


@every_notebook
def test_notebook_is_of_no_one_machine(path: Path) -> None:
    for cell in code_cells(path):
        assert not strays(cell.source), cell.id
        assert not fetches(python_of(cell)), cell.id


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_of_no_one_machine(path: Path) -> None:
    source = path.read_text("utf-8")
    assert not strays(source)
    assert not fetches(source)


def test_what_the_browser_gets_is_local() -> None:
    shipped = [p for p in (ROOT / "lecture_utils").rglob("*") if p.suffix in EXTENSIONS - {".py"}]
    assert shipped
    for path in shipped:
        text = path.read_text("utf-8")
        assert not strays(text), path
        # A name space is a name, nothing is loaded from it.
        addresses = re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+", text)
        assert not [a for a in addresses if "www.w3.org" not in a], path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_of_the_pages_resolve(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not broken_links(text, path.parent)
    assert not strays(text)


@every_notebook
def test_links_of_the_notebook_resolve(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert not broken_links(text, path.parent)
    assert not strays(text)


@pytest.mark.parametrize("stem", ["01_perceptron", "03_backprop"])
def test_the_videos_are_links(stem: str) -> None:
    title = sources(stem)["title"]
    for chapter, name in enumerate(
        ("neural-networks", "gradient-descent", "backpropagation", "backpropagation-calculus"), 1
    ):
        link = f"[{chapter}, "
        assert link in title and f"](https://www.3blue1brown.com/lessons/{name})" in title
    assert "<iframe" not in title and "![" not in title, "a link only: no network in class"


def test_example_panel_of_the_guide_works() -> None:
    from lecture_utils import LiveFigure, Panel, slider, style

    names = {"np": np, "LiveFigure": LiveFigure, "Panel": Panel, "slider": slider, "style": style}
    (example,) = re.findall(r"```python\n(.*?)```", PAGES[1].read_text("utf-8"), re.DOTALL)
    exec(example, names)
    panel = names["line"](lambda x, slope: slope * x)
    panel.controls["slope"].value = 0.2
    assert panel.message == "At 1 the line is at 0.2."
    panel.apply("fails: flat")
    assert "It ignores x." in panel.shown


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("urlopen('https://example.org/x.js')", ["https://example.org/x.js"]),
        ("url = f'https://example.org/{name}'", ["https://example.org/"]),
        ("url = f'http://127.0.0.1:{port}'", []),
        ("'''See https://example.org.'''\nx = 1  # https://example.org", []),
    ],
)
def test_fetches_are_found(source: str, expected: list[str]) -> None:
    assert fetches(source) == expected


def test_broken_links_are_found() -> None:
    text = "# One two\n[a](#one-two) [b](#three) [c](no.md) ![d](https://x.y/z.png) `[e](no)`"
    assert broken_links(text, ROOT) == ["#three", "no.md"]


def test_strays_are_found() -> None:
    assert strays("open('/home/me/x.csv') and '/usr/bin/env'") == ["/home/me/x.csv')"]
