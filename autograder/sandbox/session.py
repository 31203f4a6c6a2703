"""Runs one sandbox: starts it, asks it one thing after another within limits of time and size, and kills it.

If the student's code breaks the session, :class:`SessionLost` says how, in a sentence for the student.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.plain_text import printable
from autograder.sandbox.bubblewrap import SCRATCH, SandboxUnavailable, launch
from autograder.sandbox.cgroups import Group, NoGroup, new_group
from autograder.sandbox.container import is_out_of_memory
from autograder.sandbox.inside.frames import MalformedFrame
from autograder.sandbox.inside.watched_names import is_known
from autograder.sandbox.judge_channel import ChannelClosed, JudgeChannel
from autograder.sandbox.limits import Limits
from autograder.sandbox.process_usage import Patience
from autograder.sandbox.program import PROGRAM, PYTHON_PATH, kernel_limits, program_mounts
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind, SandboxProcess, launch_other
from autograder.sandbox.warm_sandbox import NoWarmStart
from autograder.sandbox.warm_starts import forked_process
from autograder.sandbox.watchdog import Watchdog, too_much_memory
from avae_lib.checking.records import MalformedObservation, Observation, Request

__all__ = ["CellOutcome", "NotDefined", "Session", "SessionLost"]

_LAST_WORDS = 2000
_MAX_NAMES = 20
_MAX_TEXT = 500
_MOST_OUTSIDE = 2


class SessionLost(Exception):
    """The sandbox is dead, or cannot be trusted with another question.

    Args:
        reason: one line for the student.
        give_up: whether it is useless to ask again in a fresh sandbox.
    """

    def __init__(self, reason: str, give_up: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.give_up = give_up


class NotDefined(Exception):
    """Nothing in the notebook implements the requested component."""


@dataclass(frozen=True)
class CellOutcome:
    """How a cell ended: what it raised, as one line (empty if nothing), and what it left changed."""

    error: str
    changed: tuple[str, ...]


class Session:
    """A running sandbox. Use it in a ``with`` block, which kills everything in it at the end.

    Args:
        edition: the folder that holds the student edition of ``avae_lib``.
        deadline: the time of :func:`time.monotonic` at which the session ends.
        hidden: files and folders of the machine that are not visible even if they lie inside a mount.
        kind: where students' code runs.
        setup: our own cells that will run first; a warm start imports what they import.
        respond: computes the results of stand-ins (see :meth:`stand_in`).
        warm: whether the sandbox may be forked from a warm interpreter.

    Raises:
        SandboxUnavailable: the sandbox cannot be started on this machine.
        SessionLost: the deadline has passed.
    """

    def __init__(
        self,
        edition: Path,
        limits: Limits,
        deadline: float,
        hidden: Iterable[Path] = (),
        kind: SandboxKind = DEFAULT_KIND,
        setup: Iterable[str] = (),
        respond: Callable[[Any], dict[str, Any]] | None = None,
        warm: bool = True,
    ) -> None:
        self._limits, self._deadline, self._kind, self._respond = limits, deadline, kind, respond
        self._require_time()
        if kind != "bubblewrap":
            self._begin(lambda _: _started_elsewhere(kind, edition, limits))
            return
        sandbox = edition, limits, tuple(hidden)
        if warm:
            with contextlib.suppress(NoWarmStart, SandboxUnavailable):
                self._begin(lambda group: forked_process(*sandbox, setup, group, self._seconds_to_start()))
                return
        self._begin(lambda group: _started_cold(*sandbox, group))

    def run_cell(self, source: str) -> CellOutcome:
        """Run one cell of the notebook."""
        answer = self._exchange({"do": "run", "source": source}, self._limits.cell_seconds, "cell")
        error, changed = answer.get("error"), answer.get("changed")
        return CellOutcome("" if error is None else _one_line(error), _names(changed))

    def stand_in(self, names: Iterable[str]) -> None:
        """Define stand-ins for these components: ``respond`` computes their results and gradients outside."""
        self._exchange({"do": "stand_in", "names": list(names)}, self._limits.cell_seconds, "cell")

    def observe(self, request: Request) -> Observation:
        """Call the student's function as ``request`` asks.

        Raises:
            NotDefined: the notebook has no such function.
            SessionLost: no readable observation came back in time.
        """
        message = {"do": "observe", "request": request.to_json()}
        answer = self._exchange(message, self._limits.ask_seconds, "function")
        if answer == {"missing": True}:
            raise NotDefined(request.component)
        try:
            return Observation.from_json(answer.get("observation"))
        except MalformedObservation as problem:
            raise SessionLost(_disturbed(problem)) from None

    def call(self, function: Callable[..., Any], arguments: dict[str, Any], what: str) -> Any:
        """Call a function of the library in the sandbox; its arguments and its result are JSON values.

        Args:
            what: the subject of the sentence if it takes too long, such as ``"model"``.
        """
        place = {"module": function.__module__, "function": function.__name__}
        answer = self._exchange({"do": "call", **place, "arguments": arguments}, self._limits.ask_seconds, what)
        return answer.get("result")

    @property
    def printed(self) -> str:
        """The beginning of what the notebook printed."""
        return self._watchdog.printed

    @property
    def is_output_cut(self) -> bool:
        return self._watchdog.is_cut

    def close(self) -> None:
        """Kill everything in the sandbox, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._watchdog.join(timeout=10)  # it ends when the last process has closed its standard error
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()
        self._remove_group()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, start: Callable[[Group | None], SandboxProcess]) -> None:
        """Start the process, in a control group if possible, and wait until it is ready."""
        self._group = _group(self._limits) if self._kind == "bubblewrap" else None
        try:
            self._process = start(self._group)
        except BaseException:
            self._remove_group()
            raise
        self._watchdog = Watchdog(self._process, self._limits, SCRATCH if self._kind == "bubblewrap" else ())
        self._watchdog.start()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._line = JudgeChannel(self._process.stdout.fileno(), self._process.stdin.fileno(), self._limits.frame_bytes)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def _seconds_to_start(self) -> float:
        return min(self._limits.start_seconds, self._deadline - time.monotonic())

    def _remove_group(self) -> None:
        if self._group:
            self._group.remove()

    def _wait_until_ready(self) -> None:
        try:
            answer = self._line.receive(self._time_left(self._limits.start_seconds))
        except (TimeoutError, ChannelClosed, MalformedFrame) as problem:
            self.close()
            self._require_time()  # if the deadline cut the start short, the notebook is the cause, not the machine
            said = " ".join(self.printed[-_LAST_WORDS:].split()) or type(problem).__name__
            raise SandboxUnavailable(
                f"the sandbox does not start: {said}; run course doctor to see what is missing"
            ) from None
        if answer != {"ready": True}:
            raise SandboxUnavailable(
                "the sandbox does not start: its first message is not the expected one; run course doctor"
            )

    def _exchange(self, message: dict[str, Any], seconds: float, what: str) -> dict[str, Any]:
        self._require_time()
        try:
            outside = _Outside(self._respond) if self._respond else None
            answer = self._line.exchange(message, self._time_left(seconds, outside), outside)
        except TimeoutError:
            self._require_time()
            raise SessionLost(f"your {what} took longer than {seconds:g} s", give_up=True) from None
        except ChannelClosed:
            raise SessionLost(self._how_it_ended()) from None
        except MalformedFrame as problem:
            raise SessionLost(_disturbed(problem)) from None
        if "broken" in answer:
            raise SessionLost("your code broke what Python itself needs to run")
        return answer

    def _time_left(self, seconds: float, outside: _Outside | None = None) -> Callable[[], float]:
        """A function that returns the seconds left for an exchange; time spent outside is excused up to a point."""
        patience = Patience(self._process.pid, seconds)

        def left() -> float:
            excused = min(outside.seconds, _MOST_OUTSIDE * seconds) if outside else 0.0
            return min(patience.left() + excused, self._deadline - time.monotonic())

        return left

    def _require_time(self) -> None:
        if time.monotonic() >= self._deadline:
            raise SessionLost(f"the notebook used up its {self._limits.total_seconds:g} s", give_up=True)

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            status = 0
        if self._watchdog.complaint:
            return self._watchdog.complaint
        if self._is_out_of_memory(status):
            return too_much_memory(self._limits)
        if status == 128 + signal.SIGXCPU:
            return f"your code used more than {self._limits.cpu_seconds} s of processor time"
        if (number := status - 128) in set(signal.Signals):  # 129 to 255 may also come from os._exit
            return f"your code ended the process (a crash: {signal.strsignal(number)})"
        return f"your code ended the process (os._exit or the like, status {status})"

    def _is_out_of_memory(self, status: int) -> bool:
        if self._kind == "container":
            return is_out_of_memory(status)
        return self._group is not None and self._group.ran_out_of_memory()


class _Outside:
    """Computes responses, and measures how long that takes."""

    def __init__(self, respond: Callable[[Any], dict[str, Any]]) -> None:
        self._respond = respond
        self.seconds = 0.0

    def __call__(self, call: Any) -> dict[str, Any]:
        started = time.monotonic()
        try:
            return self._respond(call)
        finally:
            self.seconds += time.monotonic() - started


def _group(limits: Limits) -> Group | None:
    """A control group, if this machine offers one; the watchdog watches in any case."""
    try:
        return new_group(limits)
    except NoGroup:
        return None


def _started_elsewhere(kind: SandboxKind, edition: Path, limits: Limits) -> SandboxProcess:
    # Without a user namespace of our own, the kernel would count everything that the user runs.
    wanted = {name: most for name, most in kernel_limits(limits).items() if name != "processes"}
    return launch_other(kind, [PROGRAM, json.dumps(wanted)], program_mounts(edition), PYTHON_PATH, limits)


def _started_cold(edition: Path, limits: Limits, hidden: tuple[Path, ...], group: Group | None) -> SandboxProcess:
    """A process in a new sandbox, with a new interpreter."""
    program = [sys.executable, PROGRAM, json.dumps(kernel_limits(limits))]
    joining = group.joining() if group else ()
    return launch(program, program_mounts(edition), limits.scratch_bytes, PYTHON_PATH, hidden, joining)


def _disturbed(problem: Exception) -> str:
    return f"your code disturbed the grader's line to it ({problem})"


def _one_line(error: Any) -> str:
    """An error reported by the sandbox, as text that is safe to show."""
    if not isinstance(error, dict):
        return "an error"
    kind, message = (_text(error.get(part)) for part in ("type", "message"))
    return f"{kind}: {message}" if message else kind


def _names(changed: Any) -> tuple[str, ...]:
    """The reported names that are known; only these are shown to an instructor."""
    return tuple(filter(is_known, changed[:_MAX_NAMES] if isinstance(changed, list) else []))


def _text(content: Any) -> str:
    return printable(" ".join(content[:_MAX_TEXT].split()), _MAX_TEXT) if isinstance(content, str) else ""
