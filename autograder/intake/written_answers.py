"""Collects the parts of each written answer from the notebook, for the person who grades it.

Besides its own cell, an answer may be in cells that the student added around it, or be typed into our text of the
question. All parts are shown together, with their pictures, and a flag says where they were found. The student's other
text is shown if a question has no answer at all; otherwise a flag says that it was not used.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from autograder.intake.answer_matching import Found, Matching
from autograder.intake.cell_code import CellCode
from autograder.intake.notebook_cells import Cell
from autograder.intake.pictured_text import PicturedText
from autograder.intake.pictures import Album
from autograder.plain_text import printable

__all__ = ["WrittenAnswers"]

_OWN, _ABOVE, _BELOW, _ELSEWHERE = "its own cell", "above its own", "below its own", "elsewhere in the notebook"
_TYPED_OVER = "our text of the question"
_LITTLE_LEFT = 0.2  # maximum similarity to our text at which a cell counts as overwritten
_CORRECTION = 3  # maximum number of new words that may be a mere correction
_MOST_QUOTED = 3


@dataclass(frozen=True)
class _Piece:
    """A piece of a student's text: the cell, the student's part of its text, and its place."""

    cell: Cell
    text: str
    where: str

    @property
    def is_code(self) -> bool:
        return self.cell.kind == "code" and self.where != _OWN

    @property
    def place(self) -> str:
        is_in_own_cell = self.where in (_ABOVE, _BELOW, _ELSEWHERE)
        return f"a {'code' if self.is_code else 'text'} cell {self.where}" if is_in_own_cell else self.where


class WrittenAnswers:
    """The answers of one submission to the written questions.

    Attributes:
        found: the answers, by grade_id.
        flags: flags about text that belongs to no question.
    """

    def __init__(self, matching: Matching, used: Collection[int], album: Album) -> None:
        """Collect the answers.

        Args:
            matching: the student's cells, matched with the released ones.
            used: positions of cells that contain answers to exercises.
            album: encodes the pictures.
        """
        self._matching = matching
        self._used = used
        self._questions = [ours for ours in matching.released if ours.is_written]
        self._pieces = {ours.grade_id: list(self._own(ours)) for ours in self._questions}
        self._contested: set[str] = set()
        loose = [*self._around(), *self._typed_into_ours()]
        if unanswered := [ours for ours in self._questions if not self._pieces[ours.grade_id]]:
            self._show_all_the_same(loose, unanswered)
        self.flags = () if unanswered else tuple(_said_of(loose))
        self.found: Mapping[str, Found] = {ours.grade_id: self._put_together(ours, album) for ours in self._questions}

    def _own(self, ours: Cell) -> Iterator[_Piece]:
        seen = {ours.squeezed}
        for cell in self._matching.copies_of(ours):
            if cell.attachments or (not cell.is_blank and cell.squeezed not in seen):
                seen.add(cell.squeezed)
                yield _Piece(cell, cell.source, _OWN)

    def _around(self) -> Iterator[_Piece]:
        """Assign each cell that the student added to a question next to it; yield the text that is next to none."""
        neighbours = _Neighbours(self._matching, self._questions)
        known = {ours.squeezed for ours in self._matching.released}
        own = (cell for cell in self._matching.unclaimed if cell.position not in self._used)
        for cell in own:
            if cell.squeezed in known or not (_explains(cell) or _is_text(cell)):
                continue
            above, below = neighbours.questions_of(cell)
            question = self._chosen(above, below)
            if question is not None:
                pieces = self._pieces[question.grade_id]
                if _explains(cell) or not pieces:
                    pieces.append(_Piece(cell, cell.source, _BELOW if question is above else _ABOVE))
            elif _is_text(cell) and _explains(cell):
                yield _Piece(cell, cell.source, _ELSEWHERE)

    def _chosen(self, above: Cell | None, below: Cell | None) -> Cell | None:
        """Choose between the questions above and below a cell: the first one that has no answer yet."""
        if above is None or below is None or above is below:
            return above or below
        has_answer = bool(self._pieces[above.grade_id]) and not self._pieces[below.grade_id]
        chosen = below if has_answer else above
        self._contested.add(chosen.grade_id)
        return chosen

    def _typed_into_ours(self) -> Iterator[_Piece]:
        """Assign text typed into our text of a question to the question; yield text typed into our other texts."""
        questions = _questions_by_text(self._matching.released)
        for cell in self._matching.submitted:
            ours = self._matching.origin.get(cell.position)
            if ours is None or ours.is_answer or ours.kind == "code":
                continue
            question = questions.get(ours.position)
            pieces = self._pieces[question.grade_id] if question else []
            added = _typed_into(cell, ours)
            if not added and question and question.position > ours.position:
                added = _typed_over(cell, ours, is_all_there_is=not pieces)
            if question and (added or cell.attachments):
                pieces.append(_Piece(cell, added, _TYPED_OVER))
            elif added or cell.attachments:
                yield _Piece(cell, added, _ELSEWHERE)

    def _show_all_the_same(self, loose: Iterable[_Piece], unanswered: list[Cell]) -> None:
        """Assign text next to no question to the next question without an answer."""
        places = {
            ours.grade_id: max((cell.position for cell in self._matching.copies_of(ours)), default=0)
            for ours in unanswered
        }
        for piece in loose:
            below = (name for name, place in places.items() if place > piece.cell.position)
            self._pieces[next(below, unanswered[-1].grade_id)].append(piece)

    def _put_together(self, ours: Cell, album: Album) -> Found:
        pieces = sorted(self._pieces[ours.grade_id], key=lambda piece: piece.cell.position)
        copies = self._matching.copies_of(ours)
        if not pieces:
            is_cleared = copies and all(cell.is_blank for cell in copies)
            flag = f"the answer cell '{ours.grade_id}' is missing: no answer was found"
            return Found("" if is_cleared else ours.source, copies, () if copies else (flag,))
        text = PicturedText(ours.grade_id, album)
        for piece in pieces:
            if piece.is_code:
                text.add_code(piece.cell)
            else:
                text.add(piece.text, piece.cell.attachments)
        source, flags = text.finished()
        cells = (*copies, *(piece.cell for piece in pieces))
        return Found(source, cells, (*self._said_of_places(ours, pieces, copies), *flags), tuple(text.pictures))

    def _said_of_places(self, ours: Cell, pieces: list[_Piece], copies: tuple[Cell, ...]) -> Iterator[str]:
        name = ours.grade_id
        places = Counter(piece.place for piece in pieces if piece.where != _OWN)
        named = ", ".join(_counted(place, count) for place, count in places.items())
        if not copies:
            yield f"the answer cell '{name}' had lost its label and was found by its place: please check"
        elif places and any(piece.where == _OWN for piece in pieces):
            yield f"the answer to '{name}' continues in {named}: shown together, please check"
        elif places:
            yield f"the answer to '{name}' was in {named} and was taken from there: please check"
        if name in self._contested:
            yield f"text between two questions was taken as the answer to '{name}': please check"


class _Neighbours:
    """Finds the questions next to a cell, with none of our cells between; even a deleted question has a place."""

    def __init__(self, matching: Matching, questions: Iterable[Cell]) -> None:
        there = {ours.position for ours in matching.origin.values()}
        end = len(matching.released)
        self._starting_at: dict[int, Cell] = {}
        self._ending_at: dict[int, Cell] = {}
        for ours in questions:
            self._starting_at.setdefault(max((p for p in there if p <= ours.position), default=-1), ours)
            self._ending_at[min((p for p in there if p >= ours.position), default=end)] = ours
        self._above = dict(_last_of_ours(matching, matching.submitted, -1))
        self._below = dict(_last_of_ours(matching, reversed(matching.submitted), end))

    def questions_of(self, cell: Cell) -> tuple[Cell | None, Cell | None]:
        """The question above and the one below."""
        above = self._starting_at.get(self._above[cell.position])
        return above, self._ending_at.get(self._below[cell.position])


def _last_of_ours(matching: Matching, cells: Iterable[Cell], last: int) -> Iterator[tuple[int, int]]:
    """Pairs of each cell's position and the position of the last released cell before it."""
    for cell in cells:
        yield cell.position, last
        if cell.position in matching.origin:
            last = matching.origin[cell.position].position


def _questions_by_text(released: tuple[Cell, ...]) -> dict[int, Cell]:
    """Maps the position of each of our texts to its question: the one right below it, else the one right above."""
    about: dict[int, Cell] = {}
    pairs = tuple(itertools.pairwise(released))
    for text, ours in (*((below, above) for above, below in pairs), *pairs):
        if ours.is_answer:
            about[text.position] = ours
    return {position: ours for position, ours in about.items() if ours.is_written}


def _is_text(cell: Cell) -> bool:
    """Whether a cell of any type contains only words or pictures."""
    return CellCode(cell.source).is_only_words if cell.kind == "code" else _explains(cell)


def _explains(cell: Cell) -> bool:
    """Whether a cell contains a text for a reader, or a picture."""
    if cell.kind == "code":
        return bool(cell.pictures) or CellCode(cell.source).has_sentences
    return bool(cell.attachments) or bool(_words(cell.source))


def _counted(place: str, count: int) -> str:
    return place if count == 1 else place.replace("a ", f"{count} ", 1).replace(" cell ", " cells ", 1)


def _typed_into(cell: Cell, ours: Cell) -> str:
    """The lines that a student added to one of our texts, if the text is still complete."""
    lines = [_squeezed(line) for line in ours.source.splitlines()]
    return _added_lines(cell, ours) if all(line in cell.squeezed for line in lines) else ""


def _typed_over(cell: Cell, ours: Cell, is_all_there_is: bool) -> str:
    """The text that a student typed in place of one of our texts.

    Changed lines may also come from another release of the notebook. So they count only if little of our text is left
    or, if there is no other answer, if they contain more new words than a correction would.
    """
    if cell.similarity(ours) < _LITTLE_LEFT:
        return cell.source
    added = _added_lines(cell, ours)
    return added if is_all_there_is and len(_words(added) - ours.words) > _CORRECTION else ""


def _added_lines(cell: Cell, ours: Cell) -> str:
    known = {_squeezed(line) for line in ours.source.splitlines()}
    return "\n".join(line for line in cell.source.splitlines() if _squeezed(line) not in known).strip()


def _squeezed(line: str) -> str:
    return "".join(line.split())


def _words(text: str) -> frozenset[str]:
    return Cell(0, "markdown", text).words


def _said_of(loose: list[_Piece]) -> Iterator[str]:
    if loose:
        beginnings = [printable(" ".join(piece.text.split()), 40) for piece in loose[:_MOST_QUOTED]]
        yield (
            f"text of the student's own that is next to no question was not used ({len(loose)} in all): "
            + ", ".join(f"'{beginning}'" for beginning in beginnings)
        )
