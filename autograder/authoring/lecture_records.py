"""What cells of a lecture printed and drew when it was built, kept with the library for :mod:`avae_lib.recorded_cells`.

Only cells that begin with ``# needs: …`` are recorded. A slider is recorded as the still that stands in its place
where scripts do not run. All of it is taken from the built notebook, so that notebook and records cannot disagree.
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
    """Write the records of a built lecture into the course's library; returns whether that changed a file."""
    folder, wanted = _folder(course, unit), _records_of(notebook)
    if not records_differ(course, unit, notebook):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in wanted.items():
        (folder / name).write_bytes(content)
    if not wanted:
        folder.rmdir()
    return True


def records_differ(course: Course, unit: str, notebook: NotebookNode) -> bool:
    """Whether the course contains the library, and its records of a lecture differ from the notebook."""
    if not (course.root / "avae_lib").is_dir():
        return False
    folder = _folder(course, unit)
    stored = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}
    return stored != _records_of(notebook)


def _folder(course: Course, unit: str) -> Path:
    return course.root / "avae_lib" / "data" / "records" / "lectures" / unit


def _records_of(notebook: NotebookNode) -> dict[str, bytes]:
    """The files that hold the records of a notebook, by name; none if no cell of it is recorded."""
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
    """An output that is a picture of :mod:`avae_lib.plotting`, whose PNG joins ``pictures``; empty for others."""
    found = _PICTURE.search(output.get("data", {}).get("text/html", ""))
    if not found:
        return {}
    alt, width, png = found.groups()
    name = f"{cell_id}.png" if f"{cell_id}.png" not in pictures else f"{cell_id}-{len(pictures)}.png"
    pictures[name] = base64.b64decode(png)
    return {"picture": name, "alt": html.unescape(alt), "width": int(width)}


def _text(output: NotebookNode) -> dict[str, str]:
    """An output that is words: printed ones, or the value in the cell's last line; empty for none."""
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return {"text": text.rstrip("\n")} if text.strip() else {}
