"""``course rename``: gives a student another id, everywhere or nowhere.

A journal records the two ids before anything is changed. If the machine stops half-way, the same command finishes the
change. If one step fails, the earlier steps are reversed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError
from autograder.course.lock import course_lock
from autograder.course.private_files import write_private
from autograder.course.student_ids import normal_id
from autograder.plain_text import unmistakable
from autograder.student_records.all_places import found_everywhere, require_id, still_named_in, unknown
from autograder.student_records.class_tables import ClassTables, is_on_roster
from autograder.student_records.derived_files import DerivedFiles
from autograder.student_records.gradebook_rows import GradebookRows
from autograder.student_records.places import Place
from autograder.student_records.record_files import AuditLog, RecordFiles
from autograder.student_records.work_folders import WorkFolders

__all__ = ["Renamed", "rename", "require_none_unfinished"]


@dataclass(frozen=True)
class Renamed:
    """The changed data, one phrase each, and the files in the course folder that still contain the old id."""

    changed: tuple[str, ...]
    still_named_in: tuple[str, ...]


def rename(course: Course, old: str, new: str) -> Renamed:
    """Give a student another id everywhere in the course folder.

    If the roster already has a line for the new id, because it was updated first, this does not count as another
    student, provided that no other data have the new id and the old id is not in the roster.

    Raises:
        CourseError: no data have the old id, the new id is taken or cannot be an id, or a step failed. Then nothing is
            changed.
    """
    old, new = normal_id(old), normal_id(new)
    for student in (old, new):
        require_id(student)
    if unmistakable(new) != new:
        raise CourseError(f"{new!r} cannot be a student's id: use letters, digits and . _ -, at most 200 bytes")
    with course_lock(course, "course rename"):
        journal = _journal(course)
        changed = found_everywhere(course, old)
        is_listed_ahead = is_on_roster(course, new) and not is_on_roster(course, old)
        places = (WorkFolders(), RecordFiles(), GradebookRows(), ClassTables(with_roster=not is_listed_ahead))
        if not require_none_unfinished(course, but=(old, new)):
            _require_free(course, old, new, changed, places)
            write_private(journal, json.dumps([old, new]))
        _carry_over(course, old, new, places, journal)
        # Steps that cannot be reversed come last.
        for place in (DerivedFiles(), AuditLog()):
            place.rename(course, old, new)
        log_event(course, "student renamed", student=new)
        journal.unlink()
        return Renamed(tuple(changed), tuple(still_named_in(course, [old])))


def require_none_unfinished(course: Course, but: tuple[str, str] | None = None) -> bool:
    """Check that no change of ids was interrupted, except the change in ``but``; return whether that one was.

    Raises:
        CourseError: another change was interrupted; the message says how to finish it.
    """
    journal = _journal(course)
    if not journal.exists():
        return False
    before = tuple(json.loads(journal.read_text(encoding="utf-8")))
    if before != but:
        raise CourseError(f"a change of ids was interrupted: finish it first with course rename {' '.join(before)}")
    return True


def _journal(course: Course) -> Path:
    return course.records / "unfinished_rename"


def _require_free(course: Course, old: str, new: str, kept: list[str], places: Iterable[Place]) -> None:
    if not kept:
        raise unknown(course, old)
    if old == new:
        raise CourseError(f"the old and the new id are both {old!r}: write a different new one")
    if taken := [phrase for place in places for phrase in place.found(course, new)]:
        raise CourseError(f"nothing was changed, because the id {new!r} is taken: {', '.join(taken[:4])}")


def _carry_over(course: Course, old: str, new: str, places: Iterable[Place], journal: Path) -> None:
    begun: list[Place] = []
    try:
        for place in places:
            begun.append(place)
            place.rename(course, old, new)
    except Exception as trouble:
        _carry_back(course, old, new, begun, trouble)
        journal.unlink()
        raise CourseError(f"nothing was changed, because one step failed: {trouble}") from trouble


def _carry_back(course: Course, old: str, new: str, begun: list[Place], trouble: Exception) -> None:
    try:
        for place in reversed(begun):
            place.rename(course, new, old)
    except Exception as second:
        raise CourseError(
            f"the id was changed in part ({trouble}; then {second}): fix the cause, then run course rename again"
        ) from trouble
