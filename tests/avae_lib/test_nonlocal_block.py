"""Attention between pixels, against a loop in float64, and where numbers are large."""

import numpy as np
import pytest
import torch

from avae_lib.components import using
from avae_lib.nn.nonlocal_block import NonLocalBlock, nonlocal_attention

BATCH, PIXELS = 2, 6


def _inputs(key_channels, channels, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = (key_channels, key_channels, channels)
    return [torch.randn(BATCH, PIXELS, size, generator=generator, dtype=dtype) for size in sizes]


def _pixel_by_pixel(query, key, value, scale):
    query, key, value = (np.asarray(part, dtype=np.float64) for part in (query, key, value))
    found = np.zeros_like(value)
    for b in range(BATCH):
        for n in range(PIXELS):
            scores = scale * key[b] @ query[b, n]
            odds = np.exp(scores - scores.max())
            found[b, n] = (odds / odds.sum()) @ value[b]
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("key_channels", "channels"), [(4, 4), (3, 5)])
@pytest.mark.parametrize("scale", [0.5, torch.tensor(3.0)])
def test_attention_agrees_with_a_loop_over_pixels(dtype, key_channels, channels, scale):
    scale = scale.to(dtype) if isinstance(scale, torch.Tensor) else scale
    inputs = _inputs(key_channels, channels, dtype)
    result = nonlocal_attention(*inputs, scale)
    assert result.dtype == dtype
    expected = torch.from_numpy(_pixel_by_pixel(*inputs, float(scale))).to(dtype)
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [2, 3])
def test_large_scores_pick_and_large_values_survive(dtype, channels):
    key = torch.zeros(BATCH, PIXELS, 2, dtype=dtype)
    key[:, :, 0] = 1e9 * torch.arange(PIXELS, dtype=dtype) / PIXELS
    value = 1e30 * torch.randn(BATCH, PIXELS, channels, dtype=dtype)
    query = torch.tensor([1.0, 0.0], dtype=dtype).expand(BATCH, PIXELS, 2).clone().requires_grad_()
    result = nonlocal_attention(query, key, value, 1.0)
    assert torch.equal(result, value[:, -1:].expand_as(value))
    (result * 1e-30).sum().backward()
    assert query.grad.isfinite().all()


def test_gradients_agree_with_finite_differences():
    inputs = [tensor.requires_grad_() for tensor in _inputs(3, 2, torch.float64)]
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nonlocal_attention, (*inputs, scale))


def test_block_adds_what_is_found_through_its_gate():
    block, x = NonLocalBlock(4, 3), torch.randn(2, 4, 3, 5)
    assert torch.equal(block(x), x)
    torch.nn.init.constant_(block.gate, 0.5)
    with using("nonlocal_attention", lambda query, key, value, scale: torch.full_like(value, 2.0)):
        torch.testing.assert_close(block(x), x + 1.0)
