"""A published copy of the course to run notebooks in, and a line on how long each took."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import jupytext
import pytest

from autograder.authoring.notebooks import grade_id_of
from autograder.course.course import Course
from autograder.releasing.publication import publish
from autograder.releasing.release import source_of, units_with_solutions
from autograder.releasing.units_to_publish import Edition
from avae_lib import components

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def course() -> Course:
    return Course.load(ROOT)


@pytest.fixture(scope="session")
def published_through(course, tmp_path_factory) -> Callable[[str], Path]:
    """The course as students have it who have reached a unit, by the unit's name. Each edition is made once."""

    @functools.cache
    def edition(unit: str) -> Path:
        place, through = tmp_path_factory.mktemp(unit) / "course", course.unit(unit)
        publish(course, place, Edition(through, course.before(through)))
        return place

    return edition


@pytest.fixture
def published(course, published_through, tmp_path) -> Path:
    """What students have while they work on the last released unit; changes to it are lost with the test."""
    last = units_with_solutions(course)[-1]
    return shutil.copytree(published_through(last.name), tmp_path / "course")


@pytest.fixture(scope="session")
def answer_cells(course) -> Callable[[str], dict[str, str]]:
    """The cells of a unit's solution that write components: name → code as it stands in the notebook."""

    @functools.cache
    def cells(unit: str) -> dict[str, str]:
        source = source_of(course, course.unit(unit))
        written = jupytext.read(source, fmt="py:percent").cells if source.exists() else []
        by_id = {grade_id_of(cell): cell.source for cell in written}
        return {entry.name: by_id[entry.name] for entry in components.listing(unit) if entry.name in by_id}

    return cells


@pytest.fixture(scope="session")
def kept_functions(course, answer_cells) -> Callable[[str], str]:
    """What ``my_components.py`` holds once a student has solved all units up to one, that one included."""

    def text(unit: str) -> str:
        units = (*course.before(course.unit(unit)), course.unit(unit))
        cells = [code for solved in units for code in answer_cells(solved.name).values()]
        return "\n\n\n".join(["import torch\nfrom avae_lib.components import implements", *cells])

    return text


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if report.when == "call" and name == "notebook_seconds":
                terminalreporter.write_line(f"{value:6.1f} s  {report.nodeid.split('::')[-1]}")
