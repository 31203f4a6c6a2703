"""Finds the student who handed in each submission of a download, or says why that is unclear."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autograder.collecting.archives import LeftOut
from autograder.collecting.handed_in_work import Work
from autograder.collecting.time_tables import Times
from autograder.course.roster import Roster, Student
from autograder.course.student_ids import normal_id
from autograder.course.student_lookup import Claim, Match, find_student
from autograder.plain_text import unmistakable

__all__ = ["Owners"]


@dataclass(frozen=True)
class Owners:
    """Assigns work to students of the roster.

    Attributes:
        roster: the class list.
        times: the table of times, which may say more about the authors.
        groups: whether group work is assigned to each of its authors.
    """

    roster: Roster
    times: Times
    groups: bool

    def of(self, works: Iterable[Work]) -> tuple[Mapping[str, Sequence[Work]], Sequence[LeftOut]]:
        """The work of each student, and the work that cannot be assigned, with the reason."""
        owned: dict[str, list[Work]] = defaultdict(list)
        left_out = []
        for work in works:
            students, reason = self._students(work)
            if reason:
                left_out.append(LeftOut(work.label, reason))
            for student in students:
                owned[student].append(work)
        return owned, left_out

    def _students(self, work: Work) -> tuple[Sequence[str], str]:
        matches = [self._match(claims, work) for claims in work.people]
        if not matches:
            return (), "it names no author"
        unclear = [match.trouble for match in matches if match.student is None]
        if unclear:
            return (), _shortened(unclear, len(matches))
        students = list(dict.fromkeys(match.student.id for match in matches if match.student))
        if len(students) > 1 and not self.groups:
            together = ", ".join(students)
            return (), f"group work of {len(students)} students ({together}): --groups gives it to each of them"
        return students, ""

    def _match(self, claims: Sequence[Claim], work: Work) -> Match:
        if not self.roster:
            return _taken_at_its_word(claims[0].value)
        return find_student(self.roster, [*claims, *self.times.claims.get(work.number, ())])


def _shortened(troubles: Sequence[str], people: int) -> str:
    return troubles[0] if people == 1 else f"it names {people} authors, and one {troubles[0]}"


def _taken_at_its_word(name: str) -> Match:
    """Without a roster, the folder's name is the id, if it can be one."""
    student = normal_id(name.strip())
    usable = student and unmistakable(student) == student and not student.startswith(".") and "/" not in student
    return Match((Student(student),) if usable else ())
