"""Regrade requests: a history that only grows, points before and after, and the decision on the student's page."""

import csv
import json
import os
import re
import stat
from datetime import datetime

import pytest

from autograder import cli
from autograder.course.course import Course, CourseError
from autograder.course.spreadsheet import read_table
from autograder.feedback.class_feedback import write_feedback
from autograder.gradebook.points_that_count import unit_standing
from autograder.gradebook.regrade_requests import add_request, close_request, regrade_requests, requests_file
from autograder.student_records.forgetting import forget

UNIT = "03_vae"


@pytest.fixture
def graded(course, record, monkeypatch):
    """ada, two days late: 3.5 points less 1.6; ben, in time."""
    text = (course.root / "course.toml").read_text(encoding="utf-8")
    text = text.replace(f'name = "{UNIT}"', f'name = "{UNIT}"\ndue = 2027-03-12T23:59:00')
    (course.root / "course.toml").write_text(text, encoding="utf-8")
    record("ada", halve=1.5, handed_in=datetime(2027, 3, 14, 12))
    record("ben", handed_in=datetime(2027, 3, 12, 12))
    for student in ("ada", "ben"):
        (course.submitted / student / UNIT).mkdir(parents=True)
    monkeypatch.chdir(course.root)
    return Course.load(course.root)


def run(*arguments):
    assert cli.main(["regrade", *arguments]) == 0


def points_of(course, student):
    return unit_standing(course, course.unit(UNIT)).of(student).points


def test_a_request_changes_no_points_and_its_decision_may_with_lateness_taken_off_as_before(graded, capsys):
    run("add", "ada", "03", "halve", "--reason", "Halving by multiplication is halving.")
    assert points_of(graded, "ada") == pytest.approx(1.9)
    run("close", "1", "--decision", "Right, the check was too strict", "--points", "3")
    assert points_of(graded, "ada") == pytest.approx(5 - 1.6)
    assert points_of(graded, "ben") == 5
    (request,) = regrade_requests(graded)
    assert (request.student, request.unit, request.question) == ("ada", UNIT, "halve")
    assert (request.points_before, request.points_after, request.is_open) == (1.9, 3.4, False)
    assert "1.9 → 3.4" in capsys.readouterr().out


def test_the_file_is_private_only_grows_and_says_who_when_and_what(graded):
    unit, path = graded.unit(UNIT), requests_file(graded)
    add_request(graded, unit, "ada", "", '=HYPERLINK("http://x") is "mine"')
    first = path.read_bytes()
    add_request(graded, unit, "ben", "check_add", "why not?")
    close_request(graded, 1, "No.\nStill no.")
    assert path.read_bytes().startswith(first)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [(row["request"], row["event"], row["question"]) for row in rows] == [
        ("1", "opened", ""),
        ("2", "opened", "add"),
        ("1", "closed", ""),
    ]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert all(row["by"] and datetime.fromisoformat(row["moment"]).tzinfo for row in rows)
    assert read_table(path, ())[0]["text"] == '=HYPERLINK("http://x") is "mine"'
    lines = (graded.records / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    events = [entry["event"] for entry in map(json.loads, lines) if "regrade" in entry.get("event", "")]
    assert events == ["regrade request opened", "regrade request opened", "regrade request closed"]


def test_the_student_reads_the_decision_on_the_feedback_page_and_others_do_not(graded):
    unit = graded.unit(UNIT)
    add_request(graded, unit, "ada", "halve", "please")
    add_request(graded, unit, "ada", "", "all of it")
    close_request(graded, 1, "The <check> is right", None)
    ada, ben = (page.read_text(encoding="utf-8") for page in write_feedback(graded, unit))
    said = " ".join(re.sub("<[^>]*>", "", ada).split())
    assert re.search(
        r"halve, requested on \d{4}-\d\d-\d\d, decided on \d{4}-\d\d-\d\d: The &lt;check&gt; is right\. "
        r"Your points for the unit have not changed\.",
        said,
    )
    assert re.search(r"Requested on \d{4}-\d\d-\d\d: not decided yet\.", said)
    assert "regrade request" not in ben.lower()


def test_the_list_shows_what_is_open_and_all_if_asked(graded, capsys):
    run("list")
    assert "no requests" in capsys.readouterr().out
    add_request(graded, graded.unit(UNIT), "ada", "halve", "please\x1b[31m")
    add_request(graded, graded.unit(UNIT), "ben", "", "also me")
    close_request(graded, 2, "no")
    run("list", "03")
    said = capsys.readouterr().out
    assert f"1  ada {UNIT} halve: please·[31m" in said and "ben" not in said
    run("list", "--all")
    assert "also me" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["add", "adda", "03", "--reason", "x"], "did you mean ada"),
        (["add", "ada", "03", "halv", "--reason", "x"], "use one of add, halve, question_1"),
        (["add", "ada", "03", "--reason", "  "], "--reason must not be empty"),
        (["add", "ada", "99", "--reason", "x"], "no unit"),
        (["add", "cleo", "03", "--reason", "x"], "cleo has no points in 03_vae"),
        (["close", "7", "--decision", "x"], "there is no regrade request 7"),
        (["close", "1", "--decision", ""], "--decision must not be empty"),
        (["close", "1", "--decision", "x", "--points", "3.5"], "0 to 3, got 3.5"),
        (["close", "1", "--decision", "x", "--points", "nan"], "0 to 3, got nan"),
        (["close", "2", "--decision", "x", "--points", "1"], "whole unit"),
        (["close", "3", "--decision", "x"], "was closed"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence_and_leaves_no_line(graded, capsys, arguments, complaint):
    unit = graded.unit(UNIT)
    (graded.submitted / "cleo").mkdir()
    for question in ("halve", "", ""):
        add_request(graded, unit, "ada", question, "please")
    close_request(graded, 3, "no")
    before, points = requests_file(graded).read_bytes(), points_of(graded, "ada")
    assert cli.main(["regrade", *arguments]) == 1
    assert complaint in capsys.readouterr().err
    assert (requests_file(graded).read_bytes(), points_of(graded, "ada")) == (before, points)


def test_a_file_that_a_spreadsheet_saved_is_read_and_a_wrong_line_is_named(graded):
    add_request(graded, graded.unit(UNIT), "ada", "halve", "please; now")
    path = requests_file(graded)
    text = path.read_text(encoding="utf-8").replace(",", ";").replace('"', "")
    path.write_text("\ufeff" + text.replace("please; now", '"please; now"'), encoding="utf-8")
    (request,) = regrade_requests(graded)
    assert (request.reason, request.points_before) == ("please; now", 1.9)
    close_request(graded, 1, "no")
    path.write_text(path.read_text(encoding="utf-8") + '"5","closed","ada","03_vae","","x","","","",""\r\n', "utf-8")
    with pytest.raises(CourseError, match="line 4"):
        regrade_requests(graded)


def test_the_requests_of_a_forgotten_student_go_even_where_there_is_no_other_table(graded):
    for student in ("ada", "ben"):
        add_request(graded, graded.unit(UNIT), student, "halve", "please")
    forget(graded, "ada", lambda found: True)
    assert [request.student for request in regrade_requests(graded)] == ["ben"]
