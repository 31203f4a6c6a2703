"""What protects a run: a lock that keeps other processes out of its folder, and signals that wait for an update."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the folder is not guarded
    fcntl = None

from avae_lib.errors import UserError

__all__ = ["RunInUse", "StopRequest", "TrainingInterrupted", "run_lock", "stop_on_signals"]


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
    """Training was asked to stop, and has saved its state."""


class StopRequest:
    """Whether a signal has asked training to stop.

    >>> request = StopRequest()
    >>> request.made
    False
    """

    def __init__(self) -> None:
        self.made = False


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside a ``with`` block, the first Ctrl-C or SIGTERM is noted in the request; the second one stops at once.

    >>> with stop_on_signals() as request:
    ...     signal.raise_signal(signal.SIGINT)
    ...     request.made
    True
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals reach the main thread only
        return

    def note(signum, frame):
        if request.made:
            raise KeyboardInterrupt
        request.made = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
