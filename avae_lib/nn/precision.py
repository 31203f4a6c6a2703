"""Where arithmetic leaves the half-precision of a network.

Under autocast in bfloat16, convolutions and matrix products are computed in bfloat16, with sums in float32. What is in
float32 on every device is written in the code of the models, because autocast chooses by lists that differ from device
to device:

* parameters of Gaussians, latents, divergences and log-determinants (:func:`at_least_float32`);
* the last layer before a likelihood, and the likelihood (:func:`in_float32`): between 1/2 and 1 the numbers of bfloat16
  are 1/256 apart, so a mean of pixels rounded to them would be off by up to a quarter of a level of 8 bits;
* mean and variance of layer normalisation, and codebooks;
* weights, and the weight normalisation that makes kernels of them.

A layer normalisation returns the type that came in, a batch normalisation (with statistics in float32) too, and so
does an enlargement. Linear layers before a batch normalisation of units are in float32 with it. A stream of features
that residual blocks add to has the type it started with: float32 in the decoder of a Very Deep VAE, which starts from
weights, and bfloat16 where it starts from a convolution.

Only attention over depth leans on a list: scores, softmax and the sum over layers are in float32 on a GPU, by CUDA's
list and in the fused kernels, and in bfloat16 on a CPU. ``tests/avae_lib/test_pretended_gpu.py`` holds every family to
this.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

__all__ = ["at_least_float32", "in_float32", "without_autocast"]


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32 where autocast made it shorter: densities and divergences are differences of large numbers.

    >>> at_least_float32(torch.ones(2, dtype=torch.bfloat16)).dtype, at_least_float32(torch.ones(2).double()).dtype
    (torch.float32, torch.float64)
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)`` in float32 (or float64), whatever autocast says.

    >>> layer, x = nn.Linear(2, 1), torch.ones(1, 2)
    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     layer(x).dtype, in_float32(layer, x).dtype
    (torch.bfloat16, torch.float32)
    """
    with without_autocast(x):
        return layer(at_least_float32(x))


def without_autocast(x: Tensor) -> contextlib.AbstractContextManager:
    """Autocast off on the device of ``x``.

    >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(torch.zeros(1)):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
