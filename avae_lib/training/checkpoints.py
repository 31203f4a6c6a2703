"""What a run saves: checkpoints to resume from, and the averaged weights: the latest, the best, and milestones.

Every file is written whole or not at all, and reading one executes nothing.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from avae_lib.atomic_write import move_into_place, write_atomically
from avae_lib.errors import UserError
from avae_lib.training.training_state import TrainingState

__all__ = [
    "BEST",
    "LATEST",
    "BestWeights",
    "CheckpointError",
    "Checkpoints",
    "WeightsError",
    "has_weights",
    "load_weights",
    "milestone_file",
    "save_milestone",
    "save_weights",
    "step_of_weights",
]


_FORMAT = "avae checkpoint 1"


class CheckpointError(UserError, RuntimeError):
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


LATEST = "weights.safetensors"
"""The file in a run folder that holds the weights after the last update."""


class WeightsError(UserError, RuntimeError):
    """Weights that are not there, or do not fit; the message says what to do."""


def save_weights(model: nn.Module, step: int, run_dir: Path, name: str = LATEST) -> None:
    """Write a model's weights into a file of the run folder, with the number of updates it has had as metadata."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    content = safetensors.torch.save(tensors, metadata={"step": str(step)})
    path = run_dir / name
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content)


def has_weights(run_dir: Path) -> bool:
    """Whether the run folder holds weights."""
    return (run_dir / LATEST).exists()


def step_of_weights(path: Path) -> int | None:
    """The number of updates that the weights in a file have had; None if there is no such file, or it is damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return int(file.metadata()["step"])
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def load_weights(model: nn.Module, run_dir: Path, name: str = LATEST) -> nn.Module:
    """Give a model the weights in a file of the run folder.

    Raises:
        WeightsError: there are none, the file is damaged, or it belongs to another model.
    """
    path = run_dir / name
    if not path.is_file():
        there = sorted(str(file.relative_to(run_dir)) for file in run_dir.rglob("*.safetensors"))
        instead = (
            f"it holds {', '.join(there)}" if there else "train it first (weights appear with the first checkpoint)"
        )
        raise WeightsError(f"{run_dir} holds no {name} yet: {instead}")
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, RuntimeError, OSError) as problem:
        reason = str(problem).strip().splitlines()[-1].strip()
        raise WeightsError(f"{path} is damaged or of another model ({reason}); training again rewrites it") from problem
    return model


BEST = "best.safetensors"
"""The file in a run folder that holds the averaged weights that did best on validation images."""


def milestone_file(step: int) -> str:
    """Where in a run folder the averaged weights of a milestone are kept.

    >>> milestone_file(500)
    'milestones/000500.safetensors'
    """
    return f"milestones/{step:06d}.safetensors"


def save_milestone(state: TrainingState, run_dir: Path) -> None:
    """Keep the averaged weights of this step if it is one of ``training.logging.milestones``."""
    if state.step in state.config.logging.milestones:
        save_weights(state.averaged.module, state.step, run_dir, milestone_file(state.step))


class BestWeights:
    """Keeps the averaged weights with the lowest −ELBO on validation images, and their step, in ``best.safetensors``.

    The −ELBO also where penalties are trained on, since it means the same for all models and all sizes of batches; for
    a model that defines no density, the training objective.

    A run that goes on from a checkpoint may find weights of a later step there. Their row of metrics is gone then, so
    the next evaluation replaces them: the file never holds weights of an update that the run has not had for long.

    Args:
        state: where training stands.
        rows: rows of metrics up to this step.
        run_dir: folder of the run.
    """

    def __init__(self, state: TrainingState, rows: Iterable[Mapping[str, Any]], run_dir: Path) -> None:
        self._state, self._run_dir = state, run_dir
        kept = step_of_weights(run_dir / BEST)
        found = [_value(row) for row in rows if row.get("split") == "valid" and row["step"] == kept]
        self._lowest = found[0] if found else math.inf

    def offer(self, row: Mapping[str, Any]) -> None:
        """Keep the present weights if their row of metrics on validation images is the best so far."""
        if _value(row) < self._lowest:
            self._lowest = _value(row)
            save_weights(self._state.averaged.module, self._state.step, self._run_dir, BEST)


def _value(row: Mapping[str, Any]) -> float:
    """What is to be as low as possible, in nats."""
    return row["negative_elbo"] if "negative_elbo" in row else row["objective"]
