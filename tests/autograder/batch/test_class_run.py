"""What a run over a class says beside the points: who is missing, whose time is unknown, who else is at work."""

import json
import subprocess
import sys
import unicodedata

import nbformat
import pytest

from autograder.batch.class_run import ClassRun
from autograder.course.course import Course, CourseError
from autograder.course.lock import course_lock
from autograder.gradebook.recorded_results import recorded_results
from autograder.results import Graded, SubmissionResult

UNIT = "03_vae"


def full_marks(job):
    notebook = nbformat.reads(job.release.decode(), as_version=4)
    return Graded(SubmissionResult(job.student, "graded", flags=job.flags), notebook, job.sha256, job.handed_in)


@pytest.fixture
def grade(course, in_threads, capsys):
    """Grade the class with a grader that believes everybody; returns what was said after the table."""

    def run(**facts) -> str:
        due = Course.load(course.root)
        ClassRun(due, due.unit(UNIT), workers=1, **facts).grade(full_marks, in_threads)
        return capsys.readouterr().out

    return run


def with_due_date(course):
    path = course.root / "course.toml"
    path.write_text(path.read_text().replace(f'name = "{UNIT}"', f'name = "{UNIT}"\ndue = 2027-03-12T23:59:00'))


def test_the_summary_lists_who_is_missing_and_what_lies_elsewhere_and_keeps_it(course, hand_in, solved, grade):
    course.roster.parent.mkdir()
    course.roster.write_text("id\nada\n007\n")
    hand_in("ada", solved)
    hand_in("7", solved)
    (course.submitted / "u055" / "Unit 3").mkdir(parents=True)
    (course.submitted / "u055" / "Unit 3" / "03_vae.ipynb").touch()
    said = grade()
    assert "u055/Unit 3/03_vae.ipynb" in said
    assert "1 of 2 in the roster handed in nothing: 007" in said
    assert "'7' is probably '007'" in said
    kept = json.loads((course.records / "attendance" / f"{UNIT}.json").read_text())
    assert (kept["absent"], kept["strangers"]) == (["007"], ["7"])
    assert kept["misplaced"] == ["u055/Unit 3/03_vae.ipynb"]


def test_students_without_a_time_are_counted_where_there_is_a_due_date(course, hand_in, solved, grade):
    hand_in("ada", solved)
    hand_in("ben", solved).with_name("timestamp.txt").write_text("2026-03-01 12:00:00 UTC")
    assert "unknown time" not in grade()
    with_due_date(course)
    assert "1 submission handed in at an unknown time, which counts as on time: ada" in grade()


def test_a_roster_that_cannot_be_read_costs_no_grades(course, hand_in, solved, grade):
    course.roster.parent.mkdir()
    course.roster.write_text("nothing\nada\n")
    hand_in("ada", solved)
    assert "students without work cannot be listed:" in grade()
    assert len(recorded_results(course, course.unit(UNIT))) == 1


def test_where_nothing_lies_in_its_place_the_other_places_are_named(course, grade):
    (course.submitted / "ada").mkdir(parents=True)
    (course.submitted / "ada" / "03_vae.ipynb").touch()
    with pytest.raises(
        CourseError, match=r"nothing was handed in for 03_vae.*move files from other places there: ada/03_vae.ipynb"
    ):
        grade()


def test_a_student_whose_name_macos_took_apart_is_recorded_under_the_one_name(course, hand_in, solved, grade):
    hand_in(unicodedata.normalize("NFD", "Zoë"), solved)
    grade()
    (result,) = recorded_results(course, course.unit(UNIT))
    assert result.student == unicodedata.normalize("NFC", "Zoë")


GRADE = """
import sys
from autograder.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "command", [["grade", "03"], ["feedback", "03"], ["extend", "ada", "03", "2", "--reason", "ill"]]
)
def test_a_second_command_is_told_in_one_sentence_who_is_at_work(course, hand_in, solved, command):
    hand_in("ada", solved)
    with course_lock(course, "course grade 03_vae"):
        said = subprocess.run([sys.executable, "-c", GRADE, *command], cwd=course.root, capture_output=True, text=True)
    assert said.returncode == 1
    assert said.stderr.startswith("course: course grade 03_vae has been working on this course since ")
    assert said.stderr.count("\n") == 1 and "wait until it has finished" in said.stderr


def test_grading_another_folder_waits_for_nobody(course, hand_in, solved, grade, tmp_path):
    hand_in("ada", solved, tmp_path / "samples")
    with course_lock(course, "course grade 04_richer_models"):
        assert "1 graded" in grade(submitted=tmp_path / "samples")
