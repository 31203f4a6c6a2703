"""Lateness: what counts as late, what it costs, who has more time; the same in our files and in the gradebook."""

import csv
import json
import os
import re
import shutil
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_notebook
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin
from nbgrader.preprocessors import AssignLatePenalties
from traitlets.config import Config

from autograder import cli
from autograder.course.course import Course, CourseError
from autograder.course.extensions import extensions_file, extensions_of, grant
from autograder.course.late_policy import LatePolicy, days_late
from autograder.course.spreadsheet import read_table
from autograder.feedback.class_feedback import write_feedback
from autograder.feedback.points_in_words import late_notice
from autograder.gradebook.class_grades import class_grades
from autograder.gradebook.nbgrader_lateness import settle
from autograder.gradebook.points_that_count import unit_standing
from autograder.nbgrader_bridge.nbgrader_config import configure

UNIT = "03_vae"
DUE = datetime(2027, 3, 12, 22, 59, tzinfo=UTC)  # 23:59 in Berlin
POLICY = LatePolicy(10, 5)


def with_facts(course, facts="", unit="due = 2027-03-12T23:59:00", zone="Europe/Berlin") -> Course:
    """The course with other entries in course.toml."""
    path = course.root / "course.toml"
    text = path.read_text(encoding="utf-8").replace('time_zone = "UTC"', f'time_zone = "{zone}"')
    path.write_text(text.replace(f'name = "{UNIT}"', f'name = "{UNIT}"\n{unit}') + facts, encoding="utf-8")
    return Course.load(course.root)


@pytest.mark.parametrize(
    ("late", "days"),
    [
        (timedelta(seconds=-1), 0),
        (timedelta(0), 0),
        (timedelta(microseconds=700_000), 0),
        (timedelta(seconds=1), 1),
        (timedelta(hours=24), 1),
        (timedelta(hours=24, seconds=1), 2),
        (timedelta(days=5), 5),
    ],
)
def test_a_day_that_has_begun_is_a_day(late, days):
    assert days_late(DUE + late, DUE) == days


def test_without_a_time_or_a_due_date_nothing_is_late():
    assert days_late(None, DUE) == days_late(DUE, None) == 0


@given(
    points=st.floats(0, 100),
    max_points=st.floats(0, 100),
    days=st.integers(0, 20),
    percent=st.floats(0, 100),
    accepted=st.none() | st.integers(0, 10),
)
def test_lateness_never_costs_more_than_was_earned_and_never_less_on_a_later_day(
    points, max_points, days, percent, accepted
):
    policy = LatePolicy(percent, accepted)
    lost = policy.points_lost(points, max_points, days)
    assert 0 <= lost <= points
    assert lost <= policy.points_lost(points, max_points, days + 1)
    assert policy.points_lost(points, max_points, 0) == 0
    if accepted is not None and days > accepted:
        assert lost == points


def test_each_day_costs_a_share_of_what_the_unit_is_worth():
    assert [POLICY.points_lost(12, 20, days) for days in range(8)] == [0, 2, 4, 6, 8, 10, 12, 12]
    assert POLICY.points_lost(3, 20, 2) == 3


def test_a_due_date_is_meant_in_the_time_zone_of_the_course_unless_it_states_its_own(course):
    in_berlin = with_facts(course)
    assert in_berlin.unit(UNIT).due == DUE and in_berlin.zone == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("due", "utc"),
    [
        ("2027-07-12T23:59:00", "2027-07-12T21:59:00+00:00"),
        ("2027-03-12T23:59:00-05:00", "2027-03-13T04:59:00+00:00"),
        ("2027-03-12T23:59:00Z", "2027-03-12T23:59:00+00:00"),
    ],
)
def test_summer_time_and_offsets_are_understood(course, due, utc):
    assert with_facts(course, unit=f"due = {due}").unit(UNIT).due.isoformat() == utc


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"unit": "due = 2027-03-12"}, "date with a time"),
        ({"unit": 'due = "soon"'}, "date with a time"),
        ({"zone": "Europe/Atlantis"}, "Europe/Atlantis"),
        ({"zone": "../../etc/passwd"}, 'must be the name of a time zone, "Europe/Berlin" for example, got'),
        ({"facts": "\npoints_lost_per_hour = 3\n"}, "points_lost_per_hour is not known"),
    ],
)
def test_facts_that_make_no_sense_are_refused_by_name(course, changes, complaint):
    with pytest.raises(CourseError, match=complaint):
        with_facts(course, **changes)


@pytest.mark.parametrize("facts", [{"points_lost_per_day_percent": -1}, {"days_accepted": True}, {"missing": "none"}])
def test_a_policy_that_makes_no_sense_is_refused(facts):
    with pytest.raises(ValueError, match=next(iter(facts))):
        LatePolicy.from_facts(facts)


@pytest.fixture(scope="module")
def late_class_once(tmp_path_factory, new_course, recorder):
    course = new_course(tmp_path_factory.mktemp("late") / "course")
    record = recorder(course)
    for student, late in (("ada", -1), ("ben", 30), ("cleo", 7 * 24)):
        record(student, handed_in=(DUE + timedelta(hours=late)).replace(tzinfo=None))
    record("dan")
    return with_facts(course)


@pytest.fixture
def late_class(late_class_once, tmp_path):
    """ada in time, ben 30 hours late, cleo a week late, dan at an unknown time."""
    shutil.copytree(late_class_once.root, tmp_path / "course")
    return Course.load(tmp_path / "course")


def stored(course, student):
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        submission = gradebook.find_submission(UNIT, student)
        return submission.score, submission.late_submission_penalty, submission.total_seconds_late


def points(course):
    unit = course.unit(UNIT)
    grades = class_grades(course, [unit])
    return {student.id: grades.of(student, unit).points for student in grades.students}


def nbgraders_own_penalties(course):
    """What ``nbgrader autograde`` comes to with our configuration: its own preprocessor, run on each submission."""
    config = configure(Config(), course.root)
    for student in ("ada", "ben", "cleo", "dan"):
        facts = {"notebook": UNIT, "assignment": UNIT, "student": student, "db_url": f"sqlite:///{course.gradebook}"}
        AssignLatePenalties(config=config).preprocess(new_notebook(), {"nbgrader": facts})
    return {student: stored(course, student)[1] for student in ("ada", "ben", "cleo", "dan")}


def test_the_gradebook_shows_what_lateness_cost(late_class):
    settle(late_class, late_class.unit(UNIT))
    assert {student: stored(late_class, student)[1] for student in ("ada", "ben", "cleo", "dan")} == {
        "ada": 0.0,
        "ben": pytest.approx(1.6),  # 2 days · 10 % of 8
        "cleo": 5.0,  # later than is accepted
        "dan": 0.0,
    }
    assert stored(late_class, "ben")[2] == 30 * 3600
    assert points(late_class) == {"ada": 5, "ben": pytest.approx(3.4), "cleo": 0, "dan": 5}


def test_plain_nbgrader_with_our_configuration_takes_off_the_same(late_class):
    settle(late_class, late_class.unit(UNIT))
    ours = {student: stored(late_class, student)[1] for student in ("ada", "ben", "cleo", "dan")}
    assert nbgraders_own_penalties(late_class) == pytest.approx(ours)


def test_nbgraders_own_export_shows_the_points_that_ours_shows(late_class, tmp_path):
    ours = points(late_class)
    with Gradebook(f"sqlite:///{late_class.gradebook}") as gradebook:
        CsvExportPlugin(to=str(tmp_path / "grades.csv")).export(gradebook)
    with (tmp_path / "grades.csv").open(newline="") as file:
        theirs = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert theirs == pytest.approx(ours)


def test_students_are_told_what_lateness_cost_them_and_nothing_if_it_did_not(late_class):
    (late_class.submitted / "cleo").mkdir(parents=True)
    grant(late_class, late_class.unit(UNIT), "cleo", 6, "ill")
    share = "10% of the unit's 8 points per day"
    assert notices(late_class) == {
        "ben": f"Handed in 2 days after the due date: {share}, so you lose 1.6 of 5 points.",
        "cleo": f"Handed in 1 day after the due date (including your extension of 6 days): {share}, "
        "so you lose 0.8 of 5 points.",
    }
    assert notices(late_class, days_accepted=1)["ben"] == (
        "Handed in 2 days after the due date: late work is accepted for 1 day, so you lose all 5 points."
    )
    assert notices(late_class, points_lost_per_day_percent=40)["ben"] == (
        "Handed in 2 days after the due date: 40% of the unit's 8 points per day, "
        "but never more than the points earned, "
        "so you lose 5 of 5 points."
    )
    assert notices(late_class, points_lost_per_day_percent=0)["ben"].endswith("due date: you lose no points.")


def notices(course, **policy):
    course = replace(course, late_policy=replace(course.late_policy, **policy))
    standings = unit_standing(course, course.unit(UNIT)).students
    said = {student: late_notice(standing, course.late_policy) for student, standing in standings.items()}
    return {student: notice for student, notice in said.items() if notice}


def test_an_extension_moves_the_due_date_of_one_student_also_for_plain_nbgrader(late_class):
    unit = late_class.unit(UNIT)
    for student in ("ben", "cleo"):
        (late_class.submitted / student / UNIT).mkdir(parents=True)
    settle(late_class, unit)  # so that the gradebook knows the due date, as after course release
    grant(late_class, unit, "cleo", 6, "ill")
    assert nbgraders_own_penalties(late_class)["cleo"] == pytest.approx(0.8)
    assert points(late_class) == {"ada": 5, "ben": pytest.approx(3.4), "cleo": pytest.approx(4.2), "dan": 5}
    grant(late_class, unit, "cleo", 7, "still ill")
    assert points(late_class)["cleo"] == 5
    grant(late_class, unit, "cleo", 0, "a mistake")
    assert points(late_class)["cleo"] == 0


def test_a_regrade_keeps_lateness_extensions_and_points_given_by_hand(late_class, release, solved):
    unit = late_class.unit(UNIT)
    (late_class.submitted / "cleo").mkdir(parents=True)
    grant(late_class, unit, "cleo", 6, "ill")
    with Gradebook(f"sqlite:///{late_class.gradebook}") as gradebook:
        grade = gradebook.find_grade("question_1", UNIT, UNIT, "cleo")
        grade.manual_score, grade.needs_manual_grade = 3.0, False
        gradebook.db.commit()
    before = points(late_class)
    regrade(late_class, release, solved)
    assert points(late_class) == before and before["cleo"] == pytest.approx(8 - 0.8)


def regrade(course, release, solved):
    from autograder.gradebook.gradebook_writer import GradebookWriter
    from autograder.gradebook.recorded_results import recorded_results
    from autograder.results import Graded

    writer = GradebookWriter(course, course.unit(UNIT), release)
    times = {"ada": -1, "ben": 30, "cleo": 7 * 24}
    for result in recorded_results(course, course.unit(UNIT)):
        hours = times.get(result.student)
        moment = None if hours is None else (DUE + timedelta(hours=hours)).replace(tzinfo=None)
        writer.record(Graded(result, solved, "", moment))


def test_an_extension_that_only_the_gradebook_knows_stays(late_class):
    settle(late_class, late_class.unit(UNIT))
    with Gradebook(f"sqlite:///{late_class.gradebook}") as gradebook:
        gradebook.grant_extension(UNIT, "ben", days=2)
    assert points(late_class)["ben"] == 5


def test_extensions_are_private_logged_and_safe_to_open_in_a_spreadsheet(course, monkeypatch, capsys):
    (course.submitted / "ada" / UNIT).mkdir(parents=True)
    monkeypatch.chdir(course.root)
    assert cli.main(["extend", "ada", "03", "2", "--reason", '=ill, "very"']) == 0
    path = extensions_file(course)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not re.search(r'"=', path.read_text(encoding="utf-8"))
    assert extensions_of(course, course.unit(UNIT)) == {"ada": timedelta(days=2)}
    (entry,) = map(json.loads, (course.root / ".course" / "audit.jsonl").read_text(encoding="utf-8").splitlines())
    facts = {key: entry[key] for key in ("event", "student", "unit", "days", "reason")}
    assert facts == {"event": "extension", "student": "ada", "unit": UNIT, "days": 2.0, "reason": '=ill, "very"'}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["adda", "03", "2", "--reason", "ill"], "did you mean ada?"),
        (["ada", "03", "2", "--reason", " "], "--reason"),
        (["ada", "03", "400", "--reason", "ill"], "0 .* to 366"),
        (["ada", "03", "nan", "--reason", "ill"], "0 .* to 366"),
        (["ada", "99", "2", "--reason", "ill"], "no unit"),
    ],
)
def test_an_extension_that_cannot_be_meant_is_refused(course, monkeypatch, capsys, arguments, complaint):
    (course.submitted / "ada" / UNIT).mkdir(parents=True)
    monkeypatch.chdir(course.root)
    assert cli.main(["extend", *arguments]) == 1
    assert re.search(complaint, capsys.readouterr().err)
    assert not extensions_file(course).exists()


def test_extensions_edited_by_hand_are_read_and_a_wrong_line_is_named(course):
    path = extensions_file(course)
    path.parent.mkdir()
    path.write_text("student,unit,days\nada,03,1\nada,03_vae,1.5", encoding="utf-8")
    unit = course.unit(UNIT)
    assert extensions_of(course, unit) == {"ada": timedelta(days=1.5)}
    (course.submitted / "ben").mkdir(parents=True)
    grant(course, unit, "ben", 1, "ill")
    assert extensions_of(course, unit) == {"ada": timedelta(days=1.5), "ben": timedelta(days=1)}
    path.write_text("student,unit,days\nada,03,1\nada,03,two\n", encoding="utf-8")
    with pytest.raises(CourseError, match="line 3"):
        extensions_of(course, replace(unit))


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8-sig", ";"), ("utf-16", "\t"), ("utf-8", ",")])
def test_an_extension_granted_after_a_spreadsheet_saved_the_file_counts(course, encoding, sign):
    for student in ("ada", "zoë"):
        (course.submitted / student).mkdir(parents=True)
    unit, path = course.unit(UNIT), extensions_file(course)
    path.parent.mkdir()
    rows = (("Reason", "Student", "Remark", "Unit", "Days"), ("ill", "ada", "mine", "03", "1"))
    path.write_bytes("\r\n".join(sign.join(row) for row in rows).encode(encoding))
    grant(course, unit, "zoë", 2, "=also; ill")
    assert extensions_of(course, unit) == {"ada": timedelta(days=1), "zoë": timedelta(days=2)}
    assert read_table(path)[-1]["reason"] == "=also; ill"


def test_feedback_says_what_lateness_cost_and_nothing_to_those_in_time(late_class):
    pages = write_feedback(late_class, late_class.unit(UNIT))
    texts = {page.parent.parent.name: page.read_text(encoding="utf-8") for page in pages}
    assert "so you lose 1.6 of 5 points." in texts["ben"] and "3.4" in texts["ben"]
    assert not any("after the due date" in texts[student] for student in ("ada", "dan"))
