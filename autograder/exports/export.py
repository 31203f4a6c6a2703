"""Writing grades in the format that is asked for, and saying so in the audit log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from autograder.course import Course, Unit
from autograder.course_events import log_event
from autograder.exports.canvas import canvas_rows
from autograder.exports.class_grades import ClassGrades, Status, class_grades
from autograder.exports.gradescope import gradescope_results
from autograder.exports.moodle import moodle_rows
from autograder.exports.tables import final_grades, per_question
from autograder.spreadsheet import Cell, write_table

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
    """A file for everybody who has something to be shown, ``<unit>/<student>/results.json``."""
    files = []
    for unit in grades.units:
        for student in grades.students:
            grade = grades.of(student, unit)
            if grade.status is not Status.OPEN:
                path = folder / unit.name / student.id / "results.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                text = json.dumps(gradescope_results(grade), indent=1, ensure_ascii=False, allow_nan=False)
                path.write_text(text + "\n", encoding="utf-8")
                files.append(path)
    return tuple(files)
