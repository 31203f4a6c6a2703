"""Reads and writes CSV tables that are safe to open in a spreadsheet.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula, quoted or not (OWASP, *CSV
Injection*). An apostrophe in front makes it text; :func:`unguarded` removes the apostrophe again. All text is quoted
(RFC 4180), so that a program which splits at semicolons does not split a cell. Numbers stay numbers.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import overload

from autograder.course.course import CourseError
from autograder.course.private_files import private_folder, write_private

__all__ = ["Cell", "append_row", "guarded", "number", "read_table", "unguarded", "write_table"]

Cell = str | int | float | None

_DELIMITERS = (",", ";", "\t")
_BLANK = r"\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff"
# Some programs run a formula even if spaces or quotes come before it.
_FORMULA = re.compile(rf"[{_BLANK}'\"]*[=+\-@＝＋－＠]|[\t\r\n\x00]")


def guarded(text: str) -> str:
    """The text, with an apostrophe in front if a spreadsheet would run it as a formula; different texts stay different.

    >>> guarded("=1+1"), guarded("ada")
    ("'=1+1", 'ada')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The inverse of :func:`guarded`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


@overload
def number(value: float, decimals: int = 4) -> int | float: ...
@overload
def number(value: None, decimals: int = 4) -> None: ...
@overload
def number(value: float | None, decimals: int = 4) -> int | float | None: ...
def number(value: float | None, decimals: int = 4) -> int | float | None:
    """The number rounded, as an ``int`` if nothing remains after the decimal point.

    >>> number(3.0), number(2.666666)
    (3, 2.6667)
    """
    if value is None:
        return None
    rounded = round(value, decimals)
    return int(rounded) if rounded == int(rounded) else rounded


def write_table(path: Path, rows: Iterable[Sequence[Cell]], byte_order_mark: bool = False) -> Path:
    """Write a table as UTF-8, atomically, to a file that only its owner can read.

    Args:
        path: the file.
        rows: the rows; the first is the header.
        byte_order_mark: begin the file with a byte order mark. Without one Excel reads the file in an old code page and
            shows ZoÃ« for Zoë; with one the imports of some LMS fail.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    mark = codecs.BOM_UTF8 if byte_order_mark else b""
    return write_private(path, mark + text.getvalue().encode("utf-8", errors="backslashreplace"))


def read_table(path: Path, columns: Sequence[str] = ()) -> tuple[Mapping[str, str], ...]:
    """The rows of a table, each a mapping from the column's name (in lower case) to the cell, with ``line`` added.

    Cells may be separated by commas, semicolons or tabs. The file is UTF-8, or UTF-16 with a byte order mark (Excel's
    "Unicode text"). Empty rows are left out.

    Args:
        path: the file.
        columns: columns that the header must contain; others are allowed.

    Raises:
        CourseError: the file cannot be read, is in another encoding, or lacks a column.
    """
    text = _text(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text), restval="")
        names = [" ".join((name or "").split()).lower() for name in reader.fieldnames or ()]
        if lacking := [name for name in columns if name not in names]:
            raise CourseError(f"{path} has no column {lacking[0]!r}: make its first line {','.join(columns)}")
        reader.fieldnames = names
        rows = [_row(row, reader.line_num) for row in reader]
    except csv.Error as trouble:
        raise CourseError(
            f"{path} cannot be read as CSV ({trouble}): save it as CSV with commas, semicolons or tabs"
        ) from None
    return tuple(row for row in rows if any(value for name, value in row.items() if name != "line"))


def append_row(path: Path, row: Mapping[str, str]) -> None:
    """Append a row to a table in a single write, so that no row is lost if two people append at once.

    An existing file, even one that a spreadsheet has saved, keeps its columns, delimiter and encoding.

    Args:
        path: the file; it is made, with a header, if it does not exist.
        row: cells by column name, in lower case.

    Raises:
        CourseError: the existing file cannot be read.
    """
    before = _text(path) if path.exists() else ""
    lines = io.StringIO()
    writer = csv.writer(lines, quoting=csv.QUOTE_ALL, delimiter=_delimiter(before) if before else ",")
    columns = next(csv.reader(io.StringIO(before, newline=""), delimiter=_delimiter(before))) if before else list(row)
    if not before:
        writer.writerow(columns)
    elif not before.endswith("\n"):
        lines.write("\r\n")  # somebody edited the file and left its last line unfinished
    writer.writerow([guarded(row.get(" ".join(name.split()).lower(), "")) for name in columns])
    private_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, lines.getvalue().encode(_encoding(path.read_bytes())))
    finally:
        os.close(descriptor)


def _encoding(data: bytes) -> str:
    """The encoding for text appended to a file with these first bytes."""
    marks = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    return marks.get(data[:2], "utf-8")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        with_mark = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if with_mark else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as trouble:
        reason = trouble.strerror if isinstance(trouble, OSError) else "it is not UTF-8: save it as CSV UTF-8"
        raise CourseError(f"{path} cannot be read: {reason}") from None


def _delimiter(text: str) -> str:
    """The delimiter that splits the header into the most cells."""
    return max(_DELIMITERS, key=lambda sign: len(next(csv.reader(io.StringIO(text, newline=""), delimiter=sign), [])))


def _row(row: Mapping[str | None, str | list[str]], line: int) -> Mapping[str, str]:
    cells = {name: unguarded(cell.strip(" ")) for name, cell in row.items() if name and isinstance(cell, str)}
    return {**cells, "line": str(line)}
