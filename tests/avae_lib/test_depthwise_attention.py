"""Depth-wise attention against a loop over pixels in float64, and the properties that make it attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avae_lib.nn.contexts import (
    ChannelNorm,
    ChannelSplit,
    ContextSplit,
    Forgetful,
    NormalizedLate,
    NormalizedOnce,
    Unnormalized,
)
from avae_lib.nn.depthwise_attention import (
    AttentiveConditioning,
    LocalConditioning,
    NormalizedConditioning,
    TrainedScale,
    UnitScale,
    attentive_context,
    depthwise_attention,
)

BATCH, DEPTH, WIDTH, KEY_CHANNELS, SIDE = 2, 5, 6, 4, 3


def _layers(seed: int = 0, depth: int = DEPTH, dtype: torch.dtype = torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def draw(channels):
        return torch.randn(BATCH, channels, SIDE, SIDE, generator=generator, dtype=dtype)

    return draw(KEY_CHANNELS), [draw(KEY_CHANNELS) for _ in range(depth)], [draw(WIDTH) for _ in range(depth)]


def _attend_pixel_by_pixel(query, keys, values, scale) -> np.ndarray:
    query, keys, values = (np.asarray(torch.stack(part) if isinstance(part, list) else part, dtype=np.float64)
                           for part in (query, keys, values))  # fmt: skip
    out = np.zeros(values.shape[1:])
    for b in range(BATCH):
        for row in range(SIDE):
            for column in range(SIDE):
                scores = [scale * float(query[b, :, row, column] @ key[b, :, row, column]) for key in keys]
                odds = np.exp(np.array(scores) - max(scores))
                for share, value in zip(odds / odds.sum(), values, strict=True):
                    out[b, :, row, column] += share * value[b, :, row, column]
    return out


@pytest.mark.parametrize("depth", [1, 2, DEPTH])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_attention_agrees_with_a_loop_over_pixels(depth, scale):
    layers = _layers(depth=depth)
    expected = _attend_pixel_by_pixel(*layers, scale)
    torch.testing.assert_close(
        depthwise_attention(*layers, scale), torch.from_numpy(expected), rtol=1e-5, atol=1e-6, check_dtype=False
    )


def test_weights_are_positive_and_sum_to_one_over_depth():
    query, keys, _ = _layers()
    one_hot = [channel.reshape(1, DEPTH, 1, 1).expand(BATCH, -1, SIDE, SIDE) for channel in torch.eye(DEPTH)]
    weights = depthwise_attention(query, keys, one_hot, 2.0)
    assert weights.shape == (BATCH, DEPTH, SIDE, SIDE)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(BATCH, SIDE, SIDE))


def test_order_of_the_layers_is_of_no_consequence():
    query, keys, values = _layers()
    order = [3, 0, 4, 1, 2]
    shuffled = depthwise_attention(query, [keys[i] for i in order], [values[i] for i in order], 1.5)
    torch.testing.assert_close(shuffled, depthwise_attention(query, keys, values, 1.5))


def test_a_single_layer_is_returned_as_it_is():
    query, keys, values = _layers(depth=1)
    torch.testing.assert_close(depthwise_attention(query, keys, values, 7.0), values[0])


def test_a_sharp_softmax_picks_the_layer_whose_key_matches_best():
    query, keys, values = _layers()
    best = torch.stack([(query * key).sum(dim=1) for key in keys]).argmax(dim=0)
    picked = torch.stack(values).gather(0, best[None, :, None].expand(1, BATCH, WIDTH, SIDE, SIDE))[0]
    torch.testing.assert_close(depthwise_attention(query, keys, values, 1e4), picked)


def test_no_pixel_sees_another():
    query, keys, values = _layers()
    before = depthwise_attention(query, keys, values, 1.0)
    for tensor in (keys[2], values[3]):
        tensor[:, :, 1, 1] += 10.0
    changed = (depthwise_attention(query, keys, values, 1.0) != before).any(dim=1)
    assert changed[:, 1, 1].all()
    assert changed.sum() == BATCH


def test_no_copy_of_a_value_is_kept_for_the_backward_pass():
    query, keys, values = _layers()
    values = [value.requires_grad_() for value in values]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        depthwise_attention(query.requires_grad_(), keys, values, 1.0)
    originals = {value.data_ptr() for value in values}
    as_large = [tensor for tensor in kept if tensor.shape == values[0].shape]
    assert len(as_large) == DEPTH
    assert all(tensor.data_ptr() in originals for tensor in as_large)


def test_gradients_agree_with_finite_differences():
    query, keys, values = _layers(depth=2, dtype=torch.float64)
    inputs = [tensor[:1, :, :2, :1].clone().requires_grad_() for tensor in (query, *keys, *values)]
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, q, *kv: depthwise_attention(q, kv[:2], kv[2:], s), (scale, *inputs))


@pytest.mark.parametrize(("keys", "values"), [(0, 0), (2, 3)])
def test_lists_that_do_not_match_are_refused(keys, values):
    query, all_keys, all_values = _layers()
    with pytest.raises(ValueError, match=f"got {keys} keys and {values} values"):
        depthwise_attention(query, all_keys[:keys], all_values[:values], 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_scores_pick_and_large_values_survive(dtype):
    query, _, values = _layers(dtype=dtype)
    keys = [1e9 * index / DEPTH * torch.ones_like(query) / query / KEY_CHANNELS for index in range(DEPTH)]
    values = [1e30 * value for value in values]
    result = depthwise_attention(query.requires_grad_(), keys, values, torch.ones((), dtype=dtype))
    assert torch.equal(result, values[-1])
    (result * 1e-30).sum().backward()
    assert query.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gate", [-0.3, torch.tensor(2.0)])
def test_a_context_is_its_own_and_what_it_finds_times_the_gate(gate, dtype):
    gate = gate.to(dtype) if isinstance(gate, torch.Tensor) else gate
    layers, own = _layers(dtype=dtype), torch.randn(BATCH, WIDTH, SIDE, SIDE, dtype=dtype)
    expected = own.double() + float(gate) * torch.from_numpy(_attend_pixel_by_pixel(*layers, 0.5))
    result = attentive_context(own, *layers, 0.5, gate)
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1.0, 1e30])
def test_a_gate_of_zero_leaves_exactly_its_own_and_still_learns(size):
    (query, keys, values), own = _layers(), torch.randn(BATCH, WIDTH, SIDE, SIDE)
    gate = torch.zeros((), requires_grad=True)
    result = attentive_context(own, query, keys, [size * value for value in values], 1.0, gate)
    assert torch.equal(result, own)
    (result / size).sum().backward()
    expected = _attend_pixel_by_pixel(query, keys, values, 1.0).sum()
    assert gate.grad.item() == pytest.approx(expected, rel=1e-4)


def _contexts(seed: int = 0) -> list[ContextSplit]:
    _, keys, values = _layers(seed)
    return [ContextSplit(value, key) for value, key in zip(values, keys, strict=True)]


@pytest.mark.parametrize("scale", [TrainedScale(KEY_CHANNELS), UnitScale(KEY_CHANNELS)])
def test_a_closed_gate_leaves_the_layers_own_features(scale):
    own, query, others = torch.randn(BATCH, WIDTH, SIDE, SIDE), _layers()[0], _contexts()
    attentive = AttentiveConditioning(scale)
    assert torch.equal(attentive(own, query, others), LocalConditioning()(own, None, others))
    torch.nn.init.constant_(attentive.gate, 0.5)
    assert not torch.allclose(attentive(own, query, others), own)


@pytest.mark.parametrize(("scale", "number"), [(TrainedScale, KEY_CHANNELS**-0.5), (UnitScale, 1.0)])
def test_an_open_gate_adds_what_was_found(scale, number):
    attentive = AttentiveConditioning(scale(KEY_CHANNELS))
    torch.nn.init.constant_(attentive.gate, -0.3)
    own, (query, keys, values) = torch.randn(BATCH, WIDTH, SIDE, SIDE), _layers()
    found = torch.from_numpy(_attend_pixel_by_pixel(query, keys, values, number))
    result = attentive(own, query, _contexts())
    torch.testing.assert_close(result, own.double() - 0.3 * found, rtol=1e-5, atol=1e-5, check_dtype=False)


def test_norms_add_what_is_left_of_normalised_features():
    attentive = NormalizedConditioning(WIDTH, UnitScale(KEY_CHANNELS))
    torch.nn.init.constant_(attentive.gate, 2.0)
    own, (query, keys, values) = torch.randn(BATCH, WIDTH, SIDE, SIDE), _layers()
    found = torch.from_numpy(_attend_pixel_by_pixel(query, keys, values, 1.0))
    expected = _with_added_norm(own.double()) + 2 * _with_added_norm(found)
    result = attentive(own, query, _contexts())
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4, check_dtype=False)


def _with_added_norm(x: torch.Tensor) -> torch.Tensor:
    normalised = _normalised(x)
    return x + normalised * (1 + torch.erf(normalised / 2**0.5)) / 2


def test_channel_norm_gives_each_pixel_mean_zero_and_variance_one():
    x = 3 + 5 * torch.randn(BATCH, 64, SIDE, SIDE, dtype=torch.float64)
    normalised = ChannelNorm(64).double()(x)
    expected = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(normalised, expected)


def test_a_split_cuts_value_key_and_query_and_shares_the_query_to_the_evidence():
    x = torch.arange(9.0).reshape(1, 9, 1, 1)
    context = ChannelSplit(value=5, key=2, query=2, evidence_query=3)(x)
    parts = (context.value, context.key, context.query, context.evidence_query)
    assert [part.flatten().tolist() for part in parts] == [[0, 1, 2, 3, 4], [5, 6], [7, 8], [0, 1, 2]]
    assert context.joined.flatten().tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_parts_of_no_channels_are_absent():
    context = ChannelSplit(value=5)(torch.zeros(1, 5, 1, 1))
    assert context.key is context.query is context.evidence_query is None
    assert context.joined is context.value


class TestHistories:
    def _walk(self, *histories):
        """What each of several layers sees, the first of which has one context above it."""
        remembered, seen = (), []
        for history, newest in zip(histories, _contexts(), strict=False):
            remembered, by_this = history(remembered, newest)
            seen.append(by_this)
        return seen

    def test_normalised_once_every_layer_sees_a_context_alike(self):
        first, second, third = self._walk(*(NormalizedOnce(WIDTH) for _ in range(3)))
        assert third[:2] == second and second[:1] == first
        for context, raw in zip(third, _contexts(), strict=False):
            torch.testing.assert_close(context.value, _normalised(raw.value), rtol=1e-4, atol=1e-4)
            assert torch.equal(context.key, raw.key)

    def test_normalised_late_a_context_is_seen_in_two_ways(self):
        seen = self._walk(*(NormalizedLate(WIDTH, KEY_CHANNELS, above) for above in (1, 2, 3)))
        for layer, contexts in enumerate(seen):
            for place, (context, raw) in enumerate(zip(contexts, _contexts(), strict=False)):
                jointly = _normalised(raw.joined).split((WIDTH, KEY_CHANNELS), dim=1)
                expected = (_normalised(raw.value), raw.key) if place == layer else jointly
                torch.testing.assert_close((context.value, context.key), expected, rtol=1e-4, atol=1e-4)

    def test_unnormalised_contexts_are_seen_as_they_are_and_forgotten_ones_not_at_all(self):
        seen = self._walk(Unnormalized(), Unnormalized())
        assert torch.equal(seen[1][0].value, _contexts()[0].value) and len(seen[1]) == 2
        assert self._walk(Forgetful(), Forgetful()) == [(), ()]


def _normalised(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt()
