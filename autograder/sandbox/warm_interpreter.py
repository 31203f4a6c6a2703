"""A warm interpreter: it has imported all that cells of notebooks need, and forks a process for each notebook.

It never runs or reads anything of a student's. What a forked process and the judge say to each other goes through
descriptors that are handed over for this one process and closed here at once. Three processes stand in a line:

* the *keeper* enters a compartment, waits for what happens in it, and reports the end;
* the *first process* of the compartment furnishes it, waits for leave to go on, and gives up its rights;
* the *worker* runs :mod:`inside` on the notebook. When it ends, the first process does, and all others with that.

There is only one compartment at a time. This file is mounted into the sandbox; it obeys
:mod:`autograder.sandbox.warm_starts` at the other end of its standard input.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import compartment
import inside
import numpy
import torch

_LONGEST_ORDER = 2**17
_MOST_DESCRIPTORS = 4
_FAILED = 125


def main() -> None:
    control = _control()
    torch.set_num_threads(1)
    workshop = inside.Workshop()
    _warm_up()
    control.send(b"ready")
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, _LONGEST_ORDER, _MOST_DESCRIPTORS)
        if not order:  # the judge has hung up
            return
        _fork(control, workshop, json.loads(order), descriptors)


def _control() -> socket.socket:
    """The line to the judge, moved away from standard input."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return control


def _warm_up() -> None:
    """Have the first call of a function import what first calls import."""
    number = torch.ones(2)
    request = inside.records.Request("", {"number": number}, gradients=("number",), seed=0)
    inside.observing.observe(lambda number: 2 * number, request).to_json()
    gc.collect()
    gc.freeze()  # or the next collection would copy every page that is shared


def _fork(control: socket.socket, workshop: inside.Workshop, order: dict[str, Any], descriptors: Sequence[int]) -> None:
    *streams, reporting = descriptors
    report, keeper = socket.socket(fileno=reporting), 0
    if len(os.listdir("/proc/self/task")) > 1:
        report.send(b"the warm interpreter has started threads")
    elif (keeper := os.fork()) == 0:
        control.close()
        _keep(workshop, order, streams, report)
    _close(descriptors)
    report.detach()
    if keeper:
        os.waitpid(keeper, 0)


def _keep(workshop: inside.Workshop, order: dict[str, Any], streams: Sequence[int], report: socket.socket) -> NoReturn:
    """Report as a decimal number how the first process ended, or in words what the compartment is missing."""
    try:
        compartment.enter()
        compartment.die_with_parent()
        if (first := os.fork()) == 0:
            _lead(workshop, order, streams, report)
        _close(streams)
        _, status = os.waitpid(first, 0)
        report.send(str(_shell_status(status)).encode())
    except BaseException as problem:
        report.send(f"{type(problem).__name__}: {problem}".encode())
    finally:
        os._exit(0)


def _lead(workshop: inside.Workshop, order: dict[str, Any], streams: Sequence[int], report: socket.socket) -> NoReturn:
    """What the first process does; its end is the compartment's end."""
    status = _FAILED
    try:
        compartment.die_with_parent()
        _take_over(streams, report)
        compartment.furnish(order["folders"], order["scratch_bytes"], order["home"])
        report.send(b"here")
        if report.recv(16) == b"go":
            compartment.give_up_rights(bytes.fromhex(order["system_calls"]))
            report.send(b"gone")
            report.close()
            status = _lead_worker(workshop, order["limits"])
    except OSError as problem:
        report.send(str(problem).encode())
    finally:
        os._exit(status)


def _take_over(streams: Sequence[int], report: socket.socket) -> None:
    """Have the three streams for standard ones, and nothing else open but the report."""
    os.setsid()
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
    os.closerange(3, report.fileno())
    os.closerange(report.fileno() + 1, os.sysconf("SC_OPEN_MAX"))


def _lead_worker(workshop: inside.Workshop, limits: dict[str, int]) -> int:
    """Wait for the worker; its end as a shell tells it. Signals from the compartment do not reach this process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if (worker := os.fork()) == 0:
        _work(workshop, limits)
    os.closerange(0, 3)
    while True:
        ended, status = os.wait()  # orphans come here as well
        if ended == worker:
            return _shell_status(status)


def _work(workshop: inside.Workshop, limits: dict[str, int]) -> NoReturn:
    """Run the program as an interpreter does that has just been started, with random numbers of its own."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        random.seed()
        numpy.random.seed()
        torch.default_generator.seed()
        inside.work(workshop, limits)
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _shell_status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


if __name__ == "__main__":
    main()
