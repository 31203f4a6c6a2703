"""Measures what a process and all of its descendants use, from ``/proc``."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Patience", "Usage", "shared_out_memory_of_tree", "sockets_of_tree", "usage_of_scratch", "usage_of_tree"]

_MEMORY = re.compile(rb"^(?:Rss(?:Anon|Shmem)|VmPTE):\s+(\d+) kB$", re.MULTILINE)
_PAGE_TABLES = re.compile(rb"^VmPTE:\s+(\d+) kB$", re.MULTILINE)
_SHARED_OUT = re.compile(rb"^Pss_(?:Anon|Shmem):\s+(\d+) kB$", re.MULTILINE)
_ENDED = re.compile(rb"^State:\s+[ZX]", re.MULTILINE)
_SOCKETS = re.compile(r"^sockets: used (\d+)$", re.MULTILINE)
_BYTES_PER_FILE = 1024  # what the kernel itself needs for one in memory, however small
_MOST_PATIENCE = 5


@dataclass(frozen=True)
class Usage:
    """The resources that a tree of processes uses.

    Attributes:
        memory_bytes: private memory and page tables. Mapped files are not counted; what a process shares with copies
            made by forking is counted for each of them.
        tasks: processes and threads.
        descriptors: open files, pipes and sockets of all processes.
        running_seconds: processor time of all tasks that are alive.
        waiting_seconds: time that all tasks that are alive were ready to run but waited for a processor.
    """

    memory_bytes: int
    tasks: int
    descriptors: int
    running_seconds: float
    waiting_seconds: float


def usage_of_tree(root: int) -> Usage:
    """Usage of process ``root`` and its descendants; processes that end meanwhile are not counted."""
    memory = tasks = descriptors = running = waiting = 0
    for process in _tree(Path(f"/proc/{root}")):
        with contextlib.suppress(OSError):
            threads = _threads(process)
            for thread in threads:
                tasks += 1
                on_processor, in_queue = _schedule(thread)
                running, waiting = running + on_processor, waiting + in_queue
            thread, status = _living(threads)
            memory += _kilobytes(_MEMORY, status)
            descriptors += len(os.listdir(thread / "fd"))
    return Usage(1024 * memory, tasks, descriptors, running / 1e9, waiting / 1e9)


def usage_of_scratch(root: int, folders: Sequence[str], size: int) -> int:
    """Bytes of memory that the folders in memory of a sandbox use.

    If they cannot be measured through any process, all count as full: the sandbox is still being built, or students'
    code prevents it.

    Args:
        root: the sandbox's process; its descendants are tried too.
        folders: the paths of the folders in the sandbox.
        size: the size of each folder in bytes, which distinguishes it from the machine's own folder.
    """
    for process in reversed(list(_tree(Path(f"/proc/{root}")))):
        for thread in _threads(process):
            with contextlib.suppress(OSError):
                facts = [os.statvfs(f"{thread}/root{folder}") for folder in folders]
                if all(each.f_blocks * each.f_frsize == size for each in facts):
                    return sum(map(_memory_behind, facts))
    return size * len(folders)


def _memory_behind(facts: os.statvfs_result) -> int:
    blocks, files = facts.f_blocks - facts.f_bfree, facts.f_files - facts.f_ffree
    return blocks * facts.f_frsize + files * _BYTES_PER_FILE


def sockets_of_tree(root: int) -> int:
    """The number of sockets in the sandbox's own network, including those that wait to be accepted."""
    ours = _network_of(Path("/proc/self"))
    for process in reversed(list(_tree(Path(f"/proc/{root}")))):
        for thread in _threads(process):
            with contextlib.suppress(OSError):
                if _network_of(thread) not in (ours, None):
                    return sum(map(int, _SOCKETS.findall((thread / "net/sockstat").read_text())))
    return 0


def _network_of(process: Path) -> int | None:
    """The number of a process's network namespace; None if there are none here, or the process has ended."""
    with contextlib.suppress(OSError):
        return (process / "ns/net").stat().st_ino
    return None


def shared_out_memory_of_tree(root: int) -> int:
    """Memory in bytes, as in :class:`Usage`, with shared memory counted once; takes milliseconds for each process."""
    memory = 0
    for process in _tree(Path(f"/proc/{root}")):
        with contextlib.suppress(OSError):
            thread, status = _living(_threads(process))
            shared = _kilobytes(_SHARED_OUT, _smaps(thread))
            memory += shared + _kilobytes(_PAGE_TABLES, status) if shared else _kilobytes(_MEMORY, status)
    return 1024 * memory


def _smaps(thread: Path) -> bytes:
    try:
        return (thread / "smaps_rollup").read_bytes()
    except (PermissionError, FileNotFoundError):  # some kernels have no such file, and some users may not read it
        return b""


def _living(threads: Iterable[Path]) -> tuple[Path, bytes]:
    """The first thread of a process that has not ended, and its status. The main thread may have ended already.

    Raises:
        ProcessLookupError: all threads have ended.
    """
    for thread in threads:
        with contextlib.suppress(OSError):
            status = (thread / "status").read_bytes()
            if not _ENDED.search(status):
                return thread, status
    raise ProcessLookupError("all threads have ended")


def _kilobytes(kind: re.Pattern[bytes], told: bytes) -> int:
    return sum(map(int, kind.findall(told)))


def _threads(process: Path) -> list[Path]:
    """All threads of a process, ended ones included; empty if the process has ended."""
    try:
        return list((process / "task").iterdir())
    except OSError:
        return []


class Patience:
    """The time that a sandbox has left for a task, not counting the time it waits for a busy processor.

    So a right answer does not fail on an overloaded machine. At five times the allowed seconds, the time is over in any
    case. Time spent asleep counts, and so does the time before the first call of :meth:`left`.

    Args:
        process: the sandbox's process.
        seconds: the time that the task may take.
    """

    def __init__(self, process: int, seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self._started = time.monotonic()
        self._before: Usage | None = None

    def left(self) -> float:
        """The seconds left; zero or negative when the time is over."""
        passed, now = time.monotonic() - self._started, usage_of_tree(self._process)
        before = self._before = self._before or now
        waited = max(0.0, now.waiting_seconds - before.waiting_seconds)
        ran = now.running_seconds - before.running_seconds
        return min(self._seconds - max(ran, passed - waited), _MOST_PATIENCE * self._seconds - passed)


def _tree(root: Path) -> Iterator[Path]:
    waiting = [root]
    while waiting:
        process = waiting.pop()
        yield process
        with contextlib.suppress(OSError):
            for thread in _threads(process):
                children = (thread / "children").read_text()
                waiting += [process.with_name(child) for child in children.split()]


def _schedule(task: Path) -> tuple[int, int]:
    """Nanoseconds on a processor, and in the queue for one; zero if the kernel does not count them."""
    try:
        on_processor, in_queue, _ = map(int, (task / "schedstat").read_text().split())
    except FileNotFoundError:
        return 0, 0
    return on_processor, in_queue
