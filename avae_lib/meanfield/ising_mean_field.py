"""Mean field for the Ising model: one sweep of coordinate ascent, and the bound it climbs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.requirements import require_coupling, require_field, require_range

__all__ = ["ising_elbo", "ising_mean_field_sweep", "spin_entropy"]


@component(unit="02_mean_field")
def ising_mean_field_sweep(
    means: Float[Tensor, "spins"], coupling: Float[Tensor, "spins spins"], field: Float[Tensor, "spins"]
) -> Float[Tensor, "spins"]:
    r"""One sweep of coordinate ascent over the means of a factorised q, spins in index order.

    For :math:`p(s) \propto \exp(\tfrac12 s^\top J s + h^\top s)` with :math:`s \in \{-1, 1\}^n` the best
    :math:`q_i`, all others held fixed, has the mean

    .. math:: m_i = \tanh\Bigl(h_i + \sum_j J_{ij} m_j\Bigr)

    Each update sees the newest values of those before it (Wainwright & Jordan, 2008, equation 5.17; derived in
    lecture 02).

    Args:
        means: m before the sweep, ``(spins,)``, in [−1, 1].
        coupling: J, symmetric with zero diagonal, ``(spins, spins)``.
        field: h, ``(spins,)``.

    Returns:
        The means after the sweep, ``(spins,)``, in the dtype of ``means``. None of the inputs is changed.

    Raises:
        ValueError: the shapes do not fit, the coupling is not symmetric or its diagonal not zero, or a mean lies
            outside [−1, 1].
    """
    _require_mean_field(means, coupling, field)
    means = means.clone()
    for i in range(len(means)):
        means[i] = torch.tanh(field[i] + coupling[i] @ means)
    return means


@component(unit="02_mean_field")
def ising_elbo(
    means: Float[Tensor, "spins"], coupling: Float[Tensor, "spins spins"], field: Float[Tensor, "spins"]
) -> Float[Tensor, ""]:
    r"""The mean-field bound on log Z of the Ising model, in nats.

    .. math:: \tfrac12 m^\top J m + h^\top m
              - \sum_i \sum_{s = \pm 1} \tfrac{1 + s m_i}{2} \log \tfrac{1 + s m_i}{2} \;\le\; \log Z

    Expected (negative) energy plus entropy of q; 0 · log 0 = 0 (Wainwright & Jordan, 2008, equation 5.16; derived in
    lecture 02).

    Args:
        means: m, ``(spins,)``, in [−1, 1], the ends included.
        coupling: J, symmetric with zero diagonal, ``(spins, spins)``.
        field: h, ``(spins,)``.

    Returns:
        A scalar in the dtype of the inputs, differentiable in all three where no mean is −1 or 1. None of the inputs
        is changed.

    Raises:
        ValueError: as for :func:`ising_mean_field_sweep`.
    """
    _require_mean_field(means, coupling, field)
    return 0.5 * means @ coupling @ means + field @ means + spin_entropy(means).sum()


def spin_entropy(means: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Entropy of a spin in {−1, 1} with the given mean, in nats, one for each element."""
    return torch.special.entr((1 + means) / 2) + torch.special.entr((1 - means) / 2)


def _require_mean_field(means: Tensor, coupling: Tensor, field: Tensor) -> None:
    require_coupling(coupling)
    require_field(field, len(coupling))
    require_float(means=means)
    require_shape((len(coupling),), "spins", means=means)
    require_range(-1, 1, means=means)
