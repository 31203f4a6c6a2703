"""Makes an Excel workbook (``.xlsx``) from tables; all text stays text, and no cell is a formula."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell
from openpyxl.styles import Font
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from autograder.course import spreadsheet

__all__ = ["workbook"]

_LONGEST = 32_767  # characters in a cell, Excel's own limit
_HEADER = Font(bold=True)


def workbook(tables: Mapping[str, Iterable[Sequence[spreadsheet.Cell]]]) -> bytes:
    """A workbook with a sheet for each table.

    Args:
        tables: the rows of each table, the header first, by the name of the sheet.
    """
    book = Workbook(write_only=True)
    for title, rows in tables.items():
        sheet = book.create_sheet(title)
        sheet.freeze_panes = "B2"
        for number, row in enumerate(rows):
            sheet.append([_cell(sheet, value, is_header=number == 0) for value in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _cell(sheet: WriteOnlyWorksheet, value: spreadsheet.Cell, is_header: bool) -> Cell:
    cell = WriteOnlyCell(sheet, value=_text(value) if isinstance(value, str) else value)
    if isinstance(value, str):
        cell.data_type = "s"  # otherwise text that begins with = would be a formula
        # Has the effect of an apostrophe in front: the cell stays text even if somebody edits it.
        cell.quotePrefix = spreadsheet.guarded(value) != value
    if is_header:
        cell.font = _HEADER
    return cell


def _text(value: str) -> str:
    """The text without characters that XML forbids, cut to Excel's limit."""
    shown = ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", value)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")[:_LONGEST]
