"""When a submission was handed in, as far as what lies in its folder can be believed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from autograder.intake.submissions import Quarantined, read_once

__all__ = ["handed_in"]

_FILE = "timestamp.txt"
_LARGEST = 200  # bytes
_YEARS = range(2000, 2100)
# As nbgrader's collection writes it down: 2026-03-01 12:30:00.000000 UTC, or with the zone of its configuration.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,6})?)[ ]?(?:(Z|[A-Za-z]{2,5})|([+-]\d\d):?(\d\d))?", re.ASCII
)


def handed_in(folder: Path, notebook: Path) -> tuple[datetime | None, tuple[str, ...]]:
    """The time of handing in, UTC without a zone as nbgrader keeps it, and flags about it.

    It is read from ``timestamp.txt``, which nbgrader writes when it collects. Students can put one there themselves:
    one that is no small regular file, or holds anything but a time, is flagged, and the notebook's own time counts.
    Without such a file the time is not known.
    """
    path = folder / _FILE
    try:
        path.lstat()
    except OSError:
        return None, ()
    try:
        return _parsed(read_once(path, _FILE, _LARGEST)), ()
    except (Quarantined, ValueError) as trouble:
        why = str(trouble) if isinstance(trouble, Quarantined) else "it holds no time"
        return _time_of(notebook), (f"{_FILE} was not used, the time of the notebook's file counts ({why})",)


def _parsed(data: bytes) -> datetime:
    found = _TIME.fullmatch(data.decode("ascii").strip())
    if not found:
        raise ValueError("no time")
    day, time, _, hours, minutes = found.groups()
    # Names of zones other than UTC are ambiguous; nbgrader takes them for UTC too.
    moment = datetime.fromisoformat(f"{day}T{time}{f'{hours}:{minutes}' if hours else '+00:00'}").astimezone(UTC)
    return _believable(moment.replace(tzinfo=None))


def _time_of(notebook: Path) -> datetime | None:
    try:
        return _believable(datetime.fromtimestamp(int(notebook.lstat().st_mtime), UTC).replace(tzinfo=None))
    except (OSError, ValueError, OverflowError):
        return None


def _believable(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError("not in our time")
    return moment
