"""The β-VAE: its objective is the bound with β on the KL, and its bound is the VAE's."""

import pytest
import torch

from avae_lib.models.beta_vae import BetaVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import negative_elbo

SIZES = {"image_shape": (1, 3, 4), "latent_dim": 3, "hidden_sizes": (10,)}


def _elbo(config):
    torch.manual_seed(0)
    model, x = config.build(), torch.randint(2, (7, 1, 3, 4), dtype=torch.uint8)
    torch.manual_seed(1)
    return model(x)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_loss_weighs_the_kl_by_beta(beta):
    elbo = _elbo(BetaVAEConfig(**SIZES, beta=beta))
    loss = negative_elbo(elbo.log_likelihood, elbo.kl) + elbo.penalties["beta"].mean()
    torch.testing.assert_close(loss, negative_elbo(elbo.log_likelihood, elbo.kl, beta))


def test_bound_is_that_of_the_vae_with_the_same_weights():
    assert torch.equal(_elbo(BetaVAEConfig(**SIZES)).bound, _elbo(VAEConfig(**SIZES)).bound)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="beta must be at least 0, got -1"):
        BetaVAEConfig(beta=-1)
