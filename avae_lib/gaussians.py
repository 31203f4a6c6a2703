"""Diagonal Gaussians: drawing from them differentiably, their densities and divergences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.components import component
from avae_lib.divergences import kl_diagonal_gaussian, kl_gaussian_per_element

__all__ = ["DiagonalGaussian", "reparameterize", "standard_normal_like"]


@component(unit="03_vae")
def reparameterize(
    mean: Float[Tensor, "*shape"], log_std: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    r"""A draw from a diagonal Gaussian, written as a differentiable function of its parameters.

    .. math:: z = \mu + e^{\log\sigma} \odot \varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I)

    All randomness is in ``noise``, so that gradients reach ``mean`` and ``log_std``
    (Kingma & Welling, 2014, section 2.4).

    Args:
        mean: mean of each element, any shape, finite.
        log_std: logarithm of the standard deviation (not of the variance), same shape, at least from −12 to 8.
        noise: standard normal numbers, same shape.

    Returns:
        The draw, same shape and dtype. None of the inputs is changed.
    """
    return mean + torch.exp(log_std) * noise


def standard_normal_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Standard normal noise with the shape, dtype and device of ``x``; ``generator`` may live on another device."""
    if generator is None:
        return torch.randn_like(x)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)


@dataclass(frozen=True)
class DiagonalGaussian:
    r"""A batch of Gaussians with independent elements, :math:`\mathcal{N}(\mu, \mathrm{diag}(e^{2\log\sigma}))`.

    ``mean`` and ``log_std`` have one shape, ``(batch, …)``. Quantities of one example are summed over all
    dimensions but the first; those of one element carry ``per_element`` in their name. All are in nats.
    """

    mean: Float[Tensor, "batch *event"]
    log_std: Float[Tensor, "batch *event"]

    @classmethod
    def standard_like(cls, x: Float[Tensor, "batch *event"]) -> DiagonalGaussian:
        """The standard normal with the shape, dtype and device of ``x``."""
        return cls(torch.zeros_like(x), torch.zeros_like(x))

    def sample(
        self,
        noise: Float[Tensor, "batch *event"] | None = None,
        temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch *event"]:
        """A differentiable draw whose standard deviation is multiplied by ``temperature`` (0 gives the mean).

        Args:
            noise: standard normal numbers to use; drawn from ``generator`` if not given.
        """
        noise = standard_normal_like(self.mean, generator) if noise is None else noise
        return reparameterize(self.mean, self.log_std, temperature * noise)

    def log_prob_per_element(self, z: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """log density of each element of ``z``."""
        standardised = (z - self.mean) * torch.exp(-self.log_std)
        return -0.5 * (standardised.square() + math.log(2 * math.pi)) - self.log_std

    def log_prob(self, z: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch"]:
        """log density of each example of ``z``."""
        return self.log_prob_per_element(z).flatten(start_dim=1).sum(dim=1)

    def kl_per_element(self, other: DiagonalGaussian) -> Float[Tensor, "batch *event"]:
        """KL(self‖other) of each element."""
        return kl_gaussian_per_element(self.mean, self.log_std, other.mean, other.log_std)

    def kl(self, other: DiagonalGaussian) -> Float[Tensor, "batch"]:
        """KL(self‖other) of each example; ``other`` has the same shape."""
        parameters = (self.mean, self.log_std, other.mean, other.log_std)
        return kl_diagonal_gaussian(*(parameter.flatten(start_dim=1) for parameter in parameters))
