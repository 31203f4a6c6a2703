"""The program inside a sandbox: it runs cells of a student's notebook and lets the judge call what they define.

It is started with limits as its only argument, or forked from :mod:`warm_interpreter`. It reports that it is ready and
then answers messages until it is killed. The student's code shares this process and can change anything in it, so the
judge believes no answer from here. The judge's end is :mod:`autograder.sandbox.session`. The only files of the grader
that are mounted are those that :mod:`autograder.sandbox.program` lists.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import torch
from frames import HEADER, MAX_FRAME, decode, encode
from IPython.core.interactiveshell import InteractiveShell
from torch._C import _len_torch_function_stack
from torch.overrides import _pop_mode
from traces import Traces
from traitlets.config import Config

from avae_lib import components

MAX_TEXT = 500


def copies_of_our_own(*names: str) -> list[ModuleType]:
    """Second copies of modules, which imports in a cell do not find and so cannot change."""
    package = names[0].rpartition(".")[0]
    public = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(package)}
    copies = [importlib.import_module(name) for name in names]
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]
    sys.modules.update(public)
    vars(sys.modules["avae_lib"])["checking"] = public[package]
    return copies


harnesses, records, remote_calls = copies_of_our_own(
    "avae_lib.checking.harnesses", "avae_lib.checking.records", "avae_lib.checking.remote_calls"
)


class Shell(InteractiveShell):
    """IPython without a terminal: magics and ``!`` work, windows and ``exit()`` do nothing."""

    def enable_gui(self, gui: str | None = None) -> None:
        """Called by ``%matplotlib``; there is no window to draw in."""

    def ask_exit(self) -> None:
        """``exit()`` at the end of a cell ends nothing."""

    def showtraceback(self, *_: Any, **__: Any) -> None:
        """Errors are reported, not printed: drawing the frames of an endless recursion takes many seconds."""

    showsyntaxerror = showtraceback


class Workshop:
    """The namespace in which the cells run, and the components that they have implemented."""

    def __init__(self) -> None:
        settings = Config()
        settings.HistoryManager.enabled = False
        self._shell = Shell.instance(config=settings)
        self._streams = sys.stdout, sys.stderr
        self._implementation = components.implementation
        self._references = {entry.name: entry.reference for entry in components.listing()}
        self._traces = Traces(self._shell)
        self.call_outside: Callable[[dict[str, Any]], dict[str, Any]] = _nobody_there

    def settle_in(self) -> None:
        """Make the folders that the shell expects in the home folder, which is empty in a forked process."""
        profile = self._shell.profile_dir
        assert profile is not None
        os.makedirs(profile.location, exist_ok=True)
        profile.check_dirs()

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what the judge asks, with the standard streams as they were at the start."""
        sys.stdout, sys.stderr = self._streams
        ways = {"run": self._run, "stand_in": self._stand_in, "observe": self._observe, "call": self._call}
        return ways[message["do"]](message)

    def _run(self, message: dict[str, Any]) -> dict[str, Any]:
        """Run one cell; report the error it raised, if any, and the watched names it left changed."""
        result = self._shell.run_cell(message["source"], store_history=False)
        error = result.error_before_exec or result.error_in_exec
        return {"error": error and _described(error), "changed": self._traces.left()}

    def _stand_in(self, message: dict[str, Any]) -> dict[str, Any]:
        """Define functions that are computed outside, as if cells had defined them."""
        for name in message["names"]:
            function = remote_calls.stand_in(name, lambda call: self.call_outside(call))
            self._shell.user_ns[name] = components.implements(name)(function)
        return {}

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        """Call a function of the library; its arguments and its result are JSON values."""
        function = getattr(importlib.import_module(message["module"]), message["function"])
        return {"result": function(**message["arguments"])}

    def _observe(self, message: dict[str, Any]) -> dict[str, Any]:
        while _len_torch_function_stack():  # a mode that a cell has left open would see every call of torch
            _pop_mode()
        request = records.Request.from_json(message["request"])
        function = self._implementation(request.component)
        if function is self._references[request.component]:
            return {"missing": True}
        return {"observation": harnesses.observe(function, request).to_json()}


class Line:
    """The line to the judge, on descriptors of its own; the standard streams are left to the student's code."""

    def __init__(self) -> None:
        self._incoming: BinaryIO = os.fdopen(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 100), "rb")
        self._outgoing: BinaryIO = os.fdopen(fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 100), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.closerange(3, 100)
        self._one_at_a_time = threading.Lock()
        self.answering = ""

    def send(self, message: dict[str, Any]) -> None:
        self._write(encode(message))

    def _write(self, frame: bytes) -> None:
        self._outgoing.write(frame)
        self._outgoing.flush()

    def receive(self) -> dict[str, Any] | None:
        """The next message; None if the judge has hung up."""
        header = self._incoming.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        return decode(self._incoming.read(*HEADER.unpack(header)))

    def call(self, call: dict[str, Any]) -> dict[str, Any]:
        """Let the judge compute something while this program is answering it.

        Raises:
            ValueError: the call is larger than the judge reads; sending it would end the session.
        """
        with self._one_at_a_time:
            frame = encode({"id": self.answering, "call": call})
            if len(frame) > MAX_FRAME:
                raise ValueError(f"{call['component']}: these tensors are too large to be sent where it is computed")
            self._write(frame)
            message = self.receive()
            assert message is not None, "the judge has hung up"
            return message["response"]


def limit_this_process(limits: dict[str, int]) -> None:
    """Set the kernel's limits for this process; address space counts from what torch has taken already.

    The first process of the sandbox gets them too: it belongs to the same user, so students' code can write into its
    memory. The limit on processes is left out if the kernel would count processes outside the sandbox.
    """
    if (pages := Path("/proc/self/statm")).exists():  # only Linux keeps this limit
        _limit(resource.RLIMIT_AS, int(pages.read_text().split()[0]) * resource.getpagesize() + limits["memory_bytes"])
    _limit(resource.RLIMIT_CPU, limits["cpu_seconds"], grace=1)  # the signal comes first and shows what happened
    _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_CORE, 1)  # with 0, a machine that pipes cores to a program would still do so
    if "processes" in limits:
        _limit(resource.RLIMIT_NPROC, limits["processes"])


def _limit(kind: int, most: int, grace: int = 0) -> None:
    _, ceiling = resource.getrlimit(kind)
    if ceiling != resource.RLIM_INFINITY:
        most = min(most, ceiling - grace)
    resource.setrlimit(kind, (most, most + grace))
    if os.getppid() == 1:
        with contextlib.suppress(PermissionError):  # it belongs to another user, so its memory cannot be reached
            resource.prlimit(1, kind, (most, most + grace))


def serve(line: Line, workshop: Workshop) -> None:
    """Answer messages until the judge hangs up."""
    this_process = os.getpid()
    workshop.call_outside = line.call
    while message := line.receive():
        line.answering = message["id"]
        try:
            answer = workshop.answer(message)
        except BaseException:  # the student's code has broken what this program needs to run
            answer = {"broken": True}
        if os.getpid() != this_process:  # the student's code forked, and this is the copy
            os._exit(0)
        _flush()
        line.send({"id": message["id"], **answer})


def _nobody_there(call: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("no stand-in can be called yet: the judge has not asked for anything")


def _described(error: BaseException) -> dict[str, str]:
    try:
        message = str(error)[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8")
    except BaseException:  # an exception whose own __str__ fails
        message = ""
    return {"type": str(type(error).__name__)[:MAX_TEXT], "message": message}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


def work(workshop: Workshop, limits: dict[str, int]) -> None:
    """Report that the program is ready, and answer messages until the judge hangs up."""
    line = Line()
    workshop.settle_in()
    limit_this_process(limits)
    line.send({"ready": True})
    serve(line, workshop)


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Workshop(), json.loads(sys.argv[1]))
