"""Checkpoints: the last one and the one before, each written whole or not at all."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from avae_lib.training.atomic_files import write_atomically

__all__ = ["CheckpointError", "Checkpoints"]

_FORMAT = "avae checkpoint 1"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message says what to do."""


class Checkpoints:
    """The two checkpoints of a run folder: ``checkpoint.pt`` and, in case it gets damaged, ``checkpoint.previous.pt``.

    They hold tensors and plain values only, and reading them executes nothing.
    """

    def __init__(self, run_dir: Path) -> None:
        self.last = run_dir / "checkpoint.pt"
        self.previous = run_dir / "checkpoint.previous.pt"

    @property
    def exist(self) -> bool:
        """Whether the run has been saved before."""
        return self.last.exists() or self.previous.exists()

    def save(self, state: dict[str, Any]) -> None:
        """Write ``state`` as the last checkpoint; what was the last becomes the previous."""
        new = self.last.with_name("checkpoint.new.pt")
        write_atomically(new, lambda file: torch.save({"format": _FORMAT, **state}, file))
        if self.last.exists():
            os.replace(self.last, self.previous)
        os.replace(new, self.last)

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or the previous one if that is damaged (which is said), or None if there is none.

        A damaged last checkpoint is put aside as ``checkpoint.damaged.pt``.

        Raises:
            CheckpointError: there are checkpoints, but none can be read.
        """
        problems = []
        for path in (self.last, self.previous):
            if path.exists():
                try:
                    return self._use(path, problems)
                except CheckpointError as problem:
                    problems.append(str(problem))
        if not problems:
            return None
        raise CheckpointError(
            f"{'; '.join(problems)}. Copy a good checkpoint to {self.last}, or delete {self.last.parent} to start again"
        )

    def _use(self, path: Path, problems: list[str]) -> dict[str, Any]:
        state = _read(path)
        if problems:
            os.replace(self.last, self.last.with_name("checkpoint.damaged.pt"))
            print(f"{problems[0]}; going back to {path.name} of step {state['step']}")
        return state


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as problem:
        raise CheckpointError(f"{path} is damaged or no checkpoint ({_first_sentence(problem)})") from problem
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is a PyTorch file, but no checkpoint of this program ({_FORMAT!r})")
    return state


def _first_sentence(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0].split(". ")[0] if lines else type(problem).__name__
