"""The importance-weighted autoencoder of Burda, Grosse & Salakhutdinov (2016)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Generator, Tensor

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.requirements import require_at_least, require_temperature
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.objectives import ELBO, importance_weighted_bound

__all__ = ["IWAE", "IWAEConfig"]


@dataclass(frozen=True)
class IWAEConfig(VAEConfig):
    """Configuration of an importance-weighted autoencoder.

    >>> import torch
    >>> x = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> IWAEConfig(importance_samples=1).build()(x).penalties["importance_weighting"].abs() < 1e-4  # the VAE
    tensor([True, True])
    """

    importance_samples: int = 5
    """Draws k of the bound that training maximises; 1 gives the VAE's own bound."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(1, self, "importance_samples")

    def build(self) -> IWAE:
        """A model with fresh weights."""
        return IWAE(self)


class IWAE(VAE):
    r"""A VAE trained on a tighter bound, the logarithm of the mean of k importance weights.

    .. math:: \mathcal{L}_k = \mathbb{E}\Bigl[\log \frac1k \sum_{i=1}^k w_i\Bigr], \qquad
              w_i = \frac{p(x \mid z_i)\, p(z_i)}{q(z_i \mid x)}, \qquad
              \mathcal{L}_1 \le \mathcal{L}_2 \le \dots \le \log p(x)

    In training mode the terms are means over the k draws, and the KL is estimated from the same draws. The penalty is
    the ordinary bound minus :math:`\mathcal{L}_k` (equation 8), never positive, so that the loss is
    :math:`-\mathcal{L}_k` wherever the KL has its full weight. In evaluation mode the model returns the terms of the
    ordinary bound, as a :class:`~avae_lib.models.vae.VAE` does.

    >>> import torch
    >>> model = IWAEConfig(importance_samples=5).build()
    >>> model(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).penalties["importance_weighting"] < 0
    tensor([True, True])
    """

    config: IWAEConfig

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        if not self.training:
            return super().forward(x, posterior_temperature, generator)
        require_temperature("posterior_temperature", posterior_temperature)
        k = self.config.importance_samples
        posterior = self.posterior(x)
        repeated = DiagonalGaussian(posterior.mean.repeat(k, 1), posterior.log_std.repeat(k, 1))
        z = repeated.sample(temperature=posterior_temperature, generator=generator)
        log_likelihood = self.log_likelihood(x.repeat(k, 1, 1, 1), z).reshape(k, len(x))
        kl = (repeated.log_prob(z) - self.log_prior(z)).reshape(k, len(x))
        log_weights = log_likelihood - kl
        penalty = log_weights.mean(dim=0) - importance_weighted_bound(log_weights)
        return ELBO(log_likelihood.mean(dim=0), kl.mean(dim=0).unsqueeze(1), {"importance_weighting": penalty})
