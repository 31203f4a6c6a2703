"""A file for Canvas: Grades → Import.

Canvas reads the columns Student, ID, SIS User ID, SIS Login ID, Section in this order, then one per assignment, and
a row "Points Possible" before the students (Canvas guide "How do I import grades in the Gradebook?"; its importer,
``lib/gradebook_importer.rb``, decides in doubt). An assignment is found by the number in brackets after its title,
``canvas_id`` in ``course.toml``; without one Canvas asks where a column belongs. A student is found by Canvas' own
number, which only a roster with ``canvas_id`` can know, then by SIS id and login. An empty cell changes nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from autograder.course.course import CourseError, Unit
from autograder.course.roster import Student
from autograder.course.spreadsheet import Cell, number
from autograder.exports.class_grades import ClassGrades

__all__ = ["canvas_rows"]

_PERSON = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_POINTS_POSSIBLE = "Points Possible"
_DECIMALS = 2  # what Canvas shows, and compares
# Canvas takes these words anywhere in a column's name for a column of its own, and skips it.
_RESERVED = re.compile(r"(Current|Final|Override) (Score|Points|Grade|Status)")


def canvas_rows(grades: ClassGrades) -> Iterator[tuple[Cell, ...]]:
    """The rows of the file.

    Raises:
        CourseError: a unit has a title that Canvas keeps for itself.
    """
    blank = ("",) * (len(_PERSON) - 1)
    yield (*_PERSON, *(_column(unit) for unit in grades.units))
    # Canvas indents it too, which sorts it to the top.
    worth = (number(grades.max_points[unit.name], _DECIMALS) for unit in grades.units)
    yield (f"    {_POINTS_POSSIBLE}", *blank, *worth)
    for student in grades.students:
        if student.id not in grades.strangers:
            points = (number(grades.of(student, unit).points, _DECIMALS) for unit in grades.units)
            yield (*_person(student), *points)


def _column(unit: Unit) -> str:
    if _RESERVED.search(unit.title):
        raise CourseError(f"Canvas skips columns called {unit.title!r}: give {unit.name} another title in course.toml")
    # A number in brackets at the end would be taken for an assignment's.
    title = re.sub(r"\s*\((\d+)\)\s*$", r" \1", unit.title)
    return f"{title} ({unit.canvas_id})" if unit.canvas_id else title


def _person(student: Student) -> tuple[str, ...]:
    # A name that holds these words would turn the row into one that sets what assignments are worth.
    name = " ".join(student.name.split()).replace(_POINTS_POSSIBLE, "Points-Possible")
    return (name or student.id, student.canvas_id, student.id, student.login, " ".join(student.section.split()))
