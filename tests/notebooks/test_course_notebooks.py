"""Every notebook of the course, run from top to bottom: quickly, as a student would, and at length with its checks."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from autograder.course import Course
from autograder.notebook_execution import execute
from autograder.notebooks import build, executed, is_lecture, public_notebook_of, sources
from autograder.release import units_with_solutions
from avae_lib import components
from avae_lib.plotting.legibility import REQUIRED_BY

ROOT = Path(__file__).parents[2]
COURSE = Course.load(ROOT)
UNITS = [unit.name for unit in units_with_solutions(COURSE)]
SURROUNDINGS = {"AVAE_DATA": "", REQUIRED_BY: "1"}  # no further data sets; illegible figures fail

every_source = pytest.mark.parametrize(
    "source", sources(COURSE), ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)


def run(notebook, folder: Path, record_property, **options) -> None:
    seconds = execute(notebook, folder, fast=True, environment=SURROUNDINGS, **options)
    record_property("notebook_seconds", seconds)


def section_of(cell_id: str) -> str:
    """The heading that a cell stands under, after which it is named."""
    return re.sub(r"-\d+$", "", cell_id)


@every_source
def test_notebook_runs_in_the_published_course(source, course, published, record_property):
    """Lectures must not need a function that students have yet to write; solutions bring theirs along."""
    folder = published / public_notebook_of(course, source).parent.relative_to(ROOT)
    run(build(course, source), folder, record_property)
    if not is_lecture(course, source):
        kept = components.load(published / "my_components.py")
        assert kept == tuple(entry.name for entry in components.listing(source.stem))


@pytest.mark.slow
@every_source
def test_notebook_at_full_length_keeps_what_its_captions_and_sentences_say(source, course, monkeypatch):
    monkeypatch.setenv("AVAE_DATA", "")
    executed(course, source)


@pytest.mark.parametrize("unit", UNITS)
def test_assignment_as_released_fails_at_its_stubs_and_what_builds_on_them(unit, published, record_property):
    folder = published / "assignments" / unit
    notebook = nbformat.read(folder / f"{unit}.ipynb", as_version=4)
    run(notebook, folder, record_property, allow_errors=True)
    errors = {
        cell.id: output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }
    for entry in components.listing(unit):
        failure = errors.pop(f"check_{entry.name}")
        assert failure.ename == "CheckFailed" and f"{entry.name} is not written yet" in failure.evalue
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
