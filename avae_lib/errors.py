"""Errors meant for people: what both programs show as one line, and with which exit status they then end.

Any other exception that leaves a command is a fault of the program and shows a traceback.
"""

from __future__ import annotations

import errno
import os
import shlex
from typing import ClassVar

__all__ = ["InvalidInput", "UserError", "disk_is_full", "in_shell", "one_line"]


_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)  # nothing left of the disk, or of the user's share
_REMEDIES = {
    errno.EACCES: "Change the permissions there, or use a copy elsewhere",
    errno.EPERM: "Change the permissions there, or use a copy elsewhere",
    errno.EROFS: "Mount that disk for writing, or copy the folder to another disk and go on with the copy",
}


class UserError(Exception):
    """Something that the person who typed the command can put right: the message says what is wrong and what to do.

    ``avae`` and ``course`` print the message and end with ``exit_status``.

    >>> class NoSuchFlavour(UserError):
    ...     exit_status = 2
    >>> NoSuchFlavour("no flavour is called 'blue': choose up or down").exit_status
    2
    """

    exit_status: ClassVar[int] = 1


class InvalidInput(UserError, ValueError):
    """An argument, option or setting with a value that cannot be used. Libraries catch it as a ``ValueError``."""


def one_line(error: UserError | OSError) -> str:
    """The message of an error as one line; of a file that cannot be used, its name and the system's reason.

    Entries of a list, which a message holds as indented lines, are separated by semicolons:

    >>> one_line(UserError("course.toml has 2 mistakes:\\n  no title\\n  weights of 90 %"))
    'course.toml has 2 mistakes: no title; weights of 90 %'

    >>> one_line(FileNotFoundError(2, "No such file or directory", "weights.th"))
    'cannot use weights.th: No such file or directory'
    >>> one_line(OSError(30, "Read-only file system", "weights.th"))
    'cannot use weights.th: Read-only file system. Mount that disk for writing, or copy the folder to another disk ...'
    >>> one_line(OSError(28, "No space left on device", "weights.th"))
    'cannot write weights.th: No space left on device. Free some space there and run the same command again, or ...'
    """
    if isinstance(error, OSError) and disk_is_full(error):
        place = "" if error.filename is None else f"cannot write {error.filename}: "
        return f"{place}{error.strerror}. Free some space there and run the same command again, or choose another disk"
    if isinstance(error, OSError) and error.filename is not None:
        remedy = f". {_REMEDIES[error.errno]}" if error.errno in _REMEDIES else ""
        return f"cannot use {error.filename}: {error.strerror}{remedy}"
    return str(error).replace(":\n  ", ": ").replace("\n  ", "; ").replace("\n", " ")


def disk_is_full(error: OSError) -> bool:
    """Whether a file could not be written for want of room, which another folder on the same disk would not cure.

    >>> disk_is_full(OSError(errno.ENOSPC, "No space left on device"))
    True
    """
    return error.errno in _DISK_IS_FULL


def in_shell(path: os.PathLike[str] | str) -> str:
    """A path as one types it in a command: quoted where a shell needs it, and never taken for an option.

    >>> print(in_shell("runs/digits-vae"), in_shell("my runs/a"), in_shell("-dash"))
    runs/digits-vae 'my runs/a' ./-dash
    """
    name = os.fspath(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)
