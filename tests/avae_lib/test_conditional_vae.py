"""The conditional VAE: what it says of an image depends on the class, and it refuses to guess the class."""

import math

import pytest
import torch

from avae_lib.models.conditional_vae import ConditionalVAE, ConditionalVAEConfig
from avae_lib.models.contract import ConditionalModel, num_classes

CONFIG = ConditionalVAEConfig(image_shape=(1, 2, 2), latent_dim=1, hidden_sizes=(8,), num_classes=3)


@pytest.fixture
def model() -> ConditionalVAE:
    torch.manual_seed(1)
    model = CONFIG.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        model.encoder[-1].weight.mul_(0.3)
        model.encoder[-1].bias[1] = 0.4  # posteriors wide enough that weights have a small variance
    return model.eval()


def _images() -> torch.Tensor:
    return torch.tensor([[int(bit) for bit in f"{i:04b}"] for i in range(16)], dtype=torch.uint8).reshape(16, 1, 2, 2)


@torch.no_grad()
def _log_evidence(model: ConditionalVAE, label: int) -> torch.Tensor:
    """log p(x | y) of all 16 images; prior, logits and likelihood by hand, the integral by a sum over a line."""
    z = torch.linspace(-12, 12, 2401)[:, None]
    mean, raw = model.prior_parameters[label]
    log_std = 5 * raw / 5 / (1 + raw.abs() / 5)
    prior = torch.distributions.Normal(mean, log_std.exp()).log_prob(z[:, 0])
    one_hot = torch.eye(3)[label].expand(len(z), 3)
    features = model.decoder(torch.cat([z, one_hot], dim=1)).relu()
    weight, bias = model.head.projection.weight[:, :, 0, 0], model.head.projection.bias
    pixels = torch.distributions.Bernoulli(logits=features @ weight.T + bias)
    log_joint = [pixels.log_prob(x.flatten().float()).sum(dim=1) + prior for x in _images()]
    return torch.stack(log_joint).double().logsumexp(dim=1) + math.log(24 / 2400)


def test_model_declares_its_classes(model):
    assert isinstance(model, ConditionalModel) and num_classes(model) == 3


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("keep_layers", [None, 0])
def test_weights_average_to_the_probability_of_the_image_given_its_class(model, label, keep_layers):
    x = _images().repeat(4000, 1, 1, 1)
    with torch.no_grad():
        log_weights = model.log_weight(x, keep_layers, labels=torch.full((len(x),), label)).reshape(4000, 16)
    ratios = (log_weights - _log_evidence(model, label)).exp()
    error = ratios.std(dim=0) / math.sqrt(4000)
    assert (error < 0.3).all() and ((ratios.mean(dim=0) - 1).abs() < 5 * error).all()


def test_classes_have_different_images(model):
    of_each = torch.stack([_log_evidence(model, label).exp() for label in range(3)])
    torch.testing.assert_close(of_each.sum(dim=1), torch.ones(3).double(), rtol=1e-4, atol=0)
    distances = torch.cdist(of_each, of_each, p=1) / 2
    assert distances[~torch.eye(3, dtype=torch.bool)].min() > 0.03


def test_without_labels_the_samples_cycle_through_the_classes(model):
    n = 30_000
    drawn = model.sample(n, generator=torch.Generator().manual_seed(0)).flatten(1).long()
    index = drawn @ torch.tensor([8, 4, 2, 1])
    for label in range(3):
        shares = torch.bincount(index[label::3], minlength=16) / (n / 3)
        torch.testing.assert_close(shares, _log_evidence(model, label).exp().float(), rtol=0, atol=0.02)


def test_samples_of_wanted_classes(model):
    wanted = torch.tensor([2, 0, 1, 2])
    first = model.sample(4, generator=torch.Generator().manual_seed(0), labels=wanted)
    second = model.sample(4, generator=torch.Generator().manual_seed(0), labels=wanted)
    assert torch.equal(first, second)


def test_kl_is_that_to_the_prior_of_the_class(model):
    x, labels = _images(), torch.arange(16) % 3
    q, p = model.posterior(x, labels), model.prior(labels)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean, q.log_std.exp()), torch.distributions.Normal(p.mean, p.log_std.exp())
    ).sum(dim=1)
    torch.testing.assert_close(model(x, labels=labels).kl[:, 0], expected)


def test_the_prior_starts_as_a_standard_normal():
    prior = CONFIG.build().prior(torch.arange(3))
    assert not prior.mean.any() and not prior.log_std.any()


def test_missing_and_impossible_labels_are_refused(model):
    x = _images()
    for asked in (model, model.log_weight, model.reconstruct, model.latents):
        with pytest.raises(ValueError, match=r"labels must be given, \(16,\) with classes 0 … 2"):
            asked(x)
    with pytest.raises(TypeError, match="int64"):
        model(x, labels=torch.zeros(16))
    with pytest.raises(ValueError, match="one class for each image"):
        model(x, labels=torch.zeros(15, dtype=torch.int64))
    with pytest.raises(ValueError, match="got 0 … 3"):
        model(x, labels=torch.arange(16) % 4)


def test_a_single_class_is_refused():
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        ConditionalVAEConfig(num_classes=1)
