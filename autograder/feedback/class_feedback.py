"""Feedback pages for the course's own students, from what was recorded when they were graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from autograder.batch.class_run import recorded_results
from autograder.course.course import Course, CourseError, Unit
from autograder.feedback.page import page, save_page
from autograder.gradebook.class_book import WrittenScore, written_scores
from autograder.gradebook.late_notices import late_notices
from autograder.gradebook.recording import autograded_notebook
from autograder.plain_text import printable
from autograder.results import Graded, SubmissionResult

__all__ = ["ClassFeedback", "write_feedback"]


@dataclass(frozen=True)
class ClassFeedback:
    """What the pages of one unit are made of, read once for the whole class."""

    course: Course
    unit: Unit
    results: Mapping[str, SubmissionResult]
    notices: Mapping[str, str]
    written: Mapping[str, Sequence[WrittenScore]]

    @classmethod
    def of(cls, course: Course, unit: Unit) -> ClassFeedback:
        """What is on record at this moment, with the points and comments that people gave for written answers.

        Raises:
            CourseError: the unit has not been graded.
        """
        results = {result.student: result for result in recorded_results(course, unit)}
        if not results:
            raise CourseError(f"{unit.name} has not been graded: run course grade {unit.name}")
        written = written_scores(course, unit) if course.gradebook.exists() else {}
        return cls(course, unit, results, late_notices(course, unit), written)

    def page(self, student: str) -> str:
        """The page of one student, as HTML.

        Raises:
            CourseError: no result of this student's is on record.
        """
        if student not in self.results:
            raise CourseError(f"no result of {printable(student)} is on record: run course grade {self.unit.name}")
        result = self.results[student]
        if result.status == "quarantined":
            return page(self.course, self.unit, Graded(result))
        notebook = nbformat.read(autograded_notebook(self.course, self.unit, student), as_version=4)
        given, late = self.written.get(student, ()), self.notices.get(student, "")
        return page(self.course, self.unit, Graded(result, notebook), given, late)


def write_feedback(course: Course, unit: Unit) -> tuple[Path, ...]:
    """Write a page for every recorded result of a unit to ``feedback/<student>/<unit>/``; returns the pages.

    Raises:
        CourseError: the unit has not been graded, or not every page could be written; the others are.
    """
    feedback = ClassFeedback.of(course, unit)
    pages, failures = [], []
    for student in feedback.results:
        try:
            pages.append(save_page(course.root / "feedback", student, unit, feedback.page(student)))
        except Exception as error:  # a notebook that is gone, or damaged, keeps no other student waiting
            failures.append(printable(f"{student} ({type(error).__name__}: {error})", 300))
    if failures:
        raise CourseError("not every page could be written: " + "; ".join(failures))
    return tuple(pages)
