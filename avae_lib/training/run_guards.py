"""What protects a run: a lock that keeps other processes out of its folder, and signals that wait for an update."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the folder is not guarded
    fcntl = None

from avae_lib.errors import UserError

__all__ = [
    "UNFINISHED",
    "RunInUse",
    "StopRequest",
    "TrainingInterrupted",
    "run_lock",
    "status_of_unfinished",
    "stop_on_signals",
]

UNFINISHED = 75
"""Exit status of a training that a scheduler has stopped: the same command continues it (EX_TEMPFAIL of sysexits.h)."""
_INTERRUPTED = 130  # what shells report of a program that Ctrl-C has ended
_STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""Ctrl-C, the usual request to end, and the two with which schedulers announce the end of a job."""
_ECHO = 2.0  # seconds in which a signal may arrive twice: from the terminal, and passed on by torchrun


class RunInUse(UserError, RuntimeError):
    """Another process is training in the run folder."""


@contextlib.contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Lock the run folder inside a ``with`` block. The system releases the lock however the process ends.

    Raises:
        RunInUse: another process holds the lock.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, run_lock(Path(folder)), run_lock(Path(folder)):
    ...     pass
    Traceback (most recent call last):
    avae_lib.training.run_guards.RunInUse: another process is training in ...: wait for it, or choose another folder
    """
    with (run_dir / ".lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as problem:
                raise RunInUse(
                    f"another process is training in {run_dir}: wait for it, or choose another folder"
                ) from problem
            except OSError:
                pass  # some file systems, such as a mounted Google Drive, have no locks: the folder is not guarded
        yield


class TrainingInterrupted(KeyboardInterrupt):
    """Training was asked to stop, and has saved its state.

    ``exit_status`` is 130 if a person has stopped it by Ctrl-C, and otherwise ``UNFINISHED``.

    >>> TrainingInterrupted("stopped after step 7", signal.SIGTERM).exit_status
    75
    """

    def __init__(self, message: str, number: int | None = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_status = _INTERRUPTED if number == signal.SIGINT else UNFINISHED


@contextlib.contextmanager
def status_of_unfinished() -> Iterator[None]:
    """In a ``with`` block, SIGTERM, SIGUSR1 and SIGUSR2 end the program with ``UNFINISHED``: a scheduler tries again.

    Meant for the time before the first update and after the last one, when there is nothing to save.

    Raises:
        TrainingInterrupted: one of these signals has arrived.

    >>> try:
    ...     with status_of_unfinished():
    ...         signal.raise_signal(signal.SIGTERM)
    ... except TrainingInterrupted as stopped:
    ...     print(stopped, stopped.exit_status)
    stopped by SIGTERM before the first update or after the last one 75
    """

    def stop(number: int) -> None:
        name = signal.Signals(number).name
        raise TrainingInterrupted(f"stopped by {name} before the first update or after the last one", number)

    with _calling(stop, [number for number in _STOPPING if number != signal.SIGINT]):
        yield


@contextlib.contextmanager
def _calling(act: Callable[[int], None], numbers: Sequence[int]) -> Iterator[None]:
    """Inside a ``with`` block, each of these signals calls ``act``; outside of the main thread none does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    before = {number: signal.signal(number, lambda number, frame: act(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopRequest:
    """Whether a signal has asked training to stop.

    >>> request = StopRequest()
    >>> request.made
    False
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal, for example ``signal.SIGTERM``; None as long as there was none."""
        self._last: dict[int, float] = {}

    @property
    def made(self) -> bool:
        """Whether there was a signal."""
        return self.number is not None

    def note(self, number: int, now: float) -> None:
        """Note a signal that has arrived at a time, in seconds.

        Raises:
            KeyboardInterrupt: the same signal has come before, so the sender does not want to wait.
        """
        before = self._last.setdefault(number, now)
        if now - before > _ECHO:
            raise KeyboardInterrupt
        self.number = number if self.number is None else self.number


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside a ``with`` block, note Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 in the request.

    The same signal once more stops at once, unless it comes within two seconds: torchrun passes on what the terminal
    has sent to all processes. A second signal of another kind does not, because schedulers send one after the other.

    >>> with stop_on_signals() as request:
    ...     signal.raise_signal(signal.SIGINT)
    ...     request.made
    True
    """
    request = StopRequest()
    with _calling(lambda number: request.note(number, time.monotonic()), _STOPPING):
        yield request
