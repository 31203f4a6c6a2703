"""A student's points in words: how they add up, the late penalty, and what is not graded yet."""

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
    """One line of the sum; ``points`` is None if nobody has given them yet, ``of`` is None if there is no maximum."""

    name: str
    points: float | None
    of: float | None = None


def parts_of(standing: Standing) -> tuple[Part, ...]:
    """The lines that add up to a student's points; empty categories are left out."""
    by_hand = [question for question in standing.questions if question.manual is not None]
    automatic = [question for question in standing.questions if question.manual is None and question.auto is not None]
    ungraded = [question for question in standing.questions if question.manual is None and question.auto is None]
    late = f"Late by {counted(standing.days_late, 'day')}"
    lines = (
        (automatic, Part("Graded automatically", standing.automatic, _worth(automatic))),
        (by_hand, Part("Graded by hand", standing.by_hand, _worth(by_hand))),
        (ungraded, Part("Still to be graded by hand", None, _worth(ungraded))),
        (standing.extra_credit, Part("Extra credit", standing.extra_credit)),
        (standing.days_late, Part(late, -standing.points_lost)),
    )
    return tuple(part for is_shown, part in lines if is_shown)


def waits_sentence(standing: Standing) -> str:
    """A sentence that counts the answers still to be graded by hand or checked again; empty if there are none."""
    ungraded = [question for question in standing.waiting if question.manual is None]
    to_check = len(standing.waiting) - len(ungraded)
    clauses = []
    if ungraded:
        points = number(_worth(ungraded), 2)
        clauses.append(f"{_answers(len(ungraded))} still to be graded by hand, for up to {points} more points")
    if to_check:
        clauses.append(f"{_answers(to_check)} still to be checked again by your instructor")
    return f"{'; '.join(clauses)}." if clauses else ""


def titles_of_written(questions: Iterable[QuestionScore]) -> Mapping[str, str]:
    """The title of each written question, by name: "Written question", with a number if there are several."""
    names = [question.name for question in questions if question.is_written]
    return {name: f"Written question{f' {place}' * (len(names) > 1)}" for place, name in enumerate(names, start=1)}


def _answers(count: int) -> str:
    return f"{count} answer{' is' if count == 1 else 's are'}"


def _worth(questions: Iterable[QuestionScore]) -> float:
    return sum(question.max_points for question in questions)


def late_notice(standing: Standing, policy: LatePolicy) -> str:
    """A sentence for the student: how late the work was and how many points that costs; empty if it was not late."""
    if not standing.days_late:
        return ""
    late = f"Handed in {_days(standing.days_late)} after the due date{_moved(standing.extension)}"
    return f"{late}: {_price(standing, policy)}."


def _price(standing: Standing, policy: LatePolicy) -> str:
    lost = number(standing.points_lost, 2)
    if policy.days_accepted is not None and standing.days_late > policy.days_accepted:
        return f"late work is accepted for {_days(policy.days_accepted)}, so you lose all {lost} points"
    if not policy.points_lost_per_day_percent:
        return "you lose no points"
    share = f"{policy.points_lost_per_day_percent:g}% of the unit's {number(standing.max_points, 2)} points per day"
    full_penalty = standing.max_points * policy.points_lost_per_day_percent / 100 * standing.days_late
    bound = ", but never more than the points earned" if standing.points_lost < full_penalty - 1e-9 else ""
    return f"{share}{bound}, so you lose {lost} of {number(standing.before_lateness, 2)} points"


def _moved(extension: timedelta) -> str:
    return f" (including your extension of {_days(extension / timedelta(days=1))})" if extension else ""


def _days(days: float) -> str:
    return counted(days, "day")
