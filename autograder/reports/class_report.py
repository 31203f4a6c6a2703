"""Writes the class report of a unit: a page that shows where students stumble, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError, Unit
from autograder.course.private_files import write_private
from autograder.course.spreadsheet import Cell, number, write_table
from autograder.gradebook.class_grades import ClassGrades, Standing, Status, class_grades
from autograder.gradebook.gradebook_queries import QuestionScore
from autograder.gradebook.regrade_requests import RegradeRequest, regrade_requests
from autograder.intake.attendance import Attendance, attendance
from autograder.reports.figures import component_picture, points_picture, seconds_picture
from autograder.reports.pages import render
from autograder.reports.stumbling import Group, cases, components, diagnoses, flags, follow_ups, median
from autograder.results import SubmissionResult

__all__ = ["ClassReport", "write_report"]

_MOST_NAMED = 12  # students listed behind one diagnosis on the page; the table has all


@dataclass(frozen=True)
class ClassReport:
    """The data of a report on one unit."""

    unit: Unit
    grades: ClassGrades
    results: tuple[SubmissionResult, ...]
    attendance: Attendance
    requests: tuple[RegradeRequest, ...] = ()

    @classmethod
    def of(cls, course: Course, unit: Unit, grades: ClassGrades) -> ClassReport:
        """The report of a unit, from its recorded results and ``grades``."""
        standings = (grades.of(student, unit) for student in grades.students)
        results = tuple(standing.result for standing in standings if standing.result is not None)
        return cls(unit, grades, results, attendance(course, unit), regrade_requests(course, unit))

    @cached_property
    def graded(self) -> tuple[SubmissionResult, ...]:
        return tuple(result for result in self.results if result.status == "graded")

    @cached_property
    def _of_class(self) -> tuple[Standing, ...]:
        return tuple(self.grades.of(student, self.unit) for student in self.grades.students)

    @cached_property
    def handed_in(self) -> tuple[Standing, ...]:
        """The standings of students whose work has been graded."""
        return tuple(standing for standing in self._of_class if standing.has_work)

    @cached_property
    def quarantined(self) -> tuple[Standing, ...]:
        return tuple(standing for standing in self._of_class if standing.status is Status.QUARANTINED)

    @property
    def points(self) -> list[float]:
        return [standing.points for standing in self.handed_in if standing.points is not None]

    @property
    def max_points(self) -> float:
        return self.grades.max_points[self.unit.name]

    @property
    def slowest(self) -> tuple[SubmissionResult, ...]:
        return tuple(sorted(self.graded, key=lambda result: -result.seconds)[:5])

    @cached_property
    def waiting(self) -> tuple[Group, ...]:
        """The questions still to be graded by hand, with their students."""
        waits = [(standing.student, question) for standing in self.handed_in for question in standing.waiting]
        return tuple(
            Group("to be checked again" if again else "to be graded", students, name)
            for name in dict.fromkeys(question.answer for _, question in waits)
            for again in (False, True)
            if (students := _waiting_for(waits, name, again))
        )

    def count(self, status: Status) -> int:
        return sum(standing.status == status for standing in self._of_class)

    def numbers(self) -> dict[str, float | int | None]:
        """The class in a few numbers."""
        return {
            "graded": len(self.handed_in),
            "quarantined": len(self.quarantined),
            "handed in, not graded yet": self.count(Status.UNGRADED),
            "missing": self.count(Status.MISSING),
            "late": sum(standing.days_late > 0 for standing in self.handed_in),
            "handed in at an unknown time": sum(standing.handed_in is None for standing in self.handed_in),
            "flagged": sum(bool(result.flags) for result in self.graded),
            "to grade by hand": sum(bool(standing.waiting) for standing in self.handed_in),
            "open regrade requests": sum(request.is_open for request in self.requests),
            "median points": number(median(self.points), 2),
            "maximum points": number(self.max_points),
        }


def _waiting_for(waits: Iterable[tuple[str, QuestionScore]], name: str, again: bool) -> tuple[str, ...]:
    """The students whose answers to one question must be graded for the first time, or again."""
    return tuple(
        student for student, question in waits if question.answer == name and (question.manual is not None) == again
    )


def write_report(course: Course, unit: Unit, folder: Path) -> tuple[Path, Path]:
    """Write ``report-<unit>.html`` and ``.csv`` into a folder and return both paths.

    Raises:
        CourseError: the unit has not been graded.
    """
    report = ClassReport.of(course, unit, class_grades(course, [unit]))
    if not report.results:
        raise CourseError(f"{unit.name} has not been graded: run course grade {unit.name}")
    page, table = folder / f"report-{unit.name}.html", folder / f"report-{unit.name}.csv"
    write_private(page, _page(course, report))
    write_table(table, _rows(report), byte_order_mark=True)
    log_event(course, "class report", unit=unit.name, folder=str(folder.resolve()))
    return page, table


def _page(course: Course, report: ClassReport) -> str:
    records = components(report.graded)
    seconds = [result.seconds for result in report.graded]
    return render(
        "class_report.html",
        course=course,
        unit=report.unit,
        report=report,
        points_picture=points_picture(report.points, report.max_points) if report.points else None,
        component_picture=component_picture(records) if records else None,
        seconds_picture=seconds_picture(seconds) if seconds else None,
        cases=cases(report.graded),
        diagnoses=diagnoses(report.graded),
        flags=flags(report.graded),
        named=_MOST_NAMED,
    )


def _rows(report: ClassReport) -> Iterator[tuple[Cell, ...]]:
    """Everything on the page as one table: kind of fact, component, text, count, total, students."""
    yield ("kind", "component", "what", "count", "of", "students")
    size = len(report.graded)
    for name, value in report.numbers().items():
        yield ("number", "", name, value, None, "")
    for record in components(report.graded):
        yield ("component: all points", record.name, "", record.full, record.count, "")
        yield ("component: no points", record.name, "", record.none, record.count, "")
    for case in cases(report.graded):
        yield ("case passed", case.component, case.name, case.passed, case.count, "")
    yield from _groups("diagnosis", diagnoses(report.graded), size)
    yield from _groups("follow-up", follow_ups(report.graded), size)
    yield from _groups("flag", flags(report.graded), size)
    yield from _groups("waits", report.waiting, size)
    for standing in report.quarantined:
        yield ("quarantined", "", standing.reason, 1, len(report.results), standing.student)
    for request in report.requests:
        state = "regrade request: open" if request.is_open else "regrade request: closed"
        yield (state, request.question, request.decision or request.reason, None, None, request.student)
    yield from _attendance(report.attendance)
    for result in report.graded:
        yield ("seconds", "", "", number(result.seconds, 2), None, result.student)


def _attendance(present: Attendance) -> Iterator[tuple[Cell, ...]]:
    for path in present.misplaced:
        yield ("in the wrong place", "", path, 1, None, "")
    for student in present.absent:
        yield ("handed in nothing", "", "", 1, present.on_roster, student)
    for student in present.strangers:
        yield ("not in the roster", "", "", 1, None, student)
    for match in present.near_matches:
        yield ("probably another id", "", str(match), 1, None, match.found)


def _groups(kind: str, groups: Sequence[Group], size: int) -> Iterator[tuple[Cell, ...]]:
    for group in groups:
        yield (kind, group.component, group.text, len(group.students), size, " ".join(group.students))
