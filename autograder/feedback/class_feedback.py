"""Feedback pages for the course's own students, from what was recorded when they were graded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat

from autograder.batch.class_run import recorded_results
from autograder.course.course import Course, CourseError, Unit
from autograder.feedback.page import write_page
from autograder.gradebook.class_book import WrittenScore, written_scores
from autograder.gradebook.late_notices import late_notices
from autograder.gradebook.recording import autograded_notebook
from autograder.plain_text import printable
from autograder.results import Graded, SubmissionResult

__all__ = ["write_feedback"]


def write_feedback(course: Course, unit: Unit) -> tuple[Path, ...]:
    """Write a page for every recorded result of a unit to ``feedback/<student>/<unit>/``; returns the pages.

    Points and comments that people gave for written answers are read from the gradebook at this moment.

    Raises:
        CourseError: the unit has not been graded, or not every page could be written; the others are.
    """
    results = recorded_results(course, unit)
    if not results:
        raise CourseError(f"{unit.name} has not been graded: run course grade {unit.name}")
    notices = late_notices(course, unit)
    written = written_scores(course, unit) if course.gradebook.exists() else {}
    pages, failures = [], []
    for result in results:
        try:
            given, late = written.get(result.student, ()), notices.get(result.student, "")
            pages.append(_write(course, unit, result, given, late))
        except Exception as error:  # a notebook that is gone, or damaged, keeps no other student waiting
            failures.append(printable(f"{result.student} ({type(error).__name__}: {error})", 300))
    if failures:
        raise CourseError("not every page could be written: " + "; ".join(failures))
    return tuple(pages)


def _write(course: Course, unit: Unit, result: SubmissionResult, written: Sequence[WrittenScore], late: str) -> Path:
    folder = course.root / "feedback"
    if result.status == "quarantined":
        return write_page(folder, course, unit, Graded(result))
    notebook = nbformat.read(autograded_notebook(course, unit, result.student), as_version=4)
    return write_page(folder, course, unit, Graded(result, notebook), written, late)
