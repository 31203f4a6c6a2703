"""Reads a class's written answers, and writes points and comments given for them by hand.

It changes the same fields as formgrader: ``manual_score``, ``manual_comment`` and ``needs_manual_grade``. Two people
may grade at once, here or in formgrader, so a change is saved only if points, comment and answer are still those that
its author saw.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import (
    Assignment,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    SolutionCell,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import and_
from sqlalchemy.orm import Query, aliased

from autograder.course.course import Course, CourseError, Unit
from autograder.gradebook.gradebook_writer import autograded_notebook
from autograder.gradebook.open_gradebook import one_transaction
from autograder.intake.pictured_text import parts_of_answer

__all__ = ["LONGEST_COMMENT", "ChangedMeanwhile", "NoSuchAnswer", "WrittenAnswer", "give", "written_answers"]

LONGEST_COMMENT = 10_000  # characters

_BESIDE = "handed-in-"  # prefix of the ids of cells that contain a student's other files

Part = tuple[str, str]


@dataclass(frozen=True)
class WrittenAnswer:
    """One student's answer, with its points and comment.

    Attributes:
        key: nbgrader's id of the grade, which identifies the answer but not the student.
        student: the student's id.
        parts: in order, ("text", Markdown without HTML, links or commands) and ("picture", PNG in base64).
        beside: the parts of other files that were handed in, for example a capstone's report.
        points: points given by hand; None if there are none.
        auto_points: nbgrader's automatic points: 0 for an empty answer, else None.
        extra_credit: extra points given by hand; None if there are none.
        comment: the comment given by hand; empty if there is none.
        max_points: the question's maximum.
        waits: whether it must still be graded by hand.
    """

    key: str
    student: str
    parts: tuple[Part, ...]
    beside: tuple[Part, ...]
    points: float | None
    auto_points: float | None
    extra_credit: float | None
    comment: str
    max_points: float
    waits: bool

    @property
    def revision(self) -> str:
        """A value that changes whenever points, comment or answer change."""
        seen = [self.parts, self.beside, self.points, self.comment, self.waits]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:32]


class ChangedMeanwhile(Exception):
    """Somebody else has graded the answer, or it was handed in again; ``answer`` is its current state."""

    def __init__(self, answer: WrittenAnswer) -> None:
        super().__init__("the answer was changed in the meantime")
        self.answer = answer


class NoSuchAnswer(Exception):
    """The gradebook does not contain this answer; the student may have been removed."""


def written_answers(gradebook: Gradebook, course: Course, unit: Unit, question: str) -> tuple[WrittenAnswer, ...]:
    """The answers of all graded students, by student."""
    rows = _rows(gradebook, unit).filter(GradeCell.name == question).order_by(SubmittedAssignment.student_id)
    return tuple(_answer(course, unit, *row) for row in rows)


def give(
    gradebook: Gradebook, course: Course, unit: Unit, key: str, seen: str, points: float | None, comment: str
) -> tuple[WrittenAnswer, WrittenAnswer]:
    """Give points and a comment for an answer, like formgrader; return the answer before and after.

    Args:
        gradebook: the open gradebook.
        course: the course.
        unit: the unit.
        key: the key of the answer.
        seen: the revision that the grading person saw.
        points: the points; None removes them, so that the answer must be graded again.
        comment: the comment; empty for none.

    Raises:
        NoSuchAnswer: the student was removed, or never handed this in.
        ChangedMeanwhile: the answer differs from the seen revision; nothing is written.
        CourseError: points or comment are out of range.
    """
    with one_transaction(gradebook):
        row = _rows(gradebook, unit).filter(Grade.id == key).one_or_none()
        if row is None:
            raise NoSuchAnswer("this answer is not in the gradebook any more")
        before = _answer(course, unit, *row)
        if before.revision != seen:
            raise ChangedMeanwhile(before)
        _require_in_range(points, comment, before)
        _, grade, written, _, _ = row
        grade.manual_score = points
        grade.needs_manual_grade = points is None and grade.auto_score is None
        written.manual_comment = comment.strip() or None
        return before, _answer(course, unit, *row)


def _require_in_range(points: float | None, comment: str, answer: WrittenAnswer) -> None:
    if points is not None and not (math.isfinite(points) and 0 <= points <= answer.max_points):
        raise CourseError(f"points must be 0 to {answer.max_points:g}, got {points}")
    if len(comment) > LONGEST_COMMENT:
        raise CourseError(f"a comment may have at most {LONGEST_COMMENT:,} characters, got {len(comment):,}")


def _rows(gradebook: Gradebook, unit: Unit) -> Query:
    """The student, grade, comment, name and maximum of each written answer."""
    own = aliased(SolutionCell)  # a written answer has two rows with one name: one for the grade, one for the comment
    return (
        gradebook.db.query(SubmittedAssignment.student_id, Grade, Comment, GradeCell.name, GradeCell.max_score)
        .select_from(Grade)
        .join(GradeCell, Grade.cell_id == GradeCell.id)
        .join(SubmittedNotebook, Grade.notebook_id == SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
        .join(own, and_(own.notebook_id == GradeCell.notebook_id, own.name == GradeCell.name))
        .join(Comment, and_(Comment.cell_id == own.id, Comment.notebook_id == Grade.notebook_id))
        .filter(Assignment.name == unit.name)
    )


def _answer(
    course: Course, unit: Unit, student: str, grade: Grade, comment: Comment, name: str, max_points: float
) -> WrittenAnswer:
    parts, beside = _handed_in(autograded_notebook(course, unit, student), name)
    return WrittenAnswer(
        grade.id,
        student,
        parts,
        beside,
        grade.manual_score,
        grade.auto_score,
        grade.extra_credit,
        comment.manual_comment or "",
        float(max_points),
        bool(grade.needs_manual_grade),
    )


def _handed_in(path: Path, question: str) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The parts of an answer, and of the other files handed in, from a graded notebook."""
    try:
        cells = nbformat.v4.reads_json(path.read_text(encoding="utf-8")).cells
    except (OSError, ValueError, AttributeError):
        return (("text", f"({path} cannot be read: grade it again)"),), ()
    own = [cell for cell in cells if cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") == question]
    beside = [cell for cell in cells if str(cell.get("id", "")).startswith(_BESIDE)]
    return _parts(own[:1]), _parts(beside)


def _parts(cells: Iterable[NotebookNode]) -> tuple[Part, ...]:
    return tuple((kind, content.strip("\n")) for cell in cells for kind, content in parts_of_answer(cell))
