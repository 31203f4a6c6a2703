"""Describes the repairs to a submission, one sentence each, for the instructor and the student."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from autograder.counts_and_lists import counted
from autograder.intake.answer_matching import Found, Matching
from autograder.intake.earlier_releases import is_as_released
from autograder.intake.notebook_cells import Cell
from autograder.plain_text import printable

__all__ = ["repairs"]

_MERGE = re.compile(r"^<<<<<<<|^>>>>>>>", re.MULTILINE)
_SOLUTION = re.compile(r"### (?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS|MARK SCHEME)")
SKIP_TAGS = frozenset({"skip-execution", "skip_execution"})


def repairs(matching: Matching, found: Mapping[str, Found], minor: int | None, released_minor: int) -> tuple[str, ...]:
    """All flags about repairs to one submission; flags about answers come first."""
    labelled = [cell for cell in matching.released if cell.grade_id]
    return (
        *(flag for answer in found.values() for flag in answer.flags),
        *(flag for name, answer in found.items() for flag in _of_answer(name, answer)),
        *(flag for ours in labelled for flag in _of_cell(ours, matching.copies_of(ours))),
        *_earlier_release(matching, labelled),
        *_lost_labels(matching, labelled),
        *_other_order(matching, labelled),
        *_invented_cells(matching, labelled, found),
        *_skipped_cells(matching),
        *_cells_of_their_own(matching, found),
        *_other_minor(minor, released_minor),
    )


def _of_answer(name: str, answer: Found) -> Iterable[str]:
    if not answer.source.strip():
        yield f"the answer cell '{name}' is empty"
    if _MERGE.search(answer.source):
        yield f"the answer to '{name}' contains an unfinished merge of two versions (<<<<<<<): please look at it"
    if _SOLUTION.search(answer.source):
        yield f"the answer to '{name}' contains markers of our solutions (### BEGIN SOLUTION): please look at it"


def _of_cell(ours: Cell, copies: tuple[Cell, ...]) -> Iterable[str]:
    name = _called(ours)
    if not copies and not ours.is_answer:
        yield f"{name} was missing and was restored"
    if len(copies) > 1:
        yield f"{name} occurred {len(copies)} times; one of them was used"
    changed = [copy for copy in copies if not is_as_released(copy, ours)]
    if ours.is_locked and any(copy.squeezed != ours.squeezed for copy in changed):
        yield f"{name} was edited; the edit is ignored"
    if any(copy.kind != ours.kind for copy in copies):
        yield f"{name} was changed to another cell type; the change is ignored"
    yield from _of_label(ours, [copy for copy in changed if copy.label])


def _of_label(ours: Cell, copies: list[Cell]) -> Iterable[str]:
    name = _called(ours)
    points = {repr(copy.label.get("points", 0)) for copy in copies} - {repr(ours.label.get("points", 0))}
    if ours.is_graded and any(copy.points != ours.points for copy in copies):
        yield f"{name} states {printable(' and '.join(sorted(points)), 30)} points; it is worth {ours.points:g}"
    if any(_role(copy) != _role(ours) for copy in copies):
        yield f"the grading metadata of {name} was changed; the change is ignored"


def _role(cell: Cell) -> tuple[object, ...]:
    return tuple(cell.label.get(key) for key in ("grade", "solution", "locked", "schema_version"))


def _called(cell: Cell) -> str:
    if cell.is_answer:
        return f"the answer cell '{cell.grade_id}'"
    return f"the check cell '{cell.grade_id}'" if cell.is_graded else f"the cell '{cell.grade_id}'"


def _earlier_release(matching: Matching, labelled: list[Cell]) -> Iterable[str]:
    """One sentence about all cells whose text differs because they come from an earlier release."""
    other = sum(
        any(copy.squeezed != ours.squeezed and is_as_released(copy, ours) for copy in matching.copies_of(ours))
        for ours in labelled
        if ours.is_locked
    )
    if other:
        yield f"the notebook is from an earlier release: {counted(other, 'cell')} replaced with the current version"


def _lost_labels(matching: Matching, labelled: list[Cell]) -> Iterable[str]:
    lost = [
        ours for ours in labelled if (copies := matching.copies_of(ours)) and not any(copy.grade_id for copy in copies)
    ]
    if lost and not any(cell.grade_id for cell in matching.submitted):
        yield "the notebook had lost all its grading metadata; cells were found by their content"
    elif lost:
        yield f"{counted(len(lost), 'cell')} without grading metadata, found by content"


def _other_order(matching: Matching, labelled: list[Cell]) -> Iterable[str]:
    places = [copies[0].position for ours in labelled if (copies := matching.copies_of(ours))]
    if places != sorted(places):
        yield "cells were in another order and were put back into the released order"


def _invented_cells(matching: Matching, labelled: list[Cell], found: Mapping[str, Found]) -> Iterable[str]:
    known = {cell.grade_id for cell in labelled}
    used = {cell.position for answer in found.values() for cell in answer.cells}
    strangers = {cell.grade_id for cell in matching.submitted if cell.grade_id and cell.position not in used} - known
    names = sorted(printable(grade_id, 40) for grade_id in strangers)
    if names:
        yield f"cells with unknown labels were ignored: {', '.join(names[:5])}"


def _skipped_cells(matching: Matching) -> Iterable[str]:
    tagged = sum(bool(cell.tags & SKIP_TAGS) for cell in matching.submitted)
    if tagged:
        yield f"{counted(tagged, 'cell')} had the tag skip-execution; the tag is ignored"


def _cells_of_their_own(matching: Matching, found: Mapping[str, Found]) -> Iterable[str]:
    used = {cell.position for answer in found.values() for cell in answer.cells}
    extra = [cell for cell in matching.unclaimed if cell.kind == "code" and cell.position not in used]
    if extra:
        yield f"{counted(len(extra), 'code cell')} of the student's own, not run"


def _other_minor(minor: int | None, released_minor: int) -> Iterable[str]:
    if minor is None:
        yield f"the notebook does not state its minor format version; it was read as 4.{released_minor}"
    elif minor != released_minor:
        yield f"the notebook was saved in format 4.{printable(str(minor), 12)} and was read as 4.{released_minor}"
