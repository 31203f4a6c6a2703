"""Finds and changes the folders named by a student's id: submitted work and graded notebooks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from autograder.course.course import Course
from autograder.student_records.places import entries_named

__all__ = ["WorkFolders", "remove"]


class WorkFolders:
    """A student's folders in ``submitted/`` and ``autograded/``, and those with replaced work."""

    def found(self, course: Course, student: str) -> list[str]:
        return [str(path.relative_to(course.root)) for path in _of(course, student)]

    def forget(self, course: Course, student: str) -> None:
        for path in _of(course, student):
            remove(path)

    def rename(self, course: Course, old: str, new: str) -> None:
        for path in _of(course, old):
            os.rename(path, path.with_name(new))


def _of(course: Course, student: str) -> Iterator[Path]:
    earlier = course.records.glob("collected/*/earlier")
    for folder in (course.submitted, course.root / "autograded", *sorted(earlier)):
        yield from entries_named(folder, student)


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content; of a symbolic link, only the link."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)  # a student's archive may contain folders without write permission
    shutil.rmtree(path)
