"""Everything that changes while a model is trained, in one place, so that a checkpoint can hold all of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avae_lib.data import BatchSampler, ImageDataset
from avae_lib.training.moving_average import moving_average
from avae_lib.training.running_means import RunningMeans
from avae_lib.training.schedules import learning_rate_schedule
from avae_lib.training.training_config import TrainingConfig

__all__ = ["TrainingState"]

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamax": torch.optim.Adamax, "adamw": torch.optim.AdamW}


class TrainingState:
    """Weights, their average, optimiser, order of the images, noise, schedule and counters of one run.

    Building it seeds torch's global generator, which the models draw their noise from.
    """

    def __init__(self, model: nn.Module, dataset: ImageDataset, config: TrainingConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.model = model.to(device).train()
        self.averaged = moving_average(self.model, config.ema_decay).eval()
        self.optimizer = _OPTIMIZERS[config.optimizer](
            self.model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.epsilon,
            weight_decay=config.weight_decay,
        )
        self.schedule = learning_rate_schedule(self.optimizer, config, step=0)
        self.sampler = BatchSampler(dataset, config.batch_size, config.seed, device)
        self.means = RunningMeans()
        self.step = self.skipped = self.skipped_in_a_row = 0
        self.seconds = 0.0

    def is_due(self, every: int) -> bool:
        """Whether something that happens every so many updates, and after the last, happens now."""
        return self.step % every == 0 or self.step == self.config.steps

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which training continues exactly."""
        return {
            "step": self.step,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.state_dict(),
            "means": self.means.state_dict(),
            "noise": self._noise(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the training that gave ``state`` stood.

        Raises:
            RuntimeError: the state is of another model.
            ValueError: it is of another optimiser or data set.
        """
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.load_state_dict(state["sampler"])
        self.means.load_state_dict(state["means"])
        for counter in ("step", "skipped", "skipped_in_a_row", "seconds"):
            setattr(self, counter, state[counter])
        self.schedule = learning_rate_schedule(self.optimizer, self.config, self.step)
        self._restore_noise(state["noise"])

    def _noise(self) -> dict[str, torch.Tensor]:
        states = {"cpu": torch.get_rng_state()}
        return states | {"cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else states

    def _restore_noise(self, states: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.device)
