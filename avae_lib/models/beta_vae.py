"""The β-VAE of Higgins et al. (2017): a KL that costs more than it does in the bound."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Generator, Tensor

from avae_lib.models.requirements import require_at_least
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.objectives import ELBO

__all__ = ["BetaVAE", "BetaVAEConfig"]


@dataclass(frozen=True)
class BetaVAEConfig(VAEConfig):
    """Configuration of a β-VAE.

    With β = 1 it is the VAE; the penalty is zero:

    >>> import torch
    >>> x = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> BetaVAEConfig(beta=1.0).build()(x).penalties["beta"].detach()
    tensor([0., 0.])
    """

    beta: float = 4.0
    """Weight of the KL in the objective; 1 gives the VAE."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, self, "beta")

    def build(self) -> BetaVAE:
        """A model with fresh weights."""
        return BetaVAE(self)


class BetaVAE(VAE):
    r"""A VAE that pays β nats for each nat of information about the image.

    .. math:: \mathbb{E}_q[\log p(x \mid z)] - \beta\, \mathrm{KL}\bigl(q(z \mid x)\,\|\,p(z)\bigr)

    With β above 1 fewer latents are used, and those tend to vary with one factor of the data each (equation 4). The
    bound stays the VAE's: the objective adds the penalty (β − 1) · KL to it.

    A weight that changes during training multiplies the KL of the bound alone, so that it adds to β − 1
    (``training.kl_weight.final``).

    >>> import torch
    >>> elbo = BetaVAEConfig(beta=3.0).build()(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    >>> bool(torch.allclose(elbo.penalties["beta"], 2 * elbo.kl.sum(dim=1)))
    True
    """

    config: BetaVAEConfig

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        elbo = super().forward(x, posterior_temperature, generator)
        return ELBO(elbo.log_likelihood, elbo.kl, {"beta": (self.config.beta - 1) * elbo.kl.sum(dim=1)})
