"""Describes the program that runs in a sandbox: its files, and the limits that it sets for itself."""

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
"""The program that runs one notebook; its only argument is the limits as JSON."""
WARM = (sys.executable, str(_FOLDER / "warm_interpreter.py"))
"""The command of the warm interpreter: it runs no notebook, but forks processes that do."""
FORKING = (sys.executable, str(_FOLDER / "forking.py"))
"""A command that forks processes that do nothing, to try whether forking works."""
PYTHON_PATH = (str(_EDITION),)


def program_files() -> list[Mount]:
    return [Mount(path, _FOLDER / path.name) for path in sorted(_INSIDE.glob("*.py")) if path.name != "__init__.py"]


def program_mounts(edition: Path) -> list[Mount]:
    """The program's files, and the student edition of the library."""
    return [*program_files(), Mount(edition / "avae_lib", _EDITION / "avae_lib")]


def kernel_limits(limits: Limits) -> dict[str, int]:
    """The limits that a process can set for itself, which the kernel then enforces."""
    names = ("memory_bytes", "cpu_seconds", "processes", "open_files", "file_bytes")
    wanted = {name: getattr(limits, name) for name in names}
    if _kernel_version() < (5, 14):  # older kernels also count what the same user runs outside the sandbox
        del wanted["processes"]
    return wanted


def _kernel_version() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
