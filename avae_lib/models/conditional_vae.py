"""The conditional VAE of Sohn, Lee & Yan (2015): images given their class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.contract import Inference, labels_for_samples
from avae_lib.models.requirements import (
    require_at_least,
    require_count,
    require_draws,
    require_labels,
    require_latent_shape,
    require_layer_count,
    require_temperature,
    temperature_of_each_layer,
)
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.nn.precision import at_least_float32
from avae_lib.nn.residual_posteriors import bounded_log_std
from avae_lib.objectives import ELBO

__all__ = ["ConditionalVAE", "ConditionalVAEConfig"]

Images = UInt8[Tensor, "batch channels height width"]
Labels = Int[Tensor, "batch"]


@dataclass(frozen=True)
class ConditionalVAEConfig(VAEConfig):
    """Configuration of a conditional VAE.

    >>> ConditionalVAEConfig(num_classes=3).build().sample(4, labels=torch.tensor([2, 2, 0, 1])).shape
    torch.Size([4, 1, 8, 8])
    """

    num_classes: int = 10
    """Number of classes; labels are 0 … num_classes − 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(2, self, "num_classes")

    def build(self) -> ConditionalVAE:
        """A model with fresh weights."""
        return ConditionalVAE(self)


class ConditionalVAE(VAE):
    r"""Images of a given class, explained by a vector whose prior belongs to the class.

    .. math:: p(x \mid y) = \int p(x \mid z, y)\, \mathcal{N}\bigl(z; m_y, \mathrm{diag}\, s_y^2\bigr)\, dz, \qquad
              q(z \mid x, y) = \mathcal{N}\bigl(z; \mu(x, y), \mathrm{diag}\, \sigma^2(x, y)\bigr)

    As in the paper (section 4.1) all three depend on the condition: encoder and decoder see the label as one number for
    each class, and the prior of each class has a learned mean and standard deviation, which start at 0 and 1. Meets
    :class:`avae_lib.models.contract.ConditionalModel`; all quantities are those of x given y.

    >>> model = ConditionalVAEConfig(num_classes=3, latent_dim=2).build()
    >>> model.prior(torch.tensor([0, 2, 1])).mean.shape  # one prior for each label
    torch.Size([3, 2])
    """

    def __init__(self, config: ConditionalVAEConfig) -> None:
        super().__init__(config, condition_dim=config.num_classes)
        self.num_classes = config.num_classes
        self.prior_parameters = nn.Parameter(torch.zeros(config.num_classes, 2 * config.latent_dim))

    def prior(self, labels: Labels | None) -> DiagonalGaussian:
        """p(z | y), with elements ``(batch, latent_dim)``."""
        assert labels is not None, "require_labels has refused None"
        mean, raw_log_std = at_least_float32(self.prior_parameters[labels]).chunk(2, dim=1)
        return DiagonalGaussian(mean, bounded_log_std(raw_log_std))

    def posterior(self, x: Images, labels: Labels | None = None) -> DiagonalGaussian:
        """q(z | x, y), with elements ``(batch, latent_dim)``."""
        pixels = self._scaled(x)
        require_labels(labels, len(x), self.num_classes)
        mean, log_std = at_least_float32(self.encoder(self._beside_label(pixels, labels))).chunk(2, dim=1)
        return DiagonalGaussian(mean, log_std)

    def forward(
        self,
        x: Images,
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
        *,
        labels: Labels | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        posterior = self.posterior(x, labels)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        kl = posterior.kl(self.prior(labels))
        return ELBO(self.log_likelihood(x, self._beside_label(z, labels)), kl.unsqueeze(1))

    def log_weight(
        self,
        x: Images,
        keep_layers: int | None = None,
        generator: Generator | None = None,
        *,
        labels: Labels | None = None,
    ) -> Float[Tensor, "batch"]:
        proposal = self._proposal(x, keep_layers, labels)
        z = proposal.sample(generator=generator)
        log_likelihood = self.log_likelihood(x, self._beside_label(z, labels))
        return log_likelihood + self.prior(labels).log_prob(z) - proposal.log_prob(z)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
        *,
        labels: Labels | None = None,
    ) -> UInt8[Tensor, "n channels height width"]:
        require_count(n)
        (temperature,) = temperature_of_each_layer(temperature, self.num_layers)
        labels = labels_for_samples(n, self.num_classes, labels, self.prior_parameters.device)
        z = self.prior(labels).sample(temperature=temperature, generator=generator)
        features = self._features(self._beside_label(z, labels))
        return self._as_images(self.head.sample(features, generator))

    @torch.no_grad()
    def reconstruct(
        self,
        x: Images,
        keep_layers: int | None = None,
        generator: Generator | None = None,
        *,
        labels: Labels | None = None,
    ) -> Images:
        z = self._proposal(x, keep_layers, labels).sample(generator=generator)
        return self._decode(self._beside_label(z, labels)).round().to(torch.uint8)

    def latents(
        self, x: Images, generator: Generator | None = None, *, labels: Labels | None = None
    ) -> tuple[DiagonalGaussian, ...]:
        return (self.posterior(x, labels),)

    def infer(
        self,
        x: Images,
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
        *,
        labels: Labels | None = None,
    ) -> Inference:
        require_temperature("posterior_temperature", posterior_temperature)
        posterior = self.posterior(x, labels)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        return Inference((z,), (posterior,), (self.prior(labels),))

    def decode(
        self,
        draws: Tensor | Sequence[Tensor | None],
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
        labels: Labels | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The expected image of a class at z, in pixel levels 0 … 2**bits − 1 but not rounded to them.

        Args:
            draws: z, ``(batch, latent_dim)``, or a list with this one item. In place of labels each row may hold the
                weight of each class after z, ``(batch, latent_dim + num_classes)``: for one class, a 1 among zeros.
            temperature, generator: have no effect, as the only layer is given.
        """
        (z,) = require_draws(draws, self.num_layers)
        assert z is not None, "require_draws has refused draws without a latent"
        if labels is None and z.shape[1:] == (self.config.latent_dim + self.num_classes,):
            return self._decode(z)
        require_labels(labels, len(z), self.num_classes)
        require_latent_shape(0, z, (self.config.latent_dim,))
        return self._decode(self._beside_label(z, labels))

    def _proposal(self, x: Tensor, keep_layers: int | None, labels: Tensor | None) -> DiagonalGaussian:
        """What z is drawn from: the posterior, or with no layers kept the prior of the class."""
        require_layer_count(keep_layers)
        posterior = self.posterior(x, labels)
        return self.prior(labels) if keep_layers == 0 else posterior

    def _beside_label(self, numbers: Tensor, labels: Tensor | None) -> Tensor:
        """``numbers`` and, after them, a 1 for the class and 0 for the others."""
        assert labels is not None, "require_labels has refused None"
        classes = torch.arange(self.num_classes, device=labels.device)
        return torch.cat([numbers, (labels.unsqueeze(1) == classes).to(numbers)], dim=1)
