"""What the audit finds: about one guard, about one component, about all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["EMPTY_ANSWER", "FORMULA", "MISTAKE", "VARIANT", "AuditResult", "ComponentAudit", "Finding"]

MISTAKE, VARIANT, EMPTY_ANSWER, FORMULA = "mistake", "variant", "empty answer", "simple formula"


@dataclass(frozen=True)
class Finding:
    """What became of one implementation; ``complaint`` says what is wrong with the judge, if anything is.

    ``case`` is the one that must catch a mistake, and ``sentence`` what the student is to be told then. Of simple
    formulas only those are found that pass a case, which none may.
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
        cases: the points of each case by its name, the main one first.
        sentences: how many sentences that name a cause the mistakes drew, alone and in pairs.
        shared: how many of these name another mistake, of which they are as true.
        pairs: how many pairs of a mistake and a slip were tried.
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
        """The inverse of :meth:`to_record`; a KeyError or TypeError means that it is no such record."""
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
        """How many mistakes, variants, or empty answers were tried."""
        return sum(len(audit.of_role(role)) for audit in self.audits)
