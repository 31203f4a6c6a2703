"""Exports: what Canvas, Moodle, Gradescope and a spreadsheet make of our files, by their own published rules.

The readers below follow the documentation and import code of each system, not our writers.
"""

import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbgrader.api import Gradebook

from autograder import cli
from autograder.course.course import CourseError
from autograder.course.roster import Roster
from autograder.course.spreadsheet import guarded, read_table, unguarded, write_table
from autograder.exports import gradescope, moodle
from autograder.exports.export import write_export
from autograder.feedback.class_feedback import write_feedback
from autograder.gradebook.class_grades import Standing, Status, class_grades
from autograder.gradebook.gradebook_writer import autograded_notebook
from autograder.gradebook.open_gradebook import open_gradebook
from autograder.reports.class_report import write_report

UNIT = "03_vae"
DUE = datetime(2027, 3, 12, 23, 59, tzinfo=UTC)

WITHOUT_GRADE = {"kim", "lea"}  # not due yet, and quarantined


def by_id(rows):
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


@given(st.text())
def test_no_text_is_left_that_a_spreadsheet_takes_for_a_formula_and_all_of_it_comes_back(text):
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not cell or cell[0] not in "=+-@\t\r\n\x00＝＋－＠"
    assert cell.lstrip(' \t\r\n\v\f\x00\u200b\ufeff"')[:1] not in tuple("=+-@")


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), min_size=1))
def test_a_table_of_any_text_reads_back_as_it_was(tmp_path_factory, rows):
    path = write_table(tmp_path_factory.mktemp("table") / "table.csv", rows)
    with path.open(newline="", encoding="utf-8") as file:
        assert [[unguarded(cell) for cell in row] for row in csv.reader(file)] == rows


def test_final_grades_keep_every_name_and_say_where_each_student_stands(nasty, tmp_path, exported, names):
    rows = by_id(exported(nasty, "csv", tmp_path))
    assert {id: unguarded(row["name"]) for id, row in rows.items()} == names
    assert [row["name"][0] for row in rows.values() if "=" in row["name"]].count("=") == 0
    points = {id: row[UNIT] for id, row in rows.items()}
    assert points["ada"] == "5" and points["ben"] == "3.5"
    assert points["cleo"] == "3.4"  # 5 − 2 days · 10 % of the 8 points the unit is worth
    assert points["lea"] == ""
    assert {id: row[f"{UNIT}_status"] for id, row in rows.items() if id in ("ada", "kim", "lea")} == {
        "ada": "waiting",
        "kim": "open",
        "lea": "quarantined",
    }


def test_a_missing_student_gets_what_the_policy_says_once_the_unit_is_due(nasty):
    unit, kim = nasty.unit(UNIT), Roster.of(nasty)["kim"]
    after = DUE + timedelta(minutes=1)
    assert class_grades(nasty, [unit], DUE).of(kim, unit).points is None
    assert class_grades(nasty, [unit], after).of(kim, unit).points == 0.0
    lenient = replace(nasty, late_policy=replace(nasty.late_policy, missing="blank"))
    grade = class_grades(lenient, [unit], after).of(kim, unit)
    assert (grade.status, grade.points) == ("missing", None)


def test_questions_and_lateness_add_up_to_the_grade(nasty, tmp_path, exported):
    totals = {id: row[UNIT] for id, row in by_id(exported(nasty, "csv", tmp_path)).items()}
    header, *rows = exported(nasty, "per-question", tmp_path)
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    for student, total in totals.items():
        points = [float(cell["points"]) for cell in cells if cell["id"] == student and cell["points"]]
        assert sum(points) == pytest.approx(float(total or 0))
    (comment,) = (cell["comment"] for cell in cells if cell["id"] == "ben" and cell["question"] == "check_halve")
    assert comment == "halves: =divided, by four\nnot two"


def canvas_import(rows):
    """What Canvas reads, as (assignments with points, grades by SIS id).

    https://teaching.resources.osu.edu/toolsets/carmencanvas/guides/calculating-final-grades/import-csv-file-carmen-grades
    https://github.com/instructure/canvas-lms/blob/master/lib/gradebook_importer.rb
    """
    header = rows[0]
    assert len(header) > 3 and "Student" in header[0] and "ID" in header[1]
    assert re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3])
    assert header[4] == "Section"
    columns = [name for name in header[5:] if not re.search("(Current|Final) (Score|Points|Grade)|Override", name)]
    worth, grades = {}, {}
    for row in rows[1:]:
        values = dict(zip(header, row, strict=True))
        if "Points Possible" in row[0]:
            worth |= {name: values[name] for name in columns}
        else:
            assert not row[1] or row[1].isdigit()
            grades[row[2]] = {name: values[name].strip() for name in columns}
    return worth, grades


def test_canvas_reads_the_points_of_every_student_and_what_the_unit_is_worth(nasty, tmp_path, exported, names):
    rows = exported(nasty, "canvas", tmp_path)
    worth, grades = canvas_import(rows)
    assert worth == {"Variational autoencoders": "8"}
    assert set(grades) == set(names) - WITHOUT_GRADE, "a student called Points Possible must stay a student"
    points = {student: grade["Variational autoencoders"] for student, grade in grades.items()}
    assert (points["ada"], points["ben"], points["cleo"]) == ("5", "3.5", "3.4")
    assert all(re.fullmatch(r"-?\d+(\.\d{1,2})?", value) for value in points.values()), "an empty cell clears a grade"
    assert all("\n" not in cell for row in rows for cell in row), "Canvas guesses the separator from physical lines"


def test_canvas_finds_an_assignment_by_its_number_and_by_no_other_number_in_a_title(nasty, tmp_path, exported):
    def header(**facts):
        units = tuple(replace(unit, **facts) if unit.name == UNIT else unit for unit in nasty.units)
        return exported(replace(nasty, units=units), "canvas", tmp_path)[0][-1]

    assert header(canvas_id=4711) == "Variational autoencoders (4711)"
    assert not re.search(r"\(\d+\)$", header(title="Autoencoders (2013)"))
    with pytest.raises(CourseError, match="another title"):
        header(title="Final Score of the VAE")


def moodle_import(rows, identify="ID number"):
    """What Moodle stores, its faults included.

    https://docs.moodle.org/en/Grade_import
    https://github.com/moodle/moodle/blob/main/grade/import/csv/classes/load_data.php
    """
    header = [name.strip() for name in rows[0]]
    grades, feedback, student = {}, {}, None
    for row in rows[1:]:
        for name, value in zip(header, (cell.strip() for cell in row), strict=True):
            if name == identify and value not in ("", "0"):  # PHP's empty(); the student before stays otherwise
                student = value
        assert student is not None
        for name, value in zip(header, (cell.strip() for cell in row), strict=True):
            if name.endswith("(Real)"):
                grades[student] = None if value in ("", "-") else float(value)
                assert grades[student] is None or grades[student] <= 100
            elif name.endswith("(Feedback)"):
                feedback[student] = unescape(value)
    return grades, feedback


@pytest.mark.parametrize("identify", ["ID number", "Username", "Email address"])
def test_moodle_gives_every_student_their_own_grade(nasty, tmp_path, identify, exported, names):
    grades, feedback = moodle_import(exported(nasty, "moodle", tmp_path), identify)
    own = {"ID number": "{}", "Username": "login-{}", "Email address": "{}@uni.example"}[identify].format
    assert set(grades) == {own(student) for student in set(names) - WITHOUT_GRADE}
    assert {own("ada"): 5.0, own("cleo"): 3.4}.items() <= grades.items()
    assert None not in grades.values(), "an empty grade clears the one that Moodle has"
    assert "2 days late: you lose 1.6 points" in feedback[own("cleo")]


def test_moodle_is_given_no_column_to_identify_by_that_is_empty_for_anybody(nasty, tmp_path, exported):
    text = nasty.roster.read_text(encoding="utf-8")
    nasty.roster.write_text(text.replace("login-dan", "").replace("login-eve", "0"), encoding="utf-8")
    header = exported(nasty, "moodle", tmp_path)[0]
    assert "Username" not in header and "Email address" in header


def test_somebody_outside_the_roster_does_not_break_the_import_of_a_class(nasty, tmp_path, exported):
    text = nasty.roster.read_text(encoding="utf-8")
    nasty.roster.write_text(re.sub('"ada".*\n', "", text), encoding="utf-8")
    for form in ("canvas", "moodle"):
        _, remarks = write_export(nasty, form, [nasty.unit(UNIT)], tmp_path)
        assert '"ada"' not in (tmp_path / f"{form}-{UNIT}.csv").read_text(encoding="utf-8")
        assert any("ada" in remark for remark in remarks)
    assert "ada" in by_id(exported(nasty, "csv", tmp_path))


VISIBILITIES = {"hidden", "after_due_date", "after_published", "visible"}
TEXT_FORMATS = {"text", "html", "simple_format", "md", "ansi"}


def check_gradescope(results):
    """The rules of Gradescope's autograder specification.

    https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
    """
    assert set(results) <= {
        *("score", "execution_time", "output", "output_format", "test_output_format", "test_name_format"),
        *("visibility", "stdout_visibility", "extra_data", "tests", "leaderboard"),
    }
    assert "score" in results or all("score" in test for test in results["tests"])
    for part in (results, *results["tests"]):
        assert part.get("visibility", "visible") in VISIBILITIES
        assert part.get("output_format", "text") in TEXT_FORMATS
        assert isinstance(part.get("output", ""), str)
        assert isinstance(part.get("score", 0), int | float) and not isinstance(part.get("score", 0), bool)
    for test in results["tests"]:
        assert set(test) <= {
            *("score", "max_score", "status", "name", "name_format", "number", "output", "output_format"),
            *("tags", "visibility", "extra_data"),
        }
        assert isinstance(test["name"], str) and isinstance(test.get("number", ""), str)
        assert test.get("status", "passed") in ("passed", "failed")


def test_gradescope_gets_a_valid_result_for_everybody_who_handed_in(nasty, tmp_path, names):
    files, _ = write_export(nasty, "gradescope", [nasty.unit(UNIT)], tmp_path)
    results = {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files[1:]}
    assert set(results) == set(names) - {"kim"}  # not due yet
    for result in results.values():
        check_gradescope(result)
    assert (results["ada"]["score"], results["ben"]["score"], results["cleo"]["score"]) == (5, 3.5, 3.4)
    (failed,) = (test for test in results["ben"]["tests"] if test.get("status") == "failed")
    assert (failed["name"], failed["score"], failed["max_score"]) == ("halve: halves", 1.5, 3)
    assert "not JSON" in results["lea"]["output"]


def test_the_autograder_for_gradescope_hands_each_student_their_own_result(nasty, tmp_path):
    """Run as Gradescope runs it: unpacked into source/, beside submission_metadata.json, writing results/."""
    (archive, *_), _ = write_export(nasty, "gradescope", [nasty.unit(UNIT)], tmp_path)
    root = tmp_path / "autograder"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(root / "source")
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in opened.infolist()}
    assert modes["run_autograder"] == 0o755 and "setup.sh" in modes  # both in the root of the archive

    def result_for(*addresses):
        # https://gradescope-autograders.readthedocs.io/en/latest/submission_metadata/
        metadata = {"users": [{"email": address, "id": 1, "name": "anybody"} for address in addresses]}
        (root / "submission_metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        environment = {"AUTOGRADER_ROOT": str(root)}
        subprocess.run([sys.executable, root / "source" / "run_autograder"], env=environment, check=True)
        return json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))

    assert result_for("Ben@uni.example")["score"] == 3.5
    assert result_for("cleo@uni.example")["score"] == 3.4
    stranger = result_for("stranger@uni.example")
    check_gradescope({"tests": [], **stranger})
    assert stranger["score"] == 0 and "No result" in stranger["output"]
    for group in (("ben@uni.example", "cleo@uni.example"), ("stranger@uni.example", "ben@uni.example")):
        together = result_for(*group)
        check_gradescope({"tests": [], **together})
        assert together["score"] == 0 and "handed in by a group" in together["output"]
        assert not {"tests", "extra_data"} & set(together), "nothing of one student's is shown to another"
    assert result_for()["score"] == 0


def test_points_given_by_hand_count_and_are_logged_with_what_they_replaced(nasty, tmp_path, exported):
    exported(nasty, "csv", tmp_path)
    for points in (3.0, 2.0):
        with Gradebook(f"sqlite:///{nasty.gradebook}") as gradebook:
            grade = gradebook.find_grade("question_1", UNIT, UNIT, "ada")
            grade.manual_score, grade.needs_manual_grade = points, False
            gradebook.db.commit()
        row = by_id(exported(nasty, "csv", tmp_path))["ada"]
        assert (row[UNIT], row[f"{UNIT}_status"]) == (f"{5 + points:g}", "graded")
    lines = (nasty.root / ".course" / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    changes = [entry for entry in entries if entry["event"] == "manual grade"]
    assert [(c["student"], c["before"] and c["before"]["points"], c["after"]["points"]) for c in changes] == [
        ("ada", None, 3.0),
        ("ada", 3.0, 2.0),
    ]
    assert sum(entry["event"] == "export" for entry in entries) == 3


def test_weights_say_what_is_earned_and_how_much_of_the_grade_is_settled(nasty, tmp_path, exported):
    row = by_id(exported(nasty, "csv", tmp_path))["ada"]
    assert (float(row["weight_earned"]), row["weight_settled"]) == (nasty.unit(UNIT).weight * 5 / 8, "0")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,email\nAda,a@b\n", "has no column 'id'"),
        ("id,name\nada,Ada\nada,Ada\n", "already in an earlier line"),
        ("id,name\n../../etc,Ada\n", "cannot be a folder name"),
        ("id,name\n,Nobody\n", "cannot be a folder name"),
    ],
)
def test_a_roster_that_cannot_be_right_is_refused_by_line(course, text, complaint):
    course.roster.parent.mkdir()
    course.roster.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=complaint):
        Roster.of(course)


def test_a_roster_saved_by_a_spreadsheet_is_read(course):
    course.roster.parent.mkdir()
    course.roster.write_bytes("\ufeffID;Name\r\nada;Zoë, Ada\r\n".encode())
    assert Roster.of(course)["ada"].name == "Zoë, Ada"
    course.roster.write_bytes("id,name\nada,Zoë\n".encode("latin-1"))
    with pytest.raises(CourseError, match="UTF-8"):
        read_table(course.roster, ("id",))


def test_the_command_writes_where_it_is_told_and_says_what_to_look_at(nasty, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(nasty.root)
    assert cli.main(["export", "--format", "canvas", "--unit", "03", "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "canvas-03_vae.csv" in said and "1 quarantined" in said
    assert (
        "1 without a grade in 03_vae left out of its file, because an empty cell would clear the grade in Canvas"
        in said
    )
    assert (tmp_path / "out" / "canvas-03_vae.csv").exists()


def test_nothing_graded_is_said(course, monkeypatch, capsys):
    monkeypatch.chdir(course.root)
    assert cli.main(["export"]) == 1
    assert "course grade" in capsys.readouterr().err


def test_an_address_that_two_students_share_gets_no_result(nasty, tmp_path):
    text = nasty.roster.read_text(encoding="utf-8")
    nasty.roster.write_text(text.replace("ben@uni.example", "ADA@uni.example"), encoding="utf-8")
    (archive, *_), remarks = write_export(nasty, "gradescope", [nasty.unit(UNIT)], tmp_path)
    with zipfile.ZipFile(archive) as opened:
        results = json.loads(opened.read("results.json"))
    assert "ada@uni.example" not in results and "cleo@uni.example" in results
    assert any("no result for ada, ben" in remark for remark in remarks)


def test_numbers_in_an_lms_are_those_of_the_roster_where_it_has_them(nasty, tmp_path, exported):
    rows = read_table(nasty.roster, ("id",))
    columns = ("id", "name", "email", "section", "login", "canvas_id")
    table = [
        (*columns, "sis_id", "moodle_id"),
        *((*(row[c] for c in columns), f"s{n}", f"m{n}") for n, row in enumerate(rows)),
    ]
    write_table(nasty.roster, table)
    assert {row[2] for row in exported(nasty, "canvas", tmp_path)[2:]} <= {f"s{n}" for n in range(len(rows))}
    grades, _ = moodle_import(exported(nasty, "moodle", tmp_path))
    assert grades["m2"] == 3.4


def test_a_class_from_two_systems_is_told_to_each_without_the_students_of_the_other(nasty, tmp_path, exported):
    rows = [
        {**row, "login": "", "email": "", "canvas_id": "", "section": ""} for row in read_table(nasty.roster, ("id",))
    ]
    columns = ("id", "name", "email", "section", "login", "canvas_id")
    systems = [("", f"m{n}") if row["id"] in ("cleo", "dan") else (f"s{n}", "") for n, row in enumerate(rows)]
    table = [(*(row[c] for c in columns), *numbers) for row, numbers in zip(rows, systems, strict=True)]
    write_table(nasty.roster, [(*columns, "sis_id", "moodle_id"), *table])
    grades, _ = moodle_import(exported(nasty, "moodle", tmp_path))
    assert set(grades) == {number for _, number in systems if number}
    assert {row[2] for row in exported(nasty, "canvas", tmp_path)[2:]} <= {number for number, _ in systems if number}
    _, remarks = write_export(nasty, "canvas", [nasty.unit(UNIT)], tmp_path)
    assert any("2 left out" in remark and remark.endswith(": cleo, dan") for remark in remarks)


def test_work_under_an_id_that_lost_its_zeros_is_named_and_nobody_gets_a_zero_for_it(nasty, tmp_path):
    text = nasty.roster.read_text(encoding="utf-8").replace('"ada"', '"Ada"')
    nasty.roster.write_text(text, encoding="utf-8")
    late = replace(nasty, units=tuple(replace(u, due=DUE - timedelta(days=900)) for u in nasty.units))
    for form in ("canvas", "moodle", "gradescope"):
        files, remarks = write_export(late, form, [late.unit(UNIT)], tmp_path)
        assert "'ada' is probably 'Ada' (they differ in letter case)" in remarks[0]
        assert not any(re.search(r'"Ada"|/Ada/', f"{file}{file.read_bytes()}") for file in files)


def test_what_is_exported_is_for_its_owner_only(nasty, tmp_path):
    for form in ("csv", "per-question", "canvas", "moodle", "gradescope"):
        files, _ = write_export(nasty, form, [nasty.unit(UNIT)], tmp_path / "out")
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    folders = [tmp_path / "out", *(path for path in (tmp_path / "out").rglob("*") if path.is_dir())]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_spreadsheets_are_told_that_it_is_utf_8_and_importers_are_not(nasty, tmp_path):
    marks = {}
    for form in ("csv", "per-question", "canvas", "moodle"):
        (path, *_), _ = write_export(nasty, form, [nasty.unit(UNIT)], tmp_path)
        marks[form] = path.read_bytes().startswith(b"\xef\xbb\xbf")
    # Excel takes a file without the mark for Windows-1252.
    # Ruby's CSV, with which Canvas reads, takes a mark before a quoted cell for a fault.
    assert marks == {"csv": True, "per-question": True, "canvas": False, "moodle": False}


def test_a_unit_that_somebody_lacks_costs_them_no_grade_in_another(nasty, tmp_path):
    units = [nasty.unit("02_mean_field"), nasty.unit(UNIT)]
    for form in ("canvas", "moodle"):
        files, _ = write_export(nasty, form, units, tmp_path)
        assert [file.name for file in files] == [f"{form}-02_mean_field.csv", f"{form}-{UNIT}.csv"]
        for file in files:
            with file.open(newline="", encoding="utf-8") as opened:
                grades = [row[5 if form == "canvas" else -2] for row in csv.reader(opened)]
            assert all(grades), "a row for one unit holds no empty cell for another"


@pytest.fixture
def generous_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_new_gradebook_is_for_its_owner_only(course, generous_umask):
    open_gradebook(course).close()
    assert course.gradebook.stat().st_mode & 0o777 == 0o600


def test_notebooks_pages_and_reports_are_for_their_owner_only(course, record, generous_umask):
    record("ada")
    files = [
        *write_feedback(course, course.unit(UNIT)),
        *write_report(course, course.unit(UNIT), course.root / "reports"),
        autograded_notebook(course, course.unit(UNIT), "ada"),
    ]
    folders = [course.root / name for name in ("autograded", "feedback", "reports")]
    assert {path.stat().st_mode & 0o077 for path in (*files, *folders)} == {0}


def test_it_is_said_of_how_many_nobody_knows_when_they_handed_in(nasty, tmp_path):
    _, remarks = write_export(nasty, "csv", [nasty.unit(UNIT)], tmp_path)
    assert "9 without a known time of handing in, counted as on time" in remarks  # all with work, but for cleo


def test_what_students_read_in_moodle_and_gradescope_names_no_other_student():
    reason = "the notebook is the same file as that of ben (a hard link): find out who made it"
    grade = Standing("lea", Status.QUARANTINED, None, 4.0, reason=reason)
    for said in (unescape(moodle._feedback(grade)), gradescope._remarks(grade)):
        assert "the same file as another student's (a hard link)" in said
        assert "ben" not in said
