"""The optimizer; learning rate and KL weight as functions of the step, so that resuming restores no schedule."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from avae_lib.errors import InvalidInput
from avae_lib.training.skippable_adamax import SkippableAdamax
from avae_lib.training.training_config import TrainingConfig

__all__ = [
    "kl_weight_at",
    "learning_rate_factor",
    "learning_rate_schedule",
    "load_optimizer",
    "make_optimizer",
    "optimizer_tensors",
    "penalty_weight_at",
    "step_unless_skipped",
]


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    r"""Fraction of the peak learning rate in the update after ``step`` finished ones.

    .. math:: \min\Bigl(1, \frac{t}{w}\Bigr) \quad\text{for } t \le w, \qquad
              f + (1 - f)\,\tfrac12(1 + \cos \pi p_t) \quad\text{after},

    with :math:`t = \text{step} + 1`, the warm-up of :math:`w` updates, the final fraction :math:`f`, and :math:`p_t`
    the completed share of the current cosine. The schedule ``"cosine"`` has one cosine, which ends with the run.
    ``"cosine_restarts"`` has cosine after cosine, each twice as long as the one before. ``"constant"`` has none:
    :math:`p_t = 0`. A run that is continued with more steps follows, from there on, the schedule of the longer run.

    >>> from avae_lib.training.training_config import LearningRateConfig
    >>> config = TrainingConfig(steps=1000, learning_rate=LearningRateConfig(warmup_steps=100, final_fraction=0.1))
    >>> [round(learning_rate_factor(step, config), 3) for step in (0, 49, 99, 549, 999)]
    [0.01, 0.5, 1.0, 0.55, 0.1]
    """
    update, rate = step + 1, config.learning_rate
    if update <= rate.warmup_steps:
        return update / rate.warmup_steps
    cosine = 0.5 * (1 + math.cos(math.pi * _share_of_cosine(update - rate.warmup_steps, config)))
    return rate.final_fraction + (1 - rate.final_fraction) * cosine


def _share_of_cosine(since_warmup: int, config: TrainingConfig) -> float:
    """Completed share of the current cosine, from 0 to 1."""
    rate = config.learning_rate
    if rate.schedule == "constant":
        return 0.0
    if rate.schedule == "cosine":
        return min(1.0, since_warmup / max(1, config.steps - rate.warmup_steps))
    position, period = since_warmup, rate.first_period_steps
    while position >= period:
        position, period = position - period, 2 * period
    return position / period


def learning_rate_schedule(optimizer: Optimizer, config: TrainingConfig, step: int) -> LambdaLR:
    """PyTorch's scheduler that follows :func:`learning_rate_factor`, set to the position after ``step`` updates.

    >>> from avae_lib.training.training_config import LearningRateConfig
    >>> config = TrainingConfig(learning_rate=LearningRateConfig(peak=0.1, warmup_steps=10))
    >>> optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], config)
    >>> learning_rate_schedule(optimizer, config, step=0).get_last_lr()
    [0.01]
    """
    return LambdaLR(optimizer, functools.partial(learning_rate_factor, config=config), last_epoch=step - 1)


def kl_weight_at(step: int, config: TrainingConfig) -> float:
    """Weight of the KL (beta) in the update after ``step`` finished ones: linear warm-up, then constant.

    >>> from avae_lib.training.training_config import KLWeightConfig
    >>> config = TrainingConfig(kl_weight=KLWeightConfig(start=0.2, warmup_steps=4))
    >>> [round(kl_weight_at(step, config), 3) for step in range(6)]
    [0.4, 0.6, 0.8, 1.0, 1.0, 1.0]
    """
    weight = config.kl_weight
    share = min(1.0, (step + 1) / max(1, weight.warmup_steps))
    return weight.start + (weight.final - weight.start) * share


def penalty_weight_at(step: int, config: TrainingConfig) -> float:
    """Factor on a model's own penalties in the update after ``step`` finished ones: KL weight over final KL weight.

    The penalties rise with the KL. A penalty that changes the weight of the KL, as in the beta-VAE and the InfoVAE,
    then changes it by the same factor throughout the warm-up.

    >>> from avae_lib.training.training_config import KLWeightConfig
    >>> penalty_weight_at(1, TrainingConfig(kl_weight=KLWeightConfig(final=2.0, warmup_steps=4)))
    0.5
    """
    return kl_weight_at(step, config) / config.kl_weight.final if config.kl_weight.final > 0 else 1.0


def make_optimizer(parameters: Sequence[nn.Parameter], config: TrainingConfig) -> Optimizer:
    """The optimizer that ``config`` names, with all of its state in place before the first step.

    >>> make_optimizer([nn.Parameter(torch.zeros(2))], TrainingConfig()).defaults["betas"]
    (0.9, 0.999)
    """
    settings = config.optimizer
    options = {"lr": config.learning_rate.peak, "betas": settings.betas, "eps": settings.epsilon}
    if settings.kind == "adamax":
        optimizer = SkippableAdamax(parameters, **options, capturable=_counts_on_device(parameters), foreach=True)
    else:
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.kind]
        optimizer = kind(parameters, **options, weight_decay=settings.weight_decay, fused=True)
    _create_state(optimizer, parameters)
    return optimizer


def step_unless_skipped(optimizer: Optimizer, skipped: Bool[Tensor, ""]) -> None:
    """Take the step of an optimizer that :func:`make_optimizer` made, unless ``skipped`` is true.

    A skipped step changes no weight, no moment and no count, even if the gradient is not finite. ``skipped`` is a
    boolean scalar on the device of the weights; the host never reads it.

    >>> weight = nn.Parameter(torch.ones(1))
    >>> optimizer = make_optimizer([weight], TrainingConfig())
    >>> weight.grad = torch.tensor([math.nan])
    >>> step_unless_skipped(optimizer, skipped=torch.tensor(True))
    >>> weight.item()
    1.0
    """
    stepping: Any = optimizer
    stepping.found_inf = skipped.float()  # the name is PyTorch's: its fused optimizers do nothing where this is 1
    optimizer.step()
    stepping.found_inf = None


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Continue where the optimiser that gave ``state`` stood, on whatever device that was.

    Raises:
        ValueError: the state is of other parameters, or holds something else than their moments.

    >>> weights = [nn.Parameter(torch.zeros(2))]
    >>> before, after = make_optimizer(weights, TrainingConfig()), make_optimizer(weights, TrainingConfig())
    >>> weights[0].grad = torch.ones(2)
    >>> before.step()
    >>> load_optimizer(after, before.state_dict())
    >>> after.state[weights[0]]["exp_avg"]
    tensor([0.1000, 0.1000])
    """
    # Which implementation computes the step depends on the device, and may have been another one.
    names = {"capturable", "foreach", "fused"} & optimizer.defaults.keys()
    implementation = {name: optimizer.defaults[name] for name in names}
    groups = [{**group, **implementation} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for parameter, moments in optimizer.state.items():
        _require_moments(parameter, moments)


def _require_moments(parameter: Tensor, moments: Mapping[str, Any]) -> None:
    """Refuse what PyTorch would only stumble over in the next step."""
    for name, moment in moments.items():
        is_count = name == "step" and isinstance(moment, int | float | Tensor)
        if not is_count and not (isinstance(moment, Tensor) and moment.shape == parameter.shape):
            raise InvalidInput(f"{name} of the optimizer is not a moment of a parameter {tuple(parameter.shape)}")


def optimizer_tensors(optimizer: Optimizer) -> list[Tensor]:
    """Moments and counts, all that a step changes beside the weights.

    >>> adam = make_optimizer([nn.Parameter(torch.zeros(2, 3))], TrainingConfig())
    >>> [tuple(tensor.shape) for tensor in optimizer_tensors(adam)]  # the step count and two moments
    [(), (2, 3), (2, 3)]
    """
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
    for state in optimizer.state.values():
        if "exp_inf" in state:  # of Adamax; the first step gives the same as from 0
            state["exp_inf"].fill_(optimizer.defaults["eps"])
    optimizer.zero_grad()
