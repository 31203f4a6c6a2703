"""``course`` commands that exchange files with an LMS: collect, roster, and the archive of feedback pages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from autograder.collecting.systems import System
from autograder.course.course import Course, Unit

__all__ = ["collect", "feedback_zip", "roster"]

_IdColumn = Literal["sis_id", "login", "email", "canvas_id", "moodle_id"]


def collect(
    unit: Positional[Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]],
    download: Positional[Annotated[Path, tyro.conf.arg(metavar="ZIP|FOLDER", help="The LMS's download.")]],
    system: Annotated[System | None, tyro.conf.arg(name="from")] = None,
    times: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    groups: FlagCreatePairsOff[bool] = False,
    replace: FlagCreatePairsOff[bool] = False,
) -> None:
    """Copy submissions from an LMS's download into submitted/<student>/<unit>/.

    The roster decides whose work each file is. Files that match no student, or several, are listed and left out. The
    latest work counts; earlier work is kept in .course/collected/. Collecting the same download again changes nothing.

    Args:
        system: The system that made the download; by default guessed from its file names.
        times: A table of submission times, for downloads without any: Moodle's grading worksheet, Gradescope's grades,
            a list of submissions from Canvas' API, or any table with a column handed_in.
        groups: Give group work to each of its authors; by default it is left out.
        replace: Replace work already in submitted/ by the download's even if it is not known which is later.
    """
    from autograder.collecting.collect import collect as carry
    from autograder.collecting.summary import summary

    course = Course.find()
    chosen = course.unit(unit)
    for line in summary(course, chosen, carry(course, chosen, download, system, times, groups, replace)):
        print(line)


def roster(
    file: Positional[Annotated[Path, tyro.conf.arg(metavar="FILE", help="The class list, as exported by the LMS.")]],
    id: Annotated[_IdColumn | None, tyro.conf.arg(metavar="COLUMN")] = None,
) -> None:
    """Update the roster from an export of Canvas, Moodle or Gradescope; nobody's id changes.

    Students who are missing from the file stay in the roster.

    Args:
        id: Which column becomes the id (and folder name) of new students: sis_id, login, email, canvas_id or moodle_id.
            By default the first of the system's usual columns that is filled.
    """
    from autograder.course.roster_update import update_roster

    update = update_roster(Course.find(), file, id or "")
    print(f"{update.path}: {len(update.added)} added, {len(update.changed)} changed")
    for match in update.near:
        print(f"  added {match}: look before you grade")
    if update.others:
        print(f"  {len(update.others)} in the roster and not in {file}: {', '.join(update.others[:10])}")
    if update.before:
        print(f"  as it was: {update.before}")


def feedback_zip(
    course: Course, unit: Unit, system: Literal["canvas", "moodle", "gradescope"], pages: Iterable[Path]
) -> None:
    """Write feedback pages into an archive to upload to an LMS; print its path and who is left out."""
    from autograder.exports.feedback_zip import write_feedback_zip

    by_student = {page.parents[1].name: page for page in pages}
    path, remarks = write_feedback_zip(course, unit, system, by_student, course.root / "exports")
    print(path)
    for remark in remarks:
        print(f"  {remark}")
