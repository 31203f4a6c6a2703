"""Reads the time when a submission was handed in from its folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from autograder.course.written_times import time_in_digits
from autograder.intake.submissions import Quarantined, read_once
from autograder.plain_text import printable

__all__ = ["handed_in"]

_FILE = "timestamp.txt"
_LARGEST = 200  # bytes
_CLOCK_SKEW = timedelta(minutes=10)
"""How far the clock that wrote a time may be ahead of this machine's."""


def handed_in(folder: Path, zone: tzinfo = UTC, now: datetime | None = None) -> tuple[datetime | None, tuple[str, ...]]:
    """The time of handing in, in UTC without a zone like nbgrader's, and flags about it.

    It is read from ``timestamp.txt``, which nbgrader and ``course collect`` write. A student could write this file too:
    if it is not a small regular file, contains no readable time, or a time in the future, it is flagged and the time is
    unknown. The modification time of the notebook is not used, because copying and unpacking change it.

    Args:
        folder: the folder of the submission.
        zone: the course's time zone, used for times without a zone. Abbreviations such as ``CET`` or ``EDT`` are
            accepted only if this zone uses them on that date, because they mean other zones elsewhere.
        now: by default the current time; a time more than ten minutes later is in the future.
    """
    path = folder / _FILE
    try:
        path.lstat()
    except OSError:
        return None, ()
    try:
        moment = _written_in(read_once(path, _FILE, _LARGEST), zone)
        _require_past(moment, now or datetime.now(UTC))
    except (Quarantined, ValueError) as why:
        return None, (f"the time of handing in could not be read, so the work does not count as late: {why}",)
    return moment.replace(tzinfo=None), ()


def _require_past(moment: datetime, now: datetime) -> None:
    if moment > now + _CLOCK_SKEW:
        raise ValueError(
            f"{_FILE} contains a time in the future, {moment:%Y-%m-%d %H:%M} UTC: check the clocks, and the file"
        )


def _written_in(data: bytes, zone: tzinfo) -> datetime:
    try:
        return time_in_digits(data.decode("utf-8", errors="replace").strip(), zone)
    except ValueError as trouble:
        raise ValueError(f"{_FILE}: {printable(str(trouble), 200)}") from None
