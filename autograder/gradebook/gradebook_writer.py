"""Records results in nbgrader's gradebook, through nbgrader's own API, in one process.

It writes what ``nbgrader autograde`` would write: the student, the submission, the scores, and the notebook under
``autograded/`` with each check cell's points as its output. So formgrader can open it.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import BaseCell, Comment, Grade, Gradebook, SubmittedNotebook
from nbgrader.preprocessors import SaveAutoGrades, SaveCells

from autograder.course.course import Course, CourseError, Unit
from autograder.course.private_files import write_private
from autograder.gradebook.changed_answers import grades_of_notebook, keep_marks, note_graded, note_shown, prints_of
from autograder.gradebook.open_gradebook import (
    gradebook_address,
    index_by_submission,
    one_transaction,
    open_gradebook,
)
from autograder.intake.pictured_text import picture_places
from autograder.plain_text import harmless_markdown, moderate
from autograder.results import ComponentScore, Graded, SubmissionResult

__all__ = ["GradebookWriter", "autograded_notebook", "shown_notebook"]


class GradebookWriter:
    """Writes the results of one unit. Only one process may hold one at a time."""

    def __init__(self, course: Course, unit: Unit, release: NotebookNode) -> None:
        """Open the gradebook and write the unit's cells and maximum points into it.

        Raises:
            CourseError: the released notebook has other graded cells than the one that students were graded in.
        """
        self._course = course
        self._unit = unit
        self._gradebook = open_gradebook(course)
        weakref.finalize(self, self._gradebook.close)
        index_by_submission(self._gradebook)
        self._gradebook.update_or_create_assignment(unit.name)
        facts = {"notebook": unit.name, "assignment": unit.name, "db_url": gradebook_address(course)}
        try:
            SaveCells().preprocess(release, {"nbgrader": facts})
        except RuntimeError as refusal:
            raise CourseError(
                f"the released notebook of {unit.name} does not fit the gradebook ({refusal}): run course release again"
            ) from None

    def record(self, graded: Graded) -> None:
        """Record one graded submission in a single transaction; points given by hand stay as they are.

        An answer with points by hand must be graded again only if it has changed.
        """
        student = graded.result.student
        notebook = shown_notebook(graded)
        path = autograded_notebook(self._course, self._unit, student)
        content = nbformat.writes(notebook) + "\n"
        with one_transaction(self._gradebook):
            self._gradebook.update_or_create_student(student)
            self._gradebook.update_or_create_submission(self._unit.name, student, timestamp=graded.handed_in)
            places = _Places(self._gradebook, self._unit, student)
            note_graded(self._gradebook, places.grades)
            _SaveScores(places, self._unit, student).preprocess(notebook, {})
            places.comment(graded.result)
            self._gradebook.db.flush()
            note_shown(self._gradebook, places.by_grade(prints_of(graded)))
            keep_marks(self._gradebook, places.grades)
            write_private(path, content)  # before the end of the transaction: who is in the gradebook has a notebook


class _Places:
    """The rows for one submission's points and comments, read from the gradebook in two queries.

    It stands in for the gradebook in ``SaveAutoGrades``. ``commit`` does nothing, because the caller's transaction
    commits everything at its end.
    """

    def __init__(self, gradebook: Gradebook, unit: Unit, student: str) -> None:
        notebook = gradebook.find_submission_notebook(unit.name, unit.name, student)
        self.grades = grades_of_notebook(notebook)
        self._grades, self._comments = (
            {name: place for place, name in _with_names(gradebook, kind, notebook)} for kind in (Grade, Comment)
        )
        self.db = self

    def find_grade(self, cell: str, *_: str) -> Grade:
        return self._grades[cell]

    def find_comment(self, cell: str, *_: str) -> Comment:
        return self._comments[cell]

    def commit(self) -> None:
        pass

    def by_grade(self, facts: Mapping[str, str]) -> Mapping[str, str]:
        """Replace the cells' names with the ids of their grades as keys."""
        return {self._grades[name].id: fact for name, fact in facts.items()}

    def comment(self, result: SubmissionResult) -> None:
        """Write each component's diagnoses into the comment of its answer."""
        for component in result.components.keys() & self._comments.keys():
            self._comments[component].auto_comment = "\n".join(_diagnoses(result.components[component])) or None


def _with_names(gradebook: Gradebook, kind: type, notebook: SubmittedNotebook) -> Iterable[tuple[Any, str]]:
    cells = gradebook.db.query(kind, BaseCell.name).join(BaseCell, kind.cell_id == BaseCell.id)
    return cells.filter(kind.notebook_id == notebook.id)


class _SaveScores(SaveAutoGrades):
    """nbgrader's preprocessor that saves scores, with the rows given instead of looked up one by one."""

    def __init__(self, places: _Places, unit: Unit, student: str) -> None:
        super().__init__()
        self.gradebook = places
        self.notebook_id = unit.name
        self.assignment_id = unit.name
        self.student_id = student

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        for index, cell in enumerate(nb.cells):
            self.preprocess_cell(cell, resources, index)
        return nb, resources


def autograded_notebook(course: Course, unit: Unit, student: str) -> Path:
    """The path of a student's graded notebook."""
    return course.root / "autograded" / student / unit.name / f"{unit.name}.ipynb"


def shown_notebook(graded: Graded) -> NotebookNode:
    """The notebook of a graded submission as formgrader shows it: answers made harmless, points under the checks."""
    assert graded.notebook is not None, "what is quarantined is not shown"
    return with_points(_fit_to_show(graded.notebook), graded.result)


def _fit_to_show(notebook: NotebookNode) -> NotebookNode:
    """A copy of the notebook in which formgrader can show the answers safely."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            source = moderate(cell.source)
            places = picture_places(len(cell.get("attachments", {})))
            cell.source = source if cell.cell_type == "code" else harmless_markdown(source, keep=places)
    return notebook


def with_points(notebook: NotebookNode, result: SubmissionResult) -> NotebookNode:
    """The notebook with a table of its cases and its points as the output of each check cell."""
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
    # nbgrader reads a check cell's score from its first execute_result.
    points = nbformat.v4.new_output("execute_result", {"text/plain": repr(score.points)}, execution_count=None)
    return [*([nbformat.v4.new_output("stream", name="stdout", text=table)] if table else []), points]


def _diagnoses(score: ComponentScore) -> Iterable[str]:
    return (f"{case.name}: {case.diagnosis or 'failed'}" for case in score.cases if not case.passed)
