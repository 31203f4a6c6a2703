"""The grades of a class as they stand: gradebook, results and roster brought together, lateness taken off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from autograder.batch.class_run import recorded_results
from autograder.course.course import Course, CourseError, Unit
from autograder.course.lateness import days_late
from autograder.course.roster import Roster, Student
from autograder.gradebook.class_book import ClassBook, GradedSubmission, QuestionScore, class_book
from autograder.gradebook.extensions import extensions_of
from autograder.gradebook.late_penalties import settle
from autograder.gradebook.manual_scores import log_manual_changes
from autograder.results import SubmissionResult

__all__ = ["ClassGrades", "Status", "UnitGrade", "class_grades", "graded_units"]


class Status(StrEnum):
    """Where a student's grade in a unit stands."""

    GRADED = "graded"
    WAITING = "waiting"  # for a person to grade written answers; the points so far are there
    QUARANTINED = "quarantined"  # handed in and could not be graded: a person has to look
    MISSING = "missing"  # nothing handed in by the due date
    OPEN = "open"  # nothing handed in, and not due yet


@dataclass(frozen=True)
class UnitGrade:
    """One student's grade in one unit.

    Attributes:
        points: after lateness; None where there is no grade.
        points_lost: for lateness, already taken off.
        reason: why it was quarantined.
        result: what the grader found, where it is recorded.
    """

    status: Status
    points: float | None
    max_points: float
    points_lost: float = 0.0
    days_late: int = 0
    handed_in: datetime | None = None
    questions: tuple[QuestionScore, ...] = ()
    reason: str = ""
    result: SubmissionResult | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nobody has to do anything more about it."""
        return self.status in (Status.GRADED, Status.MISSING)


@dataclass(frozen=True)
class ClassGrades:
    """The grades of a class.

    Attributes:
        students: those of the roster in its order, then others who handed something in.
        grades: by student and unit.
        max_points: what each unit is worth, by unit.
        strangers: ids that handed something in and are not in the roster, where there is one.
    """

    units: tuple[Unit, ...]
    students: tuple[Student, ...]
    grades: Mapping[tuple[str, str], UnitGrade]
    max_points: Mapping[str, float]
    strangers: tuple[str, ...] = ()

    def of(self, student: Student, unit: Unit) -> UnitGrade:
        return self.grades[student.id, unit.name]

    def remarks(self) -> tuple[str, ...]:
        """What a person should know before handing these grades on, one sentence each."""
        counts = {status: sum(grade.status == status for grade in self.grades.values()) for status in Status}
        remarks = (
            (counts[Status.WAITING], "with written answers nobody has graded: the points so far are exported"),
            (counts[Status.QUARANTINED], "quarantined: left without points"),
            (counts[Status.MISSING], "missing"),
            (len(self.strangers), f"by somebody who is not in the roster: {', '.join(self.strangers[:5])}"),
        )
        return tuple(f"{count} {what}" for count, what in remarks if count)


@dataclass(frozen=True)
class _UnitRecords:
    """All that is known of one unit."""

    unit: Unit
    book: ClassBook
    results: Mapping[str, SubmissionResult]
    extensions: Mapping[str, timedelta] = field(default_factory=dict)

    @property
    def due(self) -> datetime | None:
        return self.unit.due or self.book.due


def graded_units(course: Course) -> tuple[Unit, ...]:
    """The units in which somebody has been graded or quarantined, in teaching order."""
    return tuple(
        unit for unit in course.units if recorded_results(course, unit) or class_book(course, unit).submissions
    )


def class_grades(course: Course, units: Sequence[Unit] = (), now: datetime | None = None) -> ClassGrades:
    """The grades of the given units (by default of all that have been graded), with the gradebook brought up to date.

    Args:
        now: the moment that decides what is missing and what is not due yet; by default this one.

    Raises:
        CourseError: nothing has been graded.
    """
    chosen = tuple(units) or graded_units(course)
    records = [_records(course, unit) for unit in chosen]
    if not any(record.book.submissions or record.results for record in records):
        raise CourseError("nothing has been graded yet: run course grade first")
    roster, now = Roster.of(course), now or datetime.now(UTC)
    handed_in = {student for record in records for student in (*record.book.submissions, *record.results)}
    strangers = tuple(sorted(handed_in - set(roster.students)))
    students = (*roster.students.values(), *(Student(student) for student in strangers))
    grades = {
        (student.id, record.unit.name): _grade(course, record, student.id, now)
        for record in records
        for student in students
    }
    max_points = {record.unit.name: _worth(record) for record in records}
    return ClassGrades(chosen, students, grades, max_points, strangers if roster else ())


def _records(course: Course, unit: Unit) -> _UnitRecords:
    settle(course, unit)
    book = class_book(course, unit)
    log_manual_changes(course, unit, book)
    results = {result.student: result for result in recorded_results(course, unit)}
    return _UnitRecords(unit, book, results, extensions_of(course, unit))


def _worth(record: _UnitRecords) -> float:
    return sum(record.book.max_points.values())


def _grade(course: Course, record: _UnitRecords, student: str, now: datetime) -> UnitGrade:
    result, submission = record.results.get(student), record.book.submissions.get(student)
    if result is not None and result.status == "quarantined":
        return UnitGrade(Status.QUARANTINED, None, _worth(record), reason=result.reason, result=result)
    if submission is not None:
        return _of_submission(record, submission, result)
    if result is not None:
        reason = "graded, but the gradebook does not know it: grade it again"
        return UnitGrade(Status.QUARANTINED, None, _worth(record), reason=reason, result=result)
    return _of_nothing(course, record, student, now)


def _of_submission(record: _UnitRecords, submission: GradedSubmission, result: SubmissionResult | None) -> UnitGrade:
    waits = any(question.waits for question in submission.questions)
    return UnitGrade(
        Status.WAITING if waits else Status.GRADED,
        max(0.0, submission.points - submission.points_lost),
        _worth(record),
        submission.points_lost,
        days_late(submission.handed_in, record.due and record.due + submission.extension),
        submission.handed_in,
        submission.questions,
        result=result,
    )


def _of_nothing(course: Course, record: _UnitRecords, student: str, now: datetime) -> UnitGrade:
    due = record.due and record.due + record.extensions.get(student, timedelta())
    if due is not None and now <= due:
        return UnitGrade(Status.OPEN, None, _worth(record))
    points = 0.0 if course.late_policy.missing == "zero" else None
    questions = tuple(QuestionScore(name, 0.0, worth) for name, worth in record.book.max_points.items())
    return UnitGrade(Status.MISSING, points, _worth(record), questions=questions)
