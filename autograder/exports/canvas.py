"""Makes an import file for Canvas (Grades → Import) for each unit.

Canvas reads the columns Student, ID, SIS User ID, SIS Login ID, Section in this order, then one per assignment, and a
row "Points Possible" before the students. It finds an assignment by the number in brackets after its title
(``canvas_id`` in ``course.toml``); without one Canvas shows a dialog. It finds a student by Canvas' own number, then by
SIS id and login, then by name. An empty cell clears the grade in Canvas, so students without a grade have no row, and
each unit has a file of its own. Canvas cannot read a file with a byte order mark.
https://teaching.resources.osu.edu/toolsets/carmencanvas/guides/calculating-final-grades/import-csv-file-carmen-grades
Source code: https://github.com/instructure/canvas-lms/blob/master/lib/gradebook_importer.rb
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from autograder.course.course import CourseError, Unit
from autograder.course.roster import Student
from autograder.course.spreadsheet import Cell, number
from autograder.exports.lms_identities import known_by
from autograder.gradebook.class_grades import ClassGrades

__all__ = ["canvas_rows", "known_to_canvas"]

_PERSON = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_POINTS_POSSIBLE = "Points Possible"
_DECIMALS = 2  # what Canvas shows, and compares
# Canvas skips a column with these words anywhere in its name, because it takes it for one of its own.
_RESERVED = re.compile(r"(Current|Final|Override) (Score|Points|Grade|Status)")


def canvas_rows(grades: ClassGrades, unit: Unit) -> Iterator[tuple[Cell, ...]]:
    """The rows of a unit's file.

    Raises:
        CourseError: the unit has a title that Canvas reserves for its own columns.
    """
    yield (*_PERSON, _column(unit))
    # Indented like Canvas' own exports, so that it sorts to the top.
    yield (f"    {_POINTS_POSSIBLE}", *("" for _ in _PERSON[1:]), number(grades.max_points[unit.name], _DECIMALS))
    sis_id = known_by(grades.students, "sis_id")
    for student in known_to_canvas(grades, unit):
        yield (*_person(student, sis_id(student)), number(grades.of(student, unit).points, _DECIMALS))


def known_to_canvas(grades: ClassGrades, unit: Unit) -> tuple[Student, ...]:
    """The students with a grade in a unit for whom Canvas has a number, an SIS user id or a login."""
    sis_id = known_by(grades.students, "sis_id")
    return tuple(
        student for student in grades.gradeable(unit) if any((student.canvas_id, sis_id(student), student.login))
    )


def _column(unit: Unit) -> str:
    if _RESERVED.search(unit.title):
        raise CourseError(f"Canvas skips columns called {unit.title!r}: give {unit.name} another title in course.toml")
    # Canvas would read a number in brackets at the end as an assignment's.
    title = re.sub(r"\s*\((\d+)\)\s*$", r" \1", unit.title)
    return f"{title} ({unit.canvas_id})" if unit.canvas_id else title


def _person(student: Student, sis_id: str) -> tuple[str, ...]:
    # A name with these words would make Canvas read the row as the assignments' maximum points.
    name = " ".join(student.name.split()).replace(_POINTS_POSSIBLE, "Points-Possible")
    return (name or student.id, student.canvas_id, sis_id, student.login, " ".join(student.section.split()))
