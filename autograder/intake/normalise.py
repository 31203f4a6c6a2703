"""Rebuilds a submission from the released notebook, taking only the text of the answers from the student's.

An answer includes the definitions from the student's other cells that it needs to run. Cells, order, points and
metadata come from the released notebook. Every repair gets a flag, a sentence for the instructor.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from nbformat import NotebookNode

from autograder.intake.answer_matching import Found, Matching
from autograder.intake.cell_code import CellCode
from autograder.intake.needed_definitions import completed
from autograder.intake.notebook_cells import MAX_ANSWER, Cell, cells_of, parse
from autograder.intake.pictured_text import attachment_name
from autograder.intake.pictures import Album, NotDrawn
from autograder.intake.repairs import repairs
from autograder.intake.submissions import Quarantined
from autograder.intake.written_answers import WrittenAnswers
from autograder.plain_text import printable

__all__ = ["MAX_ANSWER", "Answer", "NormalisedSubmission", "Quarantined", "normalise"]


@dataclass(frozen=True)
class Answer:
    """The student's text for one answer cell.

    Attributes:
        grade_id: nbgrader's id of the cell.
        component: the component that the answer implements; None for a written answer or other code.
        source: the student's text.
        unedited: whether it is still the released stub.
        definitions: the part of ``source`` that defines the component and what it needs, without other statements.
            Judging runs ``source``. If that raises an error before the component is defined, for example because a
            module, a drive or a device is missing here, it runs ``definitions`` instead and flags it. Empty if there
            is nothing to leave out.
    """

    grade_id: str
    component: str | None
    source: str
    unedited: bool = False
    definitions: str = ""


@dataclass(frozen=True)
class NormalisedSubmission:
    """A submission rebuilt from the released notebook.

    Attributes:
        notebook: our cells with the student's answers and re-encoded pictures filled in; pictures of a written answer
            are attached to its cell.
        setup: the sources of our locked set-up cells, in order.
        answers: the code answers, in the order of the notebook.
        written: the written answers, which are graded by hand.
        flags: the repairs, one sentence each.
    """

    notebook: NotebookNode
    setup: tuple[str, ...]
    answers: tuple[Answer, ...]
    written: tuple[Answer, ...]
    flags: tuple[str, ...]


def normalise(data: bytes, release: NotebookNode) -> NormalisedSubmission:
    """Rebuild a submission, given as the bytes that were handed in, from the released notebook.

    Raises:
        Quarantined: the bytes are not a notebook in format 4, or one of another unit; the message says what they are
            and what to do.
    """
    submitted = parse(data)
    released = cells_of(release.cells)
    matching = Matching(released, submitted.cells)
    _require_this_unit(matching)
    exercises = [cell for cell in released if cell.is_answer and not cell.is_written]
    code = completed({cell.grade_id: _moderate(cell, matching.locate(cell)) for cell in exercises}, matching)
    used = {cell.position for found in code.values() for cell in found.cells}
    album = Album()
    texts = WrittenAnswers(matching, used, album)
    found = {**code, **texts.found}
    answers = tuple(_answer(cell, found[cell.grade_id]) for cell in released if cell.is_answer)
    written = {cell.grade_id for cell in released if cell.is_written}
    return NormalisedSubmission(
        notebook=_filled(release, found, _pictures_by_place(matching, texts.found, album)),
        setup=tuple(cell.source for cell in released if cell.is_setup),
        answers=tuple(answer for answer in answers if answer.grade_id not in written),
        written=tuple(answer for answer in answers if answer.grade_id in written),
        flags=(*submitted.flags, *repairs(matching, found, submitted.minor, release.nbformat_minor), *texts.flags),
    )


def _require_this_unit(matching: Matching) -> None:
    """Check that the notebook contains something of this unit; set-up and stubs are the same in all units."""
    if matching.has_exercises:
        return
    known = {cell.grade_id for cell in matching.released}
    strangers = {cell.grade_id for cell in matching.submitted if cell.grade_id} - known
    if len(strangers) > 1:
        names = sorted(printable(grade_id, 40) for grade_id in strangers)
        raise Quarantined(
            f"this is the notebook of another unit: its cells are labelled {', '.join(names[:4])}, and it contains "
            "none of this unit's exercises; ask for the right notebook"
        )
    if not matching.has_questions:
        raise Quarantined(_unfamiliar(matching))


def _unfamiliar(matching: Matching) -> str:
    first = next((cell.source.strip().splitlines()[0] for cell in matching.submitted if not cell.is_blank), None)
    if first is None:
        return "the notebook is blank: all its cells are empty; ask for the notebook of this unit"
    exercises = [cell.grade_id for cell in matching.released if cell.is_answer]
    return (
        f"this is not the notebook of this unit: it begins with '{printable(first, 60)}', and contains none of this "
        f"unit's exercises and questions ({', '.join(exercises[:4])}); ask for the right notebook"
    )


def _moderate(cell: Cell, found: Found) -> Found:
    """The answer, or an error in its place if it is too long to compile and to show."""
    if (size := len(found.source)) <= MAX_ANSWER:
        return found
    much = f"{size:,} characters, more than {MAX_ANSWER:,}"
    source = f'raise ValueError("this answer has {much}, and was not run")'
    return replace(
        found, source=source, flags=(*found.flags, f"the answer to '{cell.grade_id}' was not run: it has {much}")
    )


def _answer(cell: Cell, found: Found) -> Answer:
    component = cell.grade_id if cell.grade_id in cell.implements else None
    unedited = "".join(found.source.split()) == cell.squeezed
    definitions = "" if unedited or component is None else CellCode(found.source).alone(component)
    return Answer(cell.grade_id, component, found.source, unedited, definitions)


def _filled(release: NotebookNode, found: Mapping[str, Found], pictures: Mapping[int, list[str]]) -> NotebookNode:
    notebook = copy.deepcopy(release)
    for position, cell in enumerate(notebook.cells):
        answer = found.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if answer:
            cell.source = answer.source
        if answer and answer.pictures:
            cell.attachments = _attached(answer.pictures)
        if cell.cell_type == "code":
            cell.outputs = [_display(png) for png in pictures.get(position, ())]
            cell.execution_count = None
    return notebook


def _pictures_by_place(matching: Matching, written: Mapping[str, Found], album: Album) -> dict[int, list[str]]:
    """Re-encoded pictures by the position of the released code cell that drew them, or else of the one before."""
    places: dict[int, list[str]] = {}
    place = next((cell.position for cell in matching.released if _may_hold_pictures(cell)), None)
    shown = {cell.position for answer in written.values() for cell in answer.cells}
    for cell in matching.submitted:
        if not cell.pictures or cell.position in shown:
            continue
        origin = matching.origin.get(cell.position)
        if origin is not None and _may_hold_pictures(origin):
            place = origin.position
        if place is not None:
            places.setdefault(place, []).extend(_drawn(cell.pictures, album))
    return places


def _drawn(pictures: Iterable[str], album: Album) -> Iterable[str]:
    for picture in pictures:
        with suppress(NotDrawn):
            yield album.add(picture)


def _may_hold_pictures(cell: Cell) -> bool:
    # nbgrader reads a score from a graded cell's outputs, so they must contain nothing from the student.
    return cell.kind == "code" and not cell.is_graded


def _display(png: str) -> Any:
    return NotebookNode(output_type="display_data", data=NotebookNode({"image/png": png}), metadata=NotebookNode())


def _attached(pictures: tuple[str, ...]) -> NotebookNode:
    return NotebookNode(
        {attachment_name(number): NotebookNode({"image/png": png}) for number, png in enumerate(pictures, 1)}
    )
