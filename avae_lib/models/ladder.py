"""The Ladder VAE and the plain stack of latents that it improves on: one argument between them.

C. K. Sønderby, T. Raiko, L. Maaløe, S. K. Sønderby, O. Winther, "Ladder Variational Autoencoders", NeurIPS 2016.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian, precision_weighted
from avae_lib.models.hierarchy import Draw, Hierarchy, LatentDraw, SingleSampleDraw
from avae_lib.models.requirements import require_at_least, require_image_kind, require_mixtures_used, require_sizes
from avae_lib.nn.convolutions import PixelScaling
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.precision import at_least_float32, without_autocast
from avae_lib.nn.residual_posteriors import bounded_log_std

__all__ = ["GaussianOf", "LadderConfig", "StandardPrior", "ZeroTop", "hidden_layers", "onto_pixels"]


@dataclass(frozen=True)
class LadderConfig:
    """What a Ladder VAE or its plain twin is made of: fully-connected networks, in sizes nearest the image first.

    >>> model = LadderConfig(latent_dims=(16, 8, 4)).build()
    >>> posteriors = model.latents(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    >>> [tuple(posterior.mean.shape) for posterior in posteriors]  # the top layer first
    [(2, 4), (2, 8), (2, 16)]
    """

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    bits: int = 1
    """Bits per pixel value; 1 for binarised images."""
    inference: Literal["ladder", "bottom_up"] = "ladder"
    """Where the posterior of a layer comes from: the image and the layers above it, merged by their precisions
    (ladder), or the layer below it alone (bottom_up, the plain stack)."""
    latent_dims: tuple[int, ...] = (16, 8, 4)
    """Number of latent variables of each layer, nearest the image first."""
    hidden_sizes: tuple[int, ...] = (64, 64, 32)
    """Width of the two hidden layers between a layer of latents and what is below it, nearest the image first."""
    batch_norm: bool = True
    """Whether hidden layers are normalised over the batch."""
    likelihood: str = "bernoulli"
    """Likelihood of a pixel: bernoulli (1 bit), discretized_logistic or discretized_logistic_mixture."""
    mixtures: int = 1
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
        if self.inference not in ("ladder", "bottom_up"):
            raise InvalidInput(f"inference must be ladder or bottom_up, got {self.inference!r}")
        require_sizes(self, "latent_dims", "hidden_sizes")
        require_at_least(1, self, "mixtures")

    def build(self) -> Hierarchy:
        """A model with fresh weights."""
        ladder = self.inference == "ladder"
        return Hierarchy(
            bottom_up=_deterministic_ascent(self) if ladder else _drawing_ascent(self),
            top=ZeroTop(self.latent_dims[-1]),
            layers=_ladder_layers(self) if ladder else _stacked_layers(self),
            readout=hidden_layers(self.latent_dims[0], self.hidden_sizes[0], self.batch_norm),
            head=_head(self),
            image_shape=self.image_shape,
            bits=self.bits,
        )


class ZeroTop(nn.Module):
    """What is handed down to the first layer: zeros in the shape of its latent.

    Args:
        latent_dim: number of latent variables of the top layer.

    >>> ZeroTop(latent_dim=3)(2)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """

    zero: Float[Tensor, "1 latent"]

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(1, latent_dim), persistent=False)

    def forward(self, batch: int) -> Float[Tensor, "batch latent"]:
        return self.zero.expand(batch, -1)


class DeterministicAscent(nn.Module):
    r"""The way up of a Ladder VAE: no latent is drawn.

    .. math:: d_n = \mathrm{MLP}(d_{n-1}), \quad d_0 = x, \qquad \hat q_n = \mathcal{N}(\hat\mu(d_n), \hat\sigma^2(d_n))

    Sønderby et al. (2016).

    Args:
        networks: the MLPs, lowest first.
        gaussians: from d_n to the Gaussian of z_n given the image alone, lowest first.
    """

    def __init__(self, networks: Sequence[nn.Module], gaussians: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.gaussians = nn.ModuleList(gaussians)

    def forward(self, x: UInt8[Tensor, "batch c h w"], draws: Sequence[Draw]) -> tuple[DiagonalGaussian, ...]:
        features = x
        evidence = []
        for network, gaussian in zip(self.networks, self.gaussians, strict=True):
            features = network(features)
            evidence.append(gaussian(features))
        return tuple(evidence[::-1])


class DrawingAscent(DeterministicAscent):
    r"""The way up of the plain stack: each latent is drawn given the one below it.

    .. math:: q(z \mid x) = q(z_1 \mid x) \prod_n q(z_{n+1} \mid z_n)
    """

    def forward(
        self, x: UInt8[Tensor, "batch c h w"], draws: Sequence[Draw]
    ) -> tuple[tuple[Tensor, DiagonalGaussian], ...]:
        below = x
        drawn = []
        for network, gaussian, draw in zip(self.networks, self.gaussians, reversed(draws), strict=True):
            posterior = gaussian(network(below))
            below = draw(posterior)
            drawn.append((below, posterior))
        return tuple(drawn[::-1])


class LadderLayer(nn.Module):
    r"""A layer whose posterior merges what the image says with what the layers above say.

    .. math:: q(z_n \mid z_{>n}, x) \propto \hat q_n(z_n)\, p(z_n \mid z_{n+1})

    Sønderby et al. (2016). At the top nothing is said from above, and q is the evidence itself.

    Args:
        prior: from the latent above to p(z_n | z_{n+1}).
        is_top: whether there is no layer above.
    """

    def __init__(self, prior: nn.Module, is_top: bool) -> None:
        super().__init__()
        self.prior = prior
        self.is_top = is_top

    def forward(
        self, above: Float[Tensor, "batch latent"], evidence: Sequence[DiagonalGaussian] | None, draw: Draw
    ) -> tuple[Tensor, LatentDraw]:
        prior = self.prior(above)
        posterior = None if evidence is None else self._posterior(evidence[0], prior)
        z = draw(prior if posterior is None else posterior)
        return z, LatentDraw(z, prior, posterior)

    def _posterior(self, evidence: DiagonalGaussian, prior: DiagonalGaussian) -> DiagonalGaussian:
        if self.is_top:
            return evidence
        merged = precision_weighted(evidence.mean, evidence.log_std, prior.mean, prior.log_std)
        return DiagonalGaussian(*merged)


class StackedLayer(nn.Module):
    """A layer of the plain stack: its latent was drawn on the way up.

    Its KL is read off that draw, since the latent above, which tells the prior, was drawn given this one.

    Args:
        prior: from the latent above to p(z_n | z_{n+1}).
    """

    own_wiring = "KL of latents drawn on the way up: own wiring, not gaussian_kl_per_layer"

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        self.prior = prior

    def forward(
        self, above: Float[Tensor, "batch latent"], evidence: Sequence[tuple] | None, draw: Draw
    ) -> tuple[Tensor, LatentDraw]:
        prior = self.prior(above)
        if evidence is None:
            z = draw(prior)
            return z, LatentDraw(z, prior, None)
        z, posterior = evidence[0]
        return z, SingleSampleDraw(z, prior, posterior, log_posterior=posterior.log_prob(z))


def _ascending_networks(config: LadderConfig, inputs: Sequence[int]) -> list[nn.Module]:
    """From the pixels, and then from ``inputs``, up to each width."""
    first, *others = config.hidden_sizes
    pixels = nn.Sequential(
        PixelScaling(config.bits), nn.Flatten(), hidden_layers(math.prod(config.image_shape), first, config.batch_norm)
    )
    return [
        pixels,
        *(hidden_layers(below, width, config.batch_norm) for below, width in zip(inputs, others, strict=False)),
    ]


def _ascending_gaussians(config: LadderConfig) -> list[nn.Module]:
    return [GaussianOf(width, dim) for width, dim in zip(config.hidden_sizes, config.latent_dims, strict=True)]


def _deterministic_ascent(config: LadderConfig) -> DeterministicAscent:
    return DeterministicAscent(_ascending_networks(config, config.hidden_sizes), _ascending_gaussians(config))


def _drawing_ascent(config: LadderConfig) -> DrawingAscent:
    return DrawingAscent(_ascending_networks(config, config.latent_dims), _ascending_gaussians(config))


def _priors(config: LadderConfig) -> list[nn.Module]:
    """p(z_L), p(z_{L−1} | z_L), …, p(z_1 | z_2)."""
    steps_down = zip(itertools.pairwise(config.latent_dims[::-1]), config.hidden_sizes[:0:-1], strict=True)
    return [
        StandardPrior(),
        *(
            nn.Sequential(hidden_layers(above, width, config.batch_norm), GaussianOf(width, dim))
            for (above, dim), width in steps_down
        ),
    ]


def _ladder_layers(config: LadderConfig) -> list[LadderLayer]:
    return [LadderLayer(prior, is_top=index == 0) for index, prior in enumerate(_priors(config))]


def _stacked_layers(config: LadderConfig) -> list[StackedLayer]:
    return [StackedLayer(prior) for prior in _priors(config)]


def _head(config: LadderConfig) -> nn.Module:
    project = functools.partial(onto_pixels, config.image_shape[1:])
    channels, _, _ = config.image_shape
    return output_head(config.likelihood, config.hidden_sizes[0], channels, config.bits, config.mixtures, project)


LEAK = 0.1
"""Slope of the rectifiers below zero (Sønderby et al., 2016)."""


def hidden_layers(inputs: int, width: int, batch_norm: bool) -> nn.Sequential:
    """Two hidden layers of the same width, with leaky rectifiers.

    >>> hidden_layers(inputs=5, width=8, batch_norm=False)(torch.zeros(3, 5)).shape
    torch.Size([3, 8])
    """
    layers: list[nn.Module] = []
    for before in (inputs, width):
        norm = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        layers += [nn.Linear(before, width), norm, nn.LeakyReLU(LEAK)]
    return _InFloat32(*layers) if batch_norm else nn.Sequential(*layers)


class _InFloat32(nn.Sequential):
    """Layers that autocast leaves in float32.

    Batch normalisation divides by the deviation of a unit. Where it is small, it would enlarge the rounding error of a
    linear layer in bfloat16.
    """

    def forward(self, input: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch features"]:
        with without_autocast(input):
            return super().forward(at_least_float32(input))


def onto_pixels(size: tuple[int, int], features: int, channels: int) -> nn.Sequential:
    """A linear layer from features to ``channels`` numbers at every pixel of a picture of that height and width.

    >>> onto_pixels((8, 8), features=32, channels=3)(torch.zeros(2, 32)).shape
    torch.Size([2, 3, 8, 8])
    """
    return nn.Sequential(nn.Linear(features, channels * math.prod(size)), nn.Unflatten(1, (channels, *size)))


class GaussianOf(nn.Module):
    """A diagonal Gaussian whose parameters are read off features by a linear map.

    Standard deviations stay between e^-5 and e^5; the softplus of Sønderby et al. (2016) can reach zero.

    >>> GaussianOf(features=16, latent_dim=3)(torch.zeros(2, 16)).mean.shape
    torch.Size([2, 3])
    """

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.parameters_of_z = nn.Linear(features, 2 * latent_dim)

    def forward(self, features: Float[Tensor, "batch features"]) -> DiagonalGaussian:
        mean, raw_log_std = at_least_float32(self.parameters_of_z(features)).chunk(2, dim=1)
        return DiagonalGaussian(mean, bounded_log_std(raw_log_std))


class StandardPrior(nn.Module):
    """A standard normal in the shape of what is handed in, whatever its values.

    >>> StandardPrior()(torch.full((1, 2), 7.0)).mean
    tensor([[0., 0.]])
    """

    def forward(self, above: Float[Tensor, "batch latent"]) -> DiagonalGaussian:
        return DiagonalGaussian.standard_like(above)
