"""Residual cells and what they are made of, against sums over shifted images and indexing in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avae_lib.nn.convolutions import WeightNormConvolution
from avae_lib.nn.nonlocal_block import NonLocalBlock
from avae_lib.nn.residual_cells import (
    FactorizedReduction,
    JoiningConvolution,
    Node,
    ResidualBlock,
    SummingConvolution,
    residual_cell,
)


@pytest.fixture(autouse=True)
def _in_float64():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _kernels(layer: WeightNormConvolution) -> Tensor:
    """exp(g) v / ‖v‖, one output channel after the other."""
    pairs = zip(layer.log_gain, layer.direction, strict=True)
    return torch.stack([log_gain.exp() * direction / direction.square().sum().sqrt() for log_gain, direction in pairs])


def _convolve(x: Tensor, layer: WeightNormConvolution, first_row: int = -1) -> Tensor:
    """The convolution as a sum over shifted images; 3×3 kernels start at ``first_row`` relative to the pixel."""
    kernels = _kernels(layer)
    size = kernels.shape[-1]
    offset, (height, width) = (first_row if size == 3 else 0), x.shape[2:]
    padded = F.pad(x, (2, 2, 2, 2))
    out = torch.zeros(len(x), len(kernels), height, width)
    for row in range(size):
        for column in range(size):
            shifted = padded[:, :, 2 + offset + row :, 2 + offset + column :][:, :, :height, :width]
            out += torch.einsum("oi,bihw->bohw", kernels[:, :, row, column], shifted)
    return out if layer.bias is None else out + layer.bias[None, :, None, None]


def _swish(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def _batch_norm(x: Tensor) -> Tensor:
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    return (x - mean) / ((x - mean).square().mean(dim=(0, 2, 3), keepdim=True) + 1e-5).sqrt()


def _nodes(block: ResidualBlock, x: Tensor) -> Tensor:
    for node in block.nodes:
        strides = node[-1].stride == 2
        x = _convolve(_swish(_batch_norm(x)), node[-1], first_row=0 if strides else -1)
        x = x[:, :, ::2, ::2] if strides else x
    return x


class TestWeightNormConvolution:
    def test_a_kernel_has_the_length_of_its_gain(self):
        layer = WeightNormConvolution(3, 5, kernel_size=3)
        nn.init.normal_(layer.log_gain)
        torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), layer.log_gain.exp())

    @pytest.mark.parametrize("kernel_size", [1, 3])
    def test_it_computes_what_torchs_parametrisation_computes(self, kernel_size):
        ours = WeightNormConvolution(3, 5, kernel_size)
        theirs = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 5, kernel_size, padding=kernel_size // 2))
        weight = theirs.parametrizations.weight
        with torch.no_grad():
            weight.original0.copy_(ours.log_gain.exp().reshape(-1, 1, 1, 1))
            weight.original1.copy_(ours.direction)
            theirs.bias.copy_(ours.bias)
        x = torch.randn(2, 3, 6, 4)
        torch.testing.assert_close(ours(x), theirs(x))

    def test_it_is_a_sum_over_shifted_images(self):
        layer = WeightNormConvolution(3, 5, kernel_size=3)
        x = torch.randn(2, 3, 6, 4)
        torch.testing.assert_close(layer(x), _convolve(x, layer))

    def test_a_stride_of_two_reads_each_square_of_pixels_and_the_next(self):
        layer = WeightNormConvolution(3, 5, kernel_size=3, stride=2)
        x = torch.randn(2, 3, 6, 4)
        torch.testing.assert_close(layer(x), _convolve(x, layer, first_row=0)[:, :, ::2, ::2])

    def test_fresh_weights_have_the_published_spread_and_length(self):
        layer = WeightNormConvolution(40, 400, kernel_size=3)
        fan_in = 40 * 9
        assert layer.direction.abs().max() <= (0.99 / fan_in) ** 0.5
        assert layer.direction.var().item() == pytest.approx(0.33 / fan_in, rel=0.02)
        assert layer.bias.abs().max() <= (0.99 / 400) ** 0.5
        assert layer.bias.var().item() == pytest.approx(0.33 / 400, rel=0.2)
        torch.testing.assert_close(layer.log_gain, layer.direction.flatten(1).norm(dim=1).log() + 0.01)


class TestResidualBlock:
    def test_keeping_adds_a_tenth_of_the_nodes(self):
        block, x = ResidualBlock(4), torch.randn(2, 4, 6, 8)
        torch.testing.assert_close(block(x), x + 0.1 * _nodes(block, x))

    def test_halving_maps_each_pixel_of_a_square_on_its_own(self):
        block, x = ResidualBlock(4, "halve"), torch.randn(2, 4, 6, 8)
        maps, bent = block.shortcut.maps, _swish(x)
        quarters = [bent[:, :, ::2, ::2], bent[:, :, 1::2, 1::2], bent[:, :, ::2, 1::2], bent[:, :, 1::2, ::2]]
        shortcut = torch.cat([_convolve(quarter, layer) for quarter, layer in zip(quarters, maps, strict=True)], dim=1)
        torch.testing.assert_close(block(x), shortcut + 0.1 * _nodes(block, x))
        assert block(x).shape == (2, 8, 3, 4)

    def test_doubling_interpolates_from_corner_to_corner(self):
        block, x = ResidualBlock(4, "double"), torch.randn(2, 4, 3, 5)
        shortcut = _convolve(_bilinear(x), block.shortcut[-1])
        repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        torch.testing.assert_close(block(x), shortcut + 0.1 * _nodes(block, repeated))
        assert block.shortcut[-1].bias is None
        assert block(x).shape == (2, 2, 6, 10)

    def test_the_last_map_of_a_reduction_makes_what_is_left(self):
        reduction = FactorizedReduction(3, 10)
        assert [len(layer.bias) for layer in reduction.maps] == [2, 2, 2, 4]
        assert reduction(torch.zeros(1, 3, 4, 4)).shape == (1, 10, 2, 2)

    def test_non_local_blocks_sit_in_nodes_and_in_shortcuts_that_double(self):
        for resize, count in (("keep", 2), ("halve", 2), ("double", 3)):
            block = ResidualBlock(4, resize, key_channels=2)
            assert sum(isinstance(module, NonLocalBlock) for module in block.modules()) == count

    def test_a_node_looks_around_before_it_strides(self):
        node = Node(4, 8, stride=2, key_channels=2)
        seen = []
        node[1].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
        node(torch.randn(2, 4, 6, 6))
        assert seen == [(2, 4, 6, 6)]

    def test_a_cell_is_a_chain_of_blocks(self):
        cell, x = residual_cell(4, ["keep", "halve", "double"]), torch.randn(2, 4, 6, 8)
        assert cell(x).shape == x.shape
        torch.testing.assert_close(cell(x), cell[2](cell[1](cell[0](x))))

    def test_an_unknown_resize_is_refused(self):
        with pytest.raises(ValueError, match="resize must be keep, halve or double, got 'third'"):
            ResidualBlock(4, "third")


def _bilinear(x: Tensor) -> Tensor:
    """Each axis resampled at equal distances between its first and last pixel."""
    for axis in (2, 3):
        size = x.shape[axis]
        places = torch.arange(2 * size) * (size - 1) / (2 * size - 1)
        below = places.floor().long().clamp(max=size - 2)
        share = (places - below).reshape([-1 if dim == axis else 1 for dim in range(4)])
        x = (1 - share) * x.index_select(axis, below) + share * x.index_select(axis, below + 1)
    return x


class TestNonLocalBlock:
    def test_it_agrees_with_loops_over_pixels(self):
        block, x = NonLocalBlock(3, 2), torch.randn(2, 3, 2, 4)
        nn.init.constant_(block.gate, 0.7)
        nn.init.constant_(block.scale, 1.3)
        query, key, value = (_convolve(x, layer).flatten(2) for layer in (block.query, block.key, block.value))
        found = torch.zeros(2, 3, 8)
        for image in range(2):
            for asking in range(8):
                odds = torch.stack([(1.3 * query[image, :, asking] @ key[image, :, asked]).exp() for asked in range(8)])
                for asked in range(8):
                    found[image, :, asking] += odds[asked] / odds.sum() * value[image, :, asked]
        torch.testing.assert_close(block(x), x + 0.7 * found.reshape(2, 3, 2, 4))

    def test_a_fresh_one_is_the_identity_and_learns_from_the_first_step(self):
        block, x = NonLocalBlock(3, 2), torch.randn(2, 3, 4, 4)
        assert torch.equal(block(x), x)
        block(x).square().sum().backward()
        assert block.gate.grad.abs() > 0


class TestMergers:
    def test_joining_maps_both_side_by_side(self):
        merge, a, b = JoiningConvolution(3, 2, 5), torch.randn(2, 3, 4, 4), torch.randn(2, 2, 4, 4)
        torch.testing.assert_close(merge(a, b), _convolve(torch.cat((a, b), dim=1), merge.map))

    def test_summing_maps_the_first_only_if_its_width_differs(self):
        a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 2, 4, 4)
        wider, same = SummingConvolution(3, 2, 5), SummingConvolution(3, 2, 3)
        torch.testing.assert_close(wider(a, b), _convolve(a, wider.match) + _convolve(b, wider.map))
        torch.testing.assert_close(same(a, b), a + _convolve(b, same.map))

    def test_a_non_local_block_comes_after_the_merging(self):
        a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 2, 4, 4)
        for merger in (JoiningConvolution, SummingConvolution):
            merge = merger(3, 2, 5, key_channels=2)
            with_gate_closed = merge(a, b)
            nn.init.constant_(merge.non_local.gate, 1.0)
            torch.testing.assert_close(merge(a, b), merge.non_local(with_gate_closed))
