"""Interprets names of time zones; abbreviations mean what they mean in the course's own zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from autograder.course.late_policy import time_zone

__all__ = ["zone_called"]

_UTC_NAMES = ("UTC", "GMT", "Z")


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
