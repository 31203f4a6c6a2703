r"""Wake-sleep: the two halves of a latent-variable model, each trained on what the other one makes.

G. Hinton, P. Dayan, B. Frey and R. Neal, "The wake-sleep algorithm for unsupervised neural networks", Science, 1995.
Kingma & Welling (2014, figure 2) compare it with the variational autoencoder.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

__all__ = ["LatentModel", "sleep_loss", "wake_loss"]


class LatentModel(Protocol):
    """What the learners here need of a model with a standard normal prior over one latent vector per image."""

    def posterior(self, x: Float[Tensor, "batch pixels"]) -> Distribution:
        """q(z | x), with independent coordinates ``(batch, latent)``."""

    def log_likelihood(self, x: Float[Tensor, "batch pixels"], z: Float[Tensor, "batch latent"]) -> Tensor:
        """log p(x | z) of each pair, ``(batch,)``, nats."""

    def sample_pixels(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixels"]:
        """A draw from p(x | z) for each row."""


def wake_loss(model: LatentModel, x: Float[Tensor, "batch pixels"]) -> Float[Tensor, ""]:
    r"""What trains the decoder: minus the log-likelihood of real images under codes that the encoder draws, in nats.

    .. math:: -\frac1B \sum_b \log p_\theta(x_b \mid z_b), \qquad z_b \sim q_\phi(z \mid x_b)

    No gradient reaches the encoder.
    """
    with torch.no_grad():
        z = model.posterior(x).sample()
    return -model.log_likelihood(x, z).mean()


def sleep_loss(model: LatentModel, z: Float[Tensor, "batch latent"]) -> Float[Tensor, ""]:
    r"""What trains the encoder: minus the log-density it gives to the true codes of dreamt images, in nats.

    .. math:: -\frac1B \sum_b \log q_\phi(z_b \mid x_b), \qquad x_b \sim p_\theta(x \mid z_b)

    Its expectation over :math:`z \sim p(z)` is, up to a constant, :math:`\mathbb{E}_{p_\theta(x)}
    \mathrm{KL}(p_\theta(z \mid x) \,\|\, q_\phi(z \mid x))`: the divergence of the ELBO the other way round, and over
    the model's images instead of real ones. No gradient reaches the decoder.

    Args:
        z: draws from the prior, ``(batch, latent)``.
    """
    with torch.no_grad():
        x = model.sample_pixels(z)
    return -model.posterior(x).log_prob(z).sum(dim=-1).mean()
