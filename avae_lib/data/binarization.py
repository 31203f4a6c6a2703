"""Black-and-white pixels out of grey ones, on whatever device the grey ones are."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.errors import InvalidInput

__all__ = ["Binarization", "binarize"]

Binarization = Literal["none", "dynamic", "threshold"]
"""How grey pixels become the ones a model sees: as they are, drawn anew for each batch, or cut at half."""


def binarize(
    pixels: UInt8[Tensor, "*shape"], mode: Binarization, bits: int, generator: torch.Generator | None = None
) -> UInt8[Tensor, "*shape"]:
    r"""Pixels in {0, 1} from grey values :math:`x \in \{0, \dots, 2^{\text{bits}} - 1\}`.

    ``"dynamic"`` draws each pixel from :math:`\mathrm{Bernoulli}(x / (2^{\text{bits}} - 1))`, so that the same
    image is another one in every epoch (Salakhutdinov and Murray, 2008); ``"threshold"`` keeps what is
    brighter than half; ``"none"`` returns the grey values.

    Args:
        pixels: grey values, uint8, any shape.
        mode: one of the three.
        bits: bits of a grey value.
        generator: source of the draws of ``"dynamic"``, on the device of ``pixels``.

    Raises:
        ValueError: no such mode.
    """
    brightest = 2**bits - 1
    if mode == "none":
        return pixels
    if mode == "threshold":
        return (2 * pixels.int() > brightest).to(torch.uint8)
    if mode == "dynamic":
        return torch.bernoulli(pixels.float() / brightest, generator=generator).to(torch.uint8)
    raise InvalidInput(f"binarize must be one of {', '.join(get_args(Binarization))}, got {mode!r}")
