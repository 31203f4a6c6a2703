"""A student's points in words: the lines that add up to them, what lateness costs, and what still waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from autograder.counts_and_lists import counted
from autograder.course.late_policy import LatePolicy
from autograder.course.spreadsheet import number
from autograder.gradebook.gradebook_queries import QuestionScore
from autograder.gradebook.points_that_count import Standing

__all__ = ["Part", "late_notice", "parts_of", "titles_of_written", "waits_sentence"]


@dataclass(frozen=True)
class Part:
    """One line of the sum; ``points`` is None if a person has yet to give them, ``of`` if there is no maximum."""

    name: str
    points: float | None
    of: float | None = None


def parts_of(standing: Standing) -> tuple[Part, ...]:
    """The lines that add up to a standing's points, without those that add nothing."""
    given = [question for question in standing.questions if question.manual is not None]
    automatic = [question for question in standing.questions if question.manual is None and question.auto is not None]
    nobody = [question for question in standing.questions if question.manual is None and question.auto is None]
    late = f"Late, {counted(standing.days_late, 'day')}"
    lines = (
        (automatic, Part("Graded automatically", standing.automatic, _worth(automatic))),
        (given, Part("Graded by hand", standing.by_hand, _worth(given))),
        (nobody, Part("Still to be graded by hand", None, _worth(nobody))),
        (standing.extra_credit, Part("Extra credit", standing.extra_credit)),
        (standing.days_late, Part(late, -standing.points_lost)),
    )
    return tuple(part for is_there, part in lines if is_there)


def waits_sentence(standing: Standing) -> str:
    """A sentence on how many answers a person has yet to look at; empty if there are none."""
    first = [question for question in standing.waiting if question.manual is None]
    again = len(standing.waiting) - len(first)
    said = []
    if first:
        said.append(f"{_answers(len(first))} to be graded by hand, for up to {number(_worth(first), 2)} more points")
    if again:
        said.append(f"{_answers(again)} to be looked at again by a person")
    return f"{'; '.join(said)}." if said else ""


def titles_of_written(questions: Iterable[QuestionScore]) -> Mapping[str, str]:
    """Titles of the written questions, by name; numbered if there are several."""
    names = [question.name for question in questions if question.is_written]
    return {name: f"Written question{f' {place}' * (len(names) > 1)}" for place, name in enumerate(names, start=1)}


def _answers(count: int) -> str:
    return f"{count} answer{' waits' if count == 1 else 's wait'}"


def _worth(questions: Iterable[QuestionScore]) -> float:
    return sum(question.max_points for question in questions)


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
