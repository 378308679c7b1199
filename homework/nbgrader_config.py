"""nbgrader's settings in this folder: those of `lecture homework`, gradebook included."""

import os
from pathlib import Path

from lecture_utils.homework.course import Course

c = get_config()  # noqa: F821 - given by nbgrader
c.merge(Course.find(os.environ.get("LECTURE_COURSE") or Path(__file__).parent).config())
