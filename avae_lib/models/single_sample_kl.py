"""A latent whose KL has no closed form: one draw stands for the expectation."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from avae_lib.models.hierarchy import LatentDraw

__all__ = ["SingleSampleDraw"]


@dataclass(frozen=True)
class SingleSampleDraw(LatentDraw):
    r"""A latent drawn from a posterior whose KL to the prior is estimated at the draw itself.

    .. math:: \mathrm{KL}(q\,\|\,p) = \mathbb{E}_q\Bigl[\log\frac{q(z)}{p(z)}\Bigr] \approx \log q(z) - \log p(z)

    Without bias, but a single estimate may be negative. Needed where q is no Gaussian (flows), and where the prior is
    told by a latent that was itself drawn given this one (inference upwards): there the closed form would average
    over this latent once more, as if the other didn't depend on it.
    """

    log_posterior: Float[Tensor, "batch"]
    """log q(z), nats."""

    def kl(self) -> Float[Tensor, "batch"]:
        """An unbiased estimate of KL(q‖p) of this layer, nats."""
        return -self.log_ratio()

    def log_ratio(self) -> Float[Tensor, "batch"]:
        return self.prior.log_prob(self.z) - self.log_posterior
