"""Write so that a kill or a full disk harms nothing: files are replaced in one piece, and lines are added whole."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

__all__ = ["append_line", "move_into_place", "named_in_errors", "remove_abandoned_drafts", "write_atomically"]

_DRAFT = re.compile(r"\..*\.(\d{1,9})\.partial", re.DOTALL)


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
        with named_in_errors(path, draft), _opened(draft, mode) as file:
            if callable(content):
                file.have_written_by(content)
            else:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
        move_into_place(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def append_line(path: Path, line: str) -> None:
    """Add a line at the end of a text file; the file is made if there is none.

    If a kill or a full disk has left the last line unfinished, it is ended first, so that only that line is lost.

    Raises:
        OSError: the file cannot be written; its ``filename`` is set.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "notes.txt")
    ...     _ = path.write_text("τ = 1\\nτ =", encoding="utf-8")
    ...     append_line(path, "τ = 2")
    ...     path.read_text(encoding="utf-8").splitlines()
    ['τ = 1', 'τ =', 'τ = 2']
    """
    with named_in_errors(path), path.open("a+b") as file:
        is_unfinished = False
        if file.tell():
            file.seek(-1, os.SEEK_END)
            is_unfinished = file.read(1) != b"\n"
        file.write(b"\n" * is_unfinished + line.encode("utf-8") + b"\n")


def remove_abandoned_drafts(folder: Path) -> None:
    """Remove the drafts in a folder that a killed program left half written; those of running programs stay.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for writer in (os.getpid(), 999_999_999):  # no process has such a high number
    ...         Path(folder, f".notes.txt.{writer}.partial").touch()
    ...     remove_abandoned_drafts(Path(folder))
    ...     len(list(Path(folder).iterdir()))
    1
    """
    for file in folder.glob(".*.partial"):
        named = _DRAFT.fullmatch(file.name)
        if named is not None and not _is_running(int(named[1])):
            with contextlib.suppress(OSError):
                file.unlink()


def _is_running(process: int) -> bool:
    """Whether there is a process of this number; on Windows nobody is asked, because asking would end it."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return True


@contextlib.contextmanager
def named_in_errors(path: Path, draft: Path | None = None) -> Iterator[None]:
    """Let an OSError that leaves the ``with`` block name ``path``: the system names no file when a write fails.

    If it names ``draft``, of which the reader knows nothing, ``path`` takes its place.

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
        unnamed = problem.filename is None and problem.errno is not None
        if unnamed or (draft is not None and str(problem.filename) == str(draft)):
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
    with named_in_errors(path, draft):
        with draft.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)


_NEVER_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has no such flag
