"""Puts one forked process into a compartment: everything that separates two sandboxes is made again for it.

A compartment has its own namespaces for users, mounts, processes, network, names and messages, its own folders in
memory, ``/proc`` and terminals. Then the process gives up all rights for good, and its system calls are filtered, as
bubblewrap does. Only read-only files stay shared. Those that lie below a folder in memory (a course or its Python may
be below ``/tmp``) are bound into the new folder. The kernel keeps them read-only: what a mount forbids is locked for
user namespaces below the one that made it.

This file is mounted into the sandbox. No student's code runs before :func:`give_up_rights` has returned.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import os
import re
import signal
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

__all__ = ["die_with_parent", "enter", "furnish", "give_up_rights"]

_NEW_MOUNTS, _NEW_CGROUP, _NEW_NAMES, _NEW_MESSAGES = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_NO_SETUID, _NO_DEVICES, _NO_PROGRAMS, _BIND, _RECURSIVE, _PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_SET_DEATH_SIGNAL, _SET_FILTER, _DROP_FROM_BOUNDS, _SET_NO_NEW_PRIVILEGES, _AMBIENT = 1, 22, 24, 38, 47
_FILTER_MODE, _CLEAR_ALL = 2, 4
_CAPABILITIES_VERSION = 0x20080522
_GET_INTERFACE_FLAGS, _SET_INTERFACE_FLAGS, _UP = 0x8913, 0x8914, 1
_BYTES_PER_INSTRUCTION = 8
_BYTES_PER_FILE = 4096  # of a folder in memory: it holds a file for each page
_MOST_TERMINALS = 16  # the whole machine has a few thousand

_kernel = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    """The kernel's ``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def enter() -> None:
    """Leave the shared namespaces, so that processes forked from now on are separated from others.

    Raises:
        OSError: the kernel does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    _call("unshare", _NEW_USERS | _NEW_MOUNTS | _NEW_PROCESSES | _NEW_NETWORK | _NEW_NAMES | _NEW_MESSAGES)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def furnish(folders: Iterable[str], size: int, home: str) -> None:
    """Mount new empty folders in memory, ``/proc`` and terminals over those of the sandbox.

    Args:
        folders: the writable folders.
        size: the size of each folder in bytes.
        home: the working folder, one of ``folders``.
    """
    _mount("none", "/", None, _RECURSIVE | _PRIVATE)
    for folder in folders:
        _cover(folder, size)
    _mount("proc", "/proc", "proc", _NO_SETUID | _NO_DEVICES | _NO_PROGRAMS)
    terminals = f"newinstance,ptmxmode=0666,mode=620,max={_MOST_TERMINALS}"
    _mount("devpts", "/dev/pts", "devpts", _NO_SETUID | _NO_PROGRAMS, terminals)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    _raise_loopback()
    os.chdir(home)


def _cover(folder: str, size: int) -> None:
    """Mount an empty folder in memory over ``folder``, and bind what is mounted below it into the new one."""
    inner = {place: os.open(place, os.O_PATH) for place in _outermost_mounts_below(folder)}
    limits = f"size={size},nr_inodes={size // _BYTES_PER_FILE},mode=0755"
    _mount("tmpfs", folder, "tmpfs", _NO_SETUID | _NO_DEVICES, limits)
    for place, descriptor in inner.items():
        _make_place_for(descriptor, place)
        _mount(f"/proc/self/fd/{descriptor}", place, None, _BIND | _RECURSIVE)
        os.close(descriptor)


def _outermost_mounts_below(folder: str) -> list[str]:
    places: list[str] = []
    for place in sorted(map(_mount_point, Path("/proc/self/mountinfo").read_bytes().splitlines())):
        if place.startswith(f"{folder}/") and not any(place.startswith(f"{outer}/") for outer in places):
            places.append(place)
    return list(dict.fromkeys(places))


def _mount_point(line: bytes) -> str:
    """The mount point in a line of ``mountinfo``, where the kernel writes blanks and the like as ``\\040``."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split()[4]))


def _make_place_for(descriptor: int, place: str) -> None:
    """Make an empty folder or file at ``place``, on which the open one can be mounted."""
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.makedirs(place)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY))


def give_up_rights(system_calls: bytes) -> None:
    """Drop all capabilities for good, hide the control groups, and allow only the filtered system calls.

    Args:
        system_calls: the filter, as :func:`autograder.sandbox.seccomp.system_call_filter` makes it; may be empty.
    """
    _call("unshare", _NEW_CGROUP)
    for capability in range(64):
        with contextlib.suppress(OSError):  # this kernel has fewer
            _call("prctl", _DROP_FROM_BOUNDS, capability, 0, 0, 0)
    _call("prctl", _AMBIENT, _CLEAR_ALL, 0, 0, 0)
    _call("capset", struct.pack("Ii", _CAPABILITIES_VERSION, 0), bytes(24))
    _call("prctl", _SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if system_calls:
        program = _Filter(len(system_calls) // _BYTES_PER_INSTRUCTION, system_calls)
        _call("prctl", _SET_FILTER, _FILTER_MODE, ctypes.byref(program), 0, 0)


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    _call("prctl", _SET_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)


def _mount(source: str, place: str, kind: str | None, flags: int, options: str | None = None) -> None:
    names = [name and name.encode() for name in (source, place, kind)]
    _call("mount", *names, ctypes.c_ulong(flags), options and options.encode())


def _raise_loopback() -> None:
    """Switch the loopback on, as bubblewrap does: processes of one sandbox may connect to each other."""
    with socket.socket() as any_socket:
        request = array.array("B", struct.pack("16sH14x", b"lo", 0))
        fcntl.ioctl(any_socket, _GET_INTERFACE_FLAGS, request)
        name, flags = struct.unpack("16sH14x", request)
        fcntl.ioctl(any_socket, _SET_INTERFACE_FLAGS, struct.pack("16sH14x", name, flags | _UP))


def _call(name: str, *arguments: object) -> None:
    wide = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    if getattr(_kernel, name)(*wide) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
