"""Convolutions that keep the size of the picture, and the words for what changes it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

__all__ = ["Resize", "convolution"]

Resize = Literal["keep", "halve", "double"]
"""What happens to height and width."""


def convolution(in_channels: int, out_channels: int, kernel_size: int = 3, init_scale: float = 1.0) -> nn.Conv2d:
    """A convolution padded to keep height and width, with biases that start at zero.

    Args:
        kernel_size: odd; 1 mixes channels only.
        init_scale: factor on the initial weights. Zero starts a branch that contributes nothing, yet learns:
            its weights get a gradient from the first step on.
    """
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    with torch.no_grad():
        layer.weight.mul_(init_scale)
        layer.bias.zero_()
    return layer
