"""The verdict on a component, case by case, from what its function showed.

Used on both sides: by the trusted judge on secret inputs, and by ``check`` in the notebook on public ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from avae_lib.checking.diagnoses import diagnose, explain_error, side_by_side
from avae_lib.checking.records import Observation, Request
from avae_lib.checking.relations import NEARLY_RIGHT, RIGHT_IN_PLACES
from avae_lib.checking.trials import Probe, Trial, agree

__all__ = ["AskFailed", "Verdict", "failed", "judge_case", "judge_trials"]

VAGUE = (NEARLY_RIGHT, RIGHT_IN_PLACES)  # said of numbers where no cause is known


@dataclass(frozen=True)
class Verdict:
    """The judgement of one case, with one line for the student when it failed."""

    name: str
    passed: bool
    diagnosis: str
    points: float
    max_points: float


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
    keeps its manners, or adds a constant to the right result, earns nothing by that alone.

    Args:
        ask: gets an observation of the judged function, or raises :class:`AskFailed`.
        reveal: whether a diagnosis may show the right numbers; true for public cases only.
    """
    verdicts: list[Verdict] = []
    given_up = ""
    for trial in trials:
        main = verdicts[0] if verdicts and not verdicts[0].passed else None
        if given_up:
            verdicts.append(failed(trial, f"not run any more: {given_up}"))
        elif main and trial.kind != "value":
            verdicts.append(failed(trial, f"counts once “{main.name}” passes"))
        else:
            try:
                verdicts.append(judge_case(trial, ask, reveal, f"see to “{main.name}” first" if main else ""))
            except AskFailed as failure:
                verdicts.append(failed(trial, failure.reason))
                given_up = failure.reason if failure.give_up else ""
    return tuple(verdicts)


def judge_case(
    trial: Trial, ask: Callable[[Request], Observation], reveal: bool = False, otherwise: str = ""
) -> Verdict:
    """The verdict on one case; it stops at the first probe that shows something wrong.

    Args:
        otherwise: what to say when nothing can be read off the numbers; by default the case's own hint.
    """
    for probe in trial.probes:
        observed = ask(probe.request)
        if not agree(trial, observed, probe.expected):
            said = _said_by_numbers(trial, probe, observed)
            if otherwise and any(words in said for words in VAGUE):
                said = ""
            return failed(trial, said or otherwise or _hint(trial, probe, observed, reveal))
    return Verdict(trial.name, True, "", trial.points, trial.points)


def failed(trial: Trial, diagnosis: str) -> Verdict:
    """No points for this case."""
    return Verdict(trial.name, False, diagnosis, 0, trial.points)


def _said_by_numbers(trial: Trial, probe: Probe, observed: Observation) -> str:
    for sentence, shown in probe.mistakes:
        if agree(trial, observed, shown, as_mistake=True) and not agree(trial, shown, probe.expected):
            return sentence
    if observed.error is not None:
        return explain_error(observed.error, probe.request.component)
    return diagnose(trial, probe, observed)


def _hint(trial: Trial, probe: Probe, observed: Observation, reveal: bool) -> str:
    return f"{trial.hint}: {side_by_side(trial, probe, observed)}" if reveal else trial.hint
