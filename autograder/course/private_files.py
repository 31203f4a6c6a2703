"""Writes files that only their owner can read: grades, submitted work, pages about students."""

from __future__ import annotations

from pathlib import Path

from avae_lib.atomic_write import write_atomically

__all__ = ["private_folder", "write_private"]


def private_folder(path: Path) -> Path:
    """Return the folder; it and missing folders above it are made for their owner only (mode 0700)."""
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, content: bytes | str) -> Path:
    """Write a file atomically, readable by its owner only (mode 0600); text becomes UTF-8.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     oct(write_private(Path(folder) / "exports" / "grades.csv", "id,points").stat().st_mode)
        '0o100600'
    """
    private_folder(path.parent)
    return write_atomically(path, content, mode=0o600)
