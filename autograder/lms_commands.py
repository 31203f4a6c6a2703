"""The ``course`` commands between the course and an LMS: collect, roster, the archive of feedback."""

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
    download: Positional[Annotated[Path, tyro.conf.arg(metavar="ZIP|FOLDER", help="What the LMS gives out.")]],
    system: Annotated[System | None, tyro.conf.arg(name="from")] = None,
    times: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    groups: FlagCreatePairsOff[bool] = False,
    replace: FlagCreatePairsOff[bool] = False,
) -> None:
    """Carry what students handed in from an LMS's download into submitted/<student>/<unit>/.

    Whose work it is follows from the roster; what fits nobody, or more than one, is listed and left out. The latest
    work counts, earlier work is kept aside. Collecting again changes nothing.

    Args:
        system: Where the download is from; by default guessed from the names in it.
        times: A table of times of handing in, where the download holds none: Moodle's grading worksheet, Gradescope's
            grades, a list of submissions from Canvas' API, or any table with a column handed_in.
        groups: Give work that several students handed in together to each of them; else it is left out.
        replace: Take the download's work where other work is there and nothing says which is later.
    """
    from autograder.collecting.collect import collect as carry
    from autograder.collecting.summary import summary

    course = Course.find()
    chosen = course.unit(unit)
    for line in summary(course, chosen, carry(course, chosen, download, system, times, groups, replace)):
        print(line)


def roster(
    file: Positional[Annotated[Path, tyro.conf.arg(metavar="FILE", help="An export of the class.")]],
    id: Annotated[_IdColumn | None, tyro.conf.arg(metavar="COLUMN")] = None,
) -> None:
    """Bring the roster up to date with an export of Canvas, Moodle or Gradescope; nobody's id changes.

    Students who are in the roster and not in the file stay in it.

    Args:
        id: What new students' folders are called by: sis_id, login, email, canvas_id or moodle_id; by default the first
            of the system's own that the file fills.
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
    """Write pages into an archive that an LMS takes back, and say where it is and whom it leaves out."""
    from autograder.exports.feedback_zip import write_feedback_zip

    by_student = {page.parents[1].name: page for page in pages}
    path, remarks = write_feedback_zip(course, unit, system, by_student, course.root / "exports")
    print(path)
    for remark in remarks:
        print(f"  {remark}")
