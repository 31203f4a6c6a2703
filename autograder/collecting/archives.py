"""Reads the files of a download, which is a zip archive or a folder, under safe names and within limits.

A zip archive states the unpacked size of each file, and Python's reader stops there. So all limits are checked against
the stated sizes, before anything is unpacked. Times in an archive are not used: Canvas and Moodle write the time of the
download, other programs the time of the last change; none writes the time of handing in.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import IO

from autograder.course.course import CourseError
from autograder.plain_text import printable

__all__ = ["Download", "Entry", "LeftOut", "common_folder", "foreign_archive", "opened_download", "unpacked"]

_MOST_FILES = 50_000
_MOST_BYTES = 16 * 2**30
_LARGEST_FILE = 256 * 2**20
_LARGEST_RATIO = 200
_SMALL = 2**20  # bytes; smaller files may have any compression ratio
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_ENCRYPTED, _UTF8 = 0x1, 0x800  # flags of a file in a zip archive
_UNICODE_PATH = 0x7075  # the field in which Info-ZIP stores a name as UTF-8
# Files that macOS, Windows, Jupyter and version control add.
_LITTER = re.compile(
    r"__MACOSX|\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|\.ipynb_checkpoints|\.git|__pycache__", re.IGNORECASE
)
_FOREIGN = {
    b"Rar!\x1a\x07": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
}


@dataclass(frozen=True)
class Entry:
    """A file of a download.

    Attributes:
        path: relative path with slashes, without ``..``, in composed letters.
        size: unpacked size in bytes.
        opened: opens the file for reading.
    """

    path: str
    size: int
    opened: Callable[[], IO[bytes]] = field(repr=False, compare=False)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.path.split("/"))

    @property
    def name(self) -> str:
        return self.parts[-1]

    def read(self) -> bytes:
        with self.opened() as file:
            return file.read()


@dataclass(frozen=True)
class LeftOut:
    """A file that was not used, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{printable(self.path, 120)}: {self.reason}"


@dataclass(frozen=True)
class Download:
    """The files of a download, and those that were left out."""

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...] = ()


class _Unusable(Exception):
    """A file must be left out; the message says why."""


def foreign_archive(start: bytes) -> str:
    """The kind of an unsupported archive (RAR, 7z, …), recognised by its first bytes; empty for any other file."""
    return next((kind for magic, kind in _FOREIGN.items() if start.startswith(magic)), "")


@contextmanager
def opened_download(path: Path) -> Iterator[Download]:
    """A context with the files of a zip archive or a folder; a folder that contains only a zip archive is that archive.

    Raises:
        CourseError: it is neither, it is damaged, or it contains more than a class can have handed in.
    """
    if path.is_dir():
        inside = [entry for entry in path.iterdir() if not _LITTER.fullmatch(entry.name)]
        if not (len(inside) == 1 and inside[0].suffix.lower() == ".zip" and inside[0].is_file()):
            yield _of_folder(path)
            return
        path = inside[0]
    with _archive(path) as archive:
        yield _of_archive(archive, str(path), _MOST_BYTES)


def unpacked(entry: Entry) -> Download:
    """The files of a zip archive that a student handed in.

    Raises:
        CourseError: it is damaged or too large; the message says so in a few words.
    """
    try:
        return _of_archive(zipfile.ZipFile(io.BytesIO(entry.read())), "the zip archive", _LARGEST_FILE)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, RuntimeError) as trouble:
        raise CourseError(f"the zip archive is damaged ({trouble})") from None


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as trouble:
        raise CourseError(f"{path} cannot be read: {trouble.strerror}") from None
    if kind := foreign_archive(start):
        raise CourseError(f"{path} is a {kind} archive, which is not supported: unpack it, and collect the folder")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise CourseError(f"{path} is not a zip archive, or is damaged: download it again") from None
    with archive:
        yield archive


def _of_archive(archive: zipfile.ZipFile, called: str, most_bytes: int) -> Download:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > _MOST_FILES:
        raise CourseError(f"{called} contains {len(members)} files, more than the limit of {_MOST_FILES}")
    found: dict[str, Entry] = {}
    left_out = []
    for member in members:
        name = _name(member)
        try:
            entry = _entry(archive, member, name)
        except _Unusable as trouble:
            left_out.append(LeftOut(name, str(trouble)))
            continue
        if entry is not None and entry.path in found:
            left_out.append(LeftOut(name, "is in the archive twice: the later one counts"))
        if entry is not None:
            found[entry.path] = entry
    if sum(entry.size for entry in found.values()) > most_bytes:
        raise CourseError(
            f"{called} would unpack to more than the limit of {most_bytes / 2**30:.3g} GB: check the file"
        )
    return Download(tuple(found.values()), tuple(left_out))


def _entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Entry | None:
    path = _safe_path(name)
    if path is None:
        return None
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _Unusable("a symbolic link")
    if member.flag_bits & _ENCRYPTED:
        raise _Unusable("encrypted: ask for it without a password")
    if member.compress_type not in _READABLE:
        raise _Unusable("compressed with an unsupported method: pack it again as an ordinary zip archive")
    _require_moderate(member.file_size, member.compress_size)
    return Entry(path, member.file_size, lambda: archive.open(member))


def _require_moderate(size: int, packed: int) -> None:
    if size > _LARGEST_FILE:
        raise _Unusable(f"{size / 2**20:.0f} MB, more than the limit of {_LARGEST_FILE // 2**20} MB")
    if size > _SMALL and size > _LARGEST_RATIO * packed:
        raise _Unusable(f"unpacks from {packed} bytes to {size / 2**20:.0f} MB, which looks like a zip bomb")


def _name(member: zipfile.ZipInfo) -> str:
    """The name of a file in an archive, decoded.

    A flag says whether a name is UTF-8. Without the flag it should be in code page 437, and Python decodes it so; but
    macOS and Moodle write UTF-8 without the flag.
    """
    if member.flag_bits & _UTF8:
        return member.filename
    if name := _name_beside(member.extra):
        return name
    try:
        return member.filename.encode("cp437").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return member.filename


def _name_beside(extra: bytes) -> str:
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == _UNICODE_PATH and size > 5:
            return extra[9 : 4 + size].decode("utf-8", errors="replace")
        extra = extra[4 + size :]
    return ""


def _safe_path(name: str) -> str | None:
    """The safe relative path of a file; None for files that a system has added."""
    if "/" not in name:
        name = name.replace("\\", "/")  # some programs on Windows write backslashes
    if name.startswith("/") or re.match(r"[A-Za-z]:[/\\]", name):
        raise _Unusable("its name leads out of the archive")
    parts = [unicodedata.normalize("NFC", part) for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _Unusable("its name leads out of the archive")
    if any(_LITTER.fullmatch(part) for part in parts) or not parts:
        return None
    if any(_has_no_place_in_a_name(character) for part in parts for character in part):
        raise _Unusable("its name contains control characters")
    if any(len(part.encode()) > 250 for part in parts):
        raise _Unusable("its name is too long")
    return "/".join(parts)


def _has_no_place_in_a_name(character: str) -> bool:
    turns = unicodedata.bidirectional(character) in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")
    return turns or unicodedata.category(character) in ("Cc", "Cs")


def _of_folder(folder: Path) -> Download:
    entries, left_out = [], []
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        try:
            entry = _entry_of_file(path, name)
        except _Unusable as trouble:
            left_out.append(LeftOut(name, str(trouble)))
            continue
        if entry is not None:
            entries.append(entry)
        if len(entries) > _MOST_FILES:
            raise CourseError(f"{folder} contains more than {_MOST_FILES} files: check that it is the download")
    return Download(tuple(entries), tuple(left_out))


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        yield from (Path(root) / name for name in sorted([*files, *links]))


def _entry_of_file(path: Path, name: str) -> Entry | None:
    safe = _safe_path(name)
    if safe is None:
        return None
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _Unusable("a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a regular file")
    _require_moderate(status.st_size, status.st_size)
    return Entry(safe, status.st_size, lambda: _opened_file(path))


def _opened_file(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def common_folder(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The folders that contain all entries."""
    levels = zip(*(entry.parts[:-1] for entry in entries), strict=False)
    return tuple(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels))
