"""Reads the cells of a notebook from its JSON, in which anything may be missing or of the wrong type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from autograder.intake.notebook_json import notebook_json
from autograder.intake.submissions import Quarantined

__all__ = ["MAX_ANSWER", "Cell", "ParsedNotebook", "cells_of", "parse"]

MAX_ANSWER = 200_000
"""Maximum number of characters of an answer; long answers have a few thousand."""

MAX_CELLS = 2_000

# As a decorator, or called: implements("name")(function).
_IMPLEMENTS = re.compile(r"""^[ \t]*(?:@[ \t]*)?(?:\w+\.)*implements\([ \t]*(['"])(\w+)\1""", re.MULTILINE)

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)^[ \t]*\1", re.MULTILINE | re.DOTALL)
_DRAWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")

_ABSURD = 1e9  # points in a student's label beyond this, and NaN, are read as 0


@dataclass(frozen=True)
class Cell:
    """One cell, ours or a student's.

    Attributes:
        position: its place in the notebook, from 0.
        kind: ``code``, ``markdown`` or ``raw``.
        source: its text.
        cell_id: its id in the notebook; empty if it has none.
        label: its nbgrader metadata; empty if it has none.
        tags: its tags.
        pictures: the pictures in its outputs, in base64.
        attachments: the pictures attached to a text, by name, as pairs of type (``image/png``) and content in base64.
    """

    position: int
    kind: str
    source: str
    cell_id: str = ""
    label: Mapping[str, Any] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    pictures: tuple[str, ...] = ()
    attachments: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def grade_id(self) -> str:
        grade_id = self.label.get("grade_id")
        return grade_id if isinstance(grade_id, str) else ""

    @property
    def is_answer(self) -> bool:
        return self.label.get("solution") is True

    @property
    def is_written(self) -> bool:
        return self.is_answer and self.kind != "code"

    @property
    def is_graded(self) -> bool:
        return self.label.get("grade") is True

    @property
    def is_locked(self) -> bool:
        return bool(self.grade_id) and not self.is_answer

    @property
    def is_setup(self) -> bool:
        return self.kind == "code" and self.is_locked and not self.is_graded

    @property
    def points(self) -> float:
        points = self.label.get("points", 0)
        return points if isinstance(points, int | float) and abs(points) < _ABSURD else 0

    @property
    def is_blank(self) -> bool:
        return not self.source.strip()

    @cached_property
    def code(self) -> str:
        """The code in the cell: its source, or in a text cell the blocks between lines of three back-ticks, if any."""
        blocks = [block for _, block in _FENCE.findall(self.source)] if self.kind != "code" else []
        return "\n\n".join(block.rstrip() for block in blocks) or self.source

    @property
    def holds_code(self) -> bool:
        return self.kind == "code" or self.code != self.source

    @cached_property
    def squeezed(self) -> str:
        """The source without white space, to compare cells."""
        return "".join(self.source.split())

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(re.findall(r"\w+", self.source))

    @cached_property
    def implements(self) -> frozenset[str]:
        """The names of the components that the source implements, found without parsing it."""
        return frozenset(match[1] for match in _IMPLEMENTS.findall(self.source))

    def similarity(self, other: Cell) -> float:
        """The Jaccard similarity: the number of words in both cells over the number in either, between 0 and 1."""
        return len(self.words & other.words) / max(1, len(self.words | other.words))


@dataclass(frozen=True)
class ParsedNotebook:
    """A student's notebook: the readable cells, the minor format version (None if missing), and flags."""

    cells: tuple[Cell, ...]
    minor: int | None
    flags: tuple[str, ...]


def parse(data: bytes) -> ParsedNotebook:
    """Read a notebook in format 4 from bytes; damaged cells are left out.

    Raises:
        Quarantined: the bytes are not JSON, not a notebook, or a notebook of another major format.
    """
    document, flags = notebook_json(data)
    cells = document["cells"]
    if len(cells) > MAX_CELLS:
        raise Quarantined(f"the notebook has {len(cells)} cells, more than {MAX_CELLS}: look at it before grading")
    unreadable = sum(not isinstance(cell, Mapping) for cell in cells)
    if unreadable:
        flags += (f"some cells are damaged and were left out: {unreadable}",)
    minor = document.get("nbformat_minor")
    return ParsedNotebook(cells_of(cells), minor if type(minor) is int else None, flags)


def cells_of(cells: Iterable[Any]) -> tuple[Cell, ...]:
    """Cells from the JSON of a notebook; entries that are not objects are left out."""
    return tuple(_cell(position, raw) for position, raw in enumerate(cells) if isinstance(raw, Mapping))


def _cell(position: int, raw: Mapping[str, Any]) -> Cell:
    metadata = _mapping(raw.get("metadata"))
    tags = metadata.get("tags")
    kind, cell_id = raw.get("cell_type"), raw.get("id")
    return Cell(
        position=position,
        kind=kind if kind in ("code", "markdown", "raw") else "raw",
        source=_text(raw.get("source")),
        cell_id=cell_id if isinstance(cell_id, str) else "",
        label=_mapping(metadata.get("nbgrader")),
        tags=frozenset(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else frozenset(),
        pictures=tuple(_pictures(raw.get("outputs"))),
        attachments=dict(_attachments(raw.get("attachments"))),
    )


def _pictures(outputs: Any) -> Iterable[str]:
    for output in outputs if isinstance(outputs, list) else ():
        data = _mapping(_mapping(output).get("data"))
        if picture := next(filter(None, map(data.get, _DRAWN)), None):
            yield _text(picture)
        else:  # figures of avae_lib.plotting are pictures in HTML, so that they have a description
            _, *after = _text(data.get("text/html")).split('src="data:image/png;base64,')
            yield from (text.partition('"')[0] for text in after)


def _attachments(attached: Any) -> Iterable[tuple[str, tuple[str, str]]]:
    """Each attachment in a type that can be shown, or else in its first type."""
    for name, versions in _mapping(attached).items():
        kinds = [kind for kind in (*_DRAWN, *_mapping(versions)) if _mapping(versions).get(kind)]
        if kinds:
            yield _text(name), (_text(kinds[0]), _text(versions[kinds[0]]))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):
        parts = [part for part in value if isinstance(part, str)]
        # Lines in the list end with "\n"; if a program has removed all line ends, they are added again.
        value = ("" if any("\n" in part for part in parts) else "\n").join(parts)
    if not isinstance(value, str):
        return ""
    value = value.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    # A lone surrogate is legal in JSON but cannot be written to a file.
    return value.encode("utf-8", "replace").decode("utf-8")
