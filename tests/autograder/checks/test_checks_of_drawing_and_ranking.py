"""Wrong answers about ROC curves, temperatures and kept layers that no list names: the cases must catch them."""

import pytest
import torch

from autograder.checks import checks_of
from autograder.checks.judge_component import judge_component
from avae_lib.checking.harnesses import observe

CHECKS = {check.component: check for check in checks_of("07_evaluation")}


def judged(name, function, seed=11):
    check = CHECKS[name]
    return judge_component(check.trials(seed), check, lambda request: observe(function, request))


def lost(name, function):
    return {case.name: case.diagnosis for case in judged(name, function).cases if not case.passed}


def area(inside, outside):
    ordered = inside.sort().values
    twice = torch.searchsorted(ordered, outside) + torch.searchsorted(ordered, outside, right=True)
    return (twice.double().mean() / (2 * len(inside))).to(inside.dtype)


def sampled(mean, log_std, temperature, noise):
    return mean + temperature * torch.exp(log_std) * noise


UNNAMED = {
    "area_under_roc": [
        lambda inside, outside: torch.tensor(0.5),
        lambda inside, outside: area(inside, outside) * 1.001,
        lambda inside, outside: area(inside, outside).half().to(inside.dtype),
        lambda inside, outside: area(inside, outside).round(decimals=2),
        lambda inside, outside: area(inside, outside).clamp(0.01, 0.99),
        lambda inside, outside: area(inside.half(), outside.half()).to(inside.dtype),
        lambda inside, outside: area(inside[1:], outside) if len(inside) > 1 else area(inside, outside),
        lambda inside, outside: area(inside - inside.mean(), outside - inside.mean()),
        lambda inside, outside: area(inside.tanh(), outside.tanh()),
        lambda inside, outside: area(inside.square(), outside.square()),
        lambda inside, outside: area(torch.cat([inside, outside]), outside),
        lambda inside, outside: (area(inside, outside), 0.0),
        lambda inside, outside: f"{area(inside, outside):.4f}",
        lambda inside, outside: area(inside, outside).expand(len(inside)),
        lambda inside, outside: torch.where(area(inside, outside) > 0.5, 1.0, 0.0),
    ],
    "temperature_sample": [
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature, noise) * 1.001,
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, round(temperature), noise),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature**2, noise),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature, noise.abs()),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature, noise.flip(0)),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std.clamp(-1, 1), temperature, noise),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature, noise).flatten(),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature, noise - noise.mean()),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature + 1e-6, noise),
        lambda mean, log_std, temperature, noise: sampled(mean.half().to(mean.dtype), log_std, temperature, noise),
        lambda mean, log_std, temperature, noise: sampled(mean, log_std, temperature, noise).detach().requires_grad_(),
    ],
    "keep_top_layers": [
        lambda posterior_draws, prior_draws, keep: posterior_draws,
        lambda posterior_draws, prior_draws, keep: prior_draws[:],
        lambda posterior_draws, prior_draws, keep: [],
        lambda posterior_draws, prior_draws, keep: None,
        lambda posterior_draws, prior_draws, keep: posterior_draws[:keep] + [None] * (len(prior_draws) - keep),
        lambda posterior_draws, prior_draws, keep: posterior_draws[: keep - 1] + prior_draws[keep - 1 :],
        lambda posterior_draws, prior_draws, keep: [posterior_draws[:keep], prior_draws[keep:]],
        lambda posterior_draws, prior_draws, keep: dict(enumerate(posterior_draws[:keep] + prior_draws[keep:])),
        lambda posterior_draws, prior_draws, keep: (posterior_draws[:keep] + prior_draws[keep:], keep),
        lambda posterior_draws, prior_draws, keep: posterior_draws[-keep:] + prior_draws[keep:],
        lambda posterior_draws, prior_draws, keep: [z * 1 for z in posterior_draws[:keep]] + prior_draws[keep:],
        lambda posterior_draws, prior_draws, keep: prior_draws[keep:] + posterior_draws[:keep],
    ],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(name, f, id=f"{name}-{n}") for name, wrong in UNNAMED.items() for n, f in enumerate(wrong)],
)
def test_wrong_function_that_nobody_named_loses_points_and_gets_a_diagnosis(name, function, assert_known_as_wrong):
    assert_known_as_wrong(CHECKS[name], function)


def test_ties_and_pairs_cost_one_case_each():
    def strict(inside, outside):
        return (outside[:, None] > inside).to(inside.dtype).mean()

    assert list(lost("area_under_roc", strict)) == ["ties count half", "no list of all pairs"]


def test_work_in_pieces_is_not_held_for_a_list_of_all_pairs():
    def in_pieces(inside, outside):
        shares = [(1 + torch.sign(outside[:, None] - piece)).double().sum() / 2 for piece in inside.split(1024)]
        return (sum(shares) / (len(inside) * len(outside))).to(inside.dtype)

    assert not lost("area_under_roc", in_pieces)


def test_a_list_of_all_pairs_is_seen_in_python_and_numpy_too():
    def python_list(inside, outside):
        pairs = [(s < t) + 0.5 * (s == t) for s in inside.tolist() for t in outside.tolist()]
        return torch.tensor(sum(pairs) / len(pairs), dtype=inside.dtype)

    def numpy_matrix(inside, outside):
        import numpy as np

        signs = np.sign(np.subtract.outer(outside.numpy(), inside.numpy()))
        return torch.tensor((1 + signs.mean()) / 2, dtype=inside.dtype)

    for function in (python_list, numpy_matrix):
        assert "no list of all pairs" in lost("area_under_roc", function)


def test_a_tempered_variance_keeps_the_point_for_none():
    def on_the_variance(mean, log_std, temperature, noise):
        return mean + temperature**0.5 * log_std.exp() * noise

    said = lost("temperature_sample", on_the_variance)
    assert "variance" in said["values"]


def test_copies_cost_the_case_about_objects_and_no_other():
    def copied(posterior_draws, prior_draws, keep):
        return [z.clone() if torch.is_tensor(z) else z for z in posterior_draws[:keep] + prior_draws[keep:]]

    assert list(lost("keep_top_layers", copied)) == ["the same objects in a new list"]
