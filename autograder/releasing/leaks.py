"""Searches files meant for students for solutions, hidden tests, mark schemes and reference functions."""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import re
import subprocess
import textwrap
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import avae_lib
from autograder.authoring.notebooks import build, grade_id_of, is_lecture, sources
from autograder.course.course import Course
from avae_lib.component_marks import marks_in

__all__ = ["Answer", "answers", "leaks", "leaks_in_history"]

_REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS|MARK SCHEME)\n(.*?)### END \1", re.DOTALL)
_READABLE = {".py", ".ipynb", ".json", ".md", ".txt"}  # committed files that are searched
_TOO_SHORT = 15  # characters; shorter text (``return loss``) occurs everywhere and gives nothing away


@dataclass(frozen=True)
class Answer:
    """A text that gives an answer away, in the form of :func:`_plain`, and its name for messages."""

    name: str
    text: str


def leaks(course: Course, folder: Path, released_units: Collection[str] = ()) -> tuple[str, ...]:
    """The files under ``folder`` that contain an answer of a unit that is not released, one sentence each."""
    files = ((path.relative_to(folder), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file())
    return tuple(_found(files, answers(course, released_units)))


def leaks_in_history(course: Course, repository: Path, released_units: Collection[str] = ()) -> tuple[str, ...]:
    """The answers of units not released in any commit of a git repository, one sentence each.

    Empty if ``repository`` is not a git repository or git is not installed.
    """
    if not (repository / ".git").exists():
        return ()
    try:
        return tuple(dict.fromkeys(_found(_committed(repository), answers(course, released_units))))
    except (OSError, subprocess.CalledProcessError):
        return ()


def _found(files: Iterable[tuple[Path, bytes]], hidden: Collection[Answer]) -> Iterator[str]:
    for path, content in files:
        texts = list(_texts_in(path, content))
        yield from (f"{path} contains {answer.name}" for text in texts for answer in hidden if answer.text in text)


def _committed(repository: Path) -> Iterator[tuple[Path, bytes]]:
    """Every version of every readable file on any branch or tag of a repository."""
    git = ["git", "-C", str(repository)]
    listing = subprocess.run([*git, "rev-list", "--objects", "--all"], capture_output=True, check=True).stdout
    for line in listing.decode("utf-8", "replace").splitlines():
        digest, _, path = line.partition(" ")
        if Path(path).suffix in _READABLE:
            shown = subprocess.run([*git, "cat-file", "blob", digest], capture_output=True, check=True)
            yield Path(path), shown.stdout


def answers(course: Course, released_units: Collection[str] = ()) -> tuple[Answer, ...]:
    """Solutions, hidden tests, mark schemes and bodies of reference functions of all units except the released ones."""
    found = (*_regions_of_solutions(course, released_units), *_reference_bodies(released_units))
    return tuple(answer for answer in found if len(answer.text) >= _TOO_SHORT)


def _regions_of_solutions(course: Course, released_units: Collection[str]) -> Iterator[Answer]:
    for path in sources(course):
        if not is_lecture(course, path) and path.stem not in released_units:
            for cell in build(course, path).cells:
                for kind, text in _REGION.findall(cell.source):
                    yield Answer(f"the {kind.lower()} of {grade_id_of(cell)} ({path.stem})", _plain(text))


def _reference_bodies(released_units: Collection[str]) -> Iterator[Answer]:
    for path in Path(avae_lib.__file__).parent.rglob("*.py"):
        for mark in marks_in(path.read_text(encoding="utf-8")):
            if mark.unit not in released_units:
                body = "\n".join(map(ast.unparse, _without_docstring(mark.definition)))
                yield Answer(f"the library's body of {mark.name}", _plain(body))


def _without_docstring(definition: ast.FunctionDef | ast.ClassDef) -> list[ast.stmt]:
    return definition.body[1:] if ast.get_docstring(definition) is not None else definition.body


def _texts_in(path: Path, content: bytes) -> Iterator[str]:
    """The text of a file (of a notebook: of each cell) in the form of :func:`_plain`."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return
    if path.suffix == ".ipynb":
        yield from map(_plain, _sources(text))
        yield re.sub(r"\\n|\s", " ", text)  # the whole file, for outputs and attachments
    else:
        yield _plain(text)


def _sources(text: str) -> Iterator[str]:
    """The sources of a notebook's cells, for any version of the format; none if it cannot be read."""
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        notebook = json.loads(text)
        sheets = [notebook, *notebook.get("worksheets", ())]
        for cell in [cell for sheet in sheets for cell in sheet.get("cells", ())]:
            yield "".join(cell.get("source", cell.get("input", "")))


@functools.lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """The text on one line; Python code without comments and in the form of :func:`ast.unparse`."""
    text = textwrap.dedent(text)
    with contextlib.suppress(SyntaxError):  # prose, or IPython commands
        text = ast.unparse(ast.parse(text))
    return " ".join(text.split())
