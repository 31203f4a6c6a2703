"""The importance-weighted autoencoder: what it maximises, and that more draws tighten it."""

import dataclasses
import math

import pytest
import torch

from avae_lib.components import using
from avae_lib.models.iwae import IWAE, IWAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import negative_elbo

SIZES = {"image_shape": (1, 2, 2), "latent_dim": 2, "hidden_sizes": (8,)}


def _built(samples: int, seed: int = 3) -> IWAE:
    torch.manual_seed(seed)
    model = IWAEConfig(**SIZES, importance_samples=samples).build()
    with torch.no_grad():
        model.head.projection.weight.mul_(6)
    return model.train()


def _images(n: int) -> torch.Tensor:
    return torch.tensor([[1, 0, 1, 1]], dtype=torch.uint8).reshape(1, 1, 2, 2).repeat(n, 1, 1, 1)


def _loss(elbo) -> torch.Tensor:
    return negative_elbo(elbo.log_likelihood, elbo.kl) + sum(penalty.mean() for penalty in elbo.penalties.values())


def test_loss_is_minus_the_log_of_the_mean_weight_computed_by_hand():
    model, x = _built(4).double(), _images(3)
    torch.manual_seed(11)
    loss = _loss(model(x))
    torch.manual_seed(11)
    noise = torch.randn(12, 2, dtype=torch.float64).reshape(4, 3, 2)
    q = model.posterior(x)
    by_hand = torch.distributions.Normal(q.mean, q.log_std.exp())
    weights = []
    for of_draw in noise:
        z = q.mean + q.log_std.exp() * of_draw
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        weights.append((model.log_likelihood(x, z) + log_prior - by_hand.log_prob(z).sum(1)).exp())
    torch.testing.assert_close(loss, -torch.stack(weights).mean(dim=0).log().mean())


def test_gradient_of_the_loss_is_that_of_the_bound():
    model, x = _built(4).double(), _images(3)
    torch.manual_seed(5)
    elbo = model(x)
    weight = model.head.projection.weight
    (gradient,) = torch.autograd.grad(_loss(elbo), weight)
    step = 1e-6
    shifted = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[1, 2] += sign * step
            torch.manual_seed(5)
            shifted.append(_loss(model(x)).item())
            weight[1, 2] -= sign * step
    assert gradient[1, 2].item() == pytest.approx((shifted[0] - shifted[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_one_draw_gives_the_ordinary_bound():
    elbo = _built(1)(_images(5))
    assert not elbo.penalties["importance_weighting"].any()
    model, n = _built(1), 40_000
    with torch.no_grad():
        drawn = model(_images(n)).bound
        exact_kl = model.eval()(_images(n)).bound
    error = math.sqrt((drawn.var() + exact_kl.var()) / n)
    assert abs(drawn.mean() - exact_kl.mean()) < 4 * error


def test_bound_rises_with_the_number_of_draws_towards_the_exact_log_likelihood():
    n, means, errors = 20_000, [], []
    for samples in (1, 2, 5, 20):
        with torch.no_grad():
            elbo = _built(samples)(_images(n))
            bounds = elbo.bound - elbo.penalties["importance_weighting"]
        means.append(bounds.mean().item())
        errors.append(bounds.std().item() / math.sqrt(n))
    line = torch.linspace(-8, 8, 161)
    grid = torch.cartesian_prod(line, line)
    model = _built(1)
    with torch.no_grad():
        log_joint = model.log_likelihood(_images(len(grid)), grid) + model.log_prior(grid)
    exact = log_joint.logsumexp(0).item() + 2 * math.log(line[1] - line[0])
    assert means[0] + 4 * errors[0] < means[1] - 4 * errors[1] < means[2] < means[3] < exact + 4 * errors[3]
    assert exact - means[3] < 0.2 * (exact - means[0])


def test_the_penalty_is_never_positive():
    assert (_built(5)(_images(200)).penalties["importance_weighting"] <= 1e-6).all()


def test_measuring_reports_the_bound_of_the_vae():
    model, vae = _built(5).eval(), VAEConfig(**SIZES).build()
    vae.load_state_dict(model.state_dict())
    elbos = []
    for either in (model, vae):
        torch.manual_seed(0)
        elbos.append(either(_images(4)))
    assert torch.equal(elbos[0].bound, elbos[1].bound) and not elbos[0].penalties


def test_the_bound_is_the_component():
    with using("importance_weighted_bound", lambda log_weights: torch.full(log_weights.shape[1:], 7.0)):
        assert _loss(_built(3)(_images(2))).item() == pytest.approx(-7.0, abs=1e-5)


def test_no_draw_is_refused():
    with pytest.raises(ValueError, match="importance_samples must be at least 1, got 0"):
        dataclasses.replace(IWAEConfig(), importance_samples=0)
