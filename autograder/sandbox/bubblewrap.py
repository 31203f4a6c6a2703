"""Builds the walls of a sandbox with bubblewrap, and gives up root's rights first.

Inside there is no network, a process tree of its own, user 65534 without capabilities, a cleared environment, and
a file system that holds what :mod:`autograder.sandbox.mounts` lists, read-only, and three small folders in memory.
It also matters which user the kernel sees outside the user namespace:

* If an ordinary user starts the sandbox, it runs as that user outside the namespace and as 65534 inside.
* If root starts it, a user namespace alone would leave it root outside: no limit on the number of processes holds for
  root, and root's own files in the mounts could be read, whatever their mode. So root first becomes user 65534 for
  good (see :mod:`autograder.sandbox.privileged_setup`) and then starts bubblewrap like any other user.

Arguments are passed through a descriptor: on a command line, code inside could read them in ``/proc/1/cmdline``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from autograder.sandbox.mounts import Mount, places_to_cover, python_mounts, system_mounts, user_site_packages
from autograder.sandbox.privileged_setup import NO_ENTRANCE, NOBODY, Entrance, can_become_nobody, entrance
from autograder.sandbox.seccomp import system_call_filter
from avae_lib.errors import UserError

__all__ = ["HOME", "SCRATCH", "SETTINGS", "SandboxUnavailable", "launch", "limits_files", "require_sandbox"]

HOME = "/home/student"
SCRATCH = (HOME, "/tmp", "/dev/shm")
"""The writable folders, which lie in memory."""
_OLDEST = (0, 8)  # the first bubblewrap that can limit a folder in memory and forbid further user namespaces
SETTINGS = {
    "HOME": HOME,
    "USER": "student",
    "LOGNAME": "student",
    "LANG": "C.UTF-8",
    "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
    "TMPDIR": "/tmp",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""The environment variables of students' code, except the path of imports."""


class SandboxUnavailable(UserError, RuntimeError):
    """This machine cannot run the sandbox; the message says what is missing and what to do."""


def launch(
    program: Sequence[str],
    mounts: Sequence[Mount],
    scratch_bytes: int,
    python_path: Sequence[str] = (),
    hidden: Iterable[Path] = (),
    joining: Sequence[str] = (),
    control: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``program`` in a sandbox of its own, with its three standard streams connected to pipes.

    It is killed when the thread that called this ends.

    Args:
        mounts: what is visible in the sandbox in addition to the system and this Python.
        scratch_bytes: size of each of the three folders in memory.
        python_path: folders that imports search first.
        hidden: files and folders that are not visible even if they lie inside a mount.
        joining: a command that puts everything after it into a control group.
        control: the standard input of a program of the grader's own, as a descriptor. Such a program may divide its
            sandbox into compartments: it can make namespaces, and its system calls are not filtered.

    Raises:
        SandboxUnavailable: this machine cannot run a sandbox at all, or not with these mounts.
    """
    require_sandbox()
    everything = (*system_mounts(), *python_mounts(), *mounts)
    variables = SETTINGS | {"PYTHONPATH": ":".join([*python_path, *map(str, user_site_packages())])}
    covered = places_to_cover(everything, hidden)
    # A program of the grader's own gives each compartment folders of its own.
    is_furnished = control is None and limits_files()
    return _spawn(program, everything, covered, scratch_bytes, variables, joining, control, is_furnished)


@functools.cache
def require_sandbox() -> None:
    """Try once whether bubblewrap can build a sandbox here.

    Raises:
        SandboxUnavailable: bubblewrap is missing, is too old, or may not make user namespaces.
    """
    version = _version()
    if version < _OLDEST:
        raise _unavailable(f"bubblewrap {'.'.join(map(str, version))} is too old", "install version 0.8 or later")
    process = _spawn(["true"], system_mounts(), {}, 2**20, {})
    _, complaint = process.communicate()
    if process.returncode != 0:
        said = " ".join(complaint.decode("utf-8", "replace").split()) or f"status {process.returncode}"
        raise _unavailable(
            f"bubblewrap cannot set up a sandbox here ({said})",
            "let ordinary users make user namespaces (sysctl kernel.unprivileged_userns_clone, "
            "kernel.apparmor_restrict_unprivileged_userns; in Docker: --security-opt seccomp=unconfined)",
        )


@functools.cache
def limits_files() -> bool:
    """Whether folders in memory can limit the number of files; this is tried out."""
    process = _spawn(["true"], system_mounts(), {}, 2**20, {}, is_furnished=True)
    process.communicate()
    return process.returncode == 0


def _version() -> tuple[int, ...]:
    if not (program := shutil.which("bwrap")):
        raise _unavailable("bubblewrap is missing", "install it (Debian, Ubuntu: sudo apt install bubblewrap)")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:3]))


def _unavailable(problem: str, remedy: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"{problem}; choices: {remedy}; or grade in containers of docker or podman with --sandbox container; or, only "
        "for code that you trust, with --sandbox none"
    )


def _spawn(
    program: Sequence[str],
    mounts: Sequence[Mount],
    covered: Mapping[Path, Path],
    scratch_bytes: int,
    variables: Mapping[str, str],
    joining: Sequence[str] = (),
    control: int | None = None,
    is_furnished: bool = False,
) -> subprocess.Popen[bytes]:
    way_in = _way_in(mounts, scratch_bytes, is_furnished)
    closed = control is None
    walls = _isolation(closed) + _walls(mounts, covered, scratch_bytes, way_in) + _environment(variables)
    filtering = system_call_filter() if closed else b""
    contents = (_terminated(way_in.arguments), _terminated(walls), filtering)
    with _as_descriptors(contents) as (outer, inner, calls):
        first = [_bwrap(), "--args", str(outer), "--", *way_in.steps] if way_in.arguments else []
        filtered = ["--seccomp", str(calls)] if filtering else []
        return subprocess.Popen(
            [*joining, *first, _bwrap(), *filtered, "--args", str(inner), "--", *program],
            stdin=subprocess.PIPE if closed else control,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(inner, *([outer] if first else []), *([calls] if filtering else [])),
            env={},  # code inside can read /proc/1/environ: nothing of the grader may be there, its folder included
            cwd="/",
            start_new_session=True,
        )


def _way_in(mounts: Sequence[Mount], scratch_bytes: int, is_furnished: bool) -> Entrance:
    """How root's rights are given up. ``is_furnished``: folders in memory limit the number of files."""
    if can_become_nobody():
        _require_open_to_others(mounts)
    elif not is_furnished:
        return NO_ENTRANCE
    return entrance(mounts, SCRATCH if is_furnished else (), scratch_bytes)


def _walls(mounts: Sequence[Mount], covered: Mapping[Path, Path], scratch_bytes: int, way_in: Entrance) -> list[str]:
    """Bubblewrap's arguments for the file system, outer folders first, so that inner ones stay visible."""
    sources = {mount.destination: way_in.doors.get(mount, mount.source) for mount in mounts}
    parts = {Path("/proc"): ["--proc", "/proc"], Path("/dev"): ["--dev", "/dev"]}
    parts |= {Path(folder): _in_memory(folder, scratch_bytes, way_in) for folder in SCRATCH}
    parts |= {place: _cover(place, path) for place, path in covered.items()}
    parts |= {place: ["--ro-bind", str(source), str(place)] for place, source in sources.items()}
    # A shared mapping of /dev/zero would be memory that belongs to no process.
    parts[Path("/dev/zero")] = ["--dev-bind", "/dev/null", "/dev/zero"]
    ordered = [argument for place in sorted(parts, key=lambda place: len(place.parts)) for argument in parts[place]]
    # Folders that exist only as mount points lie in memory without a limit, so they are made read-only.
    empty = [place for place, path in covered.items() if path.is_dir() and place not in sources]
    closed = [argument for folder in (*map(str, empty), "/dev", "/") for argument in ("--remount-ro", folder)]
    return [*ordered, *closed, "--chdir", HOME]


def _in_memory(folder: str, size: int, way_in: Entrance) -> list[str]:
    made = way_in.folders.get(folder)
    return ["--bind", str(made), folder] if made else ["--size", str(size), "--tmpfs", folder]


def _isolation(closed: bool) -> list[str]:
    """Arguments that unshare every namespace; if ``closed``, the program cannot make user namespaces either."""
    identity = ["--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", "sandbox"]
    user = ["--unshare-user", *(["--disable-userns"] if closed else []), "--cap-drop", "ALL"]
    return ["--unshare-all", *user, *identity, "--new-session", "--die-with-parent"]


def _cover(place: Path, path: Path) -> list[str]:
    """Arguments that replace a folder by an empty one, and a file by one that cannot be opened."""
    return ["--tmpfs", str(place)] if path.is_dir() else ["--ro-bind", "/dev/null", str(place)]


def _environment(variables: Mapping[str, str]) -> list[str]:
    return ["--clearenv", *(part for name, value in variables.items() for part in ("--setenv", name, value))]


def _require_open_to_others(mounts: Sequence[Mount]) -> None:
    closed = [mount.source for mount in mounts if mount.source.stat().st_mode & 0o004 == 0]
    if closed:
        raise SandboxUnavailable(
            f"{closed[0]} is closed to other users; run by root, the sandbox becomes user {NOBODY}: "
            f"open it with chmod -R o+rX {closed[0]}, or grade as an ordinary user"
        )


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"


def _terminated(arguments: Sequence[str]) -> bytes:
    """Arguments in the format of bubblewrap's ``--args``."""
    return b"".join(os.fsencode(argument) + b"\0" for argument in arguments)


@contextlib.contextmanager
def _as_descriptors(contents: Sequence[bytes]) -> Iterator[list[int]]:
    """Descriptors from which each of the contents can be read once."""
    descriptors = [os.memfd_create("for the sandbox") for _ in contents]
    try:
        for descriptor, content in zip(descriptors, contents, strict=True):
            os.write(descriptor, content)
            os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
