"""Submissions on disk: who handed something in, which file counts, and its bytes. Nothing is believed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MAX_BYTES", "Quarantined", "Submission", "find_submissions", "notebook_file", "printable", "read_once"]

MAX_BYTES = 20 * 2**20
"""The largest notebook that is read. A page of plots is about one megabyte."""


class Quarantined(Exception):
    """A submission that cannot be graded; the message says why, and what a person can do about it."""


@dataclass(frozen=True)
class Submission:
    """One student's folder for one unit."""

    student: str
    folder: Path


def find_submissions(submitted: Path, unit: str) -> tuple[Submission, ...]:
    """The folders ``<student>/<unit>`` under ``submitted``, by student; hidden folders are no students."""
    students = sorted(entry for entry in submitted.iterdir() if not entry.name.startswith("."))
    found = (Submission(_readable_name(student), student / unit) for student in students)
    return tuple(submission for submission in found if os.path.lexists(submission.folder))


def notebook_file(submission: Submission, unit: str) -> tuple[Path, tuple[str, ...]]:
    """The notebook to grade in a submission's folder, and flags about what was passed over.

    Raises:
        Quarantined: the folder holds no notebook, or several of which none carries the unit's name.
    """
    _require_real_folder(submission.folder)
    notebooks = sorted(
        path for path in submission.folder.iterdir() if path.suffix == ".ipynb" and not path.name.startswith(".")
    )
    if not notebooks:
        raise Quarantined(f"no notebook: the folder should hold {unit}.ipynb; ask for it to be handed in again")
    if len(notebooks) == 1:
        return notebooks[0], ()
    return _named_after(unit, notebooks)


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


def read_once(path: Path) -> bytes:
    """The bytes of a notebook file, read once, so that what is hashed is what is graded.

    Raises:
        Quarantined: the file is a symbolic link, no regular file, too large, or cannot be read.
    """
    descriptor = _open(path)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Quarantined("the notebook is no regular file: replace it by the notebook itself")
        _require_moderate_size(status.st_size)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    _require_moderate_size(len(data))
    return data


def _open(path: Path) -> int:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for somebody to write into it.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Quarantined("the notebook is a symbolic link: replace it by the notebook itself") from None
        raise Quarantined(f"the notebook cannot be opened: {os.strerror(error.errno)}; check its permissions") from None


def _require_moderate_size(size: int) -> None:
    if size > MAX_BYTES:
        raise Quarantined(
            f"the notebook has {size / 2**20:.0f} MB, more than the {MAX_BYTES // 2**20} MB that are read: "
            "clear its outputs, save, and hand it in again"
        )


def printable(text: str, longest: int = 80) -> str:
    """Text from a student's file, fit for one line of a terminal, a log or a page."""
    text = "".join(character if character.isprintable() else "·" for character in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _readable_name(folder: Path) -> str:
    # A file name may hold bytes that are no UTF-8; JSON, SQLite and terminals refuse those.
    return os.fsencode(folder.name).decode("utf-8", "replace")
