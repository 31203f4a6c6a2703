"""A lock on a course, so that only one command at a time writes its gradebook and results.

It is a POSIX record lock on the file ``.course/lock``. The kernel releases it when the process that holds it ends, for
whatever reason; forked processes do not share it. The text in the file only says who holds it. In a network folder it
works between machines if the file system supports such locks: NFS does unless it is mounted with ``nolock``; several
FUSE file systems do not.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from autograder.course.course import Course, CourseError

__all__ = ["course_lock"]

_LONGEST_NOTE = 1_000  # bytes
_held: set[tuple[int, Path]] = set()


@contextmanager
def course_lock(course: Course, command: str) -> Iterator[None]:
    """Lock the course while a command changes its gradebook or results; a command may lock it more than once.

    Args:
        command: the command that locks it, as a person would type it: ``course grade 03_vae``.

    Raises:
        CourseError: another process has locked it; the message says which, since when, and what to do.

    For instance::

        with course_lock(course, "course forget ada"):
            remove_results(course, "ada")
    """
    path = course.records.resolve() / "lock"
    mark = (os.getpid(), path)
    if mark in _held:
        yield
        return
    with ExitStack() as stack:
        descriptor = _opened(path)
        stack.callback(os.close, descriptor)
        _lock(descriptor, path)
        _write_note(descriptor, command)
        stack.callback(os.ftruncate, descriptor, 0)
        _held.add(mark)
        stack.callback(_held.discard, mark)
        yield


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as trouble:
        raise CourseError(f"{path} cannot be opened ({trouble.strerror}): check its permissions") from None


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise CourseError(_refusal(_note(descriptor), path)) from None
    except OSError as trouble:  # a file system without locks; grading can go on
        print(
            f"course: warning: {path} cannot be locked ({trouble.strerror}): make sure that nobody else runs a "
            "command on this course at the same time",
            file=sys.stderr,
        )


def _write_note(descriptor: int, command: str) -> None:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
    note = {"command": command, "process": os.getpid(), "machine": socket.gethostname(), "since": since}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _note(descriptor: int) -> Mapping[str, object]:
    """The note that the lock's holder wrote about itself; empty if it has not written one yet."""
    try:
        note = json.loads(os.pread(descriptor, _LONGEST_NOTE, 0))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _refusal(note: Mapping[str, object], path: Path) -> str:
    if not note:
        return f"another command is working on this course ({path} is locked): wait until it has finished"
    process = note.get("process")
    elsewhere = "" if note.get("machine") == socket.gethostname() else f" on {note.get('machine')}"
    return (
        f"{note.get('command')} has been working on this course since {note.get('since')} "
        f"(process {process}{elsewhere}): wait until it has finished, or end it with kill {process}{elsewhere}"
    )
