"""The ``course`` commands about a class that has been graded: formgrader, export, extend, report, similarity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from autograder.counts_and_lists import counted
from autograder.course.course import Course

__all__ = ["bring_up_to_date", "export", "extend", "formgrader", "report", "similarity"]

_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]
_Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]


def formgrader(
    unit: Annotated[Positional[str | None], tyro.conf.arg(metavar="[UNIT]")] = None,
    port: int = 8888,
    browser: bool = True,
) -> None:
    """Open formgrader in the browser: look at submissions, grade written answers, change points.

    What is given there is kept when submissions are graded again. Needs no connection to the web.

    Args:
        unit: Begin with this unit's submissions, as 03 or 03_vae; else with a list of all units.
        port: Where it is served on this machine; if that is taken, another is found.
        browser: Open a browser; without, only the address is printed.
    """
    from autograder.nbgrader_bridge.formgrader import (
        serve_formgrader,  # Jupyter costs a second, which --help should not pay
    )

    course = Course.find()
    serve_formgrader(course, course.unit(unit) if unit else None, port, browser)


def export(
    format: Literal["csv", "xlsx", "per-question", "canvas", "moodle", "gradescope"] = "csv",
    unit: Annotated[str | None, tyro.conf.arg(metavar="UNIT")] = None,
    output: _Folder = None,
) -> None:
    """Write grades for a spreadsheet, Canvas, Moodle or Gradescope; lateness is taken off.

    Names and addresses come from the roster that course.toml names.

    Args:
        format: csv (a row per student), per-question (a row per question), xlsx (both), canvas, moodle, gradescope.
        unit: One unit only; by default all that have been graded.
        output: The folder to write into; by default exports/ in the course folder.
    """
    from autograder.exports.export import write_export  # nbgrader costs a second, which --help should not pay

    course = Course.find()
    units = [course.unit(unit)] if unit else []
    files, remarks = write_export(course, format, units, output or course.root / "exports")
    print(files[0] if len(files) == 1 else f"{len(files)} files, for example {files[0]}")
    for remark in remarks:
        print(f"  {remark}")


def extend(
    student: Positional[Annotated[str, tyro.conf.arg(metavar="STUDENT", help="The student's id.")]],
    unit: Positional[_Unit],
    days: Positional[Annotated[float, tyro.conf.arg(metavar="DAYS", help="More days than the others; 0 for none.")]],
    reason: str,
) -> None:
    """Give a student more days for a unit, in place of any extension before.

    Args:
        reason: Why; kept in extensions.csv and in the audit log.
    """
    from autograder.course.lock import course_lock
    from autograder.gradebook.extensions import extensions_file, grant

    course = Course.find()
    with course_lock(course, "course extend"):
        grant(course, course.unit(unit), student, days, reason)
        bring_up_to_date(course, unit)
    print(f"{student} has {counted(days, 'day')} more for {course.unit(unit).name}; {extensions_file(course)}")


def report(unit: Positional[_Unit], output: _Folder = None) -> None:
    """Show where students stumble: a page with points, commonest mistakes, flags, times; and the same as CSV.

    Args:
        output: The folder to write into; by default reports/ in the course folder.
    """
    from autograder.reports.class_report import write_report

    course = Course.find()
    for path in write_report(course, course.unit(unit), output or course.root / "reports"):
        print(path)


def similarity(unit: Positional[_Unit], against: _Folder = None, output: _Folder = None) -> None:
    """Show which answers are more alike than the exercise explains: a hint for a person to look, never a verdict.

    Students with similar answers are shown as a group; for each, the most similar other student is named.

    Args:
        against: A folder of an earlier class's submissions, laid out like submitted/, to compare with as well. It is
            neither graded nor changed.
        output: The folder to write into; by default reports/ in the course folder.
    """
    from autograder.reports.similarity_report import write_similarity

    course = Course.find()
    report = write_similarity(course, course.unit(unit), output or course.root / "reports", against)
    groups = f"{counted(report.groups, 'group')} to look at"
    print(f"{groups}, {counted(report.pairs, 'pair')} in all; a hint, not a verdict")
    print(report.page, report.table, sep="\n")


def bring_up_to_date(course: Course, unit: str) -> None:
    """Carry due date, extensions and lateness of a unit into the gradebook, if there is one."""
    if course.gradebook.exists():
        from autograder.gradebook.late_penalties import settle

        settle(course, course.unit(unit))
