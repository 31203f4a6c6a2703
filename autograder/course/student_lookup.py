"""Finds the student in the roster whom an LMS, a file name or a row of a table refers to.

Numbers must be equal; logins and addresses may differ in letter case. Names are compared without spaces, commas and
letter case, and their words may be rotated: Canvas writes ``lovelaceada``, Moodle ``Ada Lovelace``. Similar ids and
names never match; they are only suggested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from autograder.course.roster import Roster, Student
from autograder.course.student_ids import near_matches, normal_id

__all__ = ["Claim", "Match", "find_student", "same_name"]

_WITHOUT_CASE = ("login", "email")


@dataclass(frozen=True)
class Claim:
    """One fact about a person: an id, a number, a login, an address or a name.

    Attributes:
        value: the fact.
        fields: the columns of the roster to look in; the first that contains the value counts.
    """

    value: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """The students who match some claims.

    Attributes:
        students: the matching students; the match is clear if there is exactly one.
        by: the column of the roster that matched.
        near: similar ids or names in the roster, if no student matches.
    """

    students: tuple[Student, ...] = ()
    by: str = ""
    near: tuple[str, ...] = ()

    @property
    def student(self) -> Student | None:
        """The matching student; None if there is none, or more than one."""
        return self.students[0] if len(self.students) == 1 else None

    @property
    def trouble(self) -> str:
        """Why there is no single student, in a few words."""
        if self.students:
            return "matches more than one student: " + ", ".join(sorted(student.id for student in self.students))
        return "matches nobody in the roster" + (f"; is it {' or '.join(self.near)}?" if self.near else "")


def find_student(roster: Roster, claims: Sequence[Claim]) -> Match:
    """Find the student whom all claims refer to; names are used only if nothing else matches.

    Example:
        >>> roster = Roster({"7": Student("7", "Ada Lovelace", "ada@uni.example")})
        >>> find_student(roster, [Claim("Lovelace, Ada", ("name",))]).student.id
        '7'
        >>> find_student(roster, [Claim("007", ("id",))]).trouble
        'matches nobody in the roster; is it 7?'
    """
    claims = [claim for claim in claims if claim.value.strip()]
    students = tuple(roster.students.values())
    firm = [_meant(students, claim) for claim in claims if claim.fields != ("name",)]
    names = [_meant(students, claim) for claim in claims if claim.fields == ("name",)]
    for matches in (firm, names):
        meant = {student.id: student for match in matches for student in match.students}
        if meant:
            return Match(tuple(meant.values()), next(match.by for match in matches if match.students))
    return Match(near=tuple(_near(students, claims))[:3])


def _meant(students: Sequence[Student], claim: Claim) -> Match:
    for field in claim.fields:
        if field == "name":
            fits = [student for student in students if same_name(student.name, claim.value)]
        else:
            wanted = _comparable(field, claim.value)
            fits = [student for student in students if _comparable(field, getattr(student, field)) == wanted]
        if fits:
            return Match(tuple(fits), field)
    return Match()


def _comparable(field: str, value: str) -> str:
    value = normal_id(value.strip())
    return value.casefold() if field in _WITHOUT_CASE else value


def same_name(one: str, other: str) -> bool:
    """Whether two spellings of a name differ only in spaces, punctuation, letter case and a rotation of the words.

    >>> same_name("Lovelace, Ada", "adalovelace")
    True
    """
    return bool(_squeezed(one)) and not _beginnings(one).isdisjoint({_squeezed(other)} | _beginnings(other))


def _beginnings(name: str) -> set[str]:
    words = name.replace(",", " ").split()
    return {_squeezed("".join([*words[start:], *words[:start]])) for start in range(len(words))} - {""}


def _squeezed(name: str) -> str:
    return "".join(sign for sign in normal_id(name).casefold() if sign.isalnum())


def _near(students: Sequence[Student], claims: Iterable[Claim]) -> Iterable[str]:
    for claim in claims:
        for field in claim.fields:
            by_value = {getattr(student, field): student for student in students if getattr(student, field)}
            close = [match.expected for match in near_matches(by_value, [claim.value])]
            close = close or get_close_matches(claim.value, by_value, 2, cutoff=0.8)
            yield from (_shown(by_value[value], field, value) for value in close if value in by_value)


def _shown(student: Student, field: str, value: str) -> str:
    return student.id if field == "id" else f"{student.id} ({value})"
