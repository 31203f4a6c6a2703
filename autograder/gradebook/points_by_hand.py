"""Writes points given by hand into the gradebook, in the same fields as formgrader, and logs every change.

formgrader keeps no history. So each time grades are read, the points, extra credit and comments given by hand are
compared with those of the last time, and every difference becomes a line of the audit log. Its time is the time of the
comparison; formgrader does not record who made the change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError, Unit
from autograder.course.private_files import write_private
from autograder.gradebook.gradebook_queries import QuestionScore, UnitInGradebook
from autograder.gradebook.nbgrader_lateness import settle
from autograder.gradebook.open_gradebook import opened_gradebook

__all__ = ["give_points", "log_manual_changes"]

_Given = Mapping[str, float | str | None]


def give_points(course: Course, unit: Unit, student: str, question: QuestionScore, points: float) -> None:
    """Give one answer points by hand, which replace its other points; extra credit stays.

    Raises:
        CourseError: the points are not between 0 and the question's maximum.
    """
    if not 0 <= points <= question.max_points:
        raise CourseError(f"points for {question.answer} must be 0 to {question.max_points:g}, got {points:g}")
    with opened_gradebook(course) as gradebook:
        grade = gradebook.find_grade(question.name, unit.name, unit.name, student)
        grade.manual_score = points
        grade.needs_manual_grade = False
        gradebook.db.commit()
    settle(course, unit)


def log_manual_changes(course: Course, unit: Unit, book: UnitInGradebook) -> None:
    """Log the points and comments by hand that have changed in a unit since the last call."""
    path = course.records / "manual_scores" / f"{unit.name}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    after = _given(book)
    if after == before:
        return
    for student in sorted({*before, *after}):
        _log_changes(course, unit, student, before.get(student, {}), after.get(student, {}))
    write_private(path, json.dumps(after, ensure_ascii=False))


def _given(book: UnitInGradebook) -> dict[str, dict[str, _Given]]:
    by_student: dict[str, dict[str, _Given]] = {
        student: {
            question.name: _by_hand(question)
            for question in submission.questions
            if any(_by_hand(question).values()) or question.manual is not None
        }
        for student, submission in book.submissions.items()
    }
    return {student: questions for student, questions in by_student.items() if questions}


def _by_hand(question: QuestionScore) -> dict[str, float | str | None]:
    return {"points": question.manual, "extra_credit": question.extra_credit, "comment": question.comment}


def _log_changes(
    course: Course, unit: Unit, student: str, before: Mapping[str, _Given], after: Mapping[str, _Given]
) -> None:
    for question in sorted({*before, *after}):
        was, now = before.get(question), after.get(question)
        if was != now:
            log_event(course, "manual grade", student=student, unit=unit.name, question=question, before=was, after=now)
