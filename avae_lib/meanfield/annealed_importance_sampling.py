"""log Z by annealed importance sampling, for any Ising model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.logarithms import log_mean_exp
from avae_lib.meanfield.belief_propagation import log_cosh
from avae_lib.meanfield.ising_sampling import heat_bath, uniform_numbers

__all__ = ["AnnealedEstimate", "annealed_importance_sampling"]


class AnnealedModel(Protocol):
    """What annealing asks of a model: :class:`IsingModel` and :class:`LatticeIsing` answer."""

    field: Tensor

    def interaction(self, spins: Tensor) -> Tensor: ...
    def sample_sweep(self, spins: Tensor, uniforms: Tensor, strength: float) -> Tensor: ...


@dataclass(frozen=True)
class AnnealedEstimate:
    """log Z estimated from chains that each gave one importance weight."""

    log_weights: Float[Tensor, "chains"]
    """Log of unbiased estimates of Z, one for each chain, nats."""

    @property
    def log_partition(self) -> Float[Tensor, ""]:
        """The estimate of log Z, nats; its expectation is a lower bound."""
        return log_mean_exp(self.log_weights, dim=0)

    @property
    def standard_error(self) -> Float[Tensor, ""]:
        """Of ``log_partition``, nats: the relative standard error of the mean weight."""
        weights = torch.softmax(self.log_weights, dim=0) * len(self.log_weights)
        return weights.std() / math.sqrt(len(weights))


def annealed_importance_sampling(
    model: AnnealedModel, chains: int, temperatures: int, generator: Generator
) -> AnnealedEstimate:
    r"""Importance weights for log Z from chains led from independent spins to the model (Neal, 2001).

    The couplings grow from 0 to their own strength in equal steps β; a chain's weight gathers
    :math:`(\beta_{k+1} - \beta_k) \tfrac12 s^\top J s`, and one sweep of Gibbs sampling follows each step. At β = 0
    log Z is :math:`\sum_i \log 2\cosh h_i` and a state can be drawn exactly.

    Args:
        model: an Ising model without leading dimensions.
        chains: how many weights, at least 2.
        temperatures: how many steps, at least 1.

    Raises:
        ValueError: one of the two is too small.
    """
    if chains < 2:
        raise ValueError(f"chains must be at least 2 for a standard error, got {chains}")
    if temperatures < 1:
        raise ValueError(f"temperatures must be at least 1, got {temperatures}")
    field = model.field.expand(chains, *model.field.shape)
    spins = heat_bath(field, uniform_numbers(field.shape, field, generator))
    log_weights = (log_cosh(model.field) + math.log(2)).sum().repeat(chains)
    for before, strength in pairwise(torch.linspace(0, 1, temperatures + 1, dtype=torch.float64).tolist()):
        log_weights = log_weights + (strength - before) * model.interaction(spins)
        spins = model.sample_sweep(spins, uniform_numbers(field.shape, field, generator), strength)
    return AnnealedEstimate(log_weights)
