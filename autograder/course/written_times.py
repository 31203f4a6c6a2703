"""Times written in digits, with or without a zone, as programs write them into files and tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from autograder.course.late_policy import time_zone

__all__ = ["YEARS", "time_in_digits", "zone_called"]

YEARS = range(2000, 2100)
"""The years that are believed."""
_UTC_NAMES = ("UTC", "GMT", "Z")
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[ T](?P<hour>\d\d?)(?P<rest>:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d+))?"
    r"\s*(?P<zone>[+-]\d\d(?::?\d\d)?|[A-Za-z][\w/+-]*)?",
    re.ASCII,
)


def time_in_digits(text: str, zone: tzinfo) -> datetime:
    """The moment in UTC that a text such as ``2027-03-12 23:59:00 +0100`` names.

    Args:
        zone: the course's; it holds for times without a zone, and decides what abbreviations such as ``CET`` mean.

    Raises:
        ValueError: the text is no such time, names an unknown zone, or lies outside of :data:`YEARS`.

    Example:
        >>> from zoneinfo import ZoneInfo
        >>> time_in_digits("2027-03-12 23:59", ZoneInfo("Europe/Berlin")).isoformat()
        '2027-03-12T22:59:00+00:00'
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:60]!r} is no time that can be read: write it like 2027-03-12 23:59:00 +0100")
    local = _on_the_clock(found)
    if local.year not in YEARS:
        raise ValueError(f"the year {local.year} cannot be right")
    return local.replace(tzinfo=_zone(found["zone"], local, zone)).astimezone(UTC)


def _on_the_clock(found: re.Match[str]) -> datetime:
    try:
        local = datetime.fromisoformat(f"{found['day']}T{found['hour']:0>2}{found['rest']}")
    except ValueError:
        raise ValueError(f"{found.string[:60]!r} is no date and time of the calendar") from None
    return local.replace(microsecond=int(f"{found['fraction'] or '':0<6}"[:6]))


def _zone(name: str | None, local: datetime, zone: tzinfo) -> tzinfo | None:
    if not name or name[0] not in "+-":
        return zone_called(name, local, zone)
    try:
        return datetime.strptime(f"{name.replace(':', ''):0<5}", "%z").tzinfo
    except ValueError:
        raise ValueError(f"{name!r} is no offset from UTC") from None


def zone_called(name: str | None, local: datetime, zone: tzinfo) -> tzinfo:
    """The time zone with the given name, for a local time in this course.

    Abbreviations such as ``CET``, ``EDT`` or ``IST`` stand for different zones in different countries. They count where
    the course's zone uses them on that date, and are not guessed elsewhere.

    Args:
        name: an abbreviation, ``UTC``, a name of the IANA data base as ``Europe/Berlin``; None for the course's zone.
        local: the time, without a zone.
        zone: the course's.

    Raises:
        ValueError: it is not known what the name means here.

    Example:
        >>> zone_called("CEST", datetime(2026, 10, 24, 23, 50), time_zone("Europe/Berlin")).utcoffset(None)
        datetime.timedelta(seconds=7200)
    """
    if not name:
        return zone
    if name.upper() in _UTC_NAMES:
        return UTC
    if "/" in name:
        return _zone_of_the_world(name)
    offset = _offset_called(name, local, zone)
    if offset is None:
        raise ValueError(
            f"the time zone {name[:20]!r} is not one that the course's time zone ({zone}) uses on {local:%Y-%m-%d}"
        )
    return timezone(offset)


def _zone_of_the_world(name: str) -> tzinfo:
    try:
        return time_zone(name)
    except ValueError:
        raise ValueError(f"the time zone {name[:40]!r} is not known here") from None


def _offset_called(name: str, local: datetime, zone: tzinfo) -> timedelta | None:
    """The offset from UTC that ``zone`` calls so, at this time of the wall clock or else some time that day."""
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    times = (local, local.replace(fold=1), day, day + timedelta(hours=23, minutes=59))
    offsets = (moment.utcoffset() for time in times if (moment := time.replace(tzinfo=zone)).tzname() == name)
    return next(offsets, None)
