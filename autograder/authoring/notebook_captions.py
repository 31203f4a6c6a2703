"""Captions and descriptions of figures: written in markdown beside the figure, and put into its output by the build.

A markdown cell that starts with ``**Figure 3.**`` is the caption of the figure that the nearest code cell before it
shows. It holds the description for readers who cannot see it as ``<!-- alt: … -->``.
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
        ValueError: a caption has no description, or no code cell before it; build checks don't count.
    """
    found: dict[str, str] = {}
    shown_by = None
    for cell in cells:
        if cell.cell_type == "code" and not is_build_check(cell):
            shown_by = cell.id
        elif caption := CAPTION.match(cell.source):
            written = _DESCRIPTION.search(cell.source)
            if written is None or shown_by is None:
                lacking = "description <!-- alt: … -->" if written is None else "code cell before it"
                raise ValueError(f"figure {caption[1]} has no {lacking}")
            found[shown_by] = " ".join(written[1].split())
    return found


def without_descriptions(text: str) -> str:
    """A caption as people read it: they find the description in the picture."""
    return _DESCRIPTION.sub("", text) if CAPTION.match(text) else text


def put_descriptions(notebook: NotebookNode, written: Mapping[str, str]) -> None:
    """Replace the automatic description of each picture by the one that was written for it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []) if cell.id in written else []:
            _describe(output.get("data", {}), written[cell.id])


def _describe(data: dict[str, str], description: str) -> None:
    """Put a description into an output, if that is a picture of :mod:`avae_lib.plotting`."""
    if "<img alt=" in data.get("text/html", ""):
        data["text/html"] = _FIRST_ALT.sub(lambda _: html.escape(description), data["text/html"], count=1)
        data["text/plain"] = f"[picture: {description}]"
