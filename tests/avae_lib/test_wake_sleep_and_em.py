"""Wake-sleep and Monte Carlo EM against models whose likelihood and posterior are known exactly."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from avae_lib.training.wake_sleep_and_em import PosteriorChains, hamiltonian_step, sleep_loss, wake_loss

NOISE = 0.5


class LinearGaussian(nn.Module):
    """p(x | z) = N(Wz, 0.25 I) with one latent variable, so that p(x) and p(z | x) are Gaussians."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(weights))
        self.encoder = nn.Linear(len(weights), 1)
        self.log_std = nn.Parameter(torch.zeros(1))

    def posterior(self, x):
        mean = self.encoder(x)
        return Normal(mean, self.log_std.exp().expand_as(mean))

    def log_likelihood(self, x, z):
        return Normal(z @ self.weights[None], NOISE).log_prob(x).sum(-1)

    def sample_pixels(self, z):
        return z @ self.weights[None] + NOISE * torch.randn(len(z), len(self.weights))

    def log_evidence(self, x):
        covariance = torch.outer(self.weights, self.weights) + NOISE**2 * torch.eye(len(self.weights))
        return MultivariateNormal(torch.zeros(len(self.weights)), covariance).log_prob(x)


@pytest.fixture
def images():
    torch.manual_seed(0)
    truth = torch.tensor([1.5, -1.0, 0.5, 0.0])
    return torch.randn(500, 1) @ truth[None] + NOISE * torch.randn(500, 4)


def best_log_evidence(x):
    """Maximum over W for one factor and this noise: Tipping and Bishop (1999), from the second moments' eigenvalues."""
    values, vectors = np.linalg.eigh((x.T @ x / len(x)).double().numpy())
    best = vectors[:, -1] * math.sqrt(values[-1] - NOISE**2)
    return LinearGaussian(torch.tensor(best).float()).log_evidence(x).mean().item()


def test_monte_carlo_em_reaches_the_maximum_of_the_exact_likelihood(images):
    torch.manual_seed(1)
    model = LinearGaussian([0.3, 0.3, 0.3, 0.3])
    chains = PosteriorChains(len(images), latent_dim=1, leapfrogs=5)
    optimizer = torch.optim.Adam([model.weights], lr=0.02)
    everything = torch.arange(len(images))
    for _ in range(300):
        z = chains.move(lambda z: model.log_likelihood(images, z), everything)
        loss = -model.log_likelihood(images, z).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert model.log_evidence(images).mean().item() == pytest.approx(best_log_evidence(images), abs=0.005)


def test_wake_sleep_reaches_the_maximum_where_the_encoder_can_be_the_posterior(images):
    torch.manual_seed(1)
    model = LinearGaussian([0.3, 0.3, 0.3, 0.3])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(1500):
        loss = wake_loss(model, images) + sleep_loss(model, torch.randn(500, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert model.log_evidence(images).mean().item() == pytest.approx(best_log_evidence(images), abs=0.01)


def test_sleep_teaches_the_encoder_the_exact_posterior():
    torch.manual_seed(0)
    weights = torch.tensor([1.5, -1.0, 0.5, 0.0])
    model = LinearGaussian(weights)
    optimizer = torch.optim.Adam([*model.encoder.parameters(), model.log_std], lr=0.01)
    for _ in range(800):
        optimizer.zero_grad()
        sleep_loss(model, torch.randn(2000, 1)).backward()
        optimizer.step()
    variance = 1 / (1 + weights.square().sum().item() / NOISE**2)
    exact = variance * weights / NOISE**2
    torch.testing.assert_close(model.encoder.weight[0], exact, atol=0.02, rtol=0)
    assert model.log_std.exp().item() == pytest.approx(math.sqrt(variance), abs=0.01)


def test_wake_trains_the_decoder_alone_and_sleep_the_encoder_alone(images):
    model = LinearGaussian([0.3, 0.3, 0.3, 0.3])
    wake_loss(model, images).backward()
    assert model.weights.grad is not None and model.encoder.weight.grad is None and model.log_std.grad is None
    model.zero_grad()
    sleep_loss(model, torch.randn(10, 1)).backward()
    assert model.weights.grad is None and model.encoder.weight.grad is not None


def test_hamiltonian_draws_have_the_moments_of_a_correlated_gaussian():
    torch.manual_seed(0)
    target = MultivariateNormal(torch.tensor([1.0, -2.0]), torch.tensor([[1.0, 0.6], [0.6, 0.5]]))
    z = torch.zeros(20_000, 2)
    moved = []
    for _ in range(30):
        z, accepted = hamiltonian_step(target.log_prob, z, step_size=0.3, leapfrogs=8)
        moved.append(accepted.float().mean().item())
    torch.testing.assert_close(z.mean(0), target.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(z.T.cov(), target.covariance_matrix, atol=0.04, rtol=0)
    assert 0.6 < np.mean(moved) < 1


def test_coarse_steps_are_refused_and_leave_chains_where_they_were():
    torch.manual_seed(0)
    start = torch.randn(200, 3)
    z, moved = hamiltonian_step(lambda z: -50 * z.square().sum(1), start, step_size=5.0, leapfrogs=10)
    assert not moved.any() and torch.equal(z, start)


def test_step_size_is_tuned_to_the_wanted_acceptance():
    torch.manual_seed(0)
    chains = PosteriorChains(500, latent_dim=2, leapfrogs=5, step_size=3.0)
    for _ in range(300):
        chains.move(lambda z: -8 * z.square().sum(1), torch.arange(500))
    _, moved = hamiltonian_step(lambda z: -8.5 * z.square().sum(1), chains.z, chains.step_size, 5)
    assert moved.float().mean().item() == pytest.approx(0.9, abs=0.06)


def test_a_move_without_leapfrogs_is_refused():
    with pytest.raises(ValueError, match="leapfrogs must be at least 1, got 0"):
        hamiltonian_step(lambda z: z.sum(1), torch.zeros(2, 1), 0.1, 0)
