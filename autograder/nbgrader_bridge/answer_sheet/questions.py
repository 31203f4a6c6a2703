"""Reads the written questions of a unit: the question, the course's answer, and the rubric."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.course.course import Course, CourseError, Unit

__all__ = ["WrittenQuestion", "written_questions"]

_MARKERS = re.compile(r"^### (?:BEGIN|END) SOLUTION\s*?$", re.MULTILINE)
_RUBRIC = re.compile(r"^\*Rubric\.\*", re.MULTILINE)
_PICTURE = re.compile(r"<img\b[^>]*>|!\[[^\]]*\]\([^)]*\)")


@dataclass(frozen=True)
class WrittenQuestion:
    """One question that people grade. Texts are Markdown of the course's own.

    Attributes:
        grade_id: its name in the gradebook.
        text: the question, from its heading on.
        solution: what the solution says before the rubric; empty if there is no solution notebook here.
        rubric: what points are given for.
    """

    grade_id: str
    points: float
    text: str
    solution: str
    rubric: str


def written_questions(course: Course, unit: Unit) -> tuple[WrittenQuestion, ...]:
    """The questions of the released notebook, in its order.

    Raises:
        CourseError: the unit is not released, or asks no written question.
    """
    cells = _cells(course.require_released(unit))
    solutions = _solutions(course.solutions / unit.name / f"{unit.name}.ipynb")
    questions = tuple(
        WrittenQuestion(label["grade_id"], label["points"], _question(cells[:place]), *_parts(solutions, label))
        for place, cell in enumerate(cells)
        if _is_written(cell) and (label := cell.metadata.nbgrader)
    )
    if not questions:
        raise CourseError(f"{unit.name} has no written questions, so there is nothing to grade by hand")
    return questions


def _cells(path: Path) -> Sequence[NotebookNode]:
    return nbformat.read(path, as_version=4).cells


def _is_written(cell: NotebookNode) -> bool:
    label = cell.metadata.get("nbgrader", {})
    return bool(label.get("solution") and label.get("grade")) and cell.cell_type == "markdown"


def _question(before: Sequence[NotebookNode]) -> str:
    """The text cells between the question's heading, or the cell before them, and the answer cell."""
    text: list[str] = []
    for cell in reversed(before):
        if cell.cell_type != "markdown" or cell.metadata.get("nbgrader", {}).get("solution"):
            break
        text.insert(0, cell.source)
        if cell.source.lstrip().startswith("#"):
            break
    return _PICTURE.sub("", "\n\n".join(text)).strip()


def _solutions(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    return {cell.metadata.nbgrader["grade_id"]: cell.source for cell in _cells(path) if _is_written(cell)}


def _parts(solutions: dict[str, str], label: NotebookNode) -> tuple[str, str]:
    """The solution and the rubric; if no line begins with *Rubric.*, the whole text is the rubric."""
    text = _MARKERS.sub("", solutions.get(label["grade_id"], "")).strip()
    found = _RUBRIC.search(text)
    return (text[: found.start()].strip(), text[found.end() :].strip()) if found else ("", text)
