"""Feedback pages for the course's own students, from what was recorded when they were graded."""

from __future__ import annotations

from pathlib import Path

import nbformat

from autograder.class_run import recorded_results
from autograder.course import Course, CourseError, Unit
from autograder.feedback import write_page
from autograder.gradebook import autograded_notebook, written_scores
from autograder.results import Graded, SubmissionResult

__all__ = ["write_feedback"]


def write_feedback(course: Course, unit: Unit) -> tuple[Path, ...]:
    """Write a page for every recorded result of a unit to ``feedback/<student>/<unit>/``; returns the pages.

    Points and comments that people gave for written answers are read from the gradebook at this moment.

    Raises:
        CourseError: the unit has not been graded.
    """
    results = recorded_results(course, unit)
    if not results:
        raise CourseError(f"{unit.name} has not been graded: run course grade {unit.name}")
    return tuple(_write(course, unit, result) for result in results)


def _write(course: Course, unit: Unit, result: SubmissionResult) -> Path:
    folder = course.root / "feedback"
    if result.status == "quarantined":
        return write_page(folder, course, unit, Graded(result))
    notebook = nbformat.read(autograded_notebook(course, unit, result.student), as_version=4)
    return write_page(
        folder, course, unit, Graded(result, notebook), written_scores(course, unit, result.student, notebook)
    )
