"""Notebooks at full length with their checks, and assignments as they are released."""

import ast
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from autograder.authoring.notebook_execution import execute
from autograder.authoring.notebooks import executed, sources
from autograder.course.course import Course
from autograder.releasing.release import units_with_solutions
from avae_lib import components
from avae_lib.plotting.legibility import REQUIRED_BY

ROOT = Path(__file__).parents[2]
COURSE = Course.load(ROOT)
UNITS = [unit.name for unit in units_with_solutions(COURSE)]
SURROUNDINGS = {"AVAE_DATA": "", REQUIRED_BY: "1"}  # no further data sets; illegible figures fail

every_source = pytest.mark.parametrize(
    "source", sources(COURSE), ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)


def section_of(cell_id: str) -> str:
    """The heading that a cell stands under, after which it is named."""
    return re.sub(r"-\d+$", "", cell_id)


@pytest.mark.slow
@every_source
def test_notebook_at_full_length_keeps_what_its_captions_and_sentences_say(source, course, monkeypatch):
    monkeypatch.setenv("AVAE_DATA", "")
    executed(course, source)


@pytest.mark.parametrize("unit", [pytest.param(unit, marks=pytest.mark.xdist_group(unit)) for unit in UNITS])
def test_assignment_as_released_fails_at_its_stubs_and_what_builds_on_them(
    unit, published_through, tmp_path, record_property
):
    folder = shutil.copytree(published_through(unit), tmp_path / "course") / "assignments" / unit
    notebook = nbformat.read(folder / f"{unit}.ipynb", as_version=4)
    record_property(
        "notebook_seconds", execute(notebook, folder, fast=True, environment=SURROUNDINGS, allow_errors=True)
    )
    errors = {
        cell.id: output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }
    for entry in components.listing(unit):
        failure = errors.pop(f"check_{entry.name}")
        assert failure.ename == "CheckFailed" and f"{entry.name} is not written yet" in failure.evalue
    if not components.listing(unit):  # a capstone has nothing to be written
        assert not errors, errors
        return
    met_stub = {section_of(cell) for cell, error in errors.items() if error.ename == "NotImplementedError"}
    assert met_stub and {section_of(cell) for cell in errors} == met_stub, errors
    first = {section_of(cell): error.ename for cell, error in reversed(errors.items())}
    assert set(first.values()) == {"NotImplementedError"}, "later cells of a section may lack what the first one makes"


def test_lectures_give_no_component_away(course):
    """A lecture may show the mathematics of a component, but not its finished function."""
    names = {entry.name for entry in components.listing()}
    for source in course.lectures.glob("*.py"):
        tree = ast.parse(source.read_text())
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not defined & names
