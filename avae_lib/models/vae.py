"""The variational autoencoder of Kingma & Welling (2014): one layer of latents, fully-connected networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.likelihoods import scale_pixels
from avae_lib.models.contract import Inference, LayerDistribution
from avae_lib.models.flow_posterior import FlowPosterior
from avae_lib.models.requirements import (
    require_at_least,
    require_count,
    require_draws,
    require_image_kind,
    require_latent_shape,
    require_layer_count,
    require_mixtures_used,
    require_pixels,
    require_sizes,
    require_temperature,
    temperature_of_each_layer,
)
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.precision import at_least_float32
from avae_lib.objectives import ELBO

__all__ = ["VAE", "VAEConfig"]


@dataclass(frozen=True)
class VAEConfig:
    """Configuration of a fully-connected VAE.

    >>> model = VAEConfig(image_shape=(1, 8, 8), latent_dim=2, hidden_sizes=(50,)).build()
    >>> sum(parameter.numel() for parameter in model.parameters())
    6868
    """

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    bits: int = 1
    """Bits per pixel value; 1 for binarised images."""
    latent_dim: int = 8
    """Number of latent variables."""
    hidden_sizes: tuple[int, ...] = (200, 200)
    """Widths of the encoder's hidden layers, at least one; the decoder has them in reverse order."""
    likelihood: str = "bernoulli"
    """Likelihood of a pixel: bernoulli (1 bit) or discretized_logistic."""
    mixtures: int = 1
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
        require_sizes(self, "hidden_sizes")
        require_at_least(1, self, "latent_dim", "mixtures")
        if self.likelihood == "discretized_logistic_mixture":
            raise InvalidInput(
                "likelihood must be bernoulli or discretized_logistic, whose pixels and channels are independent: "
                f"this model has no pixels in which channels could depend on one another; got {self.likelihood!r}"
            )

    def build(self) -> VAE:
        """A model with fresh weights."""
        return VAE(self)


class VAE(nn.Module):
    r"""Images explained by one standard normal vector.

    .. math:: p(x) = \int p(x \mid z)\, \mathcal{N}(z; 0, I)\, dz, \qquad
              q(z \mid x) = \mathcal{N}\bigl(z; \mu(x), \mathrm{diag}\,\sigma^2(x)\bigr)

    Meets :class:`avae_lib.models.contract.LatentVariableModel`. Other one-layer models of images replace its
    :meth:`posterior`, its prior (:meth:`log_prior`, :meth:`draw_prior`, :meth:`kl`), its decoder, or add penalties.

    Args:
        encoder_outputs: how many numbers the encoder predicts for an image; 2 · latent_dim if not given.
        condition_dim: how many further numbers encoder and decoder see beside the image and the latents.

    >>> model = VAEConfig(latent_dim=2).build()
    >>> elbo = model(torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    >>> elbo.bound.shape, model.sample(3).shape
    (torch.Size([5]), torch.Size([3, 1, 8, 8]))
    >>> model.decode(torch.zeros(4, 2)).shape  # the expected images at four latents
    torch.Size([4, 1, 8, 8])
    """

    num_layers = 1
    head: Any
    """The likelihood, a module of :mod:`avae_lib.nn.output_heads` or one with the same methods."""

    def __init__(self, config: VAEConfig, encoder_outputs: int | None = None, condition_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        self.image_shape, self.bits = config.image_shape, config.bits
        self.num_dims = math.prod(config.image_shape)
        widths = config.hidden_sizes
        encoder_outputs = 2 * config.latent_dim if encoder_outputs is None else encoder_outputs
        self.encoder = _fully_connected((self.num_dims + condition_dim, *widths), out=encoder_outputs)
        self.decoder = _fully_connected((config.latent_dim + condition_dim, *widths[-1:0:-1]), out=widths[0])
        self.head = output_head(config.likelihood, widths[0], self.num_dims, config.bits, config.mixtures)

    def posterior(self, x: UInt8[Tensor, "batch channels height width"]) -> DiagonalGaussian:
        """q(z | x), with elements ``(batch, latent_dim)``; refuses anything but pixel levels with a reason."""
        mean, log_std = at_least_float32(self.encoder(self._scaled(x))).chunk(2, dim=1)
        return DiagonalGaussian(mean, log_std)

    def prior_of(self, z: Float[Tensor, "batch latent"]) -> LayerDistribution:
        """p(z), as the distribution that each row of ``z`` is measured against."""
        return DiagonalGaussian.standard_like(z)

    def log_prior(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch"]:
        """log p(z) of each example, nats."""
        return DiagonalGaussian.standard_like(z).log_prob(z)

    def draw_prior(
        self, n: int, temperature: float = 1.0, generator: Generator | None = None
    ) -> Float[Tensor, "n latent"]:
        """``n`` latents from the prior, with its standard deviation multiplied by ``temperature``."""
        like = next(self.parameters()).new_empty(n, self.config.latent_dim)
        return DiagonalGaussian.standard_like(like).sample(temperature=temperature, generator=generator)

    def kl(self, posterior: DiagonalGaussian, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch"]:
        """KL from the prior to the posterior of each example, nats; ``z``, the draw, is not needed here."""
        return posterior.kl(DiagonalGaussian.standard_like(z))

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        posterior = self.posterior(x)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        return ELBO(self.log_likelihood(x, z), self.kl(posterior, z).unsqueeze(1))

    def log_weight(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch"]:
        z, log_proposal = self._propose(x, keep_layers, generator)
        return self.log_likelihood(x, z) + self.log_prior(z) - log_proposal

    def log_likelihood(
        self, x: UInt8[Tensor, "batch channels height width"], z: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch"]:
        """log p(x | z) of each example, nats."""
        return self.head.log_likelihood(self._features(z), x.reshape(len(x), self.num_dims, 1, 1))

    def level_probabilities(
        self, z: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch channels height width levels"]:
        """P(level | z) of every level of every pixel; all pixels are independent given z."""
        nothing = torch.zeros(len(z), 0, 1, 1, dtype=torch.uint8, device=z.device)
        probabilities = self.head.level_probabilities(self._features(z), nothing)
        return probabilities.reshape(len(z), *self.image_shape, 2**self.bits)

    def infer(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Inference:
        require_temperature("posterior_temperature", posterior_temperature)
        posterior = self.posterior(x)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        return Inference((z,), (posterior,), (self.prior_of(z),))

    def decode(
        self,
        draws: Tensor | Sequence[Tensor | None],
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The expected image at z, in pixel levels 0 … 2**bits − 1 but not rounded to them.

        Args:
            draws: z, ``(batch, latent_dim)``, or a list with this one item.
            temperature, generator: have no effect, as the only layer is given.
        """
        (z,) = require_draws(draws, self.num_layers)
        assert z is not None, "require_draws has refused draws without a latent"
        require_latent_shape(0, z, (self.config.latent_dim,))
        return self._decode(z)

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        require_count(n)
        (temperature,) = temperature_of_each_layer(temperature, self.num_layers)
        z = self.draw_prior(n, temperature, generator)
        return self._as_images(self.head.sample(self._features(z), generator))

    @torch.no_grad()
    def reconstruct(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> UInt8[Tensor, "batch channels height width"]:
        z, _ = self._propose(x, keep_layers, generator)
        return self._decode(z).round().to(torch.uint8)

    def latents(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[DiagonalGaussian | FlowPosterior, ...]:
        return (self.posterior(x),)

    def _scaled(self, x: UInt8[Tensor, "batch channels height width"]) -> Float[Tensor, "batch dims"]:
        """Pixels as the encoder sees them: one row for each image, in [−1, 1]."""
        require_pixels(x, self.image_shape, self.bits)
        return scale_pixels(x, self.bits, next(self.parameters()).dtype).flatten(start_dim=1)

    def _propose(self, x: Tensor, keep_layers: int | None, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """z and its log density, drawn from the posterior, or with no layers kept from the prior."""
        require_layer_count(keep_layers)
        posterior = self.posterior(x)
        if keep_layers == 0:
            z = self.draw_prior(len(x), generator=generator)
            return z, self.log_prior(z)
        z = posterior.sample(generator=generator)
        return z, posterior.log_prob(z)

    def _decode(self, z: Tensor) -> Tensor:
        return self._as_images(self.head.mean(self._features(z)))

    def _features(self, z: Tensor) -> Tensor:
        # To the head an image is num_dims channels of one pixel: its 1×1 convolution is then a fully-connected layer.
        return self.decoder(z).relu()[:, :, None, None]

    def _as_images(self, values: Tensor) -> Tensor:
        return values.reshape(-1, *self.image_shape)


def _fully_connected(widths: Sequence[int], out: int) -> nn.Sequential:
    """Linear layers through ``widths``, each followed by a rectifier, and a last one to ``out`` without."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], out))
