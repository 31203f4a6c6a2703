"""Makes two tables for people: the grades of the class, and every question of every student."""

from __future__ import annotations

from collections.abc import Iterator

from autograder.counts_and_lists import counted
from autograder.course.roster import Student
from autograder.course.spreadsheet import Cell, number
from autograder.gradebook.class_grades import ClassGrades, Standing, Status
from autograder.gradebook.gradebook_queries import QuestionScore
from autograder.results import SubmissionResult

__all__ = ["final_grades", "per_question"]

_PERSON = ("id", "name", "email", "section")
_QUESTION = ("unit", "status", "question", "graded_by", "points", "max_points", "handed_in", "comment")
LATENESS = "late"


def final_grades(grades: ClassGrades) -> Iterator[tuple[Cell, ...]]:
    """One row per student: the points of each unit after the late penalty, and the weighted total.

    ``weight_earned`` is the percentage of the final grade that these points earn; ``weight_settled`` is the percentage
    of the final grade that is settled. The first is final when the second is 100.
    """
    per_unit = ("", "_max", "_points_lost_late", "_days_late", "_status")
    columns = [f"{unit.name}{suffix}" for unit in grades.units for suffix in per_unit]
    yield (*_PERSON, *columns, "weight_earned", "weight_settled")
    for student in grades.students:
        cells = [cell for unit in grades.units for cell in _unit_cells(grades.of(student, unit))]
        yield (*_person(student), *cells, *_weights(grades, student))


def _person(student: Student) -> tuple[str, ...]:
    return (student.id, student.name, student.email, student.section)


def _unit_cells(grade: Standing) -> tuple[Cell, ...]:
    return (
        number(grade.points),
        number(grade.max_points),
        number(grade.points_lost),
        grade.days_late,
        grade.status.value,
    )


def _weights(grades: ClassGrades, student: Student) -> tuple[Cell, Cell]:
    pairs = [(unit.weight, grades.of(student, unit)) for unit in grades.units]
    earned = sum(
        weight * grade.points / grade.max_points for weight, grade in pairs if grade.points and grade.max_points
    )
    settled = sum(weight for weight, grade in pairs if grade.is_settled and grade.points is not None)
    return number(earned), number(settled)


def per_question(grades: ClassGrades) -> Iterator[tuple[Cell, ...]]:
    """One row per student, unit and question; the late penalty is a row of its own, so that the rows add up.

    The comment contains the diagnosis of each failed case and the comment given by hand.
    """
    yield (*_PERSON, *_QUESTION)
    for student in grades.students:
        for unit in grades.units:
            for cells in _question_cells(grades.of(student, unit)):
                yield (*_person(student), unit.name, *cells)


def _question_cells(grade: Standing) -> Iterator[tuple[Cell, ...]]:
    moment = grade.handed_in.isoformat(timespec="seconds") if grade.handed_in else ""
    for question in grade.questions:
        points = number(question.points) if question.has_points and grade.points is not None else None
        comment = "\n".join(filter(None, (*diagnoses(grade.result, question.name), question.comment)))
        facts = (question.name, _graded_by(grade, question), points, number(question.max_points), moment, comment)
        yield (grade.status.value, *facts)
    if not grade.questions:
        yield (grade.status.value, "", "", None, number(grade.max_points), moment, grade.reason)
    if grade.points_lost:
        comment = f"{counted(grade.days_late, 'day')} late"
        yield (grade.status.value, LATENESS, "policy", -number(grade.points_lost), 0, moment, comment)


def _graded_by(grade: Standing, question: QuestionScore) -> str:
    if grade.status is Status.MISSING or not question.has_points:
        return ""
    return "hand" if question.manual is not None else "grader"


def diagnoses(result: SubmissionResult | None, question: str) -> list[str]:
    """The diagnoses of the failed cases of a question."""
    score = result.components.get(question.removeprefix("check_")) if result else None
    return [f"{case.name}: {case.diagnosis or 'failed'}" for case in score.cases if not case.passed] if score else []
