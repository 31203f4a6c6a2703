"""The Ladder VAE and the plain stack: merging by precision, who is told what, and which of the two uses its top."""

import dataclasses
import math

import pytest
import torch
from torch.distributions import Normal

from avae_lib.evaluation import measuring, terms_of_bound
from avae_lib.gaussians import DiagonalGaussian, precision_weighted
from avae_lib.models.hierarchy import Draw, Hierarchy
from avae_lib.models.ladder import LadderConfig
from avae_lib.presets import PRESETS
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import differing_fields
from avae_lib.training.fit import fit

SMALL = LadderConfig(image_shape=(1, 4, 4), latent_dims=(4, 3, 2), hidden_sizes=(8, 8, 8))
TWINS = ("ladder", "bottom_up")


def _built(**fields) -> Hierarchy:
    torch.manual_seed(0)
    return dataclasses.replace(SMALL, **fields).build().eval()


def _images(n: int = 5) -> torch.Tensor:
    return torch.randint(0, 2, (n, 1, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


class TestPrecisionWeighting:
    @pytest.mark.parametrize(
        ("m1", "s1", "m2", "s2"), [(0.0, 1.0, 2.0, 1.0), (-1.5, 0.3, 0.7, 2.0), (3.0, 1.7, -2.0, 0.9)]
    )
    def test_it_is_the_normalised_product_of_the_two_densities(self, m1, s1, m2, s2):
        line = torch.linspace(-15, 15, 60_001, dtype=torch.float64)
        product = (Normal(m1, s1).log_prob(line) + Normal(m2, s2).log_prob(line)).exp()
        product = product / product.sum()
        mean = (product * line).sum()
        std = (product * (line - mean).square()).sum().sqrt()
        merged = _merged(_gaussian(m1, s1), _gaussian(m2, s2))
        assert merged.mean.item() == pytest.approx(mean.item(), abs=1e-6)
        assert merged.log_std.exp().item() == pytest.approx(std.item(), abs=1e-6)

    def test_neither_comes_first(self):
        one, other = _gaussian(-1.5, 0.3), _gaussian(0.7, 2.0)
        first, second = _merged(one, other), _merged(other, one)
        torch.testing.assert_close((first.mean, first.log_std), (second.mean, second.log_std))

    def test_a_certain_voice_drowns_an_uncertain_one_without_overflow(self):
        merged = _merged(_gaussian(1.0, math.exp(-60)), _gaussian(-4.0, math.exp(60)))
        assert (merged.mean.item(), merged.log_std.item()) == pytest.approx((1.0, -60.0))


def _merged(first: DiagonalGaussian, second: DiagonalGaussian) -> DiagonalGaussian:
    return DiagonalGaussian(*precision_weighted(first.mean, first.log_std, second.mean, second.log_std))


def _gaussian(mean: float, std: float) -> DiagonalGaussian:
    return DiagonalGaussian(*torch.tensor([mean, math.log(std)], dtype=torch.float64).reshape(2, 1, 1))


class TestTwins:
    def test_they_differ_in_one_field(self):
        assert set(differing_fields(PRESETS["digits-ladder"], PRESETS["digits-plain"])) == {
            "name",
            "source",
            "model.inference",
        }

    def test_their_generative_models_are_the_same(self):
        ladder, plain = (_built(inference=inference) for inference in TWINS)
        generative = {n: p.shape for n, p in ladder.named_parameters() if not n.startswith("bottom_up")}
        assert generative == {n: p.shape for n, p in plain.named_parameters() if not n.startswith("bottom_up")}

    def test_posterior_below_the_top_of_a_ladder_merges_evidence_and_prior(self):
        model, x = _built(), _images()
        draws = [Draw(0.0)] * 3
        evidence = model.bottom_up(x, draws)
        z, top = model.layers[0](model.top(5), evidence, draws[0])
        assert torch.equal(top.posterior.mean, evidence[0].mean)
        _, second = model.layers[1](z, evidence[1:], draws[1])
        precision = (-2 * evidence[1].log_std).exp() + (-2 * second.prior.log_std).exp()
        torch.testing.assert_close((-2 * second.posterior.log_std).exp(), precision)

    @pytest.mark.parametrize(("inference", "told"), [("ladder", True), ("bottom_up", False)])
    def test_only_in_a_ladder_is_a_posterior_told_by_the_layer_above(self, inference, told):
        model, x = _built(inference=inference), _images()
        draws = [Draw(0.0)] * 3
        evidence = model.bottom_up(x, draws)
        means = []
        for above in (torch.zeros(5, 2), torch.ones(5, 2)):
            _, drawn = model.layers[1](above, evidence[1:], Draw(0.0))
            means.append(drawn.posterior.mean)
        assert torch.equal(*means) != told

    def test_a_posterior_of_the_plain_stack_is_told_by_the_draw_below(self):
        ascent, x = _built(inference="bottom_up").bottom_up, _images()
        calm = ascent(x, [Draw(0.0)] * 3)
        torch.manual_seed(0)
        drawn = ascent(x, [Draw(0.0), Draw(0.0), Draw(1.0)])
        assert torch.equal(calm[2][1].mean, drawn[2][1].mean)  # the lowest is told by the image
        assert not torch.equal(calm[1][1].mean, drawn[1][1].mean)
        torch.testing.assert_close(calm[1][1].mean, ascent.gaussians[1](ascent.networks[1](calm[2][0])).mean)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inference": "sideways"}, "inference must be ladder or bottom_up, got 'sideways'"),
        ({"latent_dims": ()}, r"latent_dims must be one or more sizes of at least 1, got \(\)"),
        ({"hidden_sizes": (8, 0, 8)}, r"hidden_sizes must be one or more sizes of at least 1, got \(8, 0, 8\)"),
        ({"hidden_sizes": (8, 8)}, "hidden_sizes must be as many as latent_dims, got 2 for 3$"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **fields)


@pytest.mark.slow
def test_trained_on_digits_the_ladder_uses_its_top_layer_and_the_plain_stack_does_not(tmp_path):
    top_kl = {name: _kl_of_the_top_layer_after_training(name, tmp_path) for name in ("digits-ladder", "digits-plain")}
    assert top_kl["digits-ladder"] > 0.3
    assert top_kl["digits-plain"] < 0.1


def _kl_of_the_top_layer_after_training(name: str, folder) -> float:
    preset = PRESETS[name]
    dataset = preset.data.load()
    training = derive(preset.training, steps=800, kl_weight={"warmup_steps": 300}, logging={"evaluate_every": 800})
    model = fit(preset.build_model(), dataset, training, folder / name).model
    with measuring(model):
        return terms_of_bound(model, dataset.pixels("test")).kl[:, 0].mean().item()
