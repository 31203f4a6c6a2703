"""Mean field for the Ising model: one sweep of coordinate ascent, the bound that it raises, and fits of many sweeps.

:func:`mean_field_fit` is an exercise and takes a matrix of couplings. :func:`fit_mean_field` fits any model that has a
sweep and a bound of its own, such as :class:`avae_lib.meanfield.LatticeIsing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.requirements import require_coupling, require_field, require_range

__all__ = ["MeanField", "fit_mean_field", "ising_elbo", "ising_mean_field_sweep", "mean_field_fit", "spin_entropy"]

_MOST_SWEEPS = 200


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

    The second spin sees the new mean of the first:

    >>> coupling, field = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0.5, 0.0])
    >>> means = ising_mean_field_sweep(torch.zeros(2), coupling, field)
    >>> means, torch.tanh(means[0])
    (tensor([0.4621, 0.4318]), tensor(0.4318))
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

    Without coupling the best means are tanh(field), and the bound is log Z = Σ log(2 cosh field):

    >>> field = torch.tensor([0.5, -1.0])
    >>> ising_elbo(torch.tanh(field), torch.zeros(2, 2), field), (2 * torch.cosh(field)).log().sum()
    (tensor(1.9402), tensor(1.9402))
    """
    _require_mean_field(means, coupling, field)
    return 0.5 * means @ coupling @ means + field @ means + spin_entropy(means).sum()


def spin_entropy(means: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Entropy of a spin in {−1, 1} with the given mean, in nats, one for each element.

    A fair spin has an entropy of log 2, a certain one has none:

    >>> spin_entropy(torch.tensor([0.0, 1.0])).exp()
    tensor([2., 1.])
    """
    return torch.special.entr((1 + means) / 2) + torch.special.entr((1 - means) / 2)


def _require_mean_field(means: Tensor, coupling: Tensor, field: Tensor) -> None:
    require_coupling(coupling)
    require_field(field, len(coupling))
    require_float(means=means)
    require_shape((len(coupling),), "spins", means=means)
    require_range(-1, 1, means=means)


@component(unit="02_mean_field")
def mean_field_fit(
    coupling: Float[Tensor, "spins spins"],
    field: Float[Tensor, "spins"],
    start: Float[Tensor, "spins"],
    tolerance: float,
) -> tuple[Float[Tensor, "spins"], Float[Tensor, "sweeps"]]:
    r"""Mean field by coordinate ascent: sweeps until no mean moves by more than ``tolerance``, and the bound of each.

    One sweep is :func:`ising_mean_field_sweep`, its bound :func:`ising_elbo`, in nats. No update lowers the bound, so
    neither does a sweep (Wainwright & Jordan, 2008, section 5.3; derived in lecture 02). Where the fit ends depends on
    where it starts.

    Args:
        coupling: J, symmetric with zero diagonal, ``(spins, spins)``.
        field: h, ``(spins,)``.
        start: means before the first sweep, ``(spins,)``, in [−1, 1].
        tolerance: the fit stops after the first sweep in which no mean moved by more; not negative.

    Returns:
        The means after the last sweep, ``(spins,)``, and the bounds after each sweep, ``(sweeps,)``, with at least 1
        and at most 200 sweeps; both in the dtype of ``start``. None of the inputs is changed.

    Raises:
        ValueError: as for :func:`ising_mean_field_sweep`, or the tolerance is negative.

    Example:
        Two spins that tend to agree, the first in a weak field:

        >>> coupling, field = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0.2, 0.0])
        >>> means, bounds = mean_field_fit(coupling, field, torch.zeros(2), tolerance=0.01)
        >>> means, len(bounds)
        (tensor([0.6423, 0.5665]), 7)
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {tolerance}")
    require_shape((len(field),), "spins", start=start)
    require_range(-1, 1, start=start)
    means, bounds = start, []
    for _ in range(_MOST_SWEEPS):
        before, means = means, ising_mean_field_sweep(means, coupling, field)
        bounds.append(ising_elbo(means, coupling, field))
        if (means - before).abs().max() <= tolerance:
            break
    return means, torch.stack(bounds)


class MeanFieldModel(Protocol):
    """The part of a model that :func:`fit_mean_field` uses; :class:`IsingModel` and :class:`LatticeIsing` have it."""

    field: Tensor

    def elbo(self, means: Tensor) -> Tensor: ...
    def mean_field_sweep(self, means: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class MeanField:
    """The means that coordinate ascent found, and the bound after each sweep."""

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
        start: means to start from, shaped like the field. The default is ``tanh(field)``, the means without coupling.
            Where the field is zero this is a saddle point: start from small random means there.

    Raises:
        ValueError: sweeps is below 1, or the start does not fit the model.

    >>> from avae_lib.meanfield import IsingModel
    >>> model = IsingModel(coupling=torch.tensor([[0.0, 1.0], [1.0, 0.0]]), field=torch.tensor([0.2, 0.0]))
    >>> fit = fit_mean_field(model, tolerance=1e-4)
    >>> fit.means, fit.converged, bool((fit.elbo.diff() > -1e-6).all())
    (tensor([0.6465, 0.5693]), True, True)
    """
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1, got {sweeps}")
    means = torch.tanh(model.field) if start is None else start
    elbo = [model.elbo(means)]
    largest_change = float("inf")
    while len(elbo) <= sweeps and largest_change >= tolerance:
        before, means = means, model.mean_field_sweep(means)
        largest_change = (means - before).abs().max().item()
        elbo.append(model.elbo(means))
    return MeanField(means, torch.stack(elbo), converged=largest_change < tolerance)
