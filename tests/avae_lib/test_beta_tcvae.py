"""Estimates of total correlation against integrals over a small mixture, and over all batches of a small data set."""

import itertools
import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.beta_tcvae import BetaTCVAEConfig, log_batch_weights, total_correlation

DOUBLE = {"dtype": torch.float64}
MEANS = torch.tensor([[-1.0, -1.2], [1.1, 0.9], [0.2, -0.3]], **DOUBLE)
LOG_STDS = torch.tensor([[-0.5, -0.3], [-0.6, -0.4], [0.1, -0.8]], **DOUBLE)


def _aggregate() -> MixtureSameFamily:
    """q(z) of three images."""
    return MixtureSameFamily(Categorical(torch.ones(3, **DOUBLE)), Independent(Normal(MEANS, LOG_STDS.exp()), 1))


def _marginal(d: int) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(torch.ones(3, **DOUBLE)), Normal(MEANS[:, d], LOG_STDS[:, d].exp()))


def _exact_total_correlation() -> float:
    line = torch.linspace(-8, 8, 801, **DOUBLE)
    grid = torch.cartesian_prod(line, line)
    log_q = _aggregate().log_prob(grid)
    independent = _marginal(0).log_prob(grid[:, 0]) + _marginal(1).log_prob(grid[:, 1])
    return ((log_q.exp() * (log_q - independent)).sum() * (line[1] - line[0]) ** 2).item()


def _estimates(estimator: str, draws: int) -> torch.Tensor:
    """Estimates from batches that hold the whole data set, one draw for each image."""
    torch.manual_seed(0)
    posterior = DiagonalGaussian(MEANS, LOG_STDS)
    return torch.stack([total_correlation(posterior.sample(), posterior, 3, estimator).mean() for _ in range(draws)])


@pytest.mark.parametrize(("estimator", "constant"), [("stratified", 0.0), ("weighted", math.log(3))])
def test_whole_data_set_gives_the_exact_total_correlation_up_to_the_known_constant(estimator, constant):
    estimates = _estimates(estimator, 4000)
    error = estimates.std().item() / math.sqrt(len(estimates))
    assert error < 0.02
    assert abs(estimates.mean().item() - constant - _exact_total_correlation()) < 4 * error


def test_at_each_draw_it_is_the_log_ratio_of_torchs_mixture_and_its_marginals():
    z = torch.tensor([[-1.0, 0.5], [0.7, 0.7], [2.0, -2.0]], **DOUBLE)
    expected = _aggregate().log_prob(z) - _marginal(0).log_prob(z[:, 0]) - _marginal(1).log_prob(z[:, 1])
    estimate = total_correlation(z, DiagonalGaussian(MEANS, LOG_STDS), 3, "stratified")
    torch.testing.assert_close(estimate, expected)


def test_stratified_estimate_of_the_aggregate_is_exact_on_average_over_all_batches():
    generator = torch.Generator().manual_seed(0)
    images, size = 6, 3
    means, z = torch.randn(images, 2, generator=generator, **DOUBLE), torch.randn(1, 2, generator=generator, **DOUBLE)
    under_each = Independent(Normal(means, 1.0), 1).log_prob(z).exp()
    own = 2
    weights = log_batch_weights(size, images, "stratified").exp().double()[0]
    estimates = [
        weights[0] * under_each[own] + (weights[1:] * under_each[list(others)]).sum()
        for others in itertools.combinations([i for i in range(images) if i != own], size - 1)
    ]
    torch.testing.assert_close(torch.stack(estimates).mean(), under_each.mean())


def test_weighted_estimate_is_the_published_formula_written_as_loops():
    torch.manual_seed(1)
    batch, dim, dataset_size = 4, 3, 50
    posterior = DiagonalGaussian(torch.randn(batch, dim, **DOUBLE), 0.3 * torch.randn(batch, dim, **DOUBLE))
    z = posterior.sample()
    expected = []
    for i in range(batch):
        density = Normal(posterior.mean, posterior.log_std.exp()).log_prob(z[i]).exp()  # (image, latent)
        joint = sum(math.prod(density[j].tolist()) for j in range(batch)) / (dataset_size * batch)
        marginals = [density[:, d].sum().item() / (dataset_size * batch) for d in range(dim)]
        expected.append(math.log(joint) - sum(map(math.log, marginals)))
    result = total_correlation(z, posterior, dataset_size, "weighted")
    torch.testing.assert_close(result, torch.tensor(expected, **DOUBLE))


def test_objective_adds_beta_minus_one_times_the_estimate():
    torch.manual_seed(0)
    model = BetaTCVAEConfig(image_shape=(1, 2, 2), latent_dim=2, hidden_sizes=(8,), beta=3.5, dataset_size=20).build()
    x = torch.randint(2, (6, 1, 2, 2), dtype=torch.uint8)
    posterior = model.posterior(x)
    expected = 2.5 * total_correlation(posterior.mean, posterior, 20)
    torch.testing.assert_close(model(x, posterior_temperature=0.0).penalties["total_correlation"], expected)


@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
def test_a_single_image_gives_a_finite_estimate(estimator):
    model = BetaTCVAEConfig(estimator=estimator).build().eval()
    assert model(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).penalties["total_correlation"].isfinite().all()


def test_impossible_fields_are_refused():
    with pytest.raises(ValueError, match="beta must be at least 0, got -1"):
        BetaTCVAEConfig(beta=-1)
    with pytest.raises(ValueError, match="dataset_size must be at least 2, got 1"):
        BetaTCVAEConfig(dataset_size=1)
    with pytest.raises(ValueError, match="estimator must be one of weighted, stratified, got 'exact'"):
        BetaTCVAEConfig(estimator="exact")
