"""The verdict on a component, case by case, from what its function showed.

Used on both sides: by the trusted judge on secret inputs, and by ``check`` in the notebook on public ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from avae_lib.checking.comparison import Probe, Trial, agree
from avae_lib.checking.diagnoses import before_the_call, changed_input, diagnose, side_by_side, wrong_parts
from avae_lib.checking.named_mistakes import named_mistake
from avae_lib.checking.numeric_relations import not_finite, telling_relation_of, vague_relation_of
from avae_lib.checking.records import Observation, Request

NUMBERS_BESIDE_ANOTHER_CAUSE = 3  # different ones that a mistake must account for after the main case has failed

__all__ = ["AskFailed", "Verdict", "failed", "judge_case", "judge_trials"]


@dataclass(frozen=True)
class Verdict:
    """The judgement of one case, with one line for the student when it failed.

    ``points_to`` names the earlier case that the line points to, if it does nothing but that; ``names_cause`` says
    whether the line tells what is wrong, and not only that something is.
    """

    name: str
    passed: bool
    diagnosis: str
    points: float
    max_points: float
    points_to: str = ""
    names_cause: bool = False


class AskFailed(Exception):
    """A request got no answer: the process died, the time was up, or what came back could not be read.

    Args:
        reason: one line for the student.
        give_up: whether to ask nothing more about this component (after a time-out).
    """

    def __init__(self, reason: str, give_up: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.give_up = give_up


def judge_trials(
    trials: Iterable[Trial], ask: Callable[[Request], Observation], reveal: bool = False
) -> tuple[Verdict, ...]:
    """Judge the cases of one component in order.

    The first case is the main one: cases about form and gradients count only if it passes, so that a function which
    keeps its manners, or adds a constant to the right result, earns nothing by that alone. Once a case has failed,
    later ones are told only what their own numbers prove; for anything else they point back to it.

    Args:
        ask: gets an observation of the judged function, or raises :class:`AskFailed`.
        reveal: whether a diagnosis may show the right numbers; true for public cases only.
    """
    verdicts: list[Verdict] = []
    given_up, attentive = "", _Attentive(ask)
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
    """An ``ask`` that notices changed inputs, of which the case about them says nothing while the main one fails."""

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
    """
    observed = [ask(probe.request) for probe in trial.probes]
    wrong = [
        (probe, one) for probe, one in zip(trial.probes, observed, strict=True) if not agree(trial, one, probe.expected)
    ]
    if not wrong:
        return Verdict(trial.name, True, "", trial.points, trial.points)
    if said := _proved(trial, observed, before):
        if same := next((verdict for verdict in before if verdict.diagnosis == said), None):
            return failed(trial, f"see to “{same.name}” first", same.name)
        return replace(failed(trial, said), names_cause=True)
    if first_failed := next((verdict for verdict in before if not verdict.passed), None):
        return failed(trial, f"see to “{first_failed.name}” first", first_failed.name)
    vague, hint = diagnose(trial, observed, vague_relation_of), _hint(trial, *wrong[0], observed, reveal)
    return failed(trial, f"{vague}; {hint}" if vague and before else vague or hint)


def _proved(trial: Trial, observed: Sequence[Observation], before: Sequence[Verdict]) -> str:
    """What the numbers prove to be wrong beside what the main case, if that failed, has shown already."""
    main = before[0] if before else None
    if main is None or main.passed:
        return named_mistake(trial, observed) or diagnose(trial, observed, telling_relation_of)
    named = "" if main.names_cause else named_mistake(trial, observed, numbers=NUMBERS_BESIDE_ANOTHER_CAUSE)
    return named or diagnose(trial, observed, not_finite)


def failed(trial: Trial, diagnosis: str, points_to: str = "") -> Verdict:
    """No points for this case."""
    return Verdict(trial.name, False, diagnosis, 0, trial.points, points_to)


def _hint(trial: Trial, probe: Probe, observed: Observation, all_observed: Sequence[Observation], reveal: bool) -> str:
    hint = f"{parts}: {trial.hint}" if (parts := wrong_parts(trial, all_observed)) else trial.hint
    return f"{hint}: {side_by_side(trial, probe, observed)}" if reveal else hint
