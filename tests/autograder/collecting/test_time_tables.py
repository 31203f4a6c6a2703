"""Times as systems write them: read in one way only, or refused with the line."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.collecting.lms_times import in_nbgraders_words, moment
from autograder.collecting.time_tables import read_times
from autograder.course.course import CourseError
from autograder.course.roster import Roster

BERLIN = ZoneInfo("Europe/Berlin")
WANTED = datetime(2027, 3, 12, 22, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2027-03-12T22:59:00Z",
        "2027-03-12 22:59:00.123456000 Z",
        "2027-03-12 22:59:00.000000 UTC",
        "2027-03-12 14:59:00 -0800",
        "2027-03-12 23:59:00 CET",
        "2027-03-12 23:59:00 Europe/Berlin",
        "2027-03-12 23:59",
        "Friday, 12 March 2027, 11:59 PM",
        "12 March 2027, 11:59 PM",
        "Freitag, 12. März 2027, 23:59",
        "12.03.2027 23:59",
        "12.03.2027, 23:59:00",
    ],
)
def test_times_of_all_systems_are_read(text):
    assert moment(text, BERLIN) == WANTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "3/4/2027 10:00",
        "2027-02-30 10:00",
        "12 marzo 2027, 10:00",
        "2027-03-12 10:00 EST",
        "1970-01-01 00:00",
    ],
)
def test_what_could_mean_something_else_is_no_time(text):
    with pytest.raises(ValueError):
        moment(text, BERLIN)


def test_an_abbreviation_of_the_courses_own_zone_is_known_and_midnight_is_twelve():
    assert moment("2026-10-25 02:30:00 CEST", BERLIN) + timedelta(hours=1) == moment("2026-10-25 02:30:00 CET", BERLIN)
    assert moment("12 March 2027, 12:05 AM", BERLIN) == WANTED - timedelta(hours=23, minutes=54)


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)))
def test_what_is_written_is_read_back(when):
    when = when.replace(tzinfo=UTC)
    assert moment(in_nbgraders_words(when), BERLIN) == when.replace(microsecond=0)


@pytest.mark.parametrize(
    "table",
    [
        # Gradescope: Assignment → Review grades → Download grades
        "First Name,Last Name,SID,Email,Sections,Status,Submission ID,Submission Time,Lateness (H:M:S)\n"
        "Ada,Lovelace,00700,ada@uni.example,,Graded,11,2027-03-12 22:59:00 +0000,00:00:00\n",
        "login;handed_in\r\nAL42;12.03.2027 23:59\r\n",
        'Anmeldename,Zuletzt geändert (Abgabe)\nal42,"Freitag, 12. März 2027, 23:59"\n',
        "user_id,submitted_at\n101,2027-03-12T22:59:00Z\n",
        "ID,time\nada,2027-03-12 23:59\n",
    ],
    ids=["gradescope", "own", "german", "canvas-api-as-table", "by-id"],
)
def test_any_table_with_students_and_times_will_do(klass, tmp_path, table):
    (tmp_path / "times.csv").write_text(table, encoding="utf-8")
    assert read_times(tmp_path / "times.csv", Roster.of(klass), BERLIN).of_students == {"ada": WANTED}


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("Student,ID,SIS User ID,SIS Login ID,Section\nAda,101,1,al42,A\n", "contains no times"),
        ("login,handed_in\nal42,3/4/2027 10:00\n", "line 2.*cannot be read as a time"),
        ("login,handed_in\nal42,12 marzo 2027, 10:00\n", "line 2"),
    ],
)
def test_a_table_without_times_that_are_understood_is_refused(klass, tmp_path, table, complaint):
    (tmp_path / "times.csv").write_text(table, encoding="utf-8")
    with pytest.raises(CourseError, match=complaint):
        read_times(tmp_path / "times.csv", Roster.of(klass), BERLIN)


def test_rows_that_fit_nobody_are_kept_to_be_named(klass, tmp_path):
    (tmp_path / "times.csv").write_text("login,handed_in\nxy,2027-03-12 23:59\n", encoding="utf-8")
    times = read_times(tmp_path / "times.csv", Roster.of(klass), BERLIN)
    assert (dict(times.of_students), times.strangers) == ({}, ("xy",))


@pytest.mark.parametrize("content", ["{}", "[1]", "[", b"\xff\xfe\x00"])
def test_json_that_is_no_list_of_submissions_is_refused(klass, tmp_path, content):
    (tmp_path / "times.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CourseError, match=r"times\.json"):
        read_times(tmp_path / "times.json", Roster.of(klass), BERLIN)
