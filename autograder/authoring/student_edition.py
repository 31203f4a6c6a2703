"""The library as students get it: components that are still to be written hold no body.

Everything follows from the marks in the source (:func:`avae_lib.component_marks.marks_in`): signature and docstring
stay, because they are the exercise; the body becomes one error that names the unit in which it is written.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Collection
from pathlib import Path

import avae_lib
from avae_lib.component_marks import Mark, marks_in

__all__ = ["stubbed", "write_student_edition"]

_LIBRARY = Path(avae_lib.__file__).parent


def write_student_edition(destination: Path, released_units: Collection[str]) -> Path:
    """Write ``avae_lib`` into ``destination``, with reference bodies for the released units only.

    Args:
        destination: the folder that will hold ``avae_lib``; an earlier edition in it is replaced.
        released_units: names of the units that have been handed back.

    Returns:
        The folder of the package.
    """
    package = destination / _LIBRARY.name
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(_LIBRARY, package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        path.write_text(stubbed(source, released_units), encoding="utf-8")
    return package


def stubbed(source: str, released_units: Collection[str]) -> str:
    """Library source in which the components of all but the released units are stubs."""
    lines = source.splitlines(keepends=True)
    hidden = [mark for mark in marks_in(source) if mark.unit not in released_units]
    for mark in reversed(hidden):  # from the end, so that line numbers above stay true
        start, stop = _body_lines(mark)
        lines[start:stop] = [_stub(mark)]
    return "".join(lines)


def _body_lines(mark: Mark) -> tuple[int, int]:
    """First and one past the last line of the body without its docstring, counted from zero."""
    body = mark.definition.body
    has_docstring = ast.get_docstring(mark.definition) is not None
    start, stop = body[0].end_lineno if has_docstring else body[0].lineno - 1, mark.definition.end_lineno
    assert start is not None and stop is not None, "ast.parse sets the last line of every node"
    return start, stop


def _stub(mark: Mark) -> str:
    indent = " " * (mark.definition.col_offset + 4)
    message = f"{mark.name} is written in unit {mark.unit}: solve its exercise there first"
    return f'{indent}raise NotImplementedError("{message}")\n'
