"""Averaged weights as ``.safetensors``, a format that any framework can read."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from avae_lib.atomic_write import write_atomically

__all__ = ["LATEST", "WeightsError", "has_weights", "load_weights", "save_weights", "step_of_weights"]

LATEST = "weights.safetensors"
"""The file in a run folder that holds the weights after the last update."""


class WeightsError(RuntimeError):
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
