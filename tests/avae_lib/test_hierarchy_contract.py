"""NVAE, NVAE with flows, the Ladder VAE, the plain stack and BIVA meet the contract, and their bounds are bounds."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from avae_lib.models.biva import BIVAConfig
from avae_lib.models.contract import LatentVariableModel
from avae_lib.models.hierarchy import Draw, Hierarchy
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.nvae import NVAEConfig

NVAE = NVAEConfig(groups=(1, 2), channels=4, latent_channels=2, mixtures=2)
LADDER = LadderConfig(
    bits=4, latent_dims=(4, 3, 2), hidden_sizes=(8, 8, 8), likelihood="discretized_logistic", mixtures=2
)
CONFIGS = {
    "nvae": NVAE,
    "nvae with flows": dataclasses.replace(NVAE, flows=1, flow_rescales=True, weight_norm=True),
    "ladder": LADDER,
    "plain stack": dataclasses.replace(LADDER, inference="bottom_up"),
    "biva": BIVAConfig(bits=4, latent_dims=(3, 2), hidden_sizes=(8, 8), likelihood="discretized_logistic", mixtures=2),
}
every_family = pytest.mark.parametrize("family", CONFIGS)


def _built(family: str, spread: float = 0.1, **fields) -> Hierarchy:
    """A model in evaluation mode whose weights are no longer at their initial values."""
    torch.manual_seed(0)
    model = dataclasses.replace(CONFIGS[family], **fields).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model.eval()


def _images(n: int = 5) -> torch.Tensor:
    return torch.randint(0, 16, (n, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


@every_family
class TestContract:
    def test_model_meets_it(self, family):
        model = _built(family)
        assert isinstance(model, LatentVariableModel)
        assert (model.num_layers, model.image_shape, model.bits, model.num_dims) == (3, (1, 8, 8), 4, 64)

    def test_elbo_has_one_row_for_each_image_and_one_column_for_each_layer(self, family):
        elbo = _built(family)(_images())
        assert elbo.log_likelihood.shape == (5,) and elbo.kl.shape == (5, 3)
        assert elbo.bound.isfinite().all() and not elbo.penalties

    def test_posterior_means_make_the_bound_deterministic(self, family):
        model = _built(family)
        assert torch.equal(*(model(_images(), posterior_temperature=0).bound for _ in range(2)))
        assert not torch.equal(*(model(_images()).bound for _ in range(2)))

    def test_kl_agrees_on_average_with_the_log_weights(self, family):
        model, x = _built(family), _images(1).expand(2000, 1, 8, 8)
        with torch.no_grad():
            bound, log_weights = model(x).bound, model.log_weight(x)
        standard_error = (bound.var() / 2000 + log_weights.var() / 2000).sqrt()
        assert abs(log_weights.mean() - bound.mean()) < 4 * standard_error

    def test_sampling_never_touches_the_encoder(self, family):
        model = _built(family)
        model.bottom_up = _Forbidden()
        for layer in model.layers:
            layer.posterior = layer.merge = _Forbidden()
        images = model.sample(4, temperature=0.8, generator=torch.Generator().manual_seed(0))
        assert images.shape == (4, 1, 8, 8) and images.dtype == torch.uint8 and images.max() < 16
        with pytest.raises(AssertionError, match="encoder"):
            model.reconstruct(_images())

    def test_temperature_of_a_layer_scales_the_noise_of_that_layer(self, family):
        model = _built(family)
        model.head.sample = lambda features, generator=None: features
        assert _different_rows(model.sample(6, temperature=0.0)) == 1
        assert _different_rows(model.sample(6, temperature=[0.0, 0.0, 0.5])) == 6

    def test_impossible_numbers_of_images_layers_and_temperatures_are_refused(self, family):
        model = _built(family)
        for n in (0, 2.5):
            with pytest.raises(ValueError, match="n must be a whole number"):
                model.sample(n)
        with pytest.raises(ValueError, match="keep_layers must be None or 0 … 3"):
            model.reconstruct(_images(), 1.5)
        with pytest.raises(ValueError, match="posterior_temperature must be"):
            model(_images(), posterior_temperature=-1.0)
        with pytest.raises(ValueError, match="3 layers"):
            model.sample(2, temperature=torch.ones(2))

    def test_weights_in_float64_give_the_same_bound_in_float64(self, family):
        model = _built(family)
        single = model(_images(), posterior_temperature=0).bound
        double = model.double()(_images(), posterior_temperature=0).bound
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
        for keep in (0, 1, 3):
            expected = [True] * keep + [False] * (3 - keep)
            assert _posteriors_used(model, lambda keep=keep: model.reconstruct(_images(2), keep)) == expected
            assert _posteriors_used(model, lambda keep=keep: model.log_weight(_images(2), keep)) == expected

    def test_latents_are_the_posteriors_top_first(self, family):
        model = _built(family)
        posteriors = model.latents(_images())
        layers = [model.layers[0](model.top(5), None, Draw())[1].prior.mean.shape]
        assert len(posteriors) == 3 and posteriors[0].mean.shape == layers[0]
        for posterior in posteriors:
            assert posterior.sample().shape == posterior.mean.shape
            assert posterior.log_prob(posterior.mean).shape == (5,)

    def test_gradient_reaches_every_parameter(self, family):
        model = _built(family).train()
        model(_images(16)).bound.mean().backward()
        without = {name for name, parameter in model.named_parameters() if not parameter.grad.any()}
        # Batch norm takes off whatever bias the linear layer before it adds.
        assert all(name.endswith("bias") for name in without)

    def test_wrong_pixels_are_refused(self, family):
        with pytest.raises(TypeError, match="uint8"):
            _built(family)(_images().float())


class _Forbidden(nn.Module):
    def forward(self, *inputs):
        raise AssertionError("the encoder was touched")


def _different_rows(features: torch.Tensor) -> int:
    return len(features.flatten(start_dim=1).round(decimals=4).unique(dim=0))


def _posteriors_used(model: Hierarchy, action) -> list[bool]:
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


@every_family
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
