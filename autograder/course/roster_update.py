"""Updates the course's roster from an LMS's export, without changing anybody's id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course.course import Course, CourseError
from autograder.course.private_files import write_private
from autograder.course.roster import COLUMNS, Roster, Student
from autograder.course.spreadsheet import write_table
from autograder.course.student_ids import NearMatch, near_matches
from autograder.course.student_lookup import Claim, find_student

__all__ = ["RosterUpdate", "earlier_roster", "update_roster"]

_IDS = ("canvas_id", "sis_id", "moodle_id", "login", "email", "id")


@dataclass(frozen=True)
class RosterUpdate:
    """The changes that an update made to the roster.

    Attributes:
        path: the roster's file.
        added: ids of students who were not in the roster.
        changed: ids of students with a changed name, address or other column.
        others: ids in the roster that are missing from the file; they stay.
        near: added ids that look like one already in the roster.
        before: a copy of the roster as it was; None if there was none, or nothing has changed.
    """

    path: Path
    added: tuple[str, ...]
    changed: tuple[str, ...]
    others: tuple[str, ...]
    near: tuple[NearMatch, ...] = ()
    before: Path | None = None


def update_roster(course: Course, source: Path, id_from: str = "") -> RosterUpdate:
    """Merge an export of Canvas, Moodle or Gradescope into the roster that ``course.toml`` names.

    Students who are already in the roster keep their id; they are recognised by a number, login, address or name. Where
    a cell of the export is empty, the roster's cell stays.

    Args:
        course: the course whose roster is updated.
        source: the exported file.
        id_from: the column of the roster that becomes the id of new students; by default the first that is filled in.

    Raises:
        CourseError: ``course.toml`` names no roster, the file is not a class list, or a row matches two students.
    """
    if course.roster is None:
        raise CourseError('course.toml names no roster: add the line roster = "students/roster.csv"')
    there = Roster.of(course)
    incoming = Roster.read(source, id_from)
    if not incoming:
        raise CourseError(f"{source} lists no students: check that it is an export of the class list")
    students = dict(there.students)
    met = []
    for student in incoming.students.values():
        known = _known(there, student, source)
        merged = _merged(known, student) if known else student
        if known is None and merged.id in students:
            raise CourseError(
                f"{source}: the id {merged.id!r} of {merged.name!r} belongs to another student in {course.roster}: "
                "correct one of them"
            )
        students[merged.id] = merged
        met.append(merged.id)
    before = None
    if students != there.students:
        before = _kept(course.roster)
        write_table(course.roster, [COLUMNS, *([getattr(s, name) for name in COLUMNS] for s in students.values())])
    added = tuple(id for id in met if id not in there)
    changed = tuple(id for id in met if id in there and students[id] != there[id])
    others = tuple(id for id in there.students if id not in met)
    near = near_matches(there.students, added) if there else ()
    return RosterUpdate(course.roster, added, changed, others, near, before)


def _known(there: Roster, student: Student, source: Path) -> Student | None:
    match = find_student(there, [*_claims(student), Claim(student.name, ("name",))])
    if len(match.students) > 1:
        raise CourseError(f"{source}: {student.name or student.id!r} {match.trouble}; correct the roster first")
    return match.student


def _claims(student: Student) -> Sequence[Claim]:
    return [Claim(getattr(student, name), (name, "id")) for name in _IDS if getattr(student, name)]


def _merged(known: Student, student: Student) -> Student:
    facts = {name: getattr(student, name) or getattr(known, name) for name in COLUMNS}
    return replace(known, **{**facts, "id": known.id})


def _kept(path: Path) -> Path | None:
    return write_private(earlier_roster(path), path.read_bytes()) if path.exists() else None


def earlier_roster(roster: Path) -> Path:
    """The path of the copy that keeps the roster as it was before the last update."""
    return roster.with_name(f"{roster.name}.before")
