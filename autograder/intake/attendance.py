"""Compares ``submitted/`` with the roster: students without work, work without a student, and misplaced files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.counts_and_lists import in_short
from autograder.course.course import Course, Unit
from autograder.course.roster import Roster
from autograder.course.student_ids import NearMatch, near_matches, normal_id
from autograder.intake.misplaced import misplaced_work
from autograder.intake.submissions import find_submissions

__all__ = ["Attendance", "attendance"]


@dataclass(frozen=True)
class Attendance:
    """Findings to look at before students without a grade are given zero.

    Attributes:
        unit: the name of the unit.
        misplaced: notebooks and archives in places where nothing is graded, as paths below the folder of submissions.
        absent: ids in the roster that handed in nothing for the unit.
        strangers: ids that handed in work but are not in the roster; empty if there is no roster.
        near_matches: pairs of ids that probably mean one student.
        on_roster: number of students in the roster; 0 if there is none.
    """

    unit: str
    misplaced: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    near_matches: tuple[NearMatch, ...] = ()
    on_roster: int = 0

    def sentences(self) -> tuple[str, ...]:
        """One line about each list that is not empty, with the first few of its entries."""
        facts = (
            (self.misplaced, f"in the wrong place, not graded (should be <student>/{self.unit}/): "),
            (self.absent, f"{len(self.absent)} of {self.on_roster} in the roster handed in nothing: "),
            (self.strangers, "not in the roster: "),
        )
        lines = [what + in_short(names, longest=80) for names, what in facts if names]
        return (*lines, *(f"{match}: rename the folder or correct the roster" for match in self.near_matches))

    def to_record(self) -> dict[str, Any]:
        """The findings as JSON types."""
        near = [{"found": match.found, "expected": match.expected} for match in self.near_matches]
        lists = {"misplaced": self.misplaced, "absent": self.absent, "strangers": self.strangers}
        return {**{name: list(entries) for name, entries in lists.items()}, "near_matches": near}


def attendance(course: Course, unit: Unit, submitted: Path | None = None) -> Attendance:
    """Find the students without work for a unit, unknown ids, and misplaced files.

    Args:
        course: the course.
        unit: the unit.
        submitted: a folder of submissions other than the course's own; it is not compared with the roster.

    Raises:
        CourseError: the roster cannot be read.
    """
    folder = submitted or course.submitted
    if not folder.is_dir():
        return Attendance(unit.name)
    misplaced = misplaced_work(folder, [unit.name for unit in course.units])
    roster = [normal_id(student) for student in Roster.of(course).students] if submitted is None else []
    handed_in = {submission.student for submission in find_submissions(folder, unit.name)}
    return Attendance(
        unit.name,
        misplaced,
        tuple(student for student in roster if student not in handed_in),
        tuple(sorted(handed_in - set(roster))) if roster else (),
        near_matches(roster, handed_in),
        len(roster),
    )
