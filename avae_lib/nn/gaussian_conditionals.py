"""Gaussians whose parameters are read off feature maps: priors, and posteriors that are told relative to a prior."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.nn.convolutions import convolution
from avae_lib.nn.precision import at_least_float32

__all__ = ["LOG_STD_LIMIT", "PosteriorConditional", "PriorConditional", "bounded_log_std", "residual_gaussian"]

LOG_STD_LIMIT = 5.0
"""Standard deviations, and ratios of two of them, stay between e^-5 and e^5."""


def bounded_log_std(raw: Float[Tensor, "*shape"], limit: float = LOG_STD_LIMIT) -> Float[Tensor, "*shape"]:
    r"""A log standard deviation in (−limit, limit) whose gradient is never zero.

    .. math:: \frac{r}{1 + |r| / \ell}, \qquad \text{slope } \frac{1}{(1 + |r| / \ell)^2}

    The slope is 1 at 0 and falls as 1/r². That of a tanh falls exponentially and is lost to rounding, that of a clamp
    is lost at once: with these a layer that has gone out too far can't come back.
    """
    return limit * F.softsign(raw / limit)


def residual_gaussian(
    prior: DiagonalGaussian, mean_shift: Float[Tensor, "*shape"], log_std_shift: Float[Tensor, "*shape"]
) -> DiagonalGaussian:
    r"""A posterior told relative to its prior (Vahdat & Kautz, 2020, section 3.2).

    .. math:: q = \mathcal{N}\bigl(\mu_p + \Delta\mu,\; \sigma_p^2 e^{2 \Delta\log\sigma}\bigr)

    The shift is added to the prior's final log standard deviation, so that KL(q‖p) is 0 where both shifts are 0.
    """
    return DiagonalGaussian(prior.mean + mean_shift, prior.log_std + log_std_shift)


class PriorConditional(nn.Module):
    """p(z | c): a standard normal at initialisation, whatever c."""

    def __init__(self, width: int, latent_channels: int) -> None:
        super().__init__()
        self.parameters_of_z = nn.Sequential(nn.SiLU(), convolution(width, 2 * latent_channels, 1, init_scale=0.0))

    def forward(self, condition: Float[Tensor, "batch width h w"]) -> DiagonalGaussian:
        mean, raw_log_std = at_least_float32(self.parameters_of_z(condition)).chunk(2, dim=1)
        return DiagonalGaussian(mean, bounded_log_std(raw_log_std))


class PosteriorConditional(nn.Module):
    """q(z | h), told relative to the prior."""

    def __init__(self, width: int, latent_channels: int) -> None:
        super().__init__()
        self.shifts_of_z = nn.Sequential(nn.SiLU(), convolution(width, 2 * latent_channels))

    def forward(self, condition: Float[Tensor, "batch width h w"], prior: DiagonalGaussian) -> DiagonalGaussian:
        mean_shift, raw_log_std_shift = at_least_float32(self.shifts_of_z(condition)).chunk(2, dim=1)
        return residual_gaussian(prior, mean_shift, bounded_log_std(raw_log_std_shift))
