"""The kinds of sandbox in which students' code can run. The grader never replaces one kind by another.

``bubblewrap`` is the default. If it is not available (macOS, a machine that forbids user namespaces), an instructor
can ask for a ``container`` of docker or podman, with the same limits, or for ``none``, which protects nothing and warns
each time.
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
    """The part of :class:`subprocess.Popen` that a session needs of a sandbox."""

    pid: int

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def stderr(self) -> IO[bytes] | None: ...

    def kill(self) -> None:
        """Kill everything in the sandbox."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status, or 128 plus the signal's number if a signal ended it."""
        ...


def require_kind(kind: SandboxKind) -> None:
    """Check that this machine can run a kind of sandbox.

    Raises:
        SandboxUnavailable: it cannot; the message says what is missing and what the choices are.
    """
    if sys.platform == "win32":
        raise SandboxUnavailable("grading does not run on Windows itself: run it in WSL 2, where bubblewrap works")
    {"bubblewrap": require_sandbox, "container": require_container, "none": require_ordinary_user}[kind]()


def warning_about(kind: SandboxKind) -> str:
    """The warning for an instructor who asks for this kind; empty if there is none."""
    return WARNING if kind == "none" else ""


def flags_about(kind: SandboxKind) -> tuple[str, ...]:
    """The flags that every submission graded in this kind of sandbox gets."""
    return ("graded without a sandbox: its code could have read the solutions",) if kind == "none" else ()


def launch_other(
    kind: SandboxKind, program: Sequence[str], mounts: Sequence[Mount], python_path: Sequence[str], limits: Limits
) -> SandboxProcess:
    """Start a Python program in another kind of sandbox than bubblewrap's.

    Args:
        program: the path of the program's file inside, and its arguments.
        mounts: the grader's files that it needs.
        python_path: folders among these that imports search first.

    Raises:
        SandboxUnavailable: the program cannot be started.
    """
    return {"container": launch_container, "none": launch_unconfined}[kind](program, mounts, python_path, limits)
