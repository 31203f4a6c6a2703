"""The InfoVAE of Zhao, Song & Ermon (2019): information weighed apart from the match with the prior."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Generator, Tensor

from avae_lib.errors import InvalidInput
from avae_lib.models.aggregate_posterior import distance_of_batch, mmd_to_prior
from avae_lib.models.requirements import require_at_least, require_temperature
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.objectives import ELBO

__all__ = ["InfoVAE", "InfoVAEConfig"]


@dataclass(frozen=True)
class InfoVAEConfig(VAEConfig):
    """Configuration of an InfoVAE.

    >>> import torch
    >>> x = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    >>> penalties = InfoVAEConfig(alpha=0.0, mmd_weight=0.0).build()(x).penalties  # the VAE
    >>> {name: penalty.abs().max().item() for name, penalty in penalties.items()}
    {'information': 0.0, 'mmd': 0.0}
    """

    alpha: float = 0.5
    """Weight of the information between image and latents, at most 1: the KL of each image counts 1 − alpha."""
    mmd_weight: float = 10.0
    """Weight of the maximum mean discrepancy between all latents and the prior; alpha + lambda − 1 in the paper."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, self, "mmd_weight")
        if not self.alpha <= 1:
            raise InvalidInput(f"alpha must be at most 1: a KL of negative weight has no bound; got {self.alpha}")

    def build(self) -> InfoVAE:
        """A model with fresh weights."""
        return InfoVAE(self)


class InfoVAE(VAE):
    r"""A VAE that may keep information on the image, as long as all its latents together look like the prior.

    .. math:: \mathbb{E}_q[\log p(x \mid z)] - (1 - \alpha)\, \mathrm{KL}\bigl(q(z \mid x)\,\|\,p(z)\bigr)
              - (\alpha + \lambda - 1)\, D\bigl(q(z)\,\|\,p(z)\bigr), \qquad q(z) = \mathbb{E}_x\, q(z \mid x)

    Equation 6 of the paper, with the squared maximum mean discrepancy for D. The bound stays the VAE's; two penalties
    make the difference: ``information`` is −α · KL, ``mmd`` the last term, estimated from the batch.

    >>> import torch
    >>> elbo = InfoVAEConfig(alpha=1.0).build()(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
    >>> bool(torch.allclose(elbo.penalties["information"], -elbo.kl.sum(dim=1)))  # information costs nothing
    True
    """

    config: InfoVAEConfig

    compares_images = "its distance from the prior compares the images of a batch"

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        posterior = self.posterior(x)
        z = posterior.sample(temperature=posterior_temperature, generator=generator)
        kl = self.kl(posterior, z)
        distance = distance_of_batch(functools.partial(mmd_to_prior, generator=generator), z, self.training)
        penalties = {"information": -self.config.alpha * kl, "mmd": self.config.mmd_weight * distance}
        return ELBO(self.log_likelihood(x, z), kl.unsqueeze(1), penalties)
