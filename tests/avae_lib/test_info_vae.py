"""The InfoVAE: its objective is the published one."""

import pytest
import torch

from avae_lib.components import using
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.objectives import negative_elbo


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 1.0])
def test_loss_is_equation_6(alpha):
    torch.manual_seed(0)
    config = InfoVAEConfig(image_shape=(1, 2, 2), latent_dim=2, hidden_sizes=(8,), alpha=alpha, mmd_weight=30.0)
    model, x = config.build(), torch.randint(2, (6, 1, 2, 2), dtype=torch.uint8)
    with using("maximum_mean_discrepancy", lambda x, y, scales: x.square().mean() + 0 * y.sum()):
        elbo = model(x, posterior_temperature=0.0)
    posterior = model.posterior(x)
    q = torch.distributions.Normal(posterior.mean, posterior.log_std.exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    reconstruction = model.log_likelihood(x, posterior.mean)
    expected = (-reconstruction + (1 - alpha) * kl).mean() + 30 * posterior.mean.square().mean()
    loss = negative_elbo(elbo.log_likelihood, elbo.kl) + sum(penalty.mean() for penalty in elbo.penalties.values())
    torch.testing.assert_close(loss, expected)


def test_impossible_weights_are_refused():
    with pytest.raises(ValueError, match=r"alpha must be at most 1.*got 1.5"):
        InfoVAEConfig(alpha=1.5)
    with pytest.raises(ValueError, match="alpha must be at most 1"):
        InfoVAEConfig(alpha=float("nan"))
    with pytest.raises(ValueError, match="mmd_weight must be at least 0, got -1"):
        InfoVAEConfig(mmd_weight=-1)
