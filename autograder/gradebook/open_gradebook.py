"""How nbgrader's gradebook is opened, and how several steps of its API become one transaction."""

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
from autograder.gradebook.nbgrader_config import let_nbgrader_find_its_programs

__all__ = ["gradebook_address", "index_by_submission", "one_transaction", "open_gradebook", "opened_gradebook"]

_PATIENCE = 60_000  # milliseconds that we wait for somebody else who is writing, formgrader for example


def gradebook_address(course: Course) -> str:
    """The gradebook of a course as nbgrader and SQLAlchemy address it."""
    return f"sqlite:///{course.gradebook.resolve()}"


def open_gradebook(course: Course) -> Gradebook:
    """The gradebook of a course, to be closed by the caller; made if there is none yet, for its owner only."""
    let_nbgrader_find_its_programs()
    # SQLite takes an empty file for a new data base, and gives its journals the same permissions.
    os.close(os.open(course.gradebook, os.O_RDWR | os.O_CREAT, 0o600))
    gradebook = Gradebook(gradebook_address(course))
    add_table(gradebook)
    return gradebook


def index_by_submission(gradebook: Gradebook) -> None:
    """Let points and comments be found by their submission without reading those of all others.

    nbgrader, formgrader's lists above all, looks for them so, and its tables have no index for it.
    """
    for table in ("grade", "comment"):
        gradebook.db.execute(text(f"CREATE INDEX IF NOT EXISTS {table}_by_submission ON {table} (notebook_id)"))
    gradebook.db.commit()


@contextmanager
def opened_gradebook(course: Course) -> Iterator[Gradebook]:
    """The gradebook of a course, for reading and for changes that the caller commits.

    Raises:
        CourseError: there is none yet.
    """
    if not course.gradebook.exists():
        raise CourseError(f"there is no gradebook yet ({course.gradebook}): run course grade first")
    with _without_grumbling(), open_gradebook(course) as gradebook:
        yield gradebook


@contextmanager
def one_transaction(gradebook: Gradebook) -> Iterator[None]:
    """What is done to a gradebook inside is written as one when all is done, or not at all.

    nbgrader commits after each small step. Here its session joins a transaction that it cannot end: SQLAlchemy,
    "Joining a Session into an External Transaction". Others can read meanwhile; who wants to write waits.
    """
    session = gradebook.db
    with _without_grumbling(), gradebook.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_PATIENCE}")
        # Before anything is read, so that what is decided by it still holds when it is written.
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
        # nbgrader reads from a submission before it adds it to its session: SQLAlchemy grumbles, nothing is lost.
        warnings.filterwarnings("ignore", "Object of type .* not in session", SAWarning)
        yield
