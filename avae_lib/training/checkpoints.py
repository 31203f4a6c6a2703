"""Checkpoints: the last one and the one before, each written whole or not at all."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from avae_lib.atomic_write import move_into_place, write_atomically

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
        move_into_place(new, self.last)

    def load(self, accept: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any] | None:
        """The last checkpoint, or the previous one if that is damaged or foreign (which is said), or None without any.

        A last checkpoint that cannot be used is put aside as ``checkpoint.damaged.pt``.

        Args:
            accept: is given what was read; where it raises RuntimeError, ValueError or KeyError, the checkpoint is of
                another model or other data, and counts as foreign.

        Raises:
            CheckpointError: there are checkpoints, but none can be used.
        """
        problems = []
        for path in (self.last, self.previous):
            if path.exists():
                try:
                    return self._use(path, accept, problems)
                except CheckpointError as problem:
                    problems.append(str(problem))
        if not problems:
            return None
        raise CheckpointError(
            f"{'; '.join(problems)}. Copy a good checkpoint to {self.last}, or delete {self.last.parent} to start again"
        )

    def _use(self, path: Path, accept: Callable[[dict[str, Any]], None] | None, problems: list[str]) -> dict[str, Any]:
        state = _read(path)
        if accept is not None:
            _offer(state, path, accept)
        if problems:
            os.replace(self.last, self.last.with_name("checkpoint.damaged.pt"))
            print(f"{problems[0]}; going back to {path.name} of step {state['step']}")
        return state


def _read(path: Path) -> dict[str, Any]:
    try:
        _require_whole(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # of bytes that are no checkpoint, PyTorch's readers raise what they please
        raise CheckpointError(f"{path} is damaged or no checkpoint ({_first_sentence(problem)})") from problem
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is a PyTorch file, but no checkpoint of this program ({_FORMAT!r})")
    return state


def _require_whole(path: Path) -> None:
    """Compare the file's checksums, which PyTorch writes but doesn't read."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")


def _offer(state: dict[str, Any], path: Path, accept: Callable[[dict[str, Any]], None]) -> None:
    try:
        accept(state)
    except (RuntimeError, ValueError, KeyError) as problem:
        reason = str(problem).strip().splitlines()[-1].strip()
        raise CheckpointError(f"{path} does not fit this model or data: {reason}") from problem


def _first_sentence(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0].split(". ")[0] if lines else type(problem).__name__
