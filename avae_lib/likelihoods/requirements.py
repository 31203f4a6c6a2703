"""Checks of images and of the parameters of a mixture at each pixel; the errors say what came and what was wanted."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "channel_kinds",
    "numbers_per_component",
    "require_images",
    "require_parameters",
]


def numbers_per_component(channels: int) -> int:
    """The number of parameters of one component at a pixel: 10 for three channels, 3 for one.

    Raises:
        ValueError: there are neither 1 nor 3 channels, so no order of dependence is defined.

    >>> numbers_per_component(3), numbers_per_component(1)
    (10, 3)
    """
    if channels not in (1, 3):
        raise ValueError(
            f"channels must be 1 (grey) or 3 (red, green, blue) in a discretized logistic mixture, got {channels}; "
            "for other images take likelihood='discretized_logistic', whose channels are independent"
        )
    return 1 + channels * channel_kinds(channels)


def channel_kinds(channels: int) -> int:
    """The number of parameters for each channel of a component: mean, log-scale, and for colours a raw coefficient.

    >>> channel_kinds(3), channel_kinds(1)
    (3, 2)
    """
    return 3 if channels == 3 else 2


def require_images(x: Tensor, bits: int, channels: int | None = None) -> None:
    """Raise unless ``x`` holds images of uint8 levels, with that number of channels if one is given.

    >>> require_images(torch.full((1, 3, 8, 8), 40, dtype=torch.uint8), bits=5)
    Traceback (most recent call last):
        ...
    ValueError: x must hold levels 0 … 31 (5 bits), got 40
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits must be 1 to 8, got {bits}")
    if x.dtype != torch.uint8:
        raise TypeError(f"x must be uint8 pixel levels 0 … {2**bits - 1}, got {x.dtype}; undo any scaling first")
    if x.ndim != 4 or channels not in (None, x.shape[1]):
        wanted = "channels" if channels is None else channels
        raise ValueError(f"x must be images (batch, {wanted}, height, width), got shape {tuple(x.shape)}")
    # On an accelerator, checking values would wait for its queue.
    visible = x.device.type == "cpu" and not torch.compiler.is_compiling() and x.numel() > 0
    if visible and bits < 8 and int(x.max()) >= 2**bits:
        raise ValueError(f"x must hold levels 0 … {2**bits - 1} ({bits} bits), got {int(x.max())}")


def require_parameters(params: Tensor, images: Tensor) -> None:
    """Raise unless ``params`` describes a mixture at each pixel of ``images``.

    >>> require_parameters(torch.zeros(1, 12, 8, 8), images=torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    Traceback (most recent call last):
        ...
    ValueError: params must be (batch, 10·mixtures, height, width) for images of shape (1, 3, 8, 8), got (1, 12, 8, 8)
    """
    if not params.is_floating_point():
        raise TypeError(f"params must be floating-point, got {params.dtype}")
    each = numbers_per_component(images.shape[1])
    fits = params.ndim == 4 and params.shape[1] > 0 and params.shape[1] % each == 0
    if not fits or params.shape[:1] + params.shape[2:] != images.shape[:1] + images.shape[2:]:
        raise ValueError(
            f"params must be (batch, {each}·mixtures, height, width) for images of shape {tuple(images.shape)}, "
            f"got {tuple(params.shape)}"
        )
