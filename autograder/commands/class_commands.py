"""``course`` commands about a whole class: formgrader, export, extend, report, similarity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from autograder.counts_and_lists import counted
from autograder.course.course import Course

__all__ = ["bring_up_to_date", "export", "extend", "formgrader", "report", "similarity"]

_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]
_Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]


def formgrader(
    unit: Annotated[Positional[str | None], tyro.conf.arg(metavar="[UNIT]", help_behavior_hint="")] = None,
    port: int = 8888,
    browser: bool = True,
) -> None:
    """Open formgrader in the browser: look at submissions, grade written answers, change points.

    Points and comments given there are kept when submissions are graded again. Works offline.

    Args:
        unit: Open the list of this unit's submissions, as 03 or 03_vae; by default the list of all units.
        port: Port on this machine; if it is in use, another one is chosen.
        browser: Open the page in a browser; otherwise only its address is printed.
    """
    # Jupyter takes a second to import; --help should not wait for it.
    from autograder.nbgrader_bridge.formgrader import serve_formgrader

    course = Course.find()
    serve_formgrader(course, course.unit(unit) if unit else None, port, browser)


def export(
    format: Literal["csv", "xlsx", "per-question", "canvas", "moodle", "gradescope"] = "csv",
    unit: Annotated[str | None, tyro.conf.arg(metavar="UNIT", help_behavior_hint="")] = None,
    output: _Folder = None,
) -> None:
    """Write grades, late penalties subtracted, for a spreadsheet, Canvas, Moodle or Gradescope.

    Names and addresses come from the roster that course.toml names.

    Args:
        format: Form of the files: csv (a row per student), per-question (a row per question), xlsx (both), or an import
            file for canvas, moodle or gradescope.
        unit: Export this unit only, as 03 or 03_vae; by default all that have been graded.
        output: Folder to write to; by default exports/ in the course folder.
    """
    from autograder.exports.export import write_export  # takes a second to import; --help should not wait for it

    course = Course.find()
    units = [course.unit(unit)] if unit else []
    files, remarks = write_export(course, format, units, output or course.root / "exports")
    print(files[0] if len(files) == 1 else f"{len(files)} files, for example {files[0]}")
    for remark in remarks:
        print(f"  {remark}")


def extend(
    student: Positional[Annotated[str, tyro.conf.arg(metavar="STUDENT", help="The student's id.")]],
    unit: Positional[_Unit],
    days: Positional[
        Annotated[float, tyro.conf.arg(metavar="DAYS", help="Days after the due date; 0 takes an extension back.")]
    ],
    reason: str,
) -> None:
    """Give a student more days for a unit; replaces an earlier extension for the same unit.

    Args:
        reason: Why the student gets an extension; kept in extensions.csv and in the audit log.
    """
    from autograder.course.extensions import extensions_file, grant
    from autograder.course.lock import course_lock

    course = Course.find()
    with course_lock(course, "course extend"):
        grant(course, course.unit(unit), student, days, reason)
        bring_up_to_date(course, unit)
    print(f"{student} has {counted(days, 'day')} more for {course.unit(unit).name}; {extensions_file(course)}")


def report(unit: Positional[_Unit], output: _Folder = None) -> None:
    """Show where students stumble: a page with points, frequent mistakes, flags and times, and the same as CSV.

    Args:
        output: Folder to write to; by default reports/ in the course folder.
    """
    from autograder.reports.class_report import write_report

    course = Course.find()
    for path in write_report(course, course.unit(unit), output or course.root / "reports"):
        print(path)


def similarity(unit: Positional[_Unit], against: _Folder = None, output: _Folder = None) -> None:
    """Show which answers are more alike than the exercise explains: a reason to look, never a verdict.

    Students with similar answers are shown as a group; for each of them, the most similar other student is named.

    Args:
        against: Folder with submissions of an earlier class, laid out like submitted/, to compare with as well. It is
            neither graded nor changed.
        output: Folder to write to; by default reports/ in the course folder.
    """
    from autograder.reports.similarity_report import write_similarity

    course = Course.find()
    report = write_similarity(course, course.unit(unit), output or course.root / "reports", against)
    groups = f"{counted(report.groups, 'group')} to look at"
    print(f"{groups}, {counted(report.pairs, 'pair')} in all; a hint, not a verdict")
    print(report.page, report.table, sep="\n")


def bring_up_to_date(course: Course, unit: str) -> None:
    """Write a unit's due date, extensions and late penalties into the gradebook, if there is one."""
    if course.gradebook.exists():
        from autograder.gradebook.nbgrader_lateness import settle

        settle(course, course.unit(unit))
