"""Learning rate and weight of the KL as functions of the step, so that resuming has nothing to remember."""

from __future__ import annotations

import functools
import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from avae_lib.training.training_config import TrainingConfig

__all__ = ["beta_at", "learning_rate_factor", "learning_rate_schedule", "penalty_weight_at"]


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    r"""Fraction of the peak learning rate in the update after ``step`` finished ones.

    .. math:: \min\Bigl(1, \frac{t}{w}\Bigr) \quad\text{for } t \le w, \qquad
              f + (1 - f)\,\tfrac12(1 + \cos \pi p_t) \quad\text{after},

    with :math:`t = \text{step} + 1`, warm-up :math:`w`, final fraction :math:`f` and :math:`p_t` the share of the
    present cosine that lies behind. There is a single one until the end of the run (``"cosine"``); or, as often as it
    takes, another one twice as long as the one before (``"cosine_restarts"``); or none, :math:`p_t = 0`
    (``"constant"``). A run that is continued with more steps has from there on the rates of a run of that length.
    """
    number = step + 1
    if number <= config.warmup_steps:
        return number / config.warmup_steps
    final = config.final_learning_rate
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * _progress(number - config.warmup_steps, config)))


def _progress(since_warmup: int, config: TrainingConfig) -> float:
    """How much of the present cosine lies behind, from 0 to 1."""
    if config.schedule == "constant":
        return 0.0
    if config.schedule == "cosine":
        return min(1.0, since_warmup / max(1, config.steps - config.warmup_steps))
    position, period = since_warmup, config.restart_period_steps
    while position >= period:
        position, period = position - period, 2 * period
    return position / period


def learning_rate_schedule(optimizer: Optimizer, config: TrainingConfig, step: int) -> LambdaLR:
    """The schedule of :func:`learning_rate_factor`, standing after ``step`` finished updates."""
    return LambdaLR(optimizer, functools.partial(learning_rate_factor, config=config), last_epoch=step - 1)


def beta_at(step: int, config: TrainingConfig) -> float:
    """Weight of the KL in the update after ``step`` finished ones: linear warm-up, then constant."""
    risen = min(1.0, (step + 1) / max(1, config.beta_warmup_steps))
    return config.beta_start + (config.beta - config.beta_start) * risen


def penalty_weight_at(step: int, config: TrainingConfig) -> float:
    """Share of their full weight that a model's penalties have in the update after ``step`` finished ones.

    They rise with the KL. A penalty that changes the weight of the KL, as in the beta-VAE and the InfoVAE, then
    changes it by the same factor all through the warm-up.
    """
    return beta_at(step, config) / config.beta if config.beta > 0 else 1.0
