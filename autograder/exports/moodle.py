"""Makes an import file for Moodle (Grades → Import → CSV file) for each unit.

In Moodle's dialog, map one column to the student (ID number, e-mail address or user name) and each other column to a
grade item; columns have the names of Moodle's own export. Points are out of the unit's maximum, so the grade item must
have the same maximum (Moodle refuses more than 100 by default). An empty grade clears the grade in Moodle, so students
without a grade have no row, and each unit has a file of its own. Mapping feedback without the grades clears the grades;
empty feedback clears feedback written in Moodle, so leave that column unmapped if you write feedback there. E-mail
addresses are case-sensitive. Moodle treats imported grades as overridden: they cannot be changed on the assignment's
page.
https://docs.moodle.org/en/Grade_import
Source code: https://github.com/moodle/moodle/blob/main/grade/import/csv/classes/load_data.php
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence

from autograder.counts_and_lists import counted
from autograder.course.course import Unit
from autograder.course.roster import Student
from autograder.course.spreadsheet import Cell, number
from autograder.exports.lms_identities import known_by
from autograder.gradebook.class_grades import ClassGrades, Standing, Status
from autograder.student_words import to_student

__all__ = ["known_to_moodle", "moodle_rows"]

_DECIMALS = 2
_SAID = {
    Status.QUARANTINED: "This submission could not be graded: ",
    Status.WAITING: "Written answers are still to be graded. ",
}


def moodle_rows(grades: ClassGrades, unit: Unit) -> Iterator[tuple[Cell, ...]]:
    """The rows of a unit's file: a column for the grade and one for the feedback."""
    students = known_to_moodle(grades, unit)
    people = _identifying(students, _identifiers(grades))
    yield (*people, *_columns(unit))
    for student in students:
        yield (*(of(student) for of in people.values()), *_cells(grades.of(student, unit)))


def known_to_moodle(grades: ClassGrades, unit: Unit) -> tuple[Student, ...]:
    """The students with a grade in a unit whom Moodle can find.

    These are all students if some column is filled in for all of them, else those with an ID number.
    """
    students, identifiers = grades.gradeable(unit), _identifiers(grades)
    if any(all(_is_filled(of(student)) for student in students) for of in identifiers.values()):
        return students
    return tuple(student for student in students if _is_filled(identifiers["ID number"](student)))


def _identifiers(grades: ClassGrades) -> dict[str, Callable[[Student], str]]:
    """The columns that Moodle uses to find a student."""
    return {
        "ID number": known_by(grades.students, "moodle_id"),
        "Username": lambda student: student.login,
        "Email address": lambda student: student.email,
    }


def _is_filled(cell: str) -> bool:
    return cell not in ("", "0")  # Moodle reads "0" as empty, too


def _identifying(
    students: Sequence[Student], identifiers: dict[str, Callable[[Student], str]]
) -> dict[str, Callable[[Student], str]]:
    """The columns that identify students, and the name.

    Only columns that are filled in for all, because Moodle gives the grades of a row without an entry to the student of
    the row before.
    """
    filled = {name: of for name, of in identifiers.items() if all(_is_filled(of(student)) for student in students)}
    return {**filled, "Full name": lambda student: " ".join(student.name.split())}


def _columns(unit: Unit) -> tuple[str, str]:
    return f"{unit.title} (Real)", f"{unit.title} (Feedback)"


def _cells(grade: Standing) -> tuple[Cell, Cell]:
    return number(grade.points, _DECIMALS), _feedback(grade)


def _feedback(grade: Standing) -> str:
    """The feedback on one line, as HTML, because Moodle shows it as HTML."""
    said = f"{_SAID.get(grade.status, '')}{to_student(grade.reason)}".strip()
    late = f"{counted(grade.days_late, 'day')} late: you lose {number(grade.points_lost)} points."
    return html.escape(" ".join(filter(None, (said, late if grade.points_lost else ""))))
