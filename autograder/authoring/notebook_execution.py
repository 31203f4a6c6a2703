"""Runs a notebook from top to bottom and tidies its outputs."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode

__all__ = ["execute", "pictures_in", "tidy_outputs"]

_INLINE = "module://matplotlib_inline.backend_inline"
_PICTURE_TAG = "picture-"
_IMAGE = re.compile(r'<img [^>]*src="data:image/png;base64,([^"]+)"')


def execute(
    notebook: NotebookNode,
    folder: Path,
    *,
    fast: bool = False,
    allow_errors: bool = False,
    environment: Mapping[str, str] | None = None,
    cell_timeout: float = 600,
) -> float:
    """Run all cells in place, in a fresh kernel whose working directory is ``folder``; return the seconds it took.

    Args:
        notebook: the notebook to run; its outputs are replaced.
        folder: the working directory.
        fast: append to each cell the code in its ``fast`` metadata, which shortens training.
        allow_errors: continue after a cell fails; otherwise the first failure is raised.
        environment: environment variables added to those of this process.
        cell_timeout: time limit for each cell, in seconds.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed and ``allow_errors`` is false.
    """
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=cell_timeout,
        allow_errors=allow_errors,
        extra_arguments=["--log-level=ERROR"],  # ipykernel warns about its local sockets
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    started = time.perf_counter()
    with _shortened(notebook) if fast else nullcontext():
        # Pictures must be inline, whichever matplotlib backend the caller uses.
        client.execute(env={**os.environ, "MPLBACKEND": _INLINE, **(environment or {})})
    return time.perf_counter() - started


@contextmanager
def _shortened(notebook: NotebookNode) -> Iterator[None]:
    """A context in which each cell with ``fast`` in its metadata ends with that code."""
    written = {cell.id: cell.source for cell in notebook.cells}
    for cell in notebook.cells:
        if "fast" in cell.metadata:
            cell.source += f"\n{cell.metadata.fast}"
    try:
        yield
    finally:
        for cell in notebook.cells:
            cell.source = written[cell.id]


def tidy_outputs(notebook: NotebookNode) -> NotebookNode:
    """Remove output to stderr (progress bars and warnings), which means nothing to a reader of the page."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def pictures_in(notebook: NotebookNode) -> dict[str, bytes]:
    """The last picture of each code cell tagged ``picture-NAME``, by name."""
    pictures = {}
    for cell in notebook.cells:
        names = [tag.removeprefix(_PICTURE_TAG) for tag in cell.metadata.get("tags", []) if _PICTURE_TAG in tag]
        images = [image for output in cell.get("outputs", []) for image in _images(output.get("data", {}))]
        pictures.update({name: base64.b64decode(image) for name in names for image in images})
    return pictures


def _images(data: Mapping[str, str]) -> list[str]:
    """The PNG pictures of an output, in base64; the course's own figures are in the output's HTML."""
    return [data["image/png"]] if "image/png" in data else _IMAGE.findall(data.get("text/html", ""))
