"""A published copy of the course to run notebooks in, and a line on how long each took."""

import shutil
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.publication import publish
from autograder.release import units_with_solutions

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def course() -> Course:
    return Course.load(ROOT)


@pytest.fixture(scope="session")
def publication(course, tmp_path_factory) -> Path:
    last = units_with_solutions(course)[-1]
    return publish(course, tmp_path_factory.mktemp("published") / "course", last)


@pytest.fixture
def published(publication, tmp_path) -> Path:
    """What students have while they work on the last released unit; changes to it are lost with the test."""
    return shutil.copytree(publication, tmp_path / "course")


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if report.when == "call" and name == "notebook_seconds":
                terminalreporter.write_line(f"{value:6.1f} s  {report.nodeid.split('::')[-1]}")
