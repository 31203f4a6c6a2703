"""Reads a submitted file once, and only if it is a regular file of moderate size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["MAX_BYTES", "Quarantined", "read_once"]

MAX_BYTES = 20 * 2**20
"""Maximum size of a notebook. A page of plots is about one megabyte."""

_NOTEBOOK = "the notebook"
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Quarantined(Exception):
    """A submission cannot be graded; the message says why, and what to do about it."""


def read_once(path: Path, what: str = _NOTEBOOK, most: int = MAX_BYTES) -> bytes:
    """The bytes of a submitted file, read once, so that the same bytes are hashed and graded.

    Args:
        path: the file.
        what: the file's name in messages.
        most: maximum size in bytes.

    Raises:
        Quarantined: the file is a symbolic link or not a regular file, is too large, cannot be read, or changed while
            it was read.
    """
    before = _status(path, what)
    _require_regular(before, what)  # checked before opening, because opening a device can have effects
    _require_moderate_size(before.st_size, what, most)
    descriptor = _open(path, what)
    try:
        opened = os.fstat(descriptor)
        _require_regular(opened, what)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(most + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    _require_moderate_size(len(data), what, most)
    if not _is_same(before, opened, after, _status(path, what)) or len(data) != after.st_size:
        raise Quarantined(f"{what} changed while it was read: grade again when nobody is copying or editing it")
    return data


def _status(path: Path, what: str) -> os.stat_result:
    try:
        return path.lstat()
    except OSError as error:
        raise Quarantined(_cannot_be_opened(what, error)) from None


def _open(path: Path, what: str) -> int:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Quarantined(_is_a_link(what)) from None
        raise Quarantined(_cannot_be_opened(what, error)) from None


def _cannot_be_opened(what: str, error: OSError) -> str:
    return f"{what} cannot be opened: {error.strerror}; check its permissions"


def _is_a_link(what: str) -> str:
    return f"{what} is a symbolic link: replace it with the file itself"


def _require_regular(status: os.stat_result, what: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise Quarantined(_is_a_link(what))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise Quarantined(f"{what} is not a regular file but {kind}: replace it with the file itself")


def _is_same(*looks: os.stat_result) -> bool:
    """Whether several looks at a path saw the same file with the same content."""
    return len({(look.st_dev, look.st_ino, look.st_size, look.st_mtime_ns) for look in looks}) == 1


def _require_moderate_size(size: int, what: str, most: int) -> None:
    if size > most:
        remedy = ": clear its outputs, save, and hand it in again" if what == _NOTEBOOK else ""
        raise Quarantined(f"{what} has {_in_words(size)}, more than the limit of {_in_words(most)}{remedy}")


def _in_words(size: int) -> str:
    unit, name = next((unit, name) for unit, name in ((2**30, "GB"), (2**20, "MB"), (1, "bytes")) if size >= unit)
    return f"{size / unit:.3g} {name}" if unit > 1 else f"{size} {name}"
