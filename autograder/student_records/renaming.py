"""``course rename``: gives a student another id, everywhere or nowhere.

The two ids are written down before anything is changed. If the machine stops half-way, the same command finishes it.
If a place cannot be changed, those changed before are changed back.
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
    """What was renamed, one phrase each, and the files in the course folder that still contain the old id."""

    changed: tuple[str, ...]
    still_named_in: tuple[str, ...]


def rename(course: Course, old: str, new: str) -> Renamed:
    """Give a student another id everywhere in the course folder.

    A line for the new id that the roster holds already, because the class list was brought up to date first, does not
    count as another student, as long as nothing else is kept under it and the old id is off the roster.

    Raises:
        CourseError: nothing is kept of the old id, the new one is taken or cannot be an id, or a place could not be
            changed, so that nothing was.
    """
    old, new = normal_id(old), normal_id(new)
    for student in (old, new):
        require_id(student)
    if unmistakable(new) != new:
        raise CourseError(f"{new!r} cannot be a student's id: it holds signs that no id needs, or is too long")
    with course_lock(course, "course rename"):
        journal = _journal(course)
        changed = found_everywhere(course, old)
        is_listed_ahead = is_on_roster(course, new) and not is_on_roster(course, old)
        places = (WorkFolders(), RecordFiles(), GradebookRows(), ClassTables(with_roster=not is_listed_ahead))
        if not require_none_unfinished(course, but=(old, new)):
            _require_free(course, old, new, changed, places)
            write_private(journal, json.dumps([old, new]))
        _carry_over(course, old, new, places, journal)
        # What cannot be changed back comes last.
        for place in (DerivedFiles(), AuditLog()):
            place.rename(course, old, new)
        log_event(course, "student renamed", student=new)
        journal.unlink()
        return Renamed(tuple(changed), tuple(still_named_in(course, [old])))


def require_none_unfinished(course: Course, but: tuple[str, str] | None = None) -> bool:
    """Refuse to go on after a change of ids that was broken off; returns whether it is the one in ``but``.

    Raises:
        CourseError: another one was; the message says how to finish it.
    """
    journal = _journal(course)
    if not journal.exists():
        return False
    before = tuple(json.loads(journal.read_text(encoding="utf-8")))
    if before != but:
        raise CourseError(f"a change of ids was broken off: finish it first with course rename {' '.join(before)}")
    return True


def _journal(course: Course) -> Path:
    return course.records / "unfinished_rename"


def _require_free(course: Course, old: str, new: str, kept: list[str], places: Iterable[Place]) -> None:
    if not kept:
        raise unknown(course, old)
    if old == new:
        raise CourseError(f"{old!r} is the id already")
    if taken := [phrase for place in places for phrase in place.found(course, new)]:
        raise CourseError(f"the id {new!r} is taken: {', '.join(taken[:4])}. Nothing was changed")


def _carry_over(course: Course, old: str, new: str, places: Iterable[Place], journal: Path) -> None:
    begun: list[Place] = []
    try:
        for place in places:
            begun.append(place)
            place.rename(course, old, new)
    except Exception as trouble:
        _carry_back(course, old, new, begun, trouble)
        journal.unlink()
        raise CourseError(f"the id could not be changed everywhere ({trouble}), so nothing was changed") from trouble


def _carry_back(course: Course, old: str, new: str, begun: list[Place], trouble: Exception) -> None:
    try:
        for place in reversed(begun):
            place.rename(course, new, old)
    except Exception as second:
        raise CourseError(
            f"the id was changed in part ({trouble}; and back: {second}): mend that, then run course rename again"
        ) from trouble
