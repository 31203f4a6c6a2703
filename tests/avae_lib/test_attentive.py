"""The attentive VAE as published and as corrected: sizes, twins, oddities, presets."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.contract import LatentVariableModel
from avae_lib.models.hierarchy import Draw, Hierarchy
from avae_lib.nn.depthwise_attention import AttentiveConditioning, TrainedScale
from avae_lib.presets import find_preset, summary
from avae_lib.training.experiment import from_json, to_json

SMALL = AttentiveConfig(
    image_shape=(3, 4, 4),
    bits=8,
    layers=3,
    width=6,
    latent_channels=2,
    key_channels=2,
    blocks=1,
    padding=2,
    cell_key_channels=2,
    likelihood="discretized_logistic_mixture",
    mixtures=2,
)
FAITHFUL = dataclasses.replace(SMALL, faithful=True)
PUBLISHED_COUNTS = {
    "cifar10-attentive-16": 118_966_391,
    "cifar10-nvae-like-16": 79_206_420,
    "omniglot-attentive-15": 7_873_683,
}


def _built(config: AttentiveConfig, spread: float = 0.1) -> Hierarchy:
    torch.manual_seed(0)
    model = config.build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


def _images(n: int = 4, shape: tuple[int, ...] = (3, 4, 4), levels: int = 256) -> torch.Tensor:
    return torch.randint(0, levels, (n, *shape), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


class TestParameterCounts:
    @pytest.mark.parametrize("faithful", [False, True])
    @pytest.mark.parametrize("name", PUBLISHED_COUNTS)
    def test_they_are_the_published_ones(self, name, faithful):
        with torch.device("meta"):
            model = dataclasses.replace(find_preset(name).model, faithful=faithful).build()
        assert model.parameters_as_published == PUBLISHED_COUNTS[name]

    @pytest.mark.parametrize("name", PUBLISHED_COUNTS)
    def test_the_list_of_presets_shows_them(self, name):
        assert summary(find_preset(name)).to_json()["parameters_as_published"] == PUBLISHED_COUNTS[name]

    def test_models_without_such_a_convention_show_none(self):
        assert "parameters_as_published" not in summary(find_preset("digits-vae")).to_json()

    def test_scales_and_joint_norms_are_all_that_is_left_out(self):
        ours, published = _built(SMALL), _built(FAITHFUL)
        not_counted = [_numbers(model) - model.parameters_as_published for model in (ours, published)]
        scales = 2 * SMALL.layers - 1
        joint_norm = 2 * (SMALL.width + 2 * SMALL.key_channels)  # of the first context, by the third layer
        assert not_counted == [scales, joint_norm]


def _numbers(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


class TestResidualPosterior:
    def test_without_a_residual_every_inner_layer_costs_nothing(self):
        model = _built(SMALL)
        _silence_residuals(model)
        kl = model(_images()).kl
        assert (kl[:, 0] > 0).all() and not kl[:, 1:].any()

    def test_in_the_published_model_it_costs_where_the_bounds_differ(self):
        config = dataclasses.replace(FAITHFUL, prior_log_std_range=(-1.0, 5.0))
        model = _built(config)
        _silence_residuals(model)
        for layer in model.layers[1:]:
            _silence(layer.prior[-1])
        latents = SMALL.latent_channels * 4 * 4
        torch.testing.assert_close(model(_images()).kl[:, 1:], torch.full((4, 2), 0.449 * latents), rtol=2e-3, atol=0)


def _silence_residuals(model: Hierarchy) -> None:
    for layer in model.layers[1:]:
        _silence(layer.posterior)


def _silence(convolution: nn.Module) -> None:
    nn.init.constant_(convolution.log_gain, -math.inf)
    nn.init.zeros_(convolution.bias)


class TestSoftplus:
    CONFIG = dataclasses.replace(SMALL, standard_deviation="softplus")

    def test_without_a_residual_every_inner_layer_costs_nothing(self):
        model = _built(self.CONFIG)
        _silence_residuals(model)
        kl = model(_images()).kl
        assert (kl[:, 0] > 0).all() and not kl[:, 1:].any()

    @pytest.mark.parametrize("plain", [False, True])
    def test_it_changes_the_bound_and_no_weights(self, plain):
        form = {"normalise_contexts": not plain, "normalise_evidence": not plain}
        usual, softplus = (_built(dataclasses.replace(config, **form)) for config in (SMALL, self.CONFIG))
        assert {name: t.shape for name, t in usual.state_dict().items()} == {
            name: t.shape for name, t in softplus.state_dict().items()
        }
        assert not torch.allclose(*(m(_images(), 0).bound for m in (usual, softplus)))

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"faithful": True}, "standard_deviation must be exponential with faithful"),
            (
                {"prior_log_std_range": (-1.0, 5.0)},
                "prior_log_std_range = .* has no effect with standard_deviation soft",
            ),
            ({"standard_deviation": "relu"}, "standard_deviation must be exponential or softplus, got 'relu'"),
        ],
    )
    def test_what_it_cannot_be_combined_with_is_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(self.CONFIG, **fields)

    def test_configurations_stored_before_the_field_are_read_as_before(self):
        stored = to_json(SMALL)
        del stored["standard_deviation"]
        assert from_json(stored) == SMALL


class TestOneFieldForAllOddities:
    def test_scales_are_trained_or_one(self):
        assert not [module for module in _built(FAITHFUL).modules() if isinstance(module, TrainedScale)]
        scales = [module() for module in SMALL.build().modules() if isinstance(module, TrainedScale)]
        assert [scale.item() for scale in scales] == pytest.approx([SMALL.key_channels**-0.5] * 5)

    def test_only_the_default_gives_all_colours_together_a_probability_of_one(self):
        for config, low, high in ((SMALL, 1 - 1e-4, 1 + 1e-4), (FAITHFUL, 1.2, 1.6)):
            config = dataclasses.replace(config, image_shape=(1, 1, 1), padding=0, halvings=0, mixtures=1)
            head = config.build().head
            with torch.no_grad():
                features = torch.zeros(256, config.context_channels, 1, 1)
                _silence(head.projection[1])
                head.projection[1].bias.copy_(torch.tensor([0.0, 0.99, -3.0]))
                total = (
                    head.log_likelihood(features, torch.arange(256).to(torch.uint8).reshape(256, 1, 1, 1)).exp().sum()
                )
            assert low < total < high

    def test_local_models_differ_as_well(self):
        local = [dataclasses.replace(config, conditioning="local") for config in (SMALL, FAITHFUL)]
        ours, published = (_built(config)(_images(), posterior_temperature=0) for config in local)
        assert not torch.allclose(ours.kl, published.kl)


@pytest.mark.parametrize("config", [SMALL, FAITHFUL], ids=["default", "faithful"])
class TestBothVariants:
    def test_they_meet_the_contract(self, config):
        model = _built(config)
        assert isinstance(model, LatentVariableModel)
        assert model(_images()).kl.shape == (4, 3)
        assert model.log_weight(_images()).shape == model.log_weight(_images(), keep_layers=1).shape == (4,)
        assert (
            model.reconstruct(_images(), keep_layers=2).shape == model.sample(4, temperature=0.7).shape == (4, 3, 4, 4)
        )

    def test_gradient_reaches_every_parameter(self, config):
        model = _built(config)
        model(_images(8)).bound.mean().backward()
        without = {name for name, parameter in model.named_parameters() if not parameter.grad.any()}
        # Over a single context a softmax is 1 at any scale, and whatever its key.
        assert without <= {"layers.1.context_conditioning.scale.value"}

    def test_sampling_never_touches_the_encoder(self, config):
        model = _built(config)
        model.bottom_up = nn.ModuleDict()
        for layer in model.layers:
            layer.posterior = layer.evidence_conditioning = nn.ModuleDict()
        for layer in model.layers[1:]:
            layer.merge = nn.ModuleDict()
        assert model.sample(2).shape == (2, 3, 4, 4)

    def test_a_fresh_model_looks_at_no_other_layer(self, config):
        model = _built(config, spread=0.0)
        before = model(_images(), posterior_temperature=0)
        for module in model.modules():
            if isinstance(module, AttentiveConditioning):
                module.norm_of_found = _Noise()
        after = model(_images(), posterior_temperature=0)
        assert torch.equal(before.log_likelihood, after.log_likelihood) and torch.equal(before.kl, after.kl)

    def test_bounds_are_float32_where_networks_are_bfloat16(self, config):
        model = _built(config)
        with torch.autocast("cpu", torch.bfloat16):
            elbo = model(_images(), posterior_temperature=0)
            samples = model.sample(2)
        assert elbo.log_likelihood.dtype == elbo.kl.dtype == torch.float32
        exact = model(_images(), posterior_temperature=0)
        torch.testing.assert_close(elbo.bound, exact.bound, rtol=0.05, atol=0.0)
        assert samples.dtype == torch.uint8


class _Noise(nn.Module):
    def forward(self, x):
        return torch.randn_like(x)


def test_the_border_of_a_padded_image_is_black_and_is_cut_off_again():
    config = dataclasses.replace(SMALL, image_shape=(1, 4, 4), bits=1, likelihood="bernoulli", mixtures=3)
    model, seen = _built(config), []
    model.bottom_up.stem[2].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    x = _images(2, (1, 4, 4), levels=2)
    assert model.sample(2).shape == x.shape and model(x).bound.isfinite().all()
    inner = seen[0][:, :, 2:-2, 2:-2]
    assert torch.equal(inner, 2 * x.float() - 1)
    assert seen[0].sum() == inner.sum() - (8 * 8 - 4 * 4) * 2


def test_the_prior_of_the_top_layer_is_standard_normal():
    top_draw = _built(SMALL).layers[0](_built(SMALL).top(2), None, Draw(temperature=0.0))[1]
    assert not top_draw.prior.mean.any() and not top_draw.prior.log_std.any()


@pytest.mark.parametrize("name", PUBLISHED_COUNTS)
def test_large_presets_take_the_images_of_their_data_set(name):
    shapes = {"cifar10": (3, 32, 32), "omniglot": (1, 28, 28)}
    preset = find_preset(name)
    with torch.device("meta"):
        model = preset.model.build()
        images = torch.empty(2, *shapes[preset.data.name], dtype=torch.uint8)
        features, latents = model._infer(images)
        log_likelihood = model.head.log_likelihood(features, images)
    assert log_likelihood.shape == (2,)
    assert [latent.posterior.mean.shape for latent in latents] == [(2, 20, 16, 16)] * int(name.rsplit("-", 1)[1])


def test_data_sets_of_one_kind_share_a_model():
    assert find_preset("imagenet32-attentive-16").model == find_preset("cifar10-attentive-16").model
    assert find_preset("mnist-attentive-15").model == find_preset("omniglot-attentive-15").model


def test_the_local_photos_preset_differs_from_the_attentive_one_in_one_field():
    attentive_model, local_model = find_preset("photos32-attentive").model, find_preset("photos32-local").model
    assert dataclasses.replace(attentive_model, conditioning="local") == local_model
