"""Example submissions: what four students might hand in, for the demonstration and for trying a grader out.

Each is a file of cells in jupytext's percent format. They are inserted into the released notebook, so the examples stay
valid when it changes:

* a cell that implements a component is the answer to its exercise;
* a text cell is the written answer;
* a cell labelled as one of ours replaces ours, tags included, as if somebody had tampered with it;
* any other cell is a cell of the student's own, at the end. The first cell stands for our set-up cell and is left out.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from autograder.course.course import Course, CourseError, Unit
from autograder.intake.notebook_cells import Cell, cells_of

__all__ = ["STUDENTS", "write_example_submissions"]

STUDENTS: Mapping[str, str] = {"ada": "right", "ben": "half_right", "cleo": "wrong", "mallory": "hostile"}
"""The example that each student hands in."""

_FOLDER = Path(__file__).parent
_PICTURE_TAG = "picture-"


def write_example_submissions(course: Course, unit: Unit, destination: Path) -> tuple[Path, ...]:
    """Write the examples of a unit as submissions ``destination/<student>/<unit>/<unit>.ipynb``.

    Raises:
        CourseError: the unit has no examples, or is not released.
    """
    if not (_FOLDER / unit.name).is_dir():
        raise CourseError(f"{unit.name} has no example submissions: they belong in {_FOLDER / unit.name}")
    return tuple(_write(course, unit, student, destination) for student in STUDENTS)


def _write(course: Course, unit: Unit, student: str, destination: Path) -> Path:
    notebook = nbformat.read(course.require_released(unit), as_version=4)
    example = jupytext.read(_FOLDER / unit.name / f"{STUDENTS[student]}.py", fmt="py:percent")
    for cell in example.cells[1:]:
        _hand_in(cell, notebook)
    if STUDENTS[student] == "right":
        _add_pictures(notebook, course.solutions / unit.name / "pictures")
    path = destination / student / unit.name / f"{unit.name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def _hand_in(cell: NotebookNode, notebook: NotebookNode) -> None:
    (parsed,) = cells_of([cell])
    ours = [target for target in cells_of(notebook.cells) if _stands_for(parsed, target)]
    if not ours:
        notebook.cells.append(cell)
        return
    target = notebook.cells[ours[0].position]
    target.source = cell.source
    target.metadata.update(cell.metadata)


def _add_pictures(notebook: NotebookNode, folder: Path) -> None:
    """Put the solution's pictures into the cells tagged ``picture-NAME``, which would draw them if run."""
    for cell in notebook.cells:
        for name in (tag.removeprefix(_PICTURE_TAG) for tag in cell.metadata.get("tags", [])):
            if (path := folder / f"{name}.png").exists():
                png = base64.b64encode(path.read_bytes()).decode("ascii")
                cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": png})]


def _stands_for(cell: Cell, target: Cell) -> bool:
    if cell.kind != "code":
        return target.is_written
    return bool(cell.implements & target.implements) or cell.grade_id == target.grade_id != ""
