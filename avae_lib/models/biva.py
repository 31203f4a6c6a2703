"""BIVA: at each level some latents are drawn on the way up and some on the way down; skip paths join all levels.

L. Maaløe, M. Fraccaro, V. Liévin, O. Winther, "BIVA: A Very Deep Hierarchy of Latent Variables for Generative
Modeling", NeurIPS 2019. Here with fully-connected networks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.models.hierarchy import Draw, Hierarchy, LatentDraw, SingleSampleDraw
from avae_lib.models.ladder import GaussianOf, StandardPrior, ZeroTop, hidden_layers, onto_pixels
from avae_lib.models.requirements import require_at_least, require_image_kind, require_mixtures_used, require_sizes
from avae_lib.nn.convolutions import PixelScaling
from avae_lib.nn.output_heads import output_head

__all__ = ["BIVAConfig"]


@dataclass(frozen=True)
class BIVAConfig:
    """What a BIVA is made of: fully-connected networks, in sizes nearest the image first.

    >>> BIVAConfig(latent_dims=(8, 4, 4)).build().num_layers  # up and down at two levels, and the top
    5
    """

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    bits: int = 1
    """Bits per pixel value; 1 for binarised images."""
    latent_dims: tuple[int, ...] = (8, 4, 4)
    """Latent variables of each level, nearest the image first: this many are drawn on the way up and as many on the
    way down; at the top level this many in all. L levels make 2 L − 1 stochastic layers."""
    hidden_sizes: tuple[int, ...] = (64, 64, 32)
    """Width of the two hidden layers of each network of a level, nearest the image first."""
    batch_norm: bool = True
    """Whether hidden layers are normalised over the batch."""
    likelihood: str = "bernoulli"
    """Likelihood of a pixel: bernoulli (1 bit), discretized_logistic or discretized_logistic_mixture."""
    mixtures: int = 1
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
        require_sizes(self, "latent_dims", "hidden_sizes")
        require_at_least(1, self, "mixtures")

    def build(self) -> Hierarchy:
        """A model with fresh weights."""
        width = self.hidden_sizes[0]
        return Hierarchy(
            bottom_up=_ascent(self),
            top=EmptyTop(self.latent_dims[-1]),
            layers=_layers(self),
            readout=Joined(hidden_layers(_handed_down(self, 0), width, self.batch_norm)),
            head=_head(self),
            image_shape=self.image_shape,
            bits=self.bits,
        )


@dataclass(frozen=True)
class SkipDescent:
    """What the levels above hand down."""

    latents: Float[Tensor, "batch latent"]
    """The latents of the nearest level, side by side."""
    streams: tuple[Float[Tensor, "batch _"], ...] = ()
    """The deterministic features of all levels above, top first: the skip paths."""

    def joined(self) -> Float[Tensor, "batch features"]:
        """All of it side by side."""
        return torch.cat((self.latents, *self.streams), dim=1)


class Joined(nn.Module):
    """A network that reads all that is handed down."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, above: SkipDescent) -> Float[Tensor, "batch features"]:
        return self.network(above.joined())


class EmptyTop(ZeroTop):
    """What is handed down to the first layer: zeros in the shape of its latent, and no skip paths yet."""

    def forward(self, batch: int) -> SkipDescent:
        return SkipDescent(super().forward(batch))


class BidirectionalAscent(nn.Module):
    r"""The way up: deterministic features of each level, and of the latents those that are drawn on the way.

    .. math:: d_i = \mathrm{MLP}(d_{i-1} \oplus z^{\uparrow}_{i-1}), \quad d_1 = \mathrm{MLP}(x), \qquad
              z^{\uparrow}_i \sim q(z^{\uparrow}_i \mid d_i)

    Args:
        networks: the MLPs, lowest first.
        gaussians: from d_i to the posterior, lowest first; the last one is that of the top level.
    """

    def __init__(self, networks: Sequence[nn.Module], gaussians: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.gaussians = nn.ModuleList(gaussians)

    def forward(self, x: UInt8[Tensor, "batch c h w"], draws: Sequence[Draw]) -> tuple:
        """Evidence, top first: the top's posterior; then for each level draw and posterior, and its features."""
        below = x
        evidence = []
        # Lowest first; layers are counted from the top, and each level's second goes down.
        drawn_upwards = draws[-2::-2]
        for network, gaussian, draw in zip(self.networks, self.gaussians, drawn_upwards, strict=False):
            features = network(below)
            posterior = gaussian(features)
            z = draw(posterior)
            evidence += [features, (z, posterior)]
            below = torch.cat((features, z), dim=1)
        top = self.gaussians[-1](self.networks[-1](below))
        return top, *evidence[::-1]


class TopLayer(nn.Module):
    """z_L, drawn given the features of the top level."""

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, above: SkipDescent, evidence: Sequence | None, draw: Draw) -> tuple[SkipDescent, LatentDraw]:
        prior = self.prior(above.latents)
        posterior = None if evidence is None else evidence[0]
        z = draw(prior if posterior is None else posterior)
        return SkipDescent(z), LatentDraw(z, prior, posterior)


class UpwardLayer(nn.Module):
    """The latents of a level that were drawn on the way up.

    Opens its level: makes the deterministic features of the way down. Its KL is read off the draw, since the latents
    that tell its prior were drawn given this one.

    Args:
        network: from all that is handed down to the level's features.
        prior: from these to p(z↑ | levels above).
    """

    def __init__(self, network: nn.Module, prior: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.prior = prior

    def forward(self, above: SkipDescent, evidence: Sequence | None, draw: Draw) -> tuple[SkipDescent, LatentDraw]:
        stream = self.network(above)
        prior = self.prior(stream)
        if evidence is None:
            latent = LatentDraw(draw(prior), prior, None)
        else:
            z, posterior = evidence[0]
            latent = SingleSampleDraw(z, prior, posterior, log_posterior=posterior.log_prob(z))
        return SkipDescent(latent.z, (*above.streams, stream)), latent


class DownwardLayer(nn.Module):
    """The latents of a level that are drawn on the way down, given the features of both ways.

    Args:
        prior: from the level's features of the way down to p(z↓ | levels above).
        posterior: from the features of the way up and of the way down, side by side, to q(z↓ | levels above, x).
    """

    def __init__(self, prior: nn.Module, posterior: nn.Module) -> None:
        super().__init__()
        self.prior = prior
        self.posterior = posterior

    def forward(self, above: SkipDescent, evidence: Sequence | None, draw: Draw) -> tuple[SkipDescent, LatentDraw]:
        stream = above.streams[-1]
        prior = self.prior(stream)
        posterior = None if evidence is None else self.posterior(torch.cat((evidence[0], stream), dim=1))
        z = draw(prior if posterior is None else posterior)
        return SkipDescent(torch.cat((above.latents, z), dim=1), above.streams), LatentDraw(z, prior, posterior)


def _handed_down(config: BIVAConfig, level: int) -> int:
    """Numbers handed down from a level, 0 for the one nearest the image: its latents and the streams down to it."""
    is_top = level == len(config.latent_dims) - 1
    return config.latent_dims[level] * (1 if is_top else 2) + sum(config.hidden_sizes[level:-1])


def _layers(config: BIVAConfig) -> list[nn.Module]:
    levels_below_the_top = reversed(range(len(config.latent_dims) - 1))
    return [TopLayer(StandardPrior()), *(layer for level in levels_below_the_top for layer in _level(config, level))]


def _level(config: BIVAConfig, level: int) -> tuple[UpwardLayer, DownwardLayer]:
    width = config.hidden_sizes[level]
    dim = config.latent_dims[level]
    network = Joined(hidden_layers(_handed_down(config, level + 1), width, config.batch_norm))
    both_ways = nn.Sequential(hidden_layers(2 * width, width, config.batch_norm), GaussianOf(width, dim))
    return UpwardLayer(network, GaussianOf(width, dim)), DownwardLayer(GaussianOf(width, dim), both_ways)


def _ascent(config: BIVAConfig) -> BidirectionalAscent:
    first, *others = config.hidden_sizes
    below = [width + dim for width, dim in zip(config.hidden_sizes, config.latent_dims, strict=True)]
    of_pixels = hidden_layers(math.prod(config.image_shape), first, config.batch_norm)
    return BidirectionalAscent(
        networks=[
            nn.Sequential(PixelScaling(config.bits), nn.Flatten(), of_pixels),
            *(hidden_layers(inputs, width, config.batch_norm) for inputs, width in zip(below, others, strict=False)),
        ],
        gaussians=[GaussianOf(width, dim) for width, dim in zip(config.hidden_sizes, config.latent_dims, strict=True)],
    )


def _head(config: BIVAConfig) -> nn.Module:
    project = functools.partial(onto_pixels, config.image_shape[1:])
    channels, _, _ = config.image_shape
    return output_head(config.likelihood, config.hidden_sizes[0], channels, config.bits, config.mixtures, project)
