"""The Wasserstein autoencoder of Tolstikhin, Bousquet, Gelly & Schölkopf (2018)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NoReturn

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor

from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.aggregate_posterior import distance_of_batch, mmd_to_prior, sliced_wasserstein_to_prior
from avae_lib.models.contract import NoDensity
from avae_lib.models.requirements import require_at_least, require_layer_count, require_temperature
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.nn.precision import at_least_float32
from avae_lib.objectives import ELBO

__all__ = ["PENALTIES", "WassersteinAE", "WassersteinAEConfig"]

PENALTIES = {"mmd": mmd_to_prior, "sliced_wasserstein": sliced_wasserstein_to_prior}
"""Distances between the latents of a batch and the prior, by name."""


@dataclass(frozen=True)
class WassersteinAEConfig(VAEConfig):
    """Configuration of a Wasserstein autoencoder.

    >>> model = WassersteinAEConfig(penalty="sliced_wasserstein").build()
    >>> list(model(torch.zeros(4, 1, 8, 8, dtype=torch.uint8)).penalties)
    ['sliced_wasserstein']
    """

    penalty: str = "mmd"
    """Distance of all latents from the prior: mmd (maximum mean discrepancy) or sliced_wasserstein."""
    penalty_weight: float = 100.0
    """Weight of that distance beside the reconstruction, in nats per image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, self, "penalty_weight")
        if self.penalty not in PENALTIES:
            raise InvalidInput(f"penalty must be one of {', '.join(PENALTIES)}, got {self.penalty!r}")

    def build(self) -> WassersteinAE:
        """A model with fresh weights."""
        return WassersteinAE(self)


class WassersteinAE(VAE):
    r"""An autoencoder without noise whose latents, all together, are pulled towards the prior.

    .. math:: \min \; \mathbb{E}_x\, c\bigl(x, z(x)\bigr) + \lambda\, D(q_Z, p_Z), \qquad z(x) \sim q_Z

    Algorithm 2 of the paper. Any cost c is allowed; here it is :math:`-\log p(x \mid z)`, as in the other models, so
    that reconstructions can be compared. The encoder predicts a single latent for each image. With no noise in it there
    is no bound on log p(x): ``forward`` returns the reconstruction term, a KL of zero and the penalty, estimated from
    the batch. ``latents`` are point masses: Gaussians with log standard deviation −∞, whose draws are their means.

    >>> model = WassersteinAEConfig(latent_dim=2).build()
    >>> (posterior,) = model.latents(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    >>> posterior.log_std  # a point: no noise
    tensor([[-inf, -inf]])
    """

    config: WassersteinAEConfig

    compares_images = "its distance from the prior compares the images of a batch"

    no_density = "The encoder has no noise, so there is no density of latents given an image, and no bound on log p(x)."

    def __init__(self, config: WassersteinAEConfig) -> None:
        super().__init__(config, encoder_outputs=config.latent_dim)

    def posterior(self, x: UInt8[Tensor, "batch channels height width"]) -> DiagonalGaussian:
        """The latent of each image, ``(batch, latent_dim)``, as a point mass."""
        z = at_least_float32(self.encoder(self._scaled(x)))
        return DiagonalGaussian(z, torch.full_like(z, -math.inf))

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        z = self.posterior(x).mean
        distance_of = functools.partial(PENALTIES[self.config.penalty], generator=generator)
        distance = distance_of_batch(distance_of, z, self.training)
        penalties = {self.config.penalty: self.config.penalty_weight * distance}
        return ELBO(self.log_likelihood(x, z), z.new_zeros(len(x), 1), penalties)

    def log_weight(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> NoReturn:
        raise NoDensity(self.no_density)

    def _propose(self, x: Tensor, keep_layers: int | None, generator: Generator | None = None) -> tuple[Tensor, None]:
        """z, and no density of it."""
        require_layer_count(keep_layers)
        z = self.posterior(x).mean
        return (self.draw_prior(len(x), generator=generator) if keep_layers == 0 else z), None
