"""Keeps a sandbox whose program forks processes on request, each into a compartment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from autograder.sandbox.bubblewrap import HOME, SCRATCH, launch
from autograder.sandbox.cgroups import Group, NoGroup, new_group
from autograder.sandbox.limits import Limits
from autograder.sandbox.mounts import Mount
from autograder.sandbox.process_usage import Patience
from autograder.sandbox.program import PYTHON_PATH, kernel_limits
from autograder.sandbox.seccomp import system_call_filter

__all__ = ["ForkedProcess", "NoWarmStart", "WarmSandbox"]

_SECONDS_TO_FORK = 10.0
_SECONDS_BETWEEN_LOOKS = 0.5
_LONGEST_REPORT = 1024
_KILLED = 128 + signal.SIGKILL
_CREDENTIALS = socket.CMSG_SPACE(struct.calcsize("3i"))  # process, user and group


class NoWarmStart(RuntimeError):
    """No process could be forked; the message says why.

    Args:
        for_good: whether this machine always refuses it, so it is useless to try again.
    """

    def __init__(self, reason: str, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class ForkedProcess:
    """The first process of a compartment, with the interface of a :class:`subprocess.Popen`.

    Args:
        process: the number of the process.
        handle: a descriptor of the process.
        report: the socket on which its end is reported.
        streams: our ends of its standard input, output and error.
        at_end: called once, after everything in the compartment has ended, with whether the sandbox can be reused.
    """

    def __init__(
        self,
        process: int,
        handle: int,
        report: socket.socket,
        streams: Sequence[int],
        at_end: Callable[[bool], None],
    ) -> None:
        self.pid = process
        self.returncode: int | None = None
        self._handle, self._report, self._at_end = handle, report, at_end
        self._lock = threading.Lock()
        self.stdin, self.stdout, self.stderr = map(os.fdopen, streams, ("wb", "rb", "rb"), (0, 0, 0))

    def kill(self) -> None:
        """Kill the whole compartment: it does not outlive its first process."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self.returncode is None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until everything in the compartment has ended; return the exit status as a shell does."""
        if self.returncode is None:
            if not _has_something(self._report, timeout):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            self._note_end(self._report.recv(_LONGEST_REPORT))
        assert self.returncode is not None
        return self.returncode

    def _note_end(self, told: bytes) -> None:
        """Note the exit status. If the report is empty, the sandbox has ended with all of its compartments."""
        with self._lock:
            self.returncode = int(told) if told.isdigit() else _KILLED
            os.close(self._handle)
        self._report.close()
        self._at_end(told.isdigit())


class WarmSandbox:
    """A sandbox with a program that forks. It dies with the thread that made it, or when it is garbage-collected.

    Args:
        program: the command of the program that forks.
        in_group: whether the program must be in a control group.
        seconds: how long to wait until it is ready. Waiting for a busy processor does not count.

    Raises:
        NoWarmStart: the program is not ready in time.
        SandboxUnavailable: this machine cannot run a sandbox at all, or not with these mounts.
    """

    def __init__(
        self,
        program: Sequence[str],
        mounts: Sequence[Mount],
        limits: Limits,
        hidden: Sequence[Path] = (),
        in_group: bool = False,
        seconds: float = _SECONDS_TO_FORK,
    ) -> None:
        self._limits, self._maker = limits, _this_thread()
        with contextlib.ExitStack() as undone, _as_no_warm_start():
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undone.callback(self._control.close)
            group = new_group(limits) if in_group else None
            undone.callback(_remove, group)
            with theirs:
                joining, size = group.joining() if group else (), limits.scratch_bytes
                self._process = launch(program, mounts, size, PYTHON_PATH, hidden, joining, theirs.fileno())
            undone.pop_all()
        self._ending = weakref.finalize(self, _end, os.getpid(), self._process, self._control, group)
        self._wait_until_ready(seconds)

    def fork(self, group: Group | None, at_end: Callable[[bool], None]) -> ForkedProcess:
        """Fork a process into a new compartment, in the control group ``group``.

        Raises:
            NoWarmStart: the program is dead or slow, or the machine refuses something that a compartment needs.
        """
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as undone, _as_no_warm_start():
            (their_in, our_in), (our_out, their_out), (our_error, their_error) = (os.pipe() for _ in range(3))
            theirs.callback(_close, (their_in, their_out, their_error))
            undone.callback(_close, ours := (our_in, our_out, our_error))
            report, their_report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undone.callback(report.close)
            with their_report:
                self._order([their_in, their_out, their_error, their_report.fileno()])
            process, handle = self._led_in(report, group)
            undone.pop_all()
            return ForkedProcess(process, handle, report, ours, at_end)

    def is_usable(self) -> bool:
        """Whether the sandbox is alive and was made by this thread of this very process, not of its parent."""
        return self._maker == _this_thread() and self._ending.alive and self._process.poll() is None

    def close(self) -> None:
        """Kill everything in the sandbox."""
        self._ending()

    def _wait_until_ready(self, seconds: float) -> None:
        try:
            said, _ = self._heard(self._control, seconds)
            _require(b"ready", said or self._last_words())
        except BaseException:
            self.close()
            raise

    def _last_words(self) -> bytes:
        self._process.kill()
        assert self._process.stderr is not None
        return b" ".join(self._process.stderr.read().split())[-_LONGEST_REPORT:]

    def _order(self, descriptors: Sequence[int]) -> None:
        order = {
            "limits": kernel_limits(self._limits),
            "folders": SCRATCH,
            "scratch_bytes": self._limits.scratch_bytes,
            "home": HOME,
            "system_calls": system_call_filter().hex(),
        }
        socket.send_fds(self._control, [json.dumps(order).encode()], descriptors)

    def _led_in(self, report: socket.socket, group: Group | None) -> tuple[int, int]:
        """Put a compartment's first process into its group and let it go on; return its number and a descriptor.

        The number comes from the kernel, because the process knows only its number inside.
        """
        report.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        said, process = self._heard(report, _SECONDS_TO_FORK)
        _require(b"here", said)
        with contextlib.ExitStack() as undone:
            handle = os.pidfd_open(process)
            undone.callback(os.close, handle)
            if group:
                group.admit(process)
            report.send(b"go")
            said, _ = self._heard(report, _SECONDS_TO_FORK)
            _require(b"gone", said)
            undone.pop_all()
        return process, handle

    def _heard(self, line: socket.socket, seconds: float) -> tuple[bytes, int]:
        """The next message, and the number of the process that sent it if the line asks the kernel for it."""
        patience = Patience(self._process.pid, seconds)
        while not _has_something(line, _SECONDS_BETWEEN_LOOKS):
            if patience.left() <= 0:
                raise NoWarmStart("the warm interpreter is not ready in time")
        said, facts, *_ = line.recvmsg(_LONGEST_REPORT, _CREDENTIALS)
        credentials = next((content for _, _, content in facts), bytes(_CREDENTIALS))
        return said, struct.unpack_from("i", credentials)[0]


def _require(wanted: bytes, said: bytes) -> None:
    if said != wanted:
        text = said.decode("utf-8", "replace") or "the warm interpreter is gone"
        raise NoWarmStart(text, for_good=text.startswith("refused: "))


@contextlib.contextmanager
def _as_no_warm_start() -> Iterator[None]:
    """Turn refusals of the system into :class:`NoWarmStart`, so that the caller makes a cold start."""
    try:
        yield
    except NoGroup as refusal:
        raise NoWarmStart(str(refusal), for_good=True) from None
    except OSError as problem:
        raise NoWarmStart(str(problem)) from None


def _has_something(line: socket.socket, seconds: float | None) -> bool:
    """Whether something can be read from a line within the given time."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))


def _end(maker: int, process: subprocess.Popen[bytes], control: socket.socket, group: Group | None) -> None:
    if os.getpid() != maker:  # this process is only a forked copy of the owner
        return
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr, control):
        if stream is not None:
            stream.close()
    _remove(group)


def _remove(group: Group | None) -> None:
    if group:
        group.remove()


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _this_thread() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()
