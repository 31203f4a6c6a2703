"""The judge: asks for a component's behaviour on secret inputs and compares it with the reference's.

It runs in the trusted process. All it knows of the student's code is what ``ask`` brings back, as plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autograder.checks.case import ComponentCheck
from avae_lib.checking.records import Observation, Request
from avae_lib.checking.trials import Trial
from avae_lib.checking.verdicts import AskFailed, Verdict, judge_trials

__all__ = ["AskFailed", "ComponentResult", "Verdict", "judge_component", "judge_on"]


@dataclass(frozen=True)
class ComponentResult:
    """The points of one component, case by case."""

    name: str
    points: float
    max_points: float
    cases: tuple[Verdict, ...]


def judge_component(check: ComponentCheck, ask: Callable[[Request], Observation], seed: int) -> ComponentResult:
    """Judge one component on inputs drawn from ``seed``.

    Args:
        ask: sends one request to where the student's code runs and returns what was observed there, or raises
            :class:`AskFailed`: that case fails, and with ``give_up`` all later ones too.
        seed: the secret of this student, unit and component.
    """
    return judge_on(check.trials(seed), check, ask)


def judge_on(trials: Iterable[Trial], check: ComponentCheck, ask: Callable[[Request], Observation]) -> ComponentResult:
    """Judge one component on trials that have been made already."""
    verdicts = judge_trials(trials, ask)
    return ComponentResult(check.component, sum(verdict.points for verdict in verdicts), check.points, verdicts)
