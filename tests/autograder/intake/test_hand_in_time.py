"""The time of handing in: taken from nbgrader's file if that is one, else not known and flagged; it stops no class."""

import os
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.intake.hand_in_time import handed_in

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
LATER = datetime(2098, 1, 1, tzinfo=UTC)  # so that no time below lies in the future


@pytest.fixture
def stamped(tmp_path):
    """The folder of a submission with this in its ``timestamp.txt``."""

    def stamp(content: str | bytes):
        (tmp_path / "timestamp.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return stamp


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01 12:30:00 UTC\n", datetime(2026, 3, 1, 12, 30)),
        ("2026-03-01 12:30:00.250000 UTC", datetime(2026, 3, 1, 12, 30, 0, 250000)),
        ("2026-03-01T12:30:00+02:00", datetime(2026, 3, 1, 10, 30)),
        ("2026-03-01 12:30:00 -0530", datetime(2026, 3, 1, 18, 0)),
        ("2026-03-01 12:30:00 +01", datetime(2026, 3, 1, 11, 30)),
        ("2026-03-01T12:30:00Z", datetime(2026, 3, 1, 12, 30)),
        ("2026-03-01 12:30 GMT", datetime(2026, 3, 1, 12, 30)),
        ("2026-03-01 12:30:00 America/New_York", datetime(2026, 3, 1, 17, 30)),
    ],
)
def test_a_zone_that_is_the_same_everywhere_is_understood(stamped, text, time):
    assert handed_in(stamped(text), BERLIN, LATER) == (time, ())


@pytest.mark.parametrize(
    ("text", "zone", "time"),
    [
        ("2026-10-24 23:50:00.123456 CEST", BERLIN, datetime(2026, 10, 24, 21, 50, 0, 123456)),
        ("2026-11-24 23:50:00.123456 CET", BERLIN, datetime(2026, 11, 24, 22, 50, 0, 123456)),
        ("2026-10-24 23:50:00.123456 Europe/Berlin", BERLIN, datetime(2026, 10, 24, 21, 50, 0, 123456)),
        ("2026-10-24 23:50:00 Europe/Berlin", NEW_YORK, datetime(2026, 10, 24, 21, 50)),
        ("2026-07-01 08:00:00 EDT", NEW_YORK, datetime(2026, 7, 1, 12, 0)),
        ("2026-01-01 08:00:00 EST", NEW_YORK, datetime(2026, 1, 1, 13, 0)),
        ("2026-07-01 08:00:00 IST", ZoneInfo("Asia/Kolkata"), datetime(2026, 7, 1, 2, 30)),
        ("2026-07-01 08:00:00 IST", ZoneInfo("Europe/Dublin"), datetime(2026, 7, 1, 7, 0)),
        ("2026-07-01 08:00:00", BERLIN, datetime(2026, 7, 1, 6, 0)),
        ("2026-07-01 08:00:00", UTC, datetime(2026, 7, 1, 8, 0)),
    ],
)
def test_other_times_are_meant_as_the_courses_zone_means_them(stamped, text, zone, time):
    assert handed_in(stamped(text), zone, LATER) == (time, ())


def test_the_hour_that_passes_twice_is_told_apart_by_the_zones_name(stamped):
    for name, hour in (("CEST", 0), ("CET", 1)):
        time, _ = handed_in(stamped(f"2026-10-25 02:30:00 {name}"), BERLIN, LATER)
        assert time == datetime(2026, 10, 25, hour, 30)


def test_on_the_day_that_the_clocks_change_both_names_count(stamped):
    assert handed_in(stamped("2026-10-25 00:30:00 CET"), BERLIN, LATER)[0] == datetime(2026, 10, 24, 23, 30)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2026-01-01 08:00:00 EST", BERLIN),
        ("2026-07-01 08:00:00 EST", NEW_YORK),
        ("2026-07-01 08:00:00 CET", UTC),
        ("2026-07-01 08:00:00 Europe/Atlantis", BERLIN),
        ("2026-07-01 08:00:00 posix/../../etc/passwd", BERLIN),
        ("2026-07-01 08:00:00 XYZ", BERLIN),
    ],
)
def test_a_zone_that_the_course_does_not_use_is_not_guessed(stamped, text, zone):
    time, (flag,) = handed_in(stamped(text), zone, LATER)
    assert time is None
    assert flag.startswith("the time of handing in could not be read") and repr(text.split()[-1])[1:15] in flag


@given(
    zone=st.sampled_from(sorted(available_timezones())), moment=st.datetimes(datetime(2001, 1, 2), datetime(2037, 1, 1))
)
def test_what_a_clock_of_the_courses_zone_writes_is_read_back(zone, moment, tmp_path_factory):
    there = moment.replace(tzinfo=UTC, microsecond=0).astimezone(ZoneInfo(zone))
    folder = tmp_path_factory.getbasetemp()
    (folder / "timestamp.txt").write_text(there.strftime("%Y-%m-%d %H:%M:%S %Z"))
    time, flags = handed_in(folder, ZoneInfo(zone), LATER)
    twins = {there.replace(fold=fold).astimezone(UTC).replace(tzinfo=None) for fold in (0, 1)}
    assert flags == () and time in twins, "where the clock was set back without a change of name, either may be meant"


def test_without_the_file_the_time_is_not_known(tmp_path):
    (tmp_path / "03_vae.ipynb").touch()
    assert handed_in(tmp_path) == (None, ())


BAD_CONTENTS = [
    b"", b"whenever", b"\xff\xfe2\x000\x00", b"9999-12-31 23:59:59 UTC", b"0001-01-01 00:00:00 UTC",
    b"2026-13-01 12:30:00 UTC", b"2026-03-01 12:30:00 +99:99", b"2026-03-01 12:30:00 +99",
    b"2026-03-01 12:30:00 UTC" + b" " * 300, b"99999999999999999999-01-01 00:00:00",
    "２０２６-03-01 12:30:00".encode(), b"\0" * 10, b"2026-03-01 25:00:00", b"\x1b[2J2026-03-01 12:30:00",
]  # fmt: skip


@pytest.mark.parametrize("content", BAD_CONTENTS)
def test_anything_but_a_time_is_flagged_and_makes_nobody_late(stamped, content):
    time, (flag,) = handed_in(stamped(content))
    assert time is None
    assert "the time of handing in could not be read" in flag and flag.isprintable()


def a_pipe(path):
    os.mkfifo(path)


def a_folder(path):
    path.mkdir()


def a_link_to_a_time(path):
    real = path.with_name("other.txt")
    real.write_text("2020-01-01 00:00:00 UTC")
    path.symlink_to(real)


def a_link_to_itself(path):
    path.symlink_to(path)


def a_link_without_end(path):
    path.symlink_to("/dev/zero")


def a_huge_file(path):
    with path.open("wb") as file:
        file.truncate(2**40)


@pytest.mark.parametrize(
    "make", [a_pipe, a_folder, a_link_to_a_time, a_link_to_itself, a_link_without_end, a_huge_file]
)
def test_no_file_of_another_kind_is_read_or_waited_for(tmp_path, make):
    make(tmp_path / "timestamp.txt")
    time, flags = handed_in(tmp_path)
    assert time is None and len(flags) == 1


def test_a_time_in_the_future_is_flagged_and_makes_nobody_late(stamped):
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    time, (flag,) = handed_in(stamped("2026-03-01 13:00:00 UTC"), UTC, now)
    assert time is None
    assert "in the future, 2026-03-01 13:00 UTC" in flag


def test_a_clock_that_is_some_minutes_ahead_is_believed(stamped):
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    folder = stamped("2026-03-01 12:10:00 UTC")
    assert handed_in(folder, UTC, now) == (datetime(2026, 3, 1, 12, 10), ())
    assert handed_in(folder, UTC, now - timedelta(seconds=1))[0] is None
