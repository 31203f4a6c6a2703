"""A notebook whose file has a second name: another student's work, or the course's own, under this student's name.

Unpacking an archive can make hard links, as the person who unpacks it, to files that the student who packed it could
never read. Backups and copies made with ``cp --link`` make them too, with their second names outside the course folder.
Those are left alone: a file outside could as well have been copied. So names are looked for inside the course only.
A file of the course's own, a solution for instance, is never a student's work. Of two students who share one file,
nobody can say from the file who wrote it, so both are graded and both are flagged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import escape
from pathlib import Path

from autograder.intake.submitted_bytes import Quarantined
from autograder.plain_text import printable

__all__ = ["flags_of_links"]

_OWN = ("solutions/*/*.ipynb", "autograded/*/*/*.ipynb")
_MOST_NAMED = 4


def flags_of_links(notebook: Path, folder: Path) -> tuple[str, ...]:
    """A flag where other students' submissions hold the very same file.

    Args:
        folder: of the submission, ``submitted/<student>/<unit>``.

    Raises:
        Quarantined: it is a file of the course's own.
    """
    try:
        status = notebook.lstat()
    except OSError:
        return ()
    if status.st_nlink < 2:
        return ()
    submitted = folder.parents[1]
    for path in (path for pattern in _OWN for path in submitted.parent.glob(pattern)):
        if _is(path, status):
            name = printable(path.relative_to(submitted.parent).as_posix())
            raise Quarantined(
                f"the notebook is the same file as {name} (a hard link): ask the student for the notebook"
            )
    others = [printable(path.parents[1].name) for path in _submitted_by_others(folder) if _is(path, status)]
    if not others:
        return ()
    names = ", ".join(others[:_MOST_NAMED]) + (" and others" if len(others) > _MOST_NAMED else "")
    return (f"the notebook is the same file as that of {names} (a hard link): find out who wrote it",)


def _submitted_by_others(folder: Path) -> Iterator[Path]:
    return (path for path in folder.parents[1].glob(f"*/{escape(folder.name)}/*") if path.parent != folder)


def _is(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.lstat(), status)
    except OSError:
        return False
