"""Makes ``nbgrader generate_assignment`` check what ``course release`` checks, before it deletes the earlier release.

nbgrader removes the earlier release first and looks at the cells after. Its exporter is made before either, so that is
where the cells are looked at. What nbgrader does then is its own: if it is killed half-way, the release is gone, and
``course release`` brings it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters.base import NbGraderException

from autograder.authoring.cell_labels import label_problems
from autograder.course.course import Course, CourseError
from autograder.gradebook.released_cells import cell_changes, refusal_of
from autograder.releasing.release import require_points_of_checks

__all__ = ["LooksBeforeItReleases"]


class LooksBeforeItReleases(NotebookExporter):
    """The exporter of ``nbgrader generate_assignment``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Look at the notebooks that are to be released.

        Raises:
            NbGraderException: an assignment cannot be made of one; nbgrader's log says which and why.
        """
        super().__init__(*args, **kwargs)
        problems = [problem for path in _notebooks(self.parent) for problem in _problems(path, self.parent)]
        for problem in problems:
            self.log.error(problem)
        if problems:
            raise NbGraderException(problems[0])


def _notebooks(converter: Any) -> list[Path]:
    return [Path(path) for paths in getattr(converter, "assignments", {}).values() for path in paths]


def _problems(path: Path, converter: Any) -> Iterator[str]:
    notebook = nbformat.read(path, as_version=4)
    found = [f"nothing was released: {path}: {problem}" for problem in label_problems(notebook.cells)]
    if found:
        yield from found
        return
    try:
        _require_course_agrees(Course.load(Path(converter.coursedir.root)), path, notebook)
    except CourseError as refusal:
        yield str(refusal)


def _require_course_agrees(course: Course, path: Path, notebook: NotebookNode) -> None:
    names = {unit.name: unit for unit in course.units}
    if path.stem not in names or path.parent.name != path.stem:
        return  # an assignment in nbgrader that is not a unit of the course
    unit = names[path.stem]
    require_points_of_checks(notebook, unit)
    if changes := cell_changes(course, unit, notebook):
        raise CourseError(refusal_of(unit, changes))
