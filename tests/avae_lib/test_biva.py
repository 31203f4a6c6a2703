"""BIVA: which latents are drawn on which way, and the paths that skip levels."""

import dataclasses

import pytest
import torch

from avae_lib.models.biva import BIVAConfig, DownwardLayer, TopLayer, UpwardLayer
from avae_lib.models.hierarchy import Draw, Hierarchy, SingleSampleDraw

SMALL = BIVAConfig(image_shape=(1, 4, 4), latent_dims=(4, 3, 2), hidden_sizes=(8, 7, 6))


def _built(**fields) -> Hierarchy:
    torch.manual_seed(0)
    return dataclasses.replace(SMALL, **fields).build().eval()


def _images(n: int = 5) -> torch.Tensor:
    return torch.randint(0, 2, (n, 1, 4, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def _walk(model: Hierarchy, draws: list[Draw]) -> tuple:
    """What the layers hand down and draw, given images."""
    evidence = model.bottom_up(_images(), draws)
    above, walked = model.top(5), []
    for index, layer in enumerate(model.layers):
        above, latent = layer(above, evidence[index:], draws[index])
        walked.append((above, latent))
    return evidence, walked


def test_every_level_but_the_top_has_a_layer_for_each_way():
    kinds = [type(layer) for layer in _built().layers]
    assert kinds == [TopLayer, UpwardLayer, DownwardLayer, UpwardLayer, DownwardLayer]
    assert [posterior.mean.shape[1] for posterior in _built().latents(_images())] == [2, 3, 3, 4, 4]


def test_latents_of_the_way_up_are_those_drawn_there_and_their_kl_is_read_off_the_draw():
    evidence, walked = _walk(_built(), [Draw()] * 5)
    for index, (_, latent) in enumerate(walked):
        on_the_way_up = index in (1, 3)
        assert isinstance(latent, SingleSampleDraw) == on_the_way_up
        if on_the_way_up:
            assert latent.z is evidence[index][0]


def test_each_latent_has_the_temperature_of_its_layer():
    model = _built()
    _, calm = _walk(model, [Draw(0.0)] * 5)
    for index in range(5):
        torch.manual_seed(0)
        _, stirred = _walk(model, [Draw(float(index == other)) for other in range(5)])
        moved = [not torch.equal(one.z, other.z) for (_, one), (_, other) in zip(calm, stirred, strict=True)]
        assert moved[index]
        # A latent of the way up moves what is above it as well, one of the way down what is below it alone.
        assert not any(moved[:index]) or index in (1, 3)


def test_features_of_all_levels_skip_down_to_the_image():
    _, walked = _walk(_built(), [Draw()] * 5)
    assert [tuple(stream.shape[1] for stream in above.streams) for above, _ in walked] == [
        (),
        (7,),
        (7,),
        (7, 8),
        (7, 8),
    ]
    last = walked[-1][0]
    model = _built()
    without_top = dataclasses.replace(last, streams=(torch.zeros_like(last.streams[0]), *last.streams[1:]))
    assert not torch.equal(model.readout(last), model.readout(without_top))


def test_posterior_of_the_way_down_is_told_by_both_ways():
    model = _built()
    evidence, walked = _walk(model, [Draw(0.0)] * 5)
    above, layer = walked[1][0], model.layers[2]
    _, latent = layer(above, evidence[2:], Draw(0.0))
    other_above = dataclasses.replace(above, streams=(torch.ones_like(above.streams[0]),))
    for inputs in ((other_above, evidence[2:]), (above, (torch.ones_like(evidence[2]), *evidence[3:]))):
        _, other = layer(*inputs, Draw(0.0))
        assert not torch.equal(latent.posterior.mean, other.posterior.mean)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latent_dims": ()}, r"latent_dims must be one or more sizes of at least 1, got \(\)"),
        ({"hidden_sizes": (8, 8)}, "hidden_sizes must be as many as latent_dims, got 2 for 3$"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **fields)


def test_a_single_level_is_a_plain_vae():
    model = _built(latent_dims=(3,), hidden_sizes=(8,))
    assert model.num_layers == 1
    assert model(_images()).kl.shape == (5, 1)
