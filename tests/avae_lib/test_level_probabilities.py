"""Probabilities of all levels agree with the likelihood of one level, head by head."""

import pytest
import torch

from avae_lib.models.vae import VAEConfig
from avae_lib.nn.output_heads import output_head

HEADS = {
    "bernoulli": ("bernoulli", 2, 1, 1),
    "logistic": ("discretized_logistic", 3, 2, 1),
    "independent mixtures": ("discretized_logistic", 3, 3, 4),
    "grey mixture": ("discretized_logistic_mixture", 1, 2, 3),
    "colours": ("discretized_logistic_mixture", 3, 3, 4),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_product_over_channels_is_the_likelihood_and_levels_sum_to_one(name):
    likelihood, channels, bits, mixtures = HEADS[name]
    torch.manual_seed(0)
    head = output_head(likelihood, 5, channels, bits, mixtures).double()
    features = 3 * torch.randn(4, 5, 2, 3, dtype=torch.float64)
    x = torch.randint(2**bits, (4, channels, 2, 3), dtype=torch.uint8)
    log_prob, known = 0.0, 0
    while known < channels:
        probabilities = head.level_probabilities(features, x[:, :known])
        assert probabilities.shape[2:] == (2, 3, 2**bits)
        torch.testing.assert_close(probabilities.sum(-1), torch.ones_like(probabilities[..., 0]))
        following = x[:, known : known + probabilities.shape[1]].long()
        log_prob = log_prob + probabilities.gather(-1, following[..., None]).log().flatten(1).sum(1)
        known += probabilities.shape[1]
    torch.testing.assert_close(log_prob, head.log_likelihood(features, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("likelihood", "bits"), [("bernoulli", 1), ("discretized_logistic", 3)])
def test_a_vae_gives_the_probabilities_of_its_likelihood(likelihood, bits):
    model = VAEConfig((1, 3, 4), bits, latent_dim=2, hidden_sizes=(6,), likelihood=likelihood, mixtures=bits).build()
    model, z = model.double(), torch.randn(5, 2, dtype=torch.float64)
    x = torch.randint(2**bits, (5, 1, 3, 4), dtype=torch.uint8)
    chosen = model.level_probabilities(z).gather(-1, x.long()[..., None])
    torch.testing.assert_close(chosen.log().flatten(1).sum(1), model.log_likelihood(x, z))


def test_no_probabilities_without_a_channel_that_is_left_or_with_the_published_edge():
    head = output_head("discretized_logistic_mixture", 5, 3, 8, 2)
    with pytest.raises(ValueError, match="fewer channels than the image's 3"):
        head.level_probabilities(torch.zeros(1, 5, 1, 1), torch.zeros(1, 3, 1, 1, dtype=torch.uint8))
    head.upper_edge = 0.99
    with pytest.raises(ValueError, match="upper_edge"):
        head.level_probabilities(torch.zeros(1, 5, 1, 1), torch.zeros(1, 0, 1, 1, dtype=torch.uint8))
