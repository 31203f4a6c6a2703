"""Records where collected work came from, and under which file name an LMS accepts its feedback page.

The record is ``.course/collected/<unit>.json``; work that later work has replaced is in
``.course/collected/<unit>/earlier/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from autograder.course.course import Course, CourseError, Unit
from autograder.course.private_files import write_private

__all__ = ["Collected", "collected_work", "earlier_work", "remember"]


@dataclass(frozen=True)
class Collected:
    """One student's work, as it was collected.

    Attributes:
        system: the LMS it came from.
        label: its name in the download.
        sha256: digest of all its files.
        order: larger for later work in that system; 0 if unknown.
        returned_as: the file name under which the system accepts feedback on it; empty if it accepts none.
    """

    system: str
    label: str
    sha256: str
    order: int = 0
    returned_as: str = ""


def collected_work(course: Course, unit: Unit) -> Mapping[str, Collected]:
    """The collected work of a unit, by student.

    Raises:
        CourseError: the record is damaged.
    """
    path = _record(course, unit)
    if not path.exists():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {student: Collected(**entry) for student, entry in facts.items()}
    except (ValueError, TypeError, AttributeError):
        raise CourseError(f"{path} is damaged: remove it, and collect again") from None


def remember(course: Course, unit: Unit, collected: Mapping[str, Collected]) -> None:
    """Write the record of a unit's collected work, replacing the earlier record."""
    facts = {student: asdict(collected[student]) for student in sorted(collected)}
    write_private(_record(course, unit), json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def earlier_work(course: Course, unit: Unit) -> Path:
    """The folder for work that later work has replaced, by student."""
    return course.records / "collected" / unit.name / "earlier"


def _record(course: Course, unit: Unit) -> Path:
    return course.records / "collected" / f"{unit.name}.json"
