"""Runs chosen cells of one notebook in a sandbox and calls the components that they define."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from autograder.checks.judge_component import AskFailed
from autograder.intake.normalise import Answer
from autograder.judging.calls_between_answers import names_in
from autograder.judging.references import References
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind
from autograder.sandbox.session import NotDefined, Session, SessionLost
from avae_lib.checking.records import Observation, Request

__all__ = ["LostDuring", "NotebookInSandbox", "SandboxPlan", "SetupFailed"]


class SetupFailed(RuntimeError):
    """The unit's own set-up cell does not run in the sandbox: a fault of the course, not of a student."""


class LostDuring(Exception):
    """A sandbox was lost while one answer's cell ran or its component was called.

    Attributes:
        grade_id: the grade_id of the answer.
        loss: what happened.
    """

    def __init__(self, grade_id: str, loss: SessionLost) -> None:
        super().__init__(f"{grade_id}: {loss.reason}")
        self.grade_id = grade_id
        self.loss = loss


@dataclass(frozen=True)
class SandboxPlan:
    """The settings that all sandboxes for one submission share."""

    edition: Path
    setup: tuple[str, ...]
    limits: Limits
    deadline: float
    references: References
    hidden: tuple[Path, ...] = ()
    kind: SandboxKind = DEFAULT_KIND


class NotebookInSandbox:
    """Runs the set-up cells, then the answers in order; use it in a ``with`` block.

    If a cell raised an error before its function was defined, only its definitions are run before the first call. So a
    line that cannot run here (a missing module, drive or GPU) does not cost the function below it.

    Args:
        plan: the settings.
        answers: the answers to run.
        stand_ins: components whose calls are computed outside, by the library's own functions.

    Attributes:
        rescued: the components of which only the definitions were run, with the errors in their cells.

    Raises:
        LostDuring: an answer's cell ended the sandbox.
        SessionLost: the deadline has passed.
        SetupFailed: a set-up cell raised an error or did not end.
    """

    def __init__(self, plan: SandboxPlan, answers: Iterable[Answer], stand_ins: Collection[str] = ()) -> None:
        answers = tuple(answers)
        self._errors: dict[str, str] = {}
        self._definitions = {answer.component: answer.definitions for answer in answers if answer.definitions}
        self.rescued: dict[str, str] = {}
        self._changed: dict[str, None] = {}
        self._deadline = plan.deadline
        if names_in("\n".join(answer.source for answer in answers), stand_ins):
            plan.references.get_ready()  # the time to start must not count as the answer's
        facts = (plan.edition, plan.limits, plan.deadline, plan.hidden, plan.kind)
        respond = (lambda call: plan.references.respond(stand_ins, call)) if stand_ins else None
        self._session = Session(*facts, setup=plan.setup, respond=respond)
        try:
            for source in plan.setup:
                self._set_up(source)
            if stand_ins:
                self._session.stand_in(stand_ins)
            for answer in answers:
                self._run(answer)
        except BaseException:
            self._session.close()
            raise

    def ask(self, request: Request) -> Observation:
        """Call a component and observe the result.

        Raises:
            AskFailed: the notebook defines no such function.
            LostDuring: the sandbox was lost, so there is no result.
        """
        try:
            return self._session.observe(request)
        except NotDefined:
            if self._rescue(request.component):
                return self.ask(request)
            raise AskFailed(self._why_missing(request.component), give_up=True) from None
        except SessionLost as loss:
            raise LostDuring(request.component, loss) from None

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of shared objects that the answers have changed."""
        return tuple(self._changed)

    @property
    def is_output_cut(self) -> bool:
        return self._session.is_output_cut

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> NotebookInSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_up(self, source: str) -> None:
        try:
            error = self._session.run_cell(source).error
        except SessionLost as loss:
            if time.monotonic() >= self._deadline:
                raise
            error = loss.reason
        if error:
            raise SetupFailed(f"the set-up cell of the released notebook fails in the sandbox: {error}")

    def _run(self, answer: Answer) -> None:
        try:
            outcome = self._session.run_cell(answer.source)
        except SessionLost as loss:
            raise LostDuring(answer.grade_id, loss) from None
        self._changed |= dict.fromkeys(outcome.changed)
        if outcome.error:
            self._errors[answer.component or answer.grade_id] = outcome.error

    def _rescue(self, component: str) -> bool:
        """Run the definitions of a component whose cell raised an error; False if there are none."""
        definitions = self._definitions.pop(component, "")
        if not definitions or component not in self._errors:
            return False
        if not self._session.run_cell(definitions).error:
            self.rescued[component] = self._errors[component]
        return True

    def _why_missing(self, component: str) -> str:
        if error := self._errors.get(component):
            return f"your cell raised an error before its function was defined: {error}"
        return f'not written: no cell of your notebook contains @implements("{component}")'
