"""Opens nbgrader's gradebook, and combines several steps of its API into one transaction."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from nbgrader.api import Gradebook
from sqlalchemy import text
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import scoped_session, sessionmaker

from autograder.course.course import Course, CourseError
from autograder.gradebook.changed_answers import add_table
from autograder.gradebook.nbgrader_settings import let_nbgrader_find_its_programs

__all__ = ["gradebook_address", "index_by_submission", "one_transaction", "open_gradebook", "opened_gradebook"]

_PATIENCE = 60_000  # milliseconds to wait while another program, such as formgrader, writes


def gradebook_address(course: Course) -> str:
    """The address of a course's gradebook for nbgrader and SQLAlchemy."""
    return f"sqlite:///{course.gradebook.resolve()}"


def open_gradebook(course: Course) -> Gradebook:
    """Open a course's gradebook; if there is none, create it, readable by its owner only. The caller closes it."""
    let_nbgrader_find_its_programs()
    # SQLite accepts an empty file as an empty data base, and gives its journals the same permissions.
    os.close(os.open(course.gradebook, os.O_RDWR | os.O_CREAT, 0o600))
    gradebook = Gradebook(gradebook_address(course))
    add_table(gradebook)
    return gradebook


def index_by_submission(gradebook: Gradebook) -> None:
    """Add indexes with which the points and comments of one submission are found quickly.

    nbgrader looks them up by submission, above all for formgrader's lists, but creates no index.
    """
    for table in ("grade", "comment"):
        gradebook.db.execute(text(f"CREATE INDEX IF NOT EXISTS {table}_by_submission ON {table} (notebook_id)"))
    gradebook.db.commit()


@contextmanager
def opened_gradebook(course: Course) -> Iterator[Gradebook]:
    """A context with a course's gradebook, for reading and for changes that the caller commits.

    Raises:
        CourseError: the course has no gradebook.
    """
    if not course.gradebook.exists():
        raise CourseError(f"there is no gradebook yet ({course.gradebook}): run course grade first")
    with _without_grumbling(), open_gradebook(course) as gradebook:
        yield gradebook


@contextmanager
def one_transaction(gradebook: Gradebook) -> Iterator[None]:
    """A context whose changes to a gradebook are written together at its end, or not at all.

    nbgrader commits after each small step. Here its session joins an outer transaction, which those commits do not end
    (SQLAlchemy, "Joining a Session into an External Transaction"). Meanwhile others can read, but must wait to write.
    """
    session = gradebook.db
    with _without_grumbling(), gradebook.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_PATIENCE}")
        # Lock before reading, so that nothing read here can change before it is written.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        joined = sessionmaker(bind=connection, join_transaction_mode="rollback_only", expire_on_commit=False)
        gradebook.db = scoped_session(joined)
        try:
            yield
            gradebook.db.flush()
            connection.commit()
        finally:
            gradebook.db.remove()
            gradebook.db = session


@contextmanager
def _without_grumbling() -> Iterator[None]:
    with warnings.catch_warnings():
        # nbgrader reads from a submission before adding it to its session; SQLAlchemy warns, but nothing is lost.
        warnings.filterwarnings("ignore", "Object of type .* not in session", SAWarning)
        yield
