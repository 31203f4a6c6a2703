"""Right ways to write ``unpool_nearest``."""

import sys

import torch
import torch.nn.functional as F
from torch import nn

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def interpolate(x, factor):
    return F.interpolate(x, scale_factor=factor, mode="nearest")


@variant
def to_a_size(x, factor):
    return F.interpolate(x, size=(x.shape[2] * factor, x.shape[3] * factor), mode="nearest-exact")


@variant
def module(x, factor):
    return nn.Upsample(scale_factor=float(factor))(x)


@variant
def blocks(x, factor):
    batch, channels, h, w = x.shape
    copies = x[:, :, :, None, :, None].expand(-1, -1, -1, factor, -1, factor)
    print("from", (h, w), "by", factor, file=sys.stderr)
    return copies.reshape(batch, channels, h * factor, w * factor)


@variant
def permuted(x, factor):
    batch, channels, h, w = x.shape
    copies = x.repeat(factor, factor, 1, 1, 1, 1)  # (factor, factor, batch, channels, h, w)
    return copies.permute(2, 3, 4, 0, 5, 1).reshape(batch, channels, h * factor, w * factor)


@variant
def kronecker_product(x, factor):
    return torch.kron(x, torch.ones(1, 1, factor, factor, dtype=x.dtype))


@variant
def transposed_convolution(x, factor):
    channels = x.shape[1]
    kernel = torch.ones(channels, 1, factor, factor, dtype=x.dtype)
    return F.conv_transpose2d(x, kernel, stride=factor, groups=channels)


@variant
def indexed(x, factor):
    rows, columns = (torch.arange(size * factor) // factor for size in x.shape[2:])
    return x[:, :, rows][:, :, :, columns]


@variant
def shuffled_from_copies(x, factor):
    return F.pixel_shuffle(x.repeat_interleave(factor**2, dim=1), factor)


@variant
def filled(x, factor):
    y = x.new_empty(*x.shape[:2], factor * x.shape[2], factor * x.shape[3])
    for row in range(factor):
        for column in range(factor):
            y[..., row::factor, column::factor] = x
    return y
