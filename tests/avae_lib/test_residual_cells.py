"""Residual cells against their equation in float64, and what their initial scale is for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from avae_lib.nn.convolutions import convolution, joining_convolution, resizing
from avae_lib.nn.residual_cells import ResidualBlock, residual_cell


def _convolve_by_loop(x: torch.Tensor, layer: torch.nn.Conv2d) -> torch.Tensor:
    """The convolution as a sum over shifted images."""
    reach = layer.kernel_size[0] // 2
    padded = F.pad(x, (reach,) * 4)
    height, width = x.shape[2:]
    out = layer.bias[None, :, None, None].expand(len(x), -1, height, width).clone()
    for row in range(layer.kernel_size[0]):
        for column in range(layer.kernel_size[1]):
            shifted = padded[:, :, row : row + height, column : column + width]
            out += torch.einsum("oi,bihw->bohw", layer.weight[:, :, row, column], shifted)
    return out


def _swish(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + torch.exp(-x))


def _resize_by_hand(x: torch.Tensor, resize: str) -> torch.Tensor:
    if resize == "halve":
        return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) if resize == "double" else x


@pytest.mark.parametrize("resize", ["keep", "halve", "double"])
@pytest.mark.parametrize("out_channels", [4, 6])
def test_a_block_is_its_shortcut_plus_a_correction(resize, out_channels):
    torch.manual_seed(0)
    block = ResidualBlock(4, out_channels, resize).double()
    x = torch.randn(2, 4, 6, 8, dtype=torch.float64)
    resized = _resize_by_hand(x, resize)
    first, last = (layer for layer in block.correction if isinstance(layer, torch.nn.Conv2d))
    correction = _convolve_by_loop(_swish(_convolve_by_loop(_swish(resized), first)), last)
    shortcut = resized if out_channels == 4 else _convolve_by_loop(resized, block.match)
    torch.testing.assert_close(block(x), shortcut + correction)


def test_doubling_then_halving_gives_the_image_back():
    x = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(resizing("halve")(resizing("double")(x)), x)


def test_a_block_of_initial_scale_zero_is_its_shortcut_and_still_learns():
    block = ResidualBlock(4, 4, init_scale=0.0)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.correction[-1].weight.grad.abs().max() > 0


def test_scaled_corrections_add_up_to_the_size_of_one_however_deep_the_chain():
    torch.manual_seed(0)
    x = torch.randn(8, 16, 6, 6)
    depth = 36

    def correction(blocks, init_scale):
        return (residual_cell(16, blocks, init_scale)(x) - x).std().item()

    assert correction(depth, depth**-0.5) == pytest.approx(correction(1, 1.0), rel=0.5)
    assert correction(depth, 1.0) > 3 * correction(1, 1.0)


def test_a_cell_keeps_channels_height_and_width():
    assert residual_cell(5, blocks=3)(torch.zeros(2, 5, 4, 7)).shape == (2, 5, 4, 7)


def test_joining_starts_as_the_stream_plus_a_map_of_the_new_features():
    torch.manual_seed(0)
    join = joining_convolution(2, width=5)
    new, stream = torch.randn(3, 2, 4, 4), torch.randn(3, 5, 4, 4)
    nothing = torch.zeros_like(new)
    torch.testing.assert_close(join(torch.cat((nothing, stream), dim=1)), stream)
    added = join(torch.cat((new, stream), dim=1)) - stream
    assert added.abs().mean() > 0.1
    torch.testing.assert_close(join(torch.cat((3 * new, 0 * stream), dim=1)), 3 * added)


def test_biases_start_at_zero():
    assert not convolution(3, 8).bias.any()


def test_an_unknown_resize_is_refused():
    with pytest.raises(ValueError, match="resize must be keep, halve or double, got 'third'"):
        resizing("third")
