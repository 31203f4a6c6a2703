"""Days of lateness and extensions are counted on the wall clock, whatever is done to the clocks meanwhile."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autograder.course.course import Course
from autograder.course.extensions import grant
from autograder.course.late_policy import days_late, later_by
from autograder.gradebook.points_that_count import unit_standing

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(sorted(available_timezones())).map(ZoneInfo)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RESTLESS = [  # zones whose clocks change in odd ways, with moments near the change
    ("Europe/Berlin", "2026-03-29T01:00"), ("Europe/Berlin", "2026-10-25T01:00"),
    ("America/New_York", "2026-03-08T07:00"), ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"), ("Africa/Casablanca", "2026-02-15T02:00"),
    ("Antarctica/Troll", "2026-03-29T01:00"), ("America/Sao_Paulo", "2018-11-04T03:00"),
    ("Pacific/Apia", "2011-12-30T10:00"), ("Asia/Pyongyang", "2015-08-14T15:00"),
]  # fmt: skip


@st.composite
def moments_near_a_change(draw):
    """A zone, and a due moment within three days of a change of its clocks."""
    name, change = draw(st.sampled_from(RESTLESS))
    seconds = draw(st.integers(-3 * 86_400, 3 * 86_400))
    return ZoneInfo(name), datetime.fromisoformat(change).replace(tzinfo=UTC) + timedelta(seconds=seconds)


@st.composite
def moments_at_any_time(draw):
    return draw(ZONES), draw(st.datetimes(datetime(2001, 1, 1), datetime(2036, 1, 1))).replace(
        tzinfo=UTC, microsecond=0
    )


DUE = moments_near_a_change() | moments_at_any_time()


def on_the_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def shows_each_time_once(moment: datetime, zone: ZoneInfo) -> bool:
    """Whether no other moment within a day shows the same time, and the clock is not changed within two hours."""
    return len({(moment + step * HOUR).astimezone(zone).utcoffset() for step in range(-3, 4)}) == 1


@given(DUE, st.integers(0, 6), st.integers(1, 86_399))
def test_a_day_ends_when_the_clock_shows_the_due_time_again(due, days, seconds):
    zone, deadline = due
    end = later_by(deadline, timedelta(days=days), zone)
    assert days_late(end, deadline, zone) <= days
    assert days_late(end + timedelta(seconds=1), deadline, zone) > days
    if shows_each_time_once(end, zone) and zone.key != "Pacific/Apia":
        assert on_the_wall(end, zone) == on_the_wall(deadline, zone) + days * DAY


@given(DUE, st.integers(-100_000, 800_000))
def test_days_are_those_between_two_readings_of_the_clock(due, seconds):
    zone, deadline = due
    handed_in = deadline + timedelta(seconds=seconds)
    assume(shows_each_time_once(deadline, zone) and shows_each_time_once(handed_in, zone))
    apart = on_the_wall(handed_in, zone) - on_the_wall(deadline, zone)
    end = later_by(deadline, timedelta(days=math.ceil(apart / DAY)), zone)
    assume(shows_each_time_once(end, zone) and (apart > timedelta(0)) == (seconds > 0))
    assert days_late(handed_in, deadline, zone) == max(0, math.ceil(apart / DAY))


@given(DUE, st.integers(-100_000, 800_000), st.integers(0, 100_000))
def test_later_work_is_never_less_late(due, seconds, more):
    zone, deadline = due
    handed_in = deadline + timedelta(seconds=seconds)
    assert days_late(handed_in, deadline, zone) <= days_late(handed_in + timedelta(seconds=more), deadline, zone)
    assert (days_late(handed_in, deadline, zone) > 0) == (seconds > 0)


@given(DUE, st.floats(0, 30), st.floats(0, 30), st.integers(-100_000, 800_000))
def test_a_longer_extension_never_makes_work_later(due, days, more, seconds):
    zone, deadline = due
    handed_in = deadline + timedelta(seconds=seconds)
    extended, longer = (later_by(deadline, timedelta(days=days + extra), zone) for extra in (0, more))
    assert extended <= longer
    assert (
        days_late(handed_in, longer, zone)
        <= days_late(handed_in, extended, zone)
        <= days_late(handed_in, deadline, zone)
    )


@pytest.mark.parametrize(
    ("due", "hours", "days"),
    [
        ("2026-10-24T23:59", 24.5, 1),  # this day has 25 hours
        ("2026-10-24T23:59", 25.5, 2),
        ("2026-03-28T23:59", 22.5, 1),  # and this one 23
        ("2026-03-28T23:59", 23.5, 2),
        ("2026-06-01T23:59", 24.5, 2),
    ],
)
def test_the_day_that_the_clocks_change_is_one_day(due, hours, days):
    deadline = datetime.fromisoformat(due).replace(tzinfo=BERLIN).astimezone(UTC)
    assert days_late(deadline + hours * HOUR, deadline, BERLIN) == days


def test_an_extension_over_the_change_ends_at_the_due_time_of_the_clock():
    due = datetime(2026, 10, 24, 23, 59, tzinfo=BERLIN)
    assert later_by(due, timedelta(days=2), BERLIN) == datetime(2026, 10, 26, 23, 59, tzinfo=BERLIN)
    assert later_by(due, timedelta(days=0.5), BERLIN) == datetime(2026, 10, 25, 11, 59, tzinfo=BERLIN)
    assert later_by(due, timedelta(0), BERLIN) == due


def test_a_deadline_that_the_clock_skips_or_shows_twice_is_the_later_of_the_two():
    skipped = later_by(datetime(2026, 3, 28, 2, 30, tzinfo=BERLIN), DAY, BERLIN)
    shown_twice = later_by(datetime(2026, 10, 24, 2, 30, tzinfo=BERLIN), DAY, BERLIN)
    assert skipped == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert shown_twice == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_gradebook_exports_and_extensions_agree_over_the_change_of_the_clocks(course, record):
    """Due on the evening before clocks go back: a day later by the wall clock is 25 hours later."""
    path = course.root / "course.toml"
    text = path.read_text(encoding="utf-8").replace('time_zone = "UTC"', 'time_zone = "Europe/Berlin"')
    path.write_text(text.replace('name = "03_vae"', 'name = "03_vae"\ndue = 2026-10-24T23:59:00'), encoding="utf-8")
    course = Course.load(course.root)
    unit, due = course.unit("03_vae"), datetime(2026, 10, 24, 21, 59)
    record("ada", handed_in=due + 24.5 * HOUR)
    record("ben", handed_in=due + 25.5 * HOUR)
    record("cleo", handed_in=due + 24.5 * HOUR)
    (course.submitted / "cleo").mkdir(parents=True)
    grant(course, unit, "cleo", 1, "ill")
    grades = unit_standing(course, unit, datetime(2027, 1, 1, tzinfo=UTC)).students
    assert {name: grades[name].days_late for name in grades} == {"ada": 1, "ben": 2, "cleo": 0}
    lost = {name: grades[name].points_lost for name in grades}
    assert lost["ben"] == 2 * lost["ada"] > 0 and lost["cleo"] == 0
