"""The best plain PyTorch loop for the arithmetic of an update, to measure what the library adds to it.

The same model and loss, autocast, fused optimizer, clipping and moving average; no skipping, no metrics, no schedules.
"""

from __future__ import annotations

import torch
from torch.nn.utils import clip_grad_norm_

from avae_lib.models.contract import label_arguments
from avae_lib.objectives import negative_elbo
from avae_lib.training.training_state import TrainingState

__all__ = ["PlainLoop"]


class PlainLoop:
    """One update of the plain loop at each call.

    Args:
        state: gives model, data and settings; its own optimizer and average are not used.
        compiled: whether the forward and backward pass run through ``torch.compile``.
    """

    def __init__(self, state: TrainingState, compiled: bool = False) -> None:
        config = state.config
        self._state = state
        self._forward = torch.compile(state.model, dynamic=False) if compiled else state.model
        self._parameters = list(state.model.parameters())
        self._averages = [parameter.detach().clone() for parameter in self._parameters]
        self._optimizer = _optimizer(self._parameters, state)
        self._clip_norm, self._decay = config.optimizer.clip_norm, config.optimizer.ema_decay
        self._bfloat16 = config.precision == "bfloat16"
        self._images, self._labels = state.sampler._examples.to(state.device), state.sampler._labels

    def __call__(self) -> None:
        chosen = torch.randint(len(self._images), (self._state.config.batch_size,), device=self._state.device)
        labels = label_arguments(self._state.model, None if self._labels is None else self._labels[chosen])
        self._optimizer.zero_grad()
        with torch.autocast(self._state.device.type, torch.bfloat16, enabled=self._bfloat16):
            elbo = self._forward(self._images[chosen], **labels)
        loss = negative_elbo(elbo.log_likelihood, elbo.kl)
        for penalty in elbo.penalties.values():
            loss = loss + penalty.mean()
        loss.backward()
        clip_grad_norm_(self._parameters, self._clip_norm, foreach=True)
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, self._parameters, 1 - self._decay)


def _optimizer(parameters: list[torch.nn.Parameter], state: TrainingState) -> torch.optim.Optimizer:
    settings = state.config.optimizer
    shared = {"lr": state.config.learning_rate.peak, "betas": settings.betas, "eps": settings.epsilon}
    if settings.kind == "adamax":
        return torch.optim.Adamax(parameters, **shared, foreach=True)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.kind]
    return kind(parameters, **shared, weight_decay=settings.weight_decay, fused=True)
