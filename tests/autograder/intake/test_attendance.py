"""Who is missing, who is a stranger, whose id was changed on the way, and what lies in the wrong place."""

import json
import unicodedata

import pytest

from autograder.course.course import CourseError
from autograder.intake.attendance import Attendance, attendance

UNIT = "03_vae"


@pytest.fixture
def unit(course):
    return course.unit(UNIT)


def enrol(course, *students):
    course.roster.parent.mkdir(exist_ok=True)
    course.roster.write_text("\n".join(["id,name", *(f'"{student}",Somebody' for student in students)]) + "\n")


def test_everybody_of_the_roster_without_work_is_listed_and_everybody_else_with_work(course, unit, hand_in):
    enrol(course, "ada", "ben", "cleo")
    for student in ("ada", "eve"):
        hand_in(student, b"{}")
    present = attendance(course, unit)
    assert (present.absent, present.strangers) == (("ben", "cleo"), ("eve",))
    assert present.sentences() == ("2 of 3 in the roster handed in nothing: ben, cleo", "not in the roster: eve")


def test_where_all_is_well_nothing_is_said(course, unit, hand_in):
    enrol(course, "ada")
    hand_in("ada", b"{}")
    assert attendance(course, unit).sentences() == ()


def test_the_student_behind_an_id_that_was_changed_is_named(course, unit, hand_in):
    enrol(course, "007", "ada")
    for student in ("7", "Ada"):
        hand_in(student, b"{}")
    said = attendance(course, unit).sentences()
    assert "'7' is probably '007' (they differ in leading zeros): rename the folder or correct the roster" in said
    assert "'Ada' is probably 'ada' (they differ in letter case): rename the folder or correct the roster" in said


def test_a_blank_that_no_id_may_have_is_seen_through(course, unit, hand_in):
    enrol(course, "ada")
    hand_in("ada\u00a0", b"{}")
    (match,) = attendance(course, unit).near_matches
    assert (match.expected, match.difference) == ("ada", "blanks")


@pytest.mark.parametrize(("roster", "folder"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_another_unicode_form_is_nobody_else(course, unit, hand_in, roster, folder):
    enrol(course, unicodedata.normalize(roster, "Zoë"))
    hand_in(unicodedata.normalize(folder, "Zoë"), b"{}")
    assert attendance(course, unit).sentences() == ()


def test_work_in_the_wrong_place_is_listed(course, unit, hand_in):
    hand_in("ada", b"{}")
    for path in ("u055/Unit 3/03_vae.ipynb", "u056.zip"):
        (course.submitted / path).parent.mkdir(parents=True, exist_ok=True)
        (course.submitted / path).touch()
    assert attendance(course, unit).sentences() == (
        "in the wrong place, not graded (should be <student>/03_vae/): u055/Unit 3/03_vae.ipynb, u056.zip",
    )


def test_another_folder_of_submissions_is_not_held_against_the_roster(course, unit, hand_in, tmp_path):
    enrol(course, "ben")
    hand_in("ada", b"{}", tmp_path / "samples")
    assert attendance(course, unit, tmp_path / "samples") == Attendance(UNIT)


def test_a_roster_that_cannot_be_read_is_said(course, unit, hand_in):
    hand_in("ada", b"{}")
    course.roster.parent.mkdir(exist_ok=True)
    course.roster.write_text("nothing\nada\n")
    with pytest.raises(CourseError):
        attendance(course, unit)


def test_the_record_is_json(course, unit, hand_in):
    enrol(course, "007")
    hand_in("7", b"{}")
    record = json.loads(json.dumps(attendance(course, unit).to_record()))
    assert record["near_matches"] == [{"found": "7", "expected": "007"}]
    assert (record["absent"], record["strangers"], record["misplaced"]) == (["007"], ["7"], [])
