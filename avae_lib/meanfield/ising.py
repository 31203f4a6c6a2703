"""The Ising model with any coupling, and its exact log Z and moments for up to 24 spins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avae_lib.meanfield.ising_mean_field import ising_elbo, ising_mean_field_sweep
from avae_lib.meanfield.ising_sampling import heat_bath
from avae_lib.meanfield.requirements import require_coupling, require_field

__all__ = ["ExactIsing", "IsingModel", "enumerate_states"]

_MOST_SPINS = 24  # 2**24 states are 17 million
_STATES_AT_ONCE = 2**14  # bounds the memory for states × spins


@dataclass(frozen=True)
class IsingModel:
    r"""A distribution over n spins that pull at one another and are pulled by a field.

    .. math:: p(s) = \frac{1}{Z} \exp\bigl(\tfrac12 s^\top J s + h^\top s\bigr), \qquad s \in \{-1, 1\}^n

    Spins are tensors ``(*batch, spins)`` of −1.0 and 1.0; their values are not checked.

    Raises:
        ValueError: ``coupling`` is not a symmetric matrix with zero diagonal, or ``field`` does not fit it.

    >>> model = IsingModel(coupling=torch.tensor([[0.0, 2.0], [2.0, 0.0]]), field=torch.tensor([1.0, 0.0]))
    >>> model.log_potential(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    tensor([ 3., -1.])
    """

    coupling: Float[Tensor, "spins spins"]
    """J, symmetric with zero diagonal; positive where two spins tend to agree."""
    field: Float[Tensor, "spins"]
    """h; positive where a spin tends to be 1."""

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
        r"""One sweep of Gibbs sampling over all spins, in many chains at once, with J multiplied by ``strength``.

        Spin by spin, s_i is drawn from :math:`p(s_i = 1 \mid s_{-i}) = \operatorname{sigmoid}(2 h_i^{\text{local}})`.

        Args:
            spins: state of each chain; left as it is.
            uniforms: uniform numbers in [0, 1), one for each draw, shaped like ``spins``.

        With a strong field, a sweep turns both spins up:

        >>> model = IsingModel(coupling=torch.zeros(2, 2), field=torch.tensor([9.0, 9.0]))
        >>> model.sample_sweep(spins=torch.tensor([-1.0, -1.0]), uniforms=torch.tensor([0.1, 0.9]))
        tensor([1., 1.])
        """
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
    chunks = [_moments_of_chunk(model, index) for index in torch.arange(2**spins).split(_STATES_AT_ONCE)]
    log_masses = torch.stack([chunk.log_partition for chunk in chunks])
    shares = torch.softmax(log_masses, dim=0)  # probability of each chunk: (chunks,)
    return ExactIsing(
        log_partition=torch.logsumexp(log_masses, dim=0),
        means=torch.einsum("c,ci->i", shares, torch.stack([chunk.means for chunk in chunks])),
        pair_means=torch.einsum("c,cij->ij", shares, torch.stack([chunk.pair_means for chunk in chunks])),
    )


def _moments_of_chunk(model: IsingModel, index: Int[Tensor, "states"]) -> ExactIsing:
    """The log of the sum, and the moments, over those states alone whose spins are the bits of ``index``."""
    bits = (index.unsqueeze(1) >> torch.arange(len(model.field))) & 1  # (states, spins)
    states = (2 * bits - 1).to(model.field)
    log_potential = model.log_potential(states)  # (states,)
    weights = torch.softmax(log_potential, dim=0)
    return ExactIsing(
        log_partition=torch.logsumexp(log_potential, dim=0),
        means=weights @ states,
        pair_means=states.T @ (weights.unsqueeze(1) * states),
    )
