"""Black-and-white pixels from grey ones, on the device of the grey ones."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.errors import InvalidInput

__all__ = ["Binarization", "binarize"]

Binarization = Literal["none", "dynamic", "threshold"]
"""How a model sees grey pixels: unchanged, drawn black or white in each batch, or with a threshold at half."""


def binarize(
    pixels: UInt8[Tensor, "*shape"], mode: Binarization, bits: int, generator: torch.Generator | None = None
) -> UInt8[Tensor, "*shape"]:
    r"""Pixels in {0, 1} from grey values :math:`x \in \{0, \dots, 2^{\text{bits}} - 1\}`.

    ``"dynamic"`` draws each pixel from :math:`\mathrm{Bernoulli}(x / (2^{\text{bits}} - 1))`, so that an image differs
    from epoch to epoch (Salakhutdinov and Murray, 2008); ``"threshold"`` makes pixels brighter than half white;
    ``"none"`` returns the grey values.

    Args:
        pixels: grey values, uint8, any shape.
        mode: one of the three.
        bits: bits of a grey value.
        generator: source of the draws of ``"dynamic"``, on the device of ``pixels``.

    Raises:
        ValueError: there is no such mode.

    >>> pixels = torch.tensor([0, 100, 200, 255], dtype=torch.uint8)
    >>> binarize(pixels, "threshold", bits=8)
    tensor([0, 0, 1, 1], dtype=torch.uint8)
    >>> draws = torch.stack([binarize(pixels, "dynamic", bits=8) for _ in range(100)])
    >>> draws[:, 0].max(), draws[:, 3].min()  # black stays black and white stays white
    (tensor(0, dtype=torch.uint8), tensor(1, dtype=torch.uint8))
    """
    brightest = 2**bits - 1
    if mode == "none":
        return pixels
    if mode == "threshold":
        return (2 * pixels.int() > brightest).to(torch.uint8)
    if mode == "dynamic":
        return torch.bernoulli(pixels.float() / brightest, generator=generator).to(torch.uint8)
    raise InvalidInput(f"binarize must be one of {', '.join(get_args(Binarization))}, got {mode!r}")
