"""Which gradients are so long that an update by them is better left out."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avae_lib.components import component, is_available
from avae_lib.training.training_config import TrainingConfig

__all__ = ["GradientLimit", "should_skip_update"]

_SETTLING = 20
"""Updates that only count towards what is usual."""
_MEMORY = 100
"""Updates over which that is forgotten."""


@component(unit="05_hierarchical_vae")
def should_skip_update(
    loss: Float[Tensor, ""], gradient_norm: Float[Tensor, ""], threshold: Float[Tensor, ""] | float | None
) -> Bool[Tensor, ""]:
    """Whether an update is better left out: its gradient is too long, or something is not finite.

    A very deep VAE meets a few batches whose gradient is far longer than usual. Leaving them out keeps a run alive
    that would diverge otherwise (Child, 2021).

    Args:
        loss: the loss, a scalar.
        gradient_norm: norm of its gradient over all parameters, a scalar.
        threshold: a norm of this size or above is too long; 0.0 lets none pass. A number, a scalar tensor, or None
            for no threshold.

    Returns:
        A scalar of booleans on the device of the loss, never read by the host: true where the norm is not below the
        threshold, or where loss or norm is NaN or infinite.

    >>> loss, norm = torch.tensor(3.5), torch.tensor(200.0)
    >>> [should_skip_update(loss, norm, threshold).item() for threshold in (200.0, 201.0, None)]
    [True, False, False]
    """
    taken = torch.isfinite(loss) & torch.isfinite(gradient_norm)
    if threshold is not None:
        taken = taken & (gradient_norm < threshold)
    return ~taken


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

    def skips(self, loss: Float[Tensor, ""], gradient_norm: Float[Tensor, ""]) -> Bool[Tensor, ""]:
        """Whether an update is to be skipped, by :func:`should_skip_update` once that is written."""
        threshold = self._threshold if self._factor is None else self._following_threshold()
        decide = should_skip_update if is_available("should_skip_update") else _leaves_no_margin
        skipped = torch.as_tensor(decide(loss, gradient_norm, threshold), device=gradient_norm.device)
        if self._factor is not None:
            self._count_towards_usual(gradient_norm)
        return skipped

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean_log_norm": self._mean_log_norm, "count": self._count}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._mean_log_norm = state["mean_log_norm"].to(self._count.device)
        self._count = state["count"].to(self._count.device)

    def _following_threshold(self) -> Float[Tensor, ""]:
        """The lower one of both limits; that of the usual norm counts once it has settled."""
        usual = torch.where(self._count < _SETTLING, math.inf, self._factor * self._mean_log_norm.exp())
        return usual if self._threshold is None else usual.clamp(max=self._threshold)

    def _count_towards_usual(self, gradient_norm: Tensor) -> None:
        log_norm, limit = gradient_norm.log(), self._mean_log_norm + math.log(self._factor)
        counted = torch.where(self._count < _SETTLING, log_norm, torch.minimum(log_norm, limit))
        rate = (1 / (1 + self._count)).clamp(min=1 / _MEMORY)
        counts = torch.isfinite(log_norm)
        self._mean_log_norm = torch.where(counts, torch.lerp(self._mean_log_norm, counted, rate), self._mean_log_norm)
        self._count = self._count + counts


def _leaves_no_margin(loss: Tensor, gradient_norm: Tensor, threshold: Tensor | float | None) -> Tensor:
    """Decides like :func:`should_skip_update`, for training while that is still to be written.

    What is not finite makes the margin NaN or −∞, which is not positive either.
    """
    margin = (math.inf if threshold is None else threshold) - gradient_norm + 0 * loss
    return ~(margin > 0)
