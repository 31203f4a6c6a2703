"""One process at a time in a run folder: two would write over each other's checkpoints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the folder is not guarded
    fcntl = None

__all__ = ["RunInUse", "run_lock"]


class RunInUse(RuntimeError):
    """Another process is training in the run folder."""


@contextlib.contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Hold the folder for the length of the block; however the process ends, the system lets go of it.

    Raises:
        RunInUse: another process holds it.
    """
    with (run_dir / ".lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as problem:
                raise RunInUse(
                    f"another process is training in {run_dir}: wait for it, or choose another folder"
                ) from problem
            except OSError:
                pass  # some file systems, such as a mounted Google Drive, have no locks: the folder is not guarded
        yield
