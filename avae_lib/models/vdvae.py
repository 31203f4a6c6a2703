"""The Very Deep VAE: one stream of features for each resolution, and many blocks of one kind that add to it.

R. Child, "Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images", ICLR 2021. The model
here computes the same as the authors' released code, and :mod:`avae_lib.models.vdvae_import` loads their weights.
This file holds the configuration and builds a model from it; the blocks are in :mod:`avae_lib.models.vdvae_layers`.

The encoder shrinks an image step by step and keeps its features at each resolution. The decoder starts at the coarsest
resolution. Each of its blocks draws a latent and adds it to the stream, from the prior alone or, with an image, from a
posterior that also sees the encoder's features of the same resolution.

Blocks are written in the notation of the released code, as items separated by commas, in the order in which the data
pass them: ``32x2,32d2,16x3`` for an encoder and ``16x3,32m16,32x2`` for a decoder.

* ``RxN``: N blocks at resolution R
* ``R``: one block at resolution R
* ``RdK`` (encoder): one block at resolution R, then average pooling by K
* ``RmS`` (decoder): one block at resolution R, which first adds the stream of the coarser resolution S, upsampled
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.models.hierarchy import Hierarchy
from avae_lib.models.requirements import require_at_least, require_image_kind, require_mixtures_used
from avae_lib.models.vdvae_layers import (
    ActivationEncoder,
    GroupedBlock,
    ImageReadout,
    MatchedChannels,
    PixelStem,
    StartingStreams,
    TopDownBlock,
)
from avae_lib.nn.bottleneck import Bottleneck
from avae_lib.nn.convolutions import convolution
from avae_lib.nn.output_heads import ReleasedFiveBitHead, output_head
from avae_lib.nn.residual_posteriors import softplus_log_std
from avae_lib.nn.unpooling import LearnedUnpooling, Unpooling

__all__ = [
    "DecoderStep",
    "EncoderStep",
    "VDVAEConfig",
    "decoder_blocks",
    "encoder_blocks",
    "parse_decoder",
    "parse_encoder",
    "parse_widths",
]


@dataclass(frozen=True)
class VDVAEConfig:
    """Configuration of a Very Deep VAE.

    The defaults are the published model of CIFAR-10:

    >>> config = VDVAEConfig()
    >>> len(config.encoder), len(config.decoder), config.stochastic_depth
    (33, 43, 43)

    Latents drawn in parallel, three blocks at a time, make the chain of latents three times as short:

    >>> VDVAEConfig(group_size=3).stochastic_depth
    15
    """

    image_shape: tuple[int, int, int] = (3, 32, 32)
    """Channels, height and width of an image; height and width are equal."""
    bits: int = 8
    """Bits per pixel value."""
    enc_blocks: str = "32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3"
    """Blocks of the encoder, from the image up, separated by commas: 32x11 is 11 blocks at resolution 32, and 32d2 one
    block at resolution 32 followed by average pooling by 2."""
    dec_blocks: str = "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21"
    """Blocks of the decoder, each with a latent, from the top down, separated by commas: 8x5 is 5 blocks at resolution
    8, and 8m4 one block at resolution 8 that first adds the upsampled features of resolution 4."""
    width: int = 384
    """Channels of the streams and of the encoder's features."""
    custom_width_str: str = ""
    """Resolutions with a width of their own, as resolution:width: 64:256,32:512. Where two widths meet, channels are
    cut off or padded with zeros."""
    bottleneck_multiple: float = 0.25
    """Width inside a block, as a fraction of the width around it."""
    custom_middle_width_str: str = ""
    """Resolutions whose blocks have an inner width of their own, as resolution:width, in place of the fraction
    bottleneck_multiple of the width around them: 16:48,32:48."""
    latent_channels: int = 16
    """Channels of each block's latents."""
    standard_deviation: Literal["exponential", "softplus"] = "exponential"
    """The standard deviation of a latent as a function of the predicted number: its exponential, or a softplus with
    slope ln 2, whose gradient stays below 1 however large it is (Hazami et al., 2022). Both are 1 at 0."""
    no_bias_above: int = 64
    """Largest resolution whose stream starts from a learned constant; larger ones start from zeros."""
    likelihood: str = "discretized_logistic_mixture"
    """Likelihood of a pixel: bernoulli (1 bit), discretized_logistic, discretized_logistic_mixture, or
    released_five_bits, that of the released model of FFHQ-256."""
    mixtures: int = 10
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""
    pixel_mean: float | None = None
    """Pixel level that the encoder sees as 0; None for the middle of the range of levels."""
    pixel_std: float | None = None
    """Distance from pixel_mean that the encoder sees as 1; None for the distance of the last level."""
    residual_block: bool = True
    """Whether a decoder block ends with a residual block after its latent has joined the stream."""
    upsampling: Literal["nearest", "learned"] = "nearest"
    """How a coarser stream is brought to a finer one: pixels repeated (nearest), or a transposed convolution as wide as
    its stride (learned). Repeated pixels carry the upper latents to the image from the first step on; learned ones must
    first learn this, and the upper layers may become inactive meanwhile."""
    residual_scaling: bool = True
    """Divide the initial weights that add to a stream by √N, where N is the number of blocks."""
    group_size: int = 1
    """Successive decoder blocks whose latents are drawn in parallel: they join the stream where the group ends."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
        require_at_least(1, self, "width", "latent_channels", "mixtures", "group_size")
        if self.image_shape[1] != self.image_shape[2]:
            raise InvalidInput(f"image_shape must have height equal to width, got {self.image_shape}")
        if self.upsampling not in ("nearest", "learned"):
            raise InvalidInput(f"upsampling must be nearest or learned, got {self.upsampling!r}")
        if self.standard_deviation not in ("exponential", "softplus"):
            raise InvalidInput(f"standard_deviation must be exponential or softplus, got {self.standard_deviation!r}")
        if self.pixel_std is not None and self.pixel_std <= 0:
            raise InvalidInput(f"pixel_std must be positive or None, got {self.pixel_std}")
        self._require_bottlenecks()
        self._require_eight_bits()

    def build(self) -> Hierarchy:
        """A model with fresh weights."""
        return Hierarchy(
            bottom_up=_encoder(self),
            top=StartingStreams(
                {step.resolution: self.widths[step.resolution] for step in self.decoder}, self.no_bias_above
            ),
            layers=[_top_down_block(self, index) for index in range(len(self.decoder))],
            readout=ImageReadout(self.image_shape[-1], self.widths[self.image_shape[-1]]),
            head=_head(self),
            image_shape=self.image_shape,
            bits=self.bits,
        )

    @cached_property
    def encoder(self) -> tuple[EncoderStep, ...]:
        """The blocks of the encoder, beginning at the image."""
        return parse_encoder(self.enc_blocks, self.image_shape[-1])

    @cached_property
    def decoder(self) -> tuple[DecoderStep, ...]:
        """The blocks of the decoder, beginning at the coarsest resolution."""
        return parse_decoder(self.dec_blocks, self.image_shape[-1], self.encoder)

    @cached_property
    def widths(self) -> dict[int, int]:
        """Channels at each resolution."""
        resolutions = {self.image_shape[-1], *(step.resolution // step.pool for step in self.encoder)}
        resolutions |= {step.resolution for step in self.decoder}
        return parse_widths(self.custom_width_str, self.width, sorted(resolutions))

    @property
    def stochastic_depth(self) -> int:
        """Number of latents drawn one after another: one for each group of blocks."""
        return math.ceil(len(self.decoder) / self.group_size)

    def middle_width(self, resolution: int) -> int:
        """Channels inside the blocks at a resolution."""
        own = _resolution_widths("custom_middle_width_str", self.custom_middle_width_str)
        return own.get(resolution, int(self.widths[resolution] * self.bottleneck_multiple))

    def _require_bottlenecks(self) -> None:
        absent = _resolution_widths("custom_middle_width_str", self.custom_middle_width_str).keys() - self.widths.keys()
        if absent:
            raise InvalidInput(
                f"custom_middle_width_str must name resolutions of the model ({', '.join(map(str, self.widths))}), got "
                f"{', '.join(map(str, sorted(absent)))} in {self.custom_middle_width_str!r}"
            )
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
    step = config.decoder[index]
    blocks = len(config.decoder)
    width = config.widths[step.resolution]
    latents = config.latent_channels
    scale = _scale(config, blocks)
    bottleneck = partial(_bottleneck, config, step.resolution)
    make_block = TopDownBlock
    if config.group_size > 1:
        make_block = partial(GroupedBlock, ends_group=(index + 1) % config.group_size == 0 or index + 1 == blocks)
    return make_block(
        resolution=step.resolution,
        source=step.source,
        upsample=_upsampling(config, step),
        posterior=bottleneck(in_width=2 * width, out_width=2 * latents),
        prior=bottleneck(out_width=2 * latents + width, last_scale=0.0),
        from_latent=convolution(latents, width, 1, init_scale=scale),
        residual=bottleneck(is_residual=True, last_scale=scale) if config.residual_block else nn.Identity(),
        log_std=softplus_log_std if config.standard_deviation == "softplus" else _predicted,
    )


def _predicted(log_std: Tensor) -> Tensor:
    """The log standard deviation of a Gaussian whose standard deviation is the exponential of what is predicted."""
    return log_std


def _bottleneck(
    config: VDVAEConfig, resolution: int, in_width: int | None = None, out_width: int | None = None, **options: Any
) -> Bottleneck:
    """A bottleneck at one resolution; a width that is not given is the width of the stream."""
    width, middle_width = config.widths[resolution], config.middle_width(resolution)
    return Bottleneck(in_width or width, middle_width, out_width or width, resolution, **options)


def _scale(config: VDVAEConfig, blocks: int) -> float:
    """Factor for the initial weights of what a block adds to its stream, given the number of blocks."""
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
    width = config.widths[size]
    project = partial(convolution, kernel_size=1)
    if config.likelihood == ReleasedFiveBitHead.name:
        return ReleasedFiveBitHead(project(width, 10 * config.mixtures), config.mixtures)
    return output_head(config.likelihood, width, channels, config.bits, config.mixtures, project)


_ITEM = re.compile(r"(?P<resolution>\d+)(?:(?P<kind>[a-z])(?P<number>\d+))?")


@dataclass(frozen=True)
class EncoderStep:
    """One block of the encoder."""

    resolution: int
    """Height and width of what enters it."""
    pool: int = 1
    """Height and width are divided by this factor after the block."""


@dataclass(frozen=True)
class DecoderStep:
    """One block of the decoder."""

    resolution: int
    """Height and width of its stream."""
    source: int | None = None
    """Resolution of the coarser stream that it adds to its own; None if it adds none."""


def parse_encoder(text: str, image_size: int) -> tuple[EncoderStep, ...]:
    """The blocks of an encoder of images ``image_size`` × ``image_size``.

    Raises:
        ValueError: ``text`` is not in the notation, or a block has another resolution than the features that reach it.

    >>> parse_encoder("8x2,8d4", image_size=8)
    (EncoderStep(resolution=8, pool=1), EncoderStep(resolution=8, pool=1), EncoderStep(resolution=8, pool=4))
    """
    steps = tuple(EncoderStep(resolution, pool) for resolution, _, pool in _items("enc_blocks", text, "d"))
    reached = image_size
    for step in steps:
        if step.resolution != reached or reached % step.pool:
            raise InvalidInput(
                f"enc_blocks must go down from the image ({image_size}) and pool by divisors: features of resolution "
                f"{reached} meet the block {step.resolution}d{step.pool} of {text!r}"
            )
        reached //= step.pool
    return steps


def parse_decoder(text: str, image_size: int, encoder: Sequence[EncoderStep]) -> tuple[DecoderStep, ...]:
    """The blocks of a decoder that reads the activations of ``encoder``, top first.

    Raises:
        ValueError: ``text`` is not in the notation, a block has a resolution that the encoder lacks or adds a stream
            that no earlier block has written, or there is no block at the resolution of the image.

    >>> parse_decoder("2x1,8m2", image_size=8, encoder=parse_encoder("8d4,2x1", image_size=8))
    (DecoderStep(resolution=2, source=None), DecoderStep(resolution=8, source=2))
    """
    encoded = {image_size, *(step.resolution // step.pool for step in encoder)}
    steps = tuple(
        DecoderStep(resolution, number if kind == "m" else None)
        for resolution, kind, number in _items("dec_blocks", text, "m")
    )
    for index, step in enumerate(steps):
        _require_resolution(text, step, encoded)
        if step.source is not None:
            _require_source(text, step, above={earlier.resolution for earlier in steps[:index]})
    if image_size not in {step.resolution for step in steps}:
        raise InvalidInput(f"dec_blocks must have a block at the resolution of the image ({image_size}), got {text!r}")
    return steps


def parse_widths(text: str, width: int, resolutions: Sequence[int]) -> dict[int, int]:
    """Channels at each of ``resolutions``: as in ``text`` (``64:256,32:512``) if it is named there, else ``width``.

    Raises:
        ValueError: ``text`` has another form, or a width in it is 0.

    >>> parse_widths("64:256", width=512, resolutions=(1, 32, 64))
    {1: 512, 32: 512, 64: 256}
    """
    custom = _resolution_widths("custom_width_str", text)
    return {resolution: custom.get(resolution, width) for resolution in resolutions}


def _resolution_widths(name: str, text: str) -> dict[int, int]:
    """Widths by resolution from the field ``name``."""
    pairs = [re.fullmatch(r"\s*(\d+):([1-9]\d*)\s*", item) for item in text.split(",")] if text else []
    if None in pairs:
        raise InvalidInput(f"{name} must be like '64:256,32:512' (resolution:width), got {text!r}")
    return {int(pair[1]): int(pair[2]) for pair in pairs if pair is not None}


def encoder_blocks(blocks: Mapping[int, int]) -> str:
    """The notation of an encoder with the given number of blocks at each resolution; the last block at each pools.

    >>> encoder_blocks({32: 3, 8: 2, 1: 1})
    '32x2,32d4,8x1,8d8,1x1'
    """
    resolutions = sorted(blocks, reverse=True)
    items = []
    for fine, coarse in itertools.pairwise(resolutions):
        items += [*_repeated(fine, blocks[fine] - 1), f"{fine}d{fine // coarse}"]
    return ",".join([*items, *_repeated(resolutions[-1], blocks[resolutions[-1]])])


def decoder_blocks(blocks: Mapping[int, int]) -> str:
    """The notation of a decoder with the given number of blocks at each resolution; the first adds the coarser stream.

    >>> decoder_blocks({1: 1, 8: 2, 32: 3})
    '1x1,8m1,8x1,32m8,32x2'
    """
    resolutions = sorted(blocks)
    items = _repeated(resolutions[0], blocks[resolutions[0]])
    for coarse, fine in itertools.pairwise(resolutions):
        items += [f"{fine}m{coarse}", *_repeated(fine, blocks[fine] - 1)]
    return ",".join(items)


def _repeated(resolution: int, blocks: int) -> list[str]:
    return [f"{resolution}x{blocks}"] if blocks else []


def _items(name: str, text: str, kind: str) -> list[tuple[int, str | None, int]]:
    """Resolution, kind and number of each block; ``RxN`` stands for N blocks of no kind."""
    items = []
    for item in text.split(","):
        found = _ITEM.fullmatch(item.strip())
        if found is None or found["kind"] not in (None, "x", kind) or found["number"] == "0":
            raise InvalidInput(
                f"{name} must be items such as 8x3 or 8{kind}4, separated by commas; got {item!r} in {text!r}"
            )
        resolution = int(found["resolution"])
        number = int(found["number"] or 1)
        if found["kind"] == "x":
            items += [(resolution, None, 1)] * number
        else:
            items.append((resolution, found["kind"], number))
    return items


def _require_resolution(text: str, step: DecoderStep, encoded: set[int]) -> None:
    if step.resolution not in encoded:
        raise InvalidInput(
            f"dec_blocks must stay at resolutions of the encoder ({', '.join(map(str, sorted(encoded)))}), "
            f"got {step.resolution} in {text!r}"
        )


def _require_source(text: str, step: DecoderStep, above: set[int]) -> None:
    if step.source not in above or step.resolution % step.source or step.resolution == step.source:
        raise InvalidInput(
            f"dec_blocks must add streams of coarser resolutions that earlier blocks have written and that divide "
            f"their own, got {step.resolution}m{step.source} in {text!r}"
        )
