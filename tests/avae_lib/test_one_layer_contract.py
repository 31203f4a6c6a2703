"""Every one-layer model of images meets the contract, and what it calls a bound or a weight is one.

Two latents and four binary pixels: p(x) of all 16 images is a sum over a grid of latents, and no posterior is needed.
"""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from avae_lib.models.beta_tcvae import BetaTCVAEConfig
from avae_lib.models.beta_vae import BetaVAEConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.contract import LatentVariableModel, NoDensity, label_arguments, reason_for_no_density
from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.models.inverse_lipschitz_vae import InverseLipschitzVAEConfig
from avae_lib.models.iwae import IWAEConfig
from avae_lib.models.vae import VAE, VAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig
from avae_lib.models.wasserstein_ae import WassersteinAEConfig
from avae_lib.training.experiment import from_json, to_json

SIZES = {"image_shape": (1, 2, 2), "latent_dim": 2, "hidden_sizes": (8,)}
CONFIGS = {
    "vae": VAEConfig(**SIZES),
    "iwae": IWAEConfig(**SIZES),
    "beta-vae": BetaVAEConfig(**SIZES),
    "beta-tcvae": BetaTCVAEConfig(**SIZES, dataset_size=16),
    "beta-tcvae stratified": BetaTCVAEConfig(**SIZES, dataset_size=16, estimator="stratified"),
    "info-vae": InfoVAEConfig(**SIZES),
    "wae": WassersteinAEConfig(**SIZES),
    "sliced wae": WassersteinAEConfig(**SIZES, penalty="sliced_wasserstein"),
    "conditional": ConditionalVAEConfig(**SIZES, num_classes=3),
    "vampprior": VampPriorVAEConfig(**SIZES, pseudo_inputs=3),
    "planar": FlowVAEConfig(**SIZES, flow="planar", flow_steps=3),
    "iaf": FlowVAEConfig(**SIZES, flow="inverse_autoregressive", flow_steps=2, flow_width=6, context_dim=3),
    "inverse lipschitz": InverseLipschitzVAEConfig(**SIZES, convex_units=4),
}
WITHOUT_DENSITY = ("wae", "sliced wae")
WITH_DENSITY = [family for family in CONFIGS if family not in WITHOUT_DENSITY]
KL_OF_A_DRAW = ("vampprior", "planar", "iaf")
every_family = pytest.mark.parametrize("family", CONFIGS)


def _built(family: str, spread: float = 0.4, **fields) -> VAE:
    """A model in evaluation mode whose weights are no longer at their initial values."""
    torch.manual_seed(2)
    model = dataclasses.replace(CONFIGS[family], **fields).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
        model.encoder[-1].weight.mul_(0.3)
        model.encoder[-1].bias[2:4] = 0.4  # posteriors wide enough that weights have a small variance
    return model.eval()


def _all_images() -> torch.Tensor:
    return torch.tensor([[int(bit) for bit in f"{i:04b}"] for i in range(16)], dtype=torch.uint8).reshape(16, 1, 2, 2)


def _labels(model: VAE, n: int, label: int = 1) -> dict[str, torch.Tensor]:
    return label_arguments(model, torch.full((n,), label))


@torch.no_grad()
def _draws(model: VAE, quantity, n: int) -> torch.Tensor:
    """``n`` independent values of a quantity of all 16 images, (n, 16). 50 at a time: some penalties compare pairs."""
    x = _all_images().repeat(50, 1, 1, 1)
    labels = _labels(model, len(x))
    return torch.cat([quantity(x, **labels).reshape(50, 16) for _ in range(n // 50)])


@torch.no_grad()
def _log_evidence(model: VAE, label: int = 1) -> torch.Tensor:
    """log p(x) of all 16 images, by a sum over a grid of latents."""
    line = torch.linspace(-8, 8, 161)
    grid = torch.cartesian_prod(line, line)
    if _labels(model, 1):
        labels = torch.full((len(grid),), label)
        log_prior, seen = model.prior(labels).log_prob(grid), model._beside_label(grid, labels)
    else:
        log_prior, seen = model.log_prior(grid), grid
    log_likelihood = [model.log_likelihood(x.expand(len(grid), 1, 2, 2), seen) for x in _all_images()]
    return (torch.stack(log_likelihood) + log_prior).double().logsumexp(dim=1) + 2 * math.log(line[1] - line[0])


@every_family
class TestContract:
    def test_shapes_and_types(self, family):
        model, x = _built(family), _all_images()
        labels = _labels(model, 16)
        assert isinstance(model, LatentVariableModel)
        assert (model.num_layers, model.image_shape, model.bits, model.num_dims) == (1, (1, 2, 2), 1, 4)
        elbo = model(x, **labels)
        assert elbo.log_likelihood.shape == (16,) and elbo.kl.shape == (16, 1) and elbo.bound.isfinite().all()
        assert all(penalty.shape in ((), (16,)) and penalty.isfinite().all() for penalty in elbo.penalties.values())
        reconstructed = [model.reconstruct(x, keep_layers, **labels) for keep_layers in (None, 0, 1)]
        for images in (model.sample(16), model.sample(16, temperature=[0.5]), *reconstructed):
            assert images.shape == x.shape and images.dtype == torch.uint8 and images.max() <= 1
        (posterior,) = model.latents(x, **labels)
        assert posterior.mean.shape == posterior.sample().shape == (16, 2)

    def test_posterior_means_make_the_bound_deterministic(self, family):
        model, x = _built(family), _all_images()
        labels = _labels(model, 16)
        assert torch.equal(*(model(x, posterior_temperature=0.0, **labels).bound for _ in range(2)))
        if family not in WITHOUT_DENSITY:
            assert not torch.equal(*(model(x, **labels).bound for _ in range(2)))

    def test_sampling_repeats_with_its_generator_and_touches_no_image(self, family):
        model = _built(family)
        if family != "vampprior":  # its prior is made by the encoder
            model.encoder = None
        assert torch.equal(*(model.sample(9, generator=torch.Generator().manual_seed(5)) for _ in range(2)))

    def test_keeping_no_layer_ignores_the_images(self, family):
        model, x = _built(family), _all_images()
        labels, images = _labels(model, 16), []
        for seen in (x, x.flip(0)):
            torch.manual_seed(1)
            images.append(model.reconstruct(seen, keep_layers=0, **labels))
        assert torch.equal(*images)

    def test_gradient_of_the_objective_reaches_every_parameter(self, family):
        model = _built(family).train()
        elbo = model(_all_images(), **_labels(model, 16))
        (sum(penalty.mean() for penalty in elbo.penalties.values()) - elbo.bound.mean()).backward()
        assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []

    def test_training_and_evaluation_report_the_same_penalties(self, family):
        model, x = _built(family), _all_images()
        labels = _labels(model, 16)
        expected = {"importance_weighting"} if family == "iwae" else set(model(x, **labels).penalties)
        assert set(model.train()(x, **labels).penalties) == expected

    def test_weights_in_float64_give_the_same_bound_in_float64(self, family):
        model, x = _built(family), _all_images()
        single = model(x, 0.0, **_labels(model, 16))
        double = model.double()(x, 0.0, **_labels(model, 16))
        assert double.bound.dtype == torch.float64
        assert all(penalty.dtype == torch.float64 for penalty in double.penalties.values())
        torch.testing.assert_close(single.bound.double(), double.bound, rtol=1e-4, atol=1e-4)

    def test_bound_is_float32_where_the_network_computes_in_half_precision(self, family):
        model, x = _built(family), _all_images()
        with torch.autocast("cpu", torch.bfloat16):
            elbo = model(x, 0.0, **_labels(model, 16))
        assert elbo.log_likelihood.dtype == elbo.kl.dtype == torch.float32
        torch.testing.assert_close(elbo.bound, model(x, 0.0, **_labels(model, 16)).bound, rtol=0.1, atol=0.2)

    def test_impossible_requests_are_refused(self, family):
        model, x = _built(family), _all_images()
        labels = _labels(model, 16)
        with pytest.raises(TypeError, match="uint8"):
            model(x.float(), **labels)
        with pytest.raises(ValueError, match="posterior_temperature must be"):
            model(x, posterior_temperature=-1.0, **labels)
        with pytest.raises(ValueError, match="keep_layers must be 0, 1 or None"):
            model.reconstruct(x, 2, **labels)
        with pytest.raises(ValueError, match="n must be a whole number"):
            model.sample(0)

    def test_impossible_configurations_are_refused(self, family):
        for fields, complaint in (
            ({"bits": 9}, "bits must be 1 to 8"),
            ({"latent_dim": 0}, "latent_dim must be at least 1"),
            ({"hidden_sizes": ()}, "hidden_sizes must be one or more sizes"),
        ):
            with pytest.raises(ValueError, match=complaint):
                dataclasses.replace(CONFIGS[family], **fields)

    def test_configuration_survives_its_json(self, family):
        assert from_json(to_json(CONFIGS[family])) == CONFIGS[family]

    def test_model_can_be_counted_without_memory(self, family):
        with torch.device("meta"):
            model = CONFIGS[family].build()
        assert _count(model) == _count(_built(family))


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("family", WITH_DENSITY)
class TestDensity:
    def test_probabilities_of_all_images_sum_to_one(self, family):
        assert _log_evidence(_built(family)).exp().sum().item() == pytest.approx(1, abs=1e-4)

    def test_bound_never_exceeds_the_exact_log_likelihood(self, family):
        model = _built(family)
        bounds = _draws(model, lambda x, **labels: model(x, **labels).bound, 2000)
        margin = 4 * bounds.std(dim=0) / math.sqrt(len(bounds))
        assert (bounds.mean(dim=0) <= _log_evidence(model) + margin).all()

    @pytest.mark.parametrize("keep_layers", [0, None])
    def test_importance_weights_average_to_the_exact_likelihood(self, family, keep_layers):
        model = _built(family)
        log_weights = _draws(model, lambda x, **labels: model.log_weight(x, keep_layers, **labels), 4000)
        ratios = (log_weights - _log_evidence(model)).exp()
        error = ratios.std(dim=0) / math.sqrt(len(ratios))
        assert (error < 0.3).all() and ((ratios.mean(dim=0) - 1).abs() < 5 * error).all()

    def test_bound_and_log_weight_agree_on_average(self, family):
        model = _built(family)
        bounds, log_weights = (
            _draws(model, quantity, 4000)
            for quantity in (lambda x, **labels: model(x, **labels).bound, model.log_weight)
        )
        error = (bounds.var(dim=0) / 4000 + log_weights.var(dim=0) / 4000).sqrt()
        assert ((bounds.mean(dim=0) - log_weights.mean(dim=0)).abs() < 5 * error).all()

    def test_samples_follow_the_exact_likelihood(self, family):
        model, n = _built(family), 30_000
        drawn = model.sample(n, generator=torch.Generator().manual_seed(0), **_labels(model, n))
        counts = torch.bincount(drawn.flatten(1).long() @ torch.tensor([8, 4, 2, 1]), minlength=16)
        torch.testing.assert_close(counts / n, _log_evidence(model).exp().float(), rtol=0, atol=0.012)

    def test_kl_is_positive(self, family):
        model = _built(family)
        kl = _draws(model, lambda x, **labels: model(x, **labels).kl[:, 0], 2000)
        assert (kl.mean(dim=0) > 0).all() and (family in KL_OF_A_DRAW or (kl > 0).all())


@pytest.mark.parametrize("family", WITHOUT_DENSITY)
def test_models_without_a_density_say_so(family):
    model = _built(family)
    with pytest.raises(NoDensity, match="encoder has no noise"):
        model.log_weight(_all_images())
    assert "no bound on log p" in reason_for_no_density(model)
    assert not model(_all_images()).kl.any()
