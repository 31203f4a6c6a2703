"""Forks processes into compartments, one after the other, on the judge's orders.

Orders come over standard input. The process that forks never runs or reads a student's code or files. Each forked
process talks to the judge through descriptors that come with its order and are closed here at once. Each order starts
three processes, each the child of the one before:

* the *keeper* enters a compartment, waits until the compartment ends, and reports how;
* the *first process* of the compartment prepares it, waits for permission to go on, and gives up its rights;
* the *worker* does the work. When it ends, the first process ends, and all others in the compartment with it.

There is only one compartment at a time. This file is mounted into the sandbox; its orders come from
:mod:`autograder.sandbox.warm_sandbox`. Started by itself, it forks processes that do nothing, which
shows whether a machine allows compartments.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import compartment

__all__ = ["serve", "take_orders_from_judge"]

Work = Callable[[dict[str, int]], None]

_LONGEST_ORDER = 2**17
_MOST_DESCRIPTORS = 4
_FAILED = 125
_SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.ENFILE, errno.EMFILE, errno.EINTR)


def take_orders_from_judge() -> socket.socket:
    """Return the line to the judge, and replace standard input by an empty file."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return control


def serve(control: socket.socket, work: Work) -> None:
    """Report that the interpreter is ready, then fork a process for each order until the judge hangs up.

    Args:
        work: called in each forked process, in its compartment and without rights, with the kernel's limits.
    """
    control.send(b"ready")
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, _LONGEST_ORDER, _MOST_DESCRIPTORS)
        if not order:
            return
        _fork(control, work, json.loads(order), descriptors)


def _fork(control: socket.socket, work: Work, order: dict[str, Any], descriptors: Sequence[int]) -> None:
    *streams, reporting = descriptors
    report, keeper = socket.socket(fileno=reporting), 0
    if len(os.listdir("/proc/self/task")) > 1:
        report.send(b"refused: what is imported beforehand starts threads, which cannot be forked")
    elif (keeper := os.fork()) == 0:
        control.close()
        _keep(work, order, streams, report)
    _close(descriptors)
    report.detach()
    if keeper:
        os.waitpid(keeper, 0)


def _keep(work: Work, order: dict[str, Any], streams: Sequence[int], report: socket.socket) -> NoReturn:
    """Report the first process's exit status as a decimal number, or in words why there is no compartment."""
    with _reporting(report):
        compartment.enter()
        compartment.die_with_parent()
        if (first := os.fork()) == 0:
            _lead(work, order, streams, report)
        _close(streams)
        _, status = os.waitpid(first, 0)
        report.send(str(_shell_status(status)).encode())
    os._exit(0)


def _lead(work: Work, order: dict[str, Any], streams: Sequence[int], report: socket.socket) -> NoReturn:
    """Run the first process; the compartment ends with it."""
    status = _FAILED
    with _reporting(report):
        compartment.die_with_parent()
        _take_over(streams, report)
        compartment.furnish(order["folders"], order["scratch_bytes"], order["home"])
        report.send(b"here")
        if report.recv(16) == b"go":
            compartment.give_up_rights(bytes.fromhex(order["system_calls"]))
            report.send(b"gone")
            report.close()
            status = _lead_worker(work, order["limits"])
    os._exit(status)


@contextlib.contextmanager
def _reporting(report: socket.socket) -> Iterator[None]:
    """Report a problem to the judge: the machine refuses something, or was short of it for a moment."""
    try:
        yield
    except BaseException as problem:
        refused = isinstance(problem, OSError) and problem.errno not in _SHORTAGES
        with contextlib.suppress(OSError):
            report.send(f"{'refused' if refused else 'failed'}: {problem or type(problem).__name__}".encode())


def _take_over(streams: Sequence[int], report: socket.socket) -> None:
    """Make the three streams the standard streams, and close everything else except the report."""
    os.setsid()
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
    os.closerange(3, report.fileno())
    os.closerange(report.fileno() + 1, os.sysconf("SC_OPEN_MAX"))


def _lead_worker(work: Work, limits: dict[str, int]) -> int:
    """Start the worker and wait for it; return its exit status as a shell does.

    Signals from inside the compartment do not reach this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if (worker := os.fork()) == 0:
        _do(work, limits)
    os.closerange(0, 3)
    while True:
        ended, status = os.wait()  # processes whose parent has ended are also reported here
        if ended == worker:
            return _shell_status(status)


def _do(work: Work, limits: dict[str, int]) -> NoReturn:
    """Do the work as a newly started interpreter would, and exit."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        work(limits)
        status = 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(status)


def _shell_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


if __name__ == "__main__":
    serve(take_orders_from_judge(), lambda limits: None)
