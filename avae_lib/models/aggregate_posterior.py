"""How far the latents of a batch are, together, from the standard normal prior."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.components import is_available
from avae_lib.divergences.maximum_mean_discrepancy import maximum_mean_discrepancy
from avae_lib.divergences.sliced_wasserstein import sliced_wasserstein
from avae_lib.errors import InvalidInput
from avae_lib.gaussians import standard_normal_like

__all__ = ["SCALE_MULTIPLES", "distance_of_batch", "mmd_to_prior", "sliced_wasserstein_to_prior"]

SCALE_MULTIPLES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Scales of the kernels, in units of the mean squared distance between two draws of the prior."""


def mmd_to_prior(z: Float[Tensor, "batch latent"], generator: Generator | None = None) -> Float[Tensor, ""]:
    r"""Squared maximum mean discrepancy between latents and as many draws from :math:`\mathcal{N}(0, I)`.

    The kernels are inverse multiquadratics :math:`C / (C + \lVert a - b \rVert^2)` with C = 2 · dim times each of
    ``SCALE_MULTIPLES`` (Tolstikhin et al., 2018, section 4, and their program).

    Latents that all lie far from the prior are noticed:

    >>> bool(mmd_to_prior(torch.randn(200, 2)) < mmd_to_prior(5 + torch.randn(200, 2)))
    True
    """
    multiples = torch.stack([z.new_full((), multiple) for multiple in SCALE_MULTIPLES])  # filled, not copied, on a GPU
    scales = 2 * z.shape[1] * multiples
    estimate = maximum_mean_discrepancy if is_available("maximum_mean_discrepancy") else _mmd_of_point_masses
    return estimate(z, standard_normal_like(z, generator), scales)


def sliced_wasserstein_to_prior(
    z: Float[Tensor, "batch latent"], lines: int = 50, generator: Generator | None = None
) -> Float[Tensor, ""]:
    r"""Sliced squared 2-Wasserstein distance between latents and as many draws from :math:`\mathcal{N}(0, I)`.

    Args:
        lines: number of random directions.
        generator: source of the draws and directions; None for torch's global one.

    >>> bool(sliced_wasserstein_to_prior(torch.randn(200, 2)) < sliced_wasserstein_to_prior(5 + torch.randn(200, 2)))
    True
    """
    directions = z.new_empty(lines, z.shape[1])
    return sliced_wasserstein(z, standard_normal_like(z, generator), standard_normal_like(directions, generator))


def distance_of_batch(
    distance: Callable[[Tensor], Tensor], z: Float[Tensor, "batch latent"], training: bool
) -> Float[Tensor, ""]:
    """The distance of a batch of latents from the prior; 0 for a single latent, which is no sample of a distribution.

    Raises:
        ValueError: a single latent in training, where the penalty would be missing.

    >>> distance_of_batch(mmd_to_prior, torch.zeros(1, 2), training=False)
    tensor(0.)
    """
    if len(z) >= 2:
        return distance(z)
    if training:
        raise InvalidInput("the penalty compares distributions: training batches must hold at least 2 images, got 1")
    return z.new_zeros(())


def _mmd_of_point_masses(x: Tensor, y: Tensor, scales: Tensor) -> Tensor:
    """The discrepancy of the two samples themselves, each point with its share of the mass, by one quadratic form.

    Biased upwards as an estimate for the distributions; stands in while :func:`maximum_mean_discrepancy` is still to be
    written.
    """
    points = torch.cat([x, y])
    masses = torch.cat([x.new_full((len(x),), 1 / len(x)), y.new_full((len(y),), -1 / len(y))])
    squared_distances = (points[:, None] - points).square().sum(dim=2)
    kernel = (scales / (scales + squared_distances[..., None])).sum(dim=2)
    return masses @ kernel @ masses
