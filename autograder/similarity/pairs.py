"""Finds pairs of submissions whose answers are more alike than the exercise explains.

The exercise explains a fingerprint that is in the stub, in the reference solution, or in many answers. The others are
rare, and a rarer one counts more: a fingerprint in ``d`` of ``n`` answers counts ``log2((n + 1) / d)`` bits. Only
answers that share a rare fingerprint are ever compared, so the work grows with the size of the class, not with the
number of its pairs.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from autograder.similarity.structure import signs
from autograder.similarity.winnowing import fingerprints

__all__ = ["Author", "Likeness", "Pair", "alike", "like_answers"]

MOST_SHARE = 0.05
"""A fingerprint in a larger share of the class than this is not rare."""

_RARE_ANYWAY = 5  # in a small class, a fingerprint in this many answers still counts as rare
_NEVER_RARE = 40  # in a large class, a fingerprint in more answers never does: it would make too many pairs
_FEWEST_SHARED = 4  # fewer rare fingerprints than this can be chance
_LEAST_SIMILAR = 0.45  # the right answers in autograder/checks/variants, written independently, stay below 0.35


class Author(NamedTuple):
    """A student of this class or of an earlier one, who may have the same id."""

    name: str
    is_earlier: bool = False


@dataclass(frozen=True)
class Likeness:
    """How alike the answers of two students to one exercise are.

    Attributes:
        similarity: the share of the rare part of the smaller answer that is in the other too, 0 to 1.
        component: the exercise.
        shared: the number of rare fingerprints that are in both answers.
        bits: the sum of their bits, a measure of surprise.
    """

    component: str
    similarity: float
    shared: int
    bits: float


@dataclass(frozen=True)
class Pair:
    """Two students, and the exercises in which their answers are alike, the most surprising first.

    The first is of this class; the second may be of an earlier one.
    """

    first: Author
    second: Author
    likenesses: tuple[Likeness, ...]

    @property
    def bits(self) -> float:
        return sum(likeness.bits for likeness in self.likenesses)

    @property
    def similarity(self) -> float:
        """The similarity in the exercise in which the two are most similar."""
        return max(likeness.similarity for likeness in self.likenesses)

    def other(self, author: Author) -> Author:
        """The other student of the pair."""
        return self.second if author == self.first else self.first


Sources = Mapping[str, Mapping[str, str]]  # by component and student


def alike(answers: Sources, known: Mapping[str, Collection[str]], earlier: Sources | None = None) -> tuple[Pair, ...]:
    """The pairs of students whose answers are alike, the most surprising first.

    Args:
        known: the sources that everybody had, by component: the stub, the reference solution.
        earlier: the answers of an earlier class, whose students are not compared with each other.
    """
    found: defaultdict[tuple[Author, Author], list[Likeness]] = defaultdict(list)
    for component, by_student in answers.items():
        sources = {Author(student): source for student, source in by_student.items()}
        for student, source in (earlier or {}).get(component, {}).items():
            sources[Author(student, is_earlier=True)] = source
        for authors, likeness in like_answers(component, sources, known.get(component, ())):
            found[authors].append(likeness)
    pairs = (Pair(*authors, tuple(sorted(found[authors], key=lambda like: -like.bits))) for authors in found)
    return tuple(sorted(pairs, key=lambda pair: (-pair.bits, pair.first, pair.second)))


def like_answers(
    component: str, sources: Mapping[Author, str], known: Collection[str]
) -> Iterable[tuple[tuple[Author, Author], Likeness]]:
    """Pairs of students, at least one of them of this class, whose answers to one exercise are alike."""
    rare = _rare_fingerprints(sources, known)
    weights = _weights(rare, len(sources))
    sizes = {student: sum(weights[mark] for mark in marks) for student, marks in rare.items()}
    shared, bits = _shared(rare, weights)
    for pair, count in shared.items():
        similarity = bits[pair] / min(sizes[student] for student in pair)
        if count >= _FEWEST_SHARED and similarity >= _LEAST_SIMILAR:
            yield pair, Likeness(component, min(1.0, similarity), count, bits[pair])


def _rare_fingerprints(sources: Mapping[Author, str], known: Collection[str]) -> Mapping[Author, frozenset[int]]:
    """The fingerprints of each answer that the exercise does not explain."""
    explained = frozenset().union(*(fingerprints(signs(source) or ()) for source in known))
    marks = {student: fingerprints(signs(source) or ()) - explained for student, source in sources.items()}
    counts = Counter(mark for of_student in marks.values() for mark in of_student)
    most = max(_RARE_ANYWAY, min(int(MOST_SHARE * len(sources)), _NEVER_RARE))
    return {student: frozenset(m for m in of_student if counts[m] <= most) for student, of_student in marks.items()}


def _weights(rare: Mapping[Author, frozenset[int]], size: int) -> Mapping[int, float]:
    counts = Counter(mark for marks in rare.values() for mark in marks)
    return {mark: math.log2((size + 1) / count) for mark, count in counts.items()}


def _shared(
    rare: Mapping[Author, frozenset[int]], weights: Mapping[int, float]
) -> tuple[Counter[tuple[Author, Author]], Mapping[tuple[Author, Author], float]]:
    """The number of shared rare fingerprints, and their bits, for each pair that has any."""
    holders = defaultdict(list)
    for student in sorted(rare, key=lambda author: (author.is_earlier, author.name)):
        for mark in rare[student]:
            holders[mark].append(student)
    shared = Counter()
    bits = defaultdict(float)
    for mark, students in holders.items():
        for pair in combinations(students, 2):
            if not pair[0].is_earlier:
                shared[pair] += 1
                bits[pair] += weights[mark]
    return shared, bits
