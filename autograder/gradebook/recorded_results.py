"""The latest result of each student in a unit, one file each in ``.course/results/<unit>/``."""

from __future__ import annotations

import json

from autograder.course.course import Course, Unit
from autograder.course.private_files import write_private
from autograder.course.student_ids import normal_id
from autograder.results import Graded, SubmissionResult

__all__ = ["record_result", "recorded_results"]


def record_result(course: Course, unit: Unit, graded: Graded) -> None:
    """Keep a result in place of the student's last one."""
    content = json.dumps(graded.result.to_record(), indent=1, ensure_ascii=False) + "\n"
    write_private(course.results_of(unit) / f"{graded.result.student}.json", content)


def recorded_results(course: Course, unit: Unit) -> tuple[SubmissionResult, ...]:
    """The latest results of the course's own students in a unit, by student."""
    files = sorted(course.results_of(unit).glob("*.json"))
    records = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    by_student = {normal_id(record["student"]): record for record in records}  # composed names come last, and count
    return tuple(SubmissionResult.from_record(record | {"student": name}) for name, record in by_student.items())
