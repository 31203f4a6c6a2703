"""Learning rate and weight of the KL as functions of the step, so that resuming has nothing to remember."""

from __future__ import annotations

import functools
import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from avae_lib.training.training_config import TrainingConfig

__all__ = ["beta_at", "learning_rate_factor", "learning_rate_schedule"]


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    r"""Fraction of the peak learning rate in the update after ``step`` finished ones.

    .. math:: \min\Bigl(1, \frac{t}{w}\Bigr) \quad\text{for } t \le w, \qquad
              f + (1 - f)\,\tfrac12\Bigl(1 + \cos \pi \frac{t - w}{T - w}\Bigr) \quad\text{after},

    with :math:`t = \text{step} + 1`, warm-up :math:`w`, all steps :math:`T` and final fraction :math:`f`. A run
    that is continued with a larger :math:`T` has from there on the rates of a run of that length.
    """
    number = step + 1
    if number <= config.warmup_steps:
        return number / config.warmup_steps
    progress = min(1.0, (number - config.warmup_steps) / max(1, config.steps - config.warmup_steps))
    final = config.final_learning_rate
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def learning_rate_schedule(optimizer: Optimizer, config: TrainingConfig, step: int) -> LambdaLR:
    """The schedule of :func:`learning_rate_factor`, standing after ``step`` finished updates."""
    return LambdaLR(optimizer, functools.partial(learning_rate_factor, config=config), last_epoch=step - 1)


def beta_at(step: int, config: TrainingConfig) -> float:
    """Weight of the KL in the update after ``step`` finished ones: linear warm-up, then constant."""
    return config.beta * min(1.0, (step + 1) / max(1, config.beta_warmup_steps))
