"""The optimizer; learning rate and KL weight as functions of the step, so that resuming restores no schedule."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from avae_lib.training.training_config import TrainingConfig

__all__ = [
    "beta_at",
    "learning_rate_factor",
    "learning_rate_schedule",
    "load_optimizer",
    "make_optimizer",
    "optimizer_tensors",
    "penalty_weight_at",
]


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


_KINDS = {"adam": torch.optim.Adam, "adamax": torch.optim.Adamax, "adamw": torch.optim.AdamW}


def make_optimizer(parameters: Sequence[nn.Parameter], config: TrainingConfig) -> Optimizer:
    """The optimiser that ``config`` names, all of whose state is there before its first step."""
    optimizer = _KINDS[config.optimizer](
        parameters,
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        capturable=_counts_on_device(parameters),
        foreach=True,  # PyTorch's default on a GPU; on a CPU it saves a third of the time where parameters are many
    )
    _create_state(optimizer, parameters)
    return optimizer


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Continue where the optimiser that gave ``state`` stood, on whatever device that was.

    Raises:
        ValueError: the state is of other parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    groups = [{**group, "capturable": _counts_on_device(parameters)} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})


def optimizer_tensors(optimizer: Optimizer) -> list[Tensor]:
    """Moments and counts, all that a step changes beside the weights."""
    return [value for state in optimizer.state.values() for value in state.values()]


def _counts_on_device(parameters: Sequence[nn.Parameter]) -> bool:
    # What PyTorch calls capturable: a count of steps on the host could not be taken back without asking the device.
    return parameters[0].device.type != "cpu"


@torch.no_grad()
def _create_state(optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> None:
    """PyTorch creates it in the first step: take one, and put everything back to zero."""
    before = [parameter.clone() for parameter in parameters]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch._foreach_copy_(list(parameters), before)
    torch._foreach_zero_(optimizer_tensors(optimizer))
    optimizer.zero_grad()
