"""The answers of a class to one unit, and what everybody was given."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autograder.batch.class_run import recorded_results
from autograder.course.course import Course, CourseError, Unit
from autograder.gradebook.recording import autograded_notebook

__all__ = ["answers_of_class", "known_sources"]


def answers_of_class(course: Course, unit: Unit) -> Mapping[str, Mapping[str, str]]:
    """The code of each student's answers, by component and student; answers left as they were handed out too.

    Raises:
        CourseError: nobody has been graded.
    """
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for result in recorded_results(course, unit):
        path = autograded_notebook(course, unit, result.student)
        if result.status == "graded" and path.exists():
            for component, source in _answers(path):
                answers[component][result.student] = source
    if not answers:
        raise CourseError(f"nobody has been graded in {unit.name}: run course grade {unit.name}")
    return answers


def known_sources(course: Course, unit: Unit) -> Mapping[str, list[str]]:
    """What the answers of everybody may have in common by component: the stub, and the solution of the course."""
    known = defaultdict(list)
    for folder in (course.assignments, course.solutions):
        path = folder / unit.name / f"{unit.name}.ipynb"
        if path.exists():
            for component, source in _answers(path):
                known[component].append(source)
    return known


def _answers(path: Path) -> Iterator[tuple[str, str]]:
    # Notebooks of our own making: reading them without validation is what makes a class of thousands quick.
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        label = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and label.get("solution"):
            yield label["grade_id"], _text(cell["source"])


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)
