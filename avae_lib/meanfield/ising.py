"""The Ising model with any coupling, and its exact enumeration."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avae_lib.meanfield.ising_mean_field import ising_elbo, ising_mean_field_sweep
from avae_lib.meanfield.ising_sampling import heat_bath
from avae_lib.meanfield.requirements import require_coupling, require_field

__all__ = ["ExactIsing", "IsingModel", "enumerate_states"]

_MOST_SPINS = 24
_STATES_AT_ONCE = 2**14


@dataclass(frozen=True)
class IsingModel:
    r"""Spins :math:`s \in \{-1, 1\}^n` with :math:`p(s) = \exp(\tfrac12 s^\top J s + h^\top s) / Z`.

    Raises:
        ValueError: ``coupling`` is not a symmetric matrix with zero diagonal, or ``field`` does not fit it.

    >>> model = IsingModel(coupling=torch.tensor([[0.0, 2.0], [2.0, 0.0]]), field=torch.tensor([1.0, 0.0]))
    >>> model.log_potential(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    tensor([ 3., -1.])
    """

    coupling: Float[Tensor, "spins spins"]
    """J, symmetric with zero diagonal."""
    field: Float[Tensor, "spins"]
    """h."""

    def __post_init__(self) -> None:
        require_coupling(self.coupling)
        require_field(self.field, len(self.coupling))

    @property
    def edges(self) -> Int[Tensor, "2 edges"]:
        """Both ends of every pair with a coupling other than zero, the smaller index first."""
        return self.coupling.triu().nonzero().T

    def local_fields(
        self, spins: Float[Tensor, "*batch spins"], strength: float = 1.0
    ) -> Float[Tensor, "*batch spins"]:
        r"""The local field of each spin, :math:`h_i + \sum_j J_{ij} s_j`, with J multiplied by ``strength``."""
        return self.field + strength * spins @ self.coupling

    def interaction(self, spins: Float[Tensor, "*batch spins"]) -> Float[Tensor, "*batch"]:
        r"""The part of the log potential that is due to the coupling, :math:`\tfrac12 s^\top J s`, in nats."""
        return 0.5 * (spins @ self.coupling * spins).sum(dim=-1)

    def log_potential(self, spins: Float[Tensor, "*batch spins"]) -> Float[Tensor, "*batch"]:
        r"""log p(s) + log Z, in nats."""
        return self.interaction(spins) + spins @ self.field

    def elbo(self, means: Float[Tensor, "spins"]) -> Float[Tensor, ""]:
        """The mean-field bound on log Z, in nats: :func:`ising_elbo`."""
        return ising_elbo(means, self.coupling, self.field)

    def mean_field_sweep(self, means: Float[Tensor, "spins"]) -> Float[Tensor, "spins"]:
        """One sweep of coordinate ascent over all spins: :func:`ising_mean_field_sweep`."""
        return ising_mean_field_sweep(means, self.coupling, self.field)

    def sample_sweep(
        self, spins: Float[Tensor, "*batch spins"], uniforms: Float[Tensor, "*batch spins"], strength: float = 1.0
    ) -> Float[Tensor, "*batch spins"]:
        """One sweep of Gibbs sampling over all spins, in many chains at once, with J multiplied by ``strength``."""
        spins = spins.clone()
        for i, couplings in enumerate(self.coupling):
            local_field = self.field[i] + strength * spins @ couplings
            spins[..., i] = heat_bath(local_field, uniforms[..., i])
        return spins


@dataclass(frozen=True)
class ExactIsing:
    """log Z and the moments of an Ising model, summed over all its states."""

    log_partition: Float[Tensor, ""]
    """log Z, nats."""
    means: Float[Tensor, "spins"]
    """E[s_i]."""
    pair_means: Float[Tensor, "spins spins"]
    """E[s_i s_j]."""


def enumerate_states(model: IsingModel) -> ExactIsing:
    """log Z and the moments of an Ising model, by summing over all of its 2**spins states.

    Raises:
        ValueError: the model has more than 24 spins.

    Two coupled spins without fields agree with probability 1 / (1 + e^(−2J)), so E[s₁s₂] = tanh J:

    >>> model = IsingModel(coupling=torch.tensor([[0.0, 0.5], [0.5, 0.0]]), field=torch.zeros(2))
    >>> enumerate_states(model).pair_means[0, 1], torch.tanh(torch.tensor(0.5))
    (tensor(0.4621), tensor(0.4621))
    """
    spins = len(model.field)
    if spins > _MOST_SPINS:
        raise ValueError(
            f"model has {spins} spins, 2**{spins} states are too many to visit: take at most {_MOST_SPINS}"
        )
    parts = [_sum_over(model, index) for index in torch.arange(2**spins).split(_STATES_AT_ONCE)]
    log_masses, means, pair_means = (torch.stack(part) for part in zip(*parts, strict=True))
    shares = torch.softmax(log_masses, dim=0)
    return ExactIsing(
        torch.logsumexp(log_masses, dim=0),
        torch.einsum("p,pi->i", shares, means),
        torch.einsum("p,pij->ij", shares, pair_means),
    )


def _sum_over(model: IsingModel, index: Int[Tensor, "states"]) -> tuple[Tensor, Tensor, Tensor]:
    """log mass and conditional moments of the states whose bits spell ``index``."""
    bits = index.unsqueeze(1) >> torch.arange(len(model.field)) & 1
    states = (2 * bits - 1).to(model.field)
    log_potential = model.log_potential(states)
    weights = torch.softmax(log_potential, dim=0)
    return torch.logsumexp(log_potential, dim=0), weights @ states, states.T @ (weights.unsqueeze(1) * states)
