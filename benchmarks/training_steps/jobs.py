"""Measurements as processes: each with a time limit, so that one that fails or hangs does not stop the others.

A job is a command whose process writes one JSON object in each line of its output. Beside rows of results these are
``{"event": "quiet"}``, which asks that nothing else runs from now on, and ``{"event": "loud"}``, which gives that up.
The process waits for a line on its input before it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Job", "Runner", "ask_for_quiet", "write_row"]

LAST_LINES, MOST_LINES = 12, 300


@dataclass(frozen=True)
class Job:
    """A command with a time limit.

    >>> Job("sum", [sys.executable, "-c", "print('{}')"], seconds=10).name
    'sum'
    """

    name: str
    command: Sequence[str]
    seconds: float
    keeps_text: bool = False
    """Whether what it prints is kept as a row ``{"job": …, "printed": […]}``."""


class Runner:
    """Runs jobs, in several lanes at once if asked to, until a deadline.

    Args:
        deadline: value of ``time.monotonic()`` after which nothing runs.
        on_row: called with each row as it arrives, and with ``{"job": …, "failed": …, "last_lines": …}`` for each job
            that fails.

    >>> rows = []
    >>> runner = Runner(time.monotonic() + 60, rows.append)
    >>> runner.run_lanes([[Job("a", [sys.executable, "-c", "print('{\\"answer\\": 42}')"], seconds=30)]])
    >>> rows
    [{'answer': 42}]
    """

    def __init__(self, deadline: float, on_row: Callable[[dict[str, Any]], None]) -> None:
        self._deadline, self._on_row = deadline, on_row
        self._running: dict[int, _Process] = {}
        self._lock = threading.Lock()  # held by a job that asked for quiet, and for a moment by one that starts
        self._rows = threading.Lock()

    def run_lanes(self, lanes: Sequence[Sequence[Job]]) -> None:
        """Run the jobs of each lane one after another, and the lanes beside each other."""
        queues = [deque(lane) for lane in lanes]
        threads = [threading.Thread(target=self._run_queue, args=(queue,)) for queue in queues]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run_pool(self, jobs: Sequence[Job], workers: int) -> list[threading.Thread]:
        """Start workers that take jobs from one queue; returns their threads, to be joined."""
        queue = deque(jobs)
        threads = [threading.Thread(target=self._run_queue, args=(queue,)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        return threads

    def _run_queue(self, queue: deque[Job]) -> None:
        while queue and time.monotonic() < self._deadline:
            with contextlib.suppress(IndexError):  # another worker may have taken the last one
                self._run(queue.popleft())

    def _run(self, job: Job) -> None:
        with self._lock:
            process = _Process(job, self._deadline)
            self._running[process.id] = process
        try:
            for message in process.messages():
                if message.get("event") == "quiet":
                    self._quiet(process)
                else:
                    self._emit(message)
        finally:
            del self._running[process.id]
        if process.failure is not None:
            self._emit(
                {"job": job.name, "failed": process.failure, "last_lines": list(process.last_lines)[-LAST_LINES:]}
            )
        elif job.keeps_text:
            self._emit({"kind": "printed", "job": job.name, "printed": list(process.last_lines)})

    def _emit(self, row: dict[str, Any]) -> None:
        with self._rows:
            self._on_row(row)

    def _quiet(self, asking: _Process) -> None:
        """Stop all other processes until this one says that it is loud again, or ends."""
        asking.stop_clock()
        with self._lock:
            asking.start_clock()
            others = [process for process in list(self._running.values()) if process is not asking]
            for other in others:
                other.pause()
            try:
                asking.answer()
                for message in asking.messages():
                    if message.get("event") == "loud":
                        break
                    self._emit(message)
            finally:
                for other in others:
                    other.resume()


class _Process:
    """A started job, in a process group of its own."""

    def __init__(self, job: Job, deadline: float) -> None:
        self._process = subprocess.Popen(
            job.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.id = self._process.pid
        self.failure: str | None = None
        self.last_lines: deque[str] = deque(maxlen=MOST_LINES if job.keeps_text else LAST_LINES)
        self._limit = job.seconds
        self._end = time.monotonic() + job.seconds
        self._deadline = deadline
        self._stopped: list[float] = []  # when the clock was stopped, once for each reason
        self._watch = threading.Thread(target=self._end_in_time, daemon=True)
        self._watch.start()
        self._lines = iter(self._process.stdout or ())

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the process says, until it ends; lines that are no JSON objects are kept as its last words."""
        for line in self._lines:
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict):
                yield message
            elif line.strip():
                self.last_lines.append(line.rstrip())
        status = self._process.wait()
        if status != 0 and self.failure is None:
            self.failure = f"exit status {status}"

    def answer(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def pause(self) -> None:
        self.stop_clock()
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self.start_clock()

    def stop_clock(self) -> None:
        """From now on time does not count towards the limit."""
        self._stopped.append(time.monotonic())

    def start_clock(self) -> None:
        since = self._stopped.pop()
        if not self._stopped:
            self._end += time.monotonic() - since

    def _end_in_time(self) -> None:
        while self._process.poll() is None:
            now = time.monotonic()
            if now > self._deadline or (now > self._end and not self._stopped):
                at_end = "not measured: --minutes were over"
                self.failure = at_end if now > self._deadline else f"stopped after its limit of {self._limit:g} s"
                self._signal(signal.SIGKILL)
                return
            time.sleep(0.2)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def write_row(row: dict[str, Any]) -> None:
    """For a job: say a row of results."""
    print(json.dumps(row), flush=True)


@contextlib.contextmanager
def ask_for_quiet() -> Iterator[None]:
    """For a job: nothing else runs inside the ``with`` block. Its end is not waited for."""
    write_row({"event": "quiet"})
    sys.stdin.readline()
    try:
        yield
    finally:
        write_row({"event": "loud"})
