"""A student's standing in a unit: points and how they add up, what is still to be graded, and lateness.

Feedback pages, exports, reports and ``course status`` all read it here. formgrader shows the same numbers, because they
come from nbgrader's gradebook, which is updated first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from nbgrader.utils import determine_grade

from autograder.course.course import Course, Unit
from autograder.course.extensions import extensions_of
from autograder.course.late_policy import days_late, later_by
from autograder.course.roster import Roster
from autograder.gradebook.gradebook_queries import GradedSubmission, QuestionScore, UnitInGradebook, unit_in_gradebook
from autograder.gradebook.nbgrader_lateness import settle
from autograder.gradebook.points_by_hand import log_manual_changes
from autograder.gradebook.recorded_results import recorded_results
from autograder.intake.submissions import find_submissions
from autograder.results import Graded, SubmissionResult

__all__ = ["Standing", "Status", "UnitStanding", "standing_outside", "unit_standing"]

_LOST = "graded, but missing from the gradebook: grade it again"
_DIFFERS = "the gradebook and the grader's own record differ: grade it again"


class Status(StrEnum):
    """The state of a student's grade in a unit."""

    GRADED = "graded"
    WAITING = "waiting"  # some answers are still to be graded by hand; the points so far count
    QUARANTINED = "quarantined"  # handed in but could not be graded; somebody must look at it
    UNGRADED = "not graded"  # handed in after the unit was last graded
    MISSING = "missing"  # nothing handed in by the due date
    OPEN = "open"  # nothing handed in, and not due yet


@dataclass(frozen=True)
class Standing:
    """One student's points and status in one unit.

    Attributes:
        student: the student's id.
        status: whether it is graded, waiting, quarantined, …
        points: the points that count, after the late penalty; None without a grade. If the latest file could not be
            graded, the points of the one before count.
        max_points: the unit's maximum.
        questions: the graded cells with their points, by name.
        handed_in: when the work that counts was handed in, in UTC; None if unknown, which counts as on time.
        due: the student's own due date in UTC, moved by ``extension``; None if there is none.
        extension: how far the student's due date is moved.
        days_late: days late, counting a day begun as a whole day.
        points_lost: the late penalty, already subtracted from ``points``.
        reason: why somebody must look at the whole submission; empty if nobody must.
        result: the grader's recorded result; None if there is none.
    """

    student: str
    status: Status
    points: float | None
    max_points: float
    questions: tuple[QuestionScore, ...] = ()
    handed_in: datetime | None = None
    due: datetime | None = None
    extension: timedelta = timedelta()
    days_late: int = 0
    points_lost: float = 0.0
    reason: str = ""
    result: SubmissionResult | None = None

    @property
    def automatic(self) -> float:
        """The automatic points of questions that nobody has graded by hand."""
        return sum(question.auto or 0.0 for question in self.questions if question.manual is None)

    @property
    def by_hand(self) -> float:
        """The points given by hand, which replace automatic ones."""
        return sum(question.manual or 0.0 for question in self.questions)

    @property
    def extra_credit(self) -> float:
        """The extra points given by hand."""
        return sum(question.extra for question in self.questions)

    @property
    def before_lateness(self) -> float:
        """The points before the late penalty: automatic, by hand, and extra credit."""
        return sum(question.points for question in self.questions)

    @property
    def waiting(self) -> tuple[QuestionScore, ...]:
        """The questions still to be graded by hand."""
        return tuple(question for question in self.questions if question.waits)

    @property
    def has_work(self) -> bool:
        """Whether the points are for work that was handed in."""
        return self.points is not None and self.status is not Status.MISSING

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in (Status.GRADED, Status.MISSING)


@dataclass(frozen=True)
class UnitStanding:
    """The standings of all students in a unit.

    Attributes:
        unit: the unit.
        max_points: the maximum of each question, by name.
        students: standings by id: students in the roster, in its order, then others who handed in work.
        strangers: ids that handed in work but are not in the roster; empty if there is no roster.
        due: the due date in UTC without extensions; None if there is none.
    """

    unit: Unit
    max_points: Mapping[str, float]
    students: Mapping[str, Standing]
    strangers: tuple[str, ...]
    due: datetime | None
    _blank: Callable[[str], Standing] = field(repr=False)

    @property
    def worth(self) -> float:
        """The unit's maximum points."""
        return sum(self.max_points.values())

    @property
    def is_graded(self) -> bool:
        """Whether anybody has been graded or quarantined."""
        nobody = (Status.UNGRADED, Status.MISSING, Status.OPEN)
        return any(standing.status not in nobody for standing in self.students.values())

    @property
    def without_time(self) -> tuple[str, ...]:
        """Students whose work was handed in at an unknown time, so that it does not count as late."""
        return tuple(name for name, standing in self.students.items() if standing.has_work and not standing.handed_in)

    def of(self, student: str) -> Standing:
        """The standing of a student, even of one who appears only in other units."""
        return self.students.get(student) or self._blank(student)


def unit_standing(course: Course, unit: Unit, now: datetime | None = None) -> UnitStanding:
    """Update the gradebook and return the standings of all students in a unit.

    Args:
        course: the course.
        unit: the unit.
        now: the time that decides what is missing and what is not due yet; by default the current time.
    """
    records = _Records.of(course, unit, now or datetime.now(UTC))
    roster = Roster.of(course).students
    others = {*records.book.submissions, *records.results, *records.handed_in} - set(roster)
    ids = (*roster, *sorted(others))
    students = {student: records.standing(student) for student in ids}
    strangers = tuple(sorted(others)) if roster else ()
    return UnitStanding(unit, records.book.max_points, students, strangers, records.due, records.standing)


def standing_outside(course: Course, unit: Unit, graded: Graded) -> Standing:
    """The standing of a student whose work was graded without the gradebook."""
    if graded.notebook is None:
        result = graded.result
        return Standing(
            result.student, Status.QUARANTINED, None, result.max_points, reason=result.reason, result=result
        )
    questions = tuple(_questions(graded))
    worth = sum(question.max_points for question in questions)
    points = sum(question.points for question in questions)
    handed_in = graded.handed_in and graded.handed_in.replace(tzinfo=UTC)
    late = days_late(handed_in, unit.due, course.zone)
    lost = course.late_policy.points_lost(points, worth, late)
    status = Status.WAITING if any(question.waits for question in questions) else Status.GRADED
    return Standing(
        student=graded.result.student,
        status=status,
        points=points - lost,
        max_points=worth,
        questions=questions,
        handed_in=handed_in,
        due=unit.due,
        days_late=late,
        points_lost=lost,
        result=graded.result,
    )


def _questions(graded: Graded) -> Iterator[QuestionScore]:
    """The graded cells of a notebook with the points that an empty gradebook would store."""
    assert graded.notebook is not None, "what is quarantined has no points"
    for cell in graded.notebook.cells:
        label = cell.metadata.get("nbgrader", {})
        if label.get("grade"):
            name = label["grade_id"]
            worth = float(label["points"])
            is_written = bool(label.get("solution"))
            score = graded.result.components.get(name.removeprefix("check_"))
            auto = determine_grade(cell)[0] if is_written else score and score.points
            yield QuestionScore(name, auto or 0.0, worth, auto, waits=auto is None, is_written=is_written)


@dataclass(frozen=True)
class _Records:
    """All records about one unit, from which standings are made."""

    book: UnitInGradebook
    results: Mapping[str, SubmissionResult]
    extensions: Mapping[str, timedelta]
    handed_in: frozenset[str]
    due: datetime | None
    missing: float | None
    now: datetime
    zone: tzinfo

    @classmethod
    def of(cls, course: Course, unit: Unit, now: datetime) -> _Records:
        book = UnitInGradebook()
        if course.gradebook.exists():
            settle(course, unit)
            book = unit_in_gradebook(course, unit)
            log_manual_changes(course, unit, book)
        results = {result.student: result for result in recorded_results(course, unit)}
        submissions = find_submissions(course.submitted, unit.name) if course.submitted.is_dir() else ()
        handed_in = frozenset(submission.student for submission in submissions)
        missing = 0.0 if course.late_policy.missing == "zero" else None
        due = unit.due or book.due
        return cls(book, results, extensions_of(course, unit), handed_in, due, missing, now, course.zone)

    def standing(self, student: str) -> Standing:
        result = self.results.get(student)
        submission = self.book.submissions.get(student)
        if submission is not None:
            return self._of_submission(submission, result)
        if result is not None:
            reason = result.reason if result.status == "quarantined" else _LOST
            return self._without_points(student, Status.QUARANTINED, reason=reason, result=result)
        if student in self.handed_in:
            return self._without_points(student, Status.UNGRADED)
        return self._of_nothing(student)

    def _of_submission(self, submission: GradedSubmission, result: SubmissionResult | None) -> Standing:
        due = self.due and later_by(self.due, submission.extension, self.zone)
        reason = _trouble(submission, result)
        waits = any(question.waits for question in submission.questions)
        return Standing(
            student=submission.student,
            status=Status.QUARANTINED if reason else Status.WAITING if waits else Status.GRADED,
            points=max(0.0, submission.points - submission.points_lost),
            max_points=self._worth,
            questions=submission.questions,
            handed_in=submission.handed_in,
            due=due,
            extension=submission.extension,
            days_late=days_late(submission.handed_in, due, self.zone),
            points_lost=submission.points_lost,
            reason=reason,
            result=result,
        )

    def _without_points(self, student: str, status: Status, **facts: Any) -> Standing:
        extension = self.extensions.get(student, timedelta())
        due = self.due and later_by(self.due, extension, self.zone)
        return Standing(student, status, None, self._worth, due=due, extension=extension, **facts)

    def _of_nothing(self, student: str) -> Standing:
        blank = self._without_points(student, Status.OPEN)
        if blank.due is not None and self.now <= blank.due:
            return blank
        questions = tuple(QuestionScore(name, 0.0, worth, 0.0) for name, worth in self.book.max_points.items())
        return replace(blank, status=Status.MISSING, points=self.missing, questions=questions)

    @property
    def _worth(self) -> float:
        return sum(self.book.max_points.values())


def _trouble(submission: GradedSubmission, result: SubmissionResult | None) -> str:
    """Why somebody must look at the whole submission; empty if nobody must."""
    if result is None:
        return ""
    if result.status == "quarantined":
        return result.reason
    judged = {question.answer: question.auto for question in submission.questions}
    same = all(judged.get(name) == score.points for name, score in result.components.items())
    return "" if same else _DIFFERS
