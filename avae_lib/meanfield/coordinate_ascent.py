"""Mean field run until it stands still, on any Ising model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["MeanField", "fit_mean_field"]


class MeanFieldModel(Protocol):
    """What coordinate ascent asks of a model: :class:`IsingModel` and :class:`LatticeIsing` answer."""

    field: Tensor

    def elbo(self, means: Tensor) -> Tensor: ...
    def mean_field_sweep(self, means: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class MeanField:
    """Where coordinate ascent ended, and how it got there."""

    means: Tensor
    """E_q[s_i], shaped like the field."""
    elbo: Tensor
    """The bound on log Z before the first sweep and after each, ``(sweeps + 1, *batch)``, nats; it never falls."""
    converged: bool
    """Whether the last sweep moved every mean by less than the tolerance."""


def fit_mean_field(
    model: MeanFieldModel, start: Tensor | None = None, sweeps: int = 500, tolerance: float = 1e-9
) -> MeanField:
    """Coordinate ascent on the mean-field bound until no mean moves by ``tolerance``, or for ``sweeps`` sweeps.

    Args:
        start: means to start from, shaped like the field. Without one, each spin starts as if alone in its field,
            ``tanh(field)``. Where the field is zero that is a saddle point: start from small random means there.

    Raises:
        ValueError: there is no sweep to do, or the start does not fit the model.
    """
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1, got {sweeps}")
    means = torch.tanh(model.field) if start is None else start
    elbo, step = [model.elbo(means)], float("inf")
    while len(elbo) <= sweeps and step >= tolerance:
        before, means = means, model.mean_field_sweep(means)
        step = (means - before).abs().max().item()
        elbo.append(model.elbo(means))
    return MeanField(means, torch.stack(elbo), converged=step < tolerance)
