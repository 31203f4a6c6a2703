"""What people write in a hurry for the two exercises that are algorithms: no list names it, the cases must catch it."""

import pytest
import torch

from autograder.checks import all_checks
from autograder.checks.judge_component import judge_component
from avae_lib.checking.harnesses import observe
from avae_lib.meanfield import ising_elbo, ising_mean_field_sweep

CHECKS = {check.component: check for check in all_checks()}


def lost(name, function, seed):
    """The cases that a function fails, with what is said of each."""
    check = CHECKS[name]
    result = judge_component(check.trials(seed), check, lambda request: observe(function, request))
    return {case.name: case.diagnosis for case in result.cases if not case.passed}


def log_tilted(log_p, values, multiplier):
    return torch.log_softmax(log_p + multiplier * values, dim=0)


def answered(find):
    """information_projection with λ found by ``find(log p, values less the mean, tolerance)``."""

    def information_projection(log_p, values, mean, tolerance):
        multiplier = find(log_p, values - mean, tolerance)
        return log_tilted(log_p, values - mean, multiplier), log_p.new_tensor(float(multiplier))

    return information_projection


def error_at(log_p, excess, multiplier):
    return log_tilted(log_p, excess, multiplier).exp() @ excess


def grid_search(log_p, excess, tolerance):
    grid = torch.linspace(-400, 400, 801, dtype=excess.dtype)
    return grid[torch.stack([error_at(log_p, excess, place).abs() for place in grid]).argmin()]


def clipped_newton(log_p, excess, tolerance):
    multiplier = 0.0
    for _ in range(100):
        q = log_tilted(log_p, excess, multiplier).exp()
        error = q @ excess
        multiplier -= (error / (q @ (excess - error) ** 2 + 1e-12)).clamp(-1, 1).item()
    return multiplier


def adam(log_p, excess, tolerance):
    multiplier = torch.zeros((), dtype=excess.dtype, requires_grad=True)
    optimizer = torch.optim.Adam([multiplier], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        torch.logsumexp(log_p + multiplier * excess, 0).backward()
        optimizer.step()
    return multiplier.detach()


def bisection(reach, steps=100, until=None):
    def find(log_p, excess, tolerance):
        low, high = -reach, reach
        for _ in range(steps):
            middle = (low + high) / 2
            error = error_at(log_p, excess, middle)
            if until is not None and abs(error) < until:
                break
            low, high = (middle, high) if error < 0 else (low, middle)
        return middle

    return find


def large_negative_for_infinity(log_p, values, mean, tolerance):
    log_q, multiplier = answered(bisection(1e5))(log_p.clamp(min=-1e9), values, mean, tolerance)
    return log_q, multiplier


def in_units_of_the_range(log_p, values, mean, tolerance):
    log_q, multiplier = answered(bisection(1e5))(log_p, values, mean, tolerance)
    return log_q, multiplier * (values.max() - values.min())


def with_the_offset_left_in_the_normaliser(log_p, values, mean, tolerance):
    _, multiplier = answered(bisection(1e5))(log_p, values, mean, tolerance)
    return log_p + multiplier * values - torch.logsumexp(log_p + multiplier * (values - mean), 0), multiplier


def fitted(at_rest, most=200):
    def mean_field_fit(coupling, field, start, tolerance):
        means, bounds = start, []
        while len(bounds) < most:
            before, means = means, ising_mean_field_sweep(means, coupling, field)
            bounds.append(ising_elbo(means, coupling, field))
            if at_rest(means, before, bounds, tolerance):
                break
        return means, torch.stack(bounds)

    return mean_field_fit


def largest_move(means, before, bounds, tolerance):
    return (means - before).abs().max() <= tolerance


def both_rules(means, before, bounds, tolerance):
    stands_still = len(bounds) > 1 and abs(bounds[-1] - bounds[-2]) <= tolerance
    return stands_still or largest_move(means, before, bounds, tolerance)


def with_room_for_200_bounds(coupling, field, start, tolerance):
    means, bounds = fitted(largest_move)(coupling, field, start, tolerance)
    return means, torch.cat([bounds, bounds.new_zeros(200 - len(bounds))])


def best_bound_so_far(coupling, field, start, tolerance):
    means, bounds = fitted(largest_move)(coupling, field, start, tolerance)
    return means, bounds.max().expand(len(bounds))


def rounded(coupling, field, start, tolerance):
    means, bounds = fitted(largest_move)(coupling, field, start, tolerance)
    return means.round(decimals=3), bounds


WRONG = {
    "information_projection": [
        answered(grid_search),
        answered(clipped_newton),
        answered(adam),
        answered(bisection(50.0)),
        answered(bisection(1e5, steps=30)),
        answered(bisection(1e5, until=1e-3)),
        large_negative_for_infinity,
        in_units_of_the_range,
        with_the_offset_left_in_the_normaliser,
    ],
    "mean_field_fit": [
        fitted(both_rules),
        fitted(lambda means, before, bounds, tolerance: torch.linalg.norm(means - before) <= tolerance),
        fitted(lambda means, before, bounds, tolerance: ((means - before) ** 2).max() <= tolerance),
        fitted(lambda means, before, bounds, tolerance: torch.allclose(means, before, atol=1e-8)),
        fitted(largest_move, most=199),
        fitted(largest_move, most=2),
        with_room_for_200_bounds,
        best_bound_so_far,
        rounded,
    ],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(name, f, id=f"{name}-{n}") for name, wrong in WRONG.items() for n, f in enumerate(wrong)],
)
def test_what_is_written_in_a_hurry_loses_points_and_is_told_why(name, function):
    said = lost(name, function, seed=1)
    assert said and all(said.values())


@pytest.mark.parametrize("name", WRONG)
def test_every_draw_leaves_the_right_answer_all_its_points(name):
    for seed in range(100, 110):
        assert not lost(name, CHECKS[name].variants[0].function, seed)
