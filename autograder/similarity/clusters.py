"""Groups students who are connected by pairs of similar answers.

Three students who share one solution make three pairs, ten make 45. A person wants to see the ten once, and for each of
them the most similar other student: a copy that is passed on changes a little each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autograder.similarity.pairs import Author, Pair

__all__ = ["Cluster", "clusters_of"]


@dataclass(frozen=True)
class Cluster:
    """Students who are connected by similar pairs, though not every two of them need be similar.

    Attributes:
        authors: the students by name, those of this year first.
        pairs: all similar pairs among them, the most surprising first.
    """

    authors: tuple[Author, ...]
    pairs: tuple[Pair, ...]

    @property
    def bits(self) -> float:
        """The bits of the most surprising pair."""
        return self.pairs[0].bits

    @property
    def components(self) -> tuple[str, ...]:
        """The exercises in which any two of the students are similar, those of the most surprising pairs first."""
        return tuple(dict.fromkeys(likeness.component for pair in self.pairs for likeness in pair.likenesses))

    @property
    def closest(self) -> Mapping[Author, Pair]:
        """For each student, the pair with the most similar other student."""
        found: dict[Author, Pair] = {}
        for pair in self.pairs:
            for author in (pair.first, pair.second):
                found.setdefault(author, pair)
        return found

    @property
    def links(self) -> tuple[Pair, ...]:
        """The most surprising pairs that are just enough to connect all students: one pair fewer than students."""
        groups = _Groups()
        return tuple(pair for pair in self.pairs if groups.join(pair.first, pair.second))


def clusters_of(pairs: Sequence[Pair]) -> tuple[Cluster, ...]:
    """The connected groups of these pairs, the most surprising first.

    Args:
        pairs: the most surprising first.
    """
    groups = _Groups()
    for pair in pairs:
        groups.join(pair.first, pair.second)
    members = defaultdict(set)
    among = defaultdict(list)
    for pair in pairs:
        leader = groups.leader(pair.first)
        members[leader] |= {pair.first, pair.second}
        among[leader].append(pair)
    found = (Cluster(_in_order(members[leader]), tuple(among[leader])) for leader in among)
    return tuple(sorted(found, key=lambda cluster: -cluster.bits))


def _in_order(authors: Iterable[Author]) -> tuple[Author, ...]:
    return tuple(sorted(authors, key=lambda author: (author.is_earlier, author.name)))


class _Groups:
    """The groups of authors connected so far; each is identified by one of its members."""

    def __init__(self) -> None:
        self._above: dict[Author, Author] = {}

    def leader(self, author: Author) -> Author:
        while (above := self._above.get(author, author)) != author:
            author = above
        return author

    def join(self, one: Author, other: Author) -> bool:
        """Connect two authors; return whether they were in different groups before."""
        leader = self.leader(one)
        other_leader = self.leader(other)
        self._above[leader] = other_leader
        return leader != other_leader
