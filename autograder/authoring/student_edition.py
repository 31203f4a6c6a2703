"""Makes the students' edition of the library, in which components of unreleased units have no body.

The components are marked in the source (:func:`avae_lib.component_marks.marks_in`). Signature and docstring stay,
because they are the exercise; the body becomes a ``raise`` that names the unit in which students write it.
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
    """Write ``avae_lib`` into ``destination``, with the reference functions of the released units only.

    Args:
        destination: the folder for ``avae_lib``; an earlier edition in it is replaced.
        released_units: names of the units whose answers students may have.

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
    """The source with stubs in place of the components of units that are not released."""
    lines = source.splitlines(keepends=True)
    hidden = [mark for mark in marks_in(source) if mark.unit not in released_units]
    for mark in reversed(hidden):  # from the end, so that the line numbers above stay valid
        start, stop = _body_lines(mark)
        lines[start:stop] = [_stub(mark)]
    return "".join(lines)


def _body_lines(mark: Mark) -> tuple[int, int]:
    """The body's lines without the docstring, as a range counted from zero."""
    body = mark.definition.body
    has_docstring = ast.get_docstring(mark.definition) is not None
    start, stop = body[0].end_lineno if has_docstring else body[0].lineno - 1, mark.definition.end_lineno
    assert start is not None and stop is not None, "ast.parse sets the last line of every node"
    return start, stop


def _stub(mark: Mark) -> str:
    indent = " " * (mark.definition.col_offset + 4)
    message = f"{mark.name} is written in unit {mark.unit}: solve its exercise there first"
    return f'{indent}raise NotImplementedError("{message}")\n'
