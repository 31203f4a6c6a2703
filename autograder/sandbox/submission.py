"""Judging one submission: which of its cells run together in a sandbox, and which are given one of their own.

All answers run in one sandbox, as they did for the student, and the components are asked there one by one. That
is right for nearly everybody, and fair to nobody whose one cell spoils the others. So a component is judged again,
*apart*, in a sandbox where of all answers only its own has run,

* if the common sandbox was lost while it ran or was asked (it hung, crashed, or was killed by something another
  cell had left behind): the common sandbox starts again without it;
* if it lost points and leans on another component that lost points too: the others are the reference's there;
* if it lost points and some cell changed what others rely on (builtins, torch, IPython): that change is not there.

Whatever was better counts. A sandbox that holds reference bodies judges one component and nothing else, and no text
from it reaches the student, who could have made it speak of what it saw.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.checks.case import ComponentCheck
from autograder.judge import AskFailed, ComponentResult, judge_component
from autograder.normalise import Answer, NormalisedSubmission
from autograder.sandbox.limits import DEFAULT_LIMITS, Limits
from autograder.sandbox.references import reference_bodies
from autograder.sandbox.room import Building, LostIn, Room
from autograder.sandbox.session import SessionLost
from avae_lib.checking.records import Observation, Raised, Request

__all__ = ["SubmissionVerdict", "judge_submission"]

_MOST_LOST_TOGETHER = 2


@dataclass(frozen=True)
class SubmissionVerdict:
    """The judgement of all components of one submission.

    Attributes:
        components: in the order of the checks.
        flags: what an instructor may want to look at, one sentence each.
        seconds: wall time.
    """

    components: tuple[ComponentResult, ...]
    flags: tuple[str, ...]
    seconds: float


def judge_submission(
    submission: NormalisedSubmission,
    checks: Iterable[ComponentCheck],
    edition: Path,
    seed_of: Callable[[str], int],
    limits: Limits = DEFAULT_LIMITS,
    hidden: Sequence[Path] = (),
) -> SubmissionVerdict:
    """Run a submission's answers in sandboxes and judge each component from outside.

    Args:
        checks: of the components of this unit.
        edition: the folder that holds the student edition of ``avae_lib``.
        seed_of: the secret seed of this student for a component.
        hidden: files and folders that must not be seen in the sandbox even if they lie inside what is mounted.

    Raises:
        SandboxUnavailable: this machine cannot run the sandbox.
        SetupFailed: the unit's own set-up cell does not run there.
    """
    started = time.monotonic()
    building = Building(edition, submission.setup, limits, started + limits.total_seconds, tuple(hidden))
    judging = _Judging(building, submission.answers, tuple(checks), seed_of)
    judging.run()
    components = tuple(judging.results[check.component] for check in judging.checks)
    return SubmissionVerdict(components, judging.flags(), time.monotonic() - started)


class _Judging:
    """The judgement of one submission as it grows."""

    def __init__(
        self,
        building: Building,
        answers: tuple[Answer, ...],
        checks: tuple[ComponentCheck, ...],
        seed_of: Callable[[str], int],
    ) -> None:
        self.checks = checks
        self.results: dict[str, ComponentResult] = {}
        self._building, self._answers, self._seed_of = building, answers, seed_of
        self._lost: dict[str, str] = {}  # grade_id → why its cell or its component is not run with the others
        self._bettered: list[str] = []
        self._changed: dict[str, None] = {}
        self._is_output_cut = False

    def run(self) -> None:
        self._judge_together()
        for check in self.checks:
            if check.component not in self.results:
                self.results[check.component] = self._judged_apart(check)
        for check in [check for check in self.checks if self._deserves_another_look(check)]:
            self._judge_again(check)

    def flags(self) -> tuple[str, ...]:
        flags = [f"{grade_id} was not run with the other answers: {why}" for grade_id, why in self._lost.items()]
        if self._changed:
            flags.append(f"a cell changed what other code relies on: {', '.join(self._changed)}")
        flags += [f"{name} got more points judged apart from the other answers; that counts" for name in self._bettered]
        if self._is_output_cut:
            flags.append(f"printed more than {self._building.limits.output_bytes // 1024} kB")
        return tuple(flags)

    def _judge_together(self) -> None:
        while len(self._lost) <= _MOST_LOST_TOGETHER:
            try:
                with self._room(answer for answer in self._answers if answer.grade_id not in self._lost) as room:
                    self._judge_all_in(room)
                return
            except LostIn as lost:
                self._lost[lost.grade_id] = lost.loss.reason
            except SessionLost:  # no time is left: judging apart will say so
                return

    def _judge_all_in(self, room: Room) -> None:
        try:
            for check in self.checks:
                if check.component not in self.results and check.component not in self._lost:
                    self.results[check.component] = self._judged(check, room.ask)
        finally:
            self._changed |= dict.fromkeys(room.changed)
            self._is_output_cut |= room.is_output_cut

    def _judged(self, check: ComponentCheck, ask: Callable[[Request], Observation]) -> ComponentResult:
        return judge_component(check, ask, self._seed_of(check.component))

    def _room(self, answers: Iterable[Answer], bodies: Sequence = ()) -> Room:
        return Room(self._building, answers, bodies)

    def _judged_apart(self, check: ComponentCheck) -> ComponentResult:
        others = {other.component for other in self.checks} - {check.component}
        bodies = reference_bodies(others) if self._leans_on(check, others) else ()
        own = [answer for answer in self._answers if answer.component == check.component]
        with _PatientAsk(lambda: self._room(own, bodies), speechless=bool(bodies)) as ask:
            return self._judged(check, ask)

    def _judge_again(self, check: ComponentCheck) -> None:
        before = self.results[check.component]
        again = self._judged_apart(check)
        if again.points > before.points:
            self.results[check.component] = again
            self._bettered.append(check.component)

    def _deserves_another_look(self, check: ComponentCheck) -> bool:
        name = check.component
        if name in self._lost or not self._has_lost_points(name) or _is_stub(self._source_of(name)):
            return False
        others = {other.component for other in self.checks if self._has_lost_points(other.component)} - {name}
        return bool(self._changed) or self._leans_on(check, others)

    def _has_lost_points(self, name: str) -> bool:
        return self.results[name].points < self.results[name].max_points

    def _leans_on(self, check: ComponentCheck, others: Iterable[str]) -> bool:
        """Whether a component's cell names one of the others, or met another one's stub by way of the library."""
        source = self._source_of(check.component)
        if any(re.search(rf"\b{re.escape(other)}\b", source) for other in others):
            return True
        cases = self.results[check.component].cases if check.component in self.results else ()
        return any("NotImplementedError" in case.diagnosis for case in cases) and "NotImplementedError" not in source

    def _source_of(self, component: str) -> str:
        return "\n".join(answer.source for answer in self._answers if answer.component == component)


class _PatientAsk:
    """An ``ask`` that opens a room when it is first needed, and a second one if the first is lost to a crash.

    Args:
        speechless: whether to drop all words of the student's code from what is observed.
    """

    def __init__(self, open_room: Callable[[], Room], speechless: bool) -> None:
        self._open_room, self._speechless = open_room, speechless
        self._room: Room | None = None
        self._losses = 0

    def __call__(self, request: Request) -> Observation:
        try:
            if self._room is None:
                self._room = self._opened()
            observation = self._room.ask(request)
        except LostIn as lost:
            self._leave()
            self._losses += 1
            raise AskFailed(lost.loss.reason, give_up=lost.loss.give_up or self._losses > 1) from None
        return _without_words(observation) if self._speechless else observation

    def _opened(self) -> Room:
        try:
            return self._open_room()
        except LostIn as lost:
            raise AskFailed(lost.loss.reason, give_up=True) from None
        except SessionLost as loss:
            raise AskFailed(loss.reason, give_up=True) from None

    def _leave(self) -> None:
        if self._room is not None:
            self._room.close()
            self._room = None

    def __enter__(self) -> _PatientAsk:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()


def _without_words(observation: Observation) -> Observation:
    """The numbers of an observation. Names of exceptions and classes go: the student's code can choose them."""
    error = observation.error
    known = error is not None and isinstance(getattr(builtins, error.type, None), type)
    return Observation(
        *(
            {name: replace(value, type_name="") for name, value in values.items()}
            for values in (observation.outputs, observation.gradients, observation.inputs_after)
        ),
        error=error and Raised(error.type if known else "an exception", ""),
    )


def _is_stub(source: str) -> bool:
    """Whether the cell's function still does nothing but raise NotImplementedError."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        return any(_is_unwritten(function) for function in functions)
    return False


def _is_unwritten(function: ast.FunctionDef) -> bool:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return len(body) == 1 and isinstance(body[0], ast.Raise) and "NotImplementedError" in ast.unparse(body[0])
