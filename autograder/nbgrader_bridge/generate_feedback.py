"""Makes ``nbgrader generate_feedback``, and formgrader's button for it, write the pages of ``course feedback``.

nbgrader's own page draws students' text and the grader's comments as markdown in which HTML counts, and loads scripts
from the web. Students are to get one page, whoever sends it, and a page that runs nothing.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter
from nbgrader.converters import NbGraderException
from traitlets import default

from autograder.course.course import Course, CourseError
from autograder.feedback.class_feedback import ClassFeedback

__all__ = ["FeedbackPages"]


class FeedbackPages(Exporter):
    """An nbgrader exporter that returns our feedback page of a student, whatever notebook it gets."""

    output_mimetype = "text/html"
    parent: Any  # nbgrader's converter

    @default("file_extension")
    def _html(self) -> str:
        return ".html"

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **facts: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page of the student whom ``resources`` names.

        Raises:
            NbGraderException: the unit, or this student, has no result on record; the message says so.
        """
        resources = self._init_resources(resources)
        try:
            return self._class.page(resources["nbgrader"]["student"]), resources
        except CourseError as trouble:
            self.log.error(str(trouble))
            raise NbGraderException(str(trouble)) from None

    @cached_property
    def _class(self) -> ClassFeedback:
        directory = self.parent.coursedir
        course = Course.load(Path(directory.root))
        return ClassFeedback.of(course, course.unit(directory.assignment_id))
