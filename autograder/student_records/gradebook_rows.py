"""Finds and changes a student's rows in nbgrader's gradebook: points, comments, submissions."""

from __future__ import annotations

from nbgrader.api import Gradebook, Student, SubmittedAssignment
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from autograder.counts_and_lists import counted
from autograder.course.course import Course, CourseError
from autograder.gradebook.open_gradebook import one_transaction, opened_gradebook

__all__ = ["GradebookRows"]


class GradebookRows:
    """The rows of one student in ``gradebook.db``."""

    def found(self, course: Course, student: str) -> list[str]:
        if not course.gradebook.exists():
            return []
        with opened_gradebook(course) as gradebook:
            counts = [len(row.submissions) for row in _rows(gradebook, student)]
        return [f"{counted(count, 'submission')} in {course.gradebook.name}" for count in counts]

    def forget(self, course: Course, student: str) -> None:
        if course.gradebook.exists():
            with opened_gradebook(course) as gradebook:
                if list(_rows(gradebook, student)):
                    with one_transaction(gradebook):
                        gradebook.remove_student(student)
                _overwrite_what_was_deleted(gradebook)

    def rename(self, course: Course, old: str, new: str) -> None:
        if course.gradebook.exists():
            with opened_gradebook(course) as gradebook:
                with one_transaction(gradebook):
                    gradebook.db.execute(update(Student).where(Student.id == old).values(id=new))
                    theirs = update(SubmittedAssignment).where(SubmittedAssignment.student_id == old)
                    gradebook.db.execute(theirs.values(student_id=new))
                _overwrite_what_was_deleted(gradebook)


def _rows(gradebook: Gradebook, student: str) -> list[Student]:
    return gradebook.db.query(Student).filter(Student.id == student).all()


def _overwrite_what_was_deleted(gradebook: Gradebook) -> None:
    """Rewrite the database file with VACUUM, because SQLite leaves deleted rows in the file."""
    gradebook.db.remove()
    try:
        with gradebook.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
    except OperationalError as trouble:
        raise CourseError(
            f"the deleted rows could not be erased from the gradebook's file ({trouble.orig}): close formgrader and "
            "course answers, and run this again"
        ) from None
