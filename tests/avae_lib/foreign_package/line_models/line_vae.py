"""A VAE whose encoder and decoder are one linear layer each. It uses nothing of the library but the bound's terms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.objectives import ELBO


@dataclass(frozen=True)
class LineVAEConfig:
    """Configuration of a linear VAE of black and white images."""

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    latent_dim: int = 4
    """Number of latent variables."""
    spread: float = 1.0
    """Standard deviation of the prior."""

    def build(self) -> LineVAE:
        return LineVAE(self)


class LineVAE(nn.Module):
    num_layers = 1
    bits = 1

    def __init__(self, config: LineVAEConfig) -> None:
        super().__init__()
        self.image_shape = config.image_shape
        self.num_dims = math.prod(config.image_shape)
        self.encoder = nn.Linear(self.num_dims, 2 * config.latent_dim)
        self.decoder = nn.Linear(config.latent_dim, self.num_dims)
        self.prior = Normal(torch.zeros(config.latent_dim), config.spread)

    def forward(self, x, posterior_temperature=1.0):
        posterior = self._posterior(x)
        z = posterior.mean + posterior_temperature * posterior.stddev * torch.randn_like(posterior.mean)
        kl = kl_divergence(posterior, self.prior).sum(dim=1, keepdim=True)
        return ELBO(self._likelihood(z).log_prob(x.flatten(1).float()).sum(dim=1), kl)

    def log_weight(self, x, keep_layers=None):
        posterior = self._posterior(x)
        if keep_layers == 0:
            return self._likelihood(self.prior.sample((len(x),))).log_prob(x.flatten(1).float()).sum(dim=1)
        z = posterior.sample()
        log_ratio = self.prior.log_prob(z) - posterior.log_prob(z)
        return self._likelihood(z).log_prob(x.flatten(1).float()).sum(dim=1) + log_ratio.sum(dim=1)

    @torch.no_grad()
    def sample(self, n, temperature=1.0, generator=None):
        factor = temperature if isinstance(temperature, float) else temperature[0]
        z = factor * self.prior.stddev * torch.randn(n, len(self.prior.mean), generator=generator)
        return (
            torch.bernoulli(self._likelihood(z).probs, generator=generator).to(torch.uint8).view(n, *self.image_shape)
        )

    @torch.no_grad()
    def reconstruct(self, x, keep_layers=None):
        z = self.prior.sample((len(x),)) if keep_layers == 0 else self._posterior(x).sample()
        return self._likelihood(z).probs.round().to(torch.uint8).view(x.shape)

    def latents(self, x):
        posterior = self._posterior(x)
        return (DiagonalGaussian(posterior.mean, posterior.stddev.log()),)

    def _posterior(self, x):
        mean, log_std = self.encoder(x.flatten(1).float()).chunk(2, dim=1)
        return Normal(mean, log_std.exp())

    def _likelihood(self, z):
        return Bernoulli(logits=self.decoder(z))
