"""The columns of class lists exported by Canvas, Moodle and Gradescope, and their names in the course's roster.

Canvas: Grades → Export (Student, ID, SIS User ID, SIS Login ID, Section). Moodle: the participants' table or Grades →
Export, in English or German. Gradescope: Roster → Download roster. The course's own roster has a column ``id``.

The first of these columns that is not empty becomes a student's id: Canvas' SIS user id, login, number; Moodle's ID
number, user name, address; Gradescope's SID, address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["RosterFormat", "format_of", "people_in"]

_CANVAS_TEST_STUDENT = re.compile(r"student,? test|test student", re.IGNORECASE)
_NOT_A_PERSON = re.compile(r"\s*points possible\s*", re.IGNORECASE)
_STUDENT_ROLES = re.compile(r"student|teilnehmer|studierende|lernende", re.IGNORECASE)


@dataclass(frozen=True)
class RosterFormat:
    """The format in which one system exports a class list.

    Attributes:
        system: ``Canvas``, ``Moodle``, ``Gradescope``, or ``own`` for the course's own roster.
        marks: groups of columns that identify the system; a file must have at least one column of each group.
        columns: maps its columns, in lower case, to those of the course's roster.
        ids: columns of the course's roster that may become the id, in order of preference.
    """

    system: str
    marks: tuple[tuple[str, ...], ...]
    columns: Mapping[str, str]
    ids: tuple[str, ...]

    def fits(self, names: Sequence[str]) -> bool:
        return all(any(name in names for name in group) for group in self.marks)


_CANVAS = RosterFormat(
    "Canvas",
    (("student", "lastname"), ("id",), ("section",), ("sis user id", "sis login id")),
    {"student": "name", "id": "canvas_id", "sis user id": "sis_id", "sis login id": "login", "section": "section"},
    ("sis_id", "login", "canvas_id"),
)
_MOODLE_COLUMNS = {
    **{name: "name" for name in ("full name", "fullname", "vollständiger name", "first name / last name")},
    **{name: "moodle_id" for name in ("id number", "idnumber", "id-nummer", "matrikelnummer")},
    **{name: "login" for name in ("username", "anmeldename", "nutzername")},
    **{name: "email" for name in ("email address", "e-mail-adresse", "e-mail")},
    **{name: "section" for name in ("groups", "group", "gruppen", "gruppe")},
}
_MOODLE = RosterFormat(
    "Moodle",
    (
        ("first name", "vorname", "full name", "fullname", "vollständiger name", "first name / last name"),
        tuple(name for name, field in _MOODLE_COLUMNS.items() if field in ("moodle_id", "login", "email")),
    ),
    _MOODLE_COLUMNS,
    ("moodle_id", "login", "email"),
)
_GRADESCOPE = RosterFormat(
    "Gradescope",
    (("sid",), ("email",), ("first name", "name")),
    {"name": "name", "sid": "sis_id", "email": "email", "section": "section", "sections": "section"},
    ("sis_id", "email"),
)
_OURS = ("id", "name", "email", "section", "login", "canvas_id", "sis_id", "moodle_id")
_OWN = RosterFormat("own", (("id",),), {name: name for name in _OURS}, ("id",))
_FORMATS = (_GRADESCOPE, _CANVAS, _OWN, _MOODLE)


def format_of(names: Sequence[str]) -> RosterFormat | None:
    """The format of a table with these columns; None if it is not a class list."""
    return next((form for form in _FORMATS if form.fits(names)), None)


def people_in(rows: Sequence[Mapping[str, str]], form: RosterFormat) -> list[dict[str, str]]:
    """The rows of students, without staff and test students, with the roster's column names and ``line``."""
    people = [_person(row, form) for row in rows if _is_student(row, form)]
    return people if form is _OWN else [{**person, "id": ""} for person in people]


def _is_student(row: Mapping[str, str], form: RosterFormat) -> bool:
    role = row.get("roles") or row.get("role") or row.get("rollen") or ""
    if form is _OWN or (role and not _STUDENT_ROLES.search(role)):
        return form is _OWN
    if form is not _CANVAS:
        return True
    is_test = _CANVAS_TEST_STUDENT.fullmatch(_name(row)) and not row.get("sis user id")
    return not is_test and bool(_name(row)) and not _NOT_A_PERSON.fullmatch(row.get("student", ""))


def _person(row: Mapping[str, str], form: RosterFormat) -> dict[str, str]:
    person = {field: row[name] for name, field in form.columns.items() if row.get(name)}
    if form is not _OWN:
        person["name"] = _name({**row, "student": person.get("name", "")})
    return {**person, "line": row["line"]}


def _name(row: Mapping[str, str]) -> str:
    first = row.get("first name") or row.get("firstname") or row.get("vorname") or ""
    last = row.get("last name") or row.get("lastname") or row.get("nachname") or row.get("surname") or ""
    name = f"{first} {last}".strip() or row.get("student", "")
    # Canvas writes ="=name" if a name begins with a character that would make it a formula in a spreadsheet.
    quoted = re.fullmatch(r'="(.*)"', name)
    return quoted[1] if quoted else name
