"""Checks which sandboxes this machine can run, and how their limits are enforced."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from autograder.doctor.findings import Finding
from autograder.sandbox.bubblewrap import SandboxUnavailable, require_sandbox
from autograder.sandbox.cgroups import NoGroup, in_force
from autograder.sandbox.container_image import container_runtime, image_name, require_image
from autograder.sandbox.limits import DEFAULT_LIMITS
from autograder.sandbox.limits_in_force import memory_in_force, system_calls_in_force
from autograder.sandbox.seccomp import system_call_filter
from autograder.sandbox.warm_starts import starts_in_force

__all__ = ["bubblewrap_findings", "container_findings", "trouble_with"]

_SETTINGS = {
    "user/max_user_namespaces": "0",
    "kernel/unprivileged_userns_clone": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
}
"""Kernel settings that forbid user namespaces, with the values that do."""


def trouble_with(require: Callable[[], None]) -> str:
    """Why a kind of sandbox is not available; empty if it is."""
    try:
        require()
    except SandboxUnavailable as trouble:
        return str(trouble)
    return ""


def bubblewrap_findings() -> list[Finding]:
    """Check bubblewrap: whether it starts here, whether the kernel lets it, and how limits are enforced."""
    if trouble := trouble_with(require_sandbox):
        problem, _, choices = trouble.partition("; choices: ")
        return [Finding("bubblewrap", problem, choices or trouble), *_user_namespaces()]
    version = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return [Finding("bubblewrap", f"{version}, works"), *_user_namespaces(), _groups(), _system_calls(), _starts()]


def _user_namespaces() -> list[Finding]:
    if sys.platform != "linux":
        return []
    found = {name: Path("/proc/sys", name) for name in _SETTINGS}
    values = {name: path.read_text().strip() for name, path in found.items() if path.exists()}
    closed = [f"{name.replace('/', '.')}={values[name]}" for name in values if values[name] == _SETTINGS[name]]
    if not closed:
        return [Finding("user namespaces", "allowed for all users")]
    remedy = f"sudo sysctl {' '.join(map(_opened, closed))}, if bubblewrap does not work"
    return [Finding("user namespaces", f"forbidden by {', '.join(closed)}", remedy)]


def _opened(setting: str) -> str:
    name, _, value = setting.partition("=")
    return f"{name}={15000 if name.endswith('max_user_namespaces') else 1 - int(value)}"


def _groups() -> Finding:
    try:
        in_force()
    except NoGroup:
        remedy = "let systemd make groups (systemd-run --user --scope course grade …), or grade as root"
        return Finding("memory, processes", memory_in_force(), remedy)
    return Finding("memory, processes", memory_in_force())


def _system_calls() -> Finding:
    remedy = "" if system_call_filter() else "grade on a machine with one of these processors, if you can"
    return Finding("system calls", system_calls_in_force(), remedy)


def _starts() -> Finding:
    said = starts_in_force()
    is_warm = said.startswith("warm")
    return Finding("starts", said, "" if is_warm else "nothing to do, but grading is several times slower")


def container_findings(is_needed: bool) -> list[Finding]:
    """Findings about docker or podman and the image for them.

    Args:
        is_needed: whether no other sandbox is available.
    """
    try:
        runtime = container_runtime()
        require_image()
    except SandboxUnavailable as trouble:
        if is_needed:
            return [Finding("container", "not available", str(trouble))]
        return [Finding("container", f"not available, and not needed here ({trouble})")]
    found = Finding("container", f"{Path(runtime).name}, image {image_name()}: course grade --sandbox container")
    return [found, *_memory_for_containers(runtime)]


def _memory_for_containers(runtime: str) -> list[Finding]:
    """The memory for containers; on macOS and Windows they run in a virtual machine that often has too little."""
    command = [runtime, "info", "--format", "{{json .}}"]
    try:
        facts = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=False).stdout)
        memory = facts["host"]["memTotal"] if "host" in facts else facts["MemTotal"]
    except (ValueError, KeyError, TypeError, subprocess.TimeoutExpired):
        return []
    wanted = 2 * DEFAULT_LIMITS.memory_bytes
    remedy = f"give docker's or podman's machine {wanted / 2**30:g} GiB or more: podman machine set --memory …"
    said = f"{memory / 2**30:.3g} GiB in all; one container may use {DEFAULT_LIMITS.memory_bytes / 2**30:g} GiB"
    return [Finding("memory of containers", said, remedy if memory < wanted else "")]
