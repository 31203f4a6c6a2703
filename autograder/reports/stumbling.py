"""Where a class stumbles: what the recorded results of one unit add up to."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autograder.results import CaseResult, SubmissionResult

__all__ = ["CaseRecord", "ComponentRecord", "Group", "cases", "components", "diagnoses", "flags", "median"]

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])", re.IGNORECASE)


@dataclass(frozen=True)
class ComponentRecord:
    """How a class did in one component: how many got all points, some, none; and the mean share of the points."""

    name: str
    full: int
    some: int
    none: int
    mean_share: float

    @property
    def count(self) -> int:
        return self.full + self.some + self.none


@dataclass(frozen=True)
class CaseRecord:
    """How many of a class passed one case."""

    component: str
    name: str
    passed: int
    count: int

    @property
    def share(self) -> float:
        return self.passed / self.count


@dataclass(frozen=True)
class Group:
    """Students of whom the same is said; ``component`` is empty where it is said of the whole submission."""

    text: str
    students: tuple[str, ...]
    component: str = ""


def components(results: Sequence[SubmissionResult]) -> tuple[ComponentRecord, ...]:
    """One record per component, in the order of the unit."""
    shares = defaultdict(list)
    for result in results:
        for name, score in result.components.items():
            shares[name].append(score.points / score.max_points if score.max_points else 1.0)
    return tuple(_component(name, of_class) for name, of_class in shares.items())


def _component(name: str, shares: Sequence[float]) -> ComponentRecord:
    full, none = sum(share >= 1 for share in shares), sum(share <= 0 for share in shares)
    return ComponentRecord(name, full, len(shares) - full - none, none, statistics.fmean(shares))


def cases(results: Sequence[SubmissionResult]) -> tuple[CaseRecord, ...]:
    """One record per case, the hardest first."""
    passed, count = Counter(), Counter()
    for _, component, case in _all_cases(results):
        count[component, case.name] += 1
        passed[component, case.name] += case.passed
    records = (CaseRecord(*key, passed[key], count[key]) for key in count)
    return tuple(sorted(records, key=lambda record: record.share))


def diagnoses(results: Sequence[SubmissionResult]) -> tuple[Group, ...]:
    """What the grader said, to how many: the commonest first. Texts that differ in numbers only count as one."""
    texts, students = defaultdict(Counter), defaultdict(dict)
    for student, component, case in _all_cases(results):
        if not case.passed:
            text = case.diagnosis or f"{case.name}: failed"
            key = (component, _NUMBER.sub("#", text))
            texts[key][text] += 1
            students[key][student] = None  # each student once, in order
    groups = (Group(texts[key].most_common(1)[0][0], tuple(students[key]), key[0]) for key in texts)
    return _by_size(groups)


def flags(results: Sequence[SubmissionResult]) -> tuple[Group, ...]:
    """What was noted about files, the commonest first."""
    students = defaultdict(list)
    for result in results:
        for flag in dict.fromkeys(result.flags):
            students[flag].append(result.student)
    return _by_size(Group(flag, tuple(flagged)) for flag, flagged in students.items())


def median(values: Sequence[float]) -> float | None:
    """The middle of some values; None of none."""
    return statistics.median(values) if values else None


def _all_cases(results: Sequence[SubmissionResult]) -> Iterable[tuple[str, str, CaseResult]]:
    for result in results:
        for component, score in result.components.items():
            for case in score.cases:
                yield result.student, component, case


def _by_size(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: (-len(group.students), group.component, group.text)))
