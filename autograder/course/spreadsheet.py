"""Tables as comma-separated values that are safe to open in a spreadsheet, and come back as they were.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula and runs it, quoted or not
(OWASP, *CSV Injection*). Such text gets an apostrophe in front, which spreadsheets read as "this is text";
:func:`unguarded` takes it away again. All text is quoted (RFC 4180), so that a program which splits at semicolons
finds no cell of its own in the middle of one. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from autograder.course.course import CourseError

__all__ = ["Cell", "guarded", "number", "read_table", "unguarded", "write_table"]

Cell = str | int | float | None

_BLANK = r"\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff"
# Blank signs and quotes in front of a formula do not stop every program from seeing it.
_FORMULA = re.compile(rf"[{_BLANK}'\"]*[=+\-@＝＋－＠]|[\t\r\n\x00]")


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula; different texts stay different."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The inverse of :func:`guarded`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def number(value: float | None, decimals: int = 4) -> int | float | None:
    """A number as a person would write it: rounded, and without a fraction where there is none."""
    if value is None:
        return None
    rounded = round(value, decimals)
    return int(rounded) if rounded == int(rounded) else rounded


def write_table(path: Path, rows: Iterable[Sequence[Cell]]) -> Path:
    """Write rows, the header first, as UTF-8 in one piece: readers see the whole table or the one before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    with draft.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    os.replace(draft, path)
    return path


def read_table(path: Path, columns: Sequence[str]) -> tuple[Mapping[str, str], ...]:
    """The rows of a table by the names in its header, with ``line`` added; commas or semicolons between the cells.

    Args:
        columns: names the header must hold; others may be there too.

    Raises:
        CourseError: the file cannot be read, is not UTF-8, or lacks a column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as trouble:
        reason = trouble.strerror if isinstance(trouble, OSError) else "it is not UTF-8; save it as CSV UTF-8"
        raise CourseError(f"{path} cannot be read: {reason}") from None
    first = text.partition("\n")[0]
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",", restval="")
        names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        if lacking := [name for name in columns if name not in names]:
            raise CourseError(f"{path} lacks the column {lacking[0]!r}: its first line should be {','.join(columns)}")
        reader.fieldnames = names
        return tuple(_row(row, reader.line_num) for row in reader)


def _row(row: Mapping[str | None, str | list[str]], line: int) -> Mapping[str, str]:
    cells = {name: unguarded(cell.strip(" ")) for name, cell in row.items() if name and isinstance(cell, str)}
    return {**cells, "line": str(line)}
