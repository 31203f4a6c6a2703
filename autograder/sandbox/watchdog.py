"""Watches each sandbox from a thread: keeps the beginning of its output and kills it if it grows too large."""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Sequence

from autograder.sandbox.limits import Limits
from autograder.sandbox.process_usage import (
    shared_out_memory_of_tree,
    sockets_of_tree,
    usage_of_scratch,
    usage_of_tree,
)
from autograder.sandbox.sandbox_kinds import SandboxProcess

__all__ = ["LOOKS_PER_SECOND", "Watchdog", "too_much_memory"]

LOOKS_PER_SECOND = 20
_CHUNK = 65536
_OWN_TASKS = 16  # bubblewrap's processes and a margin, so that the kernel's limit is met first
_MOST_OPEN = 1024  # of all processes together: behind each may be buffers that no process owns


def too_much_memory(limits: Limits) -> str:
    """The sentence for a student whose code used too much memory."""
    return f"your code used more than {limits.memory_bytes // 2**20} MB of memory"


class Watchdog(threading.Thread):
    """Watches one process and its descendants until all of them have closed standard error.

    It never stops reading, so a program that prints without end is not blocked, and it keeps only the beginning.

    Args:
        scratch: the folders in memory that count; empty if the sandbox has none of a known size.

    Attributes:
        complaint: why the process was killed; empty if it was not.
    """

    def __init__(self, process: SandboxProcess, limits: Limits, scratch: Sequence[str]) -> None:
        super().__init__(name="sandbox watchdog", daemon=True)
        self._process, self._limits, self._scratch = process, limits, scratch
        self._kept = bytearray()
        self._printed = 0
        self.complaint = ""

    @property
    def is_cut(self) -> bool:
        """Whether some of what was printed has been discarded."""
        return self._printed > len(self._kept)

    @property
    def printed(self) -> str:
        """The beginning of what was printed, with a notice if that is not all."""
        notice = f"\n[{self._printed - len(self._kept):,} more bytes were printed and not kept]\n"
        return self._kept.decode("utf-8", "replace") + (notice if self.is_cut else "")

    def run(self) -> None:
        try:
            self._watch()
        except Exception:  # no student's code may run unwatched
            self._kill("the grader could not watch over it any more")

    def _watch(self) -> None:
        assert self._process.stderr is not None
        stream = self._process.stderr.fileno()
        next_look = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                if selector.select(1 / LOOKS_PER_SECOND) and not self._keep(os.read(stream, _CHUNK)):
                    return
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + 1 / LOOKS_PER_SECOND
                    self._look()

    def _keep(self, chunk: bytes) -> bool:
        self._printed += len(chunk)
        self._kept += chunk[: self._limits.output_bytes - len(self._kept)]
        return bool(chunk)

    def _look(self) -> None:
        process, most = self._process.pid, self._limits.memory_bytes
        usage = usage_of_tree(process)
        scratch = usage_of_scratch(process, self._scratch, self._limits.scratch_bytes) if self._scratch else 0
        if usage.memory_bytes + scratch > most and shared_out_memory_of_tree(process) + scratch > most:
            self._kill(too_much_memory(self._limits))
        elif usage.tasks > self._limits.processes + _OWN_TASKS:
            self._kill(f"your code started more than {self._limits.processes} processes and threads")
        elif max(usage.descriptors, sockets_of_tree(process)) > _MOST_OPEN:
            self._kill(f"your code had more than {_MOST_OPEN} files, pipes and sockets open")

    def _kill(self, complaint: str) -> None:
        self.complaint = self.complaint or complaint
        self._process.kill()
