"""Reads times that programs write into files and tables, in digits, with or without a time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from autograder.course.late_policy import time_zone

__all__ = ["YEARS", "time_in_digits", "zone_called"]

YEARS = range(2000, 2100)
"""Years that are accepted; any other is taken for a mistake."""
_UTC_NAMES = ("UTC", "GMT", "Z")
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[ T](?P<hour>\d\d?)(?P<rest>:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d+))?"
    r"\s*(?P<zone>[+-]\d\d(?::?\d\d)?|[A-Za-z][\w/+-]*)?",
    re.ASCII,
)


def time_in_digits(text: str, zone: tzinfo) -> datetime:
    """The moment, in UTC, that a text such as ``2027-03-12 23:59:00 +0100`` states.

    Args:
        text: the time as text.
        zone: the course's time zone, used for times without a zone and for abbreviations such as ``CET``.

    Raises:
        ValueError: the text is not such a time, names an unknown zone, or lies outside of :data:`YEARS`.

    Example:
        >>> from zoneinfo import ZoneInfo
        >>> time_in_digits("2027-03-12 23:59", ZoneInfo("Europe/Berlin")).isoformat()
        '2027-03-12T22:59:00+00:00'
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:60]!r} cannot be read as a time: write it like 2027-03-12 23:59:00 +0100")
    local = _on_the_clock(found)
    if local.year not in YEARS:
        raise ValueError(f"the year must be {YEARS.start} to {YEARS.stop - 1}, got {local.year}")
    return local.replace(tzinfo=_zone(found["zone"], local, zone)).astimezone(UTC)


def _on_the_clock(found: re.Match[str]) -> datetime:
    try:
        local = datetime.fromisoformat(f"{found['day']}T{found['hour']:0>2}{found['rest']}")
    except ValueError:
        raise ValueError(f"{found.string[:60]!r} is not a date and time that exists") from None
    return local.replace(microsecond=int(f"{found['fraction'] or '':0<6}"[:6]))


def _zone(name: str | None, local: datetime, zone: tzinfo) -> tzinfo | None:
    if not name or name[0] not in "+-":
        return zone_called(name, local, zone)
    try:
        return datetime.strptime(f"{name.replace(':', ''):0<5}", "%z").tzinfo
    except ValueError:
        raise ValueError(f"{name!r} is not an offset from UTC: write it like +0100") from None


def zone_called(name: str | None, local: datetime, zone: tzinfo) -> tzinfo:
    """The time zone with the given name, for a local time in this course.

    An abbreviation such as ``CET``, ``EDT`` or ``IST`` means different zones in different countries. It is accepted
    only if the course's zone uses it on that date.

    Args:
        name: an abbreviation, ``UTC``, or a name of the IANA data base such as ``Europe/Berlin``; None for the course's
            zone.
        local: the time, without a zone.
        zone: the course's time zone.

    Raises:
        ValueError: the name is unknown, or is an abbreviation that the course's zone does not use on that date.

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
            f"the course's time zone ({zone}) does not use the abbreviation {name[:20]!r} on {local:%Y-%m-%d}: "
            "write an offset like +0100 instead"
        )
    return timezone(offset)


def _zone_of_the_world(name: str) -> tzinfo:
    try:
        return time_zone(name)
    except ValueError:
        raise ValueError(f"the time zone {name[:40]!r} is unknown: write a name like Europe/Berlin") from None


def _offset_called(name: str, local: datetime, zone: tzinfo) -> timedelta | None:
    """The offset that ``zone`` has under this abbreviation at this local time, or else at another time of that day."""
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    times = (local, local.replace(fold=1), day, day + timedelta(hours=23, minutes=59))
    offsets = (moment.utcoffset() for time in times if (moment := time.replace(tzinfo=zone)).tzname() == name)
    return next(offsets, None)
