"""The moving average of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["moving_average"]


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    r"""An exponential moving average of a model's weights that follows closely at first.

    .. math:: \bar\theta \leftarrow d_n \bar\theta + (1 - d_n)\,\theta, \qquad
              d_n = \min\Bigl(\text{decay}, \frac{1 + n}{10 + n}\Bigr)

    after :math:`n` updates: with a constant decay a short run would be judged by the weights it started from.
    Call ``update_parameters(model)`` after every update; the averaged model is ``.module``.
    """

    @torch.no_grad()
    def move(averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor) -> None:
        step_length = 1 - ((1 + count) / (10 + count)).clamp(max=decay)
        differences = torch._foreach_sub(weights, averages)
        torch._foreach_mul_(differences, step_length)
        torch._foreach_add_(averages, differences)

    return AveragedModel(model, multi_avg_fn=move)
