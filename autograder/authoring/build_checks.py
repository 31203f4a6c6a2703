"""Checks that belong to the making of a notebook: run when it is built at full length, and left out of what is written.

A cell tagged ``build-check`` holds what a caption or a sentence claims, as asserts on the notebook's own variables.
The digest of all code, checks included, is written into the notebook's metadata: by it one can tell whether what the
source says was run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from nbformat import NotebookNode

__all__ = ["RECORD", "digest_of_code", "is_build_check", "without_build_checks"]

RECORD = "built_from_code"
"""The key of the digest in a notebook's metadata."""

_TAG = "build-check"


def is_build_check(cell: NotebookNode) -> bool:
    """Whether a cell is run when the notebook is built and not part of what is written."""
    return cell.cell_type == "code" and _TAG in cell.metadata.get("tags", [])


def without_build_checks(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """The cells that people open."""
    return [cell for cell in cells if not is_build_check(cell)]


def digest_of_code(cells: Sequence[NotebookNode]) -> str:
    """A digest that changes with any code cell's text, build checks included, and with nothing else."""
    code = [(is_build_check(cell), cell.source) for cell in cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]
