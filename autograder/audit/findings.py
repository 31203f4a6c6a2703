"""The results of an audit: about one implementation, one component, and all components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["EMPTY_ANSWER", "FORMULA", "MISTAKE", "VARIANT", "AuditResult", "ComponentAudit", "Finding"]

MISTAKE, VARIANT, EMPTY_ANSWER, FORMULA = "mistake", "variant", "empty answer", "simple formula"


@dataclass(frozen=True)
class Finding:
    """The outcome of judging one implementation.

    Attributes:
        name: the name of the implementation.
        role: whether it is a mistake, a variant, an empty answer or a simple formula. Simple formulas are listed only
            if they pass a case, which none may.
        points: the points that it got.
        case: the case that must catch a mistake.
        sentence: the feedback that a student with this mistake must get.
        complaint: what is wrong with the check; empty if nothing is.
    """

    name: str
    role: str
    points: float
    case: str = ""
    sentence: str = ""
    complaint: str = ""


@dataclass(frozen=True)
class ComponentAudit:
    """The findings about one component.

    Attributes:
        component: the name of the component.
        unit: the unit of the component.
        cases: the points of each case by name, the main one first.
        findings: the outcome of each implementation.
        sentences: number of sentences naming a cause that the mistakes got, alone and with slips.
        shared: number of these sentences that name another mistake and are true of both.
        pairs: number of pairs of a mistake and a slip that were tried.
    """

    component: str
    unit: str
    cases: Mapping[str, int]
    findings: tuple[Finding, ...]
    sentences: int
    shared: int
    pairs: int

    @property
    def max_points(self) -> int:
        return sum(self.cases.values())

    @property
    def complaints(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.complaint)

    def of_role(self, role: str) -> tuple[Finding, ...]:
        """The findings about mistakes, variants, empty answers or simple formulas."""
        return tuple(finding for finding in self.findings if finding.role == role)

    def killed_by(self, case: str) -> tuple[Finding, ...]:
        """The mistakes that one case has to catch."""
        return tuple(finding for finding in self.of_role(MISTAKE) if finding.case == case)

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ComponentAudit:
        """The inverse of :meth:`to_record`; raises KeyError or TypeError for anything else."""
        return cls(**{**record, "findings": tuple(Finding(**finding) for finding in record["findings"])})


@dataclass(frozen=True)
class AuditResult:
    """The audits of several components, in the order of the exercises; some were ``kept`` from an earlier run."""

    audits: tuple[ComponentAudit, ...]
    kept: int = 0

    @property
    def complaints(self) -> tuple[Finding, ...]:
        return tuple(finding for audit in self.audits for finding in audit.complaints)

    def count(self, role: str) -> int:
        """The number of mistakes, variants or empty answers that were tried."""
        return sum(len(audit.of_role(role)) for audit in self.audits)
