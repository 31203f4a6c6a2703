"""NVAE: its layers, its scales, its published size."""

import dataclasses

import pytest
import torch
from torch import nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.hierarchy import Draw, Hierarchy, SingleSampleDraw
from avae_lib.models.nvae import NVAEConfig, ResidualPosterior
from avae_lib.presets import PRESETS, summary

SMALL = NVAEConfig(groups=(1, 2), channels=4, latent_channels=2, mixtures=2)


def _built(**fields) -> Hierarchy:
    torch.manual_seed(0)
    return dataclasses.replace(SMALL, **fields).build()


def _images(n: int = 5) -> torch.Tensor:
    return torch.randint(0, 16, (n, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def test_latents_double_their_side_and_streams_halve_their_channels_from_scale_to_scale():
    shapes = [posterior.mean.shape[1:] for posterior in _built().latents(_images())]
    assert shapes == [(2, 2, 2), (2, 4, 4), (2, 4, 4)]
    assert [SMALL.shape_of_scale(scale) for scale in (0, 1)] == [(16, 2, 2), (8, 4, 4)]
    assert SMALL.scale_of_layer == (0, 1, 1)


def test_evidence_of_a_layer_has_the_shape_of_its_stream():
    evidence = _built().bottom_up(_images(), [Draw()] * 3)
    assert [tuple(features.shape[1:]) for features in evidence] == [(16, 2, 2), (8, 4, 4), (8, 4, 4)]


def test_posterior_without_a_shift_is_its_prior():
    posterior = ResidualPosterior(4, 2, weight_norm=False)
    nn.init.zeros_(posterior.shifts_of_z.weight)
    nn.init.zeros_(posterior.shifts_of_z.bias)
    prior = DiagonalGaussian(torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4))
    latent = posterior(torch.randn(3, 4, 4, 4), prior, Draw())
    assert torch.equal(latent.kl(), torch.zeros(3))


def test_top_prior_is_standard_normal_at_the_coarsest_scale():
    _, drawn = _built().layers[0](_built().top(5), None, Draw())
    assert drawn.prior.mean.shape == (5, 2, 2, 2)
    assert not drawn.prior.mean.any() and not drawn.prior.log_std.any()


def test_a_layer_that_is_told_nothing_by_the_image_sees_the_layers_above():
    model = _built().eval()
    means = []
    for constant in (torch.zeros(5, 8, 4, 4), torch.ones(5, 8, 4, 4)):
        _, drawn = model.layers[2](constant, None, Draw())
        means.append(drawn.prior.mean)
    assert not torch.allclose(*means)


class TestFlows:
    def test_their_kl_is_read_off_the_draw(self):
        model = _built(flows=1, flow_rescales=True).eval()
        evidence = model.bottom_up(_images(), [Draw()] * 3)
        _, drawn = model.layers[0](model.top(5), evidence, Draw())
        assert isinstance(drawn, SingleSampleDraw)
        with torch.no_grad():
            expected = drawn.posterior.log_prob(drawn.z) - drawn.prior.log_prob(drawn.z)
        torch.testing.assert_close(drawn.kl(), expected, rtol=1e-4, atol=1e-4)

    def test_they_are_pairs_of_steps_in_each_layer(self):
        flows = [layer.posterior.flow for layer in _built(flows=2).layers]
        assert [len(flow.cells) for flow in flows] == [4, 4, 4]


def test_published_model_has_131_million_parameters_in_30_layers():
    counted = summary(PRESETS["cifar10-nvae-30"])
    assert counted.layers == 30
    assert counted.parameters == 130_851_408
    assert round(counted.parameters / 1e6) == 131  # as quoted by Child (2021), table 2


def test_arithmetic_in_half_precision_gives_densities_in_float32():
    with torch.autocast("cpu", torch.bfloat16):
        elbo = _built(flows=1)(_images())
    assert elbo.kl.dtype == elbo.log_likelihood.dtype == torch.float32
    assert elbo.bound.isfinite().all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"groups": ()}, r"groups must be one or more sizes of at least 1, got \(\)"),
        ({"groups": (1, 0)}, r"got \(1, 0\)"),
        ({"channels": 0}, "channels must be at least 1, got 0"),
        ({"halvings": -1}, "halvings must be at least 0, got -1"),
        ({"groups": (1, 1, 1), "halvings": 2}, "image height must be divisible by 16, for 2 halvings and 3 scales"),
        ({"image_shape": (1, 8, 6)}, "image width must be divisible by 4"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **fields)
