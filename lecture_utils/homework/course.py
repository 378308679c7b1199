"""Where a course's homework lies: folders, gradebook, and the same settings for nbgrader.

`homework/nbgrader_config.py` calls `Course.config`, so that nbgrader's own commands and its
formgrader work on what `lecture homework` made.
"""

from __future__ import annotations

import json
import logging
import os
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli import CHECKOUT, LectureError, in_checkout, shipped_notebooks

if TYPE_CHECKING:
    from nbgrader.api import Gradebook
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config

COURSE_ID = "deep-learning-lecture"
"""nbgrader's name of the course. Not its default, '': for that name it makes no row in the
gradebook, which PostgreSQL then refuses to refer to."""
BUSY_SECONDS = 60
"""How long SQLite waits for another process that writes. Its default, 5 s, fails under load with
"database is locked"."""


class HomeworkError(LectureError):
    """What was wrong with the homework and what to do, in one line."""


@dataclass(frozen=True)
class Course:
    """One course's folder and the address of its gradebook (an SQLAlchemy URL)."""

    root: Path
    db_url: str

    @classmethod
    def find(cls, root: str | Path | None = None, db: str | None = None) -> Course:
        """The course that is meant.

        The folder: `root`, else `LECTURE_COURSE`, else `homework/` of the clone, else of the
        working directory. The gradebook: `db`, else `LECTURE_GRADEBOOK`, else `gradebook.db` in
        the folder. Makes neither. Raises HomeworkError for a folder or an address that nbgrader
        cannot take.
        """
        root = root or os.environ.get("LECTURE_COURSE")
        if not root:
            root = CHECKOUT / "homework" if in_checkout() else "homework"
        root = Path(root).expanduser().resolve()
        if set("*?[") & set(str(root)):
            # nbgrader finds its files with patterns, and the address of SQLite ends at a '?'.
            raise HomeworkError(f"{root} has one of * ? [ in its name. Choose another: --course.")
        db = (
            db or os.environ.get("LECTURE_GRADEBOOK") or f"sqlite:///{root.as_posix()}/gradebook.db"
        )
        if "://" not in db:
            raise HomeworkError(
                f"'{db}' is no address of a gradebook. "
                "Give one such as sqlite:///gradebook.db or postgresql://user@host/grades."
            )
        if db.startswith("sqlite") and "timeout=" not in db:
            db += f"{'&' if '?' in db else '?'}timeout={BUSY_SECONDS}"
        return cls(root, db)

    @property
    def source(self) -> Path:
        """The notebooks as taught, with solutions and hidden tests."""
        return self.root / "source"

    @property
    def release(self) -> Path:
        """What students get."""
        return self.root / "release"

    @property
    def submitted(self) -> Path:
        """What students handed in: `<student>/<stem>/<stem>.ipynb`."""
        return self.root / "submitted"

    @property
    def autograded(self) -> Path:
        """Submissions as they ran."""
        return self.root / "autograded"

    @property
    def feedback(self) -> Path:
        """What students get back."""
        return self.root / "feedback"

    @property
    def results(self) -> Path:
        """One JSON per submission: what grading it came to."""
        return self.root / "results"

    def config(self) -> Config:
        """nbgrader's settings for this course."""
        from traitlets.config import Config

        _let_nbgrader_find_alembic()
        config = Config()
        config.CourseDirectory.root = str(self.root)
        config.CourseDirectory.db_url = self.db_url
        config.CourseDirectory.course_id = COURSE_ID
        for step in ("source", "release", "submitted", "autograded", "feedback"):
            folder = getattr(self, step).relative_to(self.root)
            config.CourseDirectory[f"{step}_directory"] = str(folder)
        # What students wrote is shown in pages: nothing in it may run there.
        config.HTMLExporter.sanitize_html = True
        config.GenerateFeedback.preprocessors = [
            "nbgrader.preprocessors.ClearHiddenTests",
            "nbgrader.preprocessors.GetGrades",
            "lecture_utils.homework.feedback.StudentPage",
            "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
        ]
        return config

    def api(self) -> NbGraderAPI:
        """nbgrader's own interface. What it logs is in the answers it gives, not on the screen."""
        from nbgrader.apps.api import NbGraderAPI

        log = logging.getLogger("lecture.homework")
        log.addHandler(logging.NullHandler())
        log.propagate = False
        self.root.mkdir(parents=True, exist_ok=True)
        return NbGraderAPI(config=self.config(), log=log)

    @contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """nbgrader's gradebook, open as long as the `with` lasts; made if there is none."""
        from nbgrader.api import Gradebook
        from sqlalchemy.exc import SAWarning

        _let_nbgrader_find_alembic()
        self.root.mkdir(parents=True, exist_ok=True)
        with Gradebook(self.db_url, COURSE_ID) as gradebook, warnings.catch_warnings():
            # nbgrader 0.9.6 makes rows in an order that SQLAlchemy 2 remarks upon.
            warnings.filterwarnings("ignore", message="Object of type", category=SAWarning)
            yield gradebook

    def notebook(self, stem: str) -> Path:
        """The lecture's notebook of an assignment."""
        return shipped_notebooks() / f"{stem}.ipynb"

    def assignments(self, wanted: list[str] | None = None) -> list[str]:
        """Names of the assignments that start with one of `wanted` (default: all), in order.

        An assignment is a notebook with graded cells, such as "01_perceptron". Raises
        HomeworkError if one of `wanted` fits none.
        """
        there = [
            path.stem for path in sorted(shipped_notebooks().glob("*.ipynb")) if _is_graded(path)
        ]
        starts = [text.removesuffix(".ipynb") for text in wanted or [""]]
        for start in starts:
            if not any(stem.startswith(start) for stem in there):
                choices = ", ".join(there) or f"none: there are none in {shipped_notebooks()}"
                raise HomeworkError(f"'{start}' is no assignment. Choose one of {choices}.")
        return [stem for stem in there if stem.startswith(tuple(starts))]


def _let_nbgrader_find_alembic() -> None:
    """Put this Python's commands on the PATH.

    nbgrader runs `alembic` by name when it makes a gradebook, which fails half-way where the
    environment is not activated.
    """
    scripts = sysconfig.get_path("scripts")
    path = os.environ.get("PATH", os.defpath)
    if path.split(os.pathsep)[0] != scripts:
        os.environ["PATH"] = os.pathsep.join([scripts, path])


def _is_graded(path: Path) -> bool:
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
        return any(cell["metadata"].get("nbgrader", {}).get("grade") for cell in cells)
    except (ValueError, LookupError, TypeError) as error:
        raise HomeworkError(f"{path} is no notebook ({error}). Get it again from git.") from None
