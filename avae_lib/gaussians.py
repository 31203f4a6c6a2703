"""Diagonal Gaussians: differentiable draws, log densities and KL divergences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.components import component, is_available
from avae_lib.divergences import kl_diagonal_gaussian, kl_gaussian_per_element

__all__ = [
    "DiagonalGaussian",
    "gaussian_kl_per_layer",
    "precision_weighted",
    "reparameterize",
    "residual_gaussian",
    "standard_normal_like",
    "temperature_sample",
]


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

    The gradient of a draw in its mean is 1, whatever the noise:

    >>> mean = torch.zeros(2, requires_grad=True)
    >>> z = reparameterize(mean, torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, -1.0]))
    >>> z.tolist(), torch.autograd.grad(z.sum(), mean)
    ([1.0, -3.0], (tensor([1., 1.]),))
    """
    return mean + torch.exp(log_std) * noise


@component(unit="05_hierarchical_vae")
def residual_gaussian(
    prior_mean: Float[Tensor, "*shape"],
    prior_log_std: Float[Tensor, "*shape"],
    mean_shift: Float[Tensor, "*shape"],
    log_std_shift: Float[Tensor, "*shape"],
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    r"""A posterior parameterised relative to its prior (Vahdat & Kautz, 2020, section 3.2).

    .. math:: q = \mathcal{N}\bigl(\mu_p + \Delta\mu,\; \sigma_p^2 e^{2 \Delta\log\sigma}\bigr)

    Nothing is bounded here, so KL(q‖p) is exactly 0 where both shifts are 0.

    Args:
        prior_mean, prior_log_std: mean and log standard deviation of the prior, any shape.
        mean_shift, log_std_shift: what the posterior adds to each of them, same shape.

    Returns:
        Mean and log standard deviation of the posterior, same shape and dtype, differentiable in all four. None of
        the inputs is changed.

    >>> residual_gaussian(torch.tensor(3.0), torch.tensor(-1.0), torch.tensor(0.5), torch.tensor(0.25))
    (tensor(3.5000), tensor(-0.7500))
    """
    return prior_mean + mean_shift, prior_log_std + log_std_shift


@component(unit="05_hierarchical_vae")
def precision_weighted(
    first_mean: Float[Tensor, "*shape"],
    first_log_std: Float[Tensor, "*shape"],
    second_mean: Float[Tensor, "*shape"],
    second_log_std: Float[Tensor, "*shape"],
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    r"""The normalised product of two Gaussian densities: each mean is weighted by its precision.

    .. math:: \frac{1}{\sigma^2} = \frac{1}{\sigma_1^2} + \frac{1}{\sigma_2^2}, \qquad
              \mu = \sigma^2 \Bigl(\frac{\mu_1}{\sigma_1^2} + \frac{\mu_2}{\sigma_2^2}\Bigr)

    A Ladder VAE merges the image's evidence about a latent with the prior of the layers above in this way (Sønderby
    et al., 2016).
    The share of the first mean, :math:`\sigma_2^2 / (\sigma_1^2 + \sigma_2^2)`, is the sigmoid of
    :math:`2 (\log\sigma_2 - \log\sigma_1)`, so no precision is ever computed that could overflow.

    Args:
        first_mean, second_mean: means of the two Gaussians, any shape; of comparable size.
        first_log_std, second_log_std: logarithms of their standard deviations, same shape, at least from −12 to 8.

    Returns:
        Mean and log standard deviation of the product, same shape and dtype, differentiable in all four. None of the
        inputs is changed.

    The product of two equal Gaussians has the same mean and twice the precision:

    >>> precision_weighted(torch.tensor(2.0), torch.tensor(0.0), torch.tensor(2.0), torch.tensor(0.0))
    (tensor(2.), tensor(-0.3466))
    """
    log_precision = torch.logaddexp(-2 * first_log_std, -2 * second_log_std)
    share_of_first = torch.sigmoid(2 * (second_log_std - first_log_std))
    return torch.lerp(second_mean, first_mean, share_of_first), -0.5 * log_precision


@component(unit="05_hierarchical_vae")
def gaussian_kl_per_layer(
    q_means: Sequence[Float[Tensor, "batch ..."]],
    q_log_stds: Sequence[Float[Tensor, "batch ..."]],
    p_means: Sequence[Float[Tensor, "batch ..."]],
    p_log_stds: Sequence[Float[Tensor, "batch ..."]],
) -> Float[Tensor, "batch layers"]:
    r"""KL(q‖p) of each layer of a hierarchy of diagonal Gaussians, in nats.

    .. math:: \mathrm{KL}_{b,l} = \sum_d \Bigl[\log\frac{\sigma_{p}}{\sigma_{q}}
              + \frac{\sigma_{q}^2 + (\mu_{q} - \mu_{p})^2}{2\sigma_{p}^2} - \frac12\Bigr]_{b,l,d}

    The terms that an ELBO subtracts, kept apart to show which layers are used (Sønderby et al., 2016).

    Args:
        q_means, p_means: means of posterior and prior, one tensor for each layer, top first, ``(batch, *latent)``
            with one or more latent dimensions, which may differ from layer to layer.
        q_log_stds, p_log_stds: logarithms of the standard deviations, same shapes, at least from −12 to 8.

    Returns:
        ``(batch, layers)``, summed over the latent dimensions of one example and layer, differentiable in all
        tensors. Lists and tensors are left as they are.

    Two layers, the first with two latents that cost 1/2 nat each:

    >>> zeros = [torch.zeros(1, 2), torch.zeros(1, 3, 4, 4)]
    >>> gaussian_kl_per_layer([torch.ones(1, 2), torch.zeros(1, 3, 4, 4)], zeros, zeros, zeros)
    tensor([[1., 0.]])
    """
    layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
    kl = [kl_diagonal_gaussian(*(parameter.flatten(start_dim=1) for parameter in layer)) for layer in layers]
    return torch.stack(kl, dim=1)


@component(unit="07_evaluation")
def temperature_sample(
    mean: Float[Tensor, "*shape"], log_std: Float[Tensor, "*shape"], temperature: float, noise: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    r"""A draw from a diagonal Gaussian whose standard deviation is multiplied by a temperature.

    .. math:: z = \mu + t\, e^{\log\sigma} \odot \varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I)

    Below a temperature of 1 the samples of a hierarchy look cleaner and vary less (Vahdat & Kautz, 2020; Child, 2021).

    Args:
        mean: mean of each element, any shape, finite.
        log_std: logarithm of the standard deviation (not of the variance), same shape, from −12 to 8.
        temperature: the factor t, a Python float of 0 or more. 1 leaves the Gaussian as it is, 0 gives the mean itself.
        noise: standard normal numbers, same shape.

    Returns:
        The draw, same shape and dtype, differentiable in the three tensors. None of the inputs is changed.

    >>> mean, log_std, noise = torch.tensor([1.0, 2.0]), torch.zeros(2), torch.tensor([1.0, -1.0])
    >>> [temperature_sample(mean, log_std, temperature, noise) for temperature in (1.0, 0.5, 0.0)]
    [tensor([2., 1.]), tensor([1.5000, 1.5000]), tensor([1., 2.])]
    """
    return mean + temperature * torch.exp(log_std) * noise


def standard_normal_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Standard normal noise with the shape, dtype and device of ``x``; ``generator`` may live on another device.

    A seeded generator gives the same noise again:

    >>> x = torch.zeros(2, 3)
    >>> first, second = (standard_normal_like(x, Generator().manual_seed(0)) for _ in range(2))
    >>> first.shape, torch.equal(first, second)
    (torch.Size([2, 3]), True)
    """
    if generator is None:
        return torch.randn_like(x)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)


@dataclass(frozen=True)
class DiagonalGaussian:
    r"""A batch of Gaussians with independent elements, :math:`\mathcal{N}(\mu, \mathrm{diag}(e^{2\log\sigma}))`.

    ``mean`` and ``log_std`` have the same shape, ``(batch, *event)``; this is not checked. Densities and divergences
    are in nats and summed over the event dimensions of each example, except where a name ends in ``_per_element``.

    A posterior one standard deviation from its prior in each of two dimensions. At temperature 0 a draw is the mean:

    >>> prior = DiagonalGaussian.standard_like(torch.zeros(4, 2))
    >>> posterior = DiagonalGaussian(torch.ones(4, 2), torch.zeros(4, 2))
    >>> posterior.kl(prior), posterior.sample(temperature=0.0)[0]
    (tensor([1., 1., 1., 1.]), tensor([1., 1.]))
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
            noise: standard normal numbers, shaped like the mean; drawn from ``generator`` if not given.
            temperature: factor on the standard deviation.
            generator: source of the noise; None for torch's global generator.
        """
        noise = standard_normal_like(self.mean, generator) if noise is None else noise
        if temperature != 1 and is_available("temperature_sample"):
            return temperature_sample(self.mean, self.log_std, float(temperature), noise)
        return reparameterize(self.mean, self.log_std, temperature * noise)

    def log_prob_per_element(self, z: Float[Tensor, "*#shape"]) -> Float[Tensor, "*#shape"]:
        """Log density of each element of ``z``, which may broadcast against the Gaussian."""
        standardised = (z - self.mean) * torch.exp(-self.log_std)
        return -0.5 * (standardised.square() + math.log(2 * math.pi)) - self.log_std

    def log_prob(self, z: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch"]:
        """Log density of each example of ``z``."""
        return self.log_prob_per_element(z).flatten(start_dim=1).sum(dim=1)

    def kl_per_element(self, other: DiagonalGaussian) -> Float[Tensor, "batch *event"]:
        """KL(self‖other) of each element."""
        return kl_gaussian_per_element(self.mean, self.log_std, other.mean, other.log_std)

    def kl(self, other: DiagonalGaussian) -> Float[Tensor, "batch"]:
        """KL(self‖other) of each example; ``other`` has the same shape."""
        parameters = (self.mean, self.log_std, other.mean, other.log_std)
        return kl_diagonal_gaussian(*(parameter.flatten(start_dim=1) for parameter in parameters))
