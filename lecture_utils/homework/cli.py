"""`lecture homework VERB`: one module per verb.

A verb's module has `arguments(parser)`, which adds its options, and `run(course, options)`, which
returns the exit code. Only the module of the verb asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from ..cli import CHECKOUT, LectureError, in_checkout
from .course import Course

VERBS = {
    "release": "students' notebooks and zips, without solutions and hidden tests",
    "collect": "take in submissions: a folder or a zip from a learning platform",
    "grade": "run what was handed in, in a sandbox; a table and a CSV",
    "feedback": "a page for each student, from the gradebook",
    "formgrader": "nbgrader's page for points and comments by hand",
    "demo": "all of it on a made-up class, good and hostile",
    "job": "grade one submission: a notebook in, a JSON out",
}


def main(arguments: list[str]) -> int:
    """Run `lecture homework` with these arguments.

    Returns the exit code: 0 for success, 1 if something failed or was refused.
    """
    width = max(map(len, VERBS))
    parser = argparse.ArgumentParser(
        prog="lecture homework",
        description="Homework for a whole class, over nbgrader.",
        epilog="verbs:\n" + "\n".join(f"  {verb:{width}}  {what}" for verb, what in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="what to do, see below")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="VERB --help tells")
    asked = parser.parse_args(arguments)
    try:
        verb = importlib.import_module(f".{asked.verb}", __package__)
        own = argparse.ArgumentParser(
            prog=f"lecture homework {asked.verb}", description=verb.__doc__.splitlines()[0]
        )
        own.add_argument(
            "--course", metavar="FOLDER", help="(default: LECTURE_COURSE, or homework/)"
        )
        own.add_argument(
            "--db",
            metavar="URL",
            help="the gradebook (default: LECTURE_GRADEBOOK, or gradebook.db in the folder)",
        )
        verb.arguments(own)
        options = own.parse_args(asked.rest)
        return verb.run(Course.find(options.course, options.db), options)
    except LectureError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "nbgrader":
            raise
        problem = f"nbgrader is not installed for {sys.executable}. {_install()}"
    except Exception as error:
        if not type(error).__module__.startswith("sqlalchemy"):
            raise
        problem = f"the gradebook cannot be used: {str(error).splitlines()[0]}"
    print(f"lecture: {problem}", file=sys.stderr)
    return 1


def _install() -> str:
    if in_checkout():
        return f"In {CHECKOUT}, run: python -m pip install -c requirements-dev.txt -e '.[homework]'"
    return "Run: python -m pip install 'deep-learning-lecture[homework]'"
