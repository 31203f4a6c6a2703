"""Answers made whole: what an answer stands on may lie in other cells of the student's, which are not run.

A helper, a constant or an import that stood in a cell of the student's own, or was added to one of ours, worked in
their notebook. So those definitions, and nothing else of such cells, are put in front of the answer that needs them.
A function that has lost the line which puts it into the library gets it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from autograder.cell_code import CellCode
from autograder.matching import Found, Matching
from autograder.notebook_cells import MAX_ANSWER, Cell
from autograder.plain_text import printable

__all__ = ["completed"]

_MUST_COME_FIRST = re.compile(r"\A%%.*|^from __future__ import .*", re.MULTILINE)
_MOST_NAMED = 5


def completed(found: Mapping[str, Found], matching: Matching) -> dict[str, Found]:
    """What was found for each answer cell, by grade_id, with whatever else of the student's it needs to run."""
    used = {cell.position for answer in found.values() for cell in answer.cells}
    others = [cell for cell in matching.submitted if cell.kind == "code" and cell.position not in used]
    codes = [(cell.position, CellCode(cell.source)) for cell in others if len(cell.source) <= MAX_ANSWER]
    given = frozenset().union(*(CellCode(source).defines for source in _sources_that_run(found, matching)))
    whole = dict(found)
    for ours in matching.released:
        if ours.is_answer and _is_edited(ours, answer := found[ours.grade_id]):
            whole[ours.grade_id] = _supported(ours, _registered(ours, answer), codes, given)
    return whole


def _sources_that_run(found: Mapping[str, Found], matching: Matching) -> Iterable[str]:
    for ours in matching.released:
        if ours.is_setup:
            yield ours.source
        elif ours.is_answer and not ours.is_written:
            yield found[ours.grade_id].source


def _is_edited(ours: Cell, answer: Found) -> bool:
    return not ours.is_written and bool(answer.cells) and "".join(answer.source.split()) != ours.squeezed


def _registered(ours: Cell, answer: Found) -> Found:
    name = ours.grade_id
    if name not in ours.implements or name in Cell(0, "code", answer.source).implements:
        return answer
    if name not in CellCode(answer.source).defines:
        return answer
    flag = f"the answer to '{name}' had lost its line @implements(\"{name}\"), which was put back"
    return replace(answer, source=f'{answer.source}\n\nimplements("{name}")({name})', flags=(*answer.flags, flag))


def _supported(ours: Cell, answer: Found, codes: Sequence[tuple[int, CellCode]], given: frozenset[str]) -> Found:
    place = answer.cells[0].position
    names, definitions = _support(CellCode(answer.source).needs - given, place, codes, given)
    if not names or sum(map(len, definitions)) > MAX_ANSWER:
        return answer
    named = printable(", ".join(sorted(names)[:_MOST_NAMED]), 100)
    flag = f"the answer to '{ours.grade_id}' uses {named} from other cells of the student's: taken along, please check"
    return replace(answer, source=_in_front("\n".join(definitions), answer.source), flags=(*answer.flags, flag))


def _support(
    wanted: frozenset[str], place: int, codes: Sequence[tuple[int, CellCode]], given: frozenset[str]
) -> tuple[set[str], list[str]]:
    """The names that other cells define, with those which these need in turn, and their definitions in order."""
    taken: dict[int, set[str]] = {}
    settled: set[str] = set()
    while wanted := wanted - settled - given:
        settled |= wanted
        for name in wanted:
            if (index := _cell_that_defines(name, place, codes)) is not None:
                taken.setdefault(index, set()).add(name)
        definitions = [text for index in taken for text in codes[index][1].definitions_of(taken[index])]
        wanted = CellCode("\n".join(definitions)).needs
    definitions = [text for index in sorted(taken) for text in codes[index][1].definitions_of(taken[index])]
    return set().union(*taken.values()), definitions


def _cell_that_defines(name: str, place: int, codes: Sequence[tuple[int, CellCode]]) -> int | None:
    """The index of the last cell above the answer that defines a name; if there is none, of the first one below."""
    defining = [(position < place, index) for index, (position, code) in enumerate(codes) if name in code.defines]
    above = [index for is_above, index in defining if is_above]
    below = [index for is_above, index in defining if not is_above]
    return above[-1] if above else next(iter(below), None)


def _in_front(definitions: str, source: str) -> str:
    starts = [found.end() for found in _MUST_COME_FIRST.finditer(source)]
    place = starts[-1] + 1 if starts else 0
    return f"{source[:place]}{definitions}\n\n\n{source[place:].lstrip(chr(10))}"
