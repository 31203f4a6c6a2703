import dataclasses
import math

import numpy as np
import pytest
import torch

from avae_lib.components import using
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.contract import LatentVariableModel
from avae_lib.models.requirements import temperature_of_each_layer
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import importance_weighted_bound

CONFIGS = [
    VAEConfig(image_shape=(1, 3, 4), latent_dim=3, hidden_sizes=(20,)),
    VAEConfig(image_shape=(1, 4, 4), bits=4, hidden_sizes=(20, 10), likelihood="discretized_logistic"),
    VAEConfig(image_shape=(2, 4, 3), bits=4, hidden_sizes=(20, 10), likelihood="discretized_logistic", mixtures=3),
]


@pytest.fixture(params=CONFIGS, ids=lambda config: f"{config.likelihood}-{config.mixtures}")
def config(request):
    torch.manual_seed(0)
    return request.param


def images(config: VAEConfig, n: int = 6) -> torch.Tensor:
    return torch.randint(2**config.bits, (n, *config.image_shape), dtype=torch.uint8)


@pytest.fixture
def tiny_model():
    """Two latents and four binary pixels, with weights large enough that the posterior is far from the prior."""
    torch.manual_seed(3)
    model = VAEConfig(image_shape=(1, 2, 2), latent_dim=2, hidden_sizes=(8,)).build()
    with torch.no_grad():
        model.head.projection.weight.mul_(4)
    return model


def exact_log_evidence(model, x: torch.Tensor, nodes: int = 80) -> torch.Tensor:
    """log p(x) of a model with two latents, by Gauss–Hermite quadrature over the prior."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = torch.tensor(np.stack(np.meshgrid(points, points), -1).reshape(-1, 2)).float()
    log_prior = torch.tensor(np.log(np.outer(weights, weights).ravel() / (2 * math.pi)))
    log_joint = [model.log_likelihood(image.expand(len(grid), *image.shape), grid) + log_prior for image in x]
    return torch.stack(log_joint).logsumexp(dim=1).detach()


def all_binary_images() -> torch.Tensor:
    return torch.tensor([[int(bit) for bit in f"{i:04b}"] for i in range(16)], dtype=torch.uint8).reshape(16, 1, 2, 2)


@torch.no_grad()
def draws(quantity, x: torch.Tensor, n: int) -> torch.Tensor:
    """``n`` independent values of ``quantity(x)``, (n, batch)."""
    return quantity(x.repeat(n, 1, 1, 1)).reshape(n, len(x))


def test_meets_the_contract_in_shapes_and_types(config):
    model, x = config.build(), images(config)
    assert isinstance(model, LatentVariableModel)
    assert (model.num_layers, model.bits, model.image_shape) == (1, config.bits, config.image_shape)
    assert model.num_dims == math.prod(config.image_shape)
    elbo = model(x)
    assert elbo.log_likelihood.shape == (6,) and elbo.kl.shape == (6, 1) and not elbo.penalties
    assert model.log_weight(x).shape == (6,)
    for pictures in (model.sample(6), model.reconstruct(x), model.reconstruct(x, keep_layers=0)):
        assert pictures.shape == x.shape and pictures.dtype == torch.uint8 and pictures.max() < 2**config.bits
    (posterior,) = model.latents(x)
    assert isinstance(posterior, DiagonalGaussian) and posterior.mean.shape == (6, config.latent_dim)


def test_evidence_of_all_images_sums_to_one(tiny_model):
    assert exact_log_evidence(tiny_model, all_binary_images()).exp().sum().item() == pytest.approx(1, abs=1e-6)


def test_bound_never_exceeds_exact_log_evidence(tiny_model):
    x = all_binary_images()
    bound = draws(lambda x: tiny_model(x).bound, x, 10_000).mean(0)
    assert (bound < exact_log_evidence(tiny_model, x)).all()


def test_importance_weights_average_to_the_exact_evidence(tiny_model):
    x = all_binary_images()
    log_weights = draws(tiny_model.log_weight, x, 20_000)
    assert torch.allclose(importance_weighted_bound(log_weights), exact_log_evidence(tiny_model, x).float(), atol=0.05)


def test_bound_and_log_weight_agree_on_average(tiny_model):
    x = all_binary_images()
    bounds, log_weights = draws(lambda x: tiny_model(x).bound, x, 4000), draws(tiny_model.log_weight, x, 4000)
    standard_error = (bounds.var(0) / 4000 + log_weights.var(0) / 4000).sqrt()
    assert ((bounds.mean(0) - log_weights.mean(0)).abs() < 5 * standard_error).all()


def test_samples_follow_the_exact_evidence(tiny_model):
    draws = tiny_model.sample(40_000, generator=torch.Generator().manual_seed(0)).flatten(1).long()
    counts = torch.bincount(draws @ torch.tensor([8, 4, 2, 1]), minlength=16)
    assert torch.allclose(counts / 40_000, exact_log_evidence(tiny_model, all_binary_images()).exp().float(), atol=0.01)


def test_posterior_temperature_zero_is_deterministic(config):
    model, x = config.build(), images(config)
    first, second = model(x, posterior_temperature=0.0), model(x, posterior_temperature=0.0)
    assert torch.equal(first.log_likelihood, second.log_likelihood)
    assert not torch.equal(model(x).log_likelihood, model(x).log_likelihood)
    expected = model.log_likelihood(x, model.posterior(x).mean)
    assert torch.allclose(first.log_likelihood, expected)


def test_sampling_never_touches_the_encoder_and_repeats_with_its_generator(config):
    model = config.build()
    model.encoder = None
    first, second = (model.sample(9, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    model.sample(2, temperature=[0.5])


@pytest.mark.parametrize("temperature", [0.0, [0.0]])
def test_samples_at_temperature_zero_are_drawn_around_the_image_of_the_priors_mean(tiny_model, temperature):
    average = tiny_model.sample(40_000, temperature, torch.Generator().manual_seed(0)).float().mean(0)
    assert torch.allclose(average, tiny_model.decode(torch.zeros(1, 2))[0], atol=0.015)


def test_keeping_no_layer_ignores_the_images(config):
    model, x = config.build(), images(config)
    torch.manual_seed(1)
    first = model.reconstruct(x, keep_layers=0)
    torch.manual_seed(1)
    assert torch.equal(first, model.reconstruct(x.flip(0), keep_layers=0))


def test_decode_gives_the_average_of_sampled_pixels(tiny_model):
    z = torch.randn(1, 2).expand(20_000, 2)
    features = tiny_model._features(z)
    average = tiny_model.head.sample(features, torch.Generator().manual_seed(0)).float().mean(0).flatten()
    assert torch.allclose(average, tiny_model.decode(z[:1]).flatten(), atol=0.02)


def test_gradients_reach_every_parameter_through_the_sample(config):
    model = config.build()
    (-model(images(config)).bound.mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_model_is_built_from_the_components(config):
    model, x = config.build(), images(config)
    with using("reparameterize", lambda mean, log_std, noise: mean):
        assert torch.equal(model(x).log_likelihood, model(x).log_likelihood)
    if config.likelihood == "bernoulli":
        with using("bernoulli_log_likelihood", lambda logits, x: torch.full((len(x),), -7.0)):
            assert torch.equal(model(x).log_likelihood, torch.full((6,), -7.0))


def test_configuration_survives_a_round_trip_through_plain_data(config):
    plain = dataclasses.asdict(config)
    assert VAEConfig(**plain) == config


def test_bernoulli_pixels_of_several_bits_are_refused():
    with pytest.raises(ValueError, match="1 bit, got bits=4: binarise"):
        VAEConfig(bits=4).build()


def test_colours_that_depend_on_one_another_are_refused():
    with pytest.raises(
        ValueError, match="bernoulli or discretized_logistic, whose pixels and channels are independent"
    ):
        VAEConfig(image_shape=(3, 8, 8), bits=8, likelihood="discretized_logistic_mixture")


def test_unknown_likelihood_is_refused():
    with pytest.raises(
        ValueError, match=r"one of bernoulli, discretized_logistic, discretized_logistic_mixture, got 'gauss'"
    ):
        VAEConfig(likelihood="gauss").build()


def test_more_layers_than_there_are_cannot_be_kept():
    model = CONFIGS[0].build()
    with pytest.raises(ValueError, match="keep_layers must be 0, 1 or None"):
        model.reconstruct(images(CONFIGS[0]), keep_layers=2)


def test_anything_but_pixel_levels_is_refused_with_a_reason(config):
    model, x = config.build(), images(config)
    with pytest.raises(TypeError, match="uint8"):
        model(x.float())
    with pytest.raises(ValueError, match="batch of images"):
        model.log_weight(x.flatten(1))
    with pytest.raises(ValueError, match="set the model's bits"):
        model(torch.full_like(x, 2**config.bits))


def test_temperatures_are_one_for_each_layer():
    assert temperature_of_each_layer(0.7, 3) == (0.7, 0.7, 0.7)
    assert temperature_of_each_layer([1, 2, 3], 3) == (1, 2, 3)
    for given in (torch.tensor([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])):
        assert temperature_of_each_layer(given, 3) == (1, 2, 3)
    for too_few in ([1, 2], torch.ones(2), np.ones(2)):
        with pytest.raises(ValueError, match="3 layers"):
            temperature_of_each_layer(too_few, 3)
    for impossible in (-1.0, math.nan, math.inf, [1.0, -1.0, 1.0], "high"):
        with pytest.raises(ValueError, match="temperature must be"):
            temperature_of_each_layer(impossible, 3)


def test_impossible_numbers_of_images_and_temperatures_are_refused():
    model = VAEConfig().build()
    for n in (0, -1, 2.5):
        with pytest.raises(ValueError, match="n must be a whole number"):
            model.sample(n)
    with pytest.raises(ValueError, match="posterior_temperature must be"):
        model(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), posterior_temperature=-0.5)


def test_terms_of_the_bound_are_as_precise_as_the_weights_and_never_less_than_float32():
    model, x = VAEConfig().build(), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x, posterior_temperature=0)
    double = model.double()(x, posterior_temperature=0)
    assert half.kl.dtype == half.log_likelihood.dtype == torch.float32
    assert double.kl.dtype == double.log_likelihood.dtype == torch.float64
    torch.testing.assert_close(half.bound.double(), double.bound, rtol=0.05, atol=0.05)
