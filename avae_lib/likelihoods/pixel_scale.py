"""From pixel levels 0 … 2**bits − 1 to the scale [−1, 1] and back."""

from __future__ import annotations

import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor

__all__ = ["nearest_levels", "scale_pixels"]


def scale_pixels(x: Num[Tensor, "*shape"], bits: int, dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
    """Pixel levels 0 … 2**bits − 1 spread evenly over [−1, 1], in ``dtype`` or the default float type."""
    return x.to(dtype or torch.get_default_dtype()) * (2 / (2**bits - 1)) - 1


def nearest_levels(scaled: Float[Tensor, "*shape"], bits: int) -> UInt8[Tensor, "*shape"]:
    """The pixel level nearest to each value of the scale; what lies outside [−1, 1] is the first or the last level."""
    last = 2**bits - 1
    return ((scaled + 1) * (last / 2)).round().clamp(0, last).to(torch.uint8)
