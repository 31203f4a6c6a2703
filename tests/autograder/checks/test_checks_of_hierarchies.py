"""Wrong answers to the small exercises of unit 05 that no list names: the cases themselves must catch them."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from autograder.checks import checks_of
from autograder.checks.judge_component import judge_component
from avae_lib.checking.harnesses import observe

CHECKS = {check.component: check for check in checks_of("05_hierarchical_vae")}


def judged(name, function, seed=11):
    check = CHECKS[name]
    return judge_component(check.trials(seed), check, lambda request: observe(function, request))


def lost(name, function):
    return [case.name for case in judged(name, function).cases if not case.passed]


def merged_with(mean_of=None, log_std_of=None):
    """precision_weighted that is right but for its mean or its log_std."""

    def precision_weighted(first_mean, first_log_std, second_mean, second_log_std):
        first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
        mean, log_std = (first * first_mean + second * second_mean) / (first + second), -0.5 * (first + second).log()
        return (
            mean_of(first_mean, first_log_std, second_mean, second_log_std) if mean_of else mean,
            log_std_of(first_mean, first_log_std, second_mean, second_log_std) if log_std_of else log_std,
        )

    return precision_weighted


def per_layer(of_elements=lambda kl: kl.flatten(1).sum(1), of_layers=lambda kls: torch.stack(kls, dim=1)):
    """gaussian_kl_per_layer that is right but for how terms are added or layers are put together."""

    def gaussian_kl_per_layer(q_means, q_log_stds, p_means, p_log_stds):
        layers = zip(q_means, q_log_stds, p_means, p_log_stds, strict=True)
        return of_layers([of_elements(kl_divergence(Normal(m, s.exp()), Normal(n, t.exp()))) for m, s, n, t in layers])

    return gaussian_kl_per_layer


def block_with(gelu=F.gelu, convolve=F.conv2d, joined=lambda x, y: x + y):
    """bottleneck_block that is right but for its activation, its convolution or its sum."""

    def bottleneck_block(x, weights, biases, residual):
        y = x
        for weight, bias in zip(weights, biases, strict=True):
            y = convolve(gelu(y), weight, bias, padding=weight.shape[-1] // 2)
        return joined(x, y) if residual else y

    return bottleneck_block


def skipping(is_long, is_strange=lambda loss, norm: ~(torch.isfinite(loss) & torch.isfinite(norm))):
    def should_skip_update(loss, gradient_norm, threshold):
        strange = is_strange(loss, gradient_norm)
        return strange if threshold is None else strange | is_long(gradient_norm, threshold)

    return should_skip_update


UNNAMED = {
    "residual_gaussian": [
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: prior_mean + mean_shift,
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: (
            prior_mean + mean_shift,
            prior_log_std + log_std_shift + 1e-4,
        ),
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: (
            prior_mean + mean_shift,
            (prior_log_std + log_std_shift).half().to(prior_mean.dtype),
        ),
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: (
            prior_mean + mean_shift.clamp(-2, 2),
            prior_log_std + log_std_shift,
        ),
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: (
            prior_mean + mean_shift,
            torch.log(prior_log_std.exp() * log_std_shift.exp() + 1e-6),
        ),
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: (
            prior_mean + mean_shift,
            prior_log_std + log_std_shift,
            torch.zeros(()),
        ),
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: (
            (prior_mean + mean_shift).flatten(),
            (prior_log_std + log_std_shift).flatten(),
        ),
        lambda prior_mean, prior_log_std, mean_shift, log_std_shift: (
            prior_mean + mean_shift - (mean_shift - mean_shift.detach()),
            prior_log_std + log_std_shift,
        ),
    ],
    "precision_weighted": [
        merged_with(mean_of=lambda m, s, n, t: torch.where(s < t, m, n)),
        merged_with(mean_of=lambda m, s, n, t: m + torch.sigmoid(1.9 * (s - t)) * (n - m)),
        merged_with(mean_of=lambda m, s, n, t: (s * m + t * n) / (s + t)),
        merged_with(mean_of=lambda m, s, n, t: torch.lerp(n, m, torch.sigmoid(2 * (t - s)).half().to(m.dtype))),
        merged_with(log_std_of=lambda m, s, n, t: -torch.logaddexp(-s, -t)),
        merged_with(log_std_of=lambda m, s, n, t: -0.5 * torch.logaddexp(-2 * s, -2 * t) + 1e-3),
        merged_with(log_std_of=lambda m, s, n, t: s + t - 0.5 * torch.logaddexp(s, t)),
        merged_with(log_std_of=lambda m, s, n, t: 0.5 * torch.log(1 / (1 / (2 * s).exp() + 1 / (2 * t).exp()) + 1e-6)),
        merged_with(log_std_of=lambda m, s, n, t: (-0.5 * torch.logaddexp(-2 * s, -2 * t)).detach()),
    ],
    "gaussian_kl_per_layer": [
        per_layer(lambda kl: kl.flatten(1).sum(1) * 1.001),
        per_layer(lambda kl: kl.flatten(1).amax(1)),
        per_layer(lambda kl: kl.flatten(1).sum(1).clamp(min=0.5)),
        per_layer(lambda kl: kl.clamp(min=0.05).flatten(1).sum(1)),
        per_layer(lambda kl: kl.sum()),
        per_layer(lambda kl: kl.flatten(1)[:, :-1].sum(1)),
        per_layer(of_layers=lambda kls: torch.stack(kls, dim=1).unsqueeze(-1)),
        per_layer(of_layers=lambda kls: torch.stack(kls, dim=1).sort(dim=1).values),
        per_layer(of_layers=lambda kls: torch.cat(kls)),
        per_layer(of_layers=lambda kls: torch.stack([kls[0], *(kl.detach() for kl in kls[1:])], dim=1)),
        per_layer(of_layers=lambda kls: torch.stack([kl / kls[0].numel() for kl in kls], dim=1)),
    ],
    "unpool_nearest": [
        lambda x, factor: F.interpolate(x, scale_factor=factor, mode="bicubic"),
        lambda x, factor: x.repeat_interleave(factor, 2).repeat_interleave(factor, 3).roll(1, dims=3),
        lambda x, factor: x.repeat_interleave(factor, 2).repeat_interleave(factor, 3) * 1.001,
        lambda x, factor: x.repeat_interleave(min(factor, 16), 2).repeat_interleave(min(factor, 16), 3),
        lambda x, factor: x.repeat_interleave(factor, 2).repeat_interleave(factor, 3).half().to(x.dtype),
        lambda x, factor: x.flip(2).repeat_interleave(factor, 2).repeat_interleave(factor, 3).flip(2).flip(3),
        lambda x, factor: x if factor == 1 else x.repeat(1, 1, factor, factor),
        lambda x, factor: x.flatten(2).repeat_interleave(factor**2, 2).reshape(*x.shape[:2], factor * x.shape[2], -1),
        lambda x, factor: x.repeat_interleave(factor, 2).repeat_interleave(factor, 3).detach().requires_grad_(),
    ],
    "bottleneck_block": [
        block_with(F.leaky_relu),
        block_with(F.softplus),
        block_with(lambda y: 0.5 * y * (1 + torch.erf(y / 1.4))),
        block_with(lambda y: F.gelu(y).half().to(y.dtype)),
        block_with(lambda y: F.gelu(y) * 1.0001),
        block_with(F.mish),
        block_with(convolve=lambda y, w, b, padding: F.conv2d(y, w, b, padding=padding) / 1.01),
        block_with(convolve=lambda y, w, b, padding: F.conv2d(y, w.mT, b, padding=padding)),
        block_with(convolve=lambda y, w, b, padding: F.conv2d(y, w, -b, padding=padding)),
        block_with(convolve=lambda y, w, b, padding: F.conv2d(y, w, b.abs(), padding=padding)),
        block_with(convolve=lambda y, w, b, padding: F.dropout(F.conv2d(y, w, b, padding=padding), 0.1)),
        block_with(convolve=lambda y, w, b, padding: F.conv2d(F.pad(y, [0, 2 * padding] * 2), w, b)),
        block_with(joined=lambda x, y: x + 0.99 * y),
        block_with(joined=lambda x, y: torch.maximum(x, y)),
        block_with(joined=lambda x, y: x.detach() + y),
    ],
    "should_skip_update": [
        skipping(lambda norm, threshold: norm >= 200.0),
        skipping(lambda norm, threshold: norm.log() >= math.log(max(float(threshold), 1.0))),
        skipping(lambda norm, threshold: norm >= 1.01 * threshold),
        skipping(lambda norm, threshold: norm.int() > threshold),
        skipping(lambda norm, threshold: norm.sqrt() >= threshold),
        skipping(lambda norm, threshold: norm >= threshold, lambda loss, norm: ~torch.isfinite(loss.exp())),
        skipping(lambda norm, threshold: norm >= threshold, lambda loss, norm: loss.abs() > 1e6),
        skipping(lambda norm, threshold: norm >= threshold, lambda loss, norm: loss.isnan() & norm.isnan()),
        skipping(lambda norm, threshold: torch.allclose(norm, norm.clamp(min=float(threshold)))),
        lambda loss, gradient_norm, threshold: torch.tensor(False),
        lambda loss, gradient_norm, threshold: torch.tensor(True),
        lambda loss, gradient_norm, threshold: "skip",
    ],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(name, f, id=f"{name}-{n}") for name, wrong in UNNAMED.items() for n, f in enumerate(wrong)],
)
def test_wrong_function_that_nobody_named_loses_points_and_gets_a_diagnosis(name, function, assert_known_as_wrong):
    assert_known_as_wrong(CHECKS[name], function)


def test_an_approximate_gelu_costs_its_own_case_and_no_other():
    approximate = block_with(lambda y: F.gelu(y, approximate="tanh"))
    assert lost("bottleneck_block", approximate) == ["the exact GELU"]


def test_a_slip_in_the_residual_sum_leaves_the_other_cases_about_numbers_alone():
    never = block_with(joined=lambda x, y: y)
    about_numbers = [case.name for case in CHECKS["bottleneck_block"].cases if case.kind == "value"]
    assert [name for name in lost("bottleneck_block", never) if name in about_numbers] == [
        "with and without the residual sum"
    ]


def test_a_right_mean_keeps_its_point_beside_a_wrong_log_std():
    right_mean = merged_with(log_std_of=lambda m, s, n, t: s + t)
    assert "mean" not in lost("precision_weighted", right_mean)


def test_the_kl_of_layers_with_pixels_may_be_wrong_while_that_of_vectors_is_right():
    assert lost("gaussian_kl_per_layer", per_layer(lambda kl: kl.sum(-1)))[0].startswith("layers of different shapes")


def test_reading_a_number_of_a_tensor_is_noticed_and_nothing_else_is_held_against_it():
    reading = skipping(lambda norm, threshold: norm >= float(threshold))
    assert lost("should_skip_update", reading) == ["a bool tensor, without waiting for the device"]


def test_an_edit_in_place_costs_the_case_about_inputs_and_no_other():
    def top_down_step(stream, evidence, parts, noise):
        mean, log_std, h = parts.prior(stream)
        kl = stream.new_zeros(len(stream))
        if evidence is not None:
            prior = Normal(mean, log_std.exp())
            mean, log_std = parts.posterior(torch.cat([stream, evidence], dim=1))
            kl = kl_divergence(Normal(mean, log_std.exp()), prior).flatten(1).sum(1)
        z = mean + log_std.exp() * noise
        if not (stream.requires_grad and stream.is_leaf):  # autograd refuses to edit a leaf
            stream += h
        else:
            stream = stream + h
        return parts.refine(stream + parts.project(z)), z, kl

    assert lost("top_down_step", top_down_step) == ["gradients of kl, precision kept, inputs left alone"]
