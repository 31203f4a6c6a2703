"""Times of handing in, as LMS's and nbgrader write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from autograder.course.zone_names import zone_called

__all__ = ["in_nbgraders_words", "moment"]

_YEARS = range(2000, 2100)
_WRITTEN = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[ T](?P<time>\d\d?:\d\d(?::\d\d)?)(?:[.,]\d+)?\s*"
    r"(?:(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)|(?P<zone>[A-Za-z][\w/+-]*))?"
)
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
    """The time in UTC; one that states no zone is a time of ``zone``.

    Raises:
        ValueError: it is no time, one that can be read in two ways, or names a zone that is not known.

    Example:
        >>> from zoneinfo import ZoneInfo
        >>> moment("12 March 2027, 11:59 PM", ZoneInfo("Europe/Berlin")).isoformat()
        '2027-03-12T22:59:00+00:00'
    """
    text = " ".join(text.split())
    for pattern, read in ((_WRITTEN, _written), (_IN_WORDS, _in_words), (_GERMAN, _german)):
        if found := pattern.fullmatch(text):
            when = read(found, zone).astimezone(UTC)
            if when.year in _YEARS:
                return when
    raise ValueError(f"{text[:60]!r} is no time that is understood here; 2027-03-12 23:59:00 +0100 is one")


def in_nbgraders_words(when: datetime) -> str:
    """The time as ``timestamp.txt`` holds it.

    Example:
        >>> in_nbgraders_words(datetime(2027, 3, 12, 22, 59, tzinfo=UTC))
        '2027-03-12 22:59:00.000000 UTC'
    """
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def _written(found: re.Match[str], zone: tzinfo) -> datetime:
    hour, _, rest = found["time"].partition(":")
    local = datetime.fromisoformat(f"{found['day']}T{hour:0>2}:{rest}")
    if found["sign"]:
        ahead = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"]))
        return local.replace(tzinfo=timezone(-ahead if found["sign"] == "-" else ahead))
    return local.replace(tzinfo=zone_called(found["zone"], local, zone))


def _in_words(found: re.Match[str], zone: tzinfo) -> datetime:
    day, word, year, hour, minute, half = found.groups()
    months = [number for number, names in enumerate(_MONTHS, start=1) if word.lower() in names]
    if not months:
        raise ValueError(f"{word!r} is no month in English or German: download the table in one of these languages")
    hours = int(hour) % 12 + 12 * (half.upper() == "PM") if half else int(hour)
    return datetime(int(year), months[0], int(day), hours, int(minute), tzinfo=zone)


def _german(found: re.Match[str], zone: tzinfo) -> datetime:
    day, month, year, hour, minute = map(int, found.groups())
    return datetime(year, month, day, hour, minute, tzinfo=zone)
