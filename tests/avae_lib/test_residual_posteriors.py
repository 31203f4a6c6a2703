"""Priors and residual posteriors: centred, bounded, and never out of reach of their gradient."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from avae_lib.gaussians import DiagonalGaussian, residual_gaussian
from avae_lib.nn.residual_posteriors import (
    CentredGaussians,
    PublishedGaussians,
    SoftplusGaussians,
    bounded_log_std,
    published_bound,
    softplus_log_std,
)


def _somewhere(seed: int = 0) -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(seed)
    mean, log_std = torch.randn(2, 3, 4, 5, 5, generator=generator)
    return DiagonalGaussian(2 * mean, log_std)


def test_a_posterior_that_is_not_shifted_is_its_prior_and_costs_nothing():
    prior = _somewhere()
    nothing = torch.zeros_like(prior.mean)
    posterior = DiagonalGaussian(*residual_gaussian(prior.mean, prior.log_std, nothing, bounded_log_std(nothing)))
    assert torch.equal(posterior.kl(prior), torch.zeros(3))


def test_kl_of_a_shifted_posterior_agrees_with_torch_distributions():
    prior, shift = _somewhere(0), _somewhere(1)
    posterior = DiagonalGaussian(*residual_gaussian(prior.mean, prior.log_std, shift.mean, shift.log_std))
    expected = kl_divergence(
        Normal(prior.mean + shift.mean, prior.log_std.exp() * shift.log_std.exp()),
        Normal(prior.mean, prior.log_std.exp()),
    ).sum(dim=(1, 2, 3))
    torch.testing.assert_close(posterior.kl(prior), expected)


@pytest.mark.parametrize("raw", [0.0, 1.0, -30.0, 1e3, -1e6])
def test_the_bound_on_log_std_holds_and_its_gradient_never_dies(raw):
    raw = torch.tensor(raw, requires_grad=True)
    log_std = bounded_log_std(raw)
    log_std.backward()
    assert log_std.abs() <= 5
    assert raw.grad > 0
    expected = raw.detach().double() / (1 + raw.detach().double().abs() / 5)
    torch.testing.assert_close(log_std.detach().double(), expected, rtol=1e-6, atol=0)


def test_near_zero_the_bound_changes_nothing():
    raw = torch.linspace(-0.01, 0.01, 9, dtype=torch.float64)
    torch.testing.assert_close(bounded_log_std(raw), raw, rtol=3e-3, atol=0)


@pytest.mark.parametrize(("raw", "low", "high"), [(-30.0, -0.7, 5.0), (0.0, -0.7, 5.0), (3.0, -0.7, 5.0)])
def test_the_range_need_not_be_symmetric(raw, low, high):
    raw = torch.tensor(raw, requires_grad=True)
    log_std = bounded_log_std(raw, (low, high))
    log_std.backward()
    limit = high if raw > 0 else -low
    assert low < log_std < high
    assert log_std.item() == pytest.approx(raw.item() / (1 + abs(raw.item()) / limit))
    assert raw.grad.item() == pytest.approx((1 + abs(raw.item()) / limit) ** -2, rel=1e-4)


def _numbers(seed: int = 0, shape: tuple[int, ...] = (3, 8, 5, 5)) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class TestCentredGaussians:
    @pytest.mark.parametrize("prior_range", [(-5.0, 5.0), (-1.0, 5.0)])
    def test_without_a_residual_the_posterior_is_the_prior(self, prior_range):
        numbers = _numbers()
        prior, posterior = CentredGaussians(prior_range)(numbers, torch.zeros_like(numbers))
        assert torch.equal(posterior.kl(prior), torch.zeros(3))
        assert prior.log_std.min() > prior_range[0] and prior.log_std.max() < prior_range[1]

    def test_the_residual_is_relative_to_the_prior(self):
        prior, posterior = CentredGaussians()(_numbers(0), _numbers(1))
        alone = CentredGaussians().unconditional(_numbers(1))
        torch.testing.assert_close(posterior.mean, prior.mean + alone.mean)
        torch.testing.assert_close(posterior.log_std, prior.log_std + alone.log_std)

    def test_without_a_shift_there_is_no_posterior(self):
        assert CentredGaussians()(_numbers(), None)[1] is None


class TestPublishedGaussians:
    @pytest.mark.parametrize(
        ("raw", "prior_std", "posterior_std", "kl"), [(0.0, 0.584, 1.010, 0.449), (2.0, 7.40, 2.69, 0.577)]
    )
    def test_without_a_residual_the_posterior_is_not_the_prior(self, raw, prior_std, posterior_std, kl):
        numbers = torch.tensor([0.0, raw]).reshape(1, 2, 1, 1)
        prior, posterior = PublishedGaussians((-1.0, 5.0))(numbers, torch.zeros_like(numbers))
        assert prior.log_std.exp().item() == pytest.approx(prior_std, rel=2e-3)
        assert posterior.log_std.exp().item() == pytest.approx(posterior_std, rel=2e-3)
        assert posterior.kl(prior).item() == pytest.approx(kl, abs=1e-3)

    def test_with_equal_bounds_it_is(self):
        numbers = _numbers()
        prior, posterior = PublishedGaussians((-5.0, 5.0))(numbers, torch.zeros_like(numbers))
        assert torch.equal(posterior.kl(prior), torch.zeros(3))

    def test_residuals_are_added_before_bounding(self):
        _, posterior = PublishedGaussians((-1.0, 5.0))(_numbers(0), _numbers(1))
        mean, raw_log_std = (_numbers(0) + _numbers(1)).double().chunk(2, dim=1)
        std = torch.exp(5 * torch.tanh(raw_log_std / 10)) + 0.01
        torch.testing.assert_close(posterior.mean, 5 * torch.tanh(mean / 10), check_dtype=False)
        torch.testing.assert_close(posterior.log_std, std.log(), check_dtype=False)

    def test_a_prior_below_its_range_is_stuck_at_the_smallest_spread(self):
        numbers = torch.tensor([0.0, -1.5]).reshape(1, 2, 1, 1).requires_grad_()
        prior, _ = PublishedGaussians((-1.0, 5.0))(numbers, None)
        prior.log_std.sum().backward()
        assert prior.log_std.exp().item() == pytest.approx(0.378, abs=5e-4)
        assert not numbers.grad.any()


@pytest.mark.parametrize(
    ("x", "low", "high", "expected"),
    [(0.0, -5, 5, 0.0), (10.0, -5, 5, 5 * 0.761594), (-1.0, -1, 5, -1.0), (2.0, -1, 5, 2.0), (9.0, -1, 5, 5.0),
     (0.0, -1, 5, -1 + 6 * (3 / 36 - 2 / 216))],
)  # fmt: skip
def test_published_bound_at_points_known_by_hand(x, low, high, expected):
    assert published_bound(torch.tensor(x), low, high).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gaussians", [CentredGaussians(), SoftplusGaussians(), PublishedGaussians()])
def test_densities_are_float32_even_if_networks_are_not(gaussians):
    prior, posterior = gaussians(_numbers().bfloat16(), _numbers(1).bfloat16())
    assert {prior.mean.dtype, prior.log_std.dtype, posterior.mean.dtype, posterior.log_std.dtype} == {torch.float32}


class TestSoftplusLogStd:
    """Against decimal arithmetic with 100 digits."""

    POINTS = (-200.0, -40.0, -29.0, -28.0, -5.0, -1e-3, 0.0, 0.3, 10.0, 28.9, 29.0, 60.0, 200.0, 1e6)

    @staticmethod
    def _exact(raw: float) -> tuple[float, float]:
        """log σ and its derivative."""
        with localcontext(prec=100):
            beta = Decimal(2).ln()
            softplus = (1 + (beta * Decimal(raw)).exp()).ln()
            slope = beta / (1 + (-beta * Decimal(raw)).exp()) / softplus
            return float((softplus / beta).ln()), float(slope)

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 4e-7)])
    @pytest.mark.parametrize("raw", POINTS)
    def test_value_and_slope(self, raw, dtype, tolerance):
        numbers = torch.tensor(raw, dtype=dtype, requires_grad=True)
        log_std = softplus_log_std(numbers)
        log_std.backward()
        value, slope = self._exact(numbers.item())
        assert log_std.item() == pytest.approx(value, rel=tolerance, abs=tolerance)
        assert numbers.grad.item() == pytest.approx(slope, rel=10 * tolerance)

    def test_at_zero_the_standard_deviation_is_one(self):
        assert softplus_log_std(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]

    def test_slopes_stay_bounded_where_those_of_an_exponential_do_not(self):
        raw = torch.linspace(-300, 300, 2001, dtype=torch.float64, requires_grad=True)
        log_std = softplus_log_std(raw)
        (of_log_std,) = torch.autograd.grad(log_std.sum(), raw, retain_graph=True)
        (of_std,) = torch.autograd.grad(log_std.exp().sum(), raw)
        assert (of_log_std > 0).all() and of_log_std.max() <= math.log(2)
        assert (of_std > 0).all() and of_std.max() <= 1 + 1e-12
        torch.testing.assert_close(of_std, torch.sigmoid(math.log(2) * raw.detach()), rtol=1e-10, atol=0)

    def test_it_grows_with_what_is_predicted_also_where_two_formulas_meet(self):
        raw = torch.linspace(-29.5, -28.0, 301, dtype=torch.float64)
        assert (softplus_log_std(raw).diff() > 0).all()

    def test_second_derivatives_are_right_on_both_sides_of_where_they_meet(self):
        raw = torch.tensor([-40.0, -28.0, 0.5, 30.0], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradgradcheck(softplus_log_std, raw, atol=1e-6)


class TestSoftplusGaussians:
    def test_without_a_residual_the_posterior_is_the_prior(self):
        numbers = 20 * _numbers()
        prior, posterior = SoftplusGaussians()(numbers, torch.zeros_like(numbers))
        assert torch.equal(posterior.kl(prior), torch.zeros(3))

    def test_the_ratio_of_the_standard_deviations_is_a_softplus(self):
        prior, posterior = SoftplusGaussians()(_numbers(0), _numbers(1))
        ratio = torch.nn.Softplus(beta=math.log(2))(_numbers(1)[:, 4:])
        torch.testing.assert_close(posterior.log_std.exp() / prior.log_std.exp(), ratio)

    def test_the_first_posterior_is_beside_a_standard_normal(self):
        alone = SoftplusGaussians().unconditional(_numbers(1))
        torch.testing.assert_close(alone.log_std.exp(), torch.nn.Softplus(beta=math.log(2))(_numbers(1)[:, 4:]))
