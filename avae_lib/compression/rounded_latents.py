"""The cost of rounding latents to bins: the same draws with and without rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.compression.latent_walk import Relative, latent_walk
from avae_lib.models.requirements import require_pixels

__all__ = ["NetBits", "net_bits"]


@dataclass(frozen=True)
class NetBits:
    """Net length of each image under bits back, bits, for one draw of the latents, with and without rounding.

    >>> bits = torch.tensor([20.0])
    >>> net = NetBits(latents=bits, pixels=bits, rounded_latents=bits + 1, rounded_pixels=bits)
    >>> net.rounded - net.continuous
    tensor([1.])
    """

    latents: Float[Tensor, "examples"]
    """log2 of q(z | x)/p(z), whose mean over draws is the KL."""
    pixels: Float[Tensor, "examples"]
    """log2 of 1/p(x | z)."""
    rounded_latents: Float[Tensor, "examples"]
    """The same with densities replaced by the masses of z's bin."""
    rounded_pixels: Float[Tensor, "examples"]
    """The same with z moved to the middle of its bin."""

    @property
    def continuous(self) -> Float[Tensor, "examples"]:
        """Without rounding; the mean over draws is −ELBO."""
        return self.latents + self.pixels

    @property
    def rounded(self) -> Float[Tensor, "examples"]:
        """As :class:`~avae_lib.compression.bits_back.BitsBack` codes."""
        return self.rounded_latents + self.rounded_pixels


@torch.no_grad()
def net_bits(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    latent_bits: int,
    generator: Generator | None = None,
) -> NetBits:
    r"""Net lengths with and without rounding, from one uniform number v for each latent.

    Both take the v-quantile of their posterior: one as it is, the other rounded to one of :math:`2^b` bins of equal
    prior mass, as :class:`~avae_lib.compression.bits_back.BitsBack` does. Common noise makes the small difference
    visible despite the spread over draws. All images go through the model at once.

    Args:
        model: as for :func:`~avae_lib.compression.latent_walk.latent_walk`.
        latent_bits: b, 1 to 30.
        generator: source of the uniform numbers.

    >>> from avae_lib.models.vae import VAEConfig
    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch...>
    >>> model = VAEConfig(image_shape=(1, 4, 4), latent_dim=2, hidden_sizes=(8,)).build()
    >>> both = net_bits(model, torch.zeros(5, 1, 4, 4, dtype=torch.uint8), latent_bits=20)
    >>> (both.rounded - both.continuous).abs().max().item() < 1e-2
    True
    """
    if not 1 <= latent_bits <= 30:
        raise ValueError(f"latent_bits must be 1 … 30, got {latent_bits!r}")
    walk = latent_walk(model)
    require_pixels(images, walk.image_shape, walk.bits)
    evidence = walk.evidence(images)
    exact = rounded = walk.start(len(images))
    exact_cost = rounded_cost = torch.zeros(len(images), dtype=torch.float64)
    for layer, shape in enumerate(walk.latent_shapes):
        v = torch.rand(len(images), *shape, dtype=torch.float64, generator=generator)
        u, cost = _continuous(walk.posterior(exact, layer, evidence), v)
        exact, exact_cost = walk.descend(exact, layer, u), exact_cost + cost
        u, cost = _rounded(walk.posterior(rounded, layer, evidence), v, latent_bits)
        rounded, rounded_cost = walk.descend(rounded, layer, u), rounded_cost + cost
    exact_pixels, rounded_pixels = (-walk.log_likelihood(state, images) / math.log(2) for state in (exact, rounded))
    return NetBits(exact_cost, exact_pixels, rounded_cost, rounded_pixels)


def _continuous(posterior: Relative, v: Tensor) -> tuple[Tensor, Float[Tensor, "batch"]]:
    """u and log2 q(u)/p(u), with p the standard normal."""
    noise = torch.special.ndtri(v)
    u = posterior.shift + posterior.ratio * noise
    nats = 0.5 * (u.square() - noise.square()) - posterior.ratio.log()
    return u, nats.flatten(1).sum(1) / math.log(2)


def _rounded(posterior: Relative, v: Tensor, latent_bits: int) -> tuple[Tensor, Float[Tensor, "batch"]]:
    """The middle of u's bin and log2 q(bin)/p(bin)."""
    bins = 1 << latent_bits
    u, _ = _continuous(posterior, v)
    k = (torch.special.ndtr(u) * bins).floor().clamp(max=bins - 1)
    edges = (torch.special.ndtri((k + step) / bins) - posterior.shift for step in (0, 1))
    low, high = (edge / posterior.ratio for edge in edges)
    # Above the mean, differences of upper tails keep their digits.
    flip = low > 0
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    mass = (torch.special.ndtr(high) - torch.special.ndtr(low)).clamp(min=2.0**-60)
    return torch.special.ndtri((k + 0.5) / bins), (mass.log2() + latent_bits).flatten(1).sum(1)
