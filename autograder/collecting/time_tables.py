"""Reads tables of times of handing in, for systems whose downloads contain none.

Moodle: the assignment's grading worksheet, with "Identifier" (Participant 1234567) and "Last modified (submission)".
Gradescope: the assignment's grades, with "Submission Time". Canvas has no such table; its API lists submissions with
``user_id`` and ``submitted_at`` (``/api/v1/courses/…/assignments/…/submissions``), and that JSON is read as well as a
table with these columns. Any other table will do if one column holds times and another an id, login, address or name
from the roster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path

from autograder.collecting.lms_times import moment
from autograder.course.course import CourseError
from autograder.course.roster import Roster
from autograder.course.spreadsheet import read_table
from autograder.course.student_lookup import Claim, find_student

__all__ = ["Times", "read_times"]

_TIMES = (
    *("last modified (submission)", "zuletzt geändert (abgabe)", "submission time", "submitted_at", "submitted at"),
    *("handed_in", "handed in", "timestamp", "time"),
)
_IDENTIFIERS = ("identifier", "id")
_WHO: Mapping[str, tuple[str, ...]] = {
    "user_id": ("canvas_id",),
    "canvas_id": ("canvas_id",),
    "id": ("id", "canvas_id"),
    "student": ("id", "name"),
    "sis_user_id": ("sis_id", "id"),
    "sis user id": ("sis_id", "id"),
    "sis_id": ("sis_id", "id"),
    "sid": ("sis_id", "id", "moodle_id"),
    "moodle_id": ("moodle_id",),
    "id number": ("moodle_id", "id", "sis_id"),
    "id-nummer": ("moodle_id", "id", "sis_id"),
    "sis login id": ("login",),
    "login": ("login",),
    "login_id": ("login",),
    "username": ("login",),
    "anmeldename": ("login",),
    "email": ("email",),
    "email address": ("email",),
    "e-mail-adresse": ("email",),
    "full name": ("name",),
    "vollständiger name": ("name",),
    "name": ("name",),
}
_NOTHING = ("", "-", "null", "none", "n/a")


@dataclass(frozen=True)
class Times:
    """The times of a table.

    Attributes:
        of_students: times of handing in, by the id in the roster.
        claims: claims about a person's identity, by the number that the download uses for the person.
        strangers: rows that match nobody in the roster, or several.
    """

    of_students: Mapping[str, datetime] = field(default_factory=dict)
    claims: Mapping[str, Sequence[Claim]] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()


def read_times(path: Path, roster: Roster, zone: tzinfo) -> Times:
    """Read a table of times.

    Args:
        path: the file: CSV, or JSON from Canvas' API.
        roster: the class list.
        zone: the time zone for times without one.

    Raises:
        CourseError: the file cannot be read, has no column of times, or contains a time that cannot be read.
    """
    rows = _rows(path)
    column = next((name for name in _TIMES if rows and name in rows[0]), None)
    if column is None:
        raise CourseError(
            f"{path} contains no times of handing in: use Moodle's grading worksheet, Gradescope's grades of the "
            "assignment, or the list of submissions from Canvas' API (with submitted_at)"
        )
    students, claims, strangers = {}, {}, []
    for row in rows:
        about = tuple(_claims(row))
        number = re.sub(r"\D", "", row.get("identifier", "")) or row.get("user_id", "")
        if number:
            claims[number] = about
        when = _moment(path, row, column, zone)
        match = find_student(roster, about)
        if match.student is not None and when is not None:
            students[match.student.id] = when
        elif when is not None:
            strangers.append(next((claim.value for claim in about), row["line"]))
    return Times(students, claims, tuple(strangers))


def _rows(path: Path) -> Sequence[Mapping[str, str]]:
    if path.suffix.lower() != ".json":
        return read_table(path)
    try:
        listed = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as trouble:
        reason = trouble.strerror if isinstance(trouble, OSError) else "it is not JSON"
        raise CourseError(f"{path} cannot be read: {reason}") from None
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise CourseError(f"{path} is not a list of submissions from Canvas' API: download it again")
    return [_texts(row, line) for line, row in enumerate(listed, start=1)]


def _texts(row: Mapping[str, object], line: int) -> Mapping[str, str]:
    cells = {name.lower(): str(value) for name, value in row.items() if isinstance(value, str | int)}
    return {"submitted_at": "", **{name: text for name, text in cells.items() if name != "id"}, "line": str(line)}


def _claims(row: Mapping[str, str]) -> Iterable[Claim]:
    for column, fields in _WHO.items():
        if value := row.get(column, ""):
            yield Claim(value, fields)
    first, last = row.get("first name", ""), row.get("last name", "")
    if first or last:
        yield Claim(f"{first} {last}".strip(), ("name",))


def _moment(path: Path, row: Mapping[str, str], column: str, zone: tzinfo) -> datetime | None:
    if row.get(column, "").strip().lower() in _NOTHING:
        return None
    try:
        return moment(row[column], zone)
    except ValueError as trouble:
        raise CourseError(f"{path}, line {row['line']}: {trouble}") from None
