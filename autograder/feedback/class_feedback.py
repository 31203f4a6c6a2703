"""Feedback pages of a class: of the course's own students from what is on record, of others as they are graded."""

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
    """The data for the pages of one unit, read once for the whole class.

    Attributes:
        standings: of the students who have a result on record.
        decisions: about regrade requests, by student.
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
            CourseError: no result of this student's is on record.
        """
        if student not in self.standings:
            raise CourseError(f"{printable(student)} has no recorded result: run course grade {self.unit.name}")
        standing, decisions = self.standings[student], self.decisions.get(student, ())
        assert standing.result is not None
        return page(self.course, self.unit, Graded(standing.result, self._notebook(standing)), standing, decisions)

    def _notebook(self, standing: Standing) -> NotebookNode | None:
        if standing.result is not None and standing.result.status == "quarantined":
            return None
        return nbformat.read(autograded_notebook(self.course, self.unit, standing.student), as_version=4)


def write_feedback(course: Course, unit: Unit, folder: Path | None = None) -> tuple[Path, ...]:
    """Write a page for every recorded result of a unit to ``<folder>/<student>/<unit>/``; returns the pages.

    Args:
        folder: by default ``feedback/`` in the course folder.

    Raises:
        CourseError: the unit has not been graded, or not every page could be written; the others are.
    """
    feedback = ClassFeedback.of(course, unit)
    pages, failures = [], []
    for student in feedback.standings:
        try:
            pages.append(save_page(folder or course.root / "feedback", student, unit, feedback.page(student)))
        except Exception as error:  # a notebook that is gone, or damaged, keeps no other student waiting
            failures.append(printable(f"{student} ({type(error).__name__}: {error})", 300))
    if failures:
        raise CourseError("not every page could be written: " + "; ".join(failures))
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
