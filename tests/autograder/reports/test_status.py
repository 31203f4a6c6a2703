"""Where a class stands: the same numbers as the gradebook's, in a table, CSV and JSON."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from nbgrader.api import Gradebook

from autograder.cli import main
from autograder.course.course import Course
from autograder.gradebook.class_grades import class_grades
from autograder.gradebook.regrade_requests import add_request
from autograder.reports.status import as_csv, as_table, student_statuses, to_do, unit_statuses

UNIT = "03_vae"
DUE = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def course(course, record, hand_in, solved):
    """One student of each kind: graded, waiting, late, quarantined, flagged, missing, not graded yet, a stranger."""
    facts = (course.root / "course.toml").read_text()
    facts = facts.replace(f'name = "{UNIT}"', f'name = "{UNIT}"\ndue = 2026-11-01T12:00:00Z')
    (course.root / "course.toml").write_text('roster = "roster.csv"\n' + facts.replace("\nroster =", "\n#"))
    names = ("graded", "waiting", "late", "broken", "flagged", "missing", "fresh")
    (course.root / "roster.csv").write_text("id\n" + "\n".join(names) + "\n")
    for student in (*names, "stranger"):
        if student not in ("missing", "fresh"):
            late = timedelta(days=1, hours=1) if student == "late" else timedelta(hours=-1)
            moment = None if student == "stranger" else (DUE + late).replace(tzinfo=None)
            flags = ("renamed", "moved") if student == "flagged" else ()
            record(student, handed_in=moment, reason="not a notebook" * (student == "broken"), flags=flags)
        if student != "missing":
            hand_in(student, solved)
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        for student in ("graded", "late", "flagged", "stranger"):
            grade = gradebook.find_grade("question_1", UNIT, UNIT, student)
            grade.manual_score, grade.needs_manual_grade = 2.0, False
        gradebook.db.commit()
    return Course.load(course.root)


def by_student(course):
    return {row.student: row for row in student_statuses(course, course.unit(UNIT))}


def test_each_student_stands_where_the_gradebook_has_them(course):
    rows = by_student(course)
    assert {student: row.status for student, row in rows.items()} == {
        "graded": "graded",
        "waiting": "waiting",
        "late": "graded",
        "broken": "quarantined",
        "flagged": "graded",
        "missing": "missing",
        "fresh": "not graded",
        "stranger": "graded",
    }
    grades = class_grades(course, [course.unit(UNIT)])
    assert {student: row.points for student, row in rows.items()} == {
        student: grades.grades[student, UNIT].points for student in rows
    }
    assert rows["late"].days_late == 2 and rows["late"].points < rows["graded"].points == 7.0
    assert rows["waiting"].waits_for == ("question_1",)
    assert rows["broken"].waits_for == ("a look at the submission: not a notebook",)
    assert rows["fresh"].waits_for == ("course grade",)
    assert rows["flagged"].flags == 2
    assert rows["stranger"].remark == "handed in at an unknown time; not in the roster"


def test_a_class_in_numbers(course):
    add_request(course, course.unit(UNIT), "graded", "halve", "It is right.")
    [row] = unit_statuses(course, [course.unit(UNIT)])
    assert (row.students, row.handed_in, row.graded, row.waiting, row.ungraded) == (8, 7, 4, 1, 1)
    assert (row.quarantined, row.late, row.flagged, row.missing, row.no_time, row.requests) == (1, 1, 1, 1, 1, 1)
    assert by_student(course)["graded"].waits_for == ("1 regrade request",)


def test_what_is_to_do_names_people_and_commands(course):
    said = "\n".join(to_do(student_statuses(course, course.unit(UNIT))))
    assert "to grade by hand (course answers 03): waiting" in said
    assert "to grade (course grade 03): fresh" in said
    assert "to look at (course report 03): broken" in said


def test_a_table_leaves_out_empty_columns_and_signs_of_a_terminal(course):
    (course.submitted / "bad\x1b[31m").mkdir()
    table = as_table(student_statuses(course, course.unit(UNIT)))
    assert "\x1b" not in table
    assert [name.strip() for name in table.splitlines()[0].split("  ") if name] == [
        *("student", "status", "points", "max points", "handed in", "days late", "flags", "waits for", "remark")
    ]
    assert (
        as_table(())
        == "the roster is empty and nothing was handed in: run course roster FILE, then course collect UNIT ZIP"
    )


def test_csv_comes_back_as_it_was_and_is_safe_in_a_spreadsheet(course, hand_in, solved):
    hand_in("=cmd()", solved)
    rows = student_statuses(course, course.unit(UNIT))
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [row["student"].lstrip("'") for row in read] == [row.student for row in rows]
    assert "'=cmd()" in {row["student"] for row in read}
    assert {row["student"]: row["points"] for row in read}["graded"] in ("7", "7.0")


def test_a_course_in_which_nothing_was_handed_in_has_a_status_too(course, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(course.root)
    assert main(["status", "--json"]) == 0 and '"waiting": 1' in capsys.readouterr().out
    assert main(["status", UNIT, "--csv"]) == 0 and capsys.readouterr().out.startswith('"student"')
    assert main(["status", "03"]) == 0 and "waiting" in capsys.readouterr().out
    assert main(["status", "99"]) == 1
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "course.toml").write_bytes((course.root / "course.toml").read_bytes())
    monkeypatch.chdir(tmp_path / "new")
    capsys.readouterr()
    assert main(["status"]) == 0 and "nothing is released yet" in capsys.readouterr().out
    assert main(["status", "03"]) == 0 and "the roster is empty" in capsys.readouterr().out
