import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from torch.distributions import Normal

from avae_lib import components
from avae_lib.objectives import (
    ELBO,
    balanced_kl,
    free_bits,
    importance_weighted_bound,
    negative_elbo,
    spectral_norms,
    sum_of_squares,
)


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


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_negative_of_a_record_weights_every_kl_and_leaves_penalties_out(beta):
    elbo = ELBO(torch.tensor([-3.0, -5.0]), torch.tensor([[1.0, 2.0], [0.5, 0.0]]), {"other": torch.ones(2)})
    assert elbo.negative(beta).item() == pytest.approx(4.0 + beta * 1.75)
    with components.using("negative_elbo", lambda log_likelihood, kl, beta=1.0: beta * kl.sum() - log_likelihood[0]):
        assert elbo.negative(beta).item() == pytest.approx(beta * 3.5 + 3.0)


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


def test_free_bits_make_the_batch_mean_of_each_layer_the_larger_of_it_and_lambda():
    kl = torch.rand(6, 5, dtype=torch.float64) * torch.tensor([0.1, 0.5, 1.0, 2.0, 6.0])
    for nats in (0.0, 0.3, 5.0):
        expected = [max(nats, np.mean([kl[example, layer].item() for example in range(6)])) for layer in range(5)]
        assert free_bits(kl, nats).mean(dim=0).tolist() == pytest.approx(expected)


def test_layers_within_their_free_bits_get_no_gradient_and_the_others_all_of_it():
    kl = torch.tensor([[0.1, 3.0], [0.3, 1.0]], requires_grad=True)
    free_bits(kl, 0.5).sum().backward()
    assert kl.grad.tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_free_bits_do_not_hide_a_kl_that_is_no_number():
    assert free_bits(torch.tensor([[float("nan"), 1.0]]), 2.0).isnan().any()


def test_balanced_kl_equals_a_loop_and_weighs_by_use_of_each_unit():
    kl, units = torch.randn(4, 3, dtype=torch.float64), [2.0, 8.0, 32.0]
    shares = [(np.mean(np.abs(kl[:, layer].numpy())) + 0.01) / units[layer] for layer in range(3)]
    for layer in range(3):
        weight = 3 * shares[layer] / sum(shares)
        found = balanced_kl(kl, torch.tensor(units, dtype=torch.float64))[:, layer]
        assert found.tolist() == pytest.approx((weight * kl[:, layer]).tolist())


def test_weights_of_the_balance_have_mean_one_and_are_constants_for_the_gradient():
    kl = (3 * torch.rand(4, 5)).requires_grad_()
    balanced_kl(kl, torch.arange(1.0, 6.0)).sum().backward()
    assert torch.allclose(kl.grad, kl.grad[:1].expand(4, 5)), "the same weight for all examples, hence no more terms"
    assert kl.grad[0].mean().item() == pytest.approx(1.0)


def test_a_layer_that_is_off_keeps_a_small_weight():
    weights = balanced_kl(torch.ones(2, 2) * torch.tensor([0.0, 1.0]), torch.ones(2))
    assert torch.isfinite(weights).all()
    assert torch.equal(balanced_kl(torch.zeros(2, 3), torch.ones(3)), torch.zeros(2, 3))


def test_spectral_norms_converge_to_the_largest_singular_values_from_below():
    weights = torch.randn(4, 6, 9, dtype=torch.float64)
    exact = np.array([np.linalg.svd(weight, compute_uv=False)[0] for weight in weights.numpy()])
    vectors = torch.randn(4, 6, dtype=torch.float64)
    few, _ = spectral_norms(weights, vectors, iterations=2)
    assert (few.numpy() < exact + 1e-12).all()
    many, _ = spectral_norms(weights, vectors, iterations=500)
    assert many.numpy() == pytest.approx(exact, rel=1e-6)


def test_spectral_norms_go_on_from_the_vectors_they_returned():
    weights, vectors = torch.randn(2, 5, 4), torch.randn(2, 5)
    at_once = spectral_norms(weights, vectors, iterations=4)
    in_steps = vectors
    for _ in range(4):
        norms, in_steps = spectral_norms(weights, in_steps)
    assert torch.allclose(at_once[0], norms) and torch.allclose(at_once[1], in_steps)


def test_gradient_of_a_spectral_norm_is_the_product_of_its_singular_vectors():
    weight = torch.randn(1, 5, 3, dtype=torch.float64, requires_grad=True)
    spectral_norms(weight, torch.ones(1, 5, dtype=torch.float64), iterations=300)[0].sum().backward()
    left, _, right = np.linalg.svd(weight[0].detach().numpy())
    assert np.allclose(weight.grad[0].numpy(), np.outer(left[:, 0], right[0]), atol=1e-6)


def test_sum_of_squares_equals_numpy():
    parameters = [torch.randn(3, 4), torch.randn(5), torch.randn(())]
    assert sum_of_squares(parameters).item() == pytest.approx(sum((p.numpy() ** 2).sum() for p in parameters), rel=1e-6)
