"""Distinguishes cells of an earlier release of a notebook from cells that a student has changed.

nbgrader writes a checksum of each released cell's source, role and points into its label. A cell that agrees with its
own checksum is as some release wrote it, the current or an earlier one. A forged checksum gains nothing, because points
and sources come from the current release in any case.
"""

from __future__ import annotations

import hashlib

from autograder.intake.notebook_cells import Cell

__all__ = ["is_as_released"]


def is_as_released(copy: Cell, ours: Cell) -> bool:
    """Whether a student's copy of one of our cells, points included, is as some release wrote it.

    The source of an answer is the student's, so its checksum is computed with the stub of the current release.
    """
    stub = ours.source if ours.is_answer else copy.source
    return copy.label.get("checksum") == _checksum(copy, stub)


def _checksum(cell: Cell, source: str) -> str:
    """nbgrader's checksum of a cell (``nbgrader.utils.compute_checksum``), without loading nbgrader."""
    is_locked = not cell.is_answer and (cell.is_graded or bool(cell.label.get("locked", False)))
    parts = [source, cell.kind, str(cell.is_graded), str(cell.is_answer), str(is_locked), cell.grade_id]
    if cell.is_graded:
        parts.append(str(float(cell.points)))
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()
