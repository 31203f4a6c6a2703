"""What this machine offers for grading: the sandbox, its limits, cores and memory, versions."""

from __future__ import annotations

import os
import platform
from dataclasses import fields
from importlib.metadata import version

from autograder.sandbox.bubblewrap import SandboxUnavailable, require_sandbox
from autograder.sandbox.cgroups import NoGroup, in_force
from autograder.sandbox.kinds import DEFAULT_KIND, SandboxKind
from autograder.sandbox.limits import DEFAULT_LIMITS
from autograder.sandbox.seccomp import system_call_filter
from autograder.sandbox.warden import LOOKS_PER_SECOND
from autograder.sandbox.warm_starts import starts_in_force

__all__ = ["examine", "memory_in_force", "system_calls_in_force"]

_PACKAGES = ("torch", "numpy", "nbgrader", "nbformat", "jupyterlab")


def examine() -> tuple[str, ...]:
    """Print what was found, one line each; returns what stands in the way of grading."""
    problems = _sandbox_problems()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    findings = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GiB of memory",
        "python": platform.python_version() + "".join(f", {name} {version(name)}" for name in _PACKAGES),
        "sandbox": problems[0] if problems else "bubblewrap works: no network, no course files, user 65534",
        "starts": starts_in_force(),
        "system calls": system_calls_in_force(),
        "memory, processes": memory_in_force(),
        **{f"limit: {field.name.replace('_', ' ')}": _amount(field.name) for field in fields(DEFAULT_LIMITS)},
    }
    width = max(map(len, findings))
    for name, finding in findings.items():
        print(f"{name.ljust(width)}  {finding}")
    return problems


def memory_in_force(kind: SandboxKind = DEFAULT_KIND) -> str:
    """By what the limits on memory and processes are kept here, and what would be better."""
    if kind == "container":
        return "docker or podman: the kernel counts all that a container takes"
    if kind == "none":
        return f"rlimits, and the watchdog {LOOKS_PER_SECOND} times a second"
    try:
        return f"control groups {in_force()}: the kernel counts all that a sandbox takes; the watchdog looks as well"
    except NoGroup as reason:
        return f"rlimits, and the watchdog {LOOKS_PER_SECOND} times a second; no control groups ({reason})"


def system_calls_in_force() -> str:
    """Whether system calls are filtered on this machine."""
    if system_call_filter():
        return "filtered: nothing that makes memory of nobody's, traces processes, mounts, or loads into the kernel"
    return f"NOT filtered: the filter is not written for {platform.machine()}, only for x86_64 and aarch64"


def _sandbox_problems() -> tuple[str, ...]:
    try:
        require_sandbox()
    except SandboxUnavailable as trouble:
        return (str(trouble),)
    return ()


def _amount(name: str) -> str:
    value = getattr(DEFAULT_LIMITS, name)
    return f"{value / 2**20:g} MiB" if name.endswith("_bytes") else f"{value:g}"
