"""Judges one submission: every answer runs in a sandbox of its own.

In an answer's *own sandbox*, only the set-up cells and that one answer have run, so answers cannot spoil each other.
The functions of earlier exercises that it calls are stand-ins: the library's own bodies compute them outside
(:mod:`autograder.judging.references`), so that a wrong function loses points only once.

An answer that returns no value in its own sandbox may need other cells of the notebook. It is then judged in a second
sandbox, where all answers have run and call each other. An answer that returned a value is not judged again, so nobody
gets the better of two results. Each sandbox draws its own inputs.

There are stand-ins for *earlier* exercises only, and never for one that calls the answer in the student's code or in
the library's. Otherwise two answers that only call each other would both be right.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from autograder.checks.case import ComponentCheck
from autograder.checks.judge_component import AskFailed, ComponentResult, SubmissionVerdict, Verdict, judge_component
from autograder.intake.normalise import Answer, NormalisedSubmission
from autograder.judging.calls_between_answers import Calls, names_in
from autograder.judging.notebook_in_sandbox import LostDuring, NotebookInSandbox, SandboxPlan, SetupFailed
from autograder.judging.references import References, references_here
from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.limits import DEFAULT_LIMITS, Limits
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind
from autograder.sandbox.session import SessionLost
from avae_lib.checking.comparison import Trial
from avae_lib.checking.records import Observation, Raised, Request

__all__ = ["Ask", "Witness", "judge_submission"]

Ask = Callable[[Request], Observation]
Witness = Callable[[str, Iterable[Trial], Ask], tuple[Iterable[Trial], Ask]]

_MOST_SANDBOXES_FOR_ALL = 3
_UNWRITTEN = Observation(error=Raised("NotImplementedError", "", "raise NotImplementedError"))


def judge_submission(
    submission: NormalisedSubmission,
    checks: Iterable[ComponentCheck],
    edition: Path,
    seed_of: Callable[[str], int],
    limits: Limits = DEFAULT_LIMITS,
    hidden: Iterable[Path] = (),
    kind: SandboxKind = DEFAULT_KIND,
    asked: Collection[str] | None = None,
    references: References | None = None,
    attempt: int = 0,
    witness: Witness | None = None,
) -> SubmissionVerdict:
    """Run a submission's answers in sandboxes and judge each component from outside.

    Args:
        submission: the normalised submission.
        checks: the checks of the unit's components.
        edition: the folder with the student edition of ``avae_lib``.
        seed_of: returns the secret seed of a component for this student.
        limits: the limits of each sandbox.
        hidden: files and folders that must not be visible in the sandbox, even inside mounted folders.
        kind: where the answers run.
        asked: the components to judge; by default all.
        references: computes the stand-ins; by default the ones shared by this process.
        attempt: number of earlier attempts to judge this submission. Each attempt draws other inputs, so that knowing
            those of an earlier one gains nothing.
        witness: called with each sandbox's name, trials and ``ask``; returns the trials and ``ask`` to use instead.

    Raises:
        SandboxUnavailable: this machine cannot run the sandbox.
        SetupFailed: the unit's own set-up cell does not run there.
    """
    started, hidden = time.monotonic(), tuple(hidden)
    references = references or references_here(hidden, kind)
    deadline = started + limits.total_seconds
    plan = SandboxPlan(edition, submission.setup, limits, deadline, references, hidden, kind)
    judging = _Judging(plan, submission.answers, tuple(checks), seed_of, asked, attempt, witness)
    judging.run()
    components = tuple(judging.results[check.component] for check in judging.checks)
    return SubmissionVerdict(components, judging.flags(), time.monotonic() - started, judging.had_losses)


class _Judging:
    """Judges one submission and collects results and flags."""

    def __init__(
        self,
        plan: SandboxPlan,
        answers: tuple[Answer, ...],
        checks: tuple[ComponentCheck, ...],
        seed_of: Callable[[str], int],
        asked: Collection[str] | None,
        attempt: int,
        witness: Witness | None,
    ) -> None:
        self.checks = tuple(check for check in checks if asked is None or check.component in asked)
        self.results: dict[str, ComponentResult] = {}
        self.had_losses = False
        self._plan = plan
        self._answers = answers
        self._seed_of = seed_of
        self._attempt = attempt
        self._witness = witness
        self._calls = Calls(answers, frozenset(check.component for check in checks))
        self._answered: set[str] = set()  # components that returned a value, which is final
        self._speechless: list[ComponentCheck] = []  # returned no value alone; judged again among all answers
        self._lost: dict[str, str] = {}  # component → how its own sandbox ended
        self._helped: list[str] = []
        self._rescued: dict[str, str] = {}  # component → the error in its cell
        self._unjudged: dict[str, str] = {}  # component → the grader's own failure
        self._changed: dict[str, None] = {}
        self._is_output_cut = False

    def run(self) -> None:
        for check in self.checks:
            self.results[check.component] = self._judged_in_own_sandbox(check)
        if self._speechless:
            self._judge_among_all(self._speechless)

    def flags(self) -> tuple[str, ...]:
        flags = [f"the sandbox of {name} was lost: {why}" for name, why in self._lost.items()]
        if self._changed:
            flags.append(f"a cell changed what other code relies on: {', '.join(self._changed)}")
        flags += [f"{name} must be graded by hand: the grader failed ({why})" for name, why in self._unjudged.items()]
        flags += [
            f"the cell of {name} raised an error before its function was defined ({error}): only definitions were run"
            for name, error in self._rescued.items()
        ]
        flags += [
            f"{name} runs only together with the other answers, and was judged with them" for name in self._helped
        ]
        flags += [
            f"{' and '.join(circle)} call each other, so none was judged with a reference for another"
            for circle in self._circles
        ]
        if self._is_output_cut:
            flags.append(f"the notebook printed more than {self._plan.limits.output_bytes // 1024} kB")
        return tuple(flags)

    @property
    def _circles(self) -> list[list[str]]:
        judged = {check.component for check in self.checks}
        return [circle for circle in self._calls.circles if judged & set(circle)]

    def _judged_in_own_sandbox(self, check: ComponentCheck) -> ComponentResult:
        own = [answer for answer in self._answers if answer.component == check.component]
        if all(answer.unedited for answer in own):
            if self._is_defined_elsewhere(check.component):
                self._speechless.append(check)
            return self._judged(check, lambda request: _UNWRITTEN, "unwritten")
        stand_ins = self._calls.stand_ins(check.component)
        with _PatientAsk(lambda: NotebookInSandbox(self._plan, own, stand_ins), self._take_note) as ask:
            result = self._judged(check, ask, "own")
        if ask.loss:
            self.had_losses = True
            self._lost[check.component] = ask.loss
        elif check.component not in self._answered and check.component not in self._unjudged:
            self._speechless.append(check)
        return result

    def _is_defined_elsewhere(self, component: str) -> bool:
        return any(names_in(other.source, [component]) for other in self._answers if other.component != component)

    def _judge_among_all(self, checks: list[ComponentCheck]) -> None:
        """Judge components that returned no value alone; an answer that ends the sandbox is left out of the next."""
        ending: set[str] = set()
        for number in range(_MOST_SANDBOXES_FOR_ALL):
            try:
                with NotebookInSandbox(self._plan, (a for a in self._answers if a.grade_id not in ending)) as sandbox:
                    remaining = [check for check in checks if check.component not in {*ending, *self._answered}]
                    self._judge_in(sandbox, f"all, room {number + 1}", remaining)
                return
            except LostDuring as lost:
                self.had_losses = True
                ending.add(lost.grade_id)
            except SessionLost:  # no time is left
                self.had_losses = True
                return

    def _judge_in(self, sandbox: NotebookInSandbox, name: str, checks: Iterable[ComponentCheck]) -> None:
        try:
            for check in checks:
                result = self._judged(check, sandbox.ask, name)
                if result.points > 0:
                    self.results[check.component] = result
                    self._helped.append(check.component)
        finally:
            self._take_note(sandbox)

    def _judged(self, check: ComponentCheck, ask: Ask, sandbox: str) -> ComponentResult:
        trials = check.trials(self._seed(check.component, sandbox))
        if self._witness:
            trials, ask = self._witness(sandbox, trials, ask)

        def listening(request: Request) -> Observation:
            observed = ask(request)
            if observed.error is None:
                self._answered.add(check.component)
            return observed

        try:
            return judge_component(trials, check, listening)
        except (LostDuring, SessionLost, SetupFailed, SandboxUnavailable):
            raise
        except Exception as error:  # an unforeseen failure on one answer must not cost the others
            self.had_losses = True
            self._unjudged[check.component] = f"{type(error).__name__}: {error}"
            return _nothing_for(check)

    def _seed(self, component: str, sandbox: str) -> int:
        place = f"{self._seed_of(component)}/{sandbox}/{self._attempt}"
        return int.from_bytes(hashlib.sha256(place.encode()).digest()[:6], "big")

    def _take_note(self, sandbox: NotebookInSandbox) -> None:
        self._changed |= dict.fromkeys(sandbox.changed)
        self._rescued |= sandbox.rescued
        self._is_output_cut |= sandbox.is_output_cut


class _PatientAsk:
    """An ``ask`` that opens a sandbox on first use, and a second one if the first crashes.

    Args:
        open_sandbox: opens a sandbox.
        at_end: called with each sandbox before it is closed.

    Attributes:
        loss: how a sandbox was lost, or why none could be opened; empty if neither happened.
    """

    def __init__(
        self, open_sandbox: Callable[[], NotebookInSandbox], at_end: Callable[[NotebookInSandbox], None]
    ) -> None:
        self._open_sandbox = open_sandbox
        self._at_end = at_end
        self._sandbox: NotebookInSandbox | None = None
        self._losses = 0
        self.loss = ""

    def __call__(self, request: Request) -> Observation:
        try:
            if self._sandbox is None:
                self._sandbox = self._opened()
            return self._sandbox.ask(request)
        except LostDuring as lost:
            self._leave()
            self._losses += 1
            self.loss = lost.loss.reason
            raise AskFailed(lost.loss.reason, give_up=lost.loss.give_up or self._losses > 1) from None

    def _opened(self) -> NotebookInSandbox:
        try:
            return self._open_sandbox()
        except (LostDuring, SessionLost) as trouble:
            loss = trouble.loss if isinstance(trouble, LostDuring) else trouble
            self.loss = loss.reason
            raise AskFailed(loss.reason, give_up=True) from None

    def _leave(self) -> None:
        if self._sandbox is not None:
            self._at_end(self._sandbox)
            self._sandbox.close()
            self._sandbox = None

    def __enter__(self) -> _PatientAsk:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()


def _nothing_for(check: ComponentCheck) -> ComponentResult:
    said = "the grader failed on this answer; this is not your fault, and your instructor will look at it"
    cases = tuple(Verdict(case.name, False, said, 0.0, case.points) for case in check.cases)
    return ComponentResult(check.component, 0.0, check.points, cases)
