"""Finds and changes a student's lines in the roster, the extensions, and other tables with a column ``student``.

All other lines stay the same, byte for byte.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.counts_and_lists import counted
from autograder.course.course import Course, CourseError
from autograder.course.extensions import extensions_file
from autograder.course.private_files import write_private
from autograder.course.roster import Roster
from autograder.course.roster_update import earlier_roster
from autograder.course.spreadsheet import guarded, unguarded
from autograder.course.student_ids import normal_id
from autograder.gradebook.regrade_requests import requests_file

__all__ = ["ClassTables", "is_on_roster"]

_COLUMN = "student"


@dataclass(frozen=True, eq=False)
class _Line:
    """A row of a table: its text in the file, which may contain line ends in quotes, and its cells."""

    raw: str
    cells: Sequence[str]


@dataclass(frozen=True)
class _Table:
    path: Path
    delimiter: str
    lines: Sequence[_Line]
    column: int

    def about(self, *students: str) -> list[_Line]:
        """The lines about some students."""
        return [line for line in self.lines[1:] if self._name(line) in students]

    @property
    def names(self) -> list[str | None]:
        """The students in the table, each once."""
        return list(dict.fromkeys(map(self._name, self.lines[1:])))

    def _name(self, line: _Line) -> str | None:
        return normal_id(unguarded(line.cells[self.column].strip())) if len(line.cells) > self.column else None


@dataclass(frozen=True)
class ClassTables:
    """The lines about one student in the tables of the class.

    Attributes:
        with_roster: whether the roster and its earlier copy are included.
    """

    with_roster: bool = True

    def found(self, course: Course, student: str) -> list[str]:
        counts = [(table, len(table.about(student))) for table in self._tables(course)]
        return [f"{counted(n, 'line')} of {_shown(table.path, course)}" for table, n in counts if n]

    def forget(self, course: Course, student: str) -> None:
        self._rewrite(course, student, lambda table, line: "")

    def rename(self, course: Course, old: str, new: str) -> None:
        self._rewrite(course, old, lambda table, line: _with_id(table, line, new))

    def _tables(self, course: Course) -> list[_Table]:
        return [table for table in _tables(course) if self.with_roster or table.path not in _rosters(course)]

    def _rewrite(self, course: Course, student: str, change: Callable[[_Table, _Line], str]) -> None:
        for table in self._tables(course):
            if about := table.about(student):
                parts = (change(table, line) if line in about else line.raw for line in table.lines)
                write_private(table.path, "".join(parts))


def is_on_roster(course: Course, student: str) -> bool:
    """Whether the roster's file has a line for an id."""
    return any(table.about(student) for table in _tables(course) if table.path == course.roster)


def _with_id(table: _Table, line: _Line, new: str) -> str:
    text = io.StringIO()
    ending = line.raw[len(line.raw.rstrip("\r\n")) :]
    writer = csv.writer(text, delimiter=table.delimiter, quoting=csv.QUOTE_ALL, lineterminator=ending)
    writer.writerow([guarded(new) if place == table.column else cell for place, cell in enumerate(line.cells)])
    return text.getvalue()


def _rosters(course: Course) -> tuple[Path, ...]:
    """The roster, and the copy from before its last update."""
    return (course.roster, earlier_roster(course.roster)) if course.roster else ()


def _tables(course: Course) -> list[_Table]:
    rosters = _rosters(course)
    kept = (*rosters, extensions_file(course), requests_file(course))
    own = [path for path in kept if path and path.exists()]
    others = [path for table in own for path in sorted(table.parent.glob("*.csv"))]
    tables = (_roster(path) if path in rosters else _table(path) for path in dict.fromkeys([*own, *others]))
    return [table for table in tables if table is not None]


def _table(path: Path) -> _Table | None:
    """The table in a file; None if it is not text, or has no column for students."""
    columns = _columns(path)
    named = (table for table in columns if table.lines[0].cells[table.column].strip("\ufeff \"'").lower() == _COLUMN)
    return next(named, None)


def _roster(path: Path) -> _Table | None:
    """The roster, whose column of ids has another name in each LMS; None if it is damaged."""
    try:
        ids = list(Roster.read(path).students)
    except CourseError:
        return None
    return next((table for table in _columns(path) if [name for name in table.names if name in ids] == ids), None)


def _columns(path: Path) -> list[_Table]:
    """The table in a file, once for each column that may contain the ids; empty if it is not text."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return []
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    lines = tuple(_lines(text, delimiter))
    return [_Table(path, delimiter, lines, column) for column in range(len(lines[0].cells))] if lines else []


def _lines(text: str, delimiter: str) -> Iterator[_Line]:
    taken: list[str] = []

    def fed() -> Iterator[str]:
        for piece in io.StringIO(text, newline=""):
            taken.append(piece)
            yield piece

    for cells in csv.reader(fed(), delimiter=delimiter):
        yield _Line("".join(taken), cells)
        taken.clear()


def _shown(path: Path, course: Course) -> str:
    return str(path.relative_to(course.root) if path.is_relative_to(course.root) else path)
