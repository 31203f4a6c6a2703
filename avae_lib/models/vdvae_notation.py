"""The notation in which the blocks of a Very Deep VAE are written down.

=======  ===========================================================================================================
``RxN``  N blocks at resolution R
``R``    one block at resolution R
``RdK``  encoder: one block at resolution R, then average pooling by K
``RmS``  decoder: one block at resolution R, which first adds the stream of the coarser resolution S, upsampled
=======  ===========================================================================================================

Items are parted by commas, in the order in which the blocks are passed: ``32x2,32d2,16x3`` and ``16x3,32m16,32x2``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avae_lib.errors import InvalidInput

__all__ = [
    "DecoderStep",
    "EncoderStep",
    "decoder_blocks",
    "encoder_blocks",
    "parse_decoder",
    "parse_encoder",
    "parse_widths",
]

_ITEM = re.compile(r"(?P<resolution>\d+)(?:(?P<kind>[a-z])(?P<number>\d+))?")


@dataclass(frozen=True)
class EncoderStep:
    """One block of the encoder."""

    resolution: int
    """Height and width of what enters it."""
    pool: int = 1
    """Factor by which height and width are divided after it."""


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
        ValueError: not in the notation, or a resolution at which the features are not at that point.
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
        ValueError: not in the notation, a resolution that the encoder doesn't have, a stream added before it is
            there, or no block at the resolution of the image.
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
    """Channels at each of ``resolutions``: ``width``, but for those that ``text`` (``64:256,32:512``) names.

    Raises:
        ValueError: not in this form, or a width of 0.
    """
    pairs = [re.fullmatch(r"\s*(\d+):([1-9]\d*)\s*", item) for item in text.split(",")] if text else []
    if None in pairs:
        raise InvalidInput(f"custom_width_str must be like '64:256,32:512' (resolution:width), got {text!r}")
    custom = {int(pair[1]): int(pair[2]) for pair in pairs}
    return {resolution: custom.get(resolution, width) for resolution in resolutions}


def encoder_blocks(blocks: Mapping[int, int]) -> str:
    """The notation for so many blocks at each resolution; the last one at each is followed by pooling to the next.

    >>> encoder_blocks({32: 3, 8: 2, 1: 1})
    '32x2,32d4,8x1,8d8,1x1'
    """
    resolutions, items = sorted(blocks, reverse=True), []
    for fine, coarse in itertools.pairwise(resolutions):
        items += [*_repeated(fine, blocks[fine] - 1), f"{fine}d{fine // coarse}"]
    return ",".join([*items, *_repeated(resolutions[-1], blocks[resolutions[-1]])])


def decoder_blocks(blocks: Mapping[int, int]) -> str:
    """The notation for so many blocks at each resolution; the first one at each adds the stream of the one before.

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
                f"{name} must be items such as 8x3 or 8{kind}4, parted by commas; got {item!r} in {text!r}"
            )
        resolution, number = int(found["resolution"]), int(found["number"] or 1)
        items += [(resolution, None, 1)] * number if found["kind"] == "x" else [(resolution, found["kind"], number)]
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
