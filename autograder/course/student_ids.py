"""Compares students' ids, and finds ids so similar that they probably mean one student.

An id is the name of a student's folder, and the same id stands in the roster, the gradebook and ``extensions.csv``. On
their way there macOS takes letters with accents apart, spreadsheets drop leading zeros, and people type blanks and
capitals. Letters taken apart are put together again (NFC), because both forms are one name to everybody who reads it.
All else stays as it is: two students may well have the ids ``7`` and ``007``. But a grade that lies under one of them,
while the roster asks for the other, is named before anybody is given a zero.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

__all__ = ["NearMatch", "near_matches", "normal_id"]


def normal_id(name: str) -> str:
    """The id as it is stored and compared: with composed letters (Unicode's NFC).

    >>> normal_id("Jose\u0301") == "Jos\u00e9"
    True
    """
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class NearMatch:
    """Two ids that probably mean one student.

    Attributes:
        found: the id that something was handed in under, and that is not on the roster.
        expected: the id on the roster; where there is no roster, the other id that handed something in.
        difference: what tells the two apart, ``letter case`` for example.
    """

    found: str
    expected: str
    difference: str

    def __str__(self) -> str:
        return f"{self.found!r} is probably {self.expected!r} (they differ in {self.difference})"


def near_matches(roster: Iterable[str], handed_in: Iterable[str]) -> tuple[NearMatch, ...]:
    """Ids that handed something in, are not on the roster, and look like one that is.

    Where no id on the roster looks like them, ids that handed something in are compared with each other.

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
    """The folder's name behind an id in which :func:`~autograder.plain_text.unmistakable` wrote signs as numbers."""
    return re.sub(r"%u([0-9A-F]{4})|%([0-9A-F]{2})", lambda code: chr(int(code[1] or code[2], 16)), name)


def _without_capitals(name: str) -> str:
    return name.casefold()


def _without_leading_zeros(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)


def _without_decimals(name: str) -> str:
    """``7`` for the ``7.0`` that a spreadsheet makes of it."""
    return re.sub(r"^(\d+)\.0+$", r"\1", name)


def _without_blanks(name: str) -> str:
    """No blank signs at the ends, a plain one for each row of others, none that cannot be seen."""
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
    """The folds that bring the two together: those that change at least one of them, each tried on its own."""
    one, other = normal_id(_as_on_disk(one)), normal_id(_as_on_disk(other))
    if one == other:
        return "how accents are encoded"
    for what, fold in _FOLDS.items():
        if fold(one) == fold(other):
            return what
    return " and ".join(what for what, fold in _FOLDS.items() if fold(one) != one or fold(other) != other)
