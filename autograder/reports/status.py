"""The output of ``course status``: the state of each unit, or of each student in one unit, as a table, CSV or JSON.

Points and waiting answers come from :mod:`autograder.gradebook.points_that_count`; nothing is computed here.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from autograder.counts_and_lists import counted, in_short
from autograder.course.course import Course, Unit
from autograder.course.spreadsheet import guarded, number
from autograder.gradebook.points_that_count import Standing, Status, UnitStanding, unit_standing
from autograder.gradebook.regrade_requests import regrade_requests
from autograder.plain_text import printable

__all__ = ["StudentStatus", "UnitStatus", "as_csv", "as_table", "student_statuses", "to_do", "unit_statuses"]

_WORK = (Status.GRADED, Status.WAITING, Status.QUARANTINED, Status.UNGRADED)
_LONGEST = 60  # characters of a cell in the terminal


@dataclass(frozen=True)
class UnitStatus:
    """One unit: the numbers of students in each state.

    Attributes:
        unit: the unit's name.
        due: due date in UTC, as ISO 8601; empty if there is none.
        students: number of students.
        handed_in: students whose work is in the course folder.
        graded: students whose work is completely graded.
        waiting: students with answers still to be graded by hand.
        ungraded: students who handed in after the unit was last graded.
        quarantined: students whose work could not be graded.
        late: students who handed in late.
        flagged: students whose files were flagged.
        missing: students who handed in nothing by the due date.
        no_time: students who handed in at an unknown time, which counts as on time.
        requests: number of open regrade requests.
    """

    unit: str
    due: str
    students: int
    handed_in: int
    graded: int
    waiting: int
    ungraded: int
    quarantined: int
    late: int
    flagged: int
    missing: int
    no_time: int
    requests: int


@dataclass(frozen=True)
class StudentStatus:
    """One student in one unit.

    Attributes:
        student: the student's id.
        unit: the unit's name.
        status: graded, waiting, quarantined, …
        points: the points that count, after the late penalty; None without a grade.
        max_points: the unit's maximum.
        handed_in: time of handing in, in UTC, as ISO 8601; empty if unknown or if nothing was handed in.
        days_late: days late.
        flags: number of flags.
        waits_for: answers still to be graded by hand, and other things to do.
        requests: number of open regrade requests.
        remark: an unknown time of handing in, or an id that is not in the roster.
    """

    student: str
    unit: str
    status: str
    points: float | None
    max_points: float
    handed_in: str
    days_late: int
    flags: int
    waits_for: tuple[str, ...]
    requests: int
    remark: str


def unit_statuses(course: Course, units: Sequence[Unit], now: datetime | None = None) -> tuple[UnitStatus, ...]:
    """The state of the class in each of the given units."""
    return tuple(_unit_status(course, unit_standing(course, unit, now)) for unit in units)


def student_statuses(course: Course, unit: Unit, now: datetime | None = None) -> tuple[StudentStatus, ...]:
    """The state of each student in a unit: students in the roster, in its order, then others."""
    standing = unit_standing(course, unit, now)
    requests = Counter(request.student for request in regrade_requests(course, unit) if request.is_open)
    return tuple(_student_status(standing, one, requests[student]) for student, one in standing.students.items())


def _unit_status(course: Course, unit: UnitStanding) -> UnitStatus:
    everybody = tuple(unit.students.values())
    counts = Counter(one.status for one in everybody)
    return UnitStatus(
        unit=unit.unit.name,
        due=_moment(unit.due),
        students=len(everybody),
        handed_in=sum(one.status in _WORK for one in everybody),
        graded=counts[Status.GRADED],
        waiting=counts[Status.WAITING],
        ungraded=counts[Status.UNGRADED],
        quarantined=counts[Status.QUARANTINED],
        late=sum(one.days_late > 0 for one in everybody),
        flagged=sum(_flags(one) > 0 for one in everybody),
        missing=counts[Status.MISSING],
        no_time=sum(_has_no_time(one) for one in everybody),
        requests=sum(request.is_open for request in regrade_requests(course, unit.unit)),
    )


def _student_status(unit: UnitStanding, one: Standing, requests: int) -> StudentStatus:
    remarks = (
        "handed in at an unknown time" * _has_no_time(one),
        "not in the roster" * (one.student in unit.strangers),
    )
    return StudentStatus(
        student=one.student,
        unit=unit.unit.name,
        status=str(one.status),
        points=number(one.points),
        max_points=number(one.max_points),
        handed_in=_moment(one.handed_in),
        days_late=one.days_late,
        flags=_flags(one),
        waits_for=_waits_for(one, requests),
        requests=requests,
        remark="; ".join(filter(None, remarks)),
    )


def _waits_for(one: Standing, requests: int) -> tuple[str, ...]:
    answers = (f"{question.answer}{' again' * bool(question.waits_again)}" for question in one.waiting)
    reason = [f"a look at the submission: {one.reason}"] if one.reason else []
    ungraded = ["course grade"] if one.status is Status.UNGRADED else []
    asked = [counted(requests, "regrade request")] if requests else []
    return (*answers, *reason, *ungraded, *asked)


def _flags(one: Standing) -> int:
    return len(one.result.flags) if one.result else 0


def _has_no_time(one: Standing) -> bool:
    return one.has_work and one.handed_in is None


def _moment(moment: datetime | None) -> str:
    return moment.isoformat(timespec="minutes") if moment else ""


def to_do(students: Sequence[StudentStatus]) -> tuple[str, ...]:
    """The tasks left in a unit, one line each, with the command to run."""
    if not students:
        return ()
    unit = students[0].unit.split("_")[0]
    kinds = (
        (Status.WAITING, "to grade by hand", f"course answers {unit}"),
        (Status.UNGRADED, "to grade", f"course grade {unit}"),
        (Status.QUARANTINED, "to look at", f"course report {unit}"),
    )
    named = ((what, how, [one.student for one in students if one.status == status]) for status, what, how in kinds)
    asked = ("with open regrade requests", "course regrade list", [one.student for one in students if one.requests])
    return tuple(f"{what} ({how}): {in_short(names, longest=40)}" for what, how, names in (*named, asked) if names)


def as_table(rows: Sequence[UnitStatus] | Sequence[StudentStatus]) -> str:
    """The rows as a table for the terminal, without columns that are empty or the same everywhere."""
    if not rows:
        return "the roster is empty and nothing was handed in: run course roster FILE, then course collect UNIT ZIP"
    names = [entry.name for entry in fields(rows[0])]
    repeated = "unit" if isinstance(rows[0], StudentStatus) else ""
    cells = [[printable(_text(value), _LONGEST) for value in asdict(row).values()] for row in rows]
    kept = [
        place
        for place, name in enumerate(names)
        if place == 0 or (name != repeated and any(row[place] not in ("", "0") for row in cells))
    ]
    shown = [[row[place] for place in kept] for row in [[name.replace("_", " ") for name in names], *cells]]
    widths = [max(len(row[place]) for row in shown) for place in range(len(kept))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    )


def as_csv(rows: Sequence[UnitStatus] | Sequence[StudentStatus]) -> str:
    """The rows as CSV, the header first, safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for place, row in enumerate(map(asdict, rows)):
        if place == 0:
            writer.writerow(row)
        writer.writerow([guarded(_text(value)) if isinstance(value, str | tuple) else value for value in row.values()])
    return text.getvalue()


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "; ".join(value)
    return "" if value is None else str(value)
