"""An experiment: data, model and training, each by its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from avae_lib.data import DataConfig
from avae_lib.training.training_config import TrainingConfig

__all__ = ["Experiment", "ModelConfig"]


class ModelConfig(Protocol):
    """A frozen dataclass that builds a model."""

    def build(self) -> nn.Module:
        """A model with fresh weights."""
        ...


@dataclass(frozen=True)
class Experiment:
    """All that has to be known to train a model."""

    name: str
    """Name of the preset that it started from."""
    source: str
    """Where its numbers come from."""
    data: DataConfig
    """The images."""
    model: ModelConfig
    """The model."""
    training: TrainingConfig
    """How it is trained."""

    def build_model(self) -> nn.Module:
        """The model with the initial weights that ``training.seed`` decides."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(self.training.seed)
            return self.model.build()
