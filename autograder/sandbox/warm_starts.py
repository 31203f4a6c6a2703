"""Sandboxes in milliseconds: compartments of one sandbox in which an interpreter waits that has imported everything.

Importing torch takes seconds, and is the same for every submission. So one sandbox is kept in which
:mod:`autograder.sandbox.warm_interpreter` waits, an interpreter that never runs a student's code. For each session it
forks a process into a compartment: namespaces, folders in memory, limits and a control group of its own
(:mod:`autograder.sandbox.compartment`). What comes out of this module is used like a sandbox that was started cold, and
where it cannot be had, a cold one is.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.sandbox.bubblewrap import HOME, SCRATCH, launch
from autograder.sandbox.cgroups import Group, new_group
from autograder.sandbox.limits import Limits
from autograder.sandbox.processes import Patience
from autograder.sandbox.program import PYTHON_PATH, WARM, kernel_limits, program_mounts
from autograder.sandbox.seccomp import system_call_filter

__all__ = ["ForkedProcess", "NoWarmStart", "forked_process"]

_SECONDS_TO_FORK = 10.0
_LONGEST_REPORT = 1024
_KILLED = 128 + signal.SIGKILL
_SECONDS_BETWEEN_LOOKS = 0.5
_CREDENTIALS = socket.CMSG_SPACE(struct.calcsize("3i"))  # process, user and group


class NoWarmStart(RuntimeError):
    """Nothing could be forked here and now; the message says why."""


@dataclass(frozen=True)
class _Purpose:
    """What a warm interpreter is for; it serves no other.

    Attributes:
        folder: number of the folder that holds the library, which tells one from a later one under the same name.
        in_group: whether the interpreter has to be in a control group.
    """

    edition: Path
    folder: int
    limits: Limits
    hidden: tuple[Path, ...]
    in_group: bool


class ForkedProcess:
    """The first process of a compartment, to be used as a :class:`subprocess.Popen` is.

    Args:
        process: its number.
        report: where its end will be told.
        streams: our ends of its standard input, output and error.
    """

    def __init__(
        self, process: int, interpreter: _WarmInterpreter, report: socket.socket, streams: Sequence[int]
    ) -> None:
        self.pid, self.returncode = process, None
        self._interpreter, self._report = interpreter, report
        self._handle = os.pidfd_open(process)
        self._lock = threading.Lock()
        self.stdin, self.stdout, self.stderr = map(os.fdopen, streams, ("wb", "rb", "rb"), (0, 0, 0))

    def kill(self) -> None:
        """Kill the whole compartment: it does not outlive its first process."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self.returncode is None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Its end, as a shell tells it, once nothing of the compartment is left."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout)
            self._note_end(self._report.recv(_LONGEST_REPORT))
        return self.returncode

    def _note_end(self, told: bytes) -> None:
        """Nothing is told where the interpreter is gone, and all of its compartments with it."""
        with self._lock:
            self.returncode = int(told) if told.isdigit() else _KILLED
            os.close(self._handle)
        self._report.close()
        self._interpreter.take_back(is_well=told.isdigit())


class _WarmInterpreter:
    """A sandbox in which an interpreter waits. It dies with the thread that made it.

    Raises:
        NoWarmStart: it is not ready in time.
    """

    def __init__(self, purpose: _Purpose, seconds: float) -> None:
        self.purpose, self._maker = purpose, _this_thread()
        self._group = _group(purpose)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = self._launched(theirs)
        except BaseException:
            self._control.close()
            self._remove_group()
            raise
        try:
            self._wait_until_ready(seconds)
        except BaseException:
            self.close()
            raise

    def fork(self, group: Group | None) -> ForkedProcess:
        """A process in a new compartment, and in ``group``.

        Raises:
            NoWarmStart: the interpreter is dead, or the machine refuses something that belongs to a compartment.
        """
        pipes = [os.pipe() for _ in range(3)]
        (their_in, our_in), (our_out, their_out), (our_error, their_error) = pipes
        report, their_report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._order([their_in, their_out, their_error, their_report.fileno()])
            their_report.close()
            return ForkedProcess(_led_in(report, group), self, report, (our_in, our_out, our_error))
        except BaseException as refusal:
            report.close()
            _close((our_in, our_out, our_error))
            if isinstance(refusal, OSError):
                raise NoWarmStart(str(refusal)) from None
            raise
        finally:
            their_report.close()
            _close((their_in, their_out, their_error))

    def take_back(self, is_well: bool) -> None:
        """Keep it for the next session of this thread, unless it is lost, or another one is kept already."""
        if is_well and _kept_here() is None and self.is_usable():
            _kept.interpreter = self
        else:
            self.close()

    def is_usable(self) -> bool:
        """Whether it belongs to this thread, rather than to one that this process is a copy of, and is alive."""
        return self._maker == _this_thread() and self._process.poll() is None

    def close(self) -> None:
        """Kill everything in the sandbox."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr, self._control):
            stream.close()
        self._remove_group()

    def _launched(self, control: socket.socket) -> subprocess.Popen[bytes]:
        purpose = self.purpose
        mounts, size = program_mounts(purpose.edition), purpose.limits.scratch_bytes
        joining = self._group.joining() if self._group else ()
        return launch(WARM, mounts, size, PYTHON_PATH, purpose.hidden, joining, control.fileno())

    def _wait_until_ready(self, seconds: float) -> None:
        patience = Patience(self._process.pid, seconds)
        while not select.select([self._control], [], [], _SECONDS_BETWEEN_LOOKS)[0]:
            if patience.left() <= 0:
                raise NoWarmStart("the warm interpreter is not ready in time")
        if self._control.recv(_LONGEST_REPORT) != b"ready":
            raise NoWarmStart("the warm interpreter does not start")

    def _order(self, descriptors: Sequence[int]) -> None:
        limits = self.purpose.limits
        order = {
            "limits": kernel_limits(limits),
            "folders": SCRATCH,
            "scratch_bytes": limits.scratch_bytes,
            "home": HOME,
            "system_calls": system_call_filter().hex(),
        }
        socket.send_fds(self._control, [json.dumps(order).encode()], descriptors)

    def _remove_group(self) -> None:
        if self._group:
            self._group.remove()


def forked_process(
    edition: Path, limits: Limits, hidden: Iterable[Path], group: Group | None, seconds: float
) -> ForkedProcess:
    """A process that is about to run :mod:`autograder.sandbox.inside`, apart from all others.

    Args:
        group: the control group for it.
        seconds: to wait for an interpreter, if none is warm.

    Raises:
        NoWarmStart: start a sandbox of its own instead.
    """
    if _refusals:
        raise NoWarmStart(_refusals[0])
    folder = (edition / "avae_lib").stat().st_ino
    purpose = _Purpose(edition, folder, limits, tuple(hidden), group is not None)
    with contextlib.suppress(NoWarmStart):  # what was kept may be dead
        if interpreter := _kept_for(purpose):
            return _forked(interpreter, group)
    try:
        return _forked(_WarmInterpreter(purpose, seconds), group)
    except NoWarmStart as refusal:
        if seconds >= limits.start_seconds:
            _refusals.append(str(refusal))
        raise


_kept = threading.local()  # one interpreter at most: each takes a few hundred megabytes
_refusals: list[str] = []  # trying again and again would make every start slower than a cold one


def _forked(interpreter: _WarmInterpreter, group: Group | None) -> ForkedProcess:
    try:
        return interpreter.fork(group)
    except BaseException:
        interpreter.close()
        raise


def _kept_here() -> _WarmInterpreter | None:
    return getattr(_kept, "interpreter", None)


def _kept_for(purpose: _Purpose) -> _WarmInterpreter | None:
    """The interpreter that is kept, if it will do, and kept no more; any other is ended."""
    interpreter, _kept.interpreter = _kept_here(), None
    if interpreter is None or not interpreter.is_usable():
        return None
    if interpreter.purpose == purpose:
        return interpreter
    interpreter.close()
    return None


@atexit.register
def _end_kept() -> None:
    interpreter, _kept.interpreter = _kept_here(), None
    if interpreter is not None and interpreter.is_usable():
        interpreter.close()


def _this_thread() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def _group(purpose: _Purpose) -> Group | None:
    return new_group(purpose.limits) if purpose.in_group else None


def _led_in(report: socket.socket, group: Group | None) -> int:
    """Put the first process of a compartment into its group and let it go on; its number.

    The kernel tells who it is; the process itself knows only its number inside.
    """
    report.settimeout(_SECONDS_TO_FORK)
    report.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    said, facts, *_ = report.recvmsg(_LONGEST_REPORT, _CREDENTIALS)
    if said != b"here":
        raise NoWarmStart(said.decode("utf-8", "replace") or "the warm interpreter is gone")
    ((_, _, credentials),) = facts
    process, _, _ = struct.unpack("3i", credentials)
    if group:
        group.admit(process)
    report.send(b"go")
    if (said := report.recv(_LONGEST_REPORT)) != b"gone":
        raise NoWarmStart(said.decode("utf-8", "replace") or "the warm interpreter is gone")
    report.settimeout(None)
    return process


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
