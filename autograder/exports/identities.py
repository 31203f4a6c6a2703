"""By what an LMS knows a student, where a roster keeps that apart from the course's own id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from autograder.course.roster import Student

__all__ = ["known_by"]


def known_by(students: Iterable[Student], column: Literal["sis_id", "moodle_id"]) -> Callable[[Student], str]:
    """What gives a student's number in an LMS: that column of the roster, or the id if it is empty for all."""
    name = column if any(getattr(student, column) for student in students) else "id"
    return lambda student: getattr(student, name)
