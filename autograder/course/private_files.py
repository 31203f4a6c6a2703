"""Writes files that only their owner can read: grades, submitted work, pages about students.

A file is written under another name and moved into place once it is on the disk, so that readers see either the new
file or the old one, each complete.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["private_folder", "write_private"]


def private_folder(path: Path) -> Path:
    """Return the folder; it and missing folders above it are made for their owner only (mode 0700)."""
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, content: bytes | str) -> Path:
    """Write a file for its owner only (mode 0600) in one piece; text as UTF-8.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     oct(write_private(Path(folder) / "exports" / "grades.csv", "id,points").stat().st_mode)
        '0o100600'
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    draft = private_folder(path.parent) / f".{path.name[:100]}.{os.getpid()}.draft"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path
