"""What the gradebook holds on one unit, read in a few queries whatever the size of the class."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    Notebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy.exc import SAWarning

from autograder.course import Course, CourseError, Unit
from autograder.nbgrader_config import let_nbgrader_find_its_programs

__all__ = ["ClassBook", "GradedSubmission", "QuestionScore", "class_book", "opened_gradebook"]


@dataclass(frozen=True)
class QuestionScore:
    """The points of one graded cell.

    Attributes:
        points: what counts: given by hand, else by the grader, with extra credit.
        waits: whether a person has yet to grade it.
        comment: what a person wrote about it.
    """

    name: str
    points: float
    max_points: float
    auto: float | None = None
    manual: float | None = None
    extra_credit: float | None = None
    waits: bool = False
    comment: str = ""


@dataclass(frozen=True)
class GradedSubmission:
    """One student's submission as the gradebook holds it.

    Attributes:
        handed_in: in UTC; None if it is not known.
        extension: moves this student's due date.
        points_lost: for lateness.
    """

    student: str
    handed_in: datetime | None
    extension: timedelta
    points_lost: float
    questions: tuple[QuestionScore, ...]

    @property
    def points(self) -> float:
        """Before anything is taken off for lateness."""
        return sum(question.points for question in self.questions)


@dataclass(frozen=True)
class ClassBook:
    """A unit in the gradebook.

    Attributes:
        due: in UTC; None if there is no due date.
        max_points: of each graded cell, in the notebook's order.
    """

    due: datetime | None = None
    max_points: Mapping[str, float] = field(default_factory=dict)
    submissions: Mapping[str, GradedSubmission] = field(default_factory=dict)


@contextmanager
def opened_gradebook(course: Course) -> Iterator[Gradebook]:
    """The gradebook of a course.

    Raises:
        CourseError: there is none yet.
    """
    if not course.gradebook.exists():
        raise CourseError(f"there is no gradebook yet ({course.gradebook}): run course grade first")
    let_nbgrader_find_its_programs()
    with warnings.catch_warnings(), Gradebook(f"sqlite:///{course.gradebook.resolve()}") as gradebook:
        warnings.filterwarnings("ignore", "Object of type .* not in session", SAWarning)
        yield gradebook


def class_book(course: Course, unit: Unit) -> ClassBook:
    """Everything the gradebook holds on a unit; an empty book if it does not know the unit."""
    with opened_gradebook(course) as gradebook:
        assignment = gradebook.db.query(Assignment).filter(Assignment.name == unit.name).one_or_none()
        if assignment is None:
            return ClassBook()
        scores = _scores(gradebook, assignment, _comments(gradebook, assignment))
        rows = (
            gradebook.db.query(SubmittedAssignment, SubmittedAssignment.late_submission_penalty)
            .filter(SubmittedAssignment.assignment_id == assignment.id)
            .order_by(SubmittedAssignment.student_id)
        )
        submissions = {row.student_id: _submission(row, lost, scores[row.student_id]) for row, lost in rows}
        return ClassBook(_in_utc(assignment.duedate), _max_points(gradebook, assignment), submissions)


def _submission(row: SubmittedAssignment, lost: float, questions: list[QuestionScore]) -> GradedSubmission:
    extension = row.extension or timedelta()
    return GradedSubmission(row.student_id, _in_utc(row.timestamp), extension, lost, tuple(questions))


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
    rows = (
        gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, *columns, Grade.needs_manual_grade)
        .select_from(Grade)
        .join(BaseCell, Grade.cell_id == BaseCell.id)
        .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .filter(SubmittedAssignment.assignment_id == assignment.id)
        .order_by(BaseCell.name)
    )
    scores = defaultdict(list)
    for student, name, *facts in rows:
        # Comments on a check belong to the answer before it, which carries the component's name.
        comment = comments.get((student, name)) or comments.get((student, name.removeprefix("check_")), "")
        scores[student].append(QuestionScore(name, *facts, comment))
    return scores


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
    """nbgrader keeps times in UTC, without saying so."""
    return moment and moment.replace(tzinfo=UTC)
