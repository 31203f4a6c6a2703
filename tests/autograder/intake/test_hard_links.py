"""One file under two names: another student's notebook and the course's own are found, copies of backups are not."""

import os

import pytest

from autograder.intake.submissions import Quarantined, find_submissions, notebook_file

UNIT = "03_vae"


@pytest.fixture
def submitted(course, hand_in):
    for student in ("ada", "ben"):
        hand_in(student, f'{{"by": "{student}"}}'.encode())
    return course.submitted


def link(submitted, student: str, to) -> None:
    """What unpacking an archive with a link in it does."""
    path = submitted / student / UNIT / f"{UNIT}.ipynb"
    path.parent.mkdir(parents=True)
    os.link(to, path)


def flags(submitted, student):
    found = {submission.student: submission for submission in find_submissions(submitted, UNIT)}
    return notebook_file(found[student], UNIT)[1]


def test_a_link_to_another_students_notebook_is_flagged_for_both(submitted):
    link(submitted, "eve", submitted / "ada" / UNIT / f"{UNIT}.ipynb")
    assert flags(submitted, "eve") == (
        "the notebook is the same file as that of ada (a hard link): find out who made it",
    )
    assert flags(submitted, "ada") == (
        "the notebook is the same file as that of eve (a hard link): find out who made it",
    )
    assert flags(submitted, "ben") == ()


def test_it_is_found_under_any_name_of_the_other_file(submitted):
    hidden = submitted / "ada" / UNIT / "data.bin"
    hidden.write_text("{}")
    link(submitted, "eve", hidden)
    assert "that of ada" in flags(submitted, "eve")[0]


@pytest.mark.parametrize("own", [f"solutions/{UNIT}/{UNIT}.ipynb", f"autograded/ada/{UNIT}/{UNIT}.ipynb"])
def test_a_link_to_a_file_of_the_courses_own_is_not_graded(course, submitted, own):
    path = course.root / own
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    link(submitted, "eve", path)
    with pytest.raises(Quarantined, match=f"the same file as {own}"):
        flags(submitted, "eve")


def test_a_file_beside_the_notebook_is_flagged_too(course, submitted, hand_in):
    hand_in("eve", b"{}")
    (submitted / "ada" / UNIT / "weights.safetensors").touch()
    os.link(submitted / "ada" / UNIT / "weights.safetensors", submitted / "eve" / UNIT / "weights.safetensors")
    (course.root / "solutions" / UNIT).mkdir(parents=True)
    (course.root / "solutions" / UNIT / "secret.json").touch()
    os.link(course.root / "solutions" / UNIT / "secret.json", submitted / "eve" / UNIT / "config.json")
    assert flags(submitted, "eve") == (
        f"config.json is the same file as solutions/{UNIT}/secret.json (a hard link): find out how it got there",
        "weights.safetensors is the same file as that of ada (a hard link): find out who made it",
    )


def test_a_copy_made_of_hard_links_outside_the_course_is_nobodys_business(submitted, tmp_path):
    (tmp_path / "backup").mkdir()
    for student in ("ada", "ben"):
        os.link(submitted / student / UNIT / f"{UNIT}.ipynb", tmp_path / "backup" / student)
    assert flags(submitted, "ada") == flags(submitted, "ben") == ()
