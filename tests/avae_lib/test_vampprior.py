"""The VampPrior is the mixture of the posteriors of its pseudo-inputs."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from avae_lib.models.vampprior import VampPriorVAE, VampPriorVAEConfig

CONFIG = VampPriorVAEConfig(image_shape=(1, 3, 3), latent_dim=2, hidden_sizes=(12,), pseudo_inputs=5)


@pytest.fixture
def model() -> VampPriorVAE:
    torch.manual_seed(0)
    model = CONFIG.build().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model


def _by_torch(model: VampPriorVAE) -> MixtureSameFamily:
    mean, log_std = model.encoder(torch.tanh(model.raw_pseudo_inputs)).chunk(2, dim=1)
    return MixtureSameFamily(Categorical(torch.ones(5).double()), Independent(Normal(mean, log_std.exp()), 1))


def test_density_is_that_of_torchs_mixture(model):
    z = 2 * torch.randn(50, 2, dtype=torch.float64)
    torch.testing.assert_close(model.log_prior(z), _by_torch(model).log_prob(z))


def test_draws_have_the_mean_and_covariance_of_the_mixture(model):
    with torch.no_grad():
        z = model.draw_prior(40_000, generator=torch.Generator().manual_seed(0))
        mixture = _by_torch(model)
    torch.testing.assert_close(z.mean(dim=0), mixture.mean, rtol=0.05, atol=0.05)
    torch.testing.assert_close(z.var(dim=0), mixture.variance, rtol=0.05, atol=0.05)


def test_at_temperature_zero_draws_are_the_means_of_the_components(model):
    z, means = model.draw_prior(200, temperature=0.0), model.components().mean
    nearest = (z[:, None] - means).abs().amax(dim=2).min(dim=1).values
    assert nearest.max() < 1e-12
    assert len(z.detach().unique(dim=0)) == 5


def test_a_pseudo_input_that_is_an_image_has_the_posterior_of_the_image(model):
    image = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 1], dtype=torch.uint8).reshape(1, 1, 3, 3)
    with torch.no_grad():
        model.raw_pseudo_inputs[:] = 40 * (2.0 * image.flatten() - 1)  # tanh: −1 and 1, as pixels are scaled
    z = torch.randn(20, 2, dtype=torch.float64)
    posterior = model.posterior(image.expand(20, 1, 3, 3))
    torch.testing.assert_close(model.log_prior(z), posterior.log_prob(z))


def test_kl_is_that_of_torchs_distributions_on_average(model):
    image = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 1], dtype=torch.uint8).reshape(1, 1, 3, 3)
    with torch.no_grad():
        posterior, mixture = model.posterior(image), _by_torch(model)
        line = torch.linspace(-9, 9, 361, dtype=torch.float64)
        grid = torch.cartesian_prod(line, line)
        log_q = Independent(Normal(posterior.mean, posterior.log_std.exp()), 1).log_prob(grid)
        exact = (log_q.exp() * (log_q - mixture.log_prob(grid))).sum() * (line[1] - line[0]) ** 2
        estimates = model(image.expand(20_000, 1, 3, 3)).kl[:, 0]
    assert abs(estimates.mean() - exact) < 4 * estimates.std() / math.sqrt(len(estimates))


def test_no_pseudo_inputs_are_refused():
    with pytest.raises(ValueError, match="pseudo_inputs must be at least 1, got 0"):
        VampPriorVAEConfig(pseudo_inputs=0)
