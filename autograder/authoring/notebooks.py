"""Builds notebooks from their sources: ``NN_topic.py`` in jupytext's percent format becomes ``NN_topic.ipynb``.

Edit the ``.py`` file, never the notebook beside it. Building twice gives the same bytes: cell ids come from the grade
id or the heading, and nothing about the machine is stored. Lectures keep their outputs, because students read them on
the web. Solutions keep none: their pictures would be most of the repository, and a release removes them anyway.

Placeholders are filled in (:mod:`autograder.authoring.notebook_fillings`). Captions contain the descriptions of their
figures (:mod:`autograder.authoring.notebook_captions`). Cells tagged ``build-check`` assert what the text says
about the results (:mod:`autograder.authoring.build_checks`). ``fast`` in a cell's metadata is code appended to it in
quick tests. The outputs of cells that begin with ``# needs: …`` are recorded for students who have not written a
function (:mod:`autograder.authoring.lecture_records`).

Run as ``python -m autograder.authoring.notebooks [--execute] [PATHS]``.
"""

from __future__ import annotations

import copy
import re
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
import tyro
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from autograder.authoring.build_checks import RECORD, digest_of_code, without_build_checks
from autograder.authoring.cell_labels import require_readable_labels
from autograder.authoring.lecture_records import records_differ, write_records
from autograder.authoring.notebook_captions import descriptions, put_descriptions, without_descriptions
from autograder.authoring.notebook_execution import execute, pictures_in, tidy_outputs
from autograder.authoring.notebook_fillings import filled_in
from autograder.course.course import Course
from avae_lib.atomic_write import write_atomically
from avae_lib.errors import UserError, one_line
from avae_lib.plotting.legibility import REQUIRED_BY

__all__ = [
    "build",
    "cells_of",
    "check_pairs",
    "executed",
    "grade_id_of",
    "is_lecture",
    "notebook_of",
    "public_notebook_of",
    "sources",
    "unrun",
    "write",
]

_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
_JUPYTEXT_BOOKKEEPING = ("lines_to_next_cell", "lines_to_end_of_cell_marker", "title")
_LONGEST_SLUG = 48  # nbformat allows ids of 64 characters; this leaves room for a counter
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources(course: Course) -> tuple[Path, ...]:
    """The notebook sources of a course: its lectures, then its solutions, each in order."""
    lectures = sorted(course.lectures.glob("*.py"))
    solutions = sorted(path for path in course.solutions.glob("*/*.py") if path.stem == path.parent.name)
    return (*lectures, *solutions)


def notebook_of(source: Path) -> Path:
    """The path of the notebook built from a source."""
    return source.with_suffix(".ipynb")


def public_notebook_of(course: Course, source: Path) -> Path:
    """The notebook that students open: the lecture itself, or the assignment made from a solution."""
    if is_lecture(course, source):
        return notebook_of(source)
    return course.assignments / source.stem / f"{source.stem}.ipynb"


def is_lecture(course: Course, source: Path) -> bool:
    """Whether a source is a lecture; otherwise it is a solution."""
    return source.resolve().parent == course.lectures.resolve()


def grade_id_of(cell: NotebookNode) -> str | None:
    """nbgrader's id of a cell; None if it has none."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def build(course: Course, source: Path) -> NotebookNode:
    """The notebook of a source, without outputs and build checks.

    Its metadata contains the digest of the source's code, as if that had been run; :func:`unrun` corrects this for a
    notebook that was not.

    Raises:
        ValueError: a caption has no description of its figure, or a cell has a label that cannot be read.
    """
    notebook = _whole(course, source)
    notebook.cells = without_build_checks(notebook.cells)
    descriptions(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_descriptions(cell.source)
    if link := course.colab_link(public_notebook_of(course, source)):
        _add_badge(notebook.cells[0], link)
    nbformat.validate(notebook)
    return notebook


def unrun(course: Course, source: Path) -> NotebookNode:
    """The notebook of a source, with the digest of the code that was run when it was last executed, if ever."""
    notebook = build(course, source)
    path = notebook_of(source)
    before = nbformat.read(path, as_version=4).metadata if path.exists() else {}
    notebook.metadata.pop(RECORD)
    notebook.metadata.update({key: value for key, value in before.items() if key == RECORD})
    return notebook


def cells_of(source: Path) -> list[NotebookNode]:
    """The cells of a source without build checks, placeholders not filled in."""
    return without_build_checks(_parsed(source).cells)


def _parsed(source: Path) -> NotebookNode:
    return jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")


def _digest(source: Path) -> str:
    """The digest of a source's code before placeholders are filled in, so that it does not depend on the repository."""
    return digest_of_code(_parsed(source).cells)


def _whole(course: Course, source: Path) -> NotebookNode:
    """The notebook as the build runs it, with build checks and with descriptions in the captions."""
    notebook = _parsed(source)
    require_readable_labels(without_build_checks(notebook.cells))
    notebook.metadata = nbformat.from_dict({**_METADATA, RECORD: _digest(source)})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        for key in _JUPYTEXT_BOOKKEEPING:
            cell.metadata.pop(key, None)
        cell.source = filled_in(cell.source, course, source, exercises=not is_lecture(course, source))
    _identify(without_build_checks(notebook.cells))
    return notebook


def executed(course: Course, source: Path) -> NotebookNode:
    """Run a source's notebook and its build checks, and return it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell or a build check failed, or a figure is too wide or has text too
            small to read.
    """
    whole = _whole(course, source)
    notebook = build(course, source)
    with tempfile.TemporaryDirectory() as folder:
        seconds = execute(whole, Path(folder), environment={REQUIRED_BY: "1"})
    print(f"  executed in {seconds:.0f} s")
    shown = without_build_checks(tidy_outputs(whole).cells)
    code_cells = [(cell, run) for cell, run in zip(notebook.cells, shown, strict=True) if cell.cell_type == "code"]
    for count, (cell, run) in enumerate(code_cells, start=1):
        cell.outputs, cell.execution_count = run.outputs, count
    return notebook


def write(notebook: NotebookNode, path: Path) -> bool:
    """Write a notebook, unless the file already has this content; return whether it was written."""
    text = nbformat.writes(notebook) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return True


def check_pairs(course: Course) -> tuple[str, ...]:
    """Differences between sources and their notebooks, one sentence each; empty if there are none."""
    return tuple(problem for source in sources(course) if (problem := _difference(course, source)))


def _difference(course: Course, source: Path) -> str | None:
    path = notebook_of(source)
    name = path.relative_to(course.root)
    if not path.exists():
        return f"{name} has not been built (run make notebooks)"
    stored, built = nbformat.read(path, as_version=4), build(course, source)
    if stored.metadata.get(RECORD) != built.metadata[RECORD]:
        return f"{name}: code or build checks of its source have changed since it was run (build it with --execute)"
    code_cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    if is_lecture(course, source) and any(cell.execution_count is None for cell in code_cells):
        return f"{name} contains cells that were not executed (build it with --execute)"
    described = copy.deepcopy(stored)
    put_descriptions(described, descriptions(_whole(course, source).cells))
    if described != stored:
        return f"{name} contains figures whose descriptions differ from the source (build it again)"
    if is_lecture(course, source) and records_differ(course, source.stem, stored):
        return f"{name} and the recorded outputs of its cells differ (build it again)"
    for cell in code_cells:
        cell.outputs, cell.execution_count = [], None
    return None if stored == built else f"{name} differs from its source (build it again)"


def _add_badge(first: NotebookNode, link: str) -> None:
    first.source = f"[![Open in Colab]({_BADGE})]({link})\n\n{first.source}"


def _identify(cells: list[NotebookNode]) -> None:
    """Give each cell an id made from its grade id, or else from the heading above it."""
    taken: set[str] = set()
    heading = "top"
    for cell in cells:
        heading = heading if grade_id_of(cell) else _heading_of(cell) or heading
        cell.id = _free_name(grade_id_of(cell) or heading, taken)
        taken.add(cell.id)


def _heading_of(cell: NotebookNode) -> str | None:
    found = re.match(r"#+ (.+)", cell.source) if cell.cell_type == "markdown" else None
    return re.sub(r"[^a-z0-9]+", "-", found[1].lower()).strip("-")[:_LONGEST_SLUG] if found else None


def _free_name(name: str, taken: set[str]) -> str:
    candidates = (name if count == 1 else f"{name}-{count}" for count in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def _keep_outputs(notebook: NotebookNode, path: Path, source: Path) -> None:
    """Copy the stored outputs of code cells whose text has not changed."""
    if not path.exists():
        return
    stored = nbformat.read(path, as_version=4)
    before = {cell.id: cell for cell in stored.cells}
    code_as_run = stored.metadata.get(RECORD) == _digest(source)
    for cell in notebook.cells:
        old = before.get(cell.id)
        if cell.cell_type == "code" and old is not None and (code_as_run or old.source == cell.source):
            cell.outputs, cell.execution_count = old.outputs, old.execution_count


def _make_lecture(course: Course, source: Path, run: bool) -> NotebookNode:
    if run:
        notebook = executed(course, source)
    else:
        notebook = unrun(course, source)
        _keep_outputs(notebook, notebook_of(source), source)
    put_descriptions(notebook, descriptions(_whole(course, source).cells))
    return notebook


def _make_solution(course: Course, source: Path, run: bool) -> NotebookNode:
    if not run:
        return unrun(course, source)
    for name, picture in pictures_in(executed(course, source)).items():
        path = source.parent / "pictures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture)
    return build(course, source)


def main(paths: tyro.conf.Positional[tuple[Path, ...]] = (), execute: bool = False) -> int:
    """Build the course's notebooks from their sources.

    Args:
        paths: Sources to build; by default all.
        execute: Also run the notebooks and their build checks; a notebook that fails is not written. Lectures keep the
            outputs; solutions write the pictures that students compare theirs with.

    Returns:
        The number of notebooks that could not be built.
    """
    course = Course.find()
    failed = 0
    for source in paths or sources(course):
        make = _make_lecture if is_lecture(course, source) else _make_solution
        try:
            notebook = make(course, source.resolve(), execute)
            changed = write(notebook, notebook_of(source))
            if is_lecture(course, source):
                changed |= write_records(course, source.stem, notebook)
            print(f"{notebook_of(source)}: {'written' if changed else 'up to date'}")
        except (CellExecutionError, ValueError) as failure:
            failed += 1
            print(f"{source}: not built\n{failure}", file=sys.stderr)
    return failed


def _run() -> int:
    try:
        return tyro.cli(main)
    except (UserError, OSError) as error:
        print(f"notebooks: {one_line(error)}", file=sys.stderr)
        return error.exit_status if isinstance(error, UserError) else 1


if __name__ == "__main__":
    sys.exit(_run())
