"""When work counts as late, and what that costs.

A unit is due at a moment (``due`` in ``course.toml``), the same for everybody; an extension moves it for one student.
Extensions and lateness are counted in days on the wall clock of the course's time zone: a day on which the clocks
change is one day, whether it has 23 hours or 25. A day that has begun counts as a day: one minute late is one day late.
Each day costs a share of the points the unit is *worth*, as in Canvas, not of those that were earned; nobody drops
below zero. After ``days_accepted`` days work counts nothing. Work whose time of handing in is not known is not late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

__all__ = ["LatePolicy", "days_late", "due_moment", "later_by", "time_zone"]

Missing = Literal["zero", "blank"]
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class LatePolicy:
    """What lateness costs.

    Attributes:
        points_lost_per_day_percent: of the points the unit is worth, for each day begun.
        days_accepted: how many days late work is taken at all; None for ever.
        missing: what a student gets who handed nothing in by the due date: no points, or no entry.

    Raises:
        ValueError: an entry makes no sense; the message names it.
    """

    points_lost_per_day_percent: float = 0.0
    days_accepted: int | None = None
    missing: Missing = "zero"

    def __post_init__(self) -> None:
        if not (_is_number(self.points_lost_per_day_percent) and 0 <= self.points_lost_per_day_percent <= 100):
            raise ValueError(f"points_lost_per_day_percent must be 0 to 100, got {self.points_lost_per_day_percent!r}")
        if self.days_accepted is not None and not (_is_number(self.days_accepted) and self.days_accepted >= 0):
            raise ValueError(f"days_accepted must be a number of days, 0 or more, got {self.days_accepted!r}")
        if self.missing not in get_args(Missing):
            raise ValueError(f'missing must be "zero" or "blank", got {self.missing!r}')

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> LatePolicy:
        """The policy that ``[late_policy]`` of ``course.toml`` states.

        Raises:
            ValueError: it holds an entry that is not known or makes no sense.
        """
        if unknown := set(facts) - set(cls.__dataclass_fields__):
            known = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"{sorted(unknown)[0]} is not known there; known are {known}")
        return cls(**facts)

    def points_lost(self, points: float, max_points: float, days: int) -> float:
        """What is taken from ``points`` of ``max_points`` for work ``days`` late: between 0 and ``points``."""
        if days <= 0 or points <= 0:
            return 0.0
        if self.days_accepted is not None and days > self.days_accepted:
            return points
        return min(points, max_points * self.points_lost_per_day_percent / 100 * days)


def days_late(handed_in: datetime | None, deadline: datetime | None, zone: tzinfo = UTC) -> int:
    """How many days late; 0 where the time of either is not known.

    Fractions of a second are dropped, for clocks that write them down and deadlines that do not.

    Args:
        deadline: the due date, moved by the student's extension.
        zone: whose wall clock says when a day is over.
    """
    if handed_in is None or deadline is None:
        return 0
    handed_in = handed_in.replace(microsecond=0)
    # One too few to begin with: a change of the clocks is less than a day, even where the date line is moved.
    days = max(0, math.ceil((handed_in - deadline) / _DAY) - 1)
    while later_by(deadline, timedelta(days=days), zone) < handed_in:
        days += 1
    return days


def later_by(moment: datetime, days: timedelta, zone: tzinfo) -> datetime:
    """The moment when the clock on the wall shows the same time so many days later, in UTC.

    Where the clock is changed then, and shows that time twice or never, the later of the two moments that could be
    meant.

    >>> berlin = time_zone("Europe/Berlin")
    >>> later_by(datetime(2027, 3, 27, 12, tzinfo=berlin), timedelta(days=1), berlin).isoformat()  # CET to CEST
    '2027-03-28T10:00:00+00:00'
    """
    if not days:
        return moment.astimezone(UTC)
    there = moment.astimezone(zone).replace(tzinfo=None) + days
    return max(there.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def time_zone(name: str) -> tzinfo:
    """The time zone of that name in the IANA data base, ``Europe/Berlin`` for example.

    Raises:
        ValueError: there is no such zone, or this machine lacks the data base.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (OSError, KeyError, ValueError, TypeError):
        raise ValueError(f"time_zone {name!r} is not known here; an example is Europe/Berlin") from None


def due_moment(due: object, zone: tzinfo) -> datetime | None:
    """A unit's due date in UTC: a time of ``zone``, unless it states an offset of its own.

    Raises:
        ValueError: it is no date with a time.
    """
    if due is None:
        return None
    if not isinstance(due, datetime):
        raise ValueError(f"due must be a date with a time, like 2027-03-12T23:59:00, got {due}")
    return (due if due.tzinfo else due.replace(tzinfo=zone)).astimezone(UTC)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
