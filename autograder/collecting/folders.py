"""Replaces students' folders in ``submitted/`` as a whole, so that each always contains one complete submission."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from autograder.collecting.contents import Contents
from autograder.collecting.lms_times import in_nbgraders_words
from autograder.course.private_files import private_folder, write_private

__all__ = ["TIMESTAMP", "digest_of", "put", "set_aside", "stage", "write_moment", "written_moment"]

TIMESTAMP = "timestamp.txt"
_CHUNK = 2**20


def stage(folder: Path, contents: Contents) -> str:
    """Unpack work into a new folder and return its digest.

    Raises:
        OSError, zipfile.BadZipFile, …: a file cannot be unpacked.
    """
    private_folder(folder)
    for name, entry in contents.files.items():
        path = folder / name
        private_folder(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, entry.opened() as source:
            shutil.copyfileobj(source, file, _CHUNK)
    return digest_of(folder)


def digest_of(folder: Path) -> str:
    """A digest of the names and contents of all files in a folder, without the time of handing in."""
    digest = hashlib.sha256()
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if name != TIMESTAMP:
            digest.update(f"{len(name.encode('utf-8', 'surrogateescape'))}:".encode())
            digest.update(name.encode("utf-8", "surrogateescape"))
            digest.update(_digest_of_file(path))
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    found = (Path(root) / name for root, folders, files in os.walk(folder) for name in _and_links(root, folders, files))
    return iter(sorted(found))


def _and_links(root: str, folders: list[str], files: list[str]) -> list[str]:
    return [*files, *(name for name in folders if os.path.islink(os.path.join(root, name)))]


def _digest_of_file(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        return hashlib.sha256(f"{'link' if path.is_symlink() else 'no file'}".encode()).digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def put(staged: Path, place: Path, otherwise: Path | None = None) -> None:
    """Move unpacked work to a student's folder, which must not exist.

    Args:
        staged: the folder with the unpacked work.
        place: the student's folder for the unit.
        otherwise: the folder with the work that was there before; it is moved back if the move fails.
    """
    private_folder(place.parent)
    try:
        os.rename(staged, place)
    except OSError:
        if otherwise is not None:
            shutil.move(otherwise, place)
        raise


def set_aside(place: Path, folder: Path) -> Path:
    """Move work into a folder for earlier work, under a free name, and return its path."""
    private_folder(folder.parent)
    free = next(path for path in _names(folder) if not path.exists())
    shutil.move(place, free)
    return free


def _names(folder: Path) -> Iterator[Path]:
    yield folder
    number = 2
    while True:
        yield folder.with_name(f"{folder.name}-{number}")
        number += 1


def write_moment(folder: Path, when: datetime | None) -> None:
    """Write the time of handing in like nbgrader; write nothing if it is unknown."""
    if when is not None:
        write_private(folder / TIMESTAMP, in_nbgraders_words(when))


def written_moment(folder: Path) -> str:
    """The text of a folder's time of handing in; empty if there is none."""
    path = folder / TIMESTAMP
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 200:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")
