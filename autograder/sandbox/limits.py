"""The limits on time, memory and output at which a student's code is stopped."""

from __future__ import annotations

from dataclasses import dataclass

from autograder.sandbox.inside.frames import MAX_FRAME

__all__ = ["DEFAULT_LIMITS", "Limits"]

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits on one sandbox, except ``total_seconds``, which all sandboxes of one submission share."""

    start_seconds: float = 60.0
    """Time until the sandbox is ready; importing torch takes about two seconds."""
    cell_seconds: float = 20.0
    """Time for one cell of the notebook. Here and below, waiting for a busy processor does not count."""
    ask_seconds: float = 10.0
    """Time for one call of a student's function."""
    total_seconds: float = 300.0
    """Wall time for everything that is run for one submission, waiting included."""
    cpu_seconds: int = 240
    """Processor time of each process."""
    memory_bytes: int = 2048 * _MEBIBYTE
    """Memory of all processes together, and growth of each one's address space after the start."""
    processes: int = 64
    """Processes and threads together."""
    open_files: int = 256
    file_bytes: int = 32 * _MEBIBYTE
    """Size of any one file."""
    scratch_bytes: int = 64 * _MEBIBYTE
    """Size of each writable folder: home, ``/tmp`` and shared memory."""
    output_bytes: int = 64 * 1024
    """Printed bytes that are kept; the rest is discarded."""
    frame_bytes: int = MAX_FRAME
    """Size of one message to or from the sandbox."""


DEFAULT_LIMITS = Limits()
