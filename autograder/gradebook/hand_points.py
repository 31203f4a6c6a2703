"""Writes points given by hand into the gradebook, in the same fields as formgrader."""

from __future__ import annotations

from autograder.course.course import Course, CourseError, Unit
from autograder.gradebook.gradebook_queries import QuestionScore
from autograder.gradebook.nbgrader_lateness import settle
from autograder.gradebook.open_gradebook import opened_gradebook

__all__ = ["give_points"]


def give_points(course: Course, unit: Unit, student: str, question: QuestionScore, points: float) -> None:
    """Give points by hand for one answer, replacing its points; extra credit stays.

    Raises:
        CourseError: the points are not between 0 and what the question is worth.
    """
    if not 0 <= points <= question.max_points:
        raise CourseError(f"points for {question.answer} must be 0 to {question.max_points:g}, got {points:g}")
    with opened_gradebook(course) as gradebook:
        grade = gradebook.find_grade(question.name, unit.name, unit.name, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        gradebook.db.commit()
    settle(course, unit)
