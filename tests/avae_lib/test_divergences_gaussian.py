import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from avae_lib.divergences import (
    forward_kl_projection,
    kl_diagonal_gaussian,
    kl_gaussian,
    kl_gaussian_per_element,
    kl_monte_carlo,
    reverse_kl_projection,
)

property_of = settings(deadline=None, max_examples=25)
number = st.floats(-3, 3)
seeds = st.integers(0, 2**31)
dims = st.integers(1, 5)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def covariance(seed: int, *shape: int) -> torch.Tensor:
    root = torch.randn(*shape, shape[-1], generator=draws(seed), dtype=torch.float64)
    return root @ root.mT + 0.3 * torch.eye(shape[-1], dtype=torch.float64)


def vector(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=draws(seed), dtype=torch.float64)


@property_of
@given(number, number, number, number)
def test_equals_torch_distributions_and_is_never_negative(q_mean, q_log_std, p_mean, p_log_std):
    parameters = [torch.tensor([v], dtype=torch.float64) for v in (q_mean, q_log_std, p_mean, p_log_std)]
    q, p = Normal(parameters[0], parameters[1].exp()), Normal(parameters[2], parameters[3].exp())
    kl = kl_diagonal_gaussian(*parameters)
    assert kl.item() == pytest.approx(kl_divergence(q, p).item(), rel=1e-9, abs=1e-9)
    assert kl.item() >= -1e-12


@pytest.mark.parametrize(("q", "p"), [((0.3, 0.7), (-1.0, 1.5)), ((2.0, 0.1), (1.5, 0.4))])
def test_equals_the_integral_it_is_defined_by(q, p):
    q_density, p_density = norm(*q), norm(*p)
    integral, _ = quad(
        lambda z: q_density.pdf(z) * (q_density.logpdf(z) - p_density.logpdf(z)), q[0] - 10 * q[1], q[0] + 10 * q[1]
    )
    arguments = [torch.tensor([v]) for v in (q[0], math.log(q[1]), p[0], math.log(p[1]))]
    assert kl_diagonal_gaussian(*arguments).item() == pytest.approx(integral, rel=1e-5)


def test_sums_over_the_last_dimension_only():
    parameters = [torch.randn(2, 3, 4, dtype=torch.float64) for _ in range(4)]
    per_element = kl_gaussian_per_element(*parameters)
    assert per_element.shape == (2, 3, 4)
    assert torch.allclose(kl_diagonal_gaussian(*parameters), per_element.sum(-1))


def test_is_zero_exactly_when_the_two_are_equal():
    mean, log_std = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.equal(kl_diagonal_gaussian(mean, log_std, mean, log_std), torch.zeros(3))
    assert (kl_diagonal_gaussian(mean, log_std, mean + 0.1, log_std) > 0).all()


def test_keeps_its_digits_in_single_precision_when_q_is_close_to_p():
    shift = 1e-3
    kl = kl_gaussian_per_element(*(torch.tensor(v) for v in (0.0, shift, 0.0, 0.0)))
    exact = 0.5 * (math.exp(2 * shift) - 1) - shift
    assert kl.item() == pytest.approx(exact, rel=1e-3)


def test_gradients_pass_finite_differences():
    parameters = [torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    assert torch.autograd.gradcheck(kl_diagonal_gaussian, parameters)


def test_diagonal_gaussians_of_different_sizes_are_refused():
    a, b = torch.zeros(2, 3), torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"last dimension .* p_mean \(2, 4\)"):
        kl_diagonal_gaussian(a, a, b, b)
    with pytest.raises(ValueError, match="q_mean is empty"):
        kl_diagonal_gaussian(*[torch.zeros(2, 0)] * 4)


@property_of
@given(seeds, dims)
def test_gaussian_kl_equals_torch_distributions_and_is_never_negative(seed, dim):
    q_mean, p_mean = vector(seed, 2, dim), vector(seed + 1, 2, dim)
    q_cov, p_cov = covariance(seed, 2, dim), covariance(seed + 1, 2, dim)
    theirs = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    kl = kl_gaussian(q_mean, q_cov, p_mean, p_cov)
    assert torch.allclose(kl, theirs, rtol=1e-9, atol=1e-10)
    assert (kl >= 0).all() and kl_gaussian(q_mean, q_cov, q_mean, q_cov).abs().max() < 1e-12


@property_of
@given(seeds, dims)
def test_gaussian_kl_does_not_change_under_an_invertible_linear_map(seed, dim):
    means, covs = (vector(seed, dim), vector(seed + 1, dim)), (covariance(seed, dim), covariance(seed + 1, dim))
    a, b = covariance(seed + 2, dim), vector(seed + 2, dim)
    moved = [part for mean, cov in zip(means, covs, strict=True) for part in (a @ mean + b, a @ cov @ a.T)]
    assert torch.allclose(kl_gaussian(means[0], covs[0], means[1], covs[1]), kl_gaussian(*moved), rtol=1e-6)


@property_of
@given(seeds, dims)
def test_gaussian_kl_of_diagonal_covariances_is_the_diagonal_formula(seed, dim):
    q_mean, q_log_std, p_mean, p_log_std = (vector(seed + i, dim) for i in range(4))
    full = kl_gaussian(q_mean, (2 * q_log_std).exp().diag(), p_mean, (2 * p_log_std).exp().diag())
    assert torch.allclose(full, kl_diagonal_gaussian(q_mean, q_log_std, p_mean, p_log_std), rtol=1e-9)


def test_gaussian_kl_passes_finite_differences():
    roots = [vector(i, 3, 3).requires_grad_() for i in (5, 6)]

    def covs(root):
        return root @ root.mT + torch.eye(3, dtype=torch.float64)

    def kl(a, b, c, d):
        return kl_gaussian(a, covs(b), c, covs(d))

    means = [vector(i, 3).requires_grad_() for i in (7, 8)]
    assert torch.autograd.gradcheck(kl, (means[0], roots[0], means[1], roots[1]))


EYE = torch.eye(2)


@pytest.mark.parametrize(
    ("cov", "message"),
    [
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "must be positive definite, its smallest eigenvalue is -1"),
        (torch.tensor([[1.0, 1.0], [1.0, 1.0]]), "must be positive definite"),
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), "must be symmetric"),
        (torch.tensor([[math.nan, 0.0], [0.0, 1.0]]), "must be finite"),
        (torch.eye(3), r"must have the shape \(\*batch, 2, 2\)"),
        (torch.ones(2), "must have the shape"),
        (torch.zeros(0, 2, 2), "is empty"),
        (EYE.expand(4, 2, 2), "same batch"),
    ],
)
def test_each_wrong_covariance_has_its_own_error(cov, message):
    mean = torch.zeros(3, 2)
    for call, name in [
        (lambda: kl_gaussian(mean, cov, mean, EYE), "q_cov"),
        (lambda: kl_gaussian(mean, EYE, mean, cov), "p_cov"),
        (lambda: reverse_kl_projection(mean, cov), "cov"),
        (lambda: forward_kl_projection(mean, cov), "cov"),
    ]:
        with pytest.raises(ValueError, match=f"^{name} .*{message}"):
            call()


def gaussian_samples(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    q, p = Normal(torch.tensor(0.0).double(), 1.0), Normal(torch.tensor(0.4).double(), 0.9)
    x = torch.randn(n, generator=generator, dtype=torch.float64)
    return q.log_prob(x), p.log_prob(x), kl_divergence(q, p).item()


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_unbiased_estimators_lie_within_their_standard_error(estimator):
    generator = draws(0)
    distances = []
    for _ in range(400):
        q_log_prob, p_log_prob, exact = gaussian_samples(200, generator)
        estimate, error = kl_monte_carlo(q_log_prob, p_log_prob, estimator)
        distances.append(((estimate - exact) / error).item())
    assert abs(np.mean(distances)) < 0.25 and 0.85 < np.std(distances) < 1.2


def test_k2_is_biased_by_what_the_integral_says():
    q_log_prob, p_log_prob, exact = gaussian_samples(200_000, draws(1))
    q, p = norm(0, 1), norm(0.4, 0.9)
    expected, _ = quad(lambda x: q.pdf(x) * 0.5 * (p.logpdf(x) - q.logpdf(x)) ** 2, -10, 10)
    estimate, error = kl_monte_carlo(q_log_prob, p_log_prob, "k2")
    assert abs(estimate.item() - expected) < 4 * error.item() < abs(expected - exact)


def test_standard_error_is_that_of_numpy_and_k3_varies_least():
    q_log_prob, p_log_prob, _ = gaussian_samples(500, draws(2))
    log_ratio = (p_log_prob - q_log_prob).numpy()
    values = {"k1": -log_ratio, "k2": log_ratio**2 / 2, "k3": np.exp(log_ratio) - 1 - log_ratio}
    results = {name: kl_monte_carlo(q_log_prob, p_log_prob, name) for name in values}
    for name, (estimate, error) in results.items():
        assert estimate.item() == pytest.approx(values[name].mean(), rel=1e-10)
        assert error.item() == pytest.approx(values[name].std(ddof=1) / math.sqrt(500), rel=1e-10)
    assert results["k3"][1] < results["k1"][1]


@property_of
@given(seeds)
def test_k2_and_k3_are_never_negative(seed):
    q_log_prob, p_log_prob = vector(seed, 5), vector(seed + 1, 5)
    assert kl_monte_carlo(q_log_prob, p_log_prob, "k2")[0] >= 0
    assert kl_monte_carlo(q_log_prob, p_log_prob, "k3")[0] >= 0


def test_each_wrong_sample_has_its_own_error():
    x = torch.zeros(3)
    with pytest.raises(ValueError, match="estimator must be 'k1', 'k2' or 'k3', got 'k4'"):
        kl_monte_carlo(x, x, "k4")
    with pytest.raises(ValueError, match="p_log_prob must have the shape"):
        kl_monte_carlo(x, x[:2], "k1")
    with pytest.raises(ValueError, match="q_log_prob is empty"):
        kl_monte_carlo(x[:0], x[:0], "k1")
    with pytest.raises(ValueError, match="at least two samples"):
        kl_monte_carlo(x[:1], x[:1], "k1")


@property_of
@given(seeds, st.integers(2, 5))
def test_projections_match_precision_and_marginals(seed, dim):
    mean, cov = vector(seed, 2, dim), covariance(seed, 2, dim)
    reverse_mean, reverse_log_std = reverse_kl_projection(mean, cov)
    forward_mean, forward_log_std = forward_kl_projection(mean, cov)
    precision = torch.linalg.inv(cov).diagonal(dim1=-2, dim2=-1)
    assert torch.equal(reverse_mean, mean) and torch.equal(forward_mean, mean)
    assert torch.allclose((-2 * reverse_log_std).exp(), precision, rtol=1e-7)
    assert torch.allclose((2 * forward_log_std).exp(), cov.diagonal(dim1=-2, dim2=-1))
    assert (reverse_log_std <= forward_log_std + 1e-9).all()


@property_of
@given(seeds, st.integers(2, 4))
def test_no_other_diagonal_gaussian_is_closer_than_a_projection(seed, dim):
    mean, cov = vector(seed, dim), covariance(seed, dim)

    def reverse(m, s):
        return kl_gaussian(m, (2 * s).exp().diag(), mean, cov)

    def forward(m, s):
        return kl_gaussian(mean, cov, m, (2 * s).exp().diag())

    for projection, kl in ((reverse_kl_projection, reverse), (forward_kl_projection, forward)):
        best = [part.requires_grad_() for part in projection(mean, cov)]
        value = kl(*best)
        assert all(gradient.abs().max() < 1e-8 for gradient in torch.autograd.grad(value, best))
        assert kl(best[0] + 0.1 * vector(seed + 1, dim), best[1] + 0.1 * vector(seed + 2, dim)) > value


def test_nothing_changes_its_arguments_and_dtypes_stay():
    for dtype in (torch.float32, torch.float64):
        mean, cov = vector(0, 2).to(dtype), covariance(0, 2).to(dtype)
        before = mean.clone(), cov.clone()
        results = [kl_gaussian(mean, cov, mean, cov), *reverse_kl_projection(mean, cov)]
        results += forward_kl_projection(mean, cov)
        assert torch.equal(mean, before[0]) and torch.equal(cov, before[1])
        assert all(result.dtype == dtype for result in results)
