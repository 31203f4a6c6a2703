"""Control groups: the kernel limits memory and processes of a whole sandbox together.

They also count what belongs to no process: files in memory, buffers of sockets and pipes, the kernel's own records. A
group is made below the grader's own group, so the grader's limits hold for the sandbox too. Root can do that nearly
everywhere. An ordinary user can if a group has been delegated to them, or through systemd, which makes a group for each
command. If neither works there is no group, and only the watchdog (:mod:`autograder.sandbox.watchdog`) counts.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autograder.sandbox.limits import Limits

__all__ = ["Group", "NoGroup", "in_force", "new_group"]

_MARGIN = 256 * 2**20  # a process meets its own limit first, and then gets an error and is not killed
_OWN_TASKS = 16  # bubblewrap's processes and a margin
_NAME = re.compile(r"course-sandbox-(\d+)-[0-9a-f]+")
_SECONDS_TO_EMPTY = 2.0
# Joins the groups whose files come first, then becomes the program after "--". Writing 0 means "this process".
_JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"'
_SESSION = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # tell systemd-run where the user's systemd listens


class NoGroup(OSError):
    """No control group can be made here; the message says why."""


@dataclass(frozen=True)
class _Dialect:
    """The file names of the limits in one version of control groups."""

    version: str
    memory: str
    swap: str
    events: str


_V1 = _Dialect("v1", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control")
_V2 = _Dialect("v2", "memory.max", "memory.swap.max", "memory.events")


class Group(Protocol):
    """A control group for one sandbox."""

    @property
    def version(self) -> str:
        """The version of the control group interface: v1 or v2."""
        ...

    def joining(self) -> list[str]:
        """A prefix for a command line, which makes the command run in the group."""
        ...

    def admit(self, process: int) -> None:
        """Move a process into the group. Its parent is in a group with the same limits, and it has no children yet.

        Raises:
            NoGroup: this user may not move it.
            ProcessLookupError: the process has ended.
        """

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed something in the group for its memory, as far as that is known."""
        ...

    def remove(self) -> None:
        """Remove the group after its last process has ended."""


@dataclass(frozen=True)
class _Folders:
    """Groups made by hand: one folder, or one for each controller in version 1."""

    dialect: _Dialect
    memory: Path
    tasks: Path

    @property
    def version(self) -> str:
        return self.dialect.version

    def joining(self) -> list[str]:
        return ["/bin/sh", "-c", _JOIN, "sh", *(str(folder / "cgroup.procs") for folder in self.folders()), "--"]

    def admit(self, process: int) -> None:
        try:
            for folder in self.folders():
                (folder / "cgroup.procs").write_text(str(process))
        except ProcessLookupError:
            raise
        except OSError as error:
            raise NoGroup(f"{error.filename}: {error.strerror}") from None

    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self.memory, self.tasks)))

    def ran_out_of_memory(self) -> bool:
        with contextlib.suppress(OSError):
            return re.search(r"^oom_kill [1-9]", (self.memory / self.dialect.events).read_text(), re.M) is not None
        return False

    def remove(self) -> None:
        """A folder that is not empty after two seconds is left for a later run to remove."""
        deadline = time.monotonic() + _SECONDS_TO_EMPTY
        for folder in self.folders():
            while not _removed(folder) and time.monotonic() < deadline:
                time.sleep(0.01)


@dataclass(frozen=True)
class _Scope:
    """A group that systemd makes when its first command starts and removes after the last has ended."""

    program: str
    limits: Limits
    version: str = "v2, by systemd"

    def joining(self) -> list[str]:
        most = self.limits.memory_bytes + _MARGIN
        facts = {"MemoryMax": most, "MemorySwapMax": 0, "TasksMax": self.limits.processes + _OWN_TASKS}
        settings = [part for name, value in facts.items() for part in ("-p", f"{name}={value}")]
        session = [f"{name}={os.environ[name]}" for name in _SESSION if name in os.environ]
        manager = [] if os.geteuid() == 0 else ["--user"]
        scope = [self.program, *manager, "--scope", "--quiet", "--collect", *settings, "--"]
        return ["/usr/bin/env", "-i", *session, *scope, "/usr/bin/env", "-i"]

    def admit(self, process: int) -> None:
        """Nothing to do: a forked process stays in its parent's scope, which holds one such process at a time."""

    def ran_out_of_memory(self) -> bool:
        return False  # systemd removes the group before it can be read

    def remove(self) -> None:
        """Nothing to do: systemd removes the group."""


def new_group(limits: Limits) -> Group:
    """Make a group with these limits.

    Raises:
        NoGroup: this user may not make groups, or the system has none.
    """
    way, found = _way()
    if way is None:
        raise NoGroup(found)
    return way(limits)


def in_force() -> str:
    """The version of control groups that limits sandboxes here.

    Raises:
        NoGroup: no group can be made here.
    """
    way, found = _way()
    if way is None:
        raise NoGroup(found)
    return found


@functools.cache
def _way() -> tuple[Callable[[Limits], Group] | None, str]:
    """The first way of making groups that works here, and its version; or None, and why none works."""
    refusals = []
    for way in (_new_folders, _new_scope):
        try:
            return way, _tried(way)
        except NoGroup as refusal:
            refusals.append(str(refusal))
    return None, "; ".join(refusals)


def _tried(way: Callable[[Limits], Group]) -> str:
    group = way(Limits())
    try:
        with open(os.devnull) as passed:  # sandboxes get their arguments through a descriptor, which must survive
            command = [*group.joining(), "/bin/sh", "-c", f"test -e /proc/self/fd/{passed.fileno()}"]
            subprocess.run(command, check=True, capture_output=True, env={}, timeout=10, pass_fds=(passed.fileno(),))
    except (OSError, subprocess.SubprocessError):
        raise NoGroup("control groups can be made, but not joined") from None
    finally:
        group.remove()
    return group.version


def _new_folders(limits: Limits) -> Group:
    dialect, memory, tasks = _parents()
    name = f"course-sandbox-{os.getpid()}-{secrets.token_hex(4)}"
    group = _Folders(dialect, memory / name, tasks / name)
    try:
        for folder in group.folders():
            folder.mkdir()
        _set_limits(group, limits)
    except OSError as error:
        group.remove()
        raise NoGroup(f"{error.filename}: {error.strerror}") from None
    return group


def _new_scope(limits: Limits) -> Group:
    if program := shutil.which("systemd-run"):
        return _Scope(program, limits)
    raise NoGroup("there is no systemd-run")


def _set_limits(group: _Folders, limits: Limits) -> None:
    most = str(limits.memory_bytes + _MARGIN)
    (group.memory / group.dialect.memory).write_text(most)
    swap = group.memory / group.dialect.swap
    if swap.exists():
        swap.write_text("0" if group.dialect is _V2 else most)
    (group.tasks / "pids.max").write_text(str(limits.processes + _OWN_TASKS))


@functools.cache
def _parents() -> tuple[_Dialect, Path, Path]:
    """The folders of the grader's own group for memory and for processes."""
    try:
        found = _own_groups(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    except FileNotFoundError:
        raise NoGroup("this system has no control groups") from None
    if {"memory", "pids"} <= found.keys():
        dialect, parents = _V1, (found["memory"], found["pids"])
    elif "" in found:
        _hand_down(found[""])
        dialect, parents = _V2, (found[""], found[""])
    else:
        raise NoGroup("no control groups for memory and processes are mounted")
    _sweep(parents)
    return dialect, *parents


def _own_groups(memberships: str, mounts: str) -> dict[str, Path]:
    """The folder of this process's group for each controller; version 2 has an empty name."""
    places = {}
    for line in mounts.splitlines():
        before, after = (part.split() for part in line.split(" - "))
        root, point, kind, options = before[3], before[4], after[0], after[2].split(",")
        if kind in ("cgroup", "cgroup2"):
            places |= {name: (root, point) for name in (options if kind == "cgroup" else [""])}
    found = {}
    for line in memberships.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in places and path.startswith(places[name][0]):
                root, point = places[name]
                found[name] = Path(point, os.path.relpath(path, root))
    return found


def _hand_down(folder: Path) -> None:
    """Let groups below this one have their own limits; the kernel refuses that if this group holds processes."""
    try:
        (folder / "cgroup.subtree_control").write_text("+memory +pids")
    except OSError as error:
        raise NoGroup(f"{folder}: {error.strerror}; run the grader in a service with Delegate=yes") from None


def _sweep(parents: Iterable[Path]) -> None:
    """Remove the groups that killed graders have left; a group that still holds a process stays."""
    for parent in set(parents):
        for folder in parent.glob("course-sandbox-*"):
            maker = _NAME.fullmatch(folder.name)
            if maker and not Path("/proc", maker[1]).exists():
                _removed(folder)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True
