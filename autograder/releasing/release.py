"""Releases units to students: makes assignments from solutions, all of them or none.

A release is first built in a folder of its own, ``.course/release-…``: the solution notebook without outputs, the
assignment that nbgrader makes from it, and the public cases. There the labels are checked, the points are compared with
those of the checks, and everything is searched for answers. When all units have passed, the files are moved to their
places, unit by unit, the assignment's notebook last and in one step. So each notebook in ``assignments/`` is always
complete, from this release or the one before, even if the program is killed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from traitlets.config import Config

from autograder.authoring.cell_labels import label_problems
from autograder.authoring.notebooks import cells_of, grade_id_of, notebook_of, unrun, write
from autograder.authoring.public_cases import public_cases
from autograder.checks import checks_of
from autograder.checks.case import ComponentCheck
from autograder.course.course import Course, CourseError, Unit
from autograder.course.lock import course_lock
from autograder.course.private_files import private_folder
from autograder.gradebook.nbgrader_settings import NEVER_RELEASED, configure_release
from autograder.gradebook.released_cells import carry_cells, require_graded_cells
from autograder.releasing.leaks import leaks
from autograder.releasing.moving_files import move, move_folder, remove_others

__all__ = ["release", "require_points_of_checks", "source_of", "units_with_solutions"]

_DATA = "data"
_DRAFTS = "release-"


def units_with_solutions(course: Course) -> tuple[Unit, ...]:
    """The units that have an assignment to release, in teaching order."""
    return tuple(unit for unit in course.units if source_of(course, unit).exists())


def source_of(course: Course, unit: Unit) -> Path:
    """The path of the solution that a unit's assignment is made from."""
    return course.solutions / unit.name / f"{unit.name}.py"


def release(course: Course, units: Sequence[Unit] = (), *, force: bool = False) -> tuple[Path, ...]:
    """Make the assignments of the given units and return their notebooks.

    Args:
        course: the course.
        units: the units to release; by default all that have a solution.
        force: release a unit even if its graded cells differ from those in which students have been graded. Points and
            comments of removed cells are deleted from the gradebook; the audit log keeps them.

    Raises:
        CourseError: a unit has no solution, a label or the points of a cell are wrong, students have been graded in
            cells that the solution does not have, or an answer would reach the students. Then nothing is released.
    """
    with course_lock(course, "course release"):
        _remove_abandoned_drafts(course)
        with tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=private_folder(course.records)) as folder:
            drafts = [_drafted(course, unit, Path(folder, unit.name)) for unit in units or units_with_solutions(course)]
            if not force:
                for draft in drafts:
                    require_graded_cells(course, draft.unit, draft.read())
            return tuple(_put_in_place(course, draft) for draft in drafts)


@dataclass(frozen=True)
class _Draft:
    """The files of a unit's release before they are moved to their places.

    Attributes:
        unit: the unit.
        solution: the solution notebook without outputs.
        assignment: the folder for students.
        cases: the file of public cases; None if the unit has none.
    """

    unit: Unit
    solution: Path
    assignment: Path
    cases: Path | None

    @property
    def notebook(self) -> Path:
        return self.assignment / f"{self.unit.name}.ipynb"

    def read(self) -> NotebookNode:
        return nbformat.read(self.notebook, as_version=4)


def _remove_abandoned_drafts(course: Course) -> None:
    """Remove the drafts of releases that were killed; the caller holds the course's lock, so no release uses them."""
    for folder in course.records.glob(f"{_DRAFTS}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _drafted(course: Course, unit: Unit, folder: Path) -> _Draft:
    source = source_of(course, unit)
    if not source.exists():
        raise CourseError(f"unit {unit.name} has no solution: write {source}, or leave the unit out")
    notebook = _built(course, unit)
    require_points_of_checks(notebook, unit)
    ignored = shutil.ignore_patterns("*.ipynb", *NEVER_RELEASED)
    shutil.copytree(source.parent, folder / "solutions" / unit.name, ignore=ignored)
    solution = folder / "solutions" / unit.name / f"{unit.name}.ipynb"
    write(notebook, solution)
    _generate(folder, unit)
    assignment = folder / "assignments" / unit.name
    _require_nothing_else(assignment, unit)
    _require_no_answers(course, assignment, unit)
    return _Draft(unit, solution, assignment, _draft_of_cases(course, unit, folder))


def _built(course: Course, unit: Unit) -> NotebookNode:
    source = source_of(course, unit)
    try:
        if problems := label_problems(cells_of(source)):
            raise CourseError(_refusal(source.relative_to(course.root), problems))
        return unrun(course, source)
    except (ValueError, nbformat.ValidationError) as trouble:
        reason = str(trouble).splitlines()[0]
        raise CourseError(_refusal(source.relative_to(course.root), [reason])) from None


def _refusal(source: Path, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"nothing was released: {source}: {problems[0]}"
    return "\n  ".join([f"nothing was released: {source} has {len(problems)} mistakes:", *problems])


def _draft_of_cases(course: Course, unit: Unit, folder: Path) -> Path | None:
    # A course folder without the library uses the cases that come with the library; a capstone has none.
    if not (course.root / "avae_lib").is_dir() or unit.kind == "capstone":
        return None
    path = folder / _place_of_cases(course, unit).name
    path.write_text(public_cases(unit.name, _place_of_cases(course, unit)), encoding="utf-8")
    return path


def _place_of_cases(course: Course, unit: Unit) -> Path:
    return course.root / "avae_lib" / "checking" / "public" / f"{unit.name}.json"


def _put_in_place(course: Course, draft: _Draft) -> Path:
    """Move a unit's files to their places, the notebook last, because students and graders see it."""
    notebook = draft.read()
    place = course.released_notebook(draft.unit)
    files = {file.relative_to(draft.assignment / _DATA) for file in (draft.assignment / _DATA).rglob("*")}

    def move_all() -> None:
        if draft.cases:
            move(draft.cases, _place_of_cases(course, draft.unit))
        move(draft.solution, notebook_of(source_of(course, draft.unit)))
        move_folder(draft.assignment / _DATA, place.parent / _DATA)
        move(draft.notebook, place)

    carry_cells(course, draft.unit, notebook, move_all)
    remove_others(place.parent / _DATA, files)
    return place


def require_points_of_checks(notebook: NotebookNode, unit: Unit) -> None:
    """Check that the check cells of a notebook have the components, order and points of the unit's checks.

    Raises:
        CourseError: they differ; the message names the cell.
    """
    check_cells = {
        grade_id: cell for cell in notebook.cells if (grade_id := grade_id_of(cell) or "").startswith("check_")
    }
    if unit.kind == "capstone":
        _require_points_of_capstone({name: _points(cell) for name, cell in check_cells.items()}, unit)
        return
    for check in checks_of(unit.name):
        _require_cells_of(check, check_cells, {grade_id_of(cell) for cell in notebook.cells})
    names = [f"check_{check.component}" for check in checks_of(unit.name)]
    if stray := [name for name in check_cells if name not in names]:
        raise CourseError(
            f"nothing was released: {stray[0]} checks no component of {unit.name}: use one of {', '.join(names)}"
        )
    if list(check_cells) != names:
        raise CourseError(
            f"nothing was released: the check cells of {unit.name} are in the order {', '.join(check_cells)}, but its "
            f"checks in the order {', '.join(names)}: use the same order"
        )


def _require_cells_of(check: ComponentCheck, check_cells: Mapping[str, NotebookNode], labels: set[str | None]) -> None:
    name, call = f"check_{check.component}", f'check("{check.component}")'
    if check.component not in labels:
        problem = f"{check.component} has no answer cell: give the cell of its solution the grade_id {check.component}"
    elif name not in check_cells:
        problem = f"{check.component} has no check cell: put {call}, with the grade_id {name}, right after its answer"
    elif check_cells[name].source.strip() != call:
        problem = f"{name} must contain {call} and nothing else"
    elif _points(check_cells[name]) != check.points:
        problem = (
            f"{name} is worth {_points(check_cells[name])} points, but the cases of its check {check.points}: "
            f'write "points": {check.points} into its label, or change the cases'
        )
    else:
        return
    raise CourseError(f"nothing was released: {problem}")


def _points(cell: NotebookNode) -> float | None:
    return cell.metadata.nbgrader.get("points")


def _require_points_of_capstone(cells: Mapping[str, float | None], unit: Unit) -> None:
    from autograder.checks.capstone import POINTS

    wanted = {f"check_{name}": points for name, points in POINTS.items()}
    if list(cells.items()) != list(wanted.items()):
        raise CourseError(f"nothing was released: the check cells of {unit.name} must be worth {wanted}, got {cells}")


def _generate(folder: Path, unit: Unit) -> None:
    """Make the assignment in ``folder/assignments`` from ``folder/solutions`` with nbgrader, without a gradebook."""
    from nbgrader.apps.api import NbGraderAPI  # takes seconds to import; other commands need not wait
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import SaveCells

    config = configure_release(Config(), folder)
    config.GenerateAssignment.no_database = True
    steps = GenerateAssignment.class_traits()["preprocessors"].default()
    config.GenerateAssignment.preprocessors = [step for step in steps if step is not SaveCells]
    result = NbGraderAPI(config=config).generate_assignment(unit.name)
    if not result["success"]:
        reason = (result.get("error") or result.get("log") or "it gave no reason").strip()
        raise CourseError(f"nothing was released: nbgrader could not generate {unit.name}: {reason.splitlines()[-1]}")


def _require_nothing_else(folder: Path, unit: Unit) -> None:
    """Check that a release contains only the notebook and files in ``data/``."""
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    stray = sorted(str(file) for file in files if file.parts[0] not in (f"{unit.name}.ipynb", _DATA))
    if stray:
        raise CourseError(
            f"nothing was released, because {', '.join(stray)} would be released with {unit.name}: "
            f"move files for students to solutions/{unit.name}/{_DATA}/"
        )


def _require_no_answers(course: Course, folder: Path, unit: Unit) -> None:
    if found := leaks(course, folder):
        raise CourseError(
            f"nothing was released, because {unit.name} would give answers away:\n  " + "\n  ".join(found)
        )
