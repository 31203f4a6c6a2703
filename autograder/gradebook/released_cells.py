"""Updates a unit's cells in the gradebook when its assignment is released again.

nbgrader refuses a release if its cells differ from those that students have been graded in, but its message does not
name the cells. Here the message names them, and a forced release keeps the grades of the remaining cells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Comment, Grade, Gradebook, MissingEntry, Notebook, SubmittedNotebook
from nbgrader.preprocessors import SaveCells
from sqlalchemy.exc import SQLAlchemyError

from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError, Unit
from autograder.gradebook.open_gradebook import one_transaction, open_gradebook, opened_gradebook

__all__ = ["CellChanges", "carry_cells", "cell_changes", "refusal_of", "require_graded_cells"]


@dataclass(frozen=True)
class CellChanges:
    """Differences between a unit's cells and those in which students have been graded.

    Attributes:
        added: names of cells that only the release has.
        removed: names of cells that only the gradebook has.
        students: number of students who have been graded in the unit.
        by_hand: number of students with points, extra credit or a comment given by hand in a removed cell.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    students: int = 0
    by_hand: int = 0

    def __bool__(self) -> bool:
        return self.students > 0 and bool(self.added or self.removed)


def cell_changes(course: Course, unit: Unit, released: NotebookNode) -> CellChanges:
    """Compare the cells of a notebook that is to be released with those in the gradebook.

    Raises:
        CourseError: the gradebook cannot be read.
    """
    if not course.gradebook.exists():
        return CellChanges()
    with _said_plainly(course), opened_gradebook(course) as gradebook:
        notebook = _notebook(gradebook, unit)
        if notebook is None or not notebook.submissions:
            return CellChanges()
        before, after = _labels(notebook), _labels_in(released)
        removed = _names(label for label in before if label not in after)
        return CellChanges(
            _names(label for label in after if label not in before),
            removed,
            len(notebook.submissions),
            sum(any(_given_by_hand(submission, removed)) for submission in notebook.submissions),
        )


def require_graded_cells(course: Course, unit: Unit, released: NotebookNode) -> None:
    """Refuse a release that removes or adds graded cells after students have been graded.

    Raises:
        CourseError: cells were removed or added; the message names them and says what to do.
    """
    if changes := cell_changes(course, unit, released):
        raise CourseError(refusal_of(unit, changes))


def refusal_of(unit: Unit, changes: CellChanges) -> str:
    """The message for a refused release: the cells that differ, and what to do."""
    named = [
        f"{word}: {', '.join(names)}" for word, names in (("removed", changes.removed), ("new", changes.added)) if names
    ]
    number = unit.name.split("_")[0]
    return (
        f"nothing was released: {_counted(changes.students)} graded in {unit.name}, and its cells have changed "
        f"({'; '.join(named)}). Either give the cells their old names back, or run course release {number} "
        f"--force and then course grade {number}: remaining cells keep their grades, {_consequences(changes)}"
    )


def _counted(students: int) -> str:
    return "1 student has been" if students == 1 else f"{students} students have been"


def _consequences(changes: CellChanges) -> str:
    clauses = ["new ones are ungraded until then"] if changes.added else []
    if changes.removed:
        by_hand = f" ({changes.by_hand} given by hand)" if changes.by_hand else ""
        clauses.append(
            f"grades of removed cells{by_hand} are deleted from the gradebook; the audit log keeps those given by hand"
        )
    return "; ".join(clauses)


def carry_cells(course: Course, unit: Unit, released: NotebookNode, put_in_place: Callable[[], None]) -> None:
    """Update the gradebook's cells from a released notebook and move its files into place, both or neither.

    Args:
        course: the course.
        unit: the unit that is released.
        released: the released notebook.
        put_in_place: moves the files; called last, before the gradebook's transaction is committed.

    Raises:
        CourseError: the gradebook cannot be opened or written.
    """
    removed: list[Mapping[str, Any]] = []
    with _said_plainly(course), open_gradebook(course) as gradebook, one_transaction(gradebook):
        gradebook.update_or_create_assignment(unit.name)
        saving = _SaveCells(gradebook, unit)
        saving.collect(released)
        notebook = _notebook(gradebook, unit)
        if notebook is not None and notebook.submissions:
            removed += _remove_cells(gradebook, notebook, saving.new_cells)
            _add_cells(gradebook, notebook, unit, saving)
        saving.save(released)
        put_in_place()
    for facts in removed:
        log_event(course, "cell removed", unit=unit.name, **facts)


class _SaveCells(SaveCells):
    """nbgrader's preprocessor that saves cells, in two steps and in a gradebook that is already open."""

    def __init__(self, gradebook: Gradebook, unit: Unit) -> None:
        super().__init__()
        self.gradebook = gradebook
        self.notebook_id = unit.name
        self.assignment_id = unit.name
        self.new_grade_cells: dict[str, Any] = {}
        self.new_solution_cells: dict[str, Any] = {}
        self.new_task_cells: dict[str, Any] = {}
        self.new_source_cells: dict[str, Any] = {}

    @property
    def new_cells(self) -> Mapping[str, Mapping[str, Any]]:
        """The cells by kind, then by name."""
        return {
            "grade": self.new_grade_cells,
            "solution": self.new_solution_cells,
            "task": self.new_task_cells,
            "source": self.new_source_cells,
        }

    def collect(self, notebook: NotebookNode) -> None:
        for index, cell in enumerate(notebook.cells):
            self.preprocess_cell(cell, {}, index)

    def save(self, notebook: NotebookNode) -> None:
        self._create_notebook(notebook)


def _remove_cells(
    gradebook: Gradebook, notebook: Notebook, new: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Remove cells that the release does not have, with grades and comments; return those given by hand."""
    removed = []
    for kind, cells in _kinds(notebook).items():
        for cell in [cell for cell in cells if cell.name not in new[kind]]:
            for entry in [*(getattr(cell, "grades", None) or ()), *(getattr(cell, "comments", None) or ())]:
                if given := _by_hand(entry):
                    removed.append({"student": entry.notebook.student.id, "question": cell.name, **given})
                gradebook.db.delete(entry)
            gradebook.db.flush()
            gradebook.db.delete(cell)
    gradebook.db.flush()
    gradebook.db.expire_all()
    return removed


def _add_cells(gradebook: Gradebook, notebook: Notebook, unit: Unit, saving: _SaveCells) -> None:
    """Add the new cells, and to each submission the rows for their grades and comments."""
    adding = {
        "grade": gradebook.add_grade_cell,
        "solution": gradebook.add_solution_cell,
        "task": gradebook.add_task_cell,
        "source": gradebook.add_source_cell,
    }
    for kind, cells in _kinds(notebook).items():
        known = {cell.name for cell in cells}
        for name in [name for name in saving.new_cells[kind] if name not in known]:
            cell = adding[kind](name, unit.name, unit.name, **saving.new_cells[kind][name])
            for submission in notebook.submissions if kind != "source" else ():
                if kind in ("grade", "task"):
                    gradebook.db.add(Grade(cell_id=cell.id, notebook=submission))
                if kind in ("solution", "task"):
                    gradebook.db.add(Comment(cell_id=cell.id, notebook=submission))
    gradebook.db.flush()
    gradebook.db.expire_all()


def _notebook(gradebook: Gradebook, unit: Unit) -> Notebook | None:
    try:
        return gradebook.find_notebook(unit.name, unit.name)
    except MissingEntry:
        return None


def _kinds(notebook: Notebook) -> Mapping[str, list[Any]]:
    return {
        "grade": list(notebook.grade_cells),
        "solution": list(notebook.solution_cells),
        "task": list(notebook.task_cells),
        "source": list(notebook.source_cells),
    }


def _labels(notebook: Notebook) -> list[tuple[str, str]]:
    """Kind and name of the cells with grades or comments; cells that are only locked are left out."""
    return [(kind, cell.name) for kind, cells in _kinds(notebook).items() if kind != "source" for cell in cells]


def _labels_in(released: NotebookNode) -> list[tuple[str, str]]:
    labels = [cell.metadata.get("nbgrader", {}) for cell in released.cells]
    return [(kind, label["grade_id"]) for kind in ("grade", "solution", "task") for label in labels if label.get(kind)]


def _names(labels: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name in labels))


def _given_by_hand(submission: SubmittedNotebook, names: Collection[str]) -> Iterator[bool]:
    for entry in (*submission.grades, *submission.comments):
        yield entry.name in names and bool(_by_hand(entry))


def _by_hand(entry: Grade | Comment) -> Mapping[str, Any]:
    if isinstance(entry, Comment):
        return {"comment": entry.manual_comment} if entry.manual_comment else {}
    given = {"points": entry.manual_score, "extra_credit": entry.extra_credit}
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def _said_plainly(course: Course) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as trouble:
        reason = str(getattr(trouble, "orig", None) or trouble).splitlines()[0]
        raise CourseError(
            f"the gradebook {course.gradebook} cannot be used ({reason}): close other programs that use it, or restore "
            "it from a backup"
        ) from None
