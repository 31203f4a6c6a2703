"""Summarises the recorded results of one unit: where a class stumbles."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from autograder.results import CaseResult, SubmissionResult

__all__ = [
    "CaseRecord",
    "ComponentRecord",
    "Group",
    "cases",
    "components",
    "diagnoses",
    "flags",
    "follow_ups",
    "median",
]

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])", re.IGNORECASE)
# Some diagnoses refer to an earlier case instead of a cause (``avae_lib.checking.verdicts``); a cause may follow
# "besides".
_POINTER = re.compile(
    r"counts once “[^”]*” passes(?:; besides, )?|see to “[^”]*” first|not run any more: .*", re.DOTALL
)
_PARTICULARS = (
    re.compile(r"'[^']*'|“[^”]*”|`[^`]*`"),
    re.compile(r"(?<=: )[\w.-]+(?:, [\w.-]+)*$"),
    re.compile(r"(?<=\().*(?=\): please check$)"),
    re.compile(r"(?<=\buses ).*?(?= from other cells)"),
    re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)*"),
    re.compile(r"…(?:,? (?:and )?…)+"),
)


@dataclass(frozen=True)
class ComponentRecord:
    """One component in a class: how many students got all, some and no points, and the mean share of the points."""

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
    """How many students of a class passed one case."""

    component: str
    name: str
    passed: int
    count: int

    @property
    def share(self) -> float:
        return self.passed / self.count


@dataclass(frozen=True)
class Group:
    """Students with the same diagnosis or flag.

    Attributes:
        text: the diagnosis or flag.
        students: their ids.
        component: the component that it is about; empty for the whole submission.
        notes: each student with the exact text, if the texts differ.
    """

    text: str
    students: tuple[str, ...]
    component: str = ""
    notes: tuple[tuple[str, str], ...] = ()


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
    passed: Counter[tuple[str, str]] = Counter()
    count: Counter[tuple[str, str]] = Counter()
    for _, component, case in _all_cases(results):
        count[component, case.name] += 1
        passed[component, case.name] += case.passed
    records = (CaseRecord(*key, passed[key], count[key]) for key in count)
    return tuple(sorted(records, key=lambda record: record.share))


def diagnoses(results: Sequence[SubmissionResult]) -> tuple[Group, ...]:
    """The diagnoses with the students who got them, the most frequent first.

    Texts that differ only in numbers count as one. Sentences that only refer to another case are left out.
    """
    return _said(results, lambda text: _POINTER.sub("", text))


def follow_ups(results: Sequence[SubmissionResult]) -> tuple[Group, ...]:
    """The diagnoses that only refer to another case."""
    return _said(results, lambda text: text if _POINTER.fullmatch(text) else "")


def _said(results: Sequence[SubmissionResult], part: Callable[[str], str]) -> tuple[Group, ...]:
    texts, students = defaultdict(Counter), defaultdict(dict)
    for student, component, case in _all_cases(results):
        if not case.passed and (text := part(case.diagnosis or f"{case.name}: failed")):
            key = (component, _NUMBER.sub("#", text))
            texts[key][text] += 1
            students[key][student] = None  # each student once, in order
    groups = (Group(texts[key].most_common(1)[0][0], tuple(students[key]), key[0]) for key in texts)
    return _by_size(groups)


def flags(results: Sequence[SubmissionResult]) -> tuple[Group, ...]:
    """The flags with their students, the most frequent first; flags that differ in names and numbers count as one."""
    names = {name for result in results for name in result.components}
    said = defaultdict(list)
    for result in results:
        for flag in dict.fromkeys(result.flags):
            said[_kind(flag, names)].append((result.student, flag))
    return _by_size(_flag_group(kind, notes) for kind, notes in said.items())


def _flag_group(kind: str, notes: Sequence[tuple[str, str]]) -> Group:
    variants = {flag for _, flag in notes}
    students = tuple(dict.fromkeys(student for student, _ in notes))
    return Group(kind if len(variants) > 1 else notes[0][1], students, notes=tuple(notes) if len(variants) > 1 else ())


def _kind(flag: str, names: Collection[str]) -> str:
    """A flag with dots in place of names, numbers and lists."""
    for name in names:
        flag = re.sub(rf"\b(?:check_)?{re.escape(name)}\b", "…", flag)
    for pattern in _PARTICULARS:
        flag = pattern.sub("…", flag)
    return flag


def median(values: Sequence[float]) -> float | None:
    """The median of some values; None if there are none."""
    return statistics.median(values) if values else None


def _all_cases(results: Sequence[SubmissionResult]) -> Iterable[tuple[str, str, CaseResult]]:
    for result in results:
        for component, score in result.components.items():
            for case in score.cases:
                yield result.student, component, case


def _by_size(groups: Iterable[Group]) -> tuple[Group, ...]:
    return tuple(sorted(groups, key=lambda group: (-len(group.students), group.component, group.text)))
