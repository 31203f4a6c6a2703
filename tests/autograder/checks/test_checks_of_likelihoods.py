"""Wrong likelihoods and draws of unit 04 that no list names: the cases themselves must catch them."""

import pytest
import torch
import torch.nn.functional as F

from autograder.checks.discretized_logistic_log_prob import DISCRETIZED_LOGISTIC_LOG_PROB
from autograder.checks.discretized_logistic_mixture_log_prob import DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB
from autograder.checks.discretized_logistic_mixture_sample import DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE
from autograder.checks.judge_component import judge_component
from autograder.checks.mistakes.discretized_logistic_log_prob import difference, product
from autograder.checks.mistakes.discretized_logistic_log_prob import log_prob as level_log_prob
from autograder.checks.mistakes.discretized_logistic_mixture_log_prob import by_colour, joined, shift
from autograder.checks.mistakes.discretized_logistic_mixture_log_prob import log_prob as mixture_log_prob
from autograder.checks.mistakes.discretized_logistic_mixture_sample import largest, sample, to_level
from avae_lib import components
from avae_lib.checking.harnesses import observe

CHECKS = {
    check.component: check
    for check in (
        DISCRETIZED_LOGISTIC_LOG_PROB,
        DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB,
        DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE,
    )
}


def lost(name, function, seed=11):
    check = CHECKS[name]
    cases = judge_component(check.trials(seed), check, lambda request: observe(function, request)).cases
    return [case.name for case in cases if not case.passed]


def of_levels(**stages):
    """discretized_logistic_log_prob that is right but for some stages."""
    return lambda x, mean, log_scale, bits: level_log_prob((x, mean, log_scale, bits), **stages)


def of_images(**stages):
    """discretized_logistic_mixture_log_prob that is right but for some stages."""
    return lambda x, params, bits: mixture_log_prob((x, params, bits), **stages)


def of_draws(**stages):
    """discretized_logistic_mixture_sample that is right but for some stages."""

    def draw(params, component_uniforms, level_uniforms, bits):
        return sample((params, component_uniforms, level_uniforms, bits), **stages)

    return draw


def without_the_first_pixel(params, component_uniforms, level_uniforms, bits):
    levels = of_draws()(params, component_uniforms, level_uniforms, bits)
    levels[:, :, 0, 0] = 0
    return levels


UNNAMED = {
    "discretized_logistic_log_prob": [
        of_levels(inside=lambda a, b: product(a, b) + 1e-3),
        of_levels(inside=lambda a, b: product(a, b).clamp(max=-0.5)),
        of_levels(inside=lambda a, b: product(a, b).half().double()),
        of_levels(inside=lambda a, b: torch.where(a > 0, product(a, b), difference(a, b).log())),
        of_levels(inside=lambda a, b: torch.where(a < 0, product(a, b), difference(a, b).log())),
        of_levels(inside=lambda a, b: torch.nan_to_num(difference(a, b).log(), neginf=-30.0)),
        of_levels(scale=lambda log_scale: log_scale.exp().clamp(min=2e-3)),
        of_levels(scale=lambda log_scale: log_scale.exp().clamp(max=50.0)),
        of_levels(scale=F.softplus),
        of_levels(ends=(lambda x, bits: x == 0, lambda a, b: 0 * a, lambda x, bits: x < 0, product)),
        lambda x, mean, log_scale, bits: level_log_prob((x, mean, log_scale.half(), bits)),
        lambda x, mean, log_scale, bits: level_log_prob((x, mean, log_scale, bits)).sum(),
        lambda x, mean, log_scale, bits: level_log_prob((x, mean, log_scale, bits)) / torch.tensor(2.0).log(),
        lambda x, mean, log_scale, bits: level_log_prob((x, mean + (mean.detach() - mean) / 2, log_scale, bits)),
        lambda x, mean, log_scale, bits: level_log_prob((x.flatten()[0], mean, log_scale, bits)),
    ],
    "discretized_logistic_mixture_log_prob": [
        of_images(weights=lambda logits: torch.log_softmax(logits / 2, dim=1)),
        of_images(weights=lambda logits: torch.log_softmax(logits.mean((2, 3), keepdim=True).expand_as(logits), dim=1)),
        of_images(bound=lambda log_scales: log_scales.clamp(-7, -2)),
        of_images(bound=lambda log_scales: log_scales.mean(1, keepdim=True).expand_as(log_scales).clamp(min=-7)),
        of_images(shift=lambda position, raw: 0.99 * shift(position, raw)),
        of_images(shift=lambda position, raw: shift(position, raw.mean(2, keepdim=True).expand_as(raw))),
        of_images(shift=lambda position, raw: shift(position.abs(), raw)),
        of_images(shift=lambda position, raw: shift(position, raw.half().double())),
        of_images(join=lambda w, of_colours: joined(w, of_colours.clamp(min=-50.0))),
        of_images(join=lambda w, of_colours: joined(w, of_colours).cumsum(0)),
        of_images(join=lambda w, of_colours: joined(w, of_colours).flip(0)),
        of_images(join=lambda w, of_colours: joined(w[..., :-1], of_colours[..., :-1])),
        of_images(split=lambda params: (part.clamp(-1, 1) for part in by_colour(params))),
        lambda x, params, bits: mixture_log_prob((x.transpose(2, 3), params.transpose(2, 3), bits)).unsqueeze(1),
        lambda x, params, bits: mixture_log_prob((x, params.half(), bits)).to(params.dtype),
        lambda x, params, bits: mixture_log_prob((x[:, [1, 0, 2]], params, bits)),
    ],
    "discretized_logistic_mixture_sample": [
        without_the_first_pixel,
        of_draws(choose=lambda logits, u: largest(logits / 2, u)),
        of_draws(choose=lambda logits, u: largest(logits, u.flip(1))),
        of_draws(choose=lambda logits, u: torch.zeros_like(logits[:, 0], dtype=torch.int64)),
        of_draws(spread=lambda scale, u: scale * torch.logit(u).clamp(-2, 2)),
        of_draws(spread=lambda scale, u: 0.95 * scale * torch.logit(u)),
        of_draws(level=lambda value, bits: to_level(value, bits).clamp(1, 2**bits - 2)),
        of_draws(level=lambda value, bits: to_level(value, bits) + 1),
        of_draws(green=lambda c, r: 0.5 * c[:, 0] * r),
        of_draws(green=lambda c, r: 0 * r),
        of_draws(blue=lambda c, r, g: c[:, 1] * r - c[:, 2] * g),
        of_draws(squash=lambda raw: raw.clamp(-1, 1)),
        of_draws(bound=lambda log_scales: log_scales.clamp(min=-9)),
        of_draws(dtype=torch.int8),
        lambda params, component_uniforms, level_uniforms, bits: level_uniforms.mul(2**bits).to(torch.uint8),
    ],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(name, wrong, id=f"{name}-{i}") for name, all_of in UNNAMED.items() for i, wrong in enumerate(all_of)],
)
def test_wrong_answers_that_no_list_names_lose_points(name, function):
    assert lost(name, function)


@pytest.mark.parametrize("seed", range(20))
def test_draws_stay_clear_of_ties_so_that_either_precision_gives_the_same_levels(seed):
    reference = components.find("discretized_logistic_mixture_sample").reference

    def in_double(params, component_uniforms, level_uniforms, bits):
        return reference(params.double(), component_uniforms.double(), level_uniforms.double(), bits)

    assert lost("discretized_logistic_mixture_sample", in_double, seed) == []


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("seed", range(3, 6))
def test_right_answers_pass_whatever_is_drawn(name, seed):
    for variant in CHECKS[name].variants:
        assert lost(name, variant.function, seed) == [], variant.name


def test_points():
    assert [check.points for check in CHECKS.values()] == [5, 10, 6]
