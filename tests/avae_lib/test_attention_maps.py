"""Attention maps are the weights with which the model itself averages values."""

import pytest
import torch

from avae_lib import components
from avae_lib.evaluation.attention_maps import attention_maps
from avae_lib.models.attentive import AttentiveConfig


def small_model(**changes):
    torch.manual_seed(0)
    model = AttentiveConfig(layers=3, width=8, key_channels=4, blocks=1, **changes).build().eval()
    for name, parameter in model.named_parameters():
        if name.endswith("gate"):
            torch.nn.init.constant_(parameter, 0.5)
    return model


IMAGES = torch.randint(16, (2, 1, 8, 8), dtype=torch.uint8)


@pytest.mark.parametrize("normalised", [False, True])
def test_maps_sum_to_one_and_there_is_one_for_each_layer_that_can_be_looked_at(normalised):
    maps = attention_maps(small_model(normalise_contexts=normalised, normalise_evidence=normalised), IMAGES)
    assert [tuple(weights.shape) for weights in maps.contexts] == [(2, 1, 4, 4), (2, 2, 4, 4)]
    assert [weights.shape[1] for weights in maps.evidence] == [4, 3, 2]
    for weights in (*maps.contexts, *maps.evidence):
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 4, 4))


def test_values_averaged_with_the_maps_are_what_the_model_finds():
    """What attention gives to a loop over pixels and layers, with the maps, is what the model's own attention gives."""
    model, asked, found = small_model(normalise_contexts=False, normalise_evidence=False), [], []
    reference = components.implementation("depthwise_attention")

    def noting(query, keys, values, scale):
        asked.append(values)
        found.append(reference(query, keys, values, scale))
        return found[-1]

    torch.manual_seed(1)
    maps = attention_maps(model, IMAGES)
    torch.manual_seed(1)
    with components.using("depthwise_attention", noting), torch.no_grad():
        model(IMAGES)
    in_order = [maps.evidence[0], maps.contexts[0], maps.evidence[1], maps.contexts[1], maps.evidence[2]]
    assert len(found) == len(in_order)
    for weights, values, result in zip(in_order, asked, found, strict=True):
        averaged = torch.zeros_like(result)
        for layer, value in enumerate(values):
            averaged += weights[:, layer : layer + 1] * value
        torch.testing.assert_close(averaged, result)


def test_the_model_has_no_hooks_left_and_local_models_are_refused():
    model = small_model()
    attention_maps(model, IMAGES)
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="is local"):
        attention_maps(small_model(conditioning="local"), IMAGES)
