"""Reads times of handing in from LMSs and nbgrader, and writes them in nbgrader's format."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from autograder.course.written_times import YEARS, time_in_digits

__all__ = ["in_nbgraders_words", "moment"]

# Moodle's, with the month's name: Friday, 12 March 2027, 11:59 PM; Freitag, 12. März 2027, 23:59
_IN_WORDS = re.compile(r"(?:\w+,\s*)?(\d{1,2})\.?\s+(\w+)\s+(\d{4}),\s*(\d{1,2})[:.](\d\d)(?:\s*([AP]M))?", re.I)
_GERMAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})[, ]\s*(\d{1,2}):(\d\d)(?::\d\d)?")
_MONTHS = (
    ("january", "januar", "jan"),
    ("february", "februar", "feb"),
    ("march", "märz", "mar", "mär"),
    ("april", "apr"),
    ("may", "mai"),
    ("june", "juni", "jun"),
    ("july", "juli", "jul"),
    ("august", "aug"),
    ("september", "sep"),
    ("october", "oktober", "oct", "okt"),
    ("november", "nov"),
    ("december", "dezember", "dec", "dez"),
)


def moment(text: str, zone: tzinfo) -> datetime:
    """The time in UTC; a text without a time zone is read as local time in ``zone``.

    Raises:
        ValueError: the text is not a time, could mean two times, or names an unknown zone.

    Example:
        >>> from zoneinfo import ZoneInfo
        >>> moment("12 March 2027, 11:59 PM", ZoneInfo("Europe/Berlin")).isoformat()
        '2027-03-12T22:59:00+00:00'
    """
    text = " ".join(text.split())
    for pattern, read in ((_IN_WORDS, _in_words), (_GERMAN, _german)):
        if found := pattern.fullmatch(text):
            when = read(found, zone).astimezone(UTC)
            if when.year not in YEARS:
                raise ValueError(f"the year must be {YEARS.start} to {YEARS.stop - 1}, got {when.year}")
            return when
    return time_in_digits(text, zone).replace(microsecond=0)


def in_nbgraders_words(when: datetime) -> str:
    """The time in the format of nbgrader's ``timestamp.txt``.

    Example:
        >>> in_nbgraders_words(datetime(2027, 3, 12, 22, 59, tzinfo=UTC))
        '2027-03-12 22:59:00.000000 UTC'
    """
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def _in_words(found: re.Match[str], zone: tzinfo) -> datetime:
    day, word, year, hour, minute, half = found.groups()
    months = [number for number, names in enumerate(_MONTHS, start=1) if word.lower() in names]
    if not months:
        raise ValueError(f"{word!r} is not a month in English or German: download the table in one of these languages")
    hours = int(hour) % 12 + 12 * (half.upper() == "PM") if half else int(hour)
    return datetime(int(year), months[0], int(day), hours, int(minute), tzinfo=zone)


def _german(found: re.Match[str], zone: tzinfo) -> datetime:
    day, month, year, hour, minute = map(int, found.groups())
    return datetime(year, month, day, hour, minute, tzinfo=zone)
