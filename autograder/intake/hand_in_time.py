"""Reads the time of handing in from a submission's folder, as far as it can be trusted."""

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
    """The time of handing in, UTC without a zone as nbgrader keeps it, and flags about it.

    It is read from ``timestamp.txt``, which nbgrader and ``course collect`` write when they collect. Students can put
    one there themselves: a file that is not small and regular, holds no readable time, or names a time in the future is
    flagged, and the time is not known. The time of the notebook's file does not count: copying and unpacking change it.

    Args:
        zone: the course's time zone, which times without a zone are in. Abbreviations such as ``CET`` or ``EDT`` count
            only where this zone uses them on that date, because the same letters mean other zones elsewhere.
        now: the present, if it is not that of the clock; a time more than ten minutes later is in the future.
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
        return None, (f"the time of handing in could not be read, so the work counts as on time: {why}",)
    return moment.replace(tzinfo=None), ()


def _require_past(moment: datetime, now: datetime) -> None:
    if moment > now + _CLOCK_SKEW:
        raise ValueError(
            f"{_FILE} names a time in the future, {moment:%Y-%m-%d %H:%M} UTC: check the clocks, and the file"
        )


def _written_in(data: bytes, zone: tzinfo) -> datetime:
    try:
        return time_in_digits(data.decode("utf-8", errors="replace").strip(), zone)
    except ValueError as trouble:
        raise ValueError(f"{_FILE}: {printable(str(trouble), 200)}") from None
