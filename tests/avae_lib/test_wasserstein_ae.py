"""The Wasserstein autoencoder: no noise, no density, and latents that come to look like the prior."""

import math

import pytest
import torch

from avae_lib.components import using
from avae_lib.models.contract import NoDensity
from avae_lib.models.wasserstein_ae import WassersteinAEConfig

SIZES = {"image_shape": (1, 2, 2), "latent_dim": 2, "hidden_sizes": (16,)}
PENALTIES = ("mmd", "sliced_wasserstein")


def _images(n: int) -> torch.Tensor:
    return torch.randint(2, (n, 1, 2, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_the_encoder_draws_nothing():
    torch.manual_seed(0)
    model, x = WassersteinAEConfig(**SIZES).build(), _images(6)
    (posterior,) = model.latents(x)
    assert torch.equal(posterior.sample(), posterior.mean) and (posterior.log_std == -math.inf).all()
    assert torch.equal(*(model(x).log_likelihood for _ in range(2)))
    assert torch.equal(model(x).log_likelihood, model.log_likelihood(x, posterior.mean))
    assert torch.equal(*(model.reconstruct(x) for _ in range(2)))


def test_objective_is_the_weighted_distance_beside_the_reconstruction():
    torch.manual_seed(0)
    model = WassersteinAEConfig(**SIZES, penalty_weight=7.0).build()
    with using("maximum_mean_discrepancy", lambda x, y, scales: x.square().mean()):
        elbo = model(_images(6))
    torch.testing.assert_close(elbo.penalties["mmd"], 7 * model.posterior(_images(6)).mean.square().mean())
    assert not elbo.kl.any()


def test_kernels_scale_with_the_squared_distance_between_two_draws_of_the_prior():
    seen = []
    with using("maximum_mean_discrepancy", lambda x, y, scales: seen.append(scales) or x.sum()):
        WassersteinAEConfig(**SIZES).build()(_images(6))
    torch.testing.assert_close(seen[0], torch.tensor([0.4, 0.8, 2.0, 4.0, 8.0, 20.0, 40.0]))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_training_on_the_penalty_brings_latents_to_the_priors_mean_and_variance(penalty):
    torch.manual_seed(0)
    config = WassersteinAEConfig(image_shape=(1, 4, 4), latent_dim=2, hidden_sizes=(32,), penalty=penalty)
    model = config.build()
    x = torch.randint(2, (400, 1, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        model(x).penalties[penalty].backward()
        optimizer.step()
    z = model.posterior(x).mean
    assert z.mean(dim=0).abs().max() < 0.3
    assert (z.std(dim=0) - 1).abs().max() < 0.3


def test_no_density_is_reported_for_kept_layers_too():
    model = WassersteinAEConfig(**SIZES).build()
    for keep_layers in (None, 0):
        with pytest.raises(NoDensity, match="no bound on log p"):
            model.log_weight(_images(2), keep_layers)


def test_impossible_fields_are_refused():
    with pytest.raises(ValueError, match="penalty must be one of mmd, sliced_wasserstein, got 'gan'"):
        WassersteinAEConfig(penalty="gan")
    with pytest.raises(ValueError, match="penalty_weight must be at least 0, got -1"):
        WassersteinAEConfig(penalty_weight=-1)
