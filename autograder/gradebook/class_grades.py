"""The grades of a class as they stand: gradebook, results and roster brought together, lateness taken off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from autograder.course.course import Course, CourseError, Unit
from autograder.course.roster import Roster, Student
from autograder.course.student_ids import NearMatch, near_matches
from autograder.gradebook.gradebook_queries import unit_in_gradebook
from autograder.gradebook.points_that_count import Standing, Status, unit_standing
from autograder.gradebook.recorded_results import recorded_results

__all__ = ["ClassGrades", "Standing", "Status", "class_grades", "graded_units"]


@dataclass(frozen=True)
class ClassGrades:
    """The grades of a class.

    Attributes:
        students: those of the roster in its order, then others who handed something in.
        grades: by student and unit.
        max_points: what each unit is worth, by unit.
        strangers: ids that handed something in and are not in the roster, where there is one.
        near: strangers that are probably somebody in the roster.
    """

    units: tuple[Unit, ...]
    students: tuple[Student, ...]
    grades: Mapping[tuple[str, str], Standing]
    max_points: Mapping[str, float]
    strangers: tuple[str, ...] = ()
    near: tuple[NearMatch, ...] = ()

    def of(self, student: Student, unit: Unit) -> Standing:
        return self.grades[student.id, unit.name]

    def gradeable(self, unit: Unit) -> tuple[Student, ...]:
        """The students of the roster who have a grade in a unit, which can be sent to an LMS."""
        reportable = self.reportable(unit)
        return tuple(
            student
            for student in reportable
            if student.id not in self.strangers and self.of(student, unit).points is not None
        )

    def reportable(self, unit: Unit) -> tuple[Student, ...]:
        """The students with a reportable result in a unit: a grade, a quarantine, or missing work.

        A student without work is not reported as missing if there is work under a similar id.
        """
        doubtful = {match.expected for match in self.near}
        return tuple(
            student
            for student in self.students
            if self.of(student, unit).status not in (Status.OPEN, Status.UNGRADED)
            and not (student.id in doubtful and self.of(student, unit).status is Status.MISSING)
        )

    def remarks(self) -> tuple[str, ...]:
        """What a person should know before handing these grades on, one sentence each."""
        return (
            *(f"{match}: rename the folder under submitted/ and run course grade again" for match in self.near),
            *self._counts(),
        )

    def _counts(self) -> tuple[str, ...]:
        counts = {status: sum(grade.status == status for grade in self.grades.values()) for status in Status}
        on_trust = sum(
            grade.has_work and grade.due is not None and not grade.handed_in for grade in self.grades.values()
        )
        remarks = (
            (counts[Status.WAITING], "waiting to be graded by hand: the points so far are exported"),
            (counts[Status.QUARANTINED], "quarantined: left without points, or with those of the file graded before"),
            (counts[Status.UNGRADED], "handed in but not graded yet, so without points: run course grade"),
            (counts[Status.MISSING], "missing"),
            (on_trust, "without a known time of handing in, counted as on time"),
            (len(self.strangers), f"by students who are not in the roster: {', '.join(self.strangers[:5])}"),
        )
        return tuple(f"{count} {what}" for count, what in remarks if count)


def graded_units(course: Course) -> tuple[Unit, ...]:
    """The units in which somebody has been graded or quarantined, in teaching order."""
    return tuple(
        unit for unit in course.units if recorded_results(course, unit) or unit_in_gradebook(course, unit).submissions
    )


def class_grades(course: Course, units: Sequence[Unit] = (), now: datetime | None = None) -> ClassGrades:
    """The grades of the given units (by default of all that have been graded), with the gradebook brought up to date.

    Args:
        now: the moment that decides what is missing and what is not due yet; by default this one.

    Raises:
        CourseError: nothing has been graded.
    """
    chosen = tuple(units) or graded_units(course)
    standings = [unit_standing(course, unit, now) for unit in chosen]
    if not any(unit.is_graded for unit in standings):
        raise CourseError("nothing has been graded yet: run course grade first")
    known = {student.id: student for student in Roster.of(course).students.values()}
    ids = dict.fromkeys([*known, *sorted({student for unit in standings for student in unit.students} - set(known))])
    students = tuple(known.get(student) or Student(student) for student in ids)
    grades = {(student, unit.unit.name): unit.of(student) for unit in standings for student in ids}
    max_points = {unit.unit.name: unit.worth for unit in standings}
    strangers = tuple(student for student in ids if student not in known) if known else ()
    return ClassGrades(chosen, students, grades, max_points, strangers, near_matches(known, strangers))
