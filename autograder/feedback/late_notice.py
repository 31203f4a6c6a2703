"""What a student is told about lateness."""

from __future__ import annotations

from datetime import timedelta

from autograder.counts_and_lists import counted
from autograder.course.late_policy import LatePolicy
from autograder.course.spreadsheet import number
from autograder.gradebook.points_that_count import Standing

__all__ = ["late_notice"]


def late_notice(standing: Standing, policy: LatePolicy) -> str:
    """A sentence for the student on how late the work was and which points that loses; empty if it was not late."""
    if not standing.days_late:
        return ""
    late = f"Handed in {_days(standing.days_late)} after the due date{_moved(standing.extension)}"
    return f"{late}: {_price(standing, policy)}."


def _price(standing: Standing, policy: LatePolicy) -> str:
    lost = number(standing.points_lost, 2)
    if policy.days_accepted is not None and standing.days_late > policy.days_accepted:
        return f"work is accepted for {_days(policy.days_accepted)}, so all {lost} points are taken off"
    if not policy.points_lost_per_day_percent:
        return "nothing is taken off"
    share = (
        f"{policy.points_lost_per_day_percent:g} % of the unit's {number(standing.max_points, 2)} points for each day"
    )
    asked = standing.max_points * policy.points_lost_per_day_percent / 100 * standing.days_late
    bound = ", but never more than the points earned" if standing.points_lost < asked - 1e-9 else ""
    return f"{share}{bound}, so {lost} of {number(standing.before_lateness, 2)} points are taken off"


def _moved(extension: timedelta) -> str:
    return f", which an extension had moved by {_days(extension / timedelta(days=1))}" if extension else ""


def _days(days: float) -> str:
    return counted(days, "day")
