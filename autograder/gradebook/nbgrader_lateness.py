"""Writes due dates, extensions and late penalties into nbgrader's gradebook.

The gradebook stores the due date with the assignment, the extension with the submission, and the penalty with the
submitted notebook; formgrader, ``nbgrader export`` and nbgrader's feedback read them there. :func:`settle` computes
them from ``course.toml`` and ``extensions.csv``. A penalty never exceeds the points, and points given by hand may
change, so :func:`settle` runs again before grades are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta, tzinfo
from pathlib import Path

from nbgrader.api import Assignment, SubmittedAssignment, SubmittedNotebook
from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Unicode

from autograder.course.course import Course, CourseError, Unit
from autograder.course.extensions import extensions_of
from autograder.course.late_policy import days_late, later_by
from autograder.gradebook.changed_answers import grades_of_unit, keep_marks, note_graded
from autograder.gradebook.open_gradebook import opened_gradebook

__all__ = ["CourseLatePenalty", "carry_extension", "settle"]


class CourseLatePenalty(LateSubmissionPlugin):
    """The late penalty of ``nbgrader autograde``, the same as that of ``course grade``."""

    course_root = Unicode(help="the folder of course.toml").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """The points that a notebook with ``score`` points loses under the course's late policy; None for none."""
        course = Course.load(Path(self.course_root))
        try:
            unit = course.unit(self.parent.assignment_id)
        except CourseError:  # an assignment in nbgrader that is not a unit of the course has no late policy
            return None
        submission = self.parent.gradebook.find_submission(unit.name, student_id)
        notebook = self.parent.gradebook.find_submission_notebook(self.parent.notebook_id, unit.name, student_id)
        late = _days(unit, submission, extensions_of(course, unit), course.zone)
        return course.late_policy.points_lost(score, notebook.max_score, late) or None


def carry_extension(course: Course, unit: Unit, student: str) -> None:
    """Write a student's extension into the gradebook; nbgrader reads it before it computes the lateness."""
    extensions = extensions_of(course, unit)
    if student in extensions:
        with opened_gradebook(course) as gradebook:
            gradebook.find_submission(unit.name, student).extension = extensions[student]
            gradebook.db.commit()


def settle(course: Course, unit: Unit) -> None:
    """Update a unit's due date, extensions, penalties and ``needs_manual_grade`` marks in the gradebook.

    A due date or an extension that was set with nbgrader itself, and is not in the course's files, stays.
    """
    extensions = extensions_of(course, unit)
    with opened_gradebook(course) as gradebook:
        assignment = gradebook.db.query(Assignment).filter(Assignment.name == unit.name).one_or_none()
        if assignment is None:
            return
        note_graded(gradebook, grades := grades_of_unit(assignment))
        keep_marks(gradebook, grades)
        if unit.due:
            assignment.duedate = unit.due.replace(tzinfo=None)
        rows = (
            gradebook.db.query(
                SubmittedNotebook, SubmittedAssignment, SubmittedNotebook.score, SubmittedNotebook.max_score
            )
            .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            .filter(SubmittedAssignment.assignment_id == assignment.id)
        )
        for notebook, submission, score, worth in rows.all():
            if submission.student_id in extensions:
                submission.extension = extensions[submission.student_id]
            late = _days(unit, submission, extensions, course.zone)
            notebook.late_submission_penalty = course.late_policy.points_lost(score, worth, late) or None
        gradebook.db.commit()


def _days(unit: Unit, submission: SubmittedAssignment, extensions: Mapping[str, timedelta], zone: tzinfo) -> int:
    stored = submission.assignment.duedate
    due = unit.due or (stored and stored.replace(tzinfo=UTC))
    extension = extensions.get(submission.student_id, submission.extension or timedelta())
    handed_in = submission.timestamp and submission.timestamp.replace(tzinfo=UTC)
    return days_late(handed_in, due and later_by(due, extension, zone), zone)
