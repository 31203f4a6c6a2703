"""Grades submissions in separate processes, so that a crash costs neither the worker nor other submissions.

Each thread of a dask worker uses a grading process of its own. One thread of that process does all the work, so its
sandboxes die with it; the only other threads are watchdogs of sandboxes, which hold no lock that a forked copy needs.
The process grades one submission after the other, and dies with the process that started it, even if that is killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from autograder.course.course import CourseError
from autograder.judging.jobs import Job
from autograder.process_lifetimes import die_with, exit_when_told
from autograder.results import Graded

__all__ = ["Grader", "GradingProcesses", "grade_apart", "processes_here"]

_ATTEMPTS = 2
_SECONDS_TO_TIDY_UP = 2.0

Grader = Callable[[Job], Graded]


class GradingProcesses:
    """The grading processes that this process has started; threads may share it.

    A process is started when none is idle, and kept for the next submission.
    """

    def __init__(self) -> None:
        self._idle: list[_GradingProcess] = []
        self._all: set[_GradingProcess] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self, count: int) -> None:
        """Start processes ahead of time, so that they finish their imports before the first submission."""
        self._idle += [self._started() for _ in range(count)]

    def grade(self, grade: Grader, job: Job) -> Graded:
        """Grade one submission in a process; if the process dies, try once more in another.

        Raises:
            CourseError: this machine cannot grade, or grading was stopped.
        """
        for _ in range(_ATTEMPTS):
            process = self._taken()
            try:
                graded = process.grade(grade, job)
            except _Died:
                self._forget(process)
                continue
            except BaseException:
                self._idle.append(process)
                raise
            self._idle.append(process)
            return graded
        return job.given_up("the process that graded it died twice")

    def close(self) -> None:
        """End all processes, first with SIGTERM, after two seconds with SIGKILL."""
        with self._lock:
            self._is_closed = True
            processes = tuple(self._all)
        for process in processes:
            process.ask_to_end()
        deadline = time.monotonic() + _SECONDS_TO_TIDY_UP
        for process in processes:
            process.end(deadline)

    def _taken(self) -> _GradingProcess:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return self._started()

    def _started(self) -> _GradingProcess:
        with self._lock:
            if self._is_closed:
                raise CourseError("grading was stopped")
            process = _GradingProcess()
            self._all.add(process)
        return process

    def _forget(self, process: _GradingProcess) -> None:
        process.end(time.monotonic())
        with self._lock:
            self._all.discard(process)


_here = GradingProcesses()  # used by a worker of a cluster as long as it lives


def grade_apart(grade: Grader, job: Job) -> Graded:
    """Grade one submission in a grading process of this process; dask's workers run this function."""
    return _here.grade(grade, job)


@contextmanager
def processes_here(count: int) -> Iterator[GradingProcesses]:
    """A context with grading processes for :func:`grade_apart`, which start at once and end when it is left."""
    global _here
    _here = GradingProcesses()
    with contextlib.closing(_here):
        _here.start(count)
        yield _here


class _Died(Exception):
    """The process ended before there was a result."""


class _GradingProcess:
    """One process that grades jobs; :mod:`multiprocessing` cannot start processes in workers of dask's nannies."""

    def __init__(self) -> None:
        self._line, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # only the parent handles an interrupt from the terminal
            )

    def grade(self, grade: Grader, job: Job) -> Graded:
        try:
            self._line.send((grade, job))
            outcome, content = self._line.recv()
        except (EOFError, OSError):
            raise _Died from None
        if outcome == "refused":
            raise CourseError(content)
        return content if outcome == "graded" else job.given_up(f"the grader failed with {content}")

    def ask_to_end(self) -> None:
        self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for the process to end, and kill it at the deadline (a time of :func:`time.monotonic`)."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _serve(line: Connection) -> None:
    """Grade jobs from the pipe until its other end is closed."""
    from autograder.judging.grade_submission import get_ready

    get_ready()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            line.send(_outcome(*line.recv()))


def _outcome(grade: Grader, job: Job) -> tuple[str, Graded | str]:
    try:
        return "graded", grade(job)
    except CourseError as refusal:
        return "refused", str(refusal)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    exit_when_told()
    _serve(Connection(int(sys.argv[1])))
