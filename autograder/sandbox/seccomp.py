"""Builds a filter that refuses system calls which no exercise needs.

Some of them would only give an attack on the kernel more to try. The others reach beyond a sandbox:

* memory that belongs to no process, so no limit on a process counts it (:data:`_MEMORY_OF_NOBODY`, sockets of the
  internet, records of locks on files, shared mappings of nothing, large pages, pipes that are made larger);
* calls that block, watch or slow others who use the same files or the same user's share of the machine
  (:data:`_OTHERS`, leases on files, watches over folders, dropping a file from the machine's memory);
* the kernel's tools for looking into processes, for mounting and for running programs in it (:data:`_KERNEL`).

Calls that this list does not know fail as they do on an older kernel: "there is no such call".
"""

from __future__ import annotations

import errno
import itertools
import platform
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["system_call_filter"]

Numbers = tuple[int | None, int | None]  # of a call, on x86-64 and on AArch64; None where there is no such call

_MEMORY_OF_NOBODY: Mapping[str, Numbers] = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "io_setup": (206, 0),  # the limit on contexts is one for the whole machine
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "vmsplice": (278, 75),
    "splice": (275, 76),
    "tee": (276, 77),
    "timer_create": (222, 107),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "mlock": (149, 228),
    "mlockall": (151, 230),
    "mlock2": (325, 284),
    "seccomp": (317, 277),  # compiled filters share one small store of the whole machine
}
_OTHERS: Mapping[str, Numbers] = {
    "flock": (73, 32),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "sync": (162, 81),
    "syncfs": (306, 267),
    "mincore": (27, 232),
    "cachestat": (451, 451),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "process_madvise": (440, 440),
}
_KERNEL: Mapping[str, Numbers] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "syslog": (103, 116),
    "modify_ldt": (154, None),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
}
_DENIED = _MEMORY_OF_NOBODY | _OTHERS | _KERNEL
_CLONE3 = (435, 435)  # its flags lie in memory, where a filter cannot read them; programs fall back on clone
_NEWEST = 462  # the last call that we have reviewed; from 424 on, numbers are the same on all machines
_SOCKET = (41, 198)
_FAMILIES = (1, 16)  # of sockets: Unix and netlink


@dataclass(frozen=True)
class _Refusal:
    """A call that is refused if one of its arguments, or some bits of the argument, has one of these values."""

    call: Numbers
    argument: int
    values: tuple[int, ...]
    bits: int = 0xFFFFFFFF


_SET_LEASE, _WATCH_FOLDER, _ENLARGE_PIPE = 1024, 1026, 1031
_LOCKS = (5, 6, 7, 36, 37, 38)  # to ask, set and wait for, of a process and of an open file
_SHARED_NOTHING, _KIND_OF_MAPPING, _LARGE_PAGES = 0x21, 0x2F, 0x40000  # MAP_SHARED | MAP_ANONYMOUS, …, MAP_HUGETLB
_MERGE, _COLD, _PAGE_OUT = 12, 20, 21
_FORGET_FILE = 4
_THREAD, _SAME_FILES = 0x10000, 0x400  # a thread could hide open files that only it has
_SET_FILTER = 22
_ATTACH_FILTERS = (26, 50, 51, 52)

_REFUSALS = (
    _Refusal((72, 25), 1, (*_LOCKS, _SET_LEASE, _WATCH_FOLDER, _ENLARGE_PIPE)),  # fcntl
    _Refusal((9, 222), 3, (_SHARED_NOTHING,), _KIND_OF_MAPPING),  # mmap
    _Refusal((9, 222), 3, (_LARGE_PAGES,), _LARGE_PAGES),
    _Refusal((28, 233), 2, (_MERGE, _COLD, _PAGE_OUT)),  # madvise
    _Refusal((221, 223), 3, (_FORGET_FILE,)),  # fadvise64
    _Refusal((56, 220), 0, (_THREAD,), _THREAD | _SAME_FILES),  # clone
    _Refusal((157, 167), 0, (_SET_FILTER,)),  # prctl
    _Refusal((54, 208), 2, _ATTACH_FILTERS),  # setsockopt
)


_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""For each machine, the index of its numbers in :data:`Numbers`, and the kernel's number for it."""

_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


def system_call_filter() -> bytes:
    """The filter for this machine, as an array of BPF instructions; empty for processors that it is not written for."""
    if platform.machine() not in _MACHINES:
        return b""
    place, architecture = _MACHINES[platform.machine()]
    unknown = _one(_RETURN, _FAIL | errno.ENOSYS)
    denied = [number[place] for number in _DENIED.values()]
    parts = [
        _one(_LOAD, _ARCHITECTURE),
        _one(_IF_EQUAL, architecture, if_true=1),
        unknown,
        _one(_LOAD, _NUMBER),
        _one(_IF_AT_LEAST, _NEWEST + 1, if_false=1),  # on x86-64, its second set of calls too
        unknown,
        _where(_CLONE3[place], unknown),
        *(_where(number, _fail()) for number in denied if number is not None),
        *_refusals(place),
        _where(_SOCKET[place], _only_families()),
        _one(_RETURN, _ALLOW),
    ]
    return b"".join(parts)


def _refusals(place: int) -> Iterable[bytes]:
    by_call = itertools.groupby(_REFUSALS, key=lambda refusal: refusal.call[place])
    for number, refusals in by_call:
        assert number is not None, "calls with refused arguments are there on every machine"
        yield _where(number, b"".join(map(_refused, refusals)) + _one(_RETURN, _ALLOW))


def _refused(refusal: _Refusal) -> bytes:
    """Instructions that fail if the argument has a refused value, and go on otherwise."""
    bits = _one(_LOAD, _ARGUMENTS + 8 * refusal.argument) + _one(_AND, refusal.bits)
    return bits + b"".join(_where(value, _fail()) for value in refusal.values)


def _only_families() -> bytes:
    allowed = b"".join(_where(family, _one(_RETURN, _ALLOW)) for family in _FAMILIES)
    return _one(_LOAD, _ARGUMENTS) + allowed + _fail(errno.EAFNOSUPPORT)


def _where(value: int, instructions: bytes) -> bytes:
    """Run the instructions if the loaded number is ``value``; skip them otherwise."""
    return _one(_IF_EQUAL, value, if_false=len(instructions) // _SIZE) + instructions


def _fail(number: int = errno.EPERM) -> bytes:
    return _one(_RETURN, _FAIL | number)


def _one(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One ``struct sock_filter``; the jumps say how many instructions to skip."""
    return struct.pack("HBBI", code, if_true, if_false, value)


_SIZE = len(_one(_RETURN, _ALLOW))
