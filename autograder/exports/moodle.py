"""A file for each unit for Moodle: Grades → Import → CSV file.

Moodle asks which column tells who a student is (map "ID number" to ID number, or the e-mail address, or the user
name) and to which grade item each other column belongs; columns are called as its own export calls them. Points are
out of what the unit is worth, so the grade item's maximum must be that (Moodle refuses more than 100 unless told
otherwise). An empty grade clears the one that Moodle has, so students without a grade have no row, and each unit has
a file of its own. Feedback mapped without the grades clears them; empty feedback clears what was written in Moodle, so
leave that column unmapped if you write there. E-mail addresses count with their capitals. Moodle takes imported grades
for given by hand, and they can no longer be changed on the assignment's page.
https://docs.moodle.org/en/Grade_import
https://github.com/moodle/moodle/blob/main/grade/import/csv/classes/load_data.php decides in doubt.
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
    """The students with a grade in a unit whom Moodle can find by a column that is filled for all of them.

    Everybody, if there is such a column; else those with an ID number.
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
    return cell not in ("", "0")  # Moodle takes "0" for empty as well


def _identifying(
    students: Sequence[Student], identifiers: dict[str, Callable[[Student], str]]
) -> dict[str, Callable[[Student], str]]:
    """The columns that can tell students apart, and the name.

    Only those that are filled for everybody: Moodle gives the grades of a row without an entry to the student before.
    """
    filled = {name: of for name, of in identifiers.items() if all(_is_filled(of(student)) for student in students)}
    return {**filled, "Full name": lambda student: " ".join(student.name.split())}


def _columns(unit: Unit) -> tuple[str, str]:
    return f"{unit.title} (Real)", f"{unit.title} (Feedback)"


def _cells(grade: Standing) -> tuple[Cell, Cell]:
    return number(grade.points, _DECIMALS), _feedback(grade)


def _feedback(grade: Standing) -> str:
    """One line, as HTML: that is how Moodle shows it."""
    said = f"{_SAID.get(grade.status, '')}{grade.reason}".strip()
    late = f"{counted(grade.days_late, 'day')} late: {number(grade.points_lost)} points lost."
    return html.escape(" ".join(filter(None, (said, late if grade.points_lost else ""))))
