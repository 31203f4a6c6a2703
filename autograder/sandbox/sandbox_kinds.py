"""The kinds of place in which students' code can run. Which one it is, is said by name; none stands in for another.

``bubblewrap``, the default, is what :mod:`autograder.sandbox` is about. Where it cannot be had (macOS, a machine that
forbids user namespaces), there is a ``container`` of docker or podman, with the same limits; and ``none``, which
protects nothing, and says so each time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, Literal, Protocol, get_args

from autograder.sandbox.bubblewrap import SandboxUnavailable, require_sandbox
from autograder.sandbox.container import launch_container, require_container
from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount
from autograder.sandbox.unconfined import WARNING, launch_unconfined, require_ordinary_user

__all__ = [
    "DEFAULT_KIND",
    "KINDS",
    "SandboxKind",
    "SandboxProcess",
    "flags_about",
    "launch_other",
    "require_kind",
    "warning_about",
]

SandboxKind = Literal["bubblewrap", "container", "none"]
KINDS: tuple[SandboxKind, ...] = get_args(SandboxKind)
DEFAULT_KIND: SandboxKind = "bubblewrap"


class SandboxProcess(Protocol):
    """What a session needs of a sandbox, as :class:`subprocess.Popen` has it."""

    pid: int

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def stderr(self) -> IO[bytes] | None: ...

    def kill(self) -> None:
        """Kill everything in it."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended; 128 and the signal's number if a signal ended it."""
        ...


def require_kind(kind: SandboxKind) -> None:
    """Find out whether this machine can run a kind of sandbox.

    Raises:
        SandboxUnavailable: it cannot; the message says what is missing, and what the choices are.
    """
    if sys.platform == "win32":
        raise SandboxUnavailable("grading does not run on Windows itself: run it in WSL 2, where bubblewrap works")
    {"bubblewrap": require_sandbox, "container": require_container, "none": require_ordinary_user}[kind]()


def warning_about(kind: SandboxKind) -> str:
    """What an instructor who asks for this kind has to know each time; empty if there is nothing."""
    return WARNING if kind == "none" else ""


def flags_about(kind: SandboxKind) -> tuple[str, ...]:
    """What is noted about every submission that was graded so."""
    return ("graded without a sandbox: its code could have read the solutions",) if kind == "none" else ()


def launch_other(
    kind: SandboxKind, program: Sequence[str], mounts: Sequence[Mount], python_path: Sequence[str], limits: Limits
) -> SandboxProcess:
    """Start a Python program in another place than bubblewrap's.

    Args:
        program: the path of its file, among what is mounted, and its arguments.
        mounts: what it needs of the grader's.
        python_path: folders among these to import from before any other.

    Raises:
        SandboxUnavailable: it cannot be started.
    """
    return {"container": launch_container, "none": launch_unconfined}[kind](program, mounts, python_path, limits)
