"""Finds submitted files that are hard links to another student's work or to the course's own files.

Unpacking an archive can make hard links, with the rights of the person who unpacks it, to files that the student who
packed it cannot read. Backups and ``cp --link`` make hard links too, to names outside the course folder. Those are
harmless, because such a file could just as well be a copy. So only names inside the course folder are searched. One of
the course's own files, for example a solution, is never a student's work. If two students share a file, the file does
not show who wrote it, so both are graded and both are flagged.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from glob import escape
from pathlib import Path

from autograder.intake.submitted_bytes import Quarantined
from autograder.plain_text import printable

__all__ = ["flags_of_links"]

_OWN = ("solutions/*/*", "autograded/*/*/*")
_MOST_NAMED = 4


def flags_of_links(notebook: Path, files: Iterable[Path], folder: Path) -> tuple[str, ...]:
    """A flag for each file that is also in another student's submission or in the course's own folders.

    Args:
        notebook: the notebook to be graded.
        files: all files in the folder, the notebook included.
        folder: the folder of the submission, ``submitted/<student>/<unit>``.

    Raises:
        Quarantined: the notebook is one of the course's own files.
    """
    linked = [(path, status) for path in files if (status := _status(path)) and _has_other_names(status)]
    if any(path == notebook for path, _ in linked):
        _require_a_students(notebook, folder.parents[2])
    flags = (
        _flag("the notebook" if path == notebook else printable(path.name), status, folder) for path, status in linked
    )
    return tuple(filter(None, flags))


def _require_a_students(notebook: Path, course: Path) -> None:
    if own := _own_name(notebook.lstat(), course):
        raise Quarantined(f"the notebook is the same file as {own} (a hard link): ask the student for the notebook")


def _own_name(status: os.stat_result, course: Path) -> str:
    """The name that a file has in the course's own folders; empty if it has none."""
    found = next((path for pattern in _OWN for path in course.glob(pattern) if _is(path, status)), None)
    return printable(found.relative_to(course).as_posix()) if found else ""


def _flag(what: str, status: os.stat_result, folder: Path) -> str:
    if own := _own_name(status, folder.parents[2]):
        return f"{what} is the same file as {own} (a hard link): find out how it got there"
    others = [printable(path.parents[1].name) for path in _submitted_by_others(folder) if _is(path, status)]
    names = ", ".join(others[:_MOST_NAMED]) + (" and others" if len(others) > _MOST_NAMED else "")
    return f"{what} is the same file as that of {names} (a hard link): find out who made it" if others else ""


def _has_other_names(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _submitted_by_others(folder: Path) -> Iterator[Path]:
    return (path for path in folder.parents[1].glob(f"*/{escape(folder.name)}/*") if path.parent != folder)


def _is(path: Path, status: os.stat_result) -> bool:
    found = _status(path)
    return found is not None and os.path.samestat(found, status)
