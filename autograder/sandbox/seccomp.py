"""System calls that no exercise needs and a sandbox does without, as a filter for bubblewrap.

Most would only widen what can be tried against the kernel. Some get around limits: memory behind ``memfd_create``,
System V's ``shmget`` and ``semget``, or a shared mapping of nothing belongs to no process, so no limit on processes
sees it; sockets of families without namespaces (``AF_VSOCK``) reach the host of a virtual machine; contexts for
``io_setup`` are counted for the whole machine. A lease on a file, or a watch over a folder, would hold up or see those
who open it outside. (``flock`` stays: it stops nobody from reading, and the grader locks no file that a sandbox sees.)
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

__all__ = ["system_call_filter"]


@dataclass(frozen=True)
class _Machine:
    """A processor's numbers in the kernel's interface: its own, and those of system calls."""

    audit: int
    socket: int
    mmap: int
    fcntl: int
    denied: tuple[int, ...]


# Numbers from 424 on are the same on all machines: io_uring, the newer mount calls, pidfd_getfd, mount_setattr,
# memfd_secret.
_NEWER = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)
# In this order: memfd_create shmget msgget add_key request_key keyctl ptrace process_vm_readv process_vm_writev bpf
# userfaultfd perf_event_open unshare setns mount umount2 pivot_root name_to_handle_at open_by_handle_at semget io_setup
# fanotify_init syslog process_madvise
_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E,
        socket=41,
        mmap=9,
        fcntl=72,
        denied=(
            *(319, 29, 68, 248, 249, 250, 101, 310, 311, 321, 323, 298, 272, 308, 165, 166, 155, 303, 304),
            *(64, 206, 300, 103, 440),
            *_NEWER,
        ),
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        socket=198,
        mmap=222,
        fcntl=25,
        denied=(
            *(279, 194, 186, 217, 218, 219, 117, 270, 271, 280, 282, 241, 97, 268, 40, 39, 41, 264, 265),
            *(190, 0, 262, 116, 440),
            *_NEWER,
        ),
    ),
}
_FAMILIES = (1, 2, 10, 16)  # of sockets: Unix, IPv4, IPv6, netlink
_X32 = 0x40000000  # from here on, the second set of calls of x86-64

_SHARED_NOTHING, _KIND_OF_MAPPING = 0x21, 0x2F  # MAP_SHARED | MAP_ANONYMOUS, and the bits that tell

_LEASE, _WATCH = 1024, 1026  # commands of fcntl: F_SETLEASE, F_NOTIFY

_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
# Offsets in struct seccomp_data.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _FOURTH_ARGUMENT = 0, 4, 16, 24, 40
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


def system_call_filter() -> bytes:
    """The filter for this machine, as an array of BPF instructions; empty for processors it is not written for."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return b""
    return b"".join(
        [
            _instruction(_LOAD, _ARCHITECTURE),
            _instruction(_IF_EQUAL, machine.audit, if_true=1),
            _fail(errno.ENOSYS),
            _instruction(_LOAD, _NUMBER),
            _instruction(_IF_AT_LEAST, _X32, if_false=1),
            _fail(errno.ENOSYS),
            *(_instruction(_IF_EQUAL, number, if_false=1) + _fail(errno.EPERM) for number in machine.denied),
            _instruction(_IF_EQUAL, machine.fcntl, if_false=6),
            _instruction(_LOAD, _SECOND_ARGUMENT),
            *(_instruction(_IF_EQUAL, command, if_false=1) + _fail(errno.EPERM) for command in (_LEASE, _WATCH)),
            _instruction(_RETURN, _ALLOW),
            _instruction(_IF_EQUAL, machine.mmap, if_false=5),
            _instruction(_LOAD, _FOURTH_ARGUMENT),
            _instruction(_AND, _KIND_OF_MAPPING),
            _instruction(_IF_EQUAL, _SHARED_NOTHING, if_false=1),
            _fail(errno.EPERM),
            _instruction(_RETURN, _ALLOW),
            _instruction(_IF_EQUAL, machine.socket, if_true=1),
            _instruction(_RETURN, _ALLOW),
            _instruction(_LOAD, _FIRST_ARGUMENT),
            *(_instruction(_IF_EQUAL, family, if_false=1) + _instruction(_RETURN, _ALLOW) for family in _FAMILIES),
            _fail(errno.EAFNOSUPPORT),
        ]
    )


def _fail(number: int) -> bytes:
    return _instruction(_RETURN, _FAIL | number)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One ``struct sock_filter``; the jumps say how many instructions to skip."""
    return struct.pack("HBBI", code, if_true, if_false, value)
