"""The verdict on a component: which of its cases pass, with which points, and what a student is told about the others.

The grader uses it with secret inputs, ``check`` in the notebook with public ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from avae_lib.checking.comparison import Trial, agree
from avae_lib.checking.diagnoses import Diagnosis, diagnosis_of
from avae_lib.checking.input_changes import before_the_call, changed_input
from avae_lib.checking.records import Observation, Request

__all__ = ["AskFailed", "Verdict", "failed", "judge_case", "judge_trials"]


@dataclass(frozen=True)
class Verdict:
    """The judgement of one case, with one line for the student if it failed.

    ``points_to`` and ``names_cause`` are as in :class:`avae_lib.checking.diagnoses.Diagnosis`.
    """

    name: str
    passed: bool
    diagnosis: str
    points: float
    max_points: float
    points_to: str = ""
    names_cause: bool = False


class AskFailed(Exception):
    """A request got no answer: the process died, the time was up, or the answer could not be read.

    Args:
        reason: one line for the student.
        give_up: whether to make no further requests for this component, as after a time-out.
    """

    def __init__(self, reason: str, give_up: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.give_up = give_up


def judge_trials(
    trials: Iterable[Trial], ask: Callable[[Request], Observation], reveal: bool = False
) -> tuple[Verdict, ...]:
    """Judge the cases of one component in order.

    The first case is the main one. Cases about form and gradients count only if it passes: a function that returns the
    right dtype, or the right result plus a constant, gets no points for that alone. Once a case has failed, the lines
    of later cases say only what their own numbers prove, and otherwise point back to it.

    Args:
        ask: observes the judged function for one request, or raises :class:`AskFailed`.
        reveal: whether a diagnosis may show the right numbers; true for public cases only.

    >>> import torch
    >>> from avae_lib.checking.comparison import Probe
    >>> from avae_lib.checking.harnesses import observe
    >>> request = Request("total", {"x": torch.tensor([[1.0, 2.0], [3.0, 5.0]])})
    >>> right = observe(lambda x: x.sum(dim=1), request)
    >>> trial = Trial("values", 2, "value", "add up each row", (Probe(request, right),), rtol=1e-4, atol=1e-6)
    >>> about_form = Trial("form", 1, "form", "keep the dtype", (Probe(request, right),), rtol=1e-4, atol=1e-6)
    >>> for verdict in judge_trials([trial, about_form], lambda request: observe(lambda x: 2 * x.sum(dim=1), request)):
    ...     print(verdict.points, "of", verdict.max_points, verdict.diagnosis)
    0 of 2 the result is twice the right one: a factor 1/2 is missing
    0 of 1 counts once “values” passes
    """
    verdicts: list[Verdict] = []
    given_up = ""
    attentive = _Attentive(ask)
    for trial in trials:
        main = verdicts[0] if verdicts else None
        if given_up:
            verdicts.append(failed(trial, f"not run any more: {given_up}"))
        elif main and not main.passed and trial.kind != "value":
            besides = f"; besides, {attentive.changes}" if trial.kind == "form" and attentive.changes else ""
            verdicts.append(failed(trial, f"counts once “{main.name}” passes{besides}", main.name))
        else:
            try:
                verdicts.append(judge_case(trial, attentive, reveal, verdicts))
            except AskFailed as failure:
                verdicts.append(failed(trial, failure.reason))
                given_up = failure.reason if failure.give_up else ""
    return tuple(verdicts)


class _Attentive:
    """An ``ask`` that remembers changed inputs. The case about them does not mention them while the main case fails."""

    def __init__(self, ask: Callable[[Request], Observation]) -> None:
        self._ask = ask
        self.changes = ""

    def __call__(self, request: Request) -> Observation:
        observed = self._ask(request)
        if not self.changes and observed.error is None:
            self.changes = changed_input(before_the_call(request, observed), observed)
        return observed


def judge_case(
    trial: Trial, ask: Callable[[Request], Observation], reveal: bool = False, before: Sequence[Verdict] = ()
) -> Verdict:
    """The verdict on one case, from all of its probes.

    Args:
        before: the verdicts on earlier cases.

    >>> import torch
    >>> from avae_lib.checking.comparison import Probe
    >>> from avae_lib.checking.harnesses import observe
    >>> request = Request("total", {"x": torch.tensor([[1.0, 2.0], [3.0, 5.0]])})
    >>> right = observe(lambda x: x.sum(dim=1), request)
    >>> trial = Trial("values", 2, "value", "add up each row", (Probe(request, right),), rtol=1e-4, atol=1e-6)
    >>> judge_case(trial, lambda request: right).points
    2
    >>> judge_case(trial, lambda request: observe(lambda x: 2 * x.sum(dim=1), request)).diagnosis
    'the result is twice the right one: a factor 1/2 is missing'
    """
    observed = [ask(probe.request) for probe in trial.probes]
    if all(agree(trial, one, probe.expected) for probe, one in zip(trial.probes, observed, strict=True)):
        return Verdict(trial.name, True, "", trial.points, trial.points)
    earlier = [
        Diagnosis(verdict.name, verdict.diagnosis, verdict.points_to, verdict.names_cause)
        for verdict in before
        if not verdict.passed
    ]
    main = before[0].name if before else trial.name
    found = diagnosis_of(trial, observed, reveal, earlier, main)
    return replace(failed(trial, found.line, found.points_to), names_cause=found.names_cause)


def failed(trial: Trial, diagnosis: str, points_to: str = "") -> Verdict:
    """No points for this case.

    >>> trial = Trial("values", 2, "value", "a hint", (), rtol=1e-4, atol=1e-6)
    >>> verdict = failed(trial, "the time was up")
    >>> verdict.passed, verdict.points, verdict.max_points, verdict.diagnosis
    (False, 0, 2, 'the time was up')
    """
    return Verdict(trial.name, False, diagnosis, 0, trial.points, points_to)
