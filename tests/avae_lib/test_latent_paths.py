"""Ways through latent space: where they begin and end, what moves on them, and what stays."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from avae_lib import plotting
from avae_lib.data import load, recorded_model
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.latent_paths import (
    arc,
    interpolate,
    interpolation_rows,
    most_informative_units,
    traversal_rows,
    traverse,
)
from avae_lib.models.biva import BIVAConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.contract import Inference, label_arguments
from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.text_vae import TextVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.models.vq_vae_2 import VQVAE2Config
from avae_lib.models.wasserstein_ae import WassersteinAEConfig
from avae_lib.observations import observed_by

CODES = {"channels": 8, "codes": 8, "code_dim": 2}
CONFIGS = {
    "vae": VAEConfig(),
    "conditional": ConditionalVAEConfig(num_classes=3),
    "vampprior": VampPriorVAEConfig(pseudo_inputs=3),
    "planar": FlowVAEConfig(),
    "wae": WassersteinAEConfig(),
    "ladder": LadderConfig(),
    "plain stack": LadderConfig(inference="bottom_up"),
    "biva": BIVAConfig(),
    "vdvae": VDVAEConfig((1, 8, 8), 4, "8x1,8d8,1x1", "1x2,8m1,8x2", width=8, mixtures=2),
    "vq-vae": VQVAEConfig(**CODES),
    "vq-vae-2": VQVAE2Config(**CODES, prior_channels=8, prior_layers=2),
}
every_family = pytest.mark.parametrize("family", CONFIGS)
HIERARCHIES = ("ladder", "plain stack", "biva", "vdvae", "vq-vae-2")


def _built(family: str):
    torch.manual_seed(0)
    model = CONFIGS[family].build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def _two(model) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first, last = observed_by(model).random(2)
    return first, last


def _labels(model, *labels: int) -> dict[str, torch.Tensor]:
    return label_arguments(model, torch.tensor(labels))


def _inferred(model, *images: torch.Tensor, temperature: float = 1.0, **labels) -> Inference:
    return model.infer(torch.stack(images), temperature, generator=torch.Generator().manual_seed(0), **labels)


# The arc


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_arc_turns_by_its_share_of_the_angle_in_the_plane_of_the_ends(share):
    first, last = torch.randn(2, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    first, last = 2 * first / first.norm(), 2 * last / last.norm()
    a, b = first.numpy() / 2, last.numpy() / 2
    beside = b - (a @ b) * a
    beside /= np.linalg.norm(beside)
    angle = share * math.acos(a @ b)
    expected = 2 * (math.cos(angle) * a + math.sin(angle) * beside)
    np.testing.assert_allclose(arc(first, last, share).numpy(), expected, atol=1e-12)


def test_arc_between_parallel_opposite_and_zero_vectors_is_the_line():
    one, zero = torch.tensor([1.0, 2.0]), torch.zeros(2)
    for last in (3 * one, -one, zero, one):
        assert torch.equal(arc(one, last, 0.25), torch.lerp(one, last, 0.25))
        assert arc(last, one, 0.25).isfinite().all()


def test_middle_of_an_arc_is_as_far_out_as_draws_of_the_prior_and_that_of_a_line_is_not():
    draws = torch.randn(2, 200, 500, generator=torch.Generator().manual_seed(2))
    radius = math.sqrt(500)
    arcs = torch.stack([arc(a, b, 0.5) for a, b in draws.unbind(dim=1)]).norm(dim=1) / radius
    lines = draws.mean(dim=0).norm(dim=1) / radius
    spread = (draws[0].norm(dim=1) / radius).std()
    assert (arcs - 1).abs().max() < 5 * spread and (lines - math.sqrt(0.5)).abs().max() < 5 * spread


# Interpolation


@every_family
def test_ends_are_decoded_from_the_latents_of_the_two_images(family):
    model = _built(family)
    labels = _labels(model, 0, 2)
    path = interpolate(model, *_two(model), steps=4, labels=labels.get("labels"))
    ends = model.decode(_inferred(model, *_two(model), **labels).draws, **labels)
    assert path.shape == (4, *model.image_shape) and path.max() <= 2**model.bits - 1
    torch.testing.assert_close(path[[0, -1]], ends, rtol=1e-3, atol=1e-2)


@every_family
def test_seed_decides_and_the_global_random_state_does_not(family):
    model = _built(family)
    labels = _labels(model, 0, 2).get("labels")
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        before = torch.random.get_rng_state()
        results.append(interpolate(model, *_two(model), steps=3, layers=1, seed=7, labels=labels))
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(*results)


@pytest.mark.parametrize("below", ["prior", "image"])
@pytest.mark.parametrize("family", HIERARCHIES)
def test_between_equal_latents_nothing_changes_whatever_is_drawn_below(family, below):
    model = _built(family)
    image, _ = _two(model)
    path = interpolate(model, image, image, steps=4, layers=1, below=below, posterior_temperature=0.0)
    torch.testing.assert_close(path, path[:1].expand_as(path), rtol=1e-4, atol=1e-3)


def test_latents_of_a_vae_move_on_the_arc():
    model = _built("vae")
    first, last = _inferred(model, *_two(model)).draws[0]
    expected = torch.stack([arc(first, last, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
    torch.testing.assert_close(interpolate(model, *_two(model), steps=5), model.decode(expected))


def test_latents_under_a_mixture_move_on_the_line():
    model = _built("vampprior")
    first, last = _inferred(model, *_two(model)).draws[0]
    expected = torch.stack([torch.lerp(first, last, share) for share in (0.0, 0.5, 1.0)])
    torch.testing.assert_close(interpolate(model, *_two(model), steps=3), model.decode(expected))


def test_lower_layers_keep_the_latents_of_the_first_image():
    model = _built("biva")
    found = _inferred(model, *_two(model))
    top = arc(*found.draws[0], 0.5)[None]
    expected = model.decode([top, *(z[:1] for z in found.draws[1:])])
    path = interpolate(model, *_two(model), steps=3, layers=1, below="image")
    torch.testing.assert_close(path[1:2], expected)


def test_between_codes_each_position_has_the_code_of_one_image_and_changes_once():
    model = _built("vq-vae")
    decoded: list[torch.Tensor] = []
    decode = model.decode
    model.decode = lambda draws, **options: (decoded.extend(draws), decode(draws, **options))[1]
    interpolate(model, *_two(model), steps=9)
    first, last = _inferred(model, *_two(model)).draws[0]
    codes = torch.cat(decoded)
    assert torch.equal(codes[0], first) and torch.equal(codes[-1], last)
    changed = (codes[1:] != codes[:-1]).sum(dim=0)
    assert torch.equal(changed, (first != last).long())
    assert ((codes == first) | (codes == last)).all() and (first != last).any()


def test_each_point_has_the_class_of_the_nearer_image():
    model = _built("conditional")
    first, last = _inferred(model, *_two(model), **_labels(model, 0, 2)).draws[0]
    path = interpolate(model, *_two(model), steps=4, labels=torch.tensor([0, 2]))
    torch.testing.assert_close(path[:1], model.decode(first[None], **_labels(model, 0)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(path[3:], model.decode(last[None], **_labels(model, 2)), rtol=1e-3, atol=1e-3)
    seen = []
    decode = model.decode
    model.decode = lambda draws, labels, **options: (seen.extend(labels.tolist()), decode(draws, labels=labels))[1]
    interpolate(model, *_two(model), steps=4, labels=torch.tensor([0, 2]))
    assert seen == [0, 0, 2, 2]


def test_sentences_come_between_two_sentences():
    model = TextVAEConfig(sequence_length=6, vocabulary_size=9).build().eval()
    assert interpolate(model, *_two(model), steps=3).shape == (3, 6)


# Traversal


@pytest.mark.parametrize("family", [family for family in CONFIGS if not family.startswith("vq")])
def test_one_unit_moves_through_its_prior_and_the_others_stay(family):
    model = _built(family)
    image, _ = _two(model)
    labels = _labels(model, 1)
    found = _inferred(model, image, **labels)
    expected = []
    for deviations in (-2.0, 0.0, 2.0):
        draws = [z.clone() for z in found.draws]
        prior = found.priors[0]
        std = prior.log_std.exp() if isinstance(prior, DiagonalGaussian) else prior.stddev.expand_as(draws[0])
        draws[0][:, 1] = (prior.mean.expand_as(draws[0]) + deviations * std)[:, 1]
        expected.append(model.decode(draws, **labels))
    path = traverse(model, image, unit=2, steps=3, reach=2.0, below="image", labels=labels.get("labels"))
    torch.testing.assert_close(path, torch.cat(expected), rtol=1e-4, atol=1e-3)


def test_layers_below_the_moving_one_follow_it_where_they_are_drawn():
    model = _built("ladder")
    image, _ = _two(model)
    kept, drawn = (traverse(model, image, layer=1, unit=1, steps=3, below=below) for below in ("image", "prior"))
    assert (kept == kept[:1]).all()  # the image depends on the lowest latents alone
    assert (drawn != drawn[:1]).any()


def test_most_informative_units_are_those_of_the_largest_kl():
    means = torch.tensor([0.5, -3.0, 0.0, 2.0]).reshape(1, 4, 1, 1).expand(1, 4, 2, 2)
    q, p = DiagonalGaussian(means, torch.zeros_like(means)), DiagonalGaussian.standard_like(means)
    model = nn.Linear(1, 1)
    model.num_layers = 1
    model.infer = lambda *_, **__: Inference((q.mean,), (q,), (p,))
    model.decode = SimpleNamespace
    assert most_informative_units(model, torch.zeros(1, 2, 2, dtype=torch.uint8), count=3) == (2, 4, 1)


# Rows and pictures


def test_rows_begin_and_end_with_the_two_images():
    model = _built("ladder")
    first, last = _two(model)
    rows = interpolation_rows(model, first, last, steps=3)
    assert list(rows) == ["all 3 layers", "top layer"]
    for row in rows.values():
        assert torch.equal(row[0], first.float()) and torch.equal(row[-1], last.float()) and len(row) == 5
    assert list(interpolation_rows(model, first, last, layers=2)) == ["top 2 layers"]
    assert list(interpolation_rows(_built("vae"), first, last)) == ["all latents"]


def test_one_line_of_code_draws_a_trained_hierarchy():
    model, (first, last) = recorded_model("hierarchy-photos32"), load("photos32").test[:2]
    for figure, rows in ((plotting.interpolation(model, first, last), 2), (plotting.traversal(model, first), 4)):
        plotting.png_bytes(figure)
        assert len(figure.axes[0].get_yticklabels()) == rows


# What is refused


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"steps": 1}, "steps must be at least 2"),
        ({"layers": 0}, "layers must be None .all. or 1 … 3, got 0"),
        ({"layers": 4}, "layers must be None .all. or 1 … 3, got 4"),
        ({"below": "noise"}, "below must be prior or image, got 'noise'"),
        ({"temperature": (1.0, 1.0)}, "one for each of the 3 layers"),
    ],
)
@pytest.mark.usefixtures("without_annotation_checks")
def test_impossible_interpolations_are_refused(options, complaint):
    model = _built("ladder")
    with pytest.raises(ValueError, match=complaint):
        interpolate(model, *_two(model), **options)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"layer": 0}, r"layer must be 1 \(the top\) … 3, got 0"),
        ({"unit": 5}, "unit must be 1 … 4 in layer 1 of this model, got 5"),
        ({"steps": 1}, "steps must be at least 2"),
        ({"reach": -1.0}, "reach positive"),
    ],
)
def test_impossible_traversals_are_refused(options, complaint):
    model = _built("ladder")
    with pytest.raises(ValueError, match=complaint):
        traverse(model, _two(model)[0], **options)


def test_codes_are_not_traversed_and_a_model_without_latents_is_refused():
    model = _built("vq-vae")
    with pytest.raises(ValueError, match="codes, which have no order"):
        traverse(model, _two(model)[0])
    other = nn.Linear(1, 1)
    other.num_layers = 1
    with pytest.raises(ValueError, match="must have methods infer and decode"):
        traversal_rows(other, torch.zeros(1, 2, 2, dtype=torch.uint8))
