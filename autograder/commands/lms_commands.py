"""``course`` commands that exchange files with an LMS: collect, roster, and feedback --zip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from autograder.collecting.systems import System
from autograder.counts_and_lists import in_short
from autograder.course.course import Course, Unit

__all__ = ["collect", "feedback_zip", "roster"]

_IdColumn = Literal["sis_id", "login", "email", "canvas_id", "moodle_id"]
_SYSTEMS = f"{{{','.join(get_args(System))}}}"


def collect(
    unit: Positional[Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]],
    download: Positional[
        Annotated[Path, tyro.conf.arg(metavar="ZIP|FOLDER", help="Download of all submissions, zipped or unpacked.")]
    ],
    system: Annotated[System | None, tyro.conf.arg(name="from", metavar=_SYSTEMS, help_behavior_hint="")] = None,
    times: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None,
    groups: FlagCreatePairsOff[bool] = False,
    replace: FlagCreatePairsOff[bool] = False,
) -> None:
    """Copy submissions from a download of an LMS into submitted/<student>/<unit>/.

    The roster decides whose work each file is. Files that match no student, or several, are listed and left out. The
    latest work counts; earlier work is kept in .course/collected/. Collecting the same download again changes nothing.

    Args:
        system: System that made the download; by default it is guessed from the file names.
        times: Table of submission times, for downloads that contain none. Moodle's grading worksheet, Gradescope's
            grades, Canvas' list of submissions (from its API) and any table with a column handed_in are understood.
        groups: Copy group work to each of its authors; by default it is left out.
        replace: Replace work in submitted/ with the download's even if nobody knows which of them is later.
    """
    from autograder.collecting.collect import collect as carry
    from autograder.collecting.summary import summary

    course = Course.find()
    chosen = course.unit(unit)
    for line in summary(course, chosen, carry(course, chosen, download, system, times, groups, replace)):
        print(line)


def roster(
    file: Positional[Annotated[Path, tyro.conf.arg(metavar="FILE", help="Class list, as exported by the LMS.")]],
    id: Annotated[_IdColumn | None, tyro.conf.arg(metavar="COLUMN", help_behavior_hint="")] = None,
) -> None:
    """Update the roster from a class list exported by Canvas, Moodle or Gradescope; no student's id changes.

    Students who are missing from the file stay in the roster.

    Args:
        id: Column that gives new students their id, which is also the name of their folder: sis_id, login, email,
            canvas_id or moodle_id; by default the first of the system's usual columns that is filled in.
    """
    from autograder.course.roster_update import update_roster

    update = update_roster(Course.find(), file, id or "")
    print(f"{update.path}: {len(update.added)} added, {len(update.changed)} changed")
    for match in update.near:
        print(f"  added {match}: check the roster before you grade")
    if update.others:
        print(f"  {len(update.others)} in the roster but not in {file}: {in_short(update.others, 10)}")
    if update.before:
        print(f"  the roster as it was: {update.before}")


def feedback_zip(
    course: Course, unit: Unit, system: Literal["canvas", "moodle", "gradescope"], pages: Iterable[Path]
) -> None:
    """Write feedback pages to a zip archive for an LMS; print its path and the students who are left out."""
    from autograder.exports.feedback_zip import write_feedback_zip

    by_student = {page.parents[1].name: page for page in pages}
    path, remarks = write_feedback_zip(course, unit, system, by_student, course.root / "exports")
    print(path)
    for remark in remarks:
        print(f"  {remark}")
