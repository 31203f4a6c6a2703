"""Who is in the class: a table that gives a name, addresses and a section to the folders that students hand in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autograder.course.course import Course, CourseError
from autograder.course.spreadsheet import read_table

__all__ = ["Roster", "Student"]


@dataclass(frozen=True)
class Student:
    """One person of the class.

    Attributes:
        id: the name of the student's folder under ``submitted/``, and the id in the gradebook.
        login: the name to log in with at Canvas or Moodle.
        canvas_id: the student's number in Canvas, if it is known.
    """

    id: str
    name: str = ""
    email: str = ""
    section: str = ""
    login: str = ""
    canvas_id: str = ""


@dataclass(frozen=True)
class Roster:
    """The class by id, in the order of the file; empty where a course keeps none."""

    students: Mapping[str, Student] = field(default_factory=dict)

    @classmethod
    def of(cls, course: Course) -> Roster:
        """The roster that ``course.toml`` names; empty if it names none or the file is not there (yet).

        Raises:
            CourseError: it lacks the column ``id``, an id is missing, stands twice, or cannot be a folder's name.
        """
        if course.roster is None or not course.roster.exists():
            return cls()
        students: dict[str, Student] = {}
        for row in read_table(course.roster, ("id",)):
            student = _student(row)
            if not _can_be_a_folder(student.id):
                raise CourseError(f"{course.roster}, line {row['line']}: {student.id!r} cannot be the name of a folder")
            if student.id in students:
                raise CourseError(f"{course.roster}, line {row['line']}: the id {student.id!r} stands there twice")
            students[student.id] = student
        return cls(students)

    def __bool__(self) -> bool:
        return bool(self.students)

    def __contains__(self, student: str) -> bool:
        return student in self.students

    def __getitem__(self, student: str) -> Student:
        """The student of that id; one who is not in the roster has nothing but the id."""
        return self.students.get(student, Student(student))


def _student(row: Mapping[str, str]) -> Student:
    return Student(**{name: row.get(name, "") for name in Student.__dataclass_fields__})


def _can_be_a_folder(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not any(sign in name for sign in "/\\\0\n\r")
