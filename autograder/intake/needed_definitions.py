"""Adds to each answer the definitions from other cells that it needs, because each answer is run by itself.

In the student's notebook, a helper, a constant or an import may be in an added cell, in the cell of another answer, or
in one of our cells. Such definitions, and nothing else of those cells, are put in front of the answer that needs them.
Functions of other exercises are not copied: they have their own answers. If a function lacks its ``@implements`` line,
the line is added.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import replace
from functools import cached_property

from autograder.intake.answer_matching import Found, Matching
from autograder.intake.cell_code import CellCode
from autograder.intake.notebook_cells import MAX_ANSWER, Cell
from autograder.plain_text import printable

__all__ = ["completed"]

_MUST_COME_FIRST = re.compile(r"\A%%.*|^from __future__ import (?:\([^)]*\)|.*)", re.MULTILINE)
_MOST_NAMED = 5
_MOST_READ = 2_000_000  # characters of other cells


def completed(found: Mapping[str, Found], matching: Matching) -> dict[str, Found]:
    """The answers to the exercises, by grade_id, each with the student's other definitions that it needs."""
    answers = {cell.position for answer in found.values() for cell in answer.cells}
    cells = _Cells((cell for cell in matching.submitted if cell.kind == "code"), answers)
    given = frozenset().union(*map(_given_by, matching.released))
    whole = dict(found)
    for ours in matching.released:
        if ours.grade_id in found and _is_edited(ours, answer := found[ours.grade_id]):
            whole[ours.grade_id] = _supported(ours, _registered(ours, answer), cells, given)
    return whole


class _Cells:
    """The student's code cells, to be searched for definitions of names.

    Args:
        cells: the code cells.
        answers: the positions of cells that contain answers.
    """

    def __init__(self, cells: Iterable[Cell], answers: Set[int]) -> None:
        self._answers = answers
        self._cells: list[tuple[int, CellCode]] = []
        room = _MOST_READ
        for cell in cells:
            if len(cell.source) <= MAX_ANSWER and (room := room - len(cell.source)) >= 0:
                self._cells.append((cell.position, CellCode(cell.source)))

    @cached_property
    def _places(self) -> Mapping[str, list[int]]:
        places: dict[str, list[int]] = {}
        for index, (_, code) in enumerate(self._cells):
            for name in code.defines:
                places.setdefault(name, []).append(index)
        return places

    def definer_of(self, name: str, own: Set[int]) -> tuple[int, str] | None:
        """The last cell above an answer that defines a name, else the first one below, and the name it has there.

        A name that no cell defines may come from a ``from module import *``; then the name there is ``*``.

        Args:
            name: the name.
            own: the positions of the answer's own cells, which are not searched.
        """
        known = name if name in self._places else "*"
        places = [index for index in self._places.get(known, []) if self._cells[index][0] not in own]
        above = [index for index in places if self._cells[index][0] < min(own)]
        return next(((index, known) for index in (*above[-1:], *places)), None)

    def holds_answer(self, index: int) -> bool:
        return self._cells[index][0] in self._answers

    def definitions(self, names: Mapping[int, Collection[str]]) -> list[str]:
        """The statements that define the given names of each cell, in the order of the notebook."""
        return [text for index in sorted(names) for text in self._cells[index][1].definitions_of(names[index])]


def _given_by(ours: Cell) -> frozenset[str]:
    """The names that a released cell provides to every answer: those of the set-up, and the exercises' functions."""
    return CellCode(ours.source).defines if ours.is_setup else frozenset(ours.implements)


def _is_edited(ours: Cell, answer: Found) -> bool:
    return bool(answer.cells) and "".join(answer.source.split()) != ours.squeezed


def _registered(ours: Cell, answer: Found) -> Found:
    name = ours.grade_id
    is_registered = bool(Cell(0, "code", answer.source).implements)
    if name not in ours.implements or is_registered or name not in CellCode(answer.source).defines:
        return answer
    flag = f"the answer to '{name}' had lost its line @implements(\"{name}\"), which was added again"
    return replace(answer, source=f'{answer.source}\n\nimplements("{name}")({name})', flags=(*answer.flags, flag))


def _supported(ours: Cell, answer: Found, cells: _Cells, given: frozenset[str]) -> Found:
    own = {cell.position for cell in answer.cells}
    needed = _needed_of(cells, CellCode(answer.source).needs - given, own, given)
    definitions = cells.definitions(needed)
    source = _in_front("\n".join(definitions), answer.source)
    if not needed or sum(map(len, definitions)) > MAX_ANSWER or not CellCode(source).is_readable:
        return answer
    answer = replace(answer, source=source)
    names = sorted(set().union(*(names for index, names in needed.items() if not cells.holds_answer(index))))
    if not names:
        return answer
    some = printable(", ".join(names[:_MOST_NAMED]), 100)
    flag = f"the answer to '{ours.grade_id}' uses {some} from other cells of the student's; added to it, please check"
    return replace(answer, flags=(*answer.flags, flag))


def _needed_of(
    cells: _Cells, wanted: frozenset[str], own: Set[int], given: frozenset[str]
) -> Mapping[int, Collection[str]]:
    """For each other cell, the names that an answer needs from it, directly or for definitions that it needs."""
    needed: dict[int, set[str]] = {}
    settled: frozenset[str] = given
    while wanted := wanted - settled:
        settled |= wanted
        found: dict[int, set[str]] = {}
        for name in wanted:
            if definer := cells.definer_of(name, own):
                index, known = definer
                found.setdefault(index, set()).add(known)
        for index, names in found.items():
            needed.setdefault(index, set()).update(names)
        wanted = CellCode("\n".join(cells.definitions(found))).needs
    return needed


def _in_front(definitions: str, source: str) -> str:
    source = textwrap.dedent(source)
    starts = [found.end() for found in _MUST_COME_FIRST.finditer(source)]
    place = starts[-1] + 1 if starts else 0
    return f"{source[:place]}{definitions}\n\n\n{source[place:].lstrip(chr(10))}"
