"""The program that runs in a sandbox: what of the grader is mounted there, and the limits that it puts on itself."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount

__all__ = ["FORKING", "PROGRAM", "PYTHON_PATH", "WARM", "kernel_limits", "program_files", "program_mounts"]

_INSIDE = Path(__file__).parent / "inside"
_FOLDER = Path("/sandbox")
_EDITION = Path("/edition")

PROGRAM = str(_FOLDER / "cells.py")
"""Runs one notebook; takes its limits, as JSON, for its one argument."""
WARM = (sys.executable, str(_FOLDER / "warm_interpreter.py"))
"""Runs no notebook, but forks processes that do, when it is told to over its standard input."""
FORKING = (sys.executable, str(_FOLDER / "forking.py"))
"""Forks as well, but processes that do nothing."""
PYTHON_PATH = (str(_EDITION),)


def program_files() -> list[Mount]:
    return [Mount(path, _FOLDER / path.name) for path in sorted(_INSIDE.glob("*.py")) if path.name != "__init__.py"]


def program_mounts(edition: Path) -> list[Mount]:
    """The program's files, and the student edition of the library."""
    return [*program_files(), Mount(edition / "avae_lib", _EDITION / "avae_lib")]


def kernel_limits(limits: Limits) -> dict[str, int]:
    """Those limits that a process can have the kernel put on itself."""
    names = ("memory_bytes", "cpu_seconds", "processes", "open_files", "file_bytes")
    wanted = {name: getattr(limits, name) for name in names}
    if _kernel_version() < (5, 14):  # it counts what the same user runs outside the sandbox too
        del wanted["processes"]
    return wanted


def _kernel_version() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
