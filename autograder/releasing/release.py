"""Releasing units to students: assignments made from solutions, all or nothing.

What is to be released is built in a folder of its own, ``.course/release-…``: the solution notebook without outputs,
the assignment that nbgrader makes of it, the public cases. There its labels are looked at, its points are compared
with those of the checks, and it is searched for answers. Only when every unit that was named has passed are the files
moved to their places, unit by unit, the assignment's notebook last and in one step. So whatever fails, and whenever the
program is killed, each notebook in ``assignments/`` is the earlier release or the new one, whole.
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
from autograder.gradebook.nbgrader_config import NEVER_RELEASED, configure
from autograder.gradebook.released_cells import carry_cells, require_graded_cells
from autograder.releasing.leaks import leaks
from autograder.releasing.release_files import move, move_folder, remove_others

__all__ = ["release", "require_points_of_checks", "source_of", "units_with_solutions"]

_DATA = "data"
_DRAFTS = "release-"


def units_with_solutions(course: Course) -> tuple[Unit, ...]:
    """The units that have an assignment to release, in teaching order."""
    return tuple(unit for unit in course.units if source_of(course, unit).exists())


def source_of(course: Course, unit: Unit) -> Path:
    """The solution a unit's assignment is made from."""
    return course.solutions / unit.name / f"{unit.name}.py"


def release(course: Course, units: Sequence[Unit] = (), *, force: bool = False) -> tuple[Path, ...]:
    """Generate the assignments of the given units (all that have a solution if none is given); returns the notebooks.

    Args:
        force: release a unit although students have been graded in it and its graded cells are now others. Points and
            comments of the cells that are gone are removed from the gradebook; the audit log keeps them.

    Raises:
        CourseError: a unit has no solution, a label or the points of a cell are wrong, students have been graded in
            cells that the solution no longer has, or an answer would reach the students. Nothing was released then.
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
    """What a unit's release consists of, in a folder that only its makers see.

    Attributes:
        assignment: the folder for students.
        cases: the file of public cases; None where the unit has none.
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
    """Remove the drafts of releases that were killed. We hold the course's lock, so no release is using them."""
    for folder in course.records.glob(f"{_DRAFTS}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _drafted(course: Course, unit: Unit, folder: Path) -> _Draft:
    source = source_of(course, unit)
    if not source.exists():
        raise CourseError(f"unit {unit.name} has no solution yet: its assignment is made from {source}")
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
        said = str(trouble).splitlines()[0]
        raise CourseError(_refusal(source.relative_to(course.root), [said])) from None


def _refusal(source: Path, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"nothing was released: {source}: {problems[0]}"
    return "\n  ".join([f"nothing was released: {len(problems)} things are wrong in {source}:", *problems])


def _draft_of_cases(course: Course, unit: Unit, folder: Path) -> Path | None:
    # A course kept apart from the library takes the cases that came with it; a capstone has none.
    if not (course.root / "avae_lib").is_dir() or unit.kind == "capstone":
        return None
    path = folder / _place_of_cases(course, unit).name
    path.write_text(public_cases(unit.name, _place_of_cases(course, unit)), encoding="utf-8")
    return path


def _place_of_cases(course: Course, unit: Unit) -> Path:
    return course.root / "avae_lib" / "checking" / "public" / f"{unit.name}.json"


def _put_in_place(course: Course, draft: _Draft) -> Path:
    """Move a unit's files to where they belong; the step that students and graders see, the notebook, is the last."""
    notebook, place = draft.read(), course.released_notebook(draft.unit)
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
    """Hold the check cells of a notebook against the unit's checks: the same components, order and points.

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
        raise CourseError(f"nothing was released: {stray[0]} checks no component of {unit.name}; it has {names}")
    if list(check_cells) != names:
        raise CourseError(
            f"nothing was released: the check cells of {unit.name} stand in the order {', '.join(check_cells)}, its "
            f"checks in the order {', '.join(names)}: let both be the same"
        )


def _require_cells_of(check: ComponentCheck, check_cells: Mapping[str, NotebookNode], labels: set[str | None]) -> None:
    name, call = f"check_{check.component}", f'check("{check.component}")'
    if check.component not in labels:
        problem = f"{check.component} has no answer cell: give the cell of its solution the grade_id {check.component}"
    elif name not in check_cells:
        problem = f"{check.component} has no check cell: put {call}, with the grade_id {name}, right after its answer"
    elif check_cells[name].source.strip() != call:
        problem = f"{name} must hold {call} and nothing else"
    elif _points(check_cells[name]) != check.points:
        problem = (
            f"{name} is worth {_points(check_cells[name])} points, the cases of its check {check.points}: "
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
        raise CourseError(f"the check cells of {unit.name} must be worth {wanted}, got {cells}")


def _generate(folder: Path, unit: Unit) -> None:
    """Have nbgrader make the assignment of ``folder/solutions`` in ``folder/assignments``, without a gradebook."""
    from nbgrader.apps.api import NbGraderAPI  # costs seconds, which other commands should not pay
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import SaveCells

    config = configure(Config(), folder)
    config.GenerateAssignment.exporter_class = "nbconvert.exporters.NotebookExporter"
    config.GenerateAssignment.no_database = True
    steps = GenerateAssignment.class_traits()["preprocessors"].default()
    config.GenerateAssignment.preprocessors = [step for step in steps if step is not SaveCells]
    result = NbGraderAPI(config=config).generate_assignment(unit.name)
    if not result["success"]:
        said = (result.get("error") or result.get("log") or "it gave no reason").strip()
        raise CourseError(f"nothing was released: nbgrader could not generate {unit.name}: {said.splitlines()[-1]}")


def _require_nothing_else(folder: Path, unit: Unit) -> None:
    """Only the notebook and what lies in ``data/`` may reach students."""
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    stray = sorted(str(file) for file in files if file.parts[0] not in (f"{unit.name}.ipynb", _DATA))
    if stray:
        raise CourseError(
            f"{', '.join(stray)} would be released with {unit.name}, so nothing was: "
            f"files for students belong in solutions/{unit.name}/{_DATA}/"
        )


def _require_no_answers(course: Course, folder: Path, unit: Unit) -> None:
    if found := leaks(course, folder):
        raise CourseError(
            f"answers would reach the students with {unit.name}, so nothing was released:\n  " + "\n  ".join(found)
        )
