"""Tables as comma-separated values that are safe to open in a spreadsheet, and come back as they were.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula and runs it, quoted or not
(OWASP, *CSV Injection*). Such text gets an apostrophe in front, which spreadsheets read as "this is text";
:func:`unguarded` takes it away again. All text is quoted (RFC 4180), so that a program which splits at semicolons
finds no cell of its own in the middle of one. Numbers stay numbers.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from autograder.course.course import CourseError
from autograder.course.private_files import private_folder, write_private

__all__ = ["Cell", "append_row", "guarded", "number", "read_table", "unguarded", "write_table"]

Cell = str | int | float | None

_DELIMITERS = (",", ";", "\t")
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


def write_table(path: Path, rows: Iterable[Sequence[Cell]], byte_order_mark: bool = False) -> Path:
    """Write rows, the header first, as UTF-8 in one piece and for the owner only.

    Args:
        byte_order_mark: begin the file with one. Excel takes a file without it for the machine's old code page, and
            shows ZoÃ« for Zoë; importers of LMS's may choke on it.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    mark = codecs.BOM_UTF8 if byte_order_mark else b""
    return write_private(path, mark + text.getvalue().encode("utf-8", errors="backslashreplace"))


def read_table(path: Path, columns: Sequence[str] = ()) -> tuple[Mapping[str, str], ...]:
    """The rows of a table by the names in its header, in small letters, with ``line`` added; not those of blanks alone.

    Cells may be parted by commas, semicolons or tabs. The file is UTF-8, or UTF-16 with a byte order mark, which is
    what Excel saves as "Unicode text".

    Args:
        columns: names the header must hold; others may be there too.

    Raises:
        CourseError: the file cannot be read, is in another encoding, or lacks a column.
    """
    text = _text(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text), restval="")
        names = [" ".join((name or "").split()).lower() for name in reader.fieldnames or ()]
        if lacking := [name for name in columns if name not in names]:
            raise CourseError(f"{path} lacks the column {lacking[0]!r}: its first line should be {','.join(columns)}")
        reader.fieldnames = names
        rows = [_row(row, reader.line_num) for row in reader]
    except csv.Error as trouble:
        raise CourseError(f"{path} is no table of cells parted by commas, semicolons or tabs ({trouble})") from None
    return tuple(row for row in rows if any(value for name, value in row.items() if name != "line"))


def append_row(path: Path, row: Mapping[str, str]) -> None:
    """Add a line to a table that is only ever added to, in one write, so that of two people at once nothing is lost.

    A file that a spreadsheet has saved keeps its columns, what parts its cells, and its encoding.

    Args:
        row: cells by column, in small letters; their names are the header where there is no file yet.

    Raises:
        CourseError: there is a file that cannot be read.
    """
    before = _text(path) if path.exists() else ""
    lines = io.StringIO()
    writer = csv.writer(lines, quoting=csv.QUOTE_ALL, delimiter=_delimiter(before) if before else ",")
    columns = next(csv.reader(io.StringIO(before, newline=""), delimiter=_delimiter(before))) if before else list(row)
    if not before:
        writer.writerow(columns)
    elif not before.endswith("\n"):
        lines.write("\r\n")  # edited by hand, without an end to its last line
    writer.writerow([guarded(row.get(" ".join(name.split()).lower(), "")) for name in columns])
    private_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, lines.getvalue().encode(_encoding(path.read_bytes())))
    finally:
        os.close(descriptor)


def _encoding(data: bytes) -> str:
    """Of a line to add to a file that begins so."""
    marks = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
    return marks.get(data[:2], "utf-8")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        with_mark = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if with_mark else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as trouble:
        reason = trouble.strerror if isinstance(trouble, OSError) else "it is not UTF-8; save it as CSV UTF-8"
        raise CourseError(f"{path} cannot be read: {reason}") from None


def _delimiter(text: str) -> str:
    """Of the signs that part cells, the one that parts the header into most."""
    return max(_DELIMITERS, key=lambda sign: len(next(csv.reader(io.StringIO(text, newline=""), delimiter=sign), [])))


def _row(row: Mapping[str | None, str | list[str]], line: int) -> Mapping[str, str]:
    cells = {name: unguarded(cell.strip(" ")) for name, cell in row.items() if name and isinstance(cell, str)}
    return {**cells, "line": str(line)}
