"""Open nbgrader's formgrader on this course: look at answers, give points and comments by hand."""

import argparse
import os

from lecture_utils import cli

from .course import Course, HomeworkError

CONFIG = '''"""Written by `lecture homework formgrader`: nbgrader's settings are the course's."""

from lecture_utils.homework.course import Course

c = get_config()
c.merge(Course.find().config())
'''


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lecture homework formgrader`."""
    parser.add_argument("--port", type=cli.port_number, metavar="N", help="(default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(course: Course, options: argparse.Namespace) -> int:
    """Serve the formgrader until it is interrupted. Returns 0."""
    if not course.root.is_dir():
        raise HomeworkError(f"there is no course in {course.root}. Run: lecture homework release")
    own = cli.home() / "formgrader"
    (own / "config").mkdir(parents=True, exist_ok=True)
    (own / "config" / "nbgrader_config.py").write_text(CONFIG, "utf-8")
    # Not in that file: the address of a gradebook may hold a password.
    os.environ["LECTURE_COURSE"], os.environ["LECTURE_GRADEBOOK"] = str(course.root), course.db_url
    port = cli.choose_port(options.port)
    browser = not options.no_browser
    cli.serve(own, course.root, "/formgrader", port, False, browser, what="formgrader")
    return 0
