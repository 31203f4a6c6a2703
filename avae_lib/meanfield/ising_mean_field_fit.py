"""Coordinate ascent on the Ising model until it comes to rest, with the bound of every sweep."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_shape
from avae_lib.meanfield.ising_mean_field import ising_elbo, ising_mean_field_sweep
from avae_lib.meanfield.requirements import require_range

__all__ = ["mean_field_fit"]

_MOST_SWEEPS = 200


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
        Two spins that like to agree, the first in a weak field:

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
