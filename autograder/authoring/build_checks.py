"""Build checks: cells that run when a notebook is built at full length, and are left out of the written notebook.

A cell tagged ``build-check`` asserts what a caption or a sentence claims, on the notebook's own variables. The digest
of all code, checks included, is stored in the notebook's metadata; comparing it with the source's digest shows whether
the source has changed since it was run.
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
    """Whether a cell runs during the build and is left out of the written notebook."""
    return cell.cell_type == "code" and _TAG in cell.metadata.get("tags", [])


def without_build_checks(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """The cells of the written notebook: all but the build checks."""
    return [cell for cell in cells if not is_build_check(cell)]


def digest_of_code(cells: Sequence[NotebookNode]) -> str:
    """A digest of the text of all code cells, build checks included."""
    code = [(is_build_check(cell), cell.source) for cell in cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16]
