"""Extensions: more days for one student and one unit.

Each extension is a line of ``extensions.csv`` beside the roster, which can be edited by hand. If several lines name the
same student and unit, the last one counts. An extension moves the due date by days on the wall clock of the course's
time zone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

from autograder.course.audit_log import log_event, person
from autograder.course.course import Course, CourseError, Unit
from autograder.course.roster import Roster
from autograder.course.spreadsheet import append_row, read_table
from autograder.course.student_ids import normal_id

__all__ = ["extensions_file", "extensions_of", "grant", "require_known"]

_COLUMNS = ("student", "unit", "days", "reason", "granted", "by")
_MOST_DAYS = 366


def extensions_file(course: Course) -> Path:
    """The path of the file with a course's extensions."""
    folder = course.roster.parent if course.roster else course.root / "students"
    return folder / "extensions.csv"


def extensions_of(course: Course, unit: Unit) -> Mapping[str, timedelta]:
    """The extensions granted for a unit, by student.

    Raises:
        CourseError: a line names an unknown unit or an impossible number of days.
    """
    path = extensions_file(course)
    if not path.exists():
        return {}
    rows = read_table(path, _COLUMNS[:3])
    granted = [(normal_id(row["student"]), *_read(course, row, path)) for row in rows if row["student"]]
    return {student: extension for student, name, extension in granted if name == unit.name}


def _read(course: Course, row: Mapping[str, str], path: Path) -> tuple[str, timedelta]:
    try:
        return course.unit(row["unit"]).name, timedelta(days=_days(float(row["days"])))
    except (CourseError, ValueError) as trouble:
        raise CourseError(f"{path}, line {row['line']}: {trouble}") from None


def _days(days: float) -> float:
    if not (math.isfinite(days) and 0 <= days <= _MOST_DAYS):
        raise ValueError(f"days must be 0 (takes an extension back) to {_MOST_DAYS}, got {days}")
    return days


def grant(course: Course, unit: Unit, student: str, days: float, reason: str) -> None:
    """Move a student's due date for a unit by ``days``, replacing any earlier extension; logged.

    Raises:
        CourseError: no student has that id, the reason is empty, or ``days`` is out of range.
    """
    student = normal_id(student)
    require_known(course, student)
    if not reason.strip():
        raise CourseError("--reason must not be empty: the audit log keeps the reason for an extension")
    try:
        days = _days(days)
    except ValueError as trouble:
        raise CourseError(str(trouble)) from None
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    facts = (student, unit.name, f"{days:g}", reason.strip(), moment, person())
    append_row(extensions_file(course), dict(zip(_COLUMNS, facts, strict=True)))
    log_event(course, "extension", student=student, unit=unit.name, days=days, reason=reason.strip())


def require_known(course: Course, student: str) -> None:
    """Check that an id is in the roster or has handed in work.

    Raises:
        CourseError: no student has this id; the message suggests similar ids.
    """
    folders = course.submitted.iterdir() if course.submitted.is_dir() else ()
    handed_in = {normal_id(folder.name) for folder in folders}
    known = {*Roster.of(course).students, *handed_in}
    if student not in known:
        close = get_close_matches(student, known, 3)
        unknown = "it is not in the roster and has handed in nothing; course roster FILE updates the roster"
        hint = f"did you mean {', '.join(close)}?" if close else unknown
        raise CourseError(f"no student has the id {student!r}: {hint}")
