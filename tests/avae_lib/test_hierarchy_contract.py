"""Every family of hierarchies meets the contract of models, and bounds are bounds."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.biva import BIVAConfig
from avae_lib.models.contract import LatentVariableModel
from avae_lib.models.hierarchy import Draw, Hierarchy
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.nvae import NVAEConfig
from avae_lib.models.vdvae import VDVAEConfig

NVAE = NVAEConfig(groups=(1, 2), channels=4, latent_channels=2, mixtures=2)
LADDER = LadderConfig(
    bits=4, latent_dims=(4, 3, 2), hidden_sizes=(8, 8, 8), likelihood="discretized_logistic", mixtures=2
)
ATTENTIVE = AttentiveConfig(layers=3, width=8, latent_channels=2, key_channels=4, blocks=1, mixtures=2)
VDVAE = VDVAEConfig(
    image_shape=(3, 8, 8),
    enc_blocks="8x1,8d4,2x1,2d2,1x1",
    dec_blocks="1x2,2m1,8m2,8x2",
    width=8,
    bottleneck_multiple=0.5,
    latent_channels=2,
    mixtures=2,
)
CONFIGS = {
    "attentive": ATTENTIVE,
    "local": dataclasses.replace(ATTENTIVE, conditioning="local"),
    "vdvae": VDVAE,
    "vdvae from zeros": dataclasses.replace(VDVAE, no_bias_above=0),
    "vdvae of other widths": dataclasses.replace(VDVAE, custom_width_str="1:12,2:6"),
    "vdvae learning to upsample": dataclasses.replace(VDVAE, upsampling="learned"),
    "vdvae in groups": dataclasses.replace(VDVAE, group_size=4, upsampling="learned"),
    "nvae": NVAE,
    "nvae with flows": dataclasses.replace(NVAE, flows=1, flow_rescales=True, weight_norm=True),
    "ladder": LADDER,
    "plain stack": dataclasses.replace(LADDER, inference="bottom_up"),
    "biva": BIVAConfig(bits=4, latent_dims=(3, 2), hidden_sizes=(8, 8), likelihood="discretized_logistic", mixtures=2),
}
every_family = pytest.mark.parametrize("family", CONFIGS)

WITHOUT_GRADIENT = {
    # The second layer has one context above it: over one entry a softmax is 1 at any scale.
    "attentive": {"layers.1.context_conditioning.scale.value"},
    "vdvae from zeros": {"layers.0.prior.convolutions.0.weight"},  # what it sees are the zeros
}
DRAWS_ON_THE_WAY_UP = ("plain stack", "biva")  # the lower latents are drawn before the higher ones
KL_OF_A_DRAW = ("nvae with flows", *DRAWS_ON_THE_WAY_UP)  # known by the log-ratio alone, positive on average


def _built(family: str, spread: float = 0.1, **fields) -> Hierarchy:
    """A model in evaluation mode whose weights are no longer at their initial values."""
    torch.manual_seed(0)
    model = dataclasses.replace(CONFIGS[family], **fields).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model.eval()


def _images(model: Hierarchy, n: int = 5) -> torch.Tensor:
    levels = torch.randint(0, 2**model.bits, (n, *model.image_shape), generator=torch.Generator().manual_seed(1))
    return levels.to(torch.uint8)


@every_family
class TestContract:
    def test_model_meets_it(self, family):
        model = _built(family)
        assert isinstance(model, LatentVariableModel)
        expected = (6, (3, 8, 8), 8, 192) if family.startswith("vdvae") else (3, (1, 8, 8), 4, 64)
        assert (model.num_layers, model.image_shape, model.bits, model.num_dims) == expected

    def test_elbo_has_one_row_for_each_image_and_one_column_for_each_layer(self, family):
        model = _built(family)
        elbo = model(_images(model))
        assert elbo.log_likelihood.shape == (5,) and elbo.kl.shape == (5, model.num_layers)
        assert elbo.bound.isfinite().all() and not elbo.penalties

    def test_kl_of_every_layer_is_positive(self, family):
        model = _built(family)
        kl = model(_images(model, 100)).kl
        assert (kl.mean(dim=0) > 0).all() if family in KL_OF_A_DRAW else (kl > 0).all()

    def test_posterior_means_make_the_bound_deterministic(self, family):
        model = _built(family)
        x = _images(model)
        assert torch.equal(*(model(x, posterior_temperature=0).bound for _ in range(2)))
        assert not torch.equal(*(model(x).bound for _ in range(2)))

    def test_kl_agrees_on_average_with_the_log_weights(self, family):
        model = _built(family)
        x = _images(model, 1).expand(4000, *model.image_shape)
        with torch.no_grad():
            bound, log_weights = model(x).bound, model.log_weight(x)
        standard_error = (bound.var() / 4000 + log_weights.var() / 4000).sqrt()
        assert abs(log_weights.mean() - bound.mean()) < 4 * standard_error

    @pytest.mark.parametrize("rising", [False, True])
    def test_sampling_never_touches_the_encoder(self, family, rising):
        model = _built(family)
        model.bottom_up = _Forbidden()
        for layer in model.layers:
            layer.posterior = layer.merge = layer.evidence_conditioning = _Forbidden()
        temperature = [0.1 * index for index in range(model.num_layers)] if rising else 0.8
        images = model.sample(4, temperature=temperature, generator=torch.Generator().manual_seed(0))
        assert images.shape == (4, *model.image_shape) and images.dtype == torch.uint8
        assert int(images.max()) < 2**model.bits
        with pytest.raises(AssertionError, match="encoder"):
            model.reconstruct(_images(model))

    @pytest.mark.usefixtures("without_annotation_checks")  # the head returns features
    def test_temperature_of_a_layer_scales_the_noise_of_that_layer(self, family):
        model = _built(family)
        model.head.sample = lambda features, generator=None: features
        assert _different_rows(model.sample(6, temperature=0.0)) == 1
        assert _different_rows(model.sample(6, temperature=[*[0.0] * (model.num_layers - 1), 0.5])) == 6
        calm, wild = (model.sample(500, temperature=t).std(dim=0).mean() for t in (0.5, 1.0))
        assert calm < wild

    def test_impossible_numbers_of_images_layers_and_temperatures_are_refused(self, family):
        model = _built(family)
        for n in (0, 2.5):
            with pytest.raises(ValueError, match="n must be a whole number"):
                model.sample(n)
        with pytest.raises(ValueError, match=f"keep_layers must be None or 0 … {model.num_layers}"):
            model.reconstruct(_images(model), 1.5)
        with pytest.raises(ValueError, match="posterior_temperature must be"):
            model(_images(model), posterior_temperature=-1.0)
        with pytest.raises(ValueError, match=f"{model.num_layers} layers"):
            model.sample(2, temperature=torch.ones(2))

    def test_weights_in_float64_give_the_same_bound_in_float64(self, family):
        model = _built(family)
        x = _images(model)
        single = model(x, posterior_temperature=0).bound
        double = model.double()(x, posterior_temperature=0).bound
        assert double.dtype == torch.float64
        torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-3)

    def test_impossible_images_are_refused_when_the_model_is_described(self, family):
        for fields, complaint in (
            ({"bits": 9}, "bits must be 1 to 8"),
            ({"bits": 0}, "bits must be 1 to 8"),
            ({"image_shape": (8, 8)}, "image_shape must be channels, height and width"),
            ({"image_shape": (1, 8, 0)}, "image_shape must be channels, height and width"),
            ({"mixtures": 0}, "mixtures must be at least 1"),
        ):
            with pytest.raises(ValueError, match=complaint):
                dataclasses.replace(CONFIGS[family], **fields)

    def test_same_generator_same_images(self, family):
        model = _built(family)
        assert torch.equal(*(model.sample(4, generator=torch.Generator().manual_seed(9)) for _ in range(2)))

    def test_kept_layers_and_no_others_are_drawn_from_the_posterior(self, family):
        model = _built(family)
        x, layers = _images(model, 2), model.num_layers
        for keep in (*range(layers + 1), None):
            expected = [index < (layers if keep is None else keep) for index in range(layers)]
            assert _posteriors_used(model, lambda keep=keep: model.reconstruct(x, keep)) == expected
            assert _posteriors_used(model, lambda keep=keep: model.log_weight(x, keep)) == expected

    def test_latents_are_the_posteriors_top_first(self, family):
        model = _built(family)
        posteriors = model.latents(_images(model))
        _, top = model.layers[0](model.top(5), None, Draw())
        assert len(posteriors) == model.num_layers and posteriors[0].mean.shape == top.prior.mean.shape
        for posterior in posteriors:
            assert posterior.sample().shape == posterior.mean.shape
            assert posterior.log_prob(posterior.mean).shape == (5,)

    def test_gradient_reaches_every_parameter_in_training(self, family):
        model = _built(family).train()
        model(_images(model, 16)).bound.mean().backward()
        without = {name for name, parameter in model.named_parameters() if not parameter.grad.any()}
        # Batch norm takes off whatever bias the linear layer before it adds.
        assert all(name.endswith("bias") for name in without - WITHOUT_GRADIENT.get(family, set()))

    def test_wrong_pixels_are_refused(self, family):
        model = _built(family)
        with pytest.raises(TypeError, match="uint8"):
            model(_images(model).float())

    def test_model_can_be_counted_without_memory(self, family):
        with torch.device("meta"):
            model = CONFIGS[family].build()
        count = sum(parameter.numel() for parameter in model.parameters())
        assert count == sum(parameter.numel() for parameter in _built(family).parameters())


@pytest.mark.parametrize("family", [family for family in CONFIGS if not family.startswith("nvae")])
def test_gradient_reaches_every_parameter_in_evaluation(family):
    """Where a gate of the small NVAEs is closed for all images, nothing comes through."""
    model = _built(family)
    model(_images(model, 16)).bound.mean().backward()
    without = {name for name, parameter in model.named_parameters() if not parameter.grad.any()}
    assert without == WITHOUT_GRADIENT.get(family, set())


@pytest.mark.parametrize("family", [family for family in CONFIGS if family not in DRAWS_ON_THE_WAY_UP])
def test_reconstruction_that_keeps_no_layer_is_the_mean_of_a_sample(family):
    model = _built(family)
    model.head.sample = lambda features, generator: model.head.mean(features).round().to(torch.uint8)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        sampled = model.sample(5)
        torch.manual_seed(3)
        reconstructed = model.reconstruct(_images(model), keep_layers=0)
    assert torch.equal(sampled, reconstructed)


@pytest.mark.parametrize("family", [family for family in CONFIGS if family not in KL_OF_A_DRAW])
def test_kl_of_the_top_layer_is_that_of_its_posterior_to_its_prior(family):
    model = _built(family)
    x = _images(model)
    _, top = model.layers[0](model.top(5), None, Draw())
    torch.testing.assert_close(model.latents(x)[0].kl(top.prior), model(x).kl[:, 0])


class _Forbidden(nn.Module):
    def forward(self, *inputs):
        raise AssertionError("the encoder was touched")


def _different_rows(features: torch.Tensor) -> int:
    return len(features.flatten(start_dim=1).round(decimals=4).unique(dim=0))


def _posteriors_used(model: Hierarchy, action) -> list[bool]:
    """For each layer, whether ``action`` drew it from a posterior."""
    used = []
    hooks = [
        layer.register_forward_hook(lambda _, __, output: used.append(output[1].posterior is not None))
        for layer in model.layers
    ]
    action()
    for hook in hooks:
        hook.remove()
    return used


PIXEL = {
    "nvae": {"groups": (2,), "latent_channels": 1, "halvings": 0, "spread": 0.3},
    "nvae with flows": {"groups": (1,), "latent_channels": 2, "halvings": 0, "spread": 0.3},
    "ladder": {"latent_dims": (1, 1), "hidden_sizes": (8, 8)},
    "plain stack": {"latent_dims": (1, 1), "hidden_sizes": (8, 8)},
    "biva": {"latent_dims": (1, 1), "hidden_sizes": (8, 8)},
}
"""Few latent numbers and one pixel; weights stirred until priors aren't normal, but have their mass on the grid."""


@pytest.mark.parametrize("family", PIXEL)
@pytest.mark.usefixtures("without_annotation_checks")  # a function stands for the draws
class TestBoundAgainstQuadrature:
    """Few latent numbers and one pixel of 16 levels: p(x) is a sum over a grid, and no posterior is needed."""

    @pytest.fixture
    def model(self, family):
        return _built(family, image_shape=(1, 1, 1), **PIXEL[family])

    @pytest.fixture
    def log_evidence(self, model):
        numbers = sum(posterior.mean[0].numel() for posterior in model.latents(_all_levels()))
        line = torch.linspace(-7, 7, {2: 141, 3: 57}[numbers])
        with torch.no_grad():
            log_joint = _log_joint(model, torch.cartesian_prod(*[line] * numbers))
        return torch.logsumexp(log_joint.double(), dim=1) + numbers * math.log(line[1] - line[0])

    def test_probabilities_of_all_images_sum_to_one(self, log_evidence):
        assert log_evidence.exp().sum().item() == pytest.approx(1, abs=1e-3)

    def test_bound_never_exceeds_the_exact_log_likelihood(self, model, log_evidence):
        with torch.no_grad():
            bounds = model(_all_levels().repeat(500, 1, 1, 1)).bound.reshape(500, 16)
        margin = 4 * bounds.std(dim=0) / math.sqrt(len(bounds))
        assert (bounds.mean(dim=0) <= log_evidence + margin).all()

    @pytest.mark.parametrize("keep_layers", [1, None])
    def test_importance_weights_average_to_the_exact_likelihood(self, model, log_evidence, keep_layers):
        with torch.no_grad():
            log_weights = model.log_weight(_all_levels().repeat(3000, 1, 1, 1), keep_layers).reshape(3000, 16)
        ratios = (log_weights - log_evidence).exp()
        error = ratios.std(dim=0) / math.sqrt(len(ratios))
        assert (error < 0.3).all()
        assert ((ratios.mean(dim=0) - 1).abs() < 5 * error).all()


def _log_joint(model: Hierarchy, grid: torch.Tensor) -> torch.Tensor:
    """log p(x, z) of all 16 levels at all points of a grid over the latent numbers."""
    left, handed_down, log_prior = grid, model.top(len(grid)), 0.0

    def next_numbers(distribution):
        nonlocal left
        numbers = distribution.mean[0].numel()
        z, left = left[:, :numbers], left[:, numbers:]
        return z.reshape(distribution.mean.shape)

    for layer in model.layers:
        handed_down, drawn = layer(handed_down, None, next_numbers)
        log_prior = log_prior + drawn.prior.log_prob(drawn.z)
    features = model.readout(handed_down)
    log_likelihood = [model.head.log_likelihood(features, x.expand(len(grid), 1, 1, 1)) for x in _all_levels()]
    return torch.stack(log_likelihood) + log_prior


def _all_levels() -> torch.Tensor:
    return torch.arange(16, dtype=torch.uint8).reshape(16, 1, 1, 1)
