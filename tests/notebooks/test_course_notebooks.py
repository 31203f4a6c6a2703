"""Every notebook of the course, run from top to bottom the way a student would run it."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

from autograder.course import Course
from autograder.notebook_execution import execute
from autograder.notebooks import build, is_lecture, public_notebook_of, sources
from autograder.release import units_with_solutions
from avae_lib import components

ROOT = Path(__file__).parents[2]
COURSE = Course.load(ROOT)
UNITS = [unit.name for unit in units_with_solutions(COURSE)]
NEEDS_NO_DATA = {"AVAE_DATA": ""}


def run(notebook, folder: Path, record_property, **options) -> None:
    seconds = execute(notebook, folder, fast=True, environment=NEEDS_NO_DATA, **options)
    record_property("notebook_seconds", seconds)


def released(folder: Path, unit: str):
    return nbformat.read(folder / "assignments" / unit / f"{unit}.ipynb", as_version=4)


def set_up_cell(folder: Path, unit: str = UNITS[-1]) -> str:
    return next(cell.source for cell in released(folder, unit).cells if cell.id == "setup")


@pytest.mark.parametrize("source", sources(COURSE), ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_notebook_runs_in_the_published_course(source, course, published, record_property):
    """Lectures must not need a function that students have yet to write; solutions bring theirs along."""
    folder = published / public_notebook_of(course, source).parent.relative_to(ROOT)
    run(build(course, source), folder, record_property)
    if not is_lecture(course, source):
        kept = components.load(published / "my_components.py")
        assert kept == tuple(entry.name for entry in components.listing(source.stem))


@pytest.mark.parametrize("unit", UNITS)
def test_assignment_as_released_fails_at_its_stubs_and_nowhere_else(unit, published, record_property):
    notebook = released(published, unit)
    run(notebook, published / "assignments" / unit, record_property, allow_errors=True)
    errors = {
        cell.id: output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }
    for entry in components.listing(unit):
        failure = errors.pop(f"check_{entry.name}")
        assert failure.ename == "CheckFailed" and f"{entry.name} is not written yet" in failure.evalue
    assert {error.ename for error in errors.values()} == {"NotImplementedError"}


OFFLINE = """
import socket, subprocess, sys
def refuse(*_, **__): raise AssertionError("the set-up cell must not need this here")
socket.socket.connect = subprocess.run = refuse
exec(compile(sys.stdin.read(), "setup", "exec"))
assert not {"matplotlib", "torchvision", "sklearn"} & set(sys.modules), "the set-up cell must stay quick"
"""


@pytest.mark.parametrize("place", ["inside the course", "elsewhere"])
def test_set_up_cell_needs_no_network_and_says_in_one_line_what_it_did(place, published, tmp_path):
    folder = published / "assignments" / UNITS[-1] if place == "inside the course" else tmp_path / "bare"
    folder.mkdir(exist_ok=True)
    (published / "my_components.py").write_text("oops(")
    environment = os.environ | ({} if place == "inside the course" else {"PYTHONPATH": str(published)})
    finished = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        input=set_up_cell(published),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("Ready: PyTorch") and finished.stdout.count("\n") == 1
    assert ("passed over" in finished.stdout) == (place == "inside the course"), "a broken file must not stop a student"
    assert not list(folder.glob("my_components.py"))


@pytest.fixture
def without_library(monkeypatch, published):
    """Run the set-up cell as if avae_lib were not installed; gives the commands it starts and their exit status."""
    commands, status = [], [0]

    def start(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, status[0])

    monkeypatch.chdir(published.parent)
    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return commands, status


def test_set_up_cell_installs_a_missing_library_and_keeps_torch_and_numpy(without_library, published):
    commands, _ = without_library
    exec(set_up_cell(published), {})
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert f"https://github.com/{COURSE.repository}/archive/{COURSE.branch}.zip" in command
    for name in ("torch", "torchvision", "numpy"):
        assert f"{name}=={metadata.version(name)}" in command


def test_set_up_cell_that_cannot_install_says_what_to_do(without_library, published):
    _, status = without_library
    status[0] = 1
    with pytest.raises(ImportError, match="without a network, open this notebook in a course folder"):
        exec(set_up_cell(published), {})


def test_all_notebooks_find_and_install_the_library_in_the_same_way(course):
    found = set()
    for source in sources(course):
        (cell,) = (cell.source for cell in build(course, source).cells if "find_spec" in cell.source)
        place, condition, install = re.fullmatch(
            r".*(sys\.path.*?)\n.*(if util.*?:).*?(keep = .*)raise ImportError.*", cell, re.DOTALL
        ).groups()
        found.add((place, condition, install))
    assert len(found) == 1


def test_lectures_give_no_component_away(course):
    """A lecture may show the mathematics of a component, but not its finished function."""
    names = {entry.name for entry in components.listing()}
    for source in course.lectures.glob("*.py"):
        tree = ast.parse(source.read_text())
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not defined & names
