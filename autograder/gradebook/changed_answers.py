"""Records which version of an answer was graded by hand, so that only a changed answer must be graded again.

formgrader clears the mark ``needs_manual_grade`` of a grade when somebody saves points; nbgrader sets it whenever the
work is graded again. So that a regrade does not ask for every answer again, our own table in the gradebook stores for
each grade the answer that formgrader shows now, and the answer that it showed when the points were given: a fingerprint
of text and pictures, and the question's maximum. A grade with points by hand must be graded again if the two differ.
The points themselves never change here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from nbformat import NotebookNode
from nbgrader.api import Assignment, Grade, Gradebook, GradeCell, SubmittedAssignment, SubmittedNotebook
from sqlalchemy import Column, Float, MetaData, Select, String, Table, and_, case, exists, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert

from autograder.results import Graded

__all__ = [
    "add_table",
    "grades_of_notebook",
    "grades_of_unit",
    "keep_marks",
    "note_graded",
    "note_shown",
    "prints_of",
    "why_again",
]

_ANSWERS = Table(
    "graded_answer",
    MetaData(),
    Column("grade_id", String(32), primary_key=True),
    Column("shown", String),
    Column("shown_worth", Float),
    Column("graded", String),
    Column("graded_worth", Float),
)
# If any program removes a student's grades, these rows go with them.
_FORGET = """CREATE TRIGGER IF NOT EXISTS forget_graded_answer AFTER DELETE ON grade
    BEGIN DELETE FROM graded_answer WHERE grade_id = OLD.id; END"""


def add_table(gradebook: Gradebook) -> None:
    """Create the table, if the gradebook does not have it."""
    _ANSWERS.create(gradebook.engine, checkfirst=True)
    gradebook.db.execute(text(_FORGET))
    gradebook.db.commit()


def prints_of(graded: Graded) -> Mapping[str, str]:
    """The fingerprint of the answer that belongs to each graded cell of a submission, by the cell's name.

    A check has the fingerprint of the answer that it judges; if no cell contains that answer, of the whole file.
    """
    assert graded.notebook is not None, "what is quarantined is not shown"
    labels = [(cell.metadata.get("nbgrader", {}), cell) for cell in graded.notebook.cells]
    answers = {label["grade_id"]: _print(cell) for label, cell in labels if label.get("solution")}
    names = [label["grade_id"] for label, _ in labels if label.get("grade")]
    return {name: answers.get(name, answers.get(name.removeprefix("check_"), graded.sha256)) for name in names}


def _print(cell: NotebookNode) -> str:
    """The fingerprint of a cell's text and pictures, without the spaces at the ends of lines."""
    lines = "\n".join(line.rstrip() for line in cell.source.splitlines()).strip()
    facts = json.dumps([lines, cell.get("attachments", {})], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()


def grades_of_unit(assignment: Assignment) -> Select:
    """The ids of all grades of a unit."""
    notebooks = (
        select(SubmittedNotebook.id)
        .join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .where(SubmittedAssignment.assignment_id == assignment.id)
    )
    return select(Grade.id).where(Grade.notebook_id.in_(notebooks))


def grades_of_notebook(notebook: SubmittedNotebook) -> Select:
    """The ids of all grades of one submission."""
    return select(Grade.id).where(Grade.notebook_id == notebook.id)


def note_graded(gradebook: Gradebook, grades: Select) -> None:
    """Record the shown answer as graded, wherever there are points by hand and the mark has been cleared."""
    by_hand = grades.where(Grade.manual_score.is_not(None), Grade.needs_manual_grade.is_(False))
    seen = {"graded": _ANSWERS.c.shown, "graded_worth": _ANSWERS.c.shown_worth}
    gradebook.db.execute(update(_ANSWERS).where(_ANSWERS.c.grade_id.in_(by_hand)).values(seen))


def note_shown(gradebook: Gradebook, prints: Mapping[str, str]) -> None:
    """Record the answers that formgrader shows: a fingerprint for each grade, by the grade's id."""
    if prints:
        statement = insert(_ANSWERS).values([{"grade_id": grade, "shown": shown} for grade, shown in prints.items()])
        renewed = statement.on_conflict_do_update(index_elements=["grade_id"], set_={"shown": statement.excluded.shown})
        gradebook.db.execute(renewed)


def keep_marks(gradebook: Gradebook, grades: Select) -> None:
    """Set the mark ``needs_manual_grade`` on exactly the grades that must be graded by hand.

    Points by hand without a row in this table keep their mark.
    """
    worth = (
        select(GradeCell.max_score).join(Grade, Grade.cell_id == GradeCell.id).where(Grade.id == _ANSWERS.c.grade_id)
    )
    here = _ANSWERS.c.grade_id.in_(grades)
    gradebook.db.execute(update(_ANSWERS).where(here).values(shown_worth=worth.scalar_subquery()))
    known = _ANSWERS.c.grade_id == Grade.id
    same = and_(_ANSWERS.c.graded == _ANSWERS.c.shown, _ANSWERS.c.graded_worth == _ANSWERS.c.shown_worth)
    waits = case((Grade.manual_score.is_(None), Grade.auto_score.is_(None)), else_=~exists().where(known, same))
    decided = or_(Grade.manual_score.is_(None), exists().where(known))
    change = update(Grade).where(Grade.id.in_(grades), decided).values(needs_manual_grade=waits)
    gradebook.db.execute(change.execution_options(synchronize_session=False))


def why_again(gradebook: Gradebook, grades: Select) -> Mapping[str, str]:
    """Why answers with points by hand must be graded again, as a clause, by the grade's id."""
    rows = gradebook.db.execute(select(_ANSWERS).where(_ANSWERS.c.grade_id.in_(grades), _ANSWERS.c.graded.is_not(None)))
    return {row.grade_id: _change(row.shown == row.graded, row.graded_worth) for row in rows}


def _change(is_same: bool, worth: float) -> str:
    return (
        f"the question was worth {worth:g} points when it was graded by hand"
        if is_same
        else "the answer has changed since it was graded by hand"
    )
