import math
import tracemalloc

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from avae_lib.evaluation import effective_sample_size, marginal_log_likelihood


def drawn(*shape, scale=1.0, dtype=torch.float64, seed=0):
    return scale * torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sizes", [(12,), (1,) * 12, (5, 1, 6), (2, 10)])
@pytest.mark.parametrize("scale", [1.0, 3000.0])
def test_log_mean_weight_of_chunks_is_that_of_scipy_for_all_at_once(sizes, scale):
    log_weights = drawn(12, 5, scale=scale)
    streamed = marginal_log_likelihood(chunk for chunk in log_weights.split(list(sizes)))
    expected = logsumexp(log_weights.numpy(), axis=0) - math.log(12)
    assert np.allclose(streamed.numpy(), expected, rtol=1e-13, atol=1e-12)


def test_weights_of_zero_count_as_samples():
    nothing = -math.inf
    chunks = [torch.tensor([[nothing, nothing, 0.0]]), torch.tensor([[math.log(6.0), nothing, nothing]] * 2)]
    assert marginal_log_likelihood(chunks).exp().tolist() == pytest.approx([4.0, 0.0, 1 / 3])


def test_many_small_chunks_of_float32_lose_no_digits():
    log_weights = drawn(6000, 2, dtype=torch.float32) - 4000
    expected = logsumexp(log_weights.double().numpy(), axis=0) - math.log(6000)
    streamed = marginal_log_likelihood(log_weights.split(1))
    assert streamed.dtype is torch.float32
    assert streamed.tolist() == pytest.approx(expected.tolist(), abs=3e-4)  # neighbours near 4,000 are 0.00024 apart


def test_chunks_keep_their_numbers_and_no_graph_is_built():
    chunks = [drawn(3, 2).requires_grad_(), drawn(2, 2, seed=1)]
    before = [chunk.detach().clone() for chunk in chunks]
    assert not marginal_log_likelihood(chunks).requires_grad
    assert all(torch.equal(chunk, kept) for chunk, kept in zip(chunks, before, strict=True))


def test_memory_does_not_grow_with_the_number_of_chunks():
    def peak(count):
        tracemalloc.start()
        marginal_log_likelihood(torch.zeros(2, 3) for _ in range(count))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    assert peak(2000) < peak(100) + 20_000  # a list of 2,000 tensors takes at least 150,000 bytes


def test_no_chunk_at_all_is_refused():
    with pytest.raises(ValueError, match=r"chunks must hold at least one chunk of log weights \(samples, batch\)"):
        marginal_log_likelihood(iter([]))


@pytest.mark.parametrize("offset", [0.0, -8000.0, 1e6])
def test_effective_sample_size_is_the_ratio_of_sums_in_double_precision(offset):
    log_weights = drawn(9, 4, scale=1.5).round(decimals=2)
    expected = [
        math.fsum(map(math.exp, column)) ** 2 / math.fsum(math.exp(2 * value) for value in column)
        for column in log_weights.T.tolist()
    ]
    assert effective_sample_size(log_weights + offset).tolist() == pytest.approx(expected, rel=1e-8)
    assert all(1 <= size <= 9 for size in expected)


def test_effective_sample_size_is_1_where_one_draw_outweighs_and_k_where_all_are_equal():
    apart = torch.tensor([[0.0, 7e37], [-3e38, 7e37], [-2000.0, 7e37]])
    assert effective_sample_size(apart).tolist() == [1.0, 3.0]


def test_effective_sample_size_says_how_exact_a_mean_by_importance_sampling_is():
    """For a function that does not depend on the weights, K draws are as good as that many equal ones (Kong, 1992)."""
    generator = torch.Generator().manual_seed(2)
    log_weights = torch.randn(200, 4000, generator=generator, dtype=torch.float64)
    values = torch.randn(200, 4000, generator=generator, dtype=torch.float64)
    means = (log_weights.softmax(dim=0) * values).sum(dim=0)
    assert means.var().item() == pytest.approx((1 / effective_sample_size(log_weights)).mean().item(), rel=0.1)


def test_gradients_of_the_effective_sample_size_agree_with_finite_differences():
    assert torch.autograd.gradcheck(effective_sample_size, drawn(4, 3).requires_grad_())
