"""Wrong answers to the small exercises of unit 06 that no list names: the cases themselves must catch them."""

import inspect

import pytest
import torch
import torch.nn.functional as F

from autograder.checks import checks_of
from autograder.checks.judge_component import judge_component
from avae_lib.checking.harnesses import observe

CHECKS = {check.component: check for check in checks_of("06_attentive_vae")}
LARGE = "scores as large as 1e9, values as large as 1e30"


def judged(name, function, seed=11):
    check = CHECKS[name]
    return judge_component(check.trials(seed), check, lambda request: observe(function, request))


def lost(name, function):
    return [case.name for case in judged(name, function).cases if not case.passed]


def scores_of(query, keys, scale):
    return torch.stack([(scale * query * key).sum(dim=1) for key in keys], dim=1)


def found_by(weights, values):
    return (weights.unsqueeze(2) * torch.stack(values, dim=1)).sum(dim=1)


def looking(weigh=lambda scores: scores.softmax(dim=1), finish=lambda found: found, prepare=lambda query: query):
    """depthwise_attention that is right but for its query, its weights or its result."""

    def depthwise_attention(query, keys, values, scale):
        return finish(found_by(weigh(scores_of(prepare(query), keys, scale)), values))

    return depthwise_attention


def gated(join=lambda own, found, gate: own + gate * found, weigh=lambda scores: scores.softmax(dim=1)):
    """attentive_context that is right but for its sum or its weights."""

    def attentive_context(own, query, keys, values, scale, gate):
        return join(own, found_by(weigh(scores_of(query, keys, scale)), values), gate)

    return attentive_context


def among_pixels(weigh=lambda scores: scores.softmax(dim=-1), finish=lambda found: found):
    """nonlocal_attention that is right but for its weights or its result."""

    def nonlocal_attention(query, key, value, scale):
        return finish(weigh((scale * query) @ key.mT) @ value)

    return nonlocal_attention


def costing(pairs=lambda n: n * (n - 1) // 2, of_pair=lambda c, k: c + k, pixels=lambda h, w: (h * w, (h * w) ** 2)):
    """attention_cost that is right but for one of its factors."""

    def attention_cost(layers, height, width, channels, key_channels):
        return tuple(pairs(layers) * count * of_pair(channels, key_channels) for count in pixels(height, width))

    return attention_cost


def sharpened(scores):
    return scores.softmax(dim=1).square() / scores.softmax(dim=1).square().sum(dim=1, keepdim=True)


UNNAMED = {
    "depthwise_attention": [
        looking(lambda scores: (1.01 * scores).softmax(dim=1)),
        looking(sharpened),
        looking(lambda scores: scores.softmax(dim=1).clamp(min=1e-3)),
        looking(lambda scores: F.dropout(scores.softmax(dim=1), 0.1)),
        looking(lambda scores: scores.softmax(dim=1).flip(3)),
        looking(lambda scores: scores.softmax(dim=1).roll(1, dims=0)),
        looking(lambda scores: scores.softmax(dim=1).half().to(scores.dtype)),
        looking(lambda scores: F.gumbel_softmax(scores, dim=1)),
        looking(lambda scores: (scores / (1 + scores.std())).softmax(dim=1)),
        looking(lambda scores: scores.softmax(dim=1) * (scores > -50)),
        looking(lambda scores: (scores - scores.flatten(1).amax(1)[:, None, None, None]).exp().pow(1)),
        looking(finish=lambda found: found.clamp(-1e20, 1e20)),
        looking(finish=lambda found: found.flatten(2)),
        looking(finish=lambda found: found.detach()),
        looking(finish=lambda found: [found]),
        looking(finish=lambda found: found.numpy(force=True)),
        looking(prepare=lambda query: query.flip(1)),
        looking(prepare=torch.relu),
        looking(prepare=lambda query: query.mean(dim=(2, 3), keepdim=True).expand_as(query)),
        lambda query, keys, values, scale: values[-1],
        lambda query, keys, values, scale: torch.stack(values).mean(dim=0),
    ],
    "nonlocal_attention": [
        among_pixels(lambda scores: (1.01 * scores).softmax(dim=-1)),
        among_pixels(lambda scores: scores.softmax(dim=-1).mT.softmax(dim=-1).mT),
        among_pixels(lambda scores: scores.softmax(dim=-1).tril()),
        among_pixels(lambda scores: scores.softmax(dim=-1).half().to(scores.dtype)),
        among_pixels(lambda scores: (scores + scores.mT).softmax(dim=-1)),
        among_pixels(lambda scores: scores.softmax(dim=-1).flip(1)),
        among_pixels(lambda scores: F.dropout(scores.softmax(dim=-1), 0.1)),
        among_pixels(lambda scores: scores.exp() / scores.exp().sum(dim=-1, keepdim=True).clamp(min=1e-6)),
        among_pixels(finish=lambda found: found.clamp(-1e20, 1e20)),
        among_pixels(finish=lambda found: found.mean(dim=1, keepdim=True).expand_as(found)),
        among_pixels(finish=lambda found: found.unsqueeze(1)),
        among_pixels(finish=lambda found: found.detach()),
        lambda query, key, value, scale: value.mean(dim=1, keepdim=True).expand_as(value),
        lambda query, key, value, scale: F.scaled_dot_product_attention(query, key, value, scale=abs(float(scale))),
    ],
    "attentive_context": [
        gated(lambda own, found, gate: own + 1.01 * gate * found),
        gated(lambda own, found, gate: own + gate * found.clamp(-1, 1)),
        gated(lambda own, found, gate: torch.maximum(own, own + gate * found)),
        gated(lambda own, found, gate: own + gate * (found - own) + 0.999 * gate * own),
        gated(lambda own, found, gate: torch.addcmul(own, found, torch.as_tensor(gate).detach())),
        gated(lambda own, found, gate: own + (gate * found).detach()),
        gated(lambda own, found, gate: (own.double() + gate * found.double()).half().to(own.dtype)),
        gated(lambda own, found, gate: torch.cat([own, gate * found], dim=1)),
        gated(lambda own, found, gate: own + gate * found.mean(dim=(2, 3), keepdim=True)),
        gated(lambda own, found, gate: (own, gate * found)),
        gated(weigh=lambda scores: scores.softmax(dim=2)),
        gated(weigh=torch.sigmoid),
        gated(weigh=lambda scores: torch.full_like(scores, 1 / scores.shape[1])),
    ],
    "attention_cost": [
        costing(pairs=lambda n: (n - 1) ** 2 // 2),
        costing(pairs=lambda n: n * (n - 1) // 2 + 1),
        costing(pairs=lambda n: sum(range(2, n))),
        costing(pairs=lambda n: max(n * (n - 1) // 2, 1)),
        costing(pairs=lambda n: n * (n - 1) / 2),
        costing(pairs=lambda n: round(n * (n - 1) * 0.5) * 1.0),
        costing(of_pair=lambda c, k: c + k - 1),
        costing(of_pair=lambda c, k: max(c, k)),
        costing(of_pair=lambda c, k: (2 * k - 1) + (2 * c - 1)),
        costing(pixels=lambda h, w: (h * w, h * w * (h * w + 1) // 2)),
        costing(pixels=lambda h, w: (h * w, h**2 * w)),
        costing(pixels=lambda h, w: (h * w, (h * w) ** 2, h + w)),
        costing(pixels=lambda h, w: (h * w,)),
        lambda layers, height, width, channels, key_channels: None,
        lambda layers, height, width, channels, key_channels: (0, 0),
        lambda layers, height, width, channels, key_channels: {"depth-wise": 0, "full": 0},
    ],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(name, f, id=f"{name}-{n}") for name, wrong in UNNAMED.items() for n, f in enumerate(wrong)],
)
def test_wrong_function_that_nobody_named_loses_points_and_gets_a_diagnosis(name, function, assert_known_as_wrong):
    assert_known_as_wrong(CHECKS[name], function)


@pytest.mark.parametrize("right", [looking(), gated(), among_pixels(), costing()])
def test_what_the_wrong_functions_are_made_of_is_right(right):
    name = inspect.unwrap(right).__name__
    for seed in range(10):
        assert judged(name, right, seed).points == CHECKS[name].points


def test_overflow_costs_the_case_of_large_scores_and_no_other():
    overflowing = looking(lambda scores: scores.exp() / scores.exp().sum(dim=1, keepdim=True))
    assert lost("depthwise_attention", overflowing) == [LARGE]
    overflowing = among_pixels(lambda scores: scores.exp() / scores.exp().sum(dim=-1, keepdim=True))
    assert lost("nonlocal_attention", overflowing) == [LARGE]


def test_a_gate_of_zero_without_gradient_costs_the_gradients_and_no_other_case():
    branching = gated(lambda own, found, gate: own if gate == 0 else own + gate * found)
    assert lost("attentive_context", branching) == ["gradients"]


def test_counts_that_are_floats_cost_one_case_and_are_told_so():
    result = judged("attention_cost", costing(pairs=lambda n: n * (n - 1) / 2))
    (failed,) = [case for case in result.cases if not case.passed]
    assert "floats" in failed.diagnosis


def test_pytorchs_own_attention_is_right_where_query_or_key_is_scaled():
    def by_pytorch(query, key, value, scale):
        return F.scaled_dot_product_attention(query, key * scale, value, scale=1.0)

    for seed in range(10):
        assert not [case for case in judged("nonlocal_attention", by_pytorch, seed).cases if not case.passed]
