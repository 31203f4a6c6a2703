"""Writes the feedback pages of a class: from the recorded results, or while other submissions are graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.course.course import Course, CourseError, Unit
from autograder.feedback.page import page, save_page, write_page
from autograder.gradebook.gradebook_writer import autograded_notebook
from autograder.gradebook.points_that_count import Standing, standing_outside, unit_standing
from autograder.gradebook.regrade_requests import decisions_of
from autograder.plain_text import printable
from autograder.results import Graded

__all__ = ["ClassFeedback", "OutsidePages", "write_feedback"]


@dataclass(frozen=True)
class ClassFeedback:
    """The data for the feedback pages of one unit, read once for the whole class.

    Attributes:
        course: the course.
        unit: the unit.
        standings: points and status of each student with a recorded result.
        decisions: the decisions about each student's regrade requests.
    """

    course: Course
    unit: Unit
    standings: Mapping[str, Standing]
    decisions: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, course: Course, unit: Unit) -> ClassFeedback:
        """Read the current points, comments and decisions of a unit.

        Raises:
            CourseError: the unit has not been graded.
        """
        everybody = unit_standing(course, unit).students
        graded = {student: standing for student, standing in everybody.items() if standing.result is not None}
        if not graded:
            raise CourseError(f"{unit.name} has not been graded: run course grade {unit.name}")
        return cls(course, unit, graded, decisions_of(course, unit))

    def page(self, student: str) -> str:
        """The page of one student, as HTML.

        Raises:
            CourseError: the student has no recorded result.
        """
        if student not in self.standings:
            raise CourseError(f"{printable(student)} has no recorded result: run course grade {self.unit.name}")
        standing = self.standings[student]
        decisions = self.decisions.get(student, ())
        assert standing.result is not None
        return page(self.course, self.unit, Graded(standing.result, self._notebook(standing)), standing, decisions)

    def _notebook(self, standing: Standing) -> NotebookNode | None:
        if standing.result is not None and standing.result.status == "quarantined":
            return None
        return nbformat.read(autograded_notebook(self.course, self.unit, standing.student), as_version=4)


def write_feedback(course: Course, unit: Unit, folder: Path | None = None) -> tuple[Path, ...]:
    """Write a page for each student with a recorded result to ``<folder>/<student>/<unit>/``; return the pages.

    Args:
        course: the course.
        unit: the unit.
        folder: where to write; by default ``feedback/`` in the course folder.

    Raises:
        CourseError: the unit has not been graded, or some pages failed; all others are written.
    """
    feedback = ClassFeedback.of(course, unit)
    pages: list[Path] = []
    failures: list[str] = []
    for student in feedback.standings:
        try:
            pages.append(save_page(folder or course.root / "feedback", student, unit, feedback.page(student)))
        except Exception as error:  # one missing or damaged notebook must not hold up the other students' pages
            failures.append(printable(f"{student} ({type(error).__name__}: {error})", 300))
    if failures:
        raise CourseError("these pages could not be written, all others were: " + "; ".join(failures))
    return tuple(pages)


@dataclass(frozen=True)
class OutsidePages:
    """Writes a page into ``folder`` for each result it is called with: of submissions that are in no gradebook."""

    course: Course
    unit: Unit
    folder: Path

    def __call__(self, graded: Graded) -> Path:
        standing = standing_outside(self.course, self.unit, graded)
        return write_page(self.folder, self.course, self.unit, graded, standing)
