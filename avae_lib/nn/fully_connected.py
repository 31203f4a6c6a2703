"""Fully-connected parts of hierarchies whose latents are vectors."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.nn.gaussian_conditionals import bounded_log_std
from avae_lib.nn.precision import at_least_float32

__all__ = ["GaussianOf", "StandardPrior", "hidden_layers", "onto_pixels"]

LEAK = 0.1
"""Slope of the rectifiers below zero (Sønderby et al., 2016)."""


def hidden_layers(inputs: int, width: int, batch_norm: bool) -> nn.Sequential:
    """Two hidden layers of the same width, with leaky rectifiers."""
    layers: list[nn.Module] = []
    for before in (inputs, width):
        norm = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        layers += [nn.Linear(before, width), norm, nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers)


def onto_pixels(size: tuple[int, int], features: int, channels: int) -> nn.Sequential:
    """A linear layer from features to ``channels`` numbers at every pixel of a picture of that height and width."""
    return nn.Sequential(nn.Linear(features, channels * math.prod(size)), nn.Unflatten(1, (channels, *size)))


class GaussianOf(nn.Module):
    """A diagonal Gaussian whose parameters are read off features by a linear map.

    Standard deviations stay between e^-5 and e^5; the softplus of Sønderby et al. (2016) can reach zero.
    """

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.parameters_of_z = nn.Linear(features, 2 * latent_dim)

    def forward(self, features: Float[Tensor, "batch features"]) -> DiagonalGaussian:
        mean, raw_log_std = at_least_float32(self.parameters_of_z(features)).chunk(2, dim=1)
        return DiagonalGaussian(mean, bounded_log_std(raw_log_std))


class StandardPrior(nn.Module):
    """A standard normal in the shape of what is handed in, whatever its values."""

    def forward(self, above: Float[Tensor, "batch latent"]) -> DiagonalGaussian:
        return DiagonalGaussian.standard_like(above)
