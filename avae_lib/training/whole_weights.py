"""The weights that one process updates: all of them, unless they are sharded (:mod:`avae_lib.training.sharding`)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

__all__ = ["WholeWeights"]


class WholeWeights:
    """The weights that a process updates, if it updates all of them.

    >>> import torch
    >>> model = nn.Linear(1, 1)
    >>> weights = WholeWeights(model)
    >>> model(torch.full((1, 1), 3.0)).sum().backward()
    >>> weights.clip_gradients(clip_norm=1.0).square()  # 3² of the weight and 1² of the bias
    tensor(10.)
    """

    def __init__(self, model: nn.Module) -> None:
        self.tensors = list(model.parameters())

    def clip_gradients(self, clip_norm: float) -> Tensor:
        """Scale the gradients down to this norm; returns the norm before that, a scalar on the device."""
        return clip_grad_norm_(self.tensors, clip_norm, foreach=True)

    def state_of(self, model: nn.Module) -> dict[str, Any]:
        """The state of the model, with whole weights."""
        return model.state_dict()

    def state_of_optimizer(self, optimizer: Optimizer) -> dict[str, Any]:
        """The state of an optimizer of ``tensors``, with whole moments."""
        return optimizer.state_dict()

    def load_model(self, model: nn.Module, state: dict[str, Any]) -> None:
        """Give the model the state that :meth:`state_of` returned."""
        model.load_state_dict(state)

    def own_state_of_optimizer(self, state: dict[str, Any]) -> dict[str, Any]:
        """What this process needs of a state that :meth:`state_of_optimizer` returned."""
        return state
