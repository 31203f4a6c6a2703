import math
from decimal import MAX_EMAX, MIN_EMIN, Decimal, getcontext, localcontext

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import logistic

from avae_lib.likelihoods import (
    bernoulli_log_likelihood,
    discretized_logistic_log_likelihood,
    discretized_logistic_log_prob,
    discretized_logistic_mixture_log_likelihood,
    discretized_logistic_sample,
    scale_pixels,
)


def exact_bernoulli(logit: float, x: float) -> float:
    """x log σ(ℓ) + (1 − x) log(1 − σ(ℓ)) with fifty digits."""
    getcontext().prec = 80
    log_one = -(1 + (-Decimal(logit)).exp()).ln()
    log_zero = -(1 + Decimal(logit).exp()).ln()
    return float(Decimal(x) * log_one + (1 - Decimal(x)) * log_zero)


@given(st.floats(-100, 100, width=32), st.sampled_from([0.0, 0.25, 1.0]))
def test_bernoulli_is_accurate_up_to_logits_of_a_hundred(logit, x):
    result = bernoulli_log_likelihood(torch.tensor([[logit]]), torch.tensor([[x]]))
    assert result.item() == pytest.approx(exact_bernoulli(logit, x), rel=2e-6, abs=1e-37)


@given(st.floats(-100, 100, width=32), st.sampled_from([0.0, 0.25, 1.0]))
def test_bernoulli_gradient_is_x_minus_the_mean(logit, x):
    logits = torch.tensor([[logit]], requires_grad=True)
    bernoulli_log_likelihood(logits, torch.tensor([[x]])).sum().backward()
    assert logits.grad.item() == pytest.approx(x - 1 / (1 + math.exp(-logit)), abs=1e-6)


@pytest.mark.parametrize("shape", [(3, 7), (3, 1, 4, 4), (3,)])
def test_bernoulli_sums_over_all_dimensions_but_the_first(shape):
    logits, x = torch.randn(shape), torch.rand(shape)
    loop = [
        sum(exact_bernoulli(logit, value) for logit, value in zip(row, values, strict=True))
        for row, values in zip(logits.reshape(3, -1).tolist(), x.reshape(3, -1).tolist(), strict=True)
    ]
    assert np.allclose(bernoulli_log_likelihood(logits, x).numpy(), loop, rtol=1e-5)


@given(st.integers(1, 8), st.floats(-2, 2), st.floats(-7, 7))
def test_discretised_logistic_probabilities_sum_to_one(bits, mean, log_scale):
    levels = torch.arange(2**bits)
    mean, log_scale = (torch.tensor(v, dtype=torch.float64) for v in (mean, log_scale))
    assert discretized_logistic_log_prob(levels, mean, log_scale, bits).exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("log_scale", [-5.0, -2.0, 0.0, 4.0])
def test_discretised_logistic_equals_differences_of_scipys_cdf(bits, log_scale):
    levels = np.arange(2**bits)
    edges = np.concatenate([[-np.inf], (2 * levels[1:] - 1) / (2**bits - 1) - 1, [np.inf]])
    expected = np.diff(logistic.cdf(edges, loc=0.3, scale=math.exp(log_scale)))
    mean, log_scale = (torch.tensor(v, dtype=torch.float64) for v in (0.3, log_scale))
    result = discretized_logistic_log_prob(torch.tensor(levels), mean, log_scale, bits).exp().numpy()
    assert np.allclose(result, expected, rtol=1e-9, atol=1e-12)


def test_discretised_logistic_keeps_far_tails_that_a_difference_of_cdfs_rounds_to_zero():
    level, mean, scale = 200, -1.0, math.exp(-5)
    result = discretized_logistic_log_prob(torch.tensor(level), torch.tensor(mean), torch.tensor(-5.0), 8)
    upper, lower = ((2 * (level + half) / 255 - 1 - mean) / scale for half in (0.5, -0.5))
    getcontext().prec = 400
    exact = (1 / (1 + (-Decimal(upper)).exp()) - 1 / (1 + (-Decimal(lower)).exp())).ln()
    assert result.item() == pytest.approx(float(exact), rel=1e-5)


def exact_level(x: int, mean: float, log_scale: float, bits: int) -> float:
    """log P of one level with sixty digits; σ(a) − σ(b) as (e^−b − e^−a) / ((1 + e^−a)(1 + e^−b)), without loss."""
    last = 2**bits - 1
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 60, MAX_EMAX, MIN_EMIN
        scaled, scale = Decimal(2 * x) / last - 1, Decimal(log_scale).exp()
        above = (-(scaled + Decimal(1) / last - Decimal(mean)) / scale).exp()
        below = (-(scaled - Decimal(1) / last - Decimal(mean)) / scale).exp()
        if x == 0:
            return float(-(1 + above).ln())
        if x == last:
            return float(below.ln() - (1 + below).ln())
        return float((below - above).ln() - (1 + above).ln() - (1 + below).ln())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@given(st.integers(1, 8), st.integers(0, 255), st.floats(-2, 2, width=32), st.floats(-7, 7, width=32))
@example(8, 254, -2.0, -7.0)
@example(8, 255, -2.0, -7.0)
@example(8, 0, 2.0, -7.0)
def test_discretised_logistic_is_as_accurate_as_promised(dtype, tolerance, bits, x, mean, log_scale):
    x %= 2**bits
    exact = exact_level(x, mean, log_scale, bits)
    parameters = [torch.tensor(value, dtype=dtype, requires_grad=True) for value in (mean, log_scale)]
    result = discretized_logistic_log_prob(torch.tensor(x), *parameters, bits)
    assert result.dtype == dtype
    assert result.item() == pytest.approx(exact, rel=tolerance, abs=tolerance)
    gradients = torch.autograd.grad(result, parameters)
    assert all(gradient.isfinite() for gradient in gradients)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_levels_may_be_of_any_type_and_shapes_broadcast(dtype):
    x, mean, log_scale = torch.arange(256).reshape(1, 256), torch.randn(3, 1), torch.tensor(-3.0)
    loop = [[exact_level(level, m.item(), -3.0, 8) for level in range(256)] for m in mean]
    result = discretized_logistic_log_prob(x.to(dtype), mean, log_scale, 8)
    assert np.allclose(result.numpy(), loop, rtol=1e-6)


@pytest.mark.parametrize("bits", [0, 9])
def test_levels_of_other_than_one_to_eight_bits_are_refused(bits):
    with pytest.raises(ValueError, match=f"bits must be 1 to 8, got {bits}"):
        discretized_logistic_log_prob(torch.zeros(1), torch.zeros(1), torch.zeros(1), bits)


@pytest.mark.parametrize("mean", [-1e6, -1.0, 0.01, 1e6])
@pytest.mark.parametrize("log_scale", [-300.0, -7.0, 0.0, 300.0])
def test_discretised_logistic_stays_finite_at_extreme_parameters(mean, log_scale):
    parameters = [torch.full((256,), v, requires_grad=True) for v in (mean, log_scale)]
    log_prob = discretized_logistic_log_likelihood(*(p[:, None] for p in parameters), torch.arange(256)[:, None], 8)
    log_prob.sum().backward()
    assert log_prob.isfinite().all() and all(p.grad.isfinite().all() for p in parameters)
    assert (log_prob <= 0).all()


def test_discretised_logistic_gradients_pass_finite_differences():
    mean, log_scale = (torch.randn(2, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    x = torch.tensor([[0, 3, 15, 7, 1], [15, 0, 8, 2, 14]])
    assert torch.autograd.gradcheck(lambda m, s: discretized_logistic_log_likelihood(m, s, x, 4), (mean, log_scale))


def test_mixture_of_one_component_is_that_component():
    mean, log_scale, logits = torch.randn(3, 2, 1, 4, 4, dtype=torch.float64)
    x = torch.randint(16, (2, 1, 4, 4))
    mixture = discretized_logistic_mixture_log_likelihood(logits[:, None], mean[:, None], log_scale[:, None], x, 4)
    assert torch.allclose(mixture, discretized_logistic_log_likelihood(mean, log_scale, x, 4))


def test_mixture_equals_a_loop_over_pixels_and_components():
    logits, mean, log_scale = torch.randn(3, 2, 3, 1, 2, 2, dtype=torch.float64)
    x = torch.randint(16, (2, 1, 2, 2))
    weights = logits.softmax(1)
    expected = torch.zeros(2, dtype=torch.float64)
    for image, row, column in np.ndindex(2, 2, 2):
        place = (0, row, column)
        probability = sum(
            weights[image, k][place]
            * discretized_logistic_log_prob(x[image][place], mean[image, k][place], log_scale[image, k][place], 4).exp()
            for k in range(3)
        )
        expected[image] += probability.log()
    assert torch.allclose(discretized_logistic_mixture_log_likelihood(logits, mean, log_scale, x, 4), expected)


def test_mixture_probabilities_of_all_levels_sum_to_one():
    logits, mean, log_scale = (torch.randn(1, 5, 1, 1, 1).expand(16, 5, 1, 1, 1) for _ in range(3))
    x = torch.arange(16).reshape(16, 1, 1, 1)
    log_probs = discretized_logistic_mixture_log_likelihood(logits, mean, log_scale, x, 4)
    assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_have_the_frequencies_that_the_density_gives():
    n, mean, log_scale = 200_000, torch.tensor(0.4), torch.tensor(-1.2)
    uniform = torch.rand(n, generator=torch.Generator().manual_seed(0))
    draws = discretized_logistic_sample(mean, log_scale, uniform, bits=3)
    frequencies = torch.bincount(draws.long(), minlength=8) / n
    probabilities = discretized_logistic_log_prob(torch.arange(8), mean, log_scale, 3).exp()
    assert draws.dtype == torch.uint8
    assert torch.allclose(frequencies, probabilities, atol=0.004)


def test_scaled_pixels_span_minus_one_to_one():
    assert scale_pixels(torch.tensor([0, 5, 10, 15], dtype=torch.uint8), bits=4).tolist() == pytest.approx(
        [-1, -1 / 3, 1 / 3, 1]
    )
    assert scale_pixels(torch.tensor([0, 1], dtype=torch.uint8), bits=1).tolist() == [-1, 1]
