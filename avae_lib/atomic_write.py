"""Replace files in one piece: a reader sees the earlier file or the whole new one, even if the program is killed."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

__all__ = ["move_into_place", "named_in_errors", "write_atomically"]


def write_atomically(path: Path, content: bytes | str | Callable[[BinaryIO], object], mode: int = 0o666) -> Path:
    """Write a draft beside ``path``, flush it to the disk, and give it the name ``path``.

    If anything fails, the draft is removed and the earlier file stays. The folder must exist.

    Args:
        content: bytes; text, written as UTF-8; or a function that writes into the open draft.
        mode: permissions of the file, less what the process's umask takes away.

    Returns:
        ``path``.

    Raises:
        OSError: the draft cannot be written or moved; its ``filename`` is set.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_atomically(Path(folder) / "notes.txt", "τ = 1\\n")
        ...     path.read_bytes(), [file.name for file in Path(folder).iterdir()]
        (b'\\xcf\\x84 = 1\\n', ['notes.txt'])
    """
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}.partial")
    try:
        with named_in_errors(path), _opened(draft, mode) as file:
            if callable(content):
                file.have_written_by(content)
            else:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
        move_into_place(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Let an OSError that leaves the ``with`` block name ``path``: the system names no file when a write fails.

    >>> try:
    ...     with named_in_errors(Path("notes.txt")):
    ...         raise OSError(28, "No space left on device")
    ... except OSError as problem:
    ...     print(problem)
    [Errno 28] No space left on device: 'notes.txt'
    """
    try:
        yield
    except OSError as problem:
        if problem.filename is None and problem.errno is not None:
            problem.filename = str(path)
        raise


class _Draft(io.BufferedWriter):
    """A file that remembers why a write failed: PyTorch's writer replaces the reason by an error of its own."""

    _problem: OSError | None = None

    def write(self, buffer: Any) -> int:
        try:
            return super().write(buffer)
        except OSError as problem:
            self._problem = problem
            raise

    def have_written_by(self, content: Callable[[BinaryIO], object]) -> None:
        try:
            content(cast(BinaryIO, self))
        except Exception as problem:
            if self._problem is not None and not isinstance(problem, OSError):
                raise self._problem from problem
            raise


def _opened(draft: Path, mode: int) -> _Draft:
    return _Draft(io.FileIO(draft, "wb", opener=lambda name, flags: os.open(name, flags | _NEVER_THROUGH_LINKS, mode)))


def move_into_place(draft: Path, path: Path) -> None:
    """Flush ``draft`` to the disk, then give it the name ``path``, in place of any earlier file of that name.

    Raises:
        OSError: the file cannot be moved, for example to another disk.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draft, path = Path(folder, "draft"), Path(folder, "notes.txt")
    ...     _ = draft.write_text("τ = 1", encoding="utf-8")
    ...     move_into_place(draft, path)
    ...     draft.exists(), path.exists()
    (False, True)
    """
    with named_in_errors(path):
        with draft.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)


_NEVER_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has no such flag
