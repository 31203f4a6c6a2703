"""The block of a Very Deep VAE, against loops over pixels in float64."""

import itertools
import math

import numpy as np
import pytest
import torch

from avae_lib.nn.bottleneck import Bottleneck, bottleneck_block


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    batch, _, height, width = x.shape
    out_channels, _, side, _ = weight.shape
    reach = side // 2
    y = np.zeros((batch, out_channels, height, width)) + bias[None, :, None, None]
    for row in range(height):
        for column in range(width):
            for a in range(-reach, reach + 1):
                for b in range(-reach, reach + 1):
                    if 0 <= row + a < height and 0 <= column + b < width:
                        kernel = weight[:, :, a + reach, b + reach]
                        y[:, :, row, column] += x[:, :, row + a, column + b] @ kernel.T
    return y


def _by_loops(x, weights, biases, residual):
    y = x.numpy()
    for weight, bias in zip(weights, biases, strict=True):
        y = _convolved(_gelu(y), weight.numpy(), bias.numpy())
    return torch.from_numpy(y + x.numpy() if residual else y)


def _block(widths, sides, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (after, before, side, side) for (before, after), side in zip(itertools.pairwise(widths), sides, strict=True)
    ]
    weights = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    biases = [torch.randn(shape[0], generator=generator, dtype=torch.float64) for shape in shapes]
    return weights, biases


@pytest.mark.parametrize(("resolution", "sides"), [(4, (1, 3, 3, 1)), (2, (1, 1, 1, 1)), (1, (1, 1, 1, 1))])
@pytest.mark.parametrize(("out_width", "residual"), [(3, True), (3, False), (5, False)])
def test_block_agrees_with_loops_over_pixels(resolution, sides, out_width, residual):
    weights, biases = _block((3, 2, 2, 2, out_width), sides)
    x = torch.randn(2, 3, resolution, resolution, dtype=torch.float64)
    expected = _by_loops(x, weights, biases, residual)
    torch.testing.assert_close(bottleneck_block(x, weights, biases, residual), expected)


def test_gradients_reach_input_weights_and_biases():
    weights, biases = _block((2, 1, 1, 1, 2), (1, 3, 3, 1))
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    tensors = [tensor.requires_grad_() for tensor in (x, *weights, *biases)]
    assert torch.autograd.gradcheck(lambda x, *rest: bottleneck_block(x, rest[:4], rest[4:], True), tensors)


@pytest.mark.parametrize(("resolution", "side"), [(1, 1), (2, 1), (4, 3)])
def test_module_is_the_function_of_its_weights(resolution, side):
    module = Bottleneck(6, 3, 6, resolution, is_residual=True)
    assert [layer.kernel_size[0] for layer in module.convolutions] == [1, side, side, 1]
    x = torch.randn(2, 6, resolution, resolution)
    weights, biases = zip(*((layer.weight, layer.bias) for layer in module.convolutions), strict=True)
    assert torch.equal(module(x), bottleneck_block(x, weights, biases, True))
