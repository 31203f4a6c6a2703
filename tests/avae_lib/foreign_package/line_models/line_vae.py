"""A VAE whose encoder and decoder are one linear layer each, written from ``avae_lib.models.contract`` alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Bernoulli

from avae_lib import ELBO, DiagonalGaussian
from avae_lib.models.contract import Inference


@dataclass(frozen=True)
class LineVAEConfig:
    """Configuration of a linear VAE of black and white images."""

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    latent_dim: int = 4
    """Number of latent variables."""

    def build(self) -> LineVAE:
        return LineVAE(self)


class LineVAE(nn.Module):
    num_layers = 1
    bits = 1

    def __init__(self, config: LineVAEConfig) -> None:
        super().__init__()
        self.image_shape = config.image_shape
        self.num_dims = math.prod(config.image_shape)
        self.latent_dim = config.latent_dim
        self.encoder = nn.Linear(self.num_dims, 2 * config.latent_dim)
        self.decoder = nn.Linear(config.latent_dim, self.num_dims)

    def forward(self, x: Tensor, posterior_temperature: float = 1.0, generator: Generator | None = None) -> ELBO:
        (posterior,) = self.latents(x)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        return ELBO(self._log_likelihood(x, z), posterior.kl(self._prior(len(x)))[:, None])

    def log_weight(self, x: Tensor, keep_layers: int | None = None, generator: Generator | None = None) -> Tensor:
        prior, (posterior,) = self._prior(len(x)), self.latents(x)
        proposal = prior if keep_layers == 0 else posterior
        z = proposal.sample(temperature=1.0, generator=generator)
        return self._log_likelihood(x, z) + prior.log_prob(z) - proposal.log_prob(z)

    @torch.no_grad()
    def sample(self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None) -> Tensor:
        (factor,) = [temperature] if isinstance(temperature, float | int) else temperature
        pixels = self.decode(self._prior(n).sample(temperature=factor, generator=generator))
        return torch.bernoulli(pixels, generator=generator).to(torch.uint8)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, keep_layers: int | None = None, generator: Generator | None = None) -> Tensor:
        proposal = self._prior(len(x)) if keep_layers == 0 else self.latents(x)[0]
        return self.decode(proposal.sample(temperature=1.0, generator=generator)).round().to(torch.uint8)

    def latents(self, x: Tensor, generator: Generator | None = None) -> tuple[DiagonalGaussian, ...]:
        mean, log_std = self.encoder(x.flatten(1).to(self.encoder.weight.dtype)).chunk(2, dim=1)
        return (DiagonalGaussian(mean, log_std),)

    def infer(self, x: Tensor, posterior_temperature: float = 1.0, generator: Generator | None = None) -> Inference:
        (posterior,) = self.latents(x)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        return Inference((z,), (posterior,), (self._prior(len(x)),))

    def decode(
        self,
        draws: Tensor | Sequence[Tensor | None],
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
    ) -> Tensor:
        z = draws if isinstance(draws, Tensor) else draws[0]
        return self.decoder(z).sigmoid().view(-1, *self.image_shape)

    def _prior(self, n: int) -> DiagonalGaussian:
        zeros = self.decoder.weight.new_zeros(n, self.latent_dim)
        return DiagonalGaussian(zeros, zeros)

    def _log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        return Bernoulli(logits=self.decoder(z)).log_prob(x.flatten(1).to(z.dtype)).sum(dim=1)
