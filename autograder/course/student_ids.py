"""Compares students' ids, and finds ids so similar that they probably mean one student.

An id is the name of a student's folder, and appears in the roster, the gradebook and ``extensions.csv``. On the way
macOS decomposes letters with accents, spreadsheets drop leading zeros, and people type spaces and capitals. Decomposed
letters are composed again (NFC), because both forms look the same. Nothing else is changed: two students may have the
ids ``7`` and ``007``. But if work arrives under ``7`` while the roster lists ``007``, the grader reports the two before
anybody gets a zero.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

__all__ = ["NearMatch", "near_matches", "normal_id"]


def normal_id(name: str) -> str:
    """The id with composed letters (Unicode's NFC), as it is stored and compared.

    >>> normal_id("Jose\u0301") == "Jos\u00e9"
    True
    """
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class NearMatch:
    """Two ids that probably mean one student.

    Attributes:
        found: the id that work was handed in under, and that is not in the roster.
        expected: the id in the roster; without a roster, the other id that work was handed in under.
        difference: in what the two differ, for example ``letter case``.
    """

    found: str
    expected: str
    difference: str

    def __str__(self) -> str:
        return f"{self.found!r} is probably {self.expected!r} (they differ in {self.difference})"


def near_matches(roster: Iterable[str], handed_in: Iterable[str]) -> tuple[NearMatch, ...]:
    """Ids that handed in work, are not in the roster, and look like one that is.

    Ids that resemble nobody in the roster are compared with each other.

    >>> [str(match) for match in near_matches(["007", "ada"], ["7", "ada"])]
    ["'7' is probably '007' (they differ in leading zeros)"]
    """
    roster = {normal_id(name) for name in roster}
    groups = defaultdict(set)
    for name in roster | {normal_id(name) for name in handed_in}:
        groups[_folded(name)].add(name)
    matches = (match for group in groups.values() if len(group) > 1 for match in _within(group, roster))
    return tuple(sorted(matches, key=lambda match: (match.found, match.expected)))


def _within(group: set[str], roster: set[str]) -> Iterable[NearMatch]:
    expected = sorted(group & roster) or [min(group)]
    for found in group - set(expected):
        for name in expected:
            yield NearMatch(found, name, _difference(found, name))


def _as_on_disk(name: str) -> str:
    """The folder name that :func:`~autograder.plain_text.unmistakable` made the id from: the inverse of its escapes."""
    return re.sub(r"%u([0-9A-F]{4})|%([0-9A-F]{2})", lambda code: chr(int(code[1] or code[2], 16)), name)


def _without_capitals(name: str) -> str:
    return name.casefold()


def _without_leading_zeros(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


def _without_decimals(name: str) -> str:
    """The id without the decimals that a spreadsheet adds: ``7`` for ``7.0``."""
    return re.sub(r"^(\d+)\.0+$", r"\1", name)


def _without_blanks(name: str) -> str:
    """The id stripped, with every run of spaces as one space and no invisible characters."""
    seen = "".join(" " if sign.isspace() else sign for sign in name if unicodedata.category(sign) != "Cf")
    return " ".join(seen.split())


def _without_letter_forms(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


_FOLDS: Mapping[str, Callable[[str], str]] = {
    "blanks": _without_blanks,
    "the form of a letter": _without_letter_forms,
    "letter case": _without_capitals,
    "decimals": _without_decimals,
    "leading zeros": _without_leading_zeros,
}


def _folded(name: str) -> str:
    name = _as_on_disk(name)
    for fold in _FOLDS.values():
        name = fold(name)
    return name


def _difference(one: str, other: str) -> str:
    """In what two ids differ: the single fold that makes them equal, or all folds that change one of them."""
    one, other = normal_id(_as_on_disk(one)), normal_id(_as_on_disk(other))
    if one == other:
        return "how accents are encoded"
    for what, fold in _FOLDS.items():
        if fold(one) == fold(other):
            return what
    return " and ".join(what for what, fold in _FOLDS.items() if fold(one) != one or fold(other) != other)
