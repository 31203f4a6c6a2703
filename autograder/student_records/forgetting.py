"""``course forget``: removes all data about a student from the course folder, and names what remains elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError
from autograder.course.lock import course_lock
from autograder.course.student_ids import normal_id
from autograder.student_records.all_places import (
    PLACES,
    copies_elsewhere,
    found_everywhere,
    require_id,
    still_named_in,
    unknown,
)
from autograder.student_records.derived_files import names_of
from autograder.student_records.renaming import require_none_unfinished

__all__ = ["Forgotten", "forget"]


@dataclass(frozen=True)
class Forgotten:
    """The result of removing a student's data.

    Attributes:
        removed: the removed data, a phrase each.
        still_named_in: files in the course folder that still contain the id, name or address: another student's words,
            a table without a column for ids, or a word that merely looks the same.
        copies_elsewhere: folders outside the course to which grades or reports were written.
    """

    removed: tuple[str, ...]
    still_named_in: tuple[str, ...]
    copies_elsewhere: tuple[str, ...]


def forget(course: Course, student: str, confirm: Callable[[list[str]], bool]) -> Forgotten | None:
    """Remove all data about a student. If this is interrupted, calling it again finishes the removal.

    Args:
        course: the course.
        student: the student's id.
        confirm: called with the data that will be removed; if it returns False, nothing is removed.

    Returns:
        The result; None if ``confirm`` returned False.

    Raises:
        CourseError: no data are kept about the student, another command is working on the course, or a change of ids
            was interrupted.
    """
    student = normal_id(student)
    require_id(student)
    with course_lock(course, "course forget"):  # without the id: what is written into the lock may stay there
        require_none_unfinished(course)
        removed = found_everywhere(course, student)
        if not removed:
            raise unknown(course, student)
        if not confirm(removed):
            return None
        names = names_of(course, student)
        for place in PLACES:
            place.forget(course, student)
        if left := found_everywhere(course, student):
            raise CourseError(f"these could not be removed, remove them yourself: {', '.join(left)}")
        log_event(course, "student forgotten", places=len(removed))
        return Forgotten(tuple(removed), tuple(still_named_in(course, names)), tuple(copies_elsewhere(course)))
