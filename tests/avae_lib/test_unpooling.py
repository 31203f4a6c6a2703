"""Repeated pixels, against a loop."""

import itertools

import pytest
import torch

from avae_lib.nn.unpooling import Unpooling, unpool_nearest


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_each_pixel_fills_a_square(factor):
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    y = unpool_nearest(x, factor)
    assert y.shape == (2, 3, 4 * factor, 5 * factor) and y.dtype == x.dtype
    for row, column in itertools.product(range(4 * factor), range(5 * factor)):
        assert torch.equal(y[:, :, row, column], x[:, :, row // factor, column // factor])


@pytest.mark.parametrize("factor", range(1, 33))
def test_no_factor_shifts_a_pixel_by_rounding(factor):
    row = torch.arange(40.0).reshape(1, 1, 1, 40)
    assert torch.equal(unpool_nearest(row, factor)[0, 0, 0], row.flatten().repeat_interleave(factor))


def test_gradient_of_a_pixel_is_the_sum_over_its_copies():
    x = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    (weights * Unpooling(3)(x)).sum().backward()
    expected = weights.reshape(1, 2, 2, 3, 2, 3).sum(dim=(3, 5))
    torch.testing.assert_close(x.grad, expected)
