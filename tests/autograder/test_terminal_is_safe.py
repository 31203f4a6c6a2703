"""What commands print of students' and an LMS's texts: lines without signs that act; JSON and CSV that can be read."""

import csv
import io
import json
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.cli import main
from autograder.examples.hostile_texts import HOSTILE_NAMES, HOSTILE_TEXTS
from autograder.plain_text import legible, legibly, unmistakable

ROOT = Path(__file__).parents[2]
UNIT = "03_vae"
STUDENTS = [unmistakable(name) for name in HOSTILE_NAMES.values()]
WHOLE = [text for text in HOSTILE_TEXTS.values() if "\ud800" not in text]


@pytest.fixture
def hostile_course(course, record, monkeypatch):
    """A class whose names in the roster, diagnoses, flags, reasons and extensions are hostile."""
    shutil.copytree(ROOT / "solutions" / UNIT, course.root / "solutions" / UNIT)
    for number, student in enumerate(STUDENTS):
        text = WHOLE[number % len(WHOLE)]
        record(student, halve=1.0, diagnosis=text, flags=(text, *WHOLE[number::12]))
    record("quarantined", reason="\n".join(WHOLE[:5]))
    course.roster.parent.mkdir(exist_ok=True)
    with course.roster.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "name", "email"])
        rows.writerows([student, WHOLE[-1 - n], f"{n}@example.org"] for n, student in enumerate(STUDENTS))
    monkeypatch.chdir(course.root)
    return course


def said(capsys, *arguments, status=0) -> str:
    """What a command prints, on both streams; it must end as expected."""
    assert main(arguments) == status
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.out + printed.err


TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def acts(sign) -> bool:
    """Whether a sign controls a terminal, ends a line somewhere, turns the direction of writing, or is none."""
    return unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(sign) in TURNING


def assert_fit_for_a_terminal(text) -> None:
    assert not [sign for sign in text if sign not in "\n\t" and acts(sign)], text


COMMANDS = [
    *(("export", "--format", form) for form in ("csv", "per-question", "canvas", "moodle", "gradescope")),
    *(("report", UNIT), ("similarity", UNIT), ("feedback", UNIT), ("status", UNIT), ("status",)),
    *(("extend", STUDENTS[0], UNIT, "2", "--reason", text) for text in WHOLE[-6:]),
    ("regrade", "add", STUDENTS[0], UNIT, "--reason", "\x1b[2J\u202e<script>"),
    ("regrade", "list"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_print_lines_of_printable_signs(hostile_course, capsys, command):
    arguments = [part if not part.startswith("-") or part.startswith("--") else f"./{part}" for part in command]
    assert_fit_for_a_terminal(said(capsys, *arguments))


@pytest.mark.parametrize("unit", [f"\x1b[2J{UNIT}", "\u202e03", "a\nada  graded  28/28"])
def test_complaints_about_an_argument_show_it_without_obeying_it(hostile_course, capsys, unit):
    assert_fit_for_a_terminal(said(capsys, "report", unit, status=1))


def test_no_name_in_a_roster_makes_a_line_of_its_own(hostile_course, capsys):
    lines = said(capsys, "status", UNIT).split("\n")
    assert not [line for line in lines if line.startswith(("{", "ada   "))]
    assert sum(line.startswith(STUDENTS[0]) for line in lines) == 1


def test_json_and_csv_are_read_back(hostile_course, capsys):
    rows = json.loads(said(capsys, "status", UNIT, "--json"))
    assert set(STUDENTS) <= {row["student"] for row in rows}
    table = list(csv.DictReader(io.StringIO(said(capsys, "status", UNIT, "--csv"))))
    assert len(table) == len(rows)
    said(capsys, "export")
    (path,) = (hostile_course.root / "exports").glob("*.csv")
    with path.open(newline="", encoding="utf-8-sig") as file:
        exported = list(csv.DictReader(file))
    assert len(exported) >= len(STUDENTS) and all(None not in row for row in exported)


@given(st.text())
def test_whatever_a_command_prints_nothing_in_it_acts(text):
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.stdout", stream)
        legibly(print)(text)
    assert_fit_for_a_terminal(stream.getvalue())
    assert stream.getvalue() == legible(text + "\n") and legible(legible(text)) == legible(text)
