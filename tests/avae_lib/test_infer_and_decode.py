"""Latents of every family: inferred with their distributions, decoded whole or in part, drawn from a generator."""

from __future__ import annotations

import copy
import functools
import math

import pytest
import torch
from torch import Generator

from avae_lib.models.biva import BIVAConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.contract import Inference, label_arguments, reason_for_no_density
from avae_lib.models.hierarchy import Hierarchy
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.nvae import NVAEConfig
from avae_lib.models.text_vae import TextVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vq_vae_2 import VQVAE2Config
from avae_lib.models.wasserstein_ae import WassersteinAEConfig
from avae_lib.observations import END, observed_by
from avae_lib.presets import PRESETS

CONFIGS = {
    **{name: preset.model for name, preset in PRESETS.items() if preset.data.name in ("digits", "photos32")},
    "sentences": TextVAEConfig(sequence_length=6, vocabulary_size=9),
    "sliced wae": WassersteinAEConfig(penalty="sliced_wasserstein"),
    "nvae with flows": NVAEConfig(groups=(1, 2), channels=4, latent_channels=2, flows=1, flow_rescales=True),
    "vdvae in groups": VDVAEConfig((1, 8, 8), 4, "8x1,8d8,1x1", "1x2,8m1,8x2", width=8, mixtures=2, group_size=3),
}
every_family = pytest.mark.parametrize("family", CONFIGS)
HIERARCHIES = [family for family, config in CONFIGS.items() if hasattr(config.build(), "bottom_up")]
every_hierarchy = pytest.mark.parametrize("family", HIERARCHIES)


@functools.cache
def _kept(family: str):
    torch.manual_seed(0)
    model = CONFIGS[family].build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def _built(family: str):
    """A model in evaluation mode whose weights are no longer at their initial values."""
    return copy.deepcopy(_kept(family))


def _observed(model, n: int = 3) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Random images or sentences, and their labels if the model takes any."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        x = observed_by(model).random(n)
    return x, label_arguments(model, torch.arange(n) % 2)


def _seeded(seed: int = 5) -> Generator:
    return Generator().manual_seed(seed)


def _calls(model):
    """Each random method of a model, as a function of a generator to tensors."""
    x, labels = _observed(model)
    calls = {
        "forward": lambda generator: [model(x, generator=generator, **labels).bound],
        "latents": lambda generator: [q.mean for q in model.latents(x, generator=generator, **labels)],
        "reconstruct": lambda generator: [model.reconstruct(x, generator=generator, **labels)],
        "reconstruct nothing": lambda generator: [model.reconstruct(x, 0, generator=generator, **labels)],
        "sample": lambda generator: [model.sample(3, generator=generator, **labels)],
        "infer": lambda generator: list(model.infer(x, generator=generator, **labels).draws),
    }
    if reason_for_no_density(model) is None:
        calls["log_weight"] = lambda generator: [model.log_weight(x, generator=generator, **labels)]
        calls["prior weight"] = lambda generator: [model.log_weight(x, 0, generator=generator, **labels)]
    if model.num_layers > 1:
        top = model.infer(x, generator=_seeded()).draws[0]
        calls["decode"] = lambda generator: [model.decode([top], generator=generator)]
    return calls


@every_family
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_a_generator_replaces_the_global_random_state(family, training):
    built = _built(family)
    results = []
    for seed in (1, 2):
        calls = _calls(copy.deepcopy(built).train(training))
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        results.append({name: call(_seeded()) for name, call in calls.items()})
        assert torch.equal(torch.random.get_rng_state(), before)
    for name, tensors in results[0].items():
        assert all(map(torch.equal, tensors, results[1][name])), name


@every_family
def test_another_seed_gives_another_draw(family):
    model = _built(family)
    one, same, other = (_calls(model)["sample"](_seeded(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


@every_family
def test_inference_has_one_draw_and_two_distributions_for_each_layer(family):
    model = _built(family)
    x, labels = _observed(model)
    found = model.infer(x, generator=_seeded(), **labels)
    assert isinstance(found, Inference)
    assert len(found.draws) == len(found.posteriors) == len(found.priors) == model.num_layers
    for z, q, p in zip(found.draws, found.posteriors, found.priors, strict=True):
        assert len(z) == 3 and p.log_prob(z).shape == q.log_prob(z).shape == (3,)


@pytest.mark.parametrize("family", [family for family, config in CONFIGS.items() if not hasattr(config, "penalty")])
def test_log_weight_is_the_likelihood_and_the_ratios_of_what_is_inferred(family):
    model = _built(family)
    x, labels = _observed(model)
    found = model.infer(x, generator=_seeded(), **labels)
    layers = zip(found.draws, found.posteriors, found.priors, strict=True)
    log_ratio = sum(p.log_prob(z) - q.log_prob(z) for z, q, p in layers)
    log_weight = model.log_weight(x, generator=_seeded(), **labels)
    log_likelihood = model(x, generator=_seeded(), **labels).log_likelihood
    torch.testing.assert_close(log_weight, log_likelihood + log_ratio, rtol=1e-4, atol=1e-3)


@every_family
def test_posterior_means_have_no_noise(family):
    model = _built(family)
    x, labels = _observed(model)
    one, other = (model.infer(x, 0.0, generator=_seeded(seed), **labels).draws for seed in (1, 2))
    assert all(map(torch.equal, one, other))
    with pytest.raises(ValueError, match="posterior_temperature must be"):
        model.infer(x, -1.0, **labels)


@every_family
def test_decoded_draws_are_the_reconstruction_and_need_no_noise(family):
    model = _built(family)
    x, labels = _observed(model)
    draws = model.infer(x, generator=_seeded(), **labels).draws
    generator, before = _seeded(), torch.random.get_rng_state()
    decoded = model.decode(draws, generator=generator, **labels)
    assert torch.equal(generator.get_state(), _seeded().get_state())
    assert torch.equal(torch.random.get_rng_state(), before)
    reconstructed = model.reconstruct(x, generator=_seeded(), **labels)
    assert torch.equal(decoded.round().to(reconstructed.dtype), reconstructed)


@every_family
def test_impossible_draws_are_refused_by_name(family):
    model = _built(family)
    x, labels = _observed(model)
    draws = list(model.infer(x, generator=_seeded(), **labels).draws)
    for wrong, complaint in (
        ([*draws, draws[0]], f"draws must have at most {model.num_layers} items"),
        ([None] * model.num_layers, "draws must hold the latents of at least one layer"),
        ([draws[0].tolist()], r"draws\[0\] must be a tensor"),
        (
            [*draws[:-1], torch.cat([draws[-1]] * 2, dim=1)],
            rf"draws\[{model.num_layers - 1}\] must be \(batch, ",
        ),
    ):
        with pytest.raises(ValueError, match=complaint):
            model.decode(wrong, **labels)
    if model.num_layers > 1:
        with pytest.raises(ValueError, match="equally many examples in all layers, got 3 and 2"):
            model.decode([draws[0], draws[1][:2]])
        with pytest.raises(ValueError, match=f"one for each of the {model.num_layers} layers"):
            model.decode(draws[:1], temperature=[1.0] * (model.num_layers + 1))


# Partial draws


@every_hierarchy
def test_layers_that_are_not_given_are_drawn_as_in_a_sample(family):
    """With the draws of one descent from the prior given above, the same noise draws the same layers below."""
    model = _built(family)
    model.head.sample = lambda features, generator: model.head.mean(features).round().to(torch.uint8)
    walked: list[torch.Tensor] = []
    for layer in model.layers:
        layer.register_forward_hook(lambda _, __, output: walked.append(output[1].z))
    sampled = model.sample(3, 0.8, generator=_seeded())
    given = walked[:1]
    generator = _seeded()
    torch.randn(given[0].shape, generator=generator)  # what the top layer has used
    decoded = model.decode(given, temperature=0.8, generator=generator)
    assert torch.equal(decoded.round().to(torch.uint8), sampled)


@every_hierarchy
def test_given_latents_come_out_unchanged_whatever_their_layer(family):
    model = _built(family)
    x, _ = _observed(model)
    draws = model.infer(x, generator=_seeded()).draws
    for given in (0, model.num_layers // 2, model.num_layers - 1):
        walked = _walked(model, [z if index == given else None for index, z in enumerate(draws)])
        assert torch.equal(walked[given].z, draws[given])
        assert all(latent.posterior is None for latent in walked)


@every_hierarchy
def test_temperature_zero_draws_the_prior_means_below_given_latents(family):
    model = _built(family)
    x, _ = _observed(model)
    top = model.infer(x, generator=_seeded()).draws[0]
    for latent in _walked(model, [top], temperature=0.0)[1:]:
        assert torch.equal(latent.z, latent.prior.mean)


@pytest.mark.parametrize("family", ["digits-ladder", "digits-biva", "digits-attentive-plain", "vdvae in groups"])
def test_layers_below_given_ones_follow_their_prior(family):
    """2,000 decodings share the top latent: the second layer's draws have mean and spread of its one prior."""
    model, n = _built(family), 2000
    x, _ = _observed(model, 1)
    top = model.infer(x, generator=_seeded()).draws[0].expand(n, *[-1] * (model.infer(x).draws[0].ndim - 1))
    second = _walked(model, [top], temperature=[1.0, 0.5, *[1.0] * (model.num_layers - 2)])[1]
    mean, std = second.prior.mean[0], 0.5 * second.prior.log_std[0].exp()
    standardised = (second.z - mean) / std
    assert (standardised.mean(dim=0).abs() < 5 / math.sqrt(n)).all()
    assert ((standardised.std(dim=0) - 1).abs() < 5 / math.sqrt(2 * n)).all()


@torch.no_grad()
def _walked(model: Hierarchy, draws, **options) -> list:
    """What each layer draws while ``draws`` are decoded."""
    walked = []
    hooks = [layer.register_forward_hook(lambda _, __, output: walked.append(output[1])) for layer in model.layers]
    model.decode(draws, generator=_seeded(), **options)
    for hook in hooks:
        hook.remove()
    return walked


def test_single_tensor_is_the_latent_of_the_top_layer():
    model = _built("digits-ladder")
    x, _ = _observed(model)
    top = model.infer(x, generator=_seeded()).draws[0]
    one, other = (model.decode(given, generator=_seeded()) for given in (top, [top, None]))
    assert torch.equal(one, other)


def test_gradients_of_a_decoded_image_reach_every_latent():
    model = _built("digits-attentive-plain")
    x, _ = _observed(model)
    draws = [z.detach().requires_grad_() for z in model.infer(x, generator=_seeded()).draws]
    model.decode(draws).sum().backward()
    assert all(z.grad is not None and z.grad.any() for z in draws)


# Small models decoded by hand


def test_decoder_of_a_vae_by_hand():
    model = VAEConfig((1, 2, 2), latent_dim=2, hidden_sizes=(3,)).build().double()
    z = torch.tensor([[0.5, -1.0], [2.0, 0.3]], dtype=torch.float64)
    model.requires_grad_(False)
    (first,) = [layer for layer in model.decoder if hasattr(layer, "weight")]
    last = next(layer for layer in model.head.modules() if hasattr(layer, "weight"))
    expected = []
    for row in z:
        hidden = [max(0.0, float(w @ row + b)) for w, b in zip(first.weight, first.bias, strict=True)]
        logits = [
            sum(float(w) * h for w, h in zip(weights.flatten(), hidden, strict=True)) + float(b)
            for weights, b in zip(last.weight, last.bias, strict=True)
        ]
        expected.append([1 / (1 + math.exp(-logit)) for logit in logits])
    torch.testing.assert_close(model.decode(z).flatten(1), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("inference", ["ladder", "bottom_up"])
def test_decoder_of_a_ladder_sees_the_lowest_latents_alone(inference):
    model = LadderConfig(latent_dims=(3, 2), hidden_sizes=(8, 8), inference=inference).build().eval()
    top, lower = torch.randn(5, 2), torch.randn(5, 3)
    expected = model.head.mean(model.readout(lower))
    assert torch.equal(model.decode([top, lower]), expected)
    assert torch.equal(model.decode([None, lower]), expected)


def test_decoder_of_a_biva_by_hand():
    model = BIVAConfig(latent_dims=(3, 2), hidden_sizes=(8, 4)).build().eval()
    top, up, down = torch.randn(5, 2), torch.randn(5, 3), torch.randn(5, 3)
    stream = model.layers[1].network.network(top)
    expected = model.head.mean(model.readout.network(torch.cat([up, down, stream], dim=1)))
    torch.testing.assert_close(model.decode([top, up, down]), expected)


def test_conditional_decoder_reads_labels_or_their_columns():
    model = ConditionalVAEConfig(num_classes=3, latent_dim=2).build()
    z, labels = torch.randn(4, 2), torch.tensor([0, 2, 1, 1])
    beside = torch.cat([z, torch.eye(3)[labels]], dim=1)
    assert torch.equal(model.decode(z, labels=labels), model.decode(beside))
    with pytest.raises(ValueError, match="labels must be given"):
        model.decode(z)


def test_lower_codes_are_drawn_for_the_upper_ones_that_are_given():
    config = VQVAE2Config(channels=8, codes=4, code_dim=2, prior_channels=8, prior_layers=2)
    model = config.build().eval()
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    top = torch.randint(4, (3, *model.top_grid))
    lower = model.prior.sample_lower(top, model.grid, 1.0, _seeded())
    assert torch.equal(model.decode(top, generator=_seeded()), model.decode(top, lower))
    assert torch.equal(model.decode([top], temperature=[9.0, 1.0], generator=_seeded()), model.decode([top, lower]))
    with pytest.raises(ValueError, match=r"draws\[1\] must hold codes 0 … 3, got 4"):
        model.decode(top, torch.full_like(lower, 4))
    with pytest.raises(ValueError, match=r"draws\[0\] must be int64 codes"):
        model.decode([top.float()])


def test_greedy_decoding_ends_every_sentence():
    model = _built("sentences")
    sentences = model.decode([torch.randn(4, model.config.latent_dim)])
    assert sentences.shape == (4, 6) and ((sentences == END).sum(dim=1) == 1).all()
