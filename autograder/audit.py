"""Who guards the judge: every named mistake must lose points for its own reason, every right variant none.

``course audit`` prints the two lists as a table. Beside the mistakes of each component, empty answers are tried:
zeros, NaN, copies of the inputs and the like must not earn a single point.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from autograder.checks import all_checks
from autograder.checks.case import ComponentCheck, Mistake, Variant
from autograder.course import CourseError
from autograder.empty_answers import empty_answers
from autograder.judge import ComponentResult, judge_on
from avae_lib.checking.observing import observe
from avae_lib.checking.records import Observation, Request
from avae_lib.checking.trials import Trial

__all__ = ["AuditResult", "Finding", "audit", "audit_check", "main_audit"]

SEEDS = (1, 2)  # two draws of all inputs: a mistake that one draw lets through is caught too late

Ask = Callable[[Request], Observation]


@dataclass(frozen=True)
class Finding:
    """What became of one implementation; ``complaint`` says what is wrong with the judge, if anything is."""

    component: str
    name: str
    role: str
    points: float
    max_points: float
    case: str = ""
    diagnosis: str = ""
    complaint: str = ""


@dataclass(frozen=True)
class AuditResult:
    """The findings of an audit, in the order of the exercises."""

    findings: tuple[Finding, ...]

    @property
    def complaints(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.complaint)

    def table(self) -> str:
        """The published table, in plain text."""
        components = dict.fromkeys(finding.component for finding in self.findings)
        return "\n\n".join(_section(name, [f for f in self.findings if f.component == name]) for name in components)


def audit(unit: str | None = None, sandboxed: bool = False) -> AuditResult:
    """Judge the mistakes, empty answers and variants of one unit's components, or of all.

    Args:
        sandboxed: run mistakes and variants where students' code runs, as cells of a notebook.

    Raises:
        CourseError: nothing in the unit is judged.
    """
    checks = [check for check in all_checks() if unit in (None, check.unit)]
    if not checks:
        raise CourseError(f"unit {unit} has no component that is judged, so there is nothing to audit")
    findings = [finding for check in checks for finding in _findings(check, sandboxed)]
    return AuditResult(tuple(findings))


def audit_check(check: ComponentCheck) -> AuditResult:
    """The audit of one component's check, in this process."""
    return AuditResult(tuple(_findings(check, sandboxed=False)))


def main_audit(units: Iterable[str] = (), sandboxed: bool = False) -> int:
    """Print the audit of the named units, or of all; the exit status is 1 if there is any complaint."""
    results = [audit(unit, sandboxed) for unit in units] or [audit(sandboxed=sandboxed)]
    result = AuditResult(tuple(finding for part in results for finding in part.findings))
    print(result.table())
    print(f"\n{_summary(result)}")
    return 1 if result.complaints else 0


def _findings(check: ComponentCheck, sandboxed: bool) -> Iterator[Finding]:
    draws = [_settled(check, seed) for seed in SEEDS]

    def judged(ask: Ask) -> list[ComponentResult]:
        return [judge_on(trials, check, ask) for trials in draws]

    with _place(check, sandboxed) as place:
        for mistake in check.mistakes:
            yield _worst(_of_mistake(check, mistake, result) for result in judged(place(mistake.function)))
        for variant in check.variants:
            yield _worst(_of_variant(check, variant, result) for result in judged(place(variant.function)))
    for answer in empty_answers(check.component):
        yield _worst(_of_empty_answer(check, answer, result) for result in judged(_here(answer)))


def _settled(check: ComponentCheck, seed: int) -> list[Trial]:
    """The trials of one seed with all that mistakes show in them, which a single judgement looks up as needed."""
    return [
        replace(trial, probes=tuple(replace(probe, mistakes=tuple(probe.mistakes)) for probe in trial.probes))
        for trial in check.trials(seed)
    ]


def _worst(findings: Iterable[Finding]) -> Finding:
    return max(list(findings), key=lambda finding: bool(finding.complaint))


def _of_mistake(check: ComponentCheck, mistake: Mistake, result: ComponentResult) -> Finding:
    verdict = next((case for case in result.cases if case.name == mistake.caught_by), None)
    if result.points >= result.max_points:
        complaint = "survives"
    elif verdict is None or verdict.passed:
        complaint = f"is not caught by the case “{mistake.caught_by}”"
    elif verdict.diagnosis != mistake.sentence:
        complaint = f"is told something else: {verdict.diagnosis}"
    else:
        complaint = ""
    facts = (check.component, mistake.name, "mistake", result.points, result.max_points)
    return Finding(*facts, mistake.caught_by, mistake.sentence, complaint)


def _of_variant(check: ComponentCheck, variant: Variant, result: ComponentResult) -> Finding:
    lost = "; ".join(f"{case.name}: {case.diagnosis}" for case in result.cases if not case.passed)
    complaint = f"loses points: {lost}" if lost else ""
    return Finding(check.component, variant.name, "variant", result.points, result.max_points, complaint=complaint)


def _of_empty_answer(check: ComponentCheck, answer: Callable, result: ComponentResult) -> Finding:
    complaint = "earns points" if result.points else ""
    facts = (check.component, answer.__name__, "empty answer", result.points, result.max_points)
    return Finding(*facts, complaint=complaint)


@contextlib.contextmanager
def _place(check: ComponentCheck, sandboxed: bool) -> Iterator[Callable[[Callable], Ask]]:
    """Where functions are asked: this process, or a sandbox that holds the edition of the check's unit."""
    if not sandboxed:
        yield _here
        return
    from autograder.sandbox.audition import audition  # needs what only a machine with a sandbox has

    with audition(check) as place:
        yield place


def _here(function: Callable) -> Ask:
    def ask(request: Request) -> Observation:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return observe(function, request)

    return ask


def _section(component: str, findings: list[Finding]) -> str:
    mistakes = [finding for finding in findings if finding.role == "mistake"]
    variants = [finding for finding in findings if finding.role == "variant"]
    empty = [finding for finding in findings if finding.role == "empty answer"]
    lines = [f"{component}: {len(mistakes)} mistakes, {len(variants)} variants, {len(empty)} empty answers"]
    lines += [_line(finding, f"{finding.case}: {finding.diagnosis}") for finding in mistakes]
    lines += [_line(finding, "right, written another way") for finding in variants]
    lines += [_line(finding, "") for finding in empty if finding.complaint]
    return "\n".join(lines)


def _line(finding: Finding, text: str) -> str:
    said = f"JUDGE AT FAULT, it {finding.complaint}" if finding.complaint else text
    return f"  {finding.name:<32} {finding.points:>2g}/{finding.max_points:g}  {said}"


def _summary(result: AuditResult) -> str:
    counts = {role: sum(f.role == role for f in result.findings) for role in ("mistake", "variant", "empty answer")}
    said = f"{counts['mistake']} mistakes, {counts['variant']} variants, {counts['empty answer']} empty answers: "
    if result.complaints:
        return said + f"{len(result.complaints)} complaints about the judge"
    return said + "every mistake dies by its own name, every variant has all points, no empty answer has any"
