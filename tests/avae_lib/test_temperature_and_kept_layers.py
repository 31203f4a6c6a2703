"""Draws at a temperature and the choice between posterior and prior, as functions and as what models run on."""

import dataclasses
import math

import pytest
import torch
from torch.distributions import Normal

from avae_lib import components
from avae_lib.gaussians import DiagonalGaussian, temperature_sample
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.contract import keep_top_layers
from avae_lib.models.hierarchy import Draw
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.vae import VAEConfig

TINY = AttentiveConfig(layers=3, width=8, latent_channels=2, key_channels=4, blocks=1, mixtures=2)


def tensors(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    return tuple(torch.randn(shape, generator=generator, dtype=dtype) for _ in range(3))


def built(config=TINY):
    torch.manual_seed(0)
    model = config.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def images(n=4):
    return torch.randint(0, 16, (n, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def unwritten(name):
    """The component's stub, as students find it."""
    parameters = ", ".join(components.find(name).signature.parameters)
    namespace = {}
    exec(f"def {name}({parameters}):\n    raise NotImplementedError", namespace)
    return components.using(name, namespace[name])


def counting(name):
    """The component's function, with a list that grows by one at each call."""
    calls, reference = [], components.find(name).reference
    parameters = ", ".join(components.find(name).signature.parameters)

    def called(*arguments):
        calls.append(arguments)
        return reference(*arguments)

    namespace = {"called": called}
    exec(f"def {name}({parameters}):\n    return called({parameters})", namespace)
    return components.using(name, namespace[name]), calls


# temperature_sample


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 2.5])
def test_draw_is_the_quantile_of_a_gaussian_with_the_tempered_standard_deviation(temperature):
    mean, log_std, noise = tensors(3, 4)
    quantile = Normal(0.0, 1.0).cdf(noise)
    expected = mean if temperature == 0 else Normal(mean, temperature * log_std.exp()).icdf(quantile)
    assert torch.allclose(temperature_sample(mean, log_std, temperature, noise), expected, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_temperature_zero_gives_the_mean_to_the_last_bit_however_wide_the_gaussian(dtype):
    mean, _, noise = tensors(50, dtype=dtype)
    for log_std in (8.0, -12.0):
        assert torch.equal(temperature_sample(mean, torch.full_like(mean, log_std), 0.0, noise), mean)


def test_gradients_pass_finite_differences():
    inputs = tuple(tensor.requires_grad_() for tensor in tensors(2, 3))
    assert torch.autograd.gradcheck(lambda m, s, e: temperature_sample(m, s, 0.7, e), inputs)


def test_gaussians_draw_by_it_below_and_above_temperature_one_and_in_training_never():
    mean, log_std, noise = tensors(2, 3)
    gaussian = DiagonalGaussian(mean, log_std)
    replaced, calls = counting("temperature_sample")
    with replaced:
        for temperature in (0, 0.5, 2.0):
            gaussian.sample(noise, temperature)
        assert [arguments[2] for arguments in calls] == [0.0, 0.5, 2.0]
        assert all(type(arguments[2]) is float for arguments in calls)
        gaussian.sample(noise)
        Draw().noise(mean)
        assert len(calls) == 3
        Draw(temperature=0.5).noise(mean)
        assert len(calls) == 4


@pytest.mark.parametrize("config", [TINY, LadderConfig(), VAEConfig()], ids=lambda config: type(config).__name__)
def test_models_sample_the_same_with_it_and_before_it_is_written(config):
    model = built(config)

    def sample():
        return model.sample(3, temperature=0.6, generator=torch.Generator().manual_seed(4))

    replaced, calls = counting("temperature_sample")
    with replaced:
        with_it = sample()
    assert len(calls) >= model.num_layers
    with unwritten("temperature_sample"):
        assert torch.equal(sample(), with_it)


def test_a_students_slip_shows_in_the_samples():
    model = built()
    generator = torch.Generator()
    right = model.sample(3, temperature=0.5, generator=generator.manual_seed(4))

    def forgetful(mean, log_std, temperature, noise):
        return mean + torch.exp(log_std) * noise

    with components.using("temperature_sample", forgetful):
        wrong = model.sample(3, temperature=0.5, generator=generator.manual_seed(4))
    assert not torch.equal(right, wrong)


def test_noise_of_a_draw_is_standard_normal_noise_times_the_temperature():
    like, generator = torch.zeros(5, 2), torch.Generator()
    plain = torch.randn(5, 2, generator=generator.manual_seed(3))
    for temperature in (0.0, 0.7, 1.0):
        noise = Draw(temperature, generator.manual_seed(3)).noise(like)
        assert torch.allclose(noise, temperature * plain, rtol=1e-6)


# keep_top_layers


def test_kept_layers_are_those_at_the_top_for_every_number_of_them():
    posterior, prior = [object() for _ in range(4)], [object() for _ in range(4)]
    for keep in range(5):
        chosen = keep_top_layers(posterior, prior, keep)
        wanted = [(posterior if layer < keep else prior)[layer] for layer in range(4)]
        assert len(chosen) == 4 and all(one is other for one, other in zip(chosen, wanted, strict=True))
        assert chosen is not posterior and chosen is not prior
    assert len(posterior) == len(prior) == 4


@pytest.mark.parametrize("config", [TINY, LadderConfig()], ids=lambda config: type(config).__name__)
def test_hierarchies_keep_layers_by_it_and_the_same_ones_before_it_is_written(config):
    model = built(config)
    x = images() % 2**model.bits

    def weights(keep_layers):
        torch.manual_seed(5)
        with torch.no_grad():
            return model.log_weight(x, keep_layers)

    for keep_layers in range(model.num_layers + 1):
        replaced, calls = counting("keep_top_layers")
        with replaced:
            with_it = weights(keep_layers)
        assert len(calls) == (keep_layers < model.num_layers)
        with unwritten("keep_top_layers"):
            assert torch.equal(weights(keep_layers), with_it)


def test_training_and_sampling_never_ask_which_layers_to_keep():
    model = built(dataclasses.replace(TINY, layers=2))
    replaced, calls = counting("keep_top_layers")
    with replaced:
        model(images())
        model.sample(1)
    assert not calls


def test_with_no_layer_kept_the_weight_is_the_likelihood_of_a_draw_from_the_prior():
    model, x = built(dataclasses.replace(TINY, layers=1)), images()
    torch.manual_seed(6)
    log_weight = model.log_weight(x, keep_layers=0)
    features, latents = model._infer(x, keep_layers=0)
    assert latents[0].posterior is None
    assert log_weight.shape == (4,) and math.isfinite(log_weight.sum().item())
    assert features.shape[0] == 4


def test_the_report_on_a_model_names_both():
    report = components.report(built())
    assert "temperature_sample" in report and "keep_top_layers" in report
