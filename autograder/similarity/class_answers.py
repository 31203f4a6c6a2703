"""Reads a class's answers to one unit, and the code that every student was given."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.course.course import Course, CourseError, Unit
from autograder.gradebook.gradebook_writer import autograded_notebook
from autograder.gradebook.recorded_results import recorded_results

__all__ = ["ClassAnswers", "answers_of_class", "known_sources"]


@dataclass(frozen=True)
class ClassAnswers:
    """The code of a class's answers.

    Attributes:
        answers: the source by component and student, stubs that nobody changed included.
        unread: students whose graded notebook cannot be read, and why.
    """

    answers: Mapping[str, Mapping[str, str]]
    unread: tuple[tuple[str, str], ...]


def answers_of_class(course: Course, unit: Unit) -> ClassAnswers:
    """The answers of all who have been graded.

    Raises:
        CourseError: nobody has been graded.
    """
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    unread = []
    for result in recorded_results(course, unit):
        path = autograded_notebook(course, unit, result.student)
        if result.status != "graded" or not path.exists():
            continue
        try:
            for component, source in list(_answers(path)):
                answers[component][result.student] = source
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            unread.append((result.student, f"the graded notebook is damaged: grade {unit.name} again"))
    if not answers:
        raise CourseError(f"nobody has been graded in {unit.name}: run course grade {unit.name}")
    return ClassAnswers(answers, tuple(unread))


def known_sources(course: Course, unit: Unit) -> Mapping[str, list[str]]:
    """The code that all answers may have in common, by component.

    This is all code in the released notebook (set-up, helpers and stubs) and in the course's solution: students may use
    any of it in any answer.
    """
    everything, components = [], set()
    for folder in (course.assignments, course.solutions):
        path = folder / unit.name / f"{unit.name}.ipynb"
        if path.exists():
            components |= {component for component, _ in _answers(path)}
            everything += [_text(cell["source"]) for cell in _code_cells(path)]
    return dict.fromkeys(components, everything)


def _answers(path: Path) -> Iterator[tuple[str, str]]:
    for cell in _code_cells(path):
        label = cell["metadata"].get("nbgrader", {})
        if label.get("solution"):
            yield label["grade_id"], _text(cell["source"])


def _code_cells(path: Path) -> Iterator[Mapping[str, Any]]:
    # We wrote these notebooks. Reading them without validation makes a class of thousands fast.
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return (cell for cell in cells if cell["cell_type"] == "code")


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)
