"""The audit log: a line of JSON per graded submission and per change made by hand; lines are only added."""

from __future__ import annotations

import getpass
import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from autograder.course.course import Course
from autograder.results import Graded

__all__ = ["append", "log_entry", "log_event", "person", "versions_here"]


def log_entry(graded: Graded, unit: str, **facts: Any) -> dict[str, Any]:
    """The line of the audit log about one graded submission; ``facts`` describe the run it belongs to."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "unit": unit,
        "sha256": graded.sha256,
        "handed_in": graded.handed_in and graded.handed_in.isoformat(),
        "cached": graded.is_from_before,
        "seeds": dict(graded.seeds),
        **graded.result.to_record(),
        **facts,
        "versions": versions_here(),
    }


def log_event(course: Course, event: str, **facts: Any) -> None:
    """Add a line to ``.course/audit.jsonl`` with the time, the event, who caused it, and ``facts`` (JSON types)."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    append(course.records / "audit.jsonl", {"time": moment, "event": event, "by": person(), **facts})


def person() -> str:
    """The name of the user who runs this process, or the user's number if there is no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may give its user no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one line in a single write, so that the log has only whole lines even if the grader is killed."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    line = json.dumps(entry, ensure_ascii=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode("utf-8"))
    finally:
        os.close(descriptor)


@cache
def versions_here() -> Mapping[str, str]:
    """The versions of Python, the operating system, and the packages that results depend on."""
    packages = {name: version(name) for name in ("avae", "torch", "numpy", "nbgrader")}
    return {"python": platform.python_version(), "system": platform.platform(), **packages}
