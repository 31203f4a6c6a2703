"""Reads everything in the gradebook about one unit, in a few queries however large the class is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    Notebook,
    SolutionCell,
    SubmittedAssignment,
    SubmittedNotebook,
)

from autograder.course.course import Course, Unit
from autograder.course.student_ids import normal_id
from autograder.gradebook.changed_answers import grades_of_unit, why_again
from autograder.gradebook.open_gradebook import opened_gradebook

__all__ = ["GradedSubmission", "QuestionScore", "UnitInGradebook", "unit_in_gradebook"]


@dataclass(frozen=True)
class QuestionScore:
    """The points of one graded cell.

    Attributes:
        name: the cell's name, ``check_`` and the component's name for a check.
        points: the points that count: those given by hand, else the automatic ones, plus extra credit.
        max_points: the maximum without extra credit.
        auto: the automatic points; None if there are none.
        manual: the points given by hand; None if there are none.
        extra_credit: extra points given by hand; None if there are none.
        waits: whether it must still be graded by hand.
        comment: the comment of the person who graded it.
        is_written: whether it is a written answer, which can only be graded by hand.
        waits_again: why it must be graded by hand again, as a clause: "the answer has changed …".
    """

    name: str
    points: float
    max_points: float
    auto: float | None = None
    manual: float | None = None
    extra_credit: float | None = None
    waits: bool = False
    comment: str = ""
    is_written: bool = False
    waits_again: str = ""

    @property
    def answer(self) -> str:
        """The name of the answer: the component's name for a check, the cell's own name for a written answer."""
        return self.name.removeprefix("check_")

    @property
    def has_points(self) -> bool:
        """Whether there are points, automatic or by hand; they stay while the answer waits to be graded again."""
        return (self.manual, self.auto) != (None, None)

    @property
    def extra(self) -> float:
        """The extra points that count; nbgrader adds extra credit only where there are other points."""
        return (self.extra_credit or 0.0) if self.has_points else 0.0


@dataclass(frozen=True)
class GradedSubmission:
    """One student's submission in the gradebook.

    Attributes:
        student: the student's id.
        handed_in: when it was handed in, in UTC; None if unknown.
        extension: how far this student's due date is moved.
        points_lost: the late penalty.
        questions: the graded cells.
    """

    student: str
    handed_in: datetime | None
    extension: timedelta
    points_lost: float
    questions: tuple[QuestionScore, ...]

    @property
    def points(self) -> float:
        """The points before the late penalty."""
        return sum(question.points for question in self.questions)


@dataclass(frozen=True)
class UnitInGradebook:
    """A unit in the gradebook.

    Attributes:
        due: the due date in UTC; None if there is none.
        max_points: the maximum of each graded cell, by name.
        submissions: the graded submissions, by student.
    """

    due: datetime | None = None
    max_points: Mapping[str, float] = field(default_factory=dict)
    submissions: Mapping[str, GradedSubmission] = field(default_factory=dict)


def unit_in_gradebook(course: Course, unit: Unit) -> UnitInGradebook:
    """Everything in the gradebook about a unit; an empty book if the unit is not in the gradebook."""
    with opened_gradebook(course) as gradebook:
        assignment = gradebook.db.query(Assignment).filter(Assignment.name == unit.name).one_or_none()
        if assignment is None:
            return UnitInGradebook()
        scores = _scores(gradebook, assignment, _comments(gradebook, assignment))
        rows = (
            gradebook.db.query(SubmittedAssignment, SubmittedAssignment.late_submission_penalty)
            .filter(SubmittedAssignment.assignment_id == assignment.id)
            .order_by(SubmittedAssignment.student_id)
        )
        submissions = [_submission(row, lost, scores[row.student_id]) for row, lost in rows]
        by_student = {submission.student: submission for submission in submissions}
        return UnitInGradebook(_in_utc(assignment.duedate), _max_points(gradebook, assignment), by_student)


def _submission(row: SubmittedAssignment, lost: float, questions: list[QuestionScore]) -> GradedSubmission:
    extension = row.extension or timedelta()
    return GradedSubmission(normal_id(row.student_id), _in_utc(row.timestamp), extension, lost, tuple(questions))


def _max_points(gradebook: Gradebook, assignment: Assignment) -> Mapping[str, float]:
    cells = (
        gradebook.db.query(GradeCell.name, GradeCell.max_score)
        .join(Notebook, GradeCell.notebook_id == Notebook.id)
        .filter(Notebook.assignment_id == assignment.id)
    )
    return dict(sorted((name, float(points)) for name, points in cells))


def _scores(
    gradebook: Gradebook, assignment: Assignment, comments: Mapping[tuple[str, str], str]
) -> Mapping[str, list[QuestionScore]]:
    columns = (Grade.score, Grade.max_score, Grade.auto_score, Grade.manual_score, Grade.extra_credit)
    again = why_again(gradebook, grades_of_unit(assignment))
    written = _written(gradebook, assignment)
    rows = (
        gradebook.db.query(SubmittedAssignment.student_id, Grade.id, BaseCell.name, *columns, Grade.needs_manual_grade)
        .select_from(Grade)
        .join(BaseCell, Grade.cell_id == BaseCell.id)
        .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .filter(SubmittedAssignment.assignment_id == assignment.id)
        .order_by(BaseCell.name)
    )
    scores = defaultdict(list)
    for student, grade, name, *facts, waits in rows:
        # Comments on a check belong to the answer before it, which carries the component's name.
        comment = comments.get((student, name)) or comments.get((student, name.removeprefix("check_")), "")
        points, most, by_check, by_hand, extra = facts
        question = QuestionScore(name, points, most, by_check, by_hand, extra, waits, comment, name in written)
        if waits and question.manual is not None:
            question = replace(question, waits_again=again.get(grade, ""))
        scores[student].append(question)
    return scores


def _written(gradebook: Gradebook, assignment: Assignment) -> set[str]:
    """The names of the written answers: cells that have a row as a graded cell and another as an answer."""
    cells = (
        gradebook.db.query(SolutionCell.name)
        .join(Notebook, SolutionCell.notebook_id == Notebook.id)
        .filter(Notebook.assignment_id == assignment.id)
    )
    return {name for (name,) in cells} & set(_max_points(gradebook, assignment))


def _comments(gradebook: Gradebook, assignment: Assignment) -> Mapping[tuple[str, str], str]:
    rows = (
        gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, Comment.manual_comment)
        .select_from(Comment)
        .join(BaseCell, Comment.cell_id == BaseCell.id)
        .join(SubmittedNotebook, Comment.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .filter(SubmittedAssignment.assignment_id == assignment.id, Comment.manual_comment.is_not(None))
    )
    return {(student, name): comment for student, name, comment in rows}


def _in_utc(moment: datetime | None) -> datetime | None:
    """The time with its zone; nbgrader stores times in UTC, without a zone."""
    return moment and moment.replace(tzinfo=UTC)
