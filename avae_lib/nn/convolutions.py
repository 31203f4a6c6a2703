"""Convolutions that keep the size of the picture, and the two steps that halve and double it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

__all__ = ["Resize", "convolution", "joining_convolution", "resizing"]

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


def joining_convolution(new_channels: int, width: int) -> nn.Conv2d:
    """A 1×1 convolution of (new, stream) side by side that starts as the stream plus a random map of the new.

    Starting at the identity keeps what upper layers have put into a stream: a chain of random maps loses it.

    Args:
        new_channels: channels of the new features, which come first.
        width: channels of the stream, before and after.
    """
    layer = convolution(new_channels + width, width, kernel_size=1)
    with torch.no_grad():
        layer.weight[:, :new_channels] = convolution(new_channels, width, kernel_size=1).weight
        nn.init.dirac_(layer.weight[:, new_channels:])
    return layer


def resizing(resize: Resize) -> nn.Module:
    """Average pooling by two, nearest-neighbour doubling, or nothing (Child, 2021)."""
    if resize == "keep":
        return nn.Identity()
    if resize == "halve":
        return nn.AvgPool2d(kernel_size=2)
    if resize == "double":
        return nn.Upsample(scale_factor=2, mode="nearest")
    raise ValueError(f"resize must be keep, halve or double, got {resize!r}")
