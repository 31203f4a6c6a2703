"""NVAE's cells and squeeze-excite against straight-line computations, and what they cost."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from avae_lib.nn.nvae_cells import SqueezeExcite, decoder_cell, encoder_cell, normalised_convolution


def _swish(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)


def _normalised(x: torch.Tensor) -> torch.Tensor:
    """Batch norm with fresh weights, in training."""
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, correction=0)
    return (x - mean) / (variance + 1e-5).sqrt()


def _convolutions(cell: nn.Module) -> list[nn.Conv2d]:
    return [module for module in cell.correction.modules() if isinstance(module, nn.Conv2d)]


def test_squeeze_excite_is_a_gate_from_the_means_of_the_channels():
    module, x = SqueezeExcite(6), torch.randn(3, 6, 4, 5)
    first, _, second, _ = module.gate
    expected = torch.empty_like(x)
    for image in range(3):
        means = torch.stack([x[image, channel].sum() / 20 for channel in range(6)])
        hidden = (first.weight @ means + first.bias).clamp(min=0)
        gate = 1 / (1 + torch.exp(-(second.weight @ hidden + second.bias)))
        for channel in range(6):
            expected[image, channel] = x[image, channel] * gate[channel]
    torch.testing.assert_close(module(x), expected)


def test_decoder_cell_is_its_description():
    cell, x = decoder_cell(4, 4), torch.randn(8, 4, 6, 6)
    expand, depthwise, contract = (convolution.weight for convolution in _convolutions(cell))
    hidden = _swish(_normalised(F.conv2d(_normalised(x), expand)))
    hidden = _swish(_normalised(F.conv2d(hidden, depthwise, padding=2, groups=24)))
    squeeze_excite = cell.correction[-1]
    expected = x + 0.1 * squeeze_excite(_normalised(F.conv2d(hidden, contract)))
    torch.testing.assert_close(cell(x), expected)


def test_encoder_cell_is_its_description():
    cell, x = encoder_cell(4, 4), torch.randn(8, 4, 6, 6)
    first, second = _convolutions(cell)
    hidden = F.conv2d(_swish(_normalised(x)), first.weight, first.bias, padding=1)
    hidden = F.conv2d(_swish(_normalised(hidden)), second.weight, second.bias, padding=1)
    torch.testing.assert_close(cell(x), x + 0.1 * cell.correction[-1](hidden))


@pytest.mark.parametrize(("expansion", "channels"), [(6, 8), (3, 12)])
def test_weights_of_a_decoder_cell_grow_as_stated(expansion, channels):
    counted = sum(
        convolution.weight.numel()
        for convolution in _convolutions(decoder_cell(channels, channels, expansion=expansion))
    )
    assert counted == (2 * channels + 25) * expansion * channels


def test_cells_halve_and_double():
    x = torch.randn(2, 8, 6, 6)
    assert encoder_cell(8, 16, "halve")(x).shape == (2, 16, 3, 3)
    assert decoder_cell(8, 4, "double")(x).shape == (2, 4, 12, 12)


def test_halving_shortcut_is_a_convolution_of_squares_of_two():
    shortcut, x = encoder_cell(3, 10, "halve").shortcut, torch.randn(2, 3, 4, 6)
    weight, corners = torch.zeros(10, 3, 2, 2), ((0, 0), (1, 1), (0, 1), (1, 0))
    start = 0
    for convolution, (row, column) in zip(shortcut.maps, corners, strict=True):
        end = start + len(convolution.weight)
        weight[start:end, :, row, column] = convolution.weight[:, :, 0, 0]
        start = end
    bias = torch.cat([convolution.bias for convolution in shortcut.maps])
    torch.testing.assert_close(shortcut(x), F.conv2d(_swish(x), weight, bias, stride=2))


@pytest.mark.parametrize("weight_norm", [True, False])
def test_a_penalty_that_looks_for_convolutions_finds_their_weights(weight_norm):
    cell = encoder_cell(4, 4, weight_norm=weight_norm)
    found = _convolutions(cell)
    assert [tuple(convolution.weight.shape) for convolution in found] == [(4, 4, 3, 3)] * 2
    sum(convolution.weight.square().sum() for convolution in found).backward()
    assert any(parameter.grad is not None for parameter in found[0].parameters())


def test_weight_norm_starts_as_the_plain_convolution():
    torch.manual_seed(0)
    plain = normalised_convolution(3, 5, weight_norm=False)
    torch.manual_seed(0)
    torch.testing.assert_close(normalised_convolution(3, 5).weight, plain.weight)
