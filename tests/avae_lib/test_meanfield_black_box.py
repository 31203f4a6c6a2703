import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from avae_lib.divergences import kl_gaussian, reverse_kl_projection
from avae_lib.meanfield.black_box import (
    fit_black_box,
    reparameterization_gradient,
    score_function_gradient,
    score_gradient,
)

property_of = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**31)
MEAN = torch.tensor([1.0, -0.5], dtype=torch.float64)
COV = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
LOG_EVIDENCE = -3.0


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


POSTERIOR = MultivariateNormal(MEAN, COV)


def log_joint(z: torch.Tensor) -> torch.Tensor:
    return POSTERIOR.log_prob(z) + LOG_EVIDENCE


def exact_gradient(mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    """Of the ELBO, which is log evidence − KL(q‖posterior), by automatic differentiation of the closed form."""
    mean, log_std = mean.clone().requires_grad_(), log_std.clone().requires_grad_()
    kl = kl_gaussian(mean, (2 * log_std).exp().diag(), MEAN, COV)
    return -torch.cat(torch.autograd.grad(kl, (mean, log_std)))


@property_of
@given(seeds, st.integers(1, 6), st.integers(1, 4), st.floats(-3, 3))
def test_score_function_gradient_equals_a_loop_over_samples(seed, samples, params, baseline):
    f = torch.randn(samples, generator=draws(seed), dtype=torch.float64)
    gradients = torch.randn(samples, params, generator=draws(seed + 1), dtype=torch.float64)
    expected = sum((f[s] - baseline) * gradients[s] for s in range(samples)) / samples
    assert torch.allclose(score_function_gradient(f, gradients, baseline), expected)
    assert torch.allclose(score_function_gradient(f, gradients, torch.tensor(baseline, dtype=torch.float64)), expected)


@property_of
@given(seeds, st.floats(-5, 5))
def test_shifting_values_and_baseline_alike_changes_nothing(seed, shift):
    f, gradients = torch.randn(5, generator=draws(seed)).double(), torch.randn(5, 3, generator=draws(seed)).double()
    moved = score_function_gradient(f + shift, gradients, 0.3 + shift)
    assert torch.allclose(moved, score_function_gradient(f, gradients, 0.3))


def test_score_function_gradient_of_a_coin_is_that_of_enumeration():
    """With each outcome as often as its probability says, the estimate is the exact derivative."""
    probability = 0.3
    outcomes = torch.tensor([1.0] * 3 + [0.0] * 7, dtype=torch.float64)
    scores = (outcomes - probability).unsqueeze(1)  # d log q / d logit
    f = torch.where(outcomes == 1, 5.0, 2.0).double()
    for baseline in (0.0, 4.0):
        estimate = score_function_gradient(f, scores, baseline)
        assert estimate.item() == pytest.approx(probability * (1 - probability) * (5 - 2))
    assert torch.allclose(Bernoulli(torch.tensor(probability)).mean, outcomes.mean().float())


def test_both_estimators_agree_with_the_exact_gradient_and_differ_in_variance():
    mean, log_std = torch.tensor([0.2, 0.3]).double(), torch.tensor([-0.4, 0.1]).double()
    noise = torch.randn(40_000, 2, generator=draws(0), dtype=torch.float64)
    exact, variances = exact_gradient(mean, log_std), []
    for gradient in (
        lambda e: score_gradient(log_joint, mean, log_std, e, 0.0)[0],
        lambda e: score_gradient(log_joint, mean, log_std, e, baseline=LOG_EVIDENCE - 1)[0],
        lambda e: reparameterization_gradient(log_joint, mean, log_std, e)[0],
    ):
        batches = torch.stack([gradient(batch) for batch in noise.split(100)])
        error = batches.std(0) / len(batches) ** 0.5
        assert ((batches.mean(0) - exact).abs() < 4 * error + 1e-9).all()
        variances.append(batches.var(0).sum())
    assert variances[0] > 1.5 * variances[1] > 3 * variances[2]


@pytest.mark.parametrize(("estimator", "tolerance"), [("score", 0.1), ("reparameterization", 0.05)])
def test_fit_ends_at_the_reverse_projection_of_a_gaussian_posterior(estimator, tolerance):
    start = torch.zeros(2, dtype=torch.float64)
    fit = fit_black_box(log_joint, start, start, estimator, draws(3), steps=400, learning_rate=0.03)
    mean, log_std = reverse_kl_projection(MEAN, COV)
    assert torch.allclose(fit.mean, mean, atol=tolerance)
    assert torch.allclose(fit.log_std, log_std, atol=tolerance)
    best = LOG_EVIDENCE - kl_gaussian(mean, (2 * log_std).exp().diag(), MEAN, COV)
    assert abs(fit.elbo[-100:].mean() - best) < 0.05


@pytest.mark.parametrize("estimator", ["score", "reparameterization"])
def test_fit_repeats_with_its_generator_and_leaves_its_start_alone(estimator):
    start = torch.zeros(2, dtype=torch.float64)
    fits = [fit_black_box(log_joint, start, start, estimator, draws(3), steps=5) for _ in range(2)]
    assert torch.equal(fits[0].mean, fits[1].mean) and torch.equal(fits[0].elbo, fits[1].elbo)
    assert torch.equal(start, torch.zeros(2))


def test_score_estimator_needs_no_derivative_of_the_model():
    def step(z):
        return Normal(0.0, 1.0).log_prob(z).sum(1) + (z.detach() > 0).all(1)

    fit = fit_black_box(step, torch.zeros(2), torch.zeros(2), "score", draws(0), steps=300)
    assert fit.mean.min() > 0.05


def test_each_wrong_argument_has_its_own_error():
    x = torch.zeros(2)
    with pytest.raises(ValueError, match="f_values is empty"):
        score_function_gradient(x[:0], torch.zeros(0, 1), 0.0)
    with pytest.raises(ValueError, match=r"log_prob_gradients must have the shape \(2, params\), got \(3, 1\)"):
        score_function_gradient(x, torch.zeros(3, 1), 0.0)
    with pytest.raises(ValueError, match=r"f_values must have the shape \(2,\)"):
        score_function_gradient(x.unsqueeze(1), torch.zeros(2, 1), 0.0)
    with pytest.raises(ValueError, match=r"noise must have the shape \(samples, 2\)"):
        reparameterization_gradient(log_joint, x, x, torch.zeros(4, 3))
    with pytest.raises(ValueError, match="log_std must have the shape"):
        score_gradient(log_joint, x, torch.zeros(3), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="estimator must be 'score' or 'reparameterization', got 'both'"):
        fit_black_box(log_joint, x, x, "both", draws(0))
    with pytest.raises(ValueError, match="steps and samples must be at least 1"):
        fit_black_box(log_joint, x, x, "score", draws(0), steps=0)
