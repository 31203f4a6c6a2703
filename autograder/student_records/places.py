"""Where a course folder keeps something of a student, as a list of places that all can do the same three things."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from autograder.course.course import Course
from autograder.course.student_ids import normal_id

__all__ = ["Place", "entries_named"]


class Place(Protocol):
    """One kind of place. Each of its methods can be called again after it was broken off, and then finishes."""

    def found(self, course: Course, student: str) -> list[str]:
        """What is kept of a student here, a phrase each; empty if nothing is."""

    def forget(self, course: Course, student: str) -> None:
        """Remove it."""

    def rename(self, course: Course, old: str, new: str) -> None:
        """Carry it over from one id to another, of which nothing is kept here yet."""


def entries_named(folder: Path, student: str) -> Iterable[Path]:
    """The files and folders in a folder that bear a student's id, with accents composed or taken apart."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if normal_id(entry.name) == student)
