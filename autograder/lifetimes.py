"""Processes that do not outlive the one that started them, and that tidy up when they are told to stop."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

__all__ = ["die_with", "exit_when_told"]

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends, even if that is killed itself.

    Args:
        parent: the process that started this one; if it is gone already, this one ends here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def exit_when_told() -> None:
    """Let SIGTERM end this process as ``sys.exit`` would, so that what is open is closed on the way."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _: Any) -> None:
    raise SystemExit(128 + number)
