"""Gibbs sampling of the Ising model."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape
from avae_lib.meanfield.requirements import require_coupling, require_field, require_range, require_spins

__all__ = ["gibbs_chain", "gibbs_sweep", "heat_bath", "uniform_numbers"]


@component(unit="02_mean_field")
def gibbs_sweep(
    spins: Float[Tensor, "spins"],
    coupling: Float[Tensor, "spins spins"],
    field: Float[Tensor, "spins"],
    uniforms: Float[Tensor, "spins"],
) -> Float[Tensor, "spins"]:
    r"""One sweep of Gibbs sampling, spins in index order, each drawn given the newest values of all others.

    .. math:: s_i = 1 \text{ where } u_i < p(s_i = 1 \mid s_{-i})
              = \frac{1}{1 + \exp\bigl(-2 (h_i + \sum_j J_{ij} s_j)\bigr)}, \text{ else } -1

    for :math:`p(s) \propto \exp(\tfrac12 s^\top J s + h^\top s)` (Geman & Geman, 1984; derived in lecture 02).

    Args:
        spins: the state before the sweep, ``(spins,)``, each −1 or 1.
        coupling: J, symmetric with zero diagonal, ``(spins, spins)``.
        field: h, ``(spins,)``.
        uniforms: one number in [0, 1] for each spin, ``(spins,)``, the only source of randomness.

    Returns:
        The state after the sweep, ``(spins,)``, each −1 or 1, in the dtype of ``spins``. None of the inputs is
        changed.

    Raises:
        ValueError: the shapes do not fit, the coupling is not symmetric or its diagonal not zero, a spin is neither
            −1 nor 1, or a uniform number lies outside [0, 1].

    A strong field turns the first spin up, and the coupling then turns the second:

    >>> coupling, field = torch.tensor([[0.0, 9.0], [9.0, 0.0]]), torch.tensor([20.0, 0.0])
    >>> gibbs_sweep(-torch.ones(2), coupling, field, uniforms=torch.full((2,), 0.5))
    tensor([1., 1.])
    """
    _require_gibbs(spins, coupling, field, uniforms)
    spins = spins.clone()
    for i in range(len(spins)):
        probability = torch.sigmoid(2 * (field[i] + coupling[i] @ spins))
        spins[i] = 1.0 if uniforms[i] < probability else -1.0
    return spins


def heat_bath(local_fields: Float[Tensor, "*shape"], uniforms: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Independent spins drawn in their local fields, by comparing one uniform number with P(spin = 1).

    >>> heat_bath(torch.tensor([-20.0, 0.0, 0.0, 20.0]), torch.tensor([0.5, 0.4, 0.6, 0.5]))
    tensor([-1.,  1., -1.,  1.])
    """
    up = uniforms < (2 * local_fields).sigmoid_()
    return up.to(local_fields.dtype).mul_(2).sub_(1)


def uniform_numbers(shape: tuple[int, ...], like: Tensor, generator: Generator) -> Tensor:
    """Numbers in [0, 1) with the dtype and device of ``like``; ``generator`` may live on another device.

    >>> draws = uniform_numbers((100,), like=torch.zeros(1, dtype=torch.float64), generator=Generator().manual_seed(0))
    >>> draws.dtype, bool((draws >= 0).all()), bool((draws < 1).all())
    (torch.float64, True, True)
    """
    return torch.rand(shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)


def gibbs_chain(
    coupling: Float[Tensor, "spins spins"],
    field: Float[Tensor, "spins"],
    sweeps: int,
    generator: Generator,
    start: Float[Tensor, "spins"] | None = None,
) -> Float[Tensor, "sweeps spins"]:
    """The states after each of ``sweeps`` sweeps of one chain, from ``start`` or from independent fair coins.

    Raises:
        ValueError: as for :func:`gibbs_sweep`, or sweeps is below 1.

    Spins in a strong field point along it after every sweep:

    >>> gibbs_chain(torch.zeros(2, 2), torch.tensor([20.0, -20.0]), sweeps=3, generator=Generator().manual_seed(0))
    tensor([[ 1., -1.],
            [ 1., -1.],
            [ 1., -1.]])
    """
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1, got {sweeps}")
    uniforms = uniform_numbers((sweeps + 1, len(field)), field, generator)
    spins = heat_bath(torch.zeros_like(field), uniforms[0]) if start is None else start
    states = []
    for uniforms_of_sweep in uniforms[1:]:
        spins = gibbs_sweep(spins, coupling, field, uniforms_of_sweep)
        states.append(spins)
    return torch.stack(states)


def _require_gibbs(spins: Tensor, coupling: Tensor, field: Tensor, uniforms: Tensor) -> None:
    require_coupling(coupling)
    require_field(field, len(coupling))
    require_spins(spins)
    require_float(uniforms=uniforms)
    require_shape((len(coupling),), "spins", spins=spins, uniforms=uniforms)
    require_range(0, 1, uniforms=uniforms)
