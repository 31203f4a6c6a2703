"""Audits whole units: reuses kept audits and makes the others in parallel."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from autograder.audit.audit_fingerprint import fingerprint
from autograder.audit.audit_processes import audited
from autograder.audit.findings import AuditResult, ComponentAudit
from autograder.audit.guards import audit_component
from autograder.audit.kept_audits import KeptAudits
from autograder.checks import all_checks, checks_of
from autograder.course.course import CourseError

__all__ = ["audit_units"]


def audit_units(
    units: Collection[str], kept: KeptAudits, again: bool = False, workers: int = 1, sandboxed: bool = False
) -> AuditResult:
    """Judge the mistakes, empty answers and variants of some units' components.

    Args:
        units: names of units; all if empty.
        kept: the audits kept from earlier runs.
        again: judge all components again; use no kept audit.
        workers: number of components judged at the same time.
        sandboxed: run mistakes and variants in the sandbox, as cells of a notebook; such audits are not kept.

    Raises:
        CourseError: a unit has no component, or a process died.
    """
    components = _components(units)
    if sandboxed:
        return AuditResult(tuple(audited(components, partial(audit_component, sandboxed=True), workers)))
    prints = {name: fingerprint(name) for name in components}
    known = {} if again else {name: found for name in components if (found := kept.find(name, prints[name]))}
    unknown = [name for name in components if name not in known]
    judged = {done.component: done for done in _judged(unknown, workers, prints, kept)}
    return AuditResult(tuple((known | judged)[name] for name in components), kept=len(known))


def _judged(
    components: Sequence[str], workers: int, prints: Mapping[str, str], kept: KeptAudits
) -> Iterator[ComponentAudit]:
    """Make audits; keep each at once, unless a check is wrong or a file has changed in the meantime."""
    for done in audited(components, audit_component, workers):
        if not done.complaints and fingerprint(done.component) == prints[done.component]:
            kept.keep(done, prints[done.component])
        yield done


def _components(units: Collection[str]) -> list[str]:
    for unit in units:
        if not checks_of(unit):
            raise CourseError(f"unit {unit} has no component, so there is nothing to audit: leave it out")
    return [check.component for check in all_checks() if not units or check.unit in units]
