"""A VAE whose decoder cannot ignore its latents: they move its outputs by at least a fixed factor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avae_lib.errors import InvalidInput
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.nn.output_heads import BernoulliHead
from avae_lib.nn.precision import at_least_float32

__all__ = ["InverseLipschitzVAE", "InverseLipschitzVAEConfig"]


@dataclass(frozen=True)
class InverseLipschitzVAEConfig(VAEConfig):
    """Configuration of a VAE with an inverse-Lipschitz decoder.

    >>> InverseLipschitzVAEConfig(latent_dim=2).build().logits(torch.zeros(3, 2)).shape
    torch.Size([3, 64])
    """

    inverse_lipschitz: float = 1.0
    """How far two images' logits are apart, at least, for each unit of distance between their latents."""
    convex_units: int = 64
    """Hidden units of the convex function whose gradient carries the bound."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("inverse_lipschitz", "convex_units"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidInput(f"{name} must be above 0, got {getattr(self, name)}")
        if self.likelihood != "bernoulli":
            raise InvalidInput(f"likelihood must be bernoulli, whose logits are bounded, got {self.likelihood!r}")
        if self.latent_dim > math.prod(self.image_shape):
            raise InvalidInput(f"latent_dim must be at most the number of pixels, got {self.latent_dim}")

    def build(self) -> InverseLipschitzVAE:
        """A model with fresh weights."""
        return InverseLipschitzVAE(self)


class InverseLipschitzVAE(VAE):
    r"""A decoder that keeps latents apart, after Kinoshita et al. (2023).

    The logits of the pixels are

    .. math:: f(z) = A\, g(z) + (I - A A^\top)\, r(z), \qquad g(z) = L z + \nabla\varphi(z), \qquad
              \varphi(z) = \sum_k c_k \log\cosh(w_k^\top z + b_k), \quad c_k \ge 0

    with a matrix A of orthonormal columns, one for each latent, and the VAE's own network for r. All but L is learned.

    **Claim.** :math:`\lVert f(z) - f(z') \rVert \ge L\, \lVert z - z' \rVert` for all z and z'.

    *Proof.* φ is convex: each log cosh is, and the weights are not negative. The gradient of a convex function is
    monotone, :math:`(\nabla\varphi(z) - \nabla\varphi(z'))^\top (z - z') \ge 0`. Therefore
    :math:`(g(z) - g(z'))^\top (z - z') \ge L \lVert z - z' \rVert^2`, and by Cauchy and Schwarz
    :math:`\lVert g(z) - g(z') \rVert \ge L \lVert z - z' \rVert`. As :math:`A^\top A = I`, we have
    :math:`A^\top f = g`: what r adds is orthogonal to the columns of A. Multiplying by :math:`A^\top` makes no vector
    longer, so :math:`\lVert f(z) - f(z') \rVert \ge \lVert g(z) - g(z') \rVert`. ∎

    Kinoshita et al. build the whole decoder of gradients of strongly convex functions. Here these act within the
    ``latent_dim`` directions of the pixels that A picks, and the other directions are free.

    >>> model = InverseLipschitzVAEConfig(latent_dim=2, inverse_lipschitz=3.0).build()
    >>> a, b = torch.randn(2, 50, 2)
    >>> bool(((model.logits(a) - model.logits(b)).norm(dim=1) >= 2.999 * (a - b).norm(dim=1)).all())
    True
    """

    config: InverseLipschitzVAEConfig

    def __init__(self, config: InverseLipschitzVAEConfig) -> None:
        super().__init__(config)
        latent_dim, units = config.latent_dim, config.convex_units
        self.head = BernoulliHead(nn.Identity())  # the decoder computes the logits itself
        self.free_logits = nn.Linear(config.hidden_sizes[0], self.num_dims)
        self.raw_directions = nn.Parameter(torch.randn(self.num_dims, latent_dim))
        self.convex = nn.Linear(latent_dim, units)
        self.raw_convex_weights = nn.Parameter(torch.zeros(units))

    def logits(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch dims"]:
        """f(z), one logit for each pixel."""
        directions = torch.linalg.qr(at_least_float32(self.raw_directions)).Q.to(self.raw_directions)
        free = at_least_float32(self.free_logits(self.decoder(z).relu()))
        return free + (self.monotone(z) - free @ directions) @ directions.mT

    def monotone(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """g(z), the gradient of a strongly convex function."""
        weights = functional.softplus(self.raw_convex_weights)
        return self.config.inverse_lipschitz * z + (weights * torch.tanh(self.convex(z))) @ self.convex.weight

    def _features(self, z: Tensor) -> Tensor:
        return self.logits(z)[:, :, None, None]
