"""Matches a student's cells with the released ones, although labels may be lost, doubled, swapped or invented."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from autograder.intake.cell_code import CellCode
from autograder.intake.notebook_cells import Cell

__all__ = ["Found", "Matching"]

_UNDONE = "raise NotImplementedError"
SIMILAR = 0.5
"""Minimum similarity at which a cell counts as an edited copy of one of ours."""


@dataclass(frozen=True)
class Found:
    """The answer found for one answer cell.

    Attributes:
        source: the text of the answer.
        cells: the student's cells that it was found in.
        flags: what had to be repaired, one sentence each.
        pictures: the pictures of a written answer, in base64, in the order of their numbers in the text.
    """

    source: str
    cells: tuple[Cell, ...]
    flags: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()


class Matching:
    """Pairs the cells of a submission with the released ones.

    Attributes:
        released: the released cells, in order.
        submitted: the student's cells, in order.
        origin: maps a position in the submission to the released cell that it is a copy of, if known.
    """

    def __init__(self, released: Sequence[Cell], submitted: Sequence[Cell]) -> None:
        self.released = tuple(released)
        self.submitted = tuple(submitted)
        self.origin: dict[int, Cell] = {}
        self._pair_by_label()
        self._pair_one_to_one(self._same_locked_source)
        self._pair_one_to_one(self._same_id)
        self._pair_one_to_one(self._same_source)
        self._pair_by_component()
        self._pair_by_similarity()

    def copies_of(self, ours: Cell) -> tuple[Cell, ...]:
        """The student's copies of one of our cells."""
        return tuple(cell for cell in self.submitted if self.origin.get(cell.position) is ours)

    @property
    def unclaimed(self) -> tuple[Cell, ...]:
        """The student's cells that are not copies of ours and not blank."""
        return tuple(cell for cell in self.submitted if cell.position not in self.origin and not cell.is_blank)

    @property
    def has_exercises(self) -> bool:
        """Whether the submission contains the answer or the check of any exercise of this notebook."""
        exercises = [cell for cell in self.released if cell.kind == "code" and (cell.is_answer or cell.is_graded)]
        return any(_claims(cell, ours) for cell in self.submitted for ours in exercises)

    @property
    def has_questions(self) -> bool:
        """Whether the submission contains the text of any exercise or question, the cell right above an answer."""
        pairs = itertools.pairwise(self.released)
        texts = [above for above, ours in pairs if ours.is_answer and not above.is_answer and above.kind != "code"]
        return any(_holds(cell, text) for cell in self.submitted for text in texts)

    def locate(self, answer: Cell) -> Found:
        """The student's code for one of our answer cells; our own stub if there is none.

        The best cell implements the component and is filled in. Among such cells the label decides, and then the
        position: the later one wins, because it would also win if the notebook ran from top to bottom.
        """
        candidates = [cell for cell in self.submitted if self._may_answer(cell, answer)]
        if not candidates:
            return self._locate_by_place(answer)
        best = max(candidates, key=lambda cell: self._preference(cell, answer))
        parts = (best, *self._continuations(best))
        flags = [*self._detours(best, answer), *self._rivals(best, candidates, answer)]
        if len(parts) > 1:
            flags.append(f"the answer to '{answer.grade_id}' was split into {len(parts)} cells, which were joined")
        if best.code != best.source:
            flags.append(
                f"the answer to '{answer.grade_id}' was in a text cell, between lines of ```: only this code was used"
            )
        return Found("\n".join(cell.code for cell in parts), parts, tuple(flags))

    def _may_answer(self, cell: Cell, answer: Cell) -> bool:
        origin = self.origin.get(cell.position)
        # One of our own texts is never an answer, even if it mentions one.
        is_ours = origin is not None and cell.kind != "code" and cell.squeezed == origin.squeezed
        implements = answer.grade_id in cell.implements & answer.implements and not is_ours
        return implements or origin is answer or (not origin and _defines(cell, answer))

    def _preference(self, cell: Cell, answer: Cell) -> tuple[int, ...]:
        filled = _is_filled(cell, answer)
        done = filled and not (_UNDONE in answer.source and _UNDONE in cell.source)
        implements, defines = answer.implements <= cell.implements, _defines(cell, answer)
        likely = (done and implements, done and defines, filled and implements, filled)
        return *likely, cell.grade_id == answer.grade_id, cell.kind == answer.kind, cell.position

    def _continuations(self, start: Cell) -> Iterable[Cell]:
        """The cells below that must be the rest of a split cell, because their code begins inside a block."""
        last = start
        for cell in self.submitted:
            origin = self.origin.get(cell.position, self.origin.get(start.position))
            follows = cell.position == last.position + 1 and cell.kind == "code" and not cell.is_blank
            if follows and origin is self.origin.get(start.position) and _continues(last, cell):
                last = cell
                yield cell

    def _rivals(self, best: Cell, candidates: Iterable[Cell], answer: Cell) -> Iterable[str]:
        rivals = [cell for cell in candidates if cell.squeezed not in (best.squeezed, answer.squeezed)]
        if any(cell.implements & answer.implements and cell.grade_id != answer.grade_id for cell in rivals):
            yield f"there is another answer to '{answer.grade_id}' in a cell that was not used: please check"

    def _detours(self, best: Cell, answer: Cell) -> Iterable[str]:
        name = answer.grade_id
        if best.grade_id and best.grade_id != name:
            is_ours = any(best.grade_id == cell.grade_id for cell in self.released)
            place = f"in the cell labelled '{best.grade_id}'" if is_ours else "in a cell with an unknown label"
            yield f"the answer to '{name}' was {place} and was taken from there"
        elif not best.grade_id and any(cell.grade_id == name for cell in self.submitted):
            yield f"the answer to '{name}' was in a cell of the student's own and was taken from there"
        elif not best.grade_id:
            yield f"the answer cell '{name}' had lost its label and was found by its content"

    def _locate_by_place(self, answer: Cell) -> Found:
        cells = self._cells_in_place_of(answer)
        if not cells:
            return Found(answer.source, (), (f"the answer cell '{answer.grade_id}' is missing: no answer was found",))
        flag = f"the answer cell '{answer.grade_id}' had lost its label and was found by its place: please check"
        return Found("\n\n".join(cell.source for cell in cells), cells, (flag,))

    def _cells_in_place_of(self, answer: Cell) -> tuple[Cell, ...]:
        codes = [cell for cell in self.unclaimed if cell.kind == "code"]
        return tuple([cell for cell in self._run_after(answer) if cell in codes][-1:])

    def _run_after(self, answer: Cell) -> tuple[Cell, ...]:
        """The unclaimed cells right after the last copy of our cells that come before the answer."""
        before = {cell.position for cell in self.released if cell.position < answer.position}
        anchors = [position for position, ours in self.origin.items() if ours.position in before]
        run = []
        for cell in self.submitted:
            if cell.position > max(anchors, default=-1):
                if cell.position in self.origin:
                    break
                run.append(cell)
        return tuple(run)

    def _pair_by_label(self) -> None:
        labelled = {cell.grade_id: cell for cell in self.released if cell.grade_id}
        for cell in self.submitted:
            if cell.grade_id in labelled:
                self.origin[cell.position] = labelled[cell.grade_id]

    def _pair_one_to_one(self, same: Callable[[Cell, Cell], bool]) -> None:
        for ours in self._without_copy():
            match = next((cell for cell in self.unclaimed if not cell.grade_id and same(cell, ours)), None)
            if match:
                self.origin[match.position] = ours

    @staticmethod
    def _same_id(cell: Cell, ours: Cell) -> bool:
        return bool(ours.cell_id) and cell.cell_id == ours.cell_id

    @staticmethod
    def _same_locked_source(cell: Cell, ours: Cell) -> bool:
        return not ours.is_answer and not ours.is_blank and cell.squeezed == ours.squeezed

    @staticmethod
    def _same_source(cell: Cell, ours: Cell) -> bool:
        return cell.squeezed == ours.squeezed

    def _pair_by_component(self) -> None:
        for ours in self._without_copy():
            for cell in self.unclaimed:
                if ours.is_answer and ours.grade_id in cell.implements & ours.implements:
                    self.origin[cell.position] = ours

    def _pair_by_similarity(self) -> None:
        lonely = self._without_copy()
        pairs = [(cell, ours) for cell in self.unclaimed for ours in lonely if cell.kind == ours.kind]
        pairs.sort(key=lambda pair: (-pair[0].similarity(pair[1]), abs(pair[0].position - pair[1].position)))
        for cell, ours in pairs:
            if cell.similarity(ours) >= SIMILAR and cell.position not in self.origin and ours in lonely:
                self.origin[cell.position] = ours
                lonely.remove(ours)

    def _without_copy(self) -> list[Cell]:
        paired = {ours.position for ours in self.origin.values()}
        return [ours for ours in self.released if ours.position not in paired]


def _is_filled(cell: Cell, answer: Cell) -> bool:
    return not cell.is_blank and cell.squeezed != answer.squeezed


def _defines(cell: Cell, answer: Cell) -> bool:
    """Whether the code in a cell defines a function or class with the component's name."""
    wanted = answer.grade_id in answer.implements and cell.holds_code
    return wanted and bool(re.search(rf"^(?:async )?(?:def|class) {answer.grade_id}\b", cell.code, re.MULTILINE))


def _claims(cell: Cell, ours: Cell) -> bool:
    return cell.grade_id == ours.grade_id or bool(cell.implements & ours.implements) or _defines(cell, ours)


def _holds(cell: Cell, text: Cell) -> bool:
    """Whether a text cell still contains one of our texts, at least roughly."""
    return cell.kind != "code" and (text.squeezed in cell.squeezed or cell.similarity(text) >= SIMILAR)


def _continues(above: Cell, below: Cell) -> bool:
    """Whether a cell continues the code of the cell above, which ends with a decorator or inside a function."""
    end = above.source.rstrip().rsplit("\n", 1)[-1]
    start = below.source.lstrip("\n")
    is_inside = start[:1] in (" ", "\t") and CellCode(f"{above.source}\n{below.source}").is_readable
    return end.startswith("@") or is_inside
