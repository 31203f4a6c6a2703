"""Submissions on disk: who handed something in, which file counts, and its bytes. Nothing is believed."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.plain_text import printable, unmistakable

__all__ = ["MAX_BYTES", "Quarantined", "Submission", "find_submissions", "notebook_file", "read_once"]

MAX_BYTES = 20 * 2**20
"""The largest notebook that is read. A page of plots is about one megabyte."""

_MOST_FILES = 1_000
_NOTEBOOK = "the notebook"
_SECOND_ENDINGS = (".ipynb.txt", ".ipynb.json")


class Quarantined(Exception):
    """A submission that cannot be graded; the message says why, and what a person can do about it."""


@dataclass(frozen=True)
class Submission:
    """One student's folder for one unit.

    Attributes:
        student: the name of the student's folder; where that holds signs that cannot be trusted in a database, a
            page or a terminal, the name as :func:`~autograder.plain_text.unmistakable` writes it.
    """

    student: str
    folder: Path


def find_submissions(submitted: Path, unit: str) -> tuple[Submission, ...]:
    """The folders ``<student>/<unit>`` under ``submitted``, by student; hidden folders are no students."""
    students = sorted(entry for entry in submitted.iterdir() if not entry.name.startswith("."))
    found = (Submission(unmistakable(student.name), student / unit) for student in students)
    return tuple(submission for submission in found if _may_exist(submission.folder))


def _may_exist(folder: Path) -> bool:
    """Whether something is there, or we are not let near enough to know."""
    try:
        folder.lstat()
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
    return True


def notebook_file(submission: Submission, unit: str) -> tuple[Path, tuple[str, ...]]:
    """The notebook to grade in a submission's folder, and flags about what was passed over.

    Raises:
        Quarantined: the folder cannot be read, holds no notebook, or several of which none carries the unit's name;
            or the student's folder has a name that cannot be a student's.
    """
    _require_name(submission)
    try:
        _require_real_folder(submission.folder)
        entries = sorted(itertools.islice(submission.folder.iterdir(), _MOST_FILES + 1))
    except OSError as error:
        raise Quarantined(f"the folder cannot be read: {os.strerror(error.errno)}; check its permissions") from None
    if len(entries) > _MOST_FILES:
        raise Quarantined(f"the folder holds more than {_MOST_FILES} files: leave the notebook in it, and grade again")
    visible = [path for path in entries if not path.name.startswith(".")]
    notebooks = [path for path in visible if path.suffix.lower() == ".ipynb"]
    if not notebooks:
        return _with_a_second_ending(unit, visible)
    if len(notebooks) == 1:
        return notebooks[0], ()
    return _named_after(unit, notebooks)


def _with_a_second_ending(unit: str, files: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """The one file that a browser or an editor has made ``.ipynb.txt`` or ``.ipynb.json`` of."""
    renamed = [path for path in files if path.name.lower().endswith(_SECOND_ENDINGS)]
    if len(renamed) == 1:
        return renamed[0], (f"the notebook's file was called {printable(renamed[0].name)}",)
    there = f"; there is only {', '.join(printable(path.name) for path in files[:4])}" if files else ""
    raise Quarantined(
        f"no notebook: the folder should hold {unit}.ipynb{there}; put it there, or ask for it to be handed in again"
    )


def _require_name(submission: Submission) -> None:
    if submission.student != submission.folder.parent.name:
        raise Quarantined(
            "the student's folder has a name that is too long or holds signs that no name needs (control characters, "
            "quotes, angle brackets, bytes that are no text): rename it, and grade again"
        )


def _named_after(unit: str, notebooks: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    right = [path for path in notebooks if path.stem == unit]
    others = [printable(path.name) for path in notebooks if path.stem != unit]
    if not right:
        raise Quarantined(
            f"{len(others)} notebooks and none is called {unit}.ipynb ({', '.join(others[:4])}): "
            f"rename the one that counts to {unit}.ipynb and grade again"
        )
    return right[0], (f"other notebooks in the folder were not graded: {', '.join(others[:4])}",)


def _require_real_folder(folder: Path) -> None:
    if folder.parent.is_symlink() or folder.is_symlink():
        raise Quarantined("the folder is a symbolic link: replace it by a folder with a copy of the notebook")
    if not folder.is_dir():
        raise Quarantined("a file stands where the unit's folder should be: put the notebook into a folder")


def read_once(path: Path, what: str = _NOTEBOOK, most: int = MAX_BYTES) -> bytes:
    """The bytes of a submitted file, read once, so that what is hashed is what is graded.

    Args:
        what: what the file is called in a reason.
        most: the size in bytes up to which it is read.

    Raises:
        Quarantined: the file is a symbolic link, no regular file, too large, or cannot be read.
    """
    descriptor = _open(path, what)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Quarantined(f"{what} is no regular file: replace it by the file itself")
        _require_moderate_size(status.st_size, what, most)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(most + 1)
    finally:
        os.close(descriptor)
    _require_moderate_size(len(data), what, most)
    return data


def _open(path: Path, what: str) -> int:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for somebody to write into it.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Quarantined(f"{what} is a symbolic link: replace it by the file itself") from None
        raise Quarantined(f"{what} cannot be opened: {os.strerror(error.errno)}; check its permissions") from None


def _require_moderate_size(size: int, what: str, most: int) -> None:
    if size > most:
        remedy = ": clear its outputs, save, and hand it in again" if what == _NOTEBOOK else ""
        raise Quarantined(
            f"{what} has {size / 2**20:.3g} MB, more than the {most / 2**20:.3g} MB that are read{remedy}"
        )
