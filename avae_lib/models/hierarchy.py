"""Hierarchies of latents: evidence going up, a list of stochastic layers going down, a likelihood.

:class:`Hierarchy` is the skeleton of them all. :class:`HierarchyConfig` fills it on one spatial scale, with layers that
are conditioned on the layer above them (``conditioning="local"``) or on all of them (``conditioning="attentive"``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.likelihoods import scale_pixels
from avae_lib.models.bottom_up import BottomUp
from avae_lib.models.contract import temperature_of_each_layer
from avae_lib.models.pixel_input import require_pixels
from avae_lib.models.variational_layer import Draw, LatentDraw, LearnedTop, StreamReadout, VariationalLayer
from avae_lib.nn.context_split import AttentiveSplit, LocalSplit
from avae_lib.nn.convolutions import convolution, joining_convolution
from avae_lib.nn.depthwise_attention import AttentiveConditioning, LocalConditioning
from avae_lib.nn.gaussian_conditionals import PosteriorConditional, PriorConditional
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.residual_cells import ResidualBlock, residual_cell
from avae_lib.objectives import ELBO

__all__ = ["Hierarchy", "HierarchyConfig"]


class Hierarchy(nn.Module):
    r"""Images explained by a chain of latents, each drawn given all those above it.

    .. math::
        p(x, z) = p(x \mid z_{\le L}) \prod_{l=1}^{L} p(z_l \mid z_{<l}), \qquad
        q(z \mid x) = \prod_{l=1}^{L} q(z_l \mid z_{<l}, x)

    Families of hierarchies differ in their parts, never in the walk down the layers, which is here. What the layers
    hand down is theirs to choose: the skeleton passes it on unseen. Meets
    :class:`avae_lib.models.contract.LatentVariableModel`.

    Args:
        bottom_up: from scaled pixels to a sequence of evidence, one item or more for each layer, top first.
        top: from a number of images to what is handed down to the first layer.
        layers: stochastic layers, top first. Each maps (what is handed down, the evidence at and below it or None,
            how to draw) to (what it hands down, a ``LatentDraw``).
        readout: from what the last layer hands down to the features of the head.
        head: the likelihood, see :mod:`avae_lib.nn.output_heads`.
        image_shape: channels, height and width.
        bits: bits per pixel value.
    """

    def __init__(
        self,
        *,
        bottom_up: nn.Module,
        top: nn.Module,
        layers: Sequence[nn.Module],
        readout: nn.Module,
        head: nn.Module,
        image_shape: tuple[int, int, int],
        bits: int,
    ) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        self.top = top
        self.layers = nn.ModuleList(layers)
        self.readout = readout
        self.head = head
        self.image_shape, self.bits = tuple(image_shape), bits
        self.num_dims, self.num_layers = math.prod(image_shape), len(layers)

    def forward(self, x: UInt8[Tensor, "batch channels height width"], posterior_temperature: float = 1.0) -> ELBO:
        features, latents = self._infer(x, posterior_temperature)
        kl = torch.stack([latent.kl() for latent in latents], dim=1)
        return ELBO(self.head.log_likelihood(features, x), kl)

    def log_weight(self, x: UInt8[Tensor, "batch channels height width"]) -> Float[Tensor, "batch"]:
        features, latents = self._infer(x)
        return self.head.log_likelihood(features, x) + sum(latent.log_ratio() for latent in latents)

    def latents(self, x: UInt8[Tensor, "batch channels height width"]) -> tuple[DiagonalGaussian, ...]:
        _, latents = self._infer(x)
        return tuple(latent.posterior for latent in latents)

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        temperatures = temperature_of_each_layer(temperature, self.num_layers)
        features, _ = self._descend(n, [Draw(of_layer, generator) for of_layer in temperatures])
        return self.head.sample(features, generator)

    @torch.no_grad()
    def reconstruct(
        self, x: UInt8[Tensor, "batch channels height width"], keep_layers: int | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        keep_layers = self.num_layers if keep_layers is None else keep_layers
        if not 0 <= keep_layers <= self.num_layers:
            raise ValueError(f"keep_layers must be None or 0 … {self.num_layers} (all layers), got {keep_layers}")
        features, _ = self._descend(len(x), [Draw()] * self.num_layers, self._evidence(x), keep_layers)
        return self.head.mean(features).round().to(torch.uint8)

    def _infer(self, x: Tensor, temperature: float = 1.0) -> tuple[Tensor, list[LatentDraw]]:
        """Features and latents with every layer drawn from its posterior."""
        return self._descend(len(x), [Draw(temperature)] * self.num_layers, self._evidence(x), self.num_layers)

    def _descend(
        self, batch: int, draws: Sequence[Draw], evidence: Sequence | None = None, keep_layers: int = 0
    ) -> tuple[Tensor, list[LatentDraw]]:
        """Walk down the layers, drawing the top ``keep_layers`` from the posterior and the others from the prior."""
        handed_down, latents = self.top(batch), []
        for index, (layer, draw) in enumerate(zip(self.layers, draws, strict=True)):
            at_and_below = evidence[index:] if index < keep_layers else None
            handed_down, latent = layer(handed_down, at_and_below, draw)
            latents.append(latent)
        return self.readout(handed_down), latents

    def _evidence(self, x: Tensor) -> Sequence:
        require_pixels(x, self.image_shape, self.bits)
        return self.bottom_up(scale_pixels(x, self.bits))


@dataclass(frozen=True)
class HierarchyConfig:
    """What a hierarchy on one spatial scale is made of."""

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    bits: int = 4
    """Bits per pixel value."""
    conditioning: Literal["local", "attentive"] = "attentive"
    """What a layer is conditioned on: the context above it alone, or all contexts above and all evidence below."""
    layers: int = 5
    """Number of stochastic layers."""
    width: int = 32
    """Channels of contexts and evidence."""
    latent_channels: int = 2
    """Channels of each layer's latents."""
    key_channels: int = 8
    """Channels of keys and queries; of no meaning to a local model."""
    blocks: int = 1
    """Residual blocks between two layers, on the way up and on the way down."""
    halvings: int = 1
    """How often height and width are halved between the image and its latents."""
    likelihood: str = "discretized_logistic"
    """Likelihood of a pixel: bernoulli (1 bit) or discretized_logistic."""
    mixtures: int = 3
    """Number of logistics mixed for each pixel; of no meaning to a Bernoulli likelihood."""

    def __post_init__(self) -> None:
        if self.conditioning not in ("local", "attentive"):
            raise ValueError(f"conditioning must be local or attentive, got {self.conditioning!r}")
        for name in ("bits", "layers", "width", "latent_channels", "key_channels", "blocks", "mixtures"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        factor = 2**self.halvings
        for name, size in (("height", self.image_shape[1]), ("width", self.image_shape[2]), ("channels", self.width)):
            if self.halvings < 0 or size % factor:
                raise ValueError(
                    f"halvings must be such that image height, image width and the width of the network can be "
                    f"divided by 2**halvings; got halvings={self.halvings} and {name} {size}"
                )

    def build(self) -> Hierarchy:
        """A model with fresh weights."""
        return Hierarchy(
            bottom_up=_bottom_up(self),
            top=_learned_top(self),
            layers=[_layer(self, index) for index in range(self.layers)],
            readout=_readout(self),
            head=output_head(self.likelihood, self.widths[0], self.image_shape[0], self.bits, mixtures=self.mixtures),
            image_shape=self.image_shape,
            bits=self.bits,
        )

    @property
    def widths(self) -> list[int]:
        """Channels at each resolution, from the image's to the latents'; they double where height and width halve."""
        return [self.width // 2**halvings for halvings in range(self.halvings, -1, -1)]

    @property
    def residual_scale(self) -> float:
        """1/√N in a chain of N residual blocks."""
        return 1 / math.sqrt(self.layers * self.blocks)


def _layer(config: HierarchyConfig, index: int) -> VariationalLayer:
    """The stochastic layer with ``index`` layers above it."""
    return VariationalLayer(
        transition=_transition(config, index),
        context_conditioning=_conditioning(config, others=index),
        prior=PriorConditional(config.width, config.latent_channels),
        merge=convolution(config.width, config.width, 1),
        evidence_conditioning=_conditioning(config, others=config.layers - index + 1),
        posterior=PosteriorConditional(config.width, config.latent_channels),
    )


def _conditioning(config: HierarchyConfig, others: int) -> nn.Module:
    """How a layer is conditioned on ``others`` besides the nearest: the one difference between the twins."""
    if config.conditioning == "local" or others == 0:
        return LocalConditioning()
    return AttentiveConditioning(config.key_channels)


def _split(config: HierarchyConfig, *, has_key: bool, has_query: bool) -> nn.Module:
    if config.conditioning == "local":
        return LocalSplit()
    return AttentiveSplit(config.width, config.key_channels, has_key=has_key, has_query=has_query)


def _transition(config: HierarchyConfig, index: int) -> nn.Module:
    """T_l; the first context is the learned constant itself."""
    split = _split(config, has_key=index < config.layers - 1, has_query=True)
    if index == 0:
        return split
    join = joining_convolution(config.latent_channels, config.width)
    return nn.Sequential(join, residual_cell(config.width, config.blocks, config.residual_scale), split)


def _bottom_up(config: HierarchyConfig) -> BottomUp:
    halving = [ResidualBlock(above, below, "halve") for above, below in itertools.pairwise(config.widths)]
    return BottomUp(
        stem=nn.Sequential(convolution(config.image_shape[0], config.widths[0]), *halving),
        cells=[residual_cell(config.width, config.blocks, config.residual_scale) for _ in range(config.layers)],
        splits=[_split(config, has_key=True, has_query=False) for _ in range(config.layers + 1)],
    )


def _learned_top(config: HierarchyConfig) -> LearnedTop:
    _, height, width = config.image_shape
    return LearnedTop(config.width, height // 2**config.halvings, width // 2**config.halvings)


def _readout(config: HierarchyConfig) -> StreamReadout:
    doubling = [ResidualBlock(below, above, "double") for below, above in itertools.pairwise(config.widths[::-1])]
    finest = config.widths[0]
    return StreamReadout(
        joining_convolution(config.latent_channels, config.width),
        *doubling,
        ResidualBlock(finest, finest),
        nn.SiLU(),
    )
