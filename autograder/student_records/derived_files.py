"""Removes files about a student that can be made again: feedback pages, exports, reports, formgrader's log.

The commands that wrote these files can write them again.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from autograder.course.course import Course, CourseError
from autograder.course.roster import Roster
from autograder.course.student_ids import normal_id
from autograder.student_records.places import entries_named
from autograder.student_records.work_folders import remove

__all__ = ["DerivedFiles", "is_named_in", "names_of"]

_LARGEST = 256 * 2**20  # bytes; larger files, packed or not, are not searched


class DerivedFiles:
    """The files in ``feedback/``, ``exports/``, ``reports/`` and among the logs that name a student."""

    def found(self, course: Course, student: str) -> list[str]:
        return [str(path.relative_to(course.root)) for path in _naming(course, student)]

    def forget(self, course: Course, student: str) -> None:
        for path in list(_naming(course, student)):
            remove(path)

    def rename(self, course: Course, old: str, new: str) -> None:
        self.forget(course, old)


def names_of(course: Course, student: str) -> tuple[str, ...]:
    """The id of a student, with the name and address from the roster."""
    try:
        person = Roster.of(course)[student]
    except CourseError:  # an unreadable roster must not prevent course forget
        return (student,)
    return tuple(dict.fromkeys(filter(None, (student, person.name, person.email, person.email.lower()))))


def _naming(course: Course, student: str) -> Iterator[Path]:
    names = names_of(course, student)
    yield from entries_named(course.root / "feedback", student)
    own = [entry for entry in (course.root / "exports").glob("**/*") if normal_id(entry.name) == student]
    yield from own
    for path in _files(course):
        if not any(path.is_relative_to(folder) for folder in own) and is_named_in(path, names):
            yield path


def _files(course: Course) -> Iterator[Path]:
    for folder in ("exports", "reports"):
        yield from (path for path in sorted((course.root / folder).glob("**/*")) if path.is_file())
    yield from (path for path in sorted((course.root / "feedback").glob("*")) if path.is_file())
    yield from sorted(course.records.glob("*.log*"))


def is_named_in(path: Path, names: Collection[str]) -> bool:
    """Whether a file, or a file in a zip archive, contains one of the names as a word."""
    words = [rb"(?<![\w@.-])" + re.escape(name.encode()) + rb"(?![\w@-])" for name in names]
    pattern = re.compile(b"|".join(words))
    return any(pattern.search(part) for part in _parts(path))


def _parts(path: Path) -> Iterator[bytes]:
    if path.is_symlink() or path.stat().st_size > _LARGEST:
        return
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield member.filename.encode()
                if member.file_size <= _LARGEST:
                    yield archive.read(member)
