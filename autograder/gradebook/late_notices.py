"""What a student is told about lateness."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

from autograder.course.course import Course, Unit
from autograder.course.lateness import days_late, later_by
from autograder.course.spreadsheet import number
from autograder.gradebook.class_book import GradedSubmission, class_book
from autograder.gradebook.late_penalties import settle

__all__ = ["late_notices"]


def late_notices(course: Course, unit: Unit) -> Mapping[str, str]:
    """A sentence for each student of a unit whose work was late, with the gradebook brought up to date."""
    if not course.gradebook.exists():
        return {}
    settle(course, unit)
    book = class_book(course, unit)
    due = unit.due or book.due
    notices = {student: _notice(submission, due, course.zone) for student, submission in book.submissions.items()}
    return {student: notice for student, notice in notices.items() if notice}


def _notice(submission: GradedSubmission, due: datetime | None, zone: tzinfo) -> str:
    days = days_late(submission.handed_in, due and later_by(due, submission.extension, zone), zone)
    if not days:
        return ""
    lost, of = number(submission.points_lost, 2), number(submission.points, 2)
    return (
        f"Handed in {days} day{'s' * (days != 1)} after the due date{_extension(submission.extension)}: "
        f"{lost} of {of} points are taken off."
    )


def _extension(extension: timedelta) -> str:
    days = extension / timedelta(days=1)
    return f", which an extension had moved by {days:g} day{'s' * (days != 1)}" if extension else ""
