"""When a submission was handed in, as far as what lies in its folder can be believed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from autograder.course.zone_names import zone_called
from autograder.intake.submissions import Quarantined, read_once
from autograder.plain_text import printable

__all__ = ["handed_in"]

_FILE = "timestamp.txt"
_LARGEST = 200  # bytes
_YEARS = range(2000, 2100)
_CLOCK_SKEW = timedelta(minutes=10)
"""How far the clock that wrote a time may be ahead of this machine's."""
# As nbgrader's collection writes it down: 2026-03-01 12:30:00.000000 UTC, with the name or offset of a zone.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?([+-]\d\d(?::?\d\d)?|[A-Za-z][\w/+-]*)?", re.ASCII
)


def handed_in(folder: Path, zone: tzinfo = UTC, now: datetime | None = None) -> tuple[datetime | None, tuple[str, ...]]:
    """The time of handing in, UTC without a zone as nbgrader keeps it, and flags about it.

    It is read from ``timestamp.txt``, which nbgrader and ``course collect`` write when they collect. Students can put
    one there themselves: one that is no small regular file, holds no time that can be read, or names one that is yet to
    come, is flagged, and the time is not known. The time of the notebook's file does not count: copying and unpacking
    change it.

    Args:
        zone: the course's. Times without a zone are meant there, and of the abbreviations (``CET``, ``EDT``) those
            count that it uses on that date; the same letters mean other zones elsewhere.
        now: times after this moment, and ten minutes for clocks that differ, lie in the future; by default the present.
    """
    path = folder / _FILE
    try:
        path.lstat()
    except OSError:
        return None, ()
    try:
        moment = _parsed(read_once(path, _FILE, _LARGEST), zone)
        _require_past(moment, now or datetime.now(UTC))
    except (Quarantined, ValueError) as why:
        return None, (f"the time of handing in could not be read, so the work counts as on time: {why}",)
    return moment.replace(tzinfo=None), ()


def _require_past(moment: datetime, now: datetime) -> None:
    if moment > now + _CLOCK_SKEW:
        raise ValueError(
            f"{_FILE} names a time in the future, {moment:%Y-%m-%d %H:%M} UTC; somebody's clock is wrong, or the file"
        )


def _parsed(data: bytes, zone: tzinfo) -> datetime:
    """The moment that a time stamp names, in UTC.

    Raises:
        ValueError: it names none that can be believed; the message says what is there.
    """
    text = data.decode("utf-8", errors="replace").strip()
    found = _TIME.fullmatch(text)
    try:
        there = datetime.fromisoformat(f"{found[1]}T{found[2]}")
    except (TypeError, ValueError):
        raise ValueError(f"{_FILE} holds no time, but {printable(text, 40)!r}") from None
    if there.year not in _YEARS:
        raise ValueError(f"{_FILE} names the year {there.year}")
    return there.replace(tzinfo=_zone(found[3], there, zone)).astimezone(UTC)


def _zone(name: str | None, there: datetime, zone: tzinfo) -> tzinfo:
    if name and name[0] in "+-":
        return _offset(name)
    try:
        return zone_called(name, there, zone)
    except ValueError as trouble:
        raise ValueError(f"{printable(str(trouble), 200)} ({_FILE})") from None


def _offset(text: str) -> tzinfo:
    try:
        return datetime.strptime(f"{text.replace(':', ''):0<5}", "%z").tzinfo
    except ValueError:
        raise ValueError(f"{_FILE} names {text!r}, which is no offset from UTC") from None
