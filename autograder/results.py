"""The result of grading one submission; the JSON file, the gradebook and the feedback page are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from nbformat import NotebookNode

__all__ = ["CaseResult", "ComponentScore", "Graded", "SubmissionResult"]


@dataclass(frozen=True)
class CaseResult:
    """The outcome of one case of a component's check; ``diagnosis`` says what went wrong, and is empty if it passed."""

    name: str
    passed: bool
    diagnosis: str
    points: float
    max_points: float


@dataclass(frozen=True)
class ComponentScore:
    """The points of one component, between 0 and ``max_points``, and the outcomes of its cases."""

    points: float
    max_points: float
    cases: tuple[CaseResult, ...] = ()


@dataclass(frozen=True)
class SubmissionResult:
    """The automatic part of one submission's grade; written answers, graded by hand, are not included.

    Attributes:
        student: the student's id.
        status: quarantined if the submission could not be graded.
        reason: why it is quarantined; empty if it is not.
        flags: remarks for the instructor, some of them also for the student.
        max_points: the points that the components are worth together.
        components: the score of each component, by name.
        seconds: how long grading took.
    """

    student: str
    status: Literal["graded", "quarantined"]
    reason: str = ""
    flags: tuple[str, ...] = ()
    max_points: float = 0.0
    components: Mapping[str, ComponentScore] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def points(self) -> float:
        return round(sum(component.points for component in self.components.values()), 6)

    def to_record(self) -> dict[str, Any]:
        """The whole result as JSON types."""
        return {**asdict(self), "points": self.points}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SubmissionResult:
        """The inverse of :meth:`to_record`."""
        facts = {key: value for key, value in record.items() if key not in ("points", "components", "flags")}
        components = {
            name: ComponentScore(**{**score, "cases": tuple(CaseResult(**case) for case in score["cases"])})
            for name, score in record["components"].items()
        }
        return cls(**facts, flags=tuple(record["flags"]), components=components)

    def to_json(self) -> dict[str, Any]:
        """The object that ``course grade --json`` writes for this submission."""
        return {
            "student": self.student,
            "status": self.status,
            "reason": self.reason,
            "flags": list(self.flags),
            "points": self.points,
            "max_points": self.max_points,
            "components": {name: _component_json(score) for name, score in self.components.items()},
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Graded:
    """A graded submission: its result and the notebook rebuilt from it.

    Attributes:
        result: the points, or why the submission is quarantined.
        notebook: the released notebook with the student's answers; None if the submission is quarantined.
        sha256: SHA-256 of the submitted notebook, in hexadecimal; empty if it was not read.
        handed_in: when it was handed in, in UTC without a zone; None if unknown.
        seeds: for each component, the seed that its inputs were drawn from.
        is_repeatable: whether grading again would give the same result; False if a time limit or a crash decided it.
        is_from_before: whether the points come from an earlier run.
    """

    result: SubmissionResult
    notebook: NotebookNode | None = None
    sha256: str = ""
    handed_in: datetime | None = None
    seeds: Mapping[str, int] = field(default_factory=dict, repr=False)
    is_repeatable: bool = False
    is_from_before: bool = False


def _component_json(score: ComponentScore) -> dict[str, Any]:
    cases = [{"name": case.name, "passed": case.passed, "diagnosis": case.diagnosis} for case in score.cases]
    return {"points": score.points, "max_points": score.max_points, "cases": cases}
