"""Errors meant for people: what both programs show as one line, and with which exit status they then end.

Any other exception that leaves a command is a fault of the program and shows a traceback.
"""

from __future__ import annotations

import errno
from typing import ClassVar

__all__ = ["InvalidInput", "UserError", "one_line"]


_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)  # nothing left of the disk, or of the user's share


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
    >>> one_line(OSError(28, "No space left on device", "weights.th"))
    'cannot write weights.th: No space left on device. Free some space there and run the same command again, or ...'
    """
    if isinstance(error, OSError) and error.errno in _DISK_IS_FULL:
        place = "" if error.filename is None else f"cannot write {error.filename}: "
        return f"{place}{error.strerror}. Free some space there and run the same command again, or choose another disk"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: {error.strerror}"
    return str(error).replace(":\n  ", ": ").replace("\n  ", "; ").replace("\n", " ")
