import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from torch.distributions import Normal

from avae_lib.objectives import ELBO, importance_weighted_bound, negative_elbo


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_negative_elbo_equals_a_loop_over_examples_and_layers(layers, beta):
    log_likelihood, kl = torch.randn(5, dtype=torch.float64), torch.rand(5, layers, dtype=torch.float64)
    total = 0.0
    for example in range(5):
        total -= log_likelihood[example].item()
        for layer in range(layers):
            total += beta * kl[example, layer].item()
    assert negative_elbo(log_likelihood, kl, beta).item() == pytest.approx(total / 5)


def test_negative_elbo_is_minus_the_mean_bound_of_its_record():
    elbo = ELBO(torch.randn(6), torch.rand(6, 2))
    assert elbo.bound.shape == (6,)
    assert torch.allclose(negative_elbo(elbo.log_likelihood, elbo.kl), -elbo.bound.mean())


def test_gradients_of_negative_elbo_pass_finite_differences():
    log_likelihood = torch.randn(4, dtype=torch.float64, requires_grad=True)
    kl = torch.rand(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: negative_elbo(a, b, 0.3), (log_likelihood, kl))


@given(st.integers(1, 6), st.lists(st.floats(-5000, 5000, width=32), min_size=1, max_size=4))
def test_importance_weighted_bound_holds_for_examples_thousands_of_nats_apart(samples, levels):
    log_weights = torch.tensor(levels) + torch.linspace(-2, 2, samples)[:, None]
    expected = logsumexp(log_weights.double().numpy(), axis=0) - np.log(samples)
    assert np.allclose(importance_weighted_bound(log_weights).numpy(), expected, rtol=1e-6, atol=1e-4)


def test_one_sample_gives_its_own_log_weight():
    log_weights = torch.randn(1, 7)
    assert torch.allclose(importance_weighted_bound(log_weights), log_weights[0])


def log_weights_of_a_linear_gaussian(x: float, samples: int, runs: int) -> torch.Tensor:
    """log p(x, z)/q(z | x) for z ~ N(0, 1), x | z ~ N(z, 1) and a proposal that is a little off, (samples, runs)."""
    q = Normal(torch.tensor(0.5 * x + 0.4, dtype=torch.float64), 0.9)
    z = q.sample((samples, runs))
    return Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(torch.tensor(x)) - q.log_prob(z)


def test_bound_rises_with_the_number_of_samples_and_stays_below_the_exact_evidence():
    torch.manual_seed(0)
    x, exact = 1.3, Normal(0.0, 2.0**0.5).log_prob(torch.tensor(1.3)).item()
    bounds = [
        importance_weighted_bound(log_weights_of_a_linear_gaussian(x, k, 40_000)).mean().item() for k in (1, 2, 8, 64)
    ]
    assert bounds == sorted(bounds)
    assert bounds[-1] < exact
    assert exact - bounds[0] > 20 * (exact - bounds[-1])
    kl_to_posterior = 0.5 * (0.9**2 / 0.5 + 0.4**2 / 0.5 - 1) - np.log(0.9 / 0.5**0.5)
    assert exact - bounds[0] == pytest.approx(kl_to_posterior, abs=0.01)
