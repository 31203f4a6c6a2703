"""Makes processes end with the one that started them, and close their files on SIGTERM."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

__all__ = ["die_with", "exit_when_told"]

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Make the kernel kill this process when the thread that started it ends, even if that thread is killed.

    Args:
        parent: id of the process that started this one; if it has ended already, this process exits at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def exit_when_told() -> None:
    """Make SIGTERM end this process like ``sys.exit``, so that ``finally`` blocks and context managers run."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _: Any) -> None:
    raise SystemExit(128 + number)
