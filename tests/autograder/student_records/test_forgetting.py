"""A forgotten student is nowhere in the course folder, and nobody else is touched."""

import io
import json
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from autograder.cli import main
from autograder.commands.student_commands import _confirmed
from autograder.course.course import CourseError
from autograder.course.extensions import extensions_of
from autograder.course.lock import course_lock
from autograder.course.roster import Roster
from autograder.exports.export import write_export
from autograder.feedback.class_feedback import write_feedback
from autograder.gradebook.class_grades import class_grades
from autograder.reports.class_report import write_report
from autograder.student_records import forgetting
from autograder.student_records.all_places import PLACES
from autograder.student_records.forgetting import forget

UNIT = "03_vae"


def yes(found):
    return True


def lines(course):
    return [json.loads(line) for line in (course.records / "audit.jsonl").read_text().splitlines()]


def test_no_file_of_the_course_knows_the_student_any_more(full, files_with):
    full.unit(UNIT)
    assert len(files_with(full, "ben", "Bitdiddle")) > 15
    forget(full, "ben", yes)
    assert files_with(full, "ben", "Bitdiddle", "ben@example.org") == []


def test_everything_about_the_others_stays_as_it_was(full):
    before = class_grades(full).grades
    forget(full, "ada", yes)
    after = class_grades(full)
    assert {student.id for student in after.students} == {"adam", "-eve", "ben"}
    for student in ("adam", "ben"):
        assert after.grades[student, UNIT].points == before[student, UNIT].points == 5.0
    assert set(extensions_of(full, full.unit(UNIT))) == {"adam", "ben"}
    assert Roster.of(full)["adam"].section == "ada"  # a word that looks like the id is no id
    assert (full.records / "cache" / UNIT / "adam.json").exists()
    assert (full.records / "collected" / UNIT / "earlier" / "adam").exists()
    assert list(json.loads((full.records / "collected" / f"{UNIT}.json").read_text())) == ["adam", "ben"]


def test_all_other_lines_of_the_roster_stay_to_the_byte(full):
    before = full.roster.read_bytes()
    forget(full, "ada", yes)
    start, end = before.index(b'"ada"'), before.index(b"adam;")
    assert full.roster.read_bytes() == before[:start] + before[end:]


def test_the_roster_as_it_was_before_an_update_forgets_the_student_too(full):
    before = full.roster.with_name(f"{full.roster.name}.before")
    before.write_bytes(full.roster.read_bytes())
    forget(full, "ada", yes)
    assert before.read_bytes() == full.roster.read_bytes()


def test_a_roster_as_canvas_exports_it_is_read_by_the_column_of_its_ids(full):
    rows = ("Student,ID,SIS User ID,SIS Login ID,Section", '"Lovelace, Ada",7,101,ada,ben', "Ben B,101,7,ben,ada")
    full.roster.write_text("\n".join(rows) + "\n")
    first = next(iter(Roster.of(full).students))
    assert first in ("101", "ada")
    (full.submitted / first).mkdir(exist_ok=True)
    forget(full, first, yes)
    assert full.roster.read_text() == f"{rows[0]}\n{rows[2]}\n"


def test_the_log_loses_the_lines_about_the_student_and_says_so_without_a_name(full):
    about = [entry for entry in lines(full) if entry.get("student") == "ada"]
    before = len(lines(full))
    forget(full, "ada", yes)
    after = lines(full)
    assert about and len(after) == before - len(about) + 1
    assert after[-1]["event"] == "student forgotten" and after[-1]["by"]
    [attendance] = [entry for entry in after if entry.get("event") == "attendance"]
    assert attendance["absent"] == ["adam", "ben"]
    assert attendance["misplaced"] == ["submitted/adam/x", "submitted/ben/x"]
    assert all(
        entry["components"] == {"ada": {}} for entry in after if entry.get("student") == "adam" and "seeds" in entry
    )


def test_the_page_on_privacy_names_every_place(full, files_with):
    page = (Path(forgetting.__file__).parents[1] / "PRIVACY.md").read_text()
    places = {
        Path(path).parts[:2] if path.startswith(".course") else Path(path).parts[:1] for path in files_with(full, "ben")
    }
    assert len(places) > 10
    assert [place for place in places if "/".join(place) not in page] == []


def test_feedback_exports_and_report_can_be_written_afterwards(full, files_with):
    forget(full, "ben", yes)
    write_feedback(full, full.unit(UNIT))
    write_report(full, full.unit(UNIT), full.root / "reports")
    write_export(full, "per-question", [full.unit(UNIT)], full.root / "exports")
    assert (full.root / "exports" / "per-question.csv").exists()
    assert files_with(full, "ben") == []


@pytest.mark.parametrize("number", range(len(PLACES)))
@pytest.mark.parametrize("after", [False, True])
def test_broken_off_anywhere_and_run_again_it_finishes(full, files_with, monkeypatch, number, after):
    place = type(PLACES[number])
    real = place.forget

    def killed(*arguments):
        if after:
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            forget(full, "ben", yes)
    if found := files_with(full, "ben"):
        assert found and forget(full, "ben", yes)
    assert files_with(full, "ben", "ben@example.org") == []


def test_what_is_found_is_shown_before_anything_is_removed(full, files_with):
    shown = []
    before = files_with(full, "ben")
    assert forget(full, "ben", lambda found: shown.extend(found)) is None
    assert files_with(full, "ben") == before
    for phrase in (
        "submitted/ben",
        "autograded/ben",
        "feedback/ben",
        "1 submission in gradebook.db",
        "exports/grades.csv",
    ):
        assert phrase in shown
    assert any(phrase.endswith("lines of .course/audit.jsonl") for phrase in shown)


def test_where_nobody_can_be_asked_confirmation_is_an_option(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(CourseError, match="--yes"):
        _confirmed(["submitted/ada"])


def test_files_that_still_hold_the_name_and_folders_elsewhere_are_told(full, tmp_path):
    (full.root / "notes.txt").write_text("Talked to Ada: Lovelace, Ada will hand in later.")
    write_export(full, "csv", [full.unit(UNIT)], tmp_path / "elsewhere")
    done = forget(full, "ada", yes)
    assert "notes.txt" in done.still_named_in and "gradebook.db" not in done.still_named_in
    assert done.copies_elsewhere == (str(tmp_path / "elsewhere"),)


def test_a_student_who_is_known_from_one_place_only_is_forgotten_there(full, files_with):
    (full.submitted / "Jose\u0301").mkdir()
    assert forget(full, "José", yes).removed == ("submitted/Jose\u0301",)
    assert not list(full.submitted.glob("Jos*"))


def test_a_link_is_removed_and_not_what_it_points_to(full, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("kept")
    (full.submitted / "dan").symlink_to(tmp_path / "theirs")
    forget(full, "dan", yes)
    assert (tmp_path / "theirs" / "file").exists() and not (full.submitted / "dan").is_symlink()


def test_a_record_and_a_table_that_are_damaged_stand_in_nobodys_way(full):
    (full.records / "manual_scores").mkdir(exist_ok=True)
    (full.records / "manual_scores" / "damaged.json").write_text("{ada")
    with (full.records / "audit.jsonl").open("a") as log:
        log.write('{"student": "ada", "uni\n')
    (full.root / "students" / "photo.csv").write_bytes(b"\xff\xfe\x00id")
    done = forget(full, "ada", yes)
    assert {".course/manual_scores/damaged.json", ".course/audit.jsonl"} <= set(done.still_named_in)


@pytest.mark.parametrize(
    "student, words",
    [("adaa", "did you mean ada"), ("../ada", "cannot be a student's id"), ("", "cannot"), (".course", "cannot")],
)
def test_an_unknown_id_is_refused_in_words(full, student, words):
    with pytest.raises(CourseError, match=words):
        forget(full, student, yes)


def test_while_another_command_is_at_work_nothing_is_removed(full, files_with, monkeypatch):
    before = files_with(full, "ben")
    monkeypatch.setattr("autograder.student_records.forgetting.course_lock", refusing)
    with pytest.raises(CourseError, match="working on this course"):
        forget(full, "ben", yes)
    assert files_with(full, "ben") == before
    with course_lock(full, "course forget"), Gradebook(f"sqlite:///{full.gradebook}") as gradebook:
        assert gradebook.find_student("ben")


def refusing(course, command):
    raise CourseError("course grade has been working on this course since noon")


def test_the_command_says_what_was_removed_and_what_it_cannot_know(full, capsys, monkeypatch):
    monkeypatch.chdir(full.root)
    assert main(["forget", "ben", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "submitted/ben" in said and "backups" in said and "LMS" in said
    assert main(["forget", "ben", "--yes"]) == 1
    assert "no data are kept about a student with the id 'ben'" in capsys.readouterr().err
