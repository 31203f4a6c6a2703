"""The common interface of all places that keep data about a student: find, forget, rename."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from autograder.course.course import Course
from autograder.course.student_ids import normal_id

__all__ = ["Place", "entries_named"]


class Place(Protocol):
    """One kind of place; if a method is interrupted, calling it again finishes its work."""

    def found(self, course: Course, student: str) -> list[str]:
        """The data kept about a student here, one phrase each; empty if there are none."""
        ...

    def forget(self, course: Course, student: str) -> None:
        """Remove the data kept about a student here."""

    def rename(self, course: Course, old: str, new: str) -> None:
        """Move the data from one id to another that has none here yet."""


def entries_named(folder: Path, student: str) -> Iterable[Path]:
    """The files and folders in a folder that are named by a student's id, whichever way accents are encoded."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if normal_id(entry.name) == student)
