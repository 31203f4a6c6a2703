"""The Very Deep VAE: one stream of features for each resolution, and many blocks of one kind that add to it.

R. Child, "Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images", ICLR 2021. Computes what
the authors' released code computes, and takes its weights: :func:`from_openai`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.models.config_fields import require_at_least
from avae_lib.models.hierarchy import Hierarchy
from avae_lib.models.pixel_input import require_image_kind
from avae_lib.models.vdvae_five_bits import ReleasedFiveBitHead
from avae_lib.models.vdvae_import import config_fields, load_released_weights
from avae_lib.models.vdvae_layers import (
    ActivationEncoder,
    GroupedBlock,
    ImageReadout,
    MatchedChannels,
    PixelStem,
    StartingStreams,
    TopDownBlock,
)
from avae_lib.models.vdvae_notation import DecoderStep, EncoderStep, parse_decoder, parse_encoder, parse_widths
from avae_lib.nn.bottleneck import Bottleneck
from avae_lib.nn.convolutions import convolution
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.unpooling import LearnedUnpooling, Unpooling

__all__ = ["VDVAEConfig", "from_openai"]


@dataclass(frozen=True)
class VDVAEConfig:
    """What a Very Deep VAE is made of. The blocks are written in :mod:`avae_lib.models.vdvae_notation`."""

    image_shape: tuple[int, int, int] = (3, 32, 32)
    """Channels, height and width of an image; height and width are equal."""
    bits: int = 8
    """Bits per pixel value."""
    enc_blocks: str = "32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3"
    """Blocks of the encoder, from the image up."""
    dec_blocks: str = "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21"
    """Blocks of the decoder, each with a latent, from the top down."""
    width: int = 384
    """Channels of the streams and of the encoder's features."""
    custom_width_str: str = ""
    """Other widths at some resolutions: 64:256,32:512. Where widths differ, channels are cut or padded with zeros."""
    bottleneck_multiple: float = 0.25
    """Width inside a block, as a fraction of the width around it."""
    latent_channels: int = 16
    """Channels of each block's latents."""
    no_bias_above: int = 64
    """Streams of larger resolutions start from zeros, the others from a learned constant."""
    likelihood: str = "discretized_logistic_mixture"
    """Likelihood of a pixel: one of those in :mod:`avae_lib.nn.output_heads`, or released_five_bits, that of the
    released model of FFHQ-256, see :mod:`avae_lib.models.vdvae_five_bits`."""
    mixtures: int = 10
    """Number of logistics mixed for each pixel; a Bernoulli likelihood ignores it."""
    pixel_mean: float | None = None
    """Pixel level that the encoder sees as 0; None for the middle of all levels."""
    pixel_std: float | None = None
    """Distance from it that the encoder sees as 1; None for that of the last level."""
    residual_block: bool = True
    """Whether a decoder block ends with a residual block after its latent has joined the stream."""
    upsampling: Literal["nearest", "learned"] = "nearest"
    """How a coarser stream is brought to a finer one: pixels repeated, or a transposed convolution as wide as its
    stride. Repeated pixels carry the upper latents to the image from the first step on; learned ones must first learn
    to, and the upper layers may die meanwhile."""
    residual_scaling: bool = True
    """Start what each of N blocks adds to its stream with 1/√N of the usual weights."""
    group_size: int = 1
    """Successive decoder blocks whose latents are drawn in parallel: they join the stream where the group ends."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_at_least(1, self, "width", "latent_channels", "mixtures", "group_size")
        if self.image_shape[1] != self.image_shape[2]:
            raise InvalidInput(f"image_shape must have height equal to width, got {self.image_shape}")
        if self.upsampling not in ("nearest", "learned"):
            raise InvalidInput(f"upsampling must be nearest or learned, got {self.upsampling!r}")
        if self.pixel_std is not None and self.pixel_std <= 0:
            raise InvalidInput(f"pixel_std must be positive or None, got {self.pixel_std}")
        self._require_bottlenecks()
        self._require_eight_bits()

    def build(self) -> Hierarchy:
        """A model with fresh weights."""
        return Hierarchy(
            bottom_up=_encoder(self),
            top=StartingStreams(self.widths, self.decoder, self.no_bias_above),
            layers=[_top_down_block(self, index) for index in range(len(self.decoder))],
            readout=ImageReadout(self.image_shape[-1], self.widths[self.image_shape[-1]]),
            head=_head(self),
            image_shape=self.image_shape,
            bits=self.bits,
        )

    @cached_property
    def encoder(self) -> tuple[EncoderStep, ...]:
        """The blocks of the encoder, from the image up."""
        return parse_encoder(self.enc_blocks, self.image_shape[-1])

    @cached_property
    def decoder(self) -> tuple[DecoderStep, ...]:
        """The blocks of the decoder, from the top down."""
        return parse_decoder(self.dec_blocks, self.image_shape[-1], self.encoder)

    @cached_property
    def widths(self) -> dict[int, int]:
        """Channels at each resolution."""
        resolutions = {self.image_shape[-1], *(step.resolution // step.pool for step in self.encoder)}
        resolutions |= {step.resolution for step in self.decoder}
        return parse_widths(self.custom_width_str, self.width, sorted(resolutions))

    @property
    def stochastic_depth(self) -> int:
        """Number of latents that depend on one another in a chain: groups of blocks."""
        return math.ceil(len(self.decoder) / self.group_size)

    def middle_width(self, resolution: int) -> int:
        """Channels inside the blocks at a resolution."""
        return int(self.widths[resolution] * self.bottleneck_multiple)

    def _require_bottlenecks(self) -> None:
        if min(self.middle_width(resolution) for resolution in self.widths) < 1:
            raise InvalidInput(
                f"bottleneck_multiple must leave at least one channel inside every block, got "
                f"{self.bottleneck_multiple} of widths {sorted(set(self.widths.values()))}"
            )

    def _require_eight_bits(self) -> None:
        if self.likelihood == ReleasedFiveBitHead.name and (self.image_shape[0], self.bits) != (3, 8):
            raise InvalidInput(
                f"image_shape must have 3 channels and bits be 8 for likelihood={self.likelihood!r}, got "
                f"{self.image_shape} and {self.bits}"
            )


def from_openai(state_dict: Mapping[str, Tensor], hparams: Any) -> Hierarchy:
    """Our model with the weights of a checkpoint of the released code, averaged or not.

    Args:
        state_dict: the checkpoint; names may begin with ``module.``, as distributed training leaves them.
        hparams: hyper-parameters by their released names, a mapping or an object with attributes: ``width``,
            ``zdim``, ``image_size``, ``image_channels``, ``dec_blocks``, ``enc_blocks``, ``bottleneck_multiple``,
            ``no_bias_above``, ``num_mixtures``, ``custom_width_str``, and ``dataset``, which sets what the encoder
            sees: without it x/127.5 − 1.

    Raises:
        ValueError: hyper-parameters are missing, or names or shapes in the checkpoint are not those of such a model.
    """
    model = VDVAEConfig(**config_fields(hparams)).build()
    load_released_weights(model, state_dict)
    return model


def _encoder(config: VDVAEConfig) -> ActivationEncoder:
    channels, _, size = config.image_shape
    middle = (2**config.bits - 1) / 2
    mean = middle if config.pixel_mean is None else config.pixel_mean
    std = middle if config.pixel_std is None else config.pixel_std
    return ActivationEncoder(
        stem=PixelStem(channels, config.widths[size], mean, std),
        blocks=[_encoder_block(config, step) for step in config.encoder],
        read_at=[step.resolution for step in config.decoder],
    )


def _encoder_block(config: VDVAEConfig, step: EncoderStep) -> nn.Sequential:
    block = _bottleneck(config, step.resolution, is_residual=True, last_scale=_scale(config, len(config.encoder)))
    if step.pool == 1:
        return nn.Sequential(block)
    matched = _matched_channels(config, step.resolution, step.resolution // step.pool)
    return nn.Sequential(block, nn.AvgPool2d(step.pool), matched)


def _top_down_block(config: VDVAEConfig, index: int) -> TopDownBlock:
    """The decoder block with ``index`` blocks above it."""
    step, blocks = config.decoder[index], len(config.decoder)
    width, latents, scale = config.widths[step.resolution], config.latent_channels, _scale(config, blocks)
    bottleneck = partial(_bottleneck, config, step.resolution)
    kind = TopDownBlock
    if config.group_size > 1:
        kind = partial(GroupedBlock, ends_group=(index + 1) % config.group_size == 0 or index + 1 == blocks)
    return kind(
        resolution=step.resolution,
        source=step.source,
        upsample=_upsampling(config, step),
        posterior=bottleneck(in_width=2 * width, out_width=2 * latents),
        prior=bottleneck(out_width=2 * latents + width, last_scale=0.0),
        from_latent=convolution(latents, width, 1, init_scale=scale),
        residual=bottleneck(is_residual=True, last_scale=scale) if config.residual_block else nn.Identity(),
    )


def _bottleneck(
    config: VDVAEConfig, resolution: int, in_width: int | None = None, out_width: int | None = None, **options: Any
) -> Bottleneck:
    """A bottleneck between streams of a resolution, unless widths are given."""
    width, middle_width = config.widths[resolution], config.middle_width(resolution)
    return Bottleneck(in_width or width, middle_width, out_width or width, resolution, **options)


def _scale(config: VDVAEConfig, blocks: int) -> float:
    return math.sqrt(1 / blocks) if config.residual_scaling else 1.0


def _upsampling(config: VDVAEConfig, step: DecoderStep) -> nn.Module:
    if step.source is None:
        return nn.Identity()
    factor = step.resolution // step.source
    if config.upsampling == "learned":
        return LearnedUnpooling(config.widths[step.source], config.widths[step.resolution], factor)
    matched = _matched_channels(config, step.source, step.resolution)
    return nn.Sequential(matched, Unpooling(factor))


def _matched_channels(config: VDVAEConfig, before: int, after: int) -> nn.Module:
    widths = config.widths
    return nn.Identity() if widths[before] == widths[after] else MatchedChannels(widths[after])


def _head(config: VDVAEConfig) -> nn.Module:
    channels, _, size = config.image_shape
    width, project = config.widths[size], partial(convolution, kernel_size=1)
    if config.likelihood == ReleasedFiveBitHead.name:
        return ReleasedFiveBitHead(project(width, 10 * config.mixtures), config.mixtures)
    return output_head(config.likelihood, width, channels, config.bits, config.mixtures, project)
