"""Checks the nbgrader labels of a solution's cells before an assignment is made from it.

nbgrader finds these mistakes too, but reports them with a traceback, and some only after it has deleted the earlier
release. Here each mistake is one sentence that names the cell.
"""

from __future__ import annotations

import ast
import contextlib
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from nbformat import NotebookNode

__all__ = ["label_problems", "require_readable_labels"]

_SCHEMA = 3
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)  # cell ids that nbformat allows
_FLAGS = ("grade", "solution", "locked")
_REGIONS = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
_UNREADABLE = "incorrectly_encoded_metadata"  # the key under which jupytext stores metadata it cannot parse


def require_readable_labels(cells: Sequence[NotebookNode]) -> None:
    """Check that every cell's label can be read, because no notebook can be built otherwise.

    Raises:
        ValueError: a label cannot be read; the message names the cell.
    """
    for number, cell in enumerate(cells, start=1):
        if problem := _unreadable(cell):
            raise ValueError(f"{_name(number, cell)} {problem}")


def label_problems(cells: Sequence[NotebookNode]) -> tuple[str, ...]:
    """The mistakes in the labels and regions of a solution's cells, one sentence each."""
    of_each = [problem for number, cell in enumerate(cells, start=1) for problem in _problems(number, cell)]
    return (*of_each, *_duplicates(cells))


def _problems(number: int, cell: NotebookNode) -> Iterator[str]:
    name = _name(number, cell)
    if unreadable := _unreadable(cell):
        yield f"{name} {unreadable}"
        return
    label = cell.metadata.get("nbgrader", {})
    if label:
        found = list(_of_flags(label)) or [*_of_kind(cell, label), *_of_points(label)]
        yield from (f"{name} {problem}" for problem in found)
    yield from (f"{name} {problem}" for problem in _of_regions(cell, label))


def _unreadable(cell: NotebookNode) -> str:
    if _UNREADABLE in cell.metadata:
        return f"has a label that is not JSON: {_short(str(cell.metadata[_UNREADABLE]))}"
    label = cell.metadata.get("nbgrader", {})
    if not isinstance(label, dict):
        return f"has a label that is not a JSON object in braces: nbgrader={_short(str(label))}"
    grade_id = label.get("grade_id")
    if label and not (isinstance(grade_id, str) and _ID.fullmatch(grade_id)):
        shown = f"the grade_id {_short(repr(grade_id))}" if "grade_id" in label else "no grade_id"
        return f"has {shown}: write one of up to 64 letters, digits, _ and -"
    return ""


def _of_flags(label: dict[str, Any]) -> Iterator[str]:
    if label.get("schema_version") != _SCHEMA:
        yield f'has the schema_version {label.get("schema_version")!r}: write "schema_version": {_SCHEMA}'
    for flag in _FLAGS:
        if not isinstance(label.get(flag), bool):
            said = f"has {flag!r}: {label[flag]!r}" if flag in label else f"lacks {flag!r}"
            yield f"{said}: write true or false"


def _of_kind(cell: NotebookNode, label: dict[str, Any]) -> Iterator[str]:
    is_graded = bool(label.get("grade"))
    is_answer = bool(label.get("solution"))
    if label.get("task") or cell.cell_type == "code":
        return
    if cell.cell_type != "markdown" and (is_graded or is_answer):
        yield f"is a {cell.cell_type} cell, but a graded cell must be code or markdown: change its type"
    elif is_graded and not is_answer:
        yield "is a text cell with points but without an answer: mark it as a solution, or make it a code cell"
    elif is_answer and not is_graded:
        yield "is a written answer that is not graded: give it points, or make it a code cell"


def _of_points(label: dict[str, Any]) -> Iterator[str]:
    is_graded = bool(label.get("grade") or label.get("task"))
    points = label.get("points")
    if is_graded and points is None:
        yield 'is graded but has no points: add "points" to its label'
    elif is_graded and not (_is_number(points) and points >= 0):
        yield f"has the points {points!r}: write a number, 0 or more"
    elif not is_graded and points:
        yield f'has {points!r} points but is not graded: write "grade": true, or leave the points out'


def _of_regions(cell: NotebookNode, label: dict[str, Any]) -> Iterator[str]:
    for kind in _REGIONS:
        if problem := _unbalanced(cell.source, kind):
            yield problem
            return
    has_region = "BEGIN SOLUTION" in cell.source
    if has_region and not label.get("solution"):
        yield "contains a solution but is not marked as one, so students would get the solution: mark it"
    if label.get("solution") and cell.cell_type == "code" and not has_region:
        yield "has no ### BEGIN SOLUTION: the whole cell, with signature and docstring, would be replaced by a stub"
    if has_region and label.get("solution") and any(_is_empty(text, cell) for text in _regions(cell.source)):
        yield "has an empty solution between ### BEGIN SOLUTION and ### END SOLUTION"


def _unbalanced(source: str, kind: str) -> str:
    is_open = False
    for line in source.splitlines():
        if f"BEGIN {kind}" in line:
            if is_open:
                return f"has a ### BEGIN {kind} inside another: close the first with ### END {kind}"
            is_open = True
        elif f"END {kind}" in line:
            if not is_open:
                return f"has a ### END {kind} without a ### BEGIN {kind} above it"
            is_open = False
    return f"has a ### BEGIN {kind} without a ### END {kind}" if is_open else ""


def _regions(source: str) -> list[str]:
    return re.findall(r"BEGIN SOLUTION[^\n]*\n(.*?)[^\n]*END SOLUTION", source, re.DOTALL)


def _is_empty(text: str, cell: NotebookNode) -> bool:
    """Whether a solution is empty, or consists of comments, ``pass`` and ``...`` only."""
    if cell.cell_type != "code":
        return not text.strip()
    with contextlib.suppress(SyntaxError):
        statements = ast.parse(textwrap.dedent(text)).body
        return all(isinstance(statement, ast.Pass) or _is_dots(statement) for statement in statements)
    return False


def _is_dots(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and getattr(statement.value, "value", None) is ...


def _duplicates(cells: Sequence[NotebookNode]) -> Iterator[str]:
    places: dict[str, list[int]] = {}
    for number, cell in enumerate(cells, start=1):
        label = cell.metadata.get("nbgrader")
        if isinstance(label, dict) and isinstance(label.get("grade_id"), str):
            places.setdefault(label["grade_id"], []).append(number)
    for grade_id, numbers in places.items():
        if len(numbers) > 1:
            where = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
            yield f"{grade_id} is the grade_id of {len(numbers)} cells (cells {where}): each needs its own"


def _name(number: int, cell: NotebookNode) -> str:
    """A cell as messages name it: by its grade id, or else by its number and first line."""
    label = cell.metadata.get("nbgrader")
    grade_id = label.get("grade_id") if isinstance(label, dict) else None
    if isinstance(grade_id, str) and _ID.fullmatch(grade_id):
        return grade_id
    return f"cell {number} (“{_short(cell.source.strip().splitlines()[0] if cell.source.strip() else '')}”)"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
