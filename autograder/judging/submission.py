"""Judging one submission: which of its cells run together in a sandbox, and which are given one of their own.

All answers run in one sandbox, as they did for the student, and the components are asked there one by one. That
is right for nearly everybody, and fair to nobody whose one cell spoils the others: by a hang or a crash, by a hole that
others fall into, or by changing what all of them stand on. No report from inside can be trusted to tell these from
honest mistakes. So every component that was written and lost points, whatever the reason seems to be, is judged again
*apart*: in a sandbox where of all answers only its own has run. If it leans on others, these are the reference's there.

Whatever was better counts. A sandbox that holds reference bodies judges one component and nothing else. The student's
code can read them there, so all that leaves it is which cases passed: no text, no diagnosis from its numbers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.checks.case import ComponentCheck, Remembered
from autograder.checks.judge import AskFailed, ComponentResult, Verdict, judge_on
from autograder.intake.normalise import Answer, NormalisedSubmission
from autograder.judging.room import Building, LostIn, Room, SetupFailed
from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.kinds import DEFAULT_KIND, SandboxKind
from autograder.sandbox.limits import DEFAULT_LIMITS, Limits
from autograder.sandbox.references import ReferenceBody, reference_bodies
from autograder.sandbox.session import SessionLost
from avae_lib.checking.records import Observation, Request
from avae_lib.checking.trials import Trial

__all__ = ["SubmissionVerdict", "judge_submission"]

_MOST_LOST_TOGETHER = 2
_SAID_OF_ALL = "fails as well where the functions it calls are the reference's"


@dataclass(frozen=True)
class SubmissionVerdict:
    """The judgement of all components of one submission.

    Attributes:
        components: in the order of the checks.
        flags: what an instructor may want to look at, one sentence each.
        seconds: wall time.
        had_losses: whether a sandbox was lost on the way, to a limit or a crash: another time may come out otherwise.
    """

    components: tuple[ComponentResult, ...]
    flags: tuple[str, ...]
    seconds: float
    had_losses: bool = False


def judge_submission(
    submission: NormalisedSubmission,
    checks: Iterable[ComponentCheck],
    edition: Path,
    seed_of: Callable[[str], int],
    limits: Limits = DEFAULT_LIMITS,
    hidden: Sequence[Path] = (),
    kind: SandboxKind = DEFAULT_KIND,
    asked: Collection[str] | None = None,
) -> SubmissionVerdict:
    """Run a submission's answers in sandboxes and judge each component from outside.

    Args:
        checks: of the components of this unit.
        edition: the folder that holds the student edition of ``avae_lib``.
        seed_of: the secret seed of this student for a component.
        hidden: files and folders that must not be seen in the sandbox even if they lie inside what is mounted.
        kind: where the answers run.
        asked: the components to judge, if not all.

    Raises:
        SandboxUnavailable: this machine cannot run the sandbox.
        SetupFailed: the unit's own set-up cell does not run there.
    """
    started = time.monotonic()
    building = Building(edition, submission.setup, limits, started + limits.total_seconds, tuple(hidden), kind)
    judging = _Judging(building, submission.answers, tuple(checks), seed_of, asked)
    judging.run()
    components = tuple(judging.results[check.component] for check in judging.checks)
    return SubmissionVerdict(components, judging.flags(), time.monotonic() - started, judging.had_losses)


class _Judging:
    """The judgement of one submission as it grows."""

    def __init__(
        self,
        building: Building,
        answers: tuple[Answer, ...],
        checks: tuple[ComponentCheck, ...],
        seed_of: Callable[[str], int],
        asked: Collection[str] | None,
    ) -> None:
        self.checks = tuple(check for check in checks if asked is None or check.component in asked)
        self.had_losses = False
        self._components = {check.component for check in checks}
        self.results: dict[str, ComponentResult] = {}
        self._building, self._answers, self._seed_of = building, answers, seed_of
        self._trials: dict[str, Remembered[Trial]] = {}
        self._lost: dict[str, str] = {}  # grade_id → why its cell or its component is not run with the others
        self._bettered: list[str] = []
        self._unjudged: dict[str, str] = {}  # component → the grader's own failure
        self._changed: dict[str, None] = {}
        self._is_output_cut = False

    def run(self) -> None:
        self._judge_together()
        alone = [check for check in self.checks if check.component not in self.results]
        for check in alone:
            self.results[check.component] = self._judged_apart(check)
        for check in filter(self._deserves_another_look, self.checks):
            bodies = self._bodies_for(check)
            if bodies or check not in alone:
                self._judge_again(check, bodies)

    def flags(self) -> tuple[str, ...]:
        flags = [self._said_of_loss(grade_id, why) for grade_id, why in self._lost.items()]
        if self._changed:
            flags.append(f"a cell changed what other code relies on: {', '.join(self._changed)}")
        flags += [
            f"{name} is to be judged by a person: the grader failed ({why})" for name, why in self._unjudged.items()
        ]
        flags += [f"{name} got more points judged apart from the other answers; that counts" for name in self._bettered]
        if self._is_output_cut:
            flags.append(f"printed more than {self._building.limits.output_bytes // 1024} kB")
        return tuple(flags)

    def _said_of_loss(self, grade_id: str, why: str) -> str:
        if grade_id in self.results and not self._has_lost_points(grade_id):
            return f"the answers together ended at {grade_id} ({why}), which is right on its own: another cell did that"
        return f"{grade_id} was not run with the other answers: {why}"

    def _judge_together(self) -> None:
        while len(self._lost) <= _MOST_LOST_TOGETHER:
            try:
                with self._room(answer for answer in self._answers if answer.grade_id not in self._lost) as room:
                    self._judge_all_in(room)
                return
            except LostIn as lost:
                self.had_losses = True
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
        if check.component not in self._trials:
            self._trials[check.component] = Remembered(check.trials(self._seed_of(check.component)))
        try:
            return judge_on(self._trials[check.component], check, ask)
        except (LostIn, SessionLost, SetupFailed, SandboxUnavailable):
            raise
        except Exception as error:  # what nobody foresaw about one answer must not cost the others
            self.had_losses = True
            self._unjudged[check.component] = f"{type(error).__name__}: {error}"
            return _nothing_for(check)

    def _room(self, answers: Iterable[Answer], bodies: Sequence[ReferenceBody] = ()) -> Room:
        return Room(self._building, answers, bodies)

    def _judged_apart(self, check: ComponentCheck, bodies: Sequence[ReferenceBody] = ()) -> ComponentResult:
        own = [answer for answer in self._answers if answer.component == check.component]
        with _PatientAsk(lambda: self._room(own, bodies)) as ask:
            result = self._judged(check, ask)
        self.had_losses |= ask.had_losses
        return result

    def _judge_again(self, check: ComponentCheck, bodies: Sequence[ReferenceBody]) -> None:
        before = self.results[check.component]
        again = self._judged_apart(check, bodies)
        if again.points > before.points:
            self.results[check.component] = _reticent(again, before) if bodies else again
            self._bettered.append(check.component)

    def _deserves_another_look(self, check: ComponentCheck) -> bool:
        own = [answer for answer in self._answers if answer.component == check.component]
        return self._has_lost_points(check.component) and not all(answer.unedited for answer in own)

    def _bodies_for(self, check: ComponentCheck) -> Sequence[ReferenceBody]:
        """The reference bodies of all other components, if this one leans on any."""
        others = self._components - {check.component}
        return reference_bodies(others) if self._leans_on(check, others) else ()

    def _has_lost_points(self, name: str) -> bool:
        return self.results[name].points < self.results[name].max_points

    def _leans_on(self, check: ComponentCheck, others: Iterable[str]) -> bool:
        """Whether a component's cell names one of the others, or met another one's stub by way of the library."""
        source = self._source_of(check.component)
        if any(re.search(rf"\b{re.escape(other)}\b", source) for other in others):
            return True
        cases = self.results[check.component].cases
        return any("NotImplementedError" in case.diagnosis for case in cases) and "NotImplementedError" not in source

    def _source_of(self, component: str) -> str:
        return "\n".join(answer.source for answer in self._answers if answer.component == component)


class _PatientAsk:
    """An ``ask`` that opens a room when it is first needed, and a second one if the first is lost to a crash.

    Attributes:
        had_losses: whether a room was lost, or could not be had.
    """

    def __init__(self, open_room: Callable[[], Room]) -> None:
        self._open_room = open_room
        self._room: Room | None = None
        self._losses = 0
        self.had_losses = False

    def __call__(self, request: Request) -> Observation:
        try:
            if self._room is None:
                self._room = self._opened()
            return self._room.ask(request)
        except LostIn as lost:
            self._leave()
            self._losses += 1
            self.had_losses = True
            raise AskFailed(lost.loss.reason, give_up=lost.loss.give_up or self._losses > 1) from None

    def _opened(self) -> Room:
        try:
            return self._open_room()
        except (LostIn, SessionLost) as trouble:
            self.had_losses = True
            loss = trouble.loss if isinstance(trouble, LostIn) else trouble
            raise AskFailed(loss.reason, give_up=True) from None

    def _leave(self) -> None:
        if self._room is not None:
            self._room.close()
            self._room = None

    def __enter__(self) -> _PatientAsk:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()


def _nothing_for(check: ComponentCheck) -> ComponentResult:
    said = "the grader failed on this answer, which is not your fault; a person will look at it"
    cases = tuple(Verdict(case.name, False, said, 0.0, case.points) for case in check.cases)
    return ComponentResult(check.component, 0.0, check.points, cases)


def _reticent(again: ComponentResult, before: ComponentResult) -> ComponentResult:
    """A result judged among reference bodies, with the words of the run before, among the student's own functions.

    A fault named in that run may lie in a function that the reference has replaced since, so the words say which run
    they are about.
    """
    said = {case.name: case for case in before.cases if not case.passed}
    still_failing = {case.name for case in again.cases if not case.passed}
    return replace(again, cases=tuple(_with_words(case, said.get(case.name), still_failing) for case in again.cases))


def _with_words(case: Verdict, before: Verdict | None, still_failing: Collection[str]) -> Verdict:
    if case.passed:
        return case
    if before is None or (before.points_to and before.points_to not in still_failing):
        words = f"this case {_SAID_OF_ALL}"
    elif before.points_to:
        words = before.diagnosis
    else:
        words = f"{before.diagnosis} (said of it among your own functions; it {_SAID_OF_ALL})"
    return replace(case, diagnosis=words)
