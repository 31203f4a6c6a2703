"""Records the outputs of lecture cells, for students who have not yet written a function that the cell needs.

:mod:`avae_lib.recorded_cells` shows the records. Only cells that begin with ``# needs: …`` are recorded, a slider as
the still picture shown where scripts do not run. Records come from the built notebook, so the two cannot disagree.
"""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from autograder.course.course import Course
from avae_lib.recorded_cells import OUTPUTS, digest_of, names_needed

__all__ = ["records_differ", "write_records"]

_PICTURE = re.compile(r'<img alt="([^"]*)" width="(\d+)"[^>]* src="data:image/png;base64,([^"]+)"')


def write_records(course: Course, unit: str, notebook: NotebookNode) -> bool:
    """Write the records of a built lecture into the course's library; return whether a file has changed."""
    if not records_differ(course, unit, notebook):
        return False
    wanted = _records_of(notebook)
    folder = _folder(course, unit)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in wanted.items():
        (folder / name).write_bytes(content)
    if not wanted:
        folder.rmdir()
    return True


def records_differ(course: Course, unit: str, notebook: NotebookNode) -> bool:
    """Whether a lecture's records differ from its notebook; False if the course folder contains no library."""
    if not (course.root / "avae_lib").is_dir():
        return False
    folder = _folder(course, unit)
    stored = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}
    return stored != _records_of(notebook)


def _folder(course: Course, unit: str) -> Path:
    return course.root / "avae_lib" / "data" / "records" / "lectures" / unit


def _records_of(notebook: NotebookNode) -> dict[str, bytes]:
    """The files of a notebook's records, by name; none if no cell is recorded."""
    facts: dict[str, Any] = {}
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and names_needed(cell.source):
            outputs = [_picture(output, cell.id, pictures) or _text(output) for output in cell.outputs]
            kept = [output for output in outputs if output]
            facts[digest_of(cell.source)] = {"cell": cell.id, "outputs": kept}
    if not facts:
        return {}
    return {OUTPUTS: f"{json.dumps(facts, indent=1, ensure_ascii=False)}\n".encode(), **pictures}


def _picture(output: NotebookNode, cell_id: str, pictures: dict[str, bytes]) -> dict[str, Any]:
    """The record of an output that is a picture of the course's, else empty; adds its PNG to ``pictures``."""
    found = _PICTURE.search(output.get("data", {}).get("text/html", ""))
    if not found:
        return {}
    alt, width, png = found.groups()
    name = f"{cell_id}.png" if f"{cell_id}.png" not in pictures else f"{cell_id}-{len(pictures)}.png"
    pictures[name] = base64.b64decode(png)
    return {"picture": name, "alt": html.unescape(alt), "width": int(width)}


def _text(output: NotebookNode) -> dict[str, str]:
    """The record of an output, if it is printed text or the value of the cell's last line, else empty."""
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return {"text": text.rstrip("\n")} if text.strip() else {}
