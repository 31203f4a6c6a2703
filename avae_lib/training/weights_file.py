"""``weights.safetensors``: the averaged weights, in a format that any framework can read."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from avae_lib.training.atomic_files import write_atomically

__all__ = ["WeightsError", "has_weights", "load_weights", "save_weights"]

_NAME = "weights.safetensors"


class WeightsError(RuntimeError):
    """Weights that are not there, or do not fit; the message says what to do."""


def save_weights(model: nn.Module, step: int, run_dir: Path) -> None:
    """Write a model's weights and, as metadata, the number of updates it has had."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = safetensors.torch.save(tensors, metadata={"step": str(step)})
    write_atomically(run_dir / _NAME, lambda file: file.write(content))


def has_weights(run_dir: Path) -> bool:
    """Whether the run folder holds weights."""
    return (run_dir / _NAME).exists()


def load_weights(model: nn.Module, run_dir: Path) -> nn.Module:
    """Give a model the weights in the run folder.

    Raises:
        WeightsError: there are none, the file is damaged, or it belongs to another model.
    """
    path = run_dir / _NAME
    if not path.is_file():
        raise WeightsError(f"{run_dir} holds no {_NAME} yet: train it first (it appears with the first checkpoint)")
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, RuntimeError, OSError) as problem:
        reason = str(problem).strip().splitlines()[-1].strip()
        raise WeightsError(f"{path} is damaged or of another model ({reason}); training again rewrites it") from problem
    return model
