"""The Deep Attentive VAE and its local twin, on one spatial scale.

Layers are conditioned on the layer above them (``conditioning="local"``) or on all of them ("attentive").
I. Apostolopoulou, I. Char, E. Rosenfeld, A. Dubrawski, "Deep Attentive Variational Inference", ICLR 2022.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from torch import nn

from avae_lib.models.bottom_up import BottomUp
from avae_lib.models.hierarchy import Hierarchy
from avae_lib.models.pixel_input import PixelScaling
from avae_lib.models.variational_layer import LearnedTop, StreamReadout, VariationalLayer
from avae_lib.nn.context_split import AttentiveSplit, LocalSplit
from avae_lib.nn.convolutions import convolution, joining_convolution
from avae_lib.nn.depthwise_attention import AttentiveConditioning, LocalConditioning
from avae_lib.nn.gaussian_conditionals import PosteriorConditional, PriorConditional
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.residual_cells import ResidualBlock, residual_cell

__all__ = ["AttentiveConfig"]


@dataclass(frozen=True)
class AttentiveConfig:
    """What an attentive VAE or its local twin is made of."""

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


def _layer(config: AttentiveConfig, index: int) -> VariationalLayer:
    """The stochastic layer with ``index`` layers above it."""
    return VariationalLayer(
        transition=_transition(config, index),
        context_conditioning=_conditioning(config, others=index),
        prior=PriorConditional(config.width, config.latent_channels),
        merge=convolution(config.width, config.width, 1),
        evidence_conditioning=_conditioning(config, others=config.layers - index + 1),
        posterior=PosteriorConditional(config.width, config.latent_channels),
    )


def _conditioning(config: AttentiveConfig, others: int) -> nn.Module:
    """How a layer is conditioned on ``others`` besides the nearest: the one difference between the twins."""
    if config.conditioning == "local" or others == 0:
        return LocalConditioning()
    return AttentiveConditioning(config.key_channels)


def _split(config: AttentiveConfig, *, has_key: bool, has_query: bool) -> nn.Module:
    if config.conditioning == "local":
        return LocalSplit()
    return AttentiveSplit(config.width, config.key_channels, has_key=has_key, has_query=has_query)


def _transition(config: AttentiveConfig, index: int) -> nn.Module:
    """T_l; the first context is the learned constant itself."""
    split = _split(config, has_key=index < config.layers - 1, has_query=True)
    if index == 0:
        return split
    join = joining_convolution(config.latent_channels, config.width)
    return nn.Sequential(join, residual_cell(config.width, config.blocks, config.residual_scale), split)


def _bottom_up(config: AttentiveConfig) -> BottomUp:
    halving = [ResidualBlock(above, below, "halve") for above, below in itertools.pairwise(config.widths)]
    return BottomUp(
        stem=nn.Sequential(PixelScaling(config.bits), convolution(config.image_shape[0], config.widths[0]), *halving),
        cells=[residual_cell(config.width, config.blocks, config.residual_scale) for _ in range(config.layers)],
        splits=[_split(config, has_key=True, has_query=False) for _ in range(config.layers + 1)],
    )


def _learned_top(config: AttentiveConfig) -> LearnedTop:
    _, height, width = config.image_shape
    return LearnedTop(config.width, height // 2**config.halvings, width // 2**config.halvings)


def _readout(config: AttentiveConfig) -> StreamReadout:
    doubling = [ResidualBlock(below, above, "double") for below, above in itertools.pairwise(config.widths[::-1])]
    finest = config.widths[0]
    return StreamReadout(
        joining_convolution(config.latent_channels, config.width),
        *doubling,
        ResidualBlock(finest, finest),
        nn.SiLU(),
    )
