"""A VAE whose prior is a mixture of its own posteriors (Tomczak & Welling, 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.requirements import require_at_least
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.nn.precision import at_least_float32

__all__ = ["VampPriorVAE", "VampPriorVAEConfig"]


@dataclass(frozen=True)
class VampPriorVAEConfig(VAEConfig):
    """Configuration of a VAE with a VampPrior.

    >>> VampPriorVAEConfig(pseudo_inputs=3, latent_dim=2).build().components().mean.shape
    torch.Size([3, 2])
    """

    pseudo_inputs: int = 50
    """Number of learned images whose posteriors make up the prior."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, self, "pseudo_inputs")

    def build(self) -> VampPriorVAE:
        """A model with fresh weights."""
        return VampPriorVAE(self)


class VampPriorVAE(VAE):
    r"""A prior that lies where the posteriors lie: the mixture of those of K learned images.

    .. math:: p(z) = \frac1K \sum_{k=1}^K q(z \mid u_k)

    The best prior for given encoder and decoder is the average posterior of all images; K pseudo-inputs :math:`u_k`
    stand for them (equation 9). They are learned together with the weights and kept in the range of scaled pixels by a
    tanh. The KL to a mixture has no closed form and is estimated from the draw: it may be negative for a single image.

    Samples need the encoder, which makes the prior of the pseudo-inputs. Their temperature scales the standard
    deviation of the mixture's components; which of them is drawn stays random.

    With a single pseudo-input the prior is the posterior of that image:

    >>> model = VampPriorVAEConfig(pseudo_inputs=1, latent_dim=2).build()
    >>> z = torch.randn(4, 2)
    >>> bool(torch.allclose(model.log_prior(z), model.components().log_prob(z)))
    True
    """

    config: VampPriorVAEConfig

    def __init__(self, config: VampPriorVAEConfig) -> None:
        super().__init__(config)
        # Grey images with a little noise: equal pseudo-inputs would stay equal.
        self.raw_pseudo_inputs = nn.Parameter(0.5 * torch.randn(config.pseudo_inputs, self.num_dims))

    def components(self) -> DiagonalGaussian:
        """The components of the prior, with elements ``(pseudo_inputs, latent_dim)``."""
        mean, log_std = at_least_float32(self.encoder(torch.tanh(self.raw_pseudo_inputs))).chunk(2, dim=1)
        return DiagonalGaussian(mean, log_std)

    def log_prior(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch"]:
        components = self.components()
        of_pairs = DiagonalGaussian(components.mean[None], components.log_std[None])
        log_prob = of_pairs.log_prob_per_element(z[:, None]).sum(dim=2)  # (batch, component)
        return torch.logsumexp(log_prob, dim=1) - math.log(self.config.pseudo_inputs)

    def prior_of(self, z: Float[Tensor, "batch latent"]) -> MixtureSameFamily:
        components = self.components()
        weights = Categorical(logits=components.mean.new_zeros(self.config.pseudo_inputs))
        return MixtureSameFamily(weights, Independent(Normal(components.mean, components.log_std.exp()), 1))

    def draw_prior(
        self, n: int, temperature: float = 1.0, generator: Generator | None = None
    ) -> Float[Tensor, "n latent"]:
        components = self.components()
        weights = components.mean.new_ones(self.config.pseudo_inputs)
        device = weights.device if generator is None else generator.device
        chosen = torch.multinomial(weights.to(device), n, replacement=True, generator=generator).to(weights.device)
        of_chosen = DiagonalGaussian(components.mean[chosen], components.log_std[chosen])
        return of_chosen.sample(temperature=temperature, generator=generator)

    def kl(self, posterior: DiagonalGaussian, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch"]:
        """log q(z | x) − log p(z) at the draw, nats: an unbiased estimate of the KL of each example."""
        return posterior.log_prob(z) - self.log_prior(z)
