"""Judges the implementations that test one component's check: mistakes, variants, empty answers, simple formulas."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from autograder.audit.empty_answers import empty_answers
from autograder.audit.findings import EMPTY_ANSWER, FORMULA, MISTAKE, VARIANT, ComponentAudit, Finding
from autograder.audit.sentences import Sentences
from autograder.audit.simple_formulas import formulas_that_pass
from autograder.authoring.public_cases import public_trials
from autograder.checks import all_checks
from autograder.checks.case import ComponentCheck, Mistake, Variant
from autograder.checks.judge_component import ComponentResult, judge_component
from avae_lib import components
from avae_lib.checking.comparison import Trial
from avae_lib.checking.harnesses import observe
from avae_lib.checking.records import Observation, Request

__all__ = ["audit_check", "audit_component"]

SEEDS = (1, 2)  # two draws of all inputs: a mistake that one draw lets through is caught too late

Ask = Callable[[Request], Observation]


def audit_component(name: str, sandboxed: bool = False) -> ComponentAudit:
    """The audit of one component's check; it takes a name, which can be sent to another process."""
    return audit_check(next(check for check in all_checks() if check.component == name), sandboxed)


def audit_check(check: ComponentCheck, sandboxed: bool = False) -> ComponentAudit:
    """Judge the implementations that test one check.

    Args:
        sandboxed: run mistakes and variants where students' code runs, as cells of a notebook.
    """
    cases = {case.name: case.points for case in check.cases}
    draws = [_settled(check, seed) for seed in SEEDS]
    reference = components.find(check.component).reference
    sentences = Sentences(check, [*draws, public_trials(check)], _once(_here(reference)))
    findings = tuple(_findings(check, draws, sentences, sandboxed))
    return ComponentAudit(
        check.component, check.unit, cases, findings, sentences.drawn, sentences.shared, sentences.pairs
    )


def _findings(
    check: ComponentCheck, draws: Sequence[Sequence[Trial]], sentences: Sentences, sandboxed: bool
) -> Iterator[Finding]:
    def judged(ask: Ask) -> list[ComponentResult]:
        return [judge_component(trials, check, ask) for trials in draws]

    with _place(check, sandboxed) as place:
        for mistake in check.mistakes:
            ask = _once(place(mistake.function))
            finding = _worst(_of_mistake(mistake, result) for result in judged(ask))
            wrong = list(sentences.wrong_ones(mistake, ask))
            yield replace(finding, complaint=finding.complaint or _of_sentences(wrong))
        for variant in check.variants:
            yield _worst(_of_variant(variant, result) for result in judged(place(variant.function)))
    for answer in empty_answers(check.component, max(1, *(len(case.results) for case in check.cases))):
        yield _worst(_of_empty_answer(answer, result) for result in judged(_here(answer)))
    passing = {case: formula for trials in draws for case, formula in formulas_that_pass(trials)}
    for case, formula in passing.items():
        points = next(each.points for each in check.cases if each.name == case)
        yield Finding(formula, FORMULA, points, case, complaint=f"passes the case “{case}”")


def _settled(check: ComponentCheck, seed: int) -> list[Trial]:
    """The trials of one seed, with the results of all mistakes computed in advance."""
    return [
        replace(trial, probes=tuple(replace(probe, mistakes=tuple(probe.mistakes)) for probe in trial.probes))
        for trial in check.trials(seed)
    ]


def _worst(findings: Iterable[Finding]) -> Finding:
    return max(list(findings), key=lambda finding: bool(finding.complaint))


def _of_mistake(mistake: Mistake, result: ComponentResult) -> Finding:
    verdict = next((case for case in result.cases if case.name == mistake.caught_by), None)
    if result.points >= result.max_points:
        complaint = "survives"
    elif verdict is None or verdict.passed:
        complaint = f"is not caught by the case “{mistake.caught_by}”"
    elif verdict.diagnosis != mistake.sentence:
        complaint = f"is told something else: {verdict.diagnosis}"
    else:
        complaint = ""
    return Finding(mistake.name, MISTAKE, result.points, mistake.caught_by, mistake.sentence, complaint)


def _of_sentences(wrong: Sequence[str]) -> str:
    return f"draws {len(wrong)} sentences that are not true of it: {'; '.join(wrong[:2])}" if wrong else ""


def _of_variant(variant: Variant, result: ComponentResult) -> Finding:
    lost = "; ".join(f"{case.name}: {case.diagnosis}" for case in result.cases if not case.passed)
    return Finding(variant.name, VARIANT, result.points, complaint=f"loses points: {lost}" if lost else "")


def _of_empty_answer(answer: Callable, result: ComponentResult) -> Finding:
    return Finding(answer.__name__, EMPTY_ANSWER, result.points, complaint="earns points" if result.points else "")


@contextlib.contextmanager
def _place(check: ComponentCheck, sandboxed: bool) -> Iterator[Callable[[Callable], Ask]]:
    """A context that calls functions in this process, or in a sandbox with the edition of the check's unit."""
    if not sandboxed:
        yield _here
        return
    from autograder.audit.guards_in_sandbox import sandbox_for_guards  # needs what only a machine with a sandbox has

    with sandbox_for_guards(check) as place:
        yield place


def _here(function: Callable) -> Ask:
    def ask(request: Request) -> Observation:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return observe(function, request)

    return ask


def _once(ask: Ask) -> Ask:
    """An ``ask`` that computes each request only once."""
    seen: dict[int, Observation] = {}

    def ask_once(request: Request) -> Observation:
        if id(request) not in seen:
            seen[id(request)] = ask(request)
        return seen[id(request)]

    return ask_once
