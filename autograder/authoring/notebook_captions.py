"""Reads captions and descriptions of figures from markdown cells, and puts the descriptions into the pictures.

A markdown cell that starts with ``**Figure 3.**`` is the caption of the figure shown by the nearest code cell above it.
Its ``<!-- alt: … -->`` describes the figure for readers who cannot see it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from nbformat import NotebookNode

from autograder.authoring.build_checks import is_build_check

__all__ = ["CAPTION", "descriptions", "put_descriptions", "without_descriptions"]

CAPTION = re.compile(r"\*\*Figure (\d+)\.\*\*")
_DESCRIPTION = re.compile(r"\s*<!--\s*alt:\s*(.+?)\s*-->", re.DOTALL)
_FIRST_ALT = re.compile(r'(?<=<img alt=")[^"]*(?=")')


def descriptions(cells: Sequence[NotebookNode]) -> dict[str, str]:
    """The description of the figure that each code cell shows, by the cell's id.

    Raises:
        ValueError: a caption has no description, or no code cell above it that is not a build check.
    """
    found: dict[str, str] = {}
    shown_by = None
    for cell in cells:
        if cell.cell_type == "code" and not is_build_check(cell):
            shown_by = cell.id
        elif caption := CAPTION.match(cell.source):
            written = _DESCRIPTION.search(cell.source)
            if written is None or shown_by is None:
                lacking = (
                    "description: add <!-- alt: … -->" if written is None else "code cell above its caption: add one"
                )
                raise ValueError(f"figure {caption[1]} has no {lacking}")
            found[shown_by] = " ".join(written[1].split())
    return found


def without_descriptions(text: str) -> str:
    """The text without the description, if it is a caption; the description belongs into the picture."""
    return _DESCRIPTION.sub("", text) if CAPTION.match(text) else text


def put_descriptions(notebook: NotebookNode, written: Mapping[str, str]) -> None:
    """Replace the automatic description of each picture with the written one."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []) if cell.id in written else []:
            _describe(output.get("data", {}), written[cell.id])


def _describe(data: dict[str, str], description: str) -> None:
    """Put a description into an output, if it is a picture from :mod:`avae_lib.plotting`."""
    if "<img alt=" in data.get("text/html", ""):
        data["text/html"] = _FIRST_ALT.sub(lambda _: html.escape(description), data["text/html"], count=1)
        data["text/plain"] = f"[picture: {description}]"
