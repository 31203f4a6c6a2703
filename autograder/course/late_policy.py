"""When work counts as late, and how many points that costs.

Every unit has one due date (``due`` in ``course.toml``); an extension moves it for one student. Extensions and lateness
are counted in days on the wall clock of the course's time zone, so a day on which the clocks change is one day, whether
it has 23 or 25 hours. A day begun counts as a whole day: one minute late is one day late. Each day costs a
percentage of the unit's maximum points, as in Canvas, not of the points earned; points never drop below zero. After
``days_accepted`` days, work gets no points. Work handed in at an unknown time is not late.
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
    """The course's rule for late work.

    Attributes:
        points_lost_per_day_percent: percentage of the unit's maximum points lost for each day begun.
        days_accepted: number of days after the due date until which work gets points; None for no limit.
        missing: entry for a student who handed in nothing: ``zero`` points, or ``blank`` for none.

    Raises:
        ValueError: a value is out of its range; the message names it.

    >>> LatePolicy(points_lost_per_day_percent=10).points_lost(18, max_points=20, days=2)
    4.0
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
        """The policy from the table ``[late_policy]`` of ``course.toml``.

        Raises:
            ValueError: a key is unknown, or a value is out of its range.
        """
        if unknown := set(facts) - set(cls.__dataclass_fields__):
            known = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"[late_policy] has the unknown key {sorted(unknown)[0]}: use one of {known}")
        return cls(**facts)

    def points_lost(self, points: float, max_points: float, days: int) -> float:
        """The points lost by work that earned ``points`` of ``max_points`` and is ``days`` late; at most ``points``."""
        if days <= 0 or points <= 0:
            return 0.0
        if self.days_accepted is not None and days > self.days_accepted:
            return points
        return min(points, max_points * self.points_lost_per_day_percent / 100 * days)


def days_late(handed_in: datetime | None, deadline: datetime | None, zone: tzinfo = UTC) -> int:
    """The number of days late, counting a day begun as a whole day; 0 if one of the times is unknown.

    Fractions of a second are dropped, because deadlines have none.

    Args:
        handed_in: when the work was handed in.
        deadline: the due date, moved by the student's extension.
        zone: the time zone whose wall clock counts the days.
    """
    if handed_in is None or deadline is None:
        return 0
    handed_in = handed_in.replace(microsecond=0)
    # Start one day too low: 24-hour days and days on the wall clock differ by at most one.
    days = max(0, math.ceil((handed_in - deadline) / _DAY) - 1)
    while later_by(deadline, timedelta(days=days), zone) < handed_in:
        days += 1
    return days


def later_by(moment: datetime, days: timedelta, zone: tzinfo) -> datetime:
    """The moment, in UTC, when the wall clock shows the same time ``days`` later.

    If the clocks change at that time, so that they show it twice or never, the later of the two possible moments is
    returned.

    >>> berlin = time_zone("Europe/Berlin")
    >>> later_by(datetime(2027, 3, 27, 12, tzinfo=berlin), timedelta(days=1), berlin).isoformat()  # CET to CEST
    '2027-03-28T10:00:00+00:00'
    """
    if not days:
        return moment.astimezone(UTC)
    there = moment.astimezone(zone).replace(tzinfo=None) + days
    return max(there.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def time_zone(name: str) -> tzinfo:
    """The time zone with this name in the IANA data base, for example ``Europe/Berlin``.

    Raises:
        ValueError: there is no such zone, or this machine has no IANA data base.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (OSError, KeyError, ValueError, TypeError):
        raise ValueError(f"time_zone must be a name like Europe/Berlin, got {name!r}") from None


def due_moment(due: object, zone: tzinfo) -> datetime | None:
    """A unit's due date in UTC; a date without an offset is read as local time in ``zone``.

    Raises:
        ValueError: ``due`` is not a date with a time.
    """
    if due is None:
        return None
    if not isinstance(due, datetime):
        raise ValueError(f"due must be a date with a time, like 2027-03-12T23:59:00, got {due}")
    return (due if due.tzinfo else due.replace(tzinfo=zone)).astimezone(UTC)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
