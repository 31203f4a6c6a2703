"""All places in a course folder with data about a student, and a search for mentions anywhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from autograder.course.course import Course, CourseError
from autograder.course.roster import Roster
from autograder.student_records.class_tables import ClassTables
from autograder.student_records.derived_files import DerivedFiles, is_named_in
from autograder.student_records.gradebook_rows import GradebookRows
from autograder.student_records.places import Place
from autograder.student_records.record_files import AuditLog, RecordFiles
from autograder.student_records.work_folders import WorkFolders

__all__ = ["PLACES", "copies_elsewhere", "found_everywhere", "require_id", "still_named_in", "unknown"]

# Derived files are removed first, while the roster still has the names to search for in them.
PLACES: tuple[Place, ...] = (
    DerivedFiles(),
    WorkFolders(),
    RecordFiles(),
    GradebookRows(),
    ClassTables(),
    AuditLog(),
)

_NOT_OF_STUDENTS = {".git", ".venv", "assignments", "lectures", "solutions", "avae_lib", "autograder", "__pycache__"}
_LARGEST = 64 * 2**20  # bytes of a file that is searched


def require_id(student: str) -> None:
    """Check that a text can be a student's id, before files are searched for it.

    Raises:
        CourseError: it cannot.
    """
    if not student or student.startswith(".") or any(sign in student for sign in "/\\\0\r\n"):
        raise CourseError(f"{student!r} cannot be a student's id: write the name of the student's folder in submitted/")


def found_everywhere(course: Course, student: str) -> list[str]:
    """The data kept about a student, one phrase for each place."""
    return [phrase for place in PLACES for phrase in place.found(course, student)]


def unknown(course: Course, student: str) -> CourseError:
    """The message for an id without any data."""
    folders = [entry.name for entry in course.submitted.iterdir()] if course.submitted.is_dir() else []
    close = get_close_matches(student, [*Roster.of(course).students, *folders], 3)
    return CourseError(
        f"no data are kept about a student with the id {student!r}"
        + (f": did you mean {', '.join(dict.fromkeys(close))}?" if close else ": course status UNIT lists the ids")
    )


def still_named_in(course: Course, names: Iterable[str]) -> list[str]:
    """The files of a course, except its own texts, that contain one of the names as a word."""
    wanted = tuple(names)
    return [str(path.relative_to(course.root)) for path in _files(course.root) if is_named_in(path, wanted)]


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in _NOT_OF_STUDENTS]
        paths = (Path(folder, name) for name in sorted(files))
        yield from (path for path in paths if path.is_file() and path.stat().st_size <= _LARGEST)


def copies_elsewhere(course: Course) -> list[str]:
    """Folders outside the course to which exports, reports or pages were written, according to the audit log."""
    log = course.records / "audit.jsonl"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    folders = (_folder(line) for line in lines if '"folder"' in line and '"event"' in line)
    inside = str(course.root.resolve()) + os.sep
    return list(dict.fromkeys(folder for folder in folders if folder and not f"{folder}{os.sep}".startswith(inside)))


def _folder(line: str) -> str:
    try:
        folder = json.loads(line).get("folder")
    except (ValueError, AttributeError):
        return ""
    return folder if isinstance(folder, str) else ""
