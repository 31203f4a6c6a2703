"""Chooses the last unit of an edition for students, and the units whose answers its library may contain.

The answers of a unit are the library's own functions, where students would otherwise get stubs. They are left out while
the unit is open, that is, until the due date, the days for late work and the longest extension have passed. A unit
without a due date, or with late work accepted without limit, is always open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from autograder.course.course import Course, CourseError, Unit
from autograder.course.extensions import extensions_of
from autograder.course.late_policy import later_by
from avae_lib import components

__all__ = ["Closing", "Edition", "closing_of", "edition_for"]


@dataclass(frozen=True)
class Closing:
    """When a unit closes, in UTC (None if it never does), and the reason in words."""

    moment: datetime | None
    reason: str

    def is_over(self, now: datetime) -> bool:
        return self.moment is not None and self.moment < now


@dataclass(frozen=True)
class Edition:
    """The units and answers that students get.

    Attributes:
        through: the last unit whose lecture and assignment are included.
        answers_of: earlier units whose functions are included in the library.
        kept_back: earlier units whose functions are stubs.
        remarks: notes for the instructor about this choice, one sentence each.
    """

    through: Unit
    answers_of: tuple[Unit, ...]
    kept_back: tuple[Unit, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line that names the last unit, and the units whose answers are included or left out."""
        included = f"units up to {self.through.name}; answers of {_listed(self.answers_of) or 'no unit'} included"
        return f"{included}, those of {_listed(self.kept_back)} left out" if self.kept_back else included


def closing_of(course: Course, unit: Unit) -> Closing:
    """When a unit closes: its due date plus the longest extension plus the days for late work.

    Raises:
        CourseError: the file of extensions cannot be read.
    """
    if unit.due is None:
        return Closing(None, "it has no due date in course.toml")
    days = course.late_policy.days_accepted
    if days is None:
        return Closing(None, "late work is accepted without limit: days_accepted is not set in course.toml")
    extension = _longest_extension(course, unit)
    moment = later_by(unit.due, extension + timedelta(days=days), course.zone)
    reasons = [f"due {_shown(unit.due, course.zone)}"]
    reasons += [f"an extension of {extension / timedelta(days=1):g} days"] if extension else []
    reasons += [f"{days:g} days for late work"] if days else []
    return Closing(moment, f"until {_shown(moment, course.zone)} ({', '.join(reasons)})")


def _longest_extension(course: Course, unit: Unit) -> timedelta:
    """The longest extension in the file of extensions or in the gradebook."""
    granted = [*extensions_of(course, unit).values(), *_extensions_in_gradebook(course, unit)]
    return max(granted, default=timedelta())


def _extensions_in_gradebook(course: Course, unit: Unit) -> list[timedelta]:
    if not course.gradebook.exists():
        return []
    from nbgrader.api import Assignment, SubmittedAssignment  # takes a second to import; other commands need not wait

    from autograder.gradebook.open_gradebook import opened_gradebook

    with opened_gradebook(course) as gradebook:
        rows = gradebook.db.query(SubmittedAssignment.extension).join(Assignment).filter(Assignment.name == unit.name)
        return [extension for (extension,) in rows if extension is not None]


def _shown(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}".strip()


def edition_for(
    course: Course,
    through: Unit | None = None,
    with_answers_of: Sequence[Unit] = (),
    without_answers_of: Sequence[Unit] = (),
    now: datetime | None = None,
) -> Edition:
    """The edition for students who have reached the unit ``through``.

    Args:
        course: the course.
        through: the last unit to include; by default the first that is still open.
        with_answers_of: open units whose answers are included nevertheless.
        without_answers_of: units whose answers are left out.
        now: the moment that decides which units are open; by default the current time.

    Raises:
        CourseError: the edition would contain answers of open units that are in neither list, or a listed unit does not
            come before ``through``.
    """
    now = now or datetime.now(UTC)
    closings = {unit.name: closing_of(course, unit) for unit in course.units}
    open_units = [unit for unit in course.units if not closings[unit.name].is_over(now)]
    last = through or (open_units or course.units)[0 if open_units else -1]
    before = course.before(last)
    _require_earlier((*with_answers_of, *without_answers_of), before, last)
    _require_named_once(with_answers_of, without_answers_of)
    undecided = [unit for unit in open_units if unit in before and unit not in (*with_answers_of, *without_answers_of)]
    if exposed := [unit for unit in undecided if components.listing(unit.name)]:
        raise CourseError(_refusal(exposed, last, closings))
    remarks = (
        () if through else (f"last unit chosen because it is the first open one: {_why(last, closings, open_units)}",)
    )
    return Edition(
        last,
        tuple(unit for unit in before if unit not in without_answers_of),
        tuple(unit for unit in before if unit in without_answers_of),
        remarks,
    )


def _require_earlier(named: Sequence[Unit], before: Sequence[Unit], last: Unit) -> None:
    if wrong := [unit for unit in named if unit not in before]:
        raise CourseError(
            f"{wrong[0].name} does not come before {last.name}, so its functions are stubs in this edition: "
            "name only earlier units, or choose a later last unit with --through"
        )


def _require_named_once(with_answers: Sequence[Unit], without_answers: Sequence[Unit]) -> None:
    if both := [unit for unit in with_answers if unit in without_answers]:
        raise CourseError(f"{both[0].name} is given to both --with-answers-of and --without-answers-of: name it once")


def _refusal(exposed: Sequence[Unit], last: Unit, closings: dict[str, Closing]) -> str:
    numbers = " ".join(unit.name.split("_")[0] for unit in exposed)
    reasons = "; ".join(f"{unit.name}: {closings[unit.name].reason}" for unit in exposed)
    return (
        f"an edition through {last.name} would contain the answers of units that can still be handed in ({reasons}). "
        f"Add --without-answers-of {numbers} to leave them out (students then use their own functions), "
        f"--with-answers-of {numbers} to include them, or wait until they close"
    )


def _why(unit: Unit, closings: dict[str, Closing], open_units: Sequence[Unit]) -> str:
    if not open_units:
        return f"no unit is open, so it is the last of the course, {unit.name}"
    return f"{unit.name}, {closings[unit.name].reason}"


def _listed(units: Sequence[Unit]) -> str:
    return ", ".join(unit.name for unit in units)
