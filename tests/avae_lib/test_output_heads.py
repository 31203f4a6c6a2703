import dataclasses
import itertools

import pytest
import torch
from torch import nn

from avae_lib.likelihoods import logistic_mixture_log_prob
from avae_lib.models.families import FAMILIES
from avae_lib.nn.output_heads import LIKELIHOODS, output_head


@pytest.fixture(params=["bernoulli", "logistic", "mixture", "dependent"])
def head_and_levels(request):
    torch.manual_seed(0)
    if request.param == "bernoulli":
        return output_head("bernoulli", features=5, channels=1, bits=1), 2
    if request.param == "dependent":
        return output_head("discretized_logistic_mixture", features=5, channels=1, bits=2, mixtures=3), 4
    mixtures = 1 if request.param == "logistic" else 3
    return output_head("discretized_logistic", features=5, channels=1, bits=2, mixtures=mixtures), 4


def test_probabilities_of_all_images_sum_to_one(head_and_levels):
    head, levels = head_and_levels
    x = torch.tensor(list(itertools.product(range(levels), repeat=2)), dtype=torch.uint8).reshape(-1, 1, 1, 2)
    features = torch.randn(1, 5, 1, 2).expand(len(x), 5, 1, 2)
    assert head.log_likelihood(features, x).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_samples_have_the_frequencies_that_the_likelihood_gives(head_and_levels):
    head, levels = head_and_levels
    features = 2 * torch.randn(1, 5, 1, 1)
    draws = head.sample(features.expand(60_000, 5, 1, 1), torch.Generator().manual_seed(0)).flatten()
    x = torch.arange(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    probabilities = head.log_likelihood(features.expand(levels, 5, 1, 1), x).exp()
    assert torch.allclose(torch.bincount(draws.long(), minlength=levels) / 60_000, probabilities, atol=0.01)


@pytest.mark.parametrize("size", [1e-6, 1e4])
def test_gradients_are_finite_for_features_of_any_size(head_and_levels, size):
    head, levels = head_and_levels
    features = (size * torch.randn(8, 5, 3, 3)).requires_grad_()
    head.log_likelihood(features, torch.randint(levels, (8, 1, 3, 3), dtype=torch.uint8)).sum().backward()
    assert features.grad.isfinite().all()


def test_mean_lies_on_the_scale_of_the_pixels(head_and_levels):
    head, levels = head_and_levels
    mean = head.mean(100 * torch.randn(8, 5, 3, 3))
    rounding = 1e-5
    assert mean.shape == (8, 1, 3, 3) and -rounding <= mean.min() and mean.max() <= levels - 1 + rounding


def test_components_of_a_mixture_start_apart():
    head = output_head("discretized_logistic", features=4, channels=1, bits=4, mixtures=5)
    _, mean, _ = head._mixture(torch.zeros(1, 4, 1, 1))
    assert mean.flatten().diff().min() > 0.2


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_likelihood_is_float32_under_autocast_and_draws_are_levels(likelihood):
    bits = 1 if likelihood == "bernoulli" else 4
    head = output_head(likelihood, 4, 1, bits, mixtures=2)
    x = torch.randint(0, 2**bits, (2, 1, 3, 3), dtype=torch.uint8)
    features = torch.randn(2, 4, 3, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        log_likelihood = head.log_likelihood(features, x)
        assert log_likelihood.dtype == torch.float32
        assert head.sample(features).dtype == torch.uint8 and head.mean(features).dtype == torch.float32
    (log_likelihood.sum() + head.mean(features).sum()).backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_components_with_dependent_colours_start_apart_in_every_channel(channels):
    head = output_head("discretized_logistic_mixture", features=4, channels=channels, bits=8, mixtures=5)
    bias = head.projection(torch.zeros(1, 4, 1, 1)).flatten()[5:].view(channels, -1, 5)
    assert (bias[:, 0].diff(dim=1) > 0.2).all()
    assert head.mean(torch.zeros(1, 4, 1, 1)).sub(127.5).abs().max() < 40


@pytest.mark.parametrize(
    ("likelihood", "channels", "bits", "mixtures", "wanted"),
    [
        ("bernoulli", 1, 1, 1, 1),
        ("discretized_logistic", 3, 8, 2, 18),
        ("discretized_logistic_mixture", 3, 8, 2, 20),
        ("discretized_logistic_mixture", 1, 8, 2, 6),
    ],
)
def test_projection_is_asked_for_the_numbers_the_likelihood_needs_and_left_as_it_is(
    likelihood, channels, bits, mixtures, wanted
):
    made = []

    def three_by_three(in_channels, out_channels):
        made.append((in_channels, out_channels, nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)))
        return made[-1][2]

    head = output_head(likelihood, 7, channels, bits, mixtures, projection=three_by_three)
    assert [(into, out) for into, out, _ in made] == [(7, wanted)]
    assert head.projection is made[0][2]
    x = torch.randint(2**bits, (2, channels, 4, 4), dtype=torch.uint8)
    assert head.log_likelihood(torch.randn(2, 7, 4, 4), x).shape == (2,)
    assert head.sample(torch.randn(2, 7, 4, 4)).shape == (2, channels, 4, 4)


def test_head_of_dependent_colours_gives_the_mixture_that_its_projection_describes():
    head = output_head("discretized_logistic_mixture", 1, 3, 8, 2, lambda *_: nn.Identity(), upper_edge=0.99)
    params, x = torch.randn(2, 20, 2, 2), torch.full((2, 3, 2, 2), 254, dtype=torch.uint8)
    wanted = logistic_mixture_log_prob(x, params, upper_edge=0.99)
    assert torch.equal(head.log_likelihood(params, x), wanted)
    assert (wanted > logistic_mixture_log_prob(x, params)).all()


def test_dependent_colours_are_three_or_one():
    with pytest.raises(ValueError, match=r"channels must be 1 .* or 3 .*, got 4"):
        output_head("discretized_logistic_mixture", 5, 4, 8)


@pytest.mark.parametrize("family", [config for config in FAMILIES.values() if hasattr(config, "mixtures")])
def test_a_number_of_mixtures_that_has_no_effect_is_refused(family):
    default = family.mixtures
    plain = family(bits=1, likelihood="bernoulli")
    with pytest.raises(ValueError, match=f"mixtures has no effect with likelihood=bernoulli: leave it at {default}"):
        dataclasses.replace(plain, mixtures=default + 1)
