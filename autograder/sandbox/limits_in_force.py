"""Says how limits are enforced on this machine, for ``course doctor`` and the audit log."""

from __future__ import annotations

import platform

from autograder.sandbox.bubblewrap import limits_files
from autograder.sandbox.cgroups import NoGroup, in_force
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind
from autograder.sandbox.seccomp import system_call_filter
from autograder.sandbox.watchdog import LOOKS_PER_SECOND

__all__ = ["memory_in_force", "system_calls_in_force"]


def memory_in_force(kind: SandboxKind = DEFAULT_KIND) -> str:
    """How the limits on memory and processes are enforced, and what is missing for better ones."""
    if kind == "container":
        return "docker or podman: the kernel counts all that a container takes"
    watched = f"rlimits, and the watchdog {LOOKS_PER_SECOND} times a second"
    if kind == "none":
        return watched
    files = "" if limits_files() else "; of files in memory, cold starts have no limit but the watchdog's"
    try:
        told = f"control groups {in_force()}: the kernel counts all that a sandbox takes; the watchdog looks as well"
    except NoGroup as reason:
        told = f"{watched}; no control groups ({reason})"
    return told + files


def system_calls_in_force() -> str:
    """Whether system calls are filtered on this machine."""
    if system_call_filter():
        return "filtered: nothing that makes memory of nobody's, holds up or traces others, mounts, extends the kernel"
    return f"NOT filtered: the filter is not written for {platform.machine()}, only for x86_64 and aarch64"
