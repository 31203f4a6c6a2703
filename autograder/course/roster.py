"""The roster: a table of the students in the class, with their ids, names, addresses and sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from autograder.course.course import Course, CourseError
from autograder.course.roster_formats import RosterFormat, format_of, people_in
from autograder.course.spreadsheet import read_table
from autograder.course.student_ids import normal_id

__all__ = ["COLUMNS", "Roster", "Student"]


@dataclass(frozen=True)
class Student:
    """One student of the class; every field but the id may be empty.

    Attributes:
        id: the name of the student's folder under ``submitted/``, and the id in the gradebook.
        name: as the LMS writes it.
        email: the e-mail address.
        section: the section or group.
        login: the login name at Canvas or Moodle.
        canvas_id: the number in Canvas.
        sis_id: the number in the student information system; Canvas calls it SIS User ID, Gradescope SID.
        moodle_id: the number that Moodle calls ID number.
    """

    id: str
    name: str = ""
    email: str = ""
    section: str = ""
    login: str = ""
    canvas_id: str = ""
    sis_id: str = ""
    moodle_id: str = ""


COLUMNS = tuple(column.name for column in fields(Student))


@dataclass(frozen=True)
class Roster:
    """The students of the class by id, in the order of the file; empty if the course has no roster."""

    students: Mapping[str, Student] = field(default_factory=dict)

    @classmethod
    def of(cls, course: Course) -> Roster:
        """The roster that ``course.toml`` names; empty if it names none or the file does not exist.

        Raises:
            CourseError: see :meth:`read`.
        """
        if course.roster is None or not course.roster.exists():
            return cls()
        return cls.read(course.roster)

    @classmethod
    def read(cls, path: Path, id_from: str = "") -> Roster:
        """Read a roster: the course's own table, with a column ``id``, or an export of Canvas, Moodle or Gradescope.

        Args:
            path: the file.
            id_from: for an export, the column of :class:`Student` that becomes the id; by default the first that is
                filled in.

        Raises:
            CourseError: the file is not a roster, or an id is missing, repeated, or unfit to be a folder name.
        """
        rows = read_table(path)
        if not rows:
            return cls()
        form = format_of(list(rows[0]))
        if form is None:
            raise CourseError(
                f"{path} has no column 'id' and is not an export of Canvas, Moodle or Gradescope: "
                f"make its first line {','.join(COLUMNS)}"
            )
        people = people_in(rows, form)
        if form.system != "own":
            people = _with_ids(people, id_from or _first_filled(people, form))
        return cls(_students(path, people, form))

    def __bool__(self) -> bool:
        return bool(self.students)

    def __contains__(self, student: str) -> bool:
        return student in self.students

    def __getitem__(self, student: str) -> Student:
        """The student with this id; for an id that is not in the roster, all other fields are empty."""
        return self.students.get(student, Student(student))


def _first_filled(people: Sequence[Mapping[str, str]], form: RosterFormat) -> str:
    return next((name for name in form.ids if any(person.get(name) for person in people)), form.ids[0])


def _with_ids(people: Sequence[Mapping[str, str]], column: str) -> list[dict[str, str]]:
    return [{**person, "id": person.get(column, ""), "missing": column} for person in people]


def _students(path: Path, people: Sequence[Mapping[str, str]], form: RosterFormat) -> Mapping[str, Student]:
    students: dict[str, Student] = {}
    for person in people:
        student = Student(**{name: person.get(name, "") for name in COLUMNS})
        student = replace(student, id=normal_id(student.id))
        where = f"{path}, line {person['line']}"
        if form.system == "Canvas" and not student.canvas_id.isdigit():
            raise CourseError(f"{where}: {student.canvas_id!r} is not a Canvas number: export the roster again")
        if not student.id and form.system != "own":
            raise CourseError(_without_id(where, student, person["missing"], form))
        if not _can_be_a_folder(student.id):
            raise CourseError(f"{where}: the id {student.id!r} cannot be a folder name: correct it")
        if student.id in students:
            student = _in_both_sections(students[student.id], student, where)
        students[student.id] = student
    return students


def _without_id(where: str, student: Student, column: str, form: RosterFormat) -> str:
    others = " or ".join(f"--id {name}" for name in form.ids if name != column)
    return (
        f"{where}: {student.name!r} has no {column}, which is the id of the other students in this file: "
        f"fill it in, or use another column with course roster FILE {others}"
    )


def _in_both_sections(one: Student, other: Student, where: str) -> Student:
    """Merge two rows of one student, who is in two sections.

    Raises:
        CourseError: the rows differ in more than the section, or not at all.
    """
    if one.section == other.section or replace(one, section="") != replace(other, section=""):
        raise CourseError(
            f"{where}: the id {other.id!r} is already in an earlier line: give each student a different id"
        )
    return replace(one, section="; ".join(filter(None, (one.section, other.section))))


def _can_be_a_folder(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not any(sign in name for sign in "/\\\0\n\r")
