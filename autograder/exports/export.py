"""Writing grades in the format that is asked for, and saying so in the audit log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from autograder.course.course import Course, Unit
from autograder.course.events import log_event
from autograder.course.spreadsheet import Cell, write_table
from autograder.exports.canvas import canvas_rows
from autograder.exports.class_grades import ClassGrades, Status, class_grades
from autograder.exports.gradescope import gradescope_autograder, gradescope_results
from autograder.exports.moodle import moodle_rows
from autograder.exports.tables import final_grades, per_question

__all__ = ["Format", "write_export"]

Format = Literal["csv", "per-question", "canvas", "moodle", "gradescope"]

_TABLES: dict[str, tuple[str, Callable[[ClassGrades], Iterable[tuple[Cell, ...]]]]] = {
    "csv": ("grades.csv", final_grades),
    "per-question": ("per-question.csv", per_question),
    "canvas": ("canvas.csv", canvas_rows),
    "moodle": ("moodle.csv", moodle_rows),
}


def write_export(
    course: Course, form: Format, units: Sequence[Unit], folder: Path
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write the grades of some units (all graded ones if none is given) into a folder.

    Returns:
        The files, and remarks a person should read before handing them on.

    Raises:
        CourseError: nothing has been graded, or a name stands in the format's way.
    """
    grades = class_grades(course, units)
    if form in _TABLES:
        name, rows_of = _TABLES[form]
        files = (write_table(folder / name, rows_of(grades)),)
    else:
        files = _write_gradescope(grades, folder / "gradescope")
    log_event(
        course,
        "export",
        format=form,
        units=[unit.name for unit in grades.units],
        students=len(grades.students),
        files=len(files),
        folder=str(folder.resolve()),
        sha256=hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest(),
    )
    return files, grades.remarks()


def _write_gradescope(grades: ClassGrades, folder: Path) -> tuple[Path, ...]:
    """For each unit the autograder to upload, and ``<student>/results.json`` for everybody with something to show."""
    return tuple(file for unit in grades.units for file in _write_gradescope_unit(grades, unit, folder / unit.name))


def _write_gradescope_unit(grades: ClassGrades, unit: Unit, folder: Path) -> Iterator[Path]:
    results = {
        student: gradescope_results(grades.of(student, unit))
        for student in grades.students
        if grades.of(student, unit).status is not Status.OPEN
    }
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "autograder.zip"
    archive.write_bytes(gradescope_autograder({student.email: result for student, result in results.items()}))
    yield archive
    for student, result in results.items():
        path = folder / student.id / "results.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        yield path
