"""What people do to a course's grades, written into its audit log beside what the grader did."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from typing import Any

from autograder.course.audit_log import append
from autograder.course.course import Course

__all__ = ["log_event", "person"]


def log_event(course: Course, event: str, **facts: Any) -> None:
    """Add a line to ``.course/audit.jsonl``: when, what, who, and ``facts`` of JSON types."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    append(course.records / "audit.jsonl", {"time": moment, "event": event, "by": person(), **facts})


def person() -> str:
    """Who runs this, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may give its user no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
