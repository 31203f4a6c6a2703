"""Stage 4 of grading: results into nbgrader's gradebook, through its own API, by one writer.

What is written is what ``nbgrader autograde`` would leave behind: the student, the submission, the notebook under
``autograded/`` with each check cell's points as its result, and the scores. formgrader opens it as it is.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.preprocessors import SaveAutoGrades, SaveCells
from sqlalchemy.exc import SAWarning

from autograder.course import Course, CourseError, Unit
from autograder.nbgrader_config import let_nbgrader_find_its_programs
from autograder.plain_text import harmless_markdown, moderate
from autograder.results import ComponentScore, Graded, SubmissionResult

__all__ = ["GradebookWriter", "WrittenScore", "autograded_notebook", "shown_notebook", "written_scores"]


@dataclass(frozen=True)
class WrittenScore:
    """What a person gave for one written answer; ``points`` is None until somebody did."""

    grade_id: str
    points: float | None
    max_points: float
    comment: str


class GradebookWriter:
    """Writes the results of one unit. Only one process may hold one at a time."""

    def __init__(self, course: Course, unit: Unit, release: NotebookNode) -> None:
        """Make sure that the gradebook knows the unit's cells and points.

        Raises:
            CourseError: the released notebook has other graded cells than the one students were graded with before.
        """
        self._course, self._unit = course, unit
        with _open(self._course) as gradebook:
            gradebook.update_or_create_assignment(unit.name)
        try:
            SaveCells().preprocess(release, self._resources())
        except RuntimeError as refusal:
            raise CourseError(f"the gradebook refuses the released notebook of {unit.name}: {refusal}") from None

    def record(self, graded: Graded) -> None:
        """Record one graded submission; scores given by hand stay as they are."""
        student = graded.result.student
        notebook = shown_notebook(graded)
        with _open(self._course) as gradebook:
            gradebook.update_or_create_student(student)
            gradebook.update_or_create_submission(self._unit.name, student, timestamp=graded.handed_in)
        _write(notebook, autograded_notebook(self._course, self._unit, student))
        SaveAutoGrades().preprocess(notebook, self._resources(student))
        self._comment(graded.result)

    def _comment(self, result: SubmissionResult) -> None:
        with _open(self._course) as gradebook:
            for component, score in result.components.items():
                try:
                    comment = gradebook.find_comment(component, self._unit.name, self._unit.name, result.student)
                except MissingEntry:
                    continue
                comment.auto_comment = "\n".join(_diagnoses(score)) or None
            gradebook.db.commit()

    def _resources(self, student: str = "") -> dict[str, Any]:
        facts = {"notebook": self._unit.name, "assignment": self._unit.name, "student": student}
        return {"nbgrader": {**facts, "db_url": _address(self._course)}}


def autograded_notebook(course: Course, unit: Unit, student: str) -> Path:
    """Where the graded notebook of a student lies."""
    return course.root / "autograded" / student / unit.name / f"{unit.name}.ipynb"


def shown_notebook(graded: Graded) -> NotebookNode:
    """The notebook of a graded submission as formgrader shows it: answers made harmless, points under the checks."""
    return with_points(_fit_to_show(graded.notebook), graded.result)


def _fit_to_show(notebook: NotebookNode) -> NotebookNode:
    """The notebook with answers that formgrader, and whoever sits before it, can be shown."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            source = moderate(cell.source)
            cell.source = source if cell.cell_type == "code" else harmless_markdown(source)
    return notebook


def with_points(notebook: NotebookNode, result: SubmissionResult) -> NotebookNode:
    """The notebook with each check cell's points as its result, after a table of its cases."""
    for cell in notebook.cells:
        component = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("check_")
        if cell.cell_type == "code" and component in result.components and cell.metadata.nbgrader.grade:
            cell.outputs = _check_outputs(result.components[component])
    return notebook


def _check_outputs(score: ComponentScore) -> list[NotebookNode]:
    table = "".join(
        f"{'passed' if case.passed else 'failed'}  {case.points:g}/{case.max_points:g}  {case.name}"
        f"{': ' if case.diagnosis else ''}{case.diagnosis}\n"
        for case in score.cases
    )
    # nbgrader takes the first execute_result of a check cell as its score.
    points = nbformat.v4.new_output("execute_result", {"text/plain": repr(score.points)}, execution_count=None)
    return [*([nbformat.v4.new_output("stream", name="stdout", text=table)] if table else []), points]


def _diagnoses(score: ComponentScore) -> Iterable[str]:
    return (f"{case.name}: {case.diagnosis or 'failed'}" for case in score.cases if not case.passed)


def written_scores(course: Course, unit: Unit, student: str, notebook: NotebookNode) -> tuple[WrittenScore, ...]:
    """The points and comments that people gave for the written answers of one submission."""
    labels = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
    with _open(course) as gradebook:
        return tuple(
            _written_score(gradebook, unit.name, student, label)
            for label in labels
            if label.get("grade") and label.get("solution")
        )


def _written_score(gradebook: Gradebook, unit: str, student: str, label: Mapping[str, Any]) -> WrittenScore:
    grade_id = label["grade_id"]
    try:
        grade = gradebook.find_grade(grade_id, unit, unit, student)
        comment = gradebook.find_comment(grade_id, unit, unit, student)
    except MissingEntry:
        return WrittenScore(grade_id, None, float(label["points"]), "")
    waits = grade.manual_score is None and grade.auto_score is None
    return WrittenScore(grade_id, None if waits else grade.score, float(label["points"]), comment.comment or "")


@contextmanager
def _open(course: Course) -> Iterator[Gradebook]:
    let_nbgrader_find_its_programs()
    with warnings.catch_warnings(), Gradebook(_address(course)) as gradebook:
        # nbgrader reads from a submission before it adds it to its session: SQLAlchemy grumbles, nothing is lost.
        warnings.filterwarnings("ignore", "Object of type .* not in session", SAWarning)
        yield gradebook


def _address(course: Course) -> str:
    return f"sqlite:///{course.gradebook.resolve()}"


def _write(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    nbformat.write(notebook, draft)
    os.replace(draft, path)
