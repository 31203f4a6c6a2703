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
    """The part of a model that annealing uses; :class:`IsingModel` and :class:`LatticeIsing` have it."""

    field: Tensor

    def interaction(self, spins: Tensor) -> Tensor: ...
    def sample_sweep(self, spins: Tensor, uniforms: Tensor, strength: float) -> Tensor: ...


@dataclass(frozen=True)
class AnnealedEstimate:
    """log Z estimated from chains that each gave one importance weight.

    Two chains whose estimates of Z are 1 and 3:

    >>> AnnealedEstimate(torch.tensor([1.0, 3.0]).log()).log_partition.exp()
    tensor(2.)
    """

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
    r"""Importance weights for log Z from chains that move from independent spins to the model (Neal, 2001).

    The couplings are multiplied by β, which grows from 0 to 1 in equal steps. Each step adds
    :math:`(\beta_{k+1} - \beta_k) \tfrac12 s^\top J s` to a chain's log weight, and one sweep of Gibbs sampling
    follows. At β = 0, log Z is :math:`\sum_i \log 2\cosh h_i` and a state can be drawn exactly.

    Args:
        model: an Ising model without leading dimensions.
        chains: number of chains, each with one weight, at least 2.
        temperatures: number of steps, at least 1.

    Raises:
        ValueError: one of the two is too small.

    Without couplings every weight is exact: Z is (2 cosh h)ⁿ.

    >>> from avae_lib.meanfield.ising import IsingModel
    >>> free = IsingModel(coupling=torch.zeros(3, 3), field=torch.full((3,), 0.5))
    >>> estimate = annealed_importance_sampling(free, chains=4, temperatures=10, generator=Generator().manual_seed(0))
    >>> estimate.log_partition - 3 * torch.tensor(2 * math.cosh(0.5)).log(), estimate.standard_error
    (tensor(0.), tensor(0.))
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
