"""Which gradients are so long that an update by them is better left out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avae_lib.training.training_config import TrainingConfig

__all__ = ["GradientLimit"]

_SETTLING = 20
"""Updates that only count towards what is usual."""
_MEMORY = 100
"""Updates over which that is forgotten."""


class GradientLimit:
    r"""A fixed limit to the gradient norm g (Child, 2021), one that follows it, both, or none.

    The one that follows is ``skip_factor`` · exp(m), where m is the running mean of log g. Norms above the limit count
    as the limit itself: a single outlier moves it little, while norms that have grown for good are let through in
    time, so that it cannot fire for ever. Decided on the device; nothing waits.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self._threshold, self._factor = config.skip_threshold, config.skip_factor
        self._mean_log_norm = torch.zeros((), device=device)
        self._count = torch.zeros((), device=device)

    def admits(self, gradient_norm: Tensor) -> Tensor:
        """Whether an update by a gradient of that norm is to be taken, a scalar of booleans."""
        admitted = torch.isfinite(gradient_norm)
        if self._threshold is not None:
            admitted = admitted & (gradient_norm < self._threshold)
        return admitted & self._is_usual(gradient_norm) if self._factor is not None else admitted

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean_log_norm": self._mean_log_norm, "count": self._count}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._mean_log_norm = state["mean_log_norm"].to(self._count.device)
        self._count = state["count"].to(self._count.device)

    def _is_usual(self, gradient_norm: Tensor) -> Tensor:
        log_norm, limit = gradient_norm.log(), self._mean_log_norm + math.log(self._factor)
        is_settling = self._count < _SETTLING
        counted = torch.where(is_settling, log_norm, torch.minimum(log_norm, limit))
        rate = (1 / (1 + self._count)).clamp(min=1 / _MEMORY)
        counts = torch.isfinite(log_norm)
        self._mean_log_norm = torch.where(counts, torch.lerp(self._mean_log_norm, counted, rate), self._mean_log_norm)
        self._count = self._count + counts
        return (log_norm < limit) | is_settling
