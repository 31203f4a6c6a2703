"""Times written in digits, with or without a zone, as programs write them into files and tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from autograder.course.zone_names import zone_called

__all__ = ["YEARS", "time_in_digits"]

YEARS = range(2000, 2100)
"""The years that are believed."""
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
