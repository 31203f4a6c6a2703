"""Finds a student's identifier in an LMS, which can differ from the course's own id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from autograder.course.roster import Student

__all__ = ["known_by"]


def known_by(students: Iterable[Student], column: Literal["sis_id", "moodle_id"]) -> Callable[[Student], str]:
    """A function that returns a student's number in an LMS: a column of the roster, or the id if nobody has one."""
    name = column if any(getattr(student, column) for student in students) else "id"
    return lambda student: getattr(student, name)
