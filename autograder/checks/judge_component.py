"""The judge: asks for a component's behaviour on secret inputs and compares it with the reference's.

It runs in the trusted process. All it knows of the student's code is what ``ask`` brings back, as plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autograder.checks.case import ComponentCheck
from avae_lib.checking.comparison import Trial
from avae_lib.checking.records import Observation, Request
from avae_lib.checking.verdicts import AskFailed, Verdict, judge_trials

__all__ = ["AskFailed", "ComponentResult", "SubmissionVerdict", "Verdict", "judge_component"]


@dataclass(frozen=True)
class ComponentResult:
    """The points of one component, case by case."""

    name: str
    points: float
    max_points: float
    cases: tuple[Verdict, ...]


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


def judge_component(
    trials: Iterable[Trial], check: ComponentCheck, ask: Callable[[Request], Observation]
) -> ComponentResult:
    """Judge one component.

    Args:
        trials: the check's, on inputs drawn from the secret seed of this student and component.
        ask: sends one request to where the student's code runs and returns what was observed there, or raises
            :class:`AskFailed`: that case fails, and with ``give_up`` all later ones too.
    """
    verdicts = judge_trials(trials, ask)
    return ComponentResult(check.component, sum(verdict.points for verdict in verdicts), check.points, verdicts)
