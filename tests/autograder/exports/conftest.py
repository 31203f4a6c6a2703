"""A class with names that break tables, formulas and importers, graded."""

import csv
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from autograder.course.course import Course
from autograder.course.spreadsheet import write_table
from autograder.exports.export import write_export

UNIT = "03_vae"
DUE = datetime(2027, 3, 12, 23, 59, tzinfo=UTC)

NASTY = {
    "ada": 'Lovelace, Ada "the Countess"',
    "ben": "=cmd|' /c calc'!A1",
    "cleo": "Zoë\nÅngström 李明",
    "dan": "Points Possible",
    "eve": "@SUM(1+1)*cmd",
    "fay": "'=already quoted",
    "gus": "\t=tab",
    "hal": 'Semicolon;=HYPERLINK("http://x")',
    "ivy": "-2+3",
    "joe": "",
    "kim": "Never Handed In",
    "lea": "+49 quarantined",
}


@pytest.fixture(scope="module")
def nasty_class(tmp_path_factory, new_course, recorder):
    course = new_course(tmp_path_factory.mktemp("nasty") / "course")
    record = recorder(course)
    rows = [(id, name, f"{id}@uni.example", "A; B", f"login-{id}", "") for id, name in NASTY.items()]
    write_table(course.roster, [("id", "name", "email", "section", "login", "canvas_id"), *rows])
    for student in NASTY:
        if student == "ben":
            record(student, halve=1.5, diagnosis="=divided, by four\nnot two")
        elif student == "cleo":
            record(student, handed_in=(DUE + timedelta(hours=30)).replace(tzinfo=None))
        elif student == "lea":
            record(student, reason="not JSON")
        elif student != "kim":
            record(student)
    return course


@pytest.fixture
def nasty(nasty_class, tmp_path):
    """A class with nasty names: full marks for most, half-right ben, late cleo, quarantined lea, missing kim."""
    shutil.copytree(nasty_class.root, tmp_path / "course")
    return due(Course.load(tmp_path / "course"))


def due(course) -> Course:
    return replace(course, units=tuple(replace(unit, due=DUE) if unit.name == UNIT else unit for unit in course.units))


@pytest.fixture
def exported():
    """Reads the one file that an export of a form writes, as rows of cells."""

    def rows(course, form, folder):
        (path,), _ = write_export(course, form, [course.unit(UNIT)], folder)
        with path.open(newline="", encoding="utf-8-sig" if form in ("csv", "per-question") else "utf-8") as file:
            return list(csv.reader(file))

    return rows


@pytest.fixture
def names():
    """The names of the class by id."""
    return NASTY
