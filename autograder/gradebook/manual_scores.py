"""Points that people give by hand are given in formgrader, which keeps no history: here it is written down.

Each time grades are read, what people gave is compared with what was seen the last time, and every difference becomes
a line of the audit log. Its time is that of noticing; who did it, formgrader does not say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from autograder.course.course import Course, Unit
from autograder.course.events import log_event
from autograder.course.private_files import write_private
from autograder.gradebook.gradebook_queries import QuestionScore, UnitInGradebook

__all__ = ["log_manual_changes"]

_Given = Mapping[str, float | str | None]


def log_manual_changes(course: Course, unit: Unit, book: UnitInGradebook) -> None:
    """Log what people changed in a unit since this was last called."""
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
