"""Right ways to write ``bottleneck_block``."""

import math
import sys

import torch
import torch.nn.functional as F

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def padding_from_the_kernel(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


@variant
def padding_same(x, weights, biases, residual):
    y = x
    for n in range(4):
        y = F.conv2d(F.gelu(y), weights[n], biases[n], padding="same")
    if residual:
        y = y + x
    return y


@variant
def written_out_by_resolution(x, weights, biases, residual):
    padding = 1 if x.shape[-1] > 2 else 0
    y = F.conv2d(F.gelu(x), weights[0], biases[0])
    y = F.conv2d(F.gelu(y), weights[1], biases[1], padding=padding)
    y = F.conv2d(F.gelu(y), weights[2], biases[2], padding=padding)
    y = F.conv2d(F.gelu(y), weights[3], biases[3])
    return x + y if residual else y


@variant
def gelu_by_the_error_function(x, weights, biases, residual):
    def gelu(y):
        return 0.5 * y * (1 + torch.erf(y / math.sqrt(2)))

    def layer(y, n):
        return F.conv2d(gelu(y), weights[n], padding=weights[n].shape[-1] // 2) + biases[n].view(1, -1, 1, 1)

    y = layer(layer(layer(layer(x, 0), 1), 2), 3)
    print("from", tuple(x.shape), "to", tuple(y.shape), file=sys.stderr)
    return x + y if residual else y


@variant
def gelu_by_the_normal_distribution(x, weights, biases, residual):
    y = x.clone()
    for weight, bias in zip(weights, biases, strict=True):
        edge = (weight.shape[-1] - 1) // 2
        y = F.pad(y * torch.special.ndtr(y), (edge, edge, edge, edge))
        y = F.conv2d(y, weight, bias)
    return y + x if residual else y


@variant
def products_at_single_pixels(x, weights, biases, residual):
    y = torch.einsum("oi,bihw->bohw", weights[0][:, :, 0, 0], F.gelu(x)) + biases[0][:, None, None]
    for n in (1, 2):
        y = F.conv2d(F.gelu(y), weights[n], biases[n], padding="same")
    y = torch.einsum("oi,bihw->bohw", weights[3][:, :, 0, 0], F.gelu(y)) + biases[3][:, None, None]
    return x + y if residual else y


@variant
def small_kernels_filled_with_zeros(x, weights, biases, residual):
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        if weight.shape[-1] == 1:
            weight = F.pad(weight, (1, 1, 1, 1))
        y = torch.nn.functional.conv2d(torch.nn.GELU()(y), weight, bias, stride=1, padding=1)
    return x + y if residual else y


@variant
def by_unfolding(x, weights, biases, residual):
    y, (batch, _, h, w) = x, x.shape
    for weight, bias in zip(weights, biases, strict=True):
        patches = F.unfold(F.gelu(y), weight.shape[-1], padding=weight.shape[-1] // 2)
        y = (weight.flatten(1) @ patches + bias[:, None]).reshape(batch, -1, h, w)
    return torch.stack([x, y]).sum(0) if residual else y


@variant
def in_double_precision(x, weights, biases, residual):
    y = x.double()
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight.double(), bias.double(), padding=weight.shape[-1] // 2)
    return (x + y if residual else y).to(x.dtype)
