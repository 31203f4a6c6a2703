"""A student's other id is everywhere, or nowhere."""

import json

import pytest
from nbgrader.api import Gradebook

from autograder.cli import main
from autograder.course.course import CourseError
from autograder.course.extensions import extensions_of
from autograder.course.roster import Roster
from autograder.exports.export import write_export
from autograder.feedback.class_feedback import write_feedback
from autograder.gradebook.class_grades import class_grades
from autograder.gradebook.gradebook_writer import autograded_notebook
from autograder.gradebook.recorded_results import recorded_results
from autograder.reports.class_report import write_report
from autograder.student_records.class_tables import ClassTables
from autograder.student_records.forgetting import forget
from autograder.student_records.gradebook_rows import GradebookRows
from autograder.student_records.record_files import AuditLog, RecordFiles
from autograder.student_records.renaming import rename
from autograder.student_records.work_folders import WorkFolders

UNIT = "03_vae"


def give_by_hand(course, student, points):
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        gradebook.find_grade("question_1", UNIT, UNIT, student).manual_score = points
        gradebook.find_comment("question_1", UNIT, UNIT, student).manual_comment = "Well said."
        gradebook.db.commit()


def state(course):
    """All that is kept, without times: what can be compared before and after."""
    grades = class_grades(course)
    return {
        "grades": {student.id: grades.of(student, course.unit(UNIT)) for student in grades.students},
        "extensions": extensions_of(course, course.unit(UNIT)),
        "roster": course.roster.read_bytes(),
        "submitted": sorted(path.name for path in course.submitted.iterdir()),
        "results": [result.to_record() for result in recorded_results(course, course.unit(UNIT))],
    }


def test_no_file_of_the_course_knows_the_old_id_but_for_the_address_in_the_roster(full, files_with):
    done = rename(full, "ben", "bitdiddle")
    write_feedback(full, full.unit(UNIT))
    write_report(full, full.unit(UNIT), full.root / "reports")
    write_export(full, "per-question", [full.unit(UNIT)], full.root / "exports")
    named = [path for path in files_with(full, "ben") if not path.startswith("exports/")]
    assert named == ["students/roster.csv"]
    assert not any(b'"ben"' in path.read_bytes() for path in full.root.glob("exports/*.csv"))
    assert b"ben@example.org" in full.roster.read_bytes()
    assert done.still_named_in == ()  # an address is no id, nor is a name with a capital


def test_points_comments_extensions_and_records_come_along(full):
    give_by_hand(full, "ben", 2.5)
    before = class_grades(full).grades["ben", UNIT]
    rename(full, "ben", "bitdiddle")
    after = class_grades(full).grades["bitdiddle", UNIT]
    assert after.points == before.points == 7.5
    assert [question.comment for question in after.questions] == [question.comment for question in before.questions]
    assert "bitdiddle" in extensions_of(full, full.unit(UNIT))
    assert Roster.of(full)["bitdiddle"].name == "Ben\nBitdiddle"
    assert autograded_notebook(full, full.unit(UNIT), "bitdiddle").exists()
    assert (full.submitted / "bitdiddle" / UNIT / f"{UNIT}.ipynb").exists()
    assert (full.records / "collected" / UNIT / "earlier" / "bitdiddle").exists()
    assert {result.student for result in recorded_results(full, full.unit(UNIT))} == {"ada", "adam", "bitdiddle"}
    assert not (full.records / "cache" / UNIT / "ben.json").exists()


def test_the_log_keeps_its_lines_under_the_new_id(full):
    log = full.records / "audit.jsonl"
    before = [json.loads(line) for line in log.read_text().splitlines()]
    rename(full, "ben", "bitdiddle")
    after = [json.loads(line) for line in log.read_text().splitlines()]
    assert json.loads(json.dumps(before).replace('"ben"', '"bitdiddle"').replace("/ben/", "/bitdiddle/")) == after[:-1]
    assert (after[-1]["event"], after[-1]["student"]) == ("student renamed", "bitdiddle")


@pytest.mark.parametrize("new", ["ada", "adam", "-eve"])
def test_an_id_that_somebody_has_is_refused_and_nothing_changes(full, new):
    before = state(full)
    with pytest.raises(CourseError, match="taken"):
        rename(full, "ben", new)
    assert state(full) == before


@pytest.mark.parametrize("new", ["", "a/b", "..", "a\nb", "x" * 300, 'a"b', "ben"])
def test_an_id_that_cannot_be_one_is_refused(full, new):
    before = state(full)
    with pytest.raises(CourseError):
        rename(full, "ben", new)
    assert state(full) == before


def test_a_roster_that_lists_the_new_id_already_is_no_other_student(full):
    full.roster.write_bytes(full.roster.read_bytes().replace(b"\r\nben;", b"\r\nbitdiddle;"))
    write_export(full, "csv", [full.unit(UNIT)], full.root / "exports")
    before = full.roster.read_bytes()
    rename(full, "ben", "bitdiddle")
    assert full.roster.read_bytes() == before
    assert class_grades(full).strangers == ()


@pytest.mark.parametrize("place", [WorkFolders, RecordFiles, GradebookRows, ClassTables])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_place_that_cannot_be_changed_leaves_all_others_as_they_were(full, files_with, monkeypatch, place, ahead):
    if ahead:
        full.roster.write_bytes(full.roster.read_bytes().replace(b"\r\nben;", b"\r\nbitdiddle;"))
    before = state(full)
    real, calls = place.rename, []

    def refused(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError("no space left on device")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, "rename", refused)
        with pytest.raises(CourseError, match="nothing was changed"):
            rename(full, "ben", "bitdiddle")
    assert state(full) == before
    rename(full, "ben", "bitdiddle")
    assert (full.submitted / "bitdiddle").exists()


@pytest.mark.parametrize("place", [WorkFolders, RecordFiles, GradebookRows, ClassTables, AuditLog])
@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_the_same_command_finishes_and_others_wait(full, files_with, monkeypatch, place, after):
    real = place.rename

    def killed(*arguments):
        if after:
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            rename(full, "ben", "bitdiddle")
    with pytest.raises(CourseError, match="course rename ben bitdiddle"):
        rename(full, "ada", "lovelace")
    with pytest.raises(CourseError, match="course rename ben bitdiddle"):
        forget(full, "bitdiddle" if (full.submitted / "bitdiddle").exists() else "ben", lambda found: True)
    rename(full, "ben", "bitdiddle")
    by_address = "exports/gradescope/03_vae/autograder.zip"  # Gradescope knows people by their addresses, not by ids
    assert set(files_with(full, "ben")) - {by_address} == {"students/roster.csv"}
    rename(full, "ada", "lovelace")


def test_the_command_says_what_was_carried_over_and_what_is_left(full, capsys, monkeypatch):
    monkeypatch.chdir(full.root)
    (full.submitted / "adam" / UNIT / "thanks.txt").write_text("thanks to ben")
    assert main(["rename", "ben", "bitdiddle"]) == 0
    said = capsys.readouterr().out
    assert "submitted/ben" in said and f"submitted/adam/{UNIT}/thanks.txt" in said
    assert main(["rename", "ben", "bitdiddle"]) == 1
    assert "no data are kept about a student with the id 'ben'" in capsys.readouterr().err
