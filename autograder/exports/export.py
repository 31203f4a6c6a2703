"""Writes grades in the chosen format and logs the export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError, Unit
from autograder.course.private_files import write_private
from autograder.course.roster import Student
from autograder.course.spreadsheet import Cell, write_table
from autograder.exports.canvas import canvas_rows, known_to_canvas
from autograder.exports.grade_tables import final_grades, per_question
from autograder.exports.gradescope import gradescope_autograder, gradescope_results, shared_addresses
from autograder.exports.moodle import known_to_moodle, moodle_rows
from autograder.gradebook.class_grades import ClassGrades, class_grades

__all__ = ["Format", "write_export"]

Format = Literal["csv", "xlsx", "per-question", "canvas", "moodle", "gradescope"]

_Rows = Iterable[tuple[Cell, ...]]
_TABLES: Mapping[str, tuple[str, Callable[[ClassGrades], _Rows]]] = {
    "csv": ("grades.csv", final_grades),
    "per-question": ("per-question.csv", per_question),
}
_IMPORTS: Mapping[str, Callable[[ClassGrades, Unit], _Rows]] = {"canvas": canvas_rows, "moodle": moodle_rows}
_KNOWN: Mapping[str, Callable[[ClassGrades, Unit], tuple[Student, ...]]] = {
    "canvas": known_to_canvas,
    "moodle": known_to_moodle,
}


def write_export(
    course: Course, form: Format, units: Sequence[Unit], folder: Path
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write grades into a folder, readable by its owner only.

    Args:
        course: the course.
        form: the format.
        units: the units; by default all that have been graded.
        folder: where to write.

    Returns:
        The files, and remarks to read before using them.

    Raises:
        CourseError: nothing has been graded, or the format does not allow a name.
    """
    grades = class_grades(course, units)
    files = tuple(_written(grades, form, folder))
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
    return files, (*grades.remarks(), *_remarks(grades, form))


def _written(grades: ClassGrades, form: Format, folder: Path) -> Iterator[Path]:
    if form in _TABLES:
        name, rows_of = _TABLES[form]
        yield write_table(folder / name, rows_of(grades), byte_order_mark=True)
    elif form == "xlsx":
        sheets = {"Grades": final_grades(grades), "Questions": per_question(grades)}
        yield write_private(folder / "grades.xlsx", _workbook(sheets))
    elif form in _IMPORTS:
        tables = [(unit, list(_IMPORTS[form](grades, unit))) for unit in grades.units]  # all of them, or no file
        yield from (write_table(folder / f"{form}-{unit.name}.csv", rows) for unit, rows in tables)
    else:
        for unit in grades.units:
            yield from _write_gradescope(grades, unit, folder / "gradescope" / unit.name)


def _workbook(sheets: Mapping[str, _Rows]) -> bytes:
    try:
        from autograder.exports.workbook import workbook  # openpyxl is for this form only
    except ImportError:
        raise CourseError("a workbook needs the package openpyxl: run make setup, or pip install openpyxl") from None
    return workbook(sheets)


def _remarks(grades: ClassGrades, form: Format) -> Iterator[str]:
    if form in _IMPORTS:
        students = [student for student in grades.students if student.id not in grades.strangers]
        for unit in grades.units:
            if without := len(students) - len(grades.gradeable(unit)):
                yield (
                    f"{without} without a grade in {unit.name} left out of its file, because an empty cell would clear "
                    f"the grade in {form.capitalize()}"
                )
            known = _KNOWN[form](grades, unit)
            if unknown := [student.id for student in grades.gradeable(unit) if student not in known]:
                yield (
                    f"{len(unknown)} left out of the file of {unit.name}, because the roster has none of their ids in "
                    f"{form.capitalize()} (run course roster with an export): {', '.join(unknown)}"
                )
    if form == "gradescope" and (shared := shared_addresses(grades.students)):
        yield f"no result for {', '.join(shared)}, who share an e-mail address with others: correct the roster"


def _write_gradescope(grades: ClassGrades, unit: Unit, folder: Path) -> Iterator[Path]:
    """The autograder to upload for a unit, and ``<student>/results.json`` for everybody with something to show."""
    shared = shared_addresses(grades.students)
    results = {student: gradescope_results(grades.of(student, unit)) for student in grades.reportable(unit)}
    by_address = {student.email: result for student, result in results.items() if student.id not in shared}
    yield write_private(folder / "autograder.zip", gradescope_autograder(by_address))
    for student, result in results.items():
        text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        yield write_private(folder / student.id / "results.json", text)
