"""Running a notebook from top to bottom, and making its outputs fit to be kept."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode

__all__ = ["execute", "pictures_in", "tidy_outputs"]

_INLINE = "module://matplotlib_inline.backend_inline"
_PICTURE_TAG = "picture-"


def execute(
    notebook: NotebookNode,
    folder: Path,
    *,
    fast: bool = False,
    allow_errors: bool = False,
    environment: Mapping[str, str] | None = None,
    cell_timeout: float = 600,
) -> float:
    """Run all cells in place, in a fresh kernel whose working directory is ``folder``; returns the seconds it took.

    Args:
        notebook: what to run; its outputs are replaced.
        folder: the working directory.
        fast: set ``AVAE_FAST``, by which notebooks shorten their training.
        allow_errors: go on after a cell that fails; otherwise the first failure is raised.
        environment: variables added to those of this process.
        cell_timeout: seconds that one cell may take.

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
    client.execute(env={**_kernel_environment(fast), **(environment or {})})
    return time.perf_counter() - started


def _kernel_environment(fast: bool) -> dict[str, str]:
    """This process's variables, with pictures inline whatever back end the caller draws with."""
    inherited = {name: value for name, value in os.environ.items() if name != "AVAE_FAST"}
    return {**inherited, "MPLBACKEND": _INLINE, **({"AVAE_FAST": "1"} if fast else {})}


def tidy_outputs(notebook: NotebookNode) -> NotebookNode:
    """Drop what says nothing to someone who reads the page: progress bars and warnings, which go to stderr."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def pictures_in(notebook: NotebookNode) -> dict[str, bytes]:
    """The last PNG of each code cell tagged ``picture-NAME``, by name."""
    pictures = {}
    for cell in notebook.cells:
        names = [tag.removeprefix(_PICTURE_TAG) for tag in cell.metadata.get("tags", []) if _PICTURE_TAG in tag]
        images = [
            output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
        ]
        pictures.update({name: base64.b64decode(image) for name in names for image in images})
    return pictures
