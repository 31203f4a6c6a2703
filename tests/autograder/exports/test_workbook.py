"""The workbook for spreadsheets: the same as the tables, and no cell is a formula."""

import io
import re
import sys
import zipfile

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course.course import CourseError
from autograder.course.spreadsheet import unguarded
from autograder.exports.export import write_export
from autograder.exports.workbook import workbook

UNIT = "03_vae"


def test_a_workbook_holds_the_same_as_the_tables_and_no_formula(nasty, exported, names, tmp_path):
    (path,), _ = write_export(nasty, "xlsx", [nasty.unit(UNIT)], tmp_path)
    book = openpyxl.load_workbook(path)
    for sheet, form in (("Grades", "csv"), ("Questions", "per-question")):
        wanted = [[unguarded(cell) for cell in row] for row in exported(nasty, form, tmp_path)]
        found = [["" if cell is None else str(cell) for cell in row] for row in book[sheet].iter_rows(values_only=True)]
        assert found == [[cell.replace("\r\n", "\n") for cell in row] for row in wanted]
    # Text in cells is <is>, <t> or a shared string, a formula <f>: ECMA-376, part 1, 18.3.1.40
    with zipfile.ZipFile(path) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    assert len(sheets) == 2 and not any(re.search(rb"<f[ >]", sheet) for sheet in sheets)
    by_name = {cell.value: cell for cell in book["Grades"]["B"]}
    assert by_name[names["ben"]].data_type == "s" and by_name[names["ben"]].quotePrefix
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.text(min_size=1))
def test_a_workbook_takes_any_text_and_never_for_a_formula(text):
    book = openpyxl.load_workbook(io.BytesIO(workbook({"Sheet": [("id",), (text,)]})))
    cell = book["Sheet"]["A2"]
    assert cell.data_type in ("s", "n") and (cell.value is None or isinstance(cell.value, str))


def test_without_the_package_it_is_said_what_to_install(nasty, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "autograder.exports.workbook", None)
    with pytest.raises(CourseError, match="pip install openpyxl"):
        write_export(nasty, "xlsx", [nasty.unit(UNIT)], tmp_path)
