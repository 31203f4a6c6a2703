"""Makes results for Gradescope: a ``results.json`` per student, in the format of its autograder specification.

Gradescope accepts results only from an autograder, so there is one to upload for each unit, ``autograder.zip``. It runs
no code of students; it finds a student by e-mail address and returns the recorded result. Group work, and an address
that two students share, get no result, because it would be one student's shown to another.

The total ``score`` counts whatever the ``tests`` add up to; each test has ``name``, ``score``, ``max_score``,
``status``, ``output`` and ``visibility``. A test without a score is still to be graded by hand.
https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from autograder.counts_and_lists import counted
from autograder.course.roster import Student
from autograder.course.spreadsheet import number
from autograder.gradebook.class_grades import Standing, Status
from autograder.gradebook.gradebook_queries import QuestionScore
from autograder.results import ComponentScore
from autograder.student_words import to_student

__all__ = ["gradescope_autograder", "gradescope_results", "shared_addresses"]

# Students see diagnoses when the grades are published, like feedback pages.
_VISIBILITY = "after_published"
_PROGRAMS = {"setup.sh": "templates/gradescope_setup.sh", "run_autograder": "exports/gradescope_program.py"}
_EXECUTABLE = 0o100755 << 16
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the same grades give the same file


def gradescope_results(grade: Standing) -> Mapping[str, Any]:
    """The content of ``results.json`` for one submission."""
    tests = [{**test, "visibility": _VISIBILITY, "output_format": "text"} for test in _tests(grade)]
    return {
        "score": number(grade.points) or 0,
        "output": _remarks(grade),
        "output_format": "text",
        "visibility": _VISIBILITY,
        "stdout_visibility": "hidden",
        "tests": tests,
    }


def gradescope_autograder(results: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The zip file to upload as an assignment's autograder.

    Args:
        results: the results, by e-mail address.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, source in _PROGRAMS.items():
            program = zipfile.ZipInfo(name, _NO_TIME)
            program.external_attr = _EXECUTABLE
            writer.writestr(program, files("autograder").joinpath(source).read_bytes())
        by_address = {address.strip().lower(): result for address, result in results.items() if address.strip()}
        writer.writestr(zipfile.ZipInfo("results.json", _NO_TIME), json.dumps(by_address, allow_nan=False))
    return archive.getvalue()


def shared_addresses(students: Sequence[Student]) -> tuple[str, ...]:
    """The ids of students who have another student's e-mail address."""
    counts = Counter(student.email.strip().lower() for student in students if student.email.strip())
    return tuple(student.id for student in students if counts[student.email.strip().lower()] > 1)


def _tests(grade: Standing) -> Iterator[dict[str, Any]]:
    for index, question in enumerate(grade.questions, start=1):
        component = question.name.removeprefix("check_")
        score = grade.result.components.get(component) if grade.result else None
        if score and score.cases and question.manual is None and not question.extra_credit:
            yield from _cases(index, component, score)
        else:
            yield _question(index, question)
    if grade.points_lost:
        days = f"{counted(grade.days_late, 'day')} late"
        yield {"name": f"late: {days}", "number": "late", "output": f"you lose {number(grade.points_lost)} points"}


def _cases(index: int, component: str, score: ComponentScore) -> Iterator[dict[str, Any]]:
    for place, case in enumerate(score.cases, start=1):
        yield {
            "name": f"{component}: {case.name}",
            "number": f"{index}.{place}",
            "score": number(case.points),
            "max_score": number(case.max_points),
            "status": "passed" if case.passed else "failed",
            "output": case.diagnosis,
        }


def _question(index: int, question: QuestionScore) -> dict[str, Any]:
    facts = {"name": question.name, "number": str(index), "max_score": number(question.max_points)}
    if not question.has_points:
        return {**facts, "output": "still to be graded by hand"}
    return {**facts, "score": number(question.points), "output": question.comment}


def _remarks(grade: Standing) -> str:
    if grade.status is Status.QUARANTINED:
        return f"This submission could not be graded: {to_student(grade.reason)}"
    return "Nothing was handed in." if grade.status is Status.MISSING else ""
