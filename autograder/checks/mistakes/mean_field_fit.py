"""Wrong ways to write ``mean_field_fit``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

MEANS = "means at the end"
BOUNDS = "bounds of all sweeps"
STOP = "when to stop"
MOST = "no more than 200 sweeps"
PARALLEL = "updates all spins at once: update them one by one, each from the newest values"
EARLY = "stops too early: in the last sweep a mean still moved by more than the tolerance"
LATE = "goes on too long: in an earlier sweep no mean moved by more than the tolerance"
ONE_SWEEP = "stops after the first sweep: if the old means are not a copy (clone), they change along with the new ones"


def sweep(means, coupling, field):
    means = means.clone()
    for i in range(len(means)):
        means[i] = torch.tanh(field[i] + coupling[i] @ means)
    return means


def elbo(means, coupling, field):
    up = (1 + means) / 2
    entropy = torch.special.entr(up) + torch.special.entr(1 - up)
    return 0.5 * means @ coupling @ means + field @ means + entropy.sum()


def largest_move(after, before):
    return (after - before).abs().max().item()


def fitted(coupling, field, start, at_rest, step=sweep, bound=elbo, most=200):
    """The means and the list of bounds; the loop ends when ``at_rest(new means, old means, bounds)`` is true."""
    means, bounds = start, []
    while len(bounds) < most:
        before, means = means, step(means, coupling, field)
        bounds.append(bound(means, coupling, field))
        if at_rest(means, before, bounds):
            break
    return means, bounds


@mistake(PARALLEL, caught_by=MEANS)
def parallel_updates(coupling, field, start, tolerance):
    def step(means, coupling, field):
        return torch.tanh(field + coupling @ means)

    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, step)
    return means, torch.stack(bounds)


@mistake(ONE_SWEEP, caught_by=MEANS)
def copy_that_is_none(coupling, field, start, tolerance):
    means, bounds = start.clone(), []
    for _ in range(200):
        before = means
        for i in range(len(means)):
            means[i] = torch.tanh(field[i] + coupling[i] @ means)
        bounds.append(elbo(means, coupling, field))
        if largest_move(means, before) <= tolerance:
            break
    return means, torch.stack(bounds)


@mistake(ONE_SWEEP, caught_by=MEANS)
def returns_inside_the_loop(coupling, field, start, tolerance):
    means = sweep(start, coupling, field)
    return means, elbo(means, coupling, field).reshape(1)


@mistake(
    "starts from zero, or from the fields: use the start that is given, which decides where the fit ends",
    caught_by=MEANS,
)
def starts_from_the_fields(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, field.tanh(), lambda m, b, _: largest_move(m, b) <= tolerance)
    return means, torch.stack(bounds)


@mistake("returns the means before the last sweep", caught_by=STOP)
def means_before_the_last_sweep(coupling, field, start, tolerance):
    means, bounds = start, []
    while len(bounds) < 200:
        new = sweep(means, coupling, field)
        bounds.append(elbo(new, coupling, field))
        if largest_move(new, means) <= tolerance:
            break
        means = new
    return means, torch.stack(bounds)


@mistake("returns the bounds first: the means come first, then the bounds", caught_by=MEANS)
def results_exchanged(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)
    return torch.stack(bounds), means


@mistake("returns the means only: return the bounds of all sweeps too", caught_by=MEANS)
def means_only(coupling, field, start, tolerance):
    return fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)[0]


@mistake("takes only part of each step: set each mean to its new value", caught_by=BOUNDS)
def damped_steps(coupling, field, start, tolerance):
    def step(means, coupling, field):
        return 0.5 * (means + sweep(means, coupling, field))

    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, step)
    return means, torch.stack(bounds)


@mistake("puts the bound of the start first: the first bound is the one after the first sweep", caught_by=BOUNDS)
def start_included(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)
    return means, torch.stack([elbo(start, coupling, field), *bounds])


@mistake("computes the bound before each sweep: compute it after the sweep", caught_by=BOUNDS)
def bounds_before_the_sweeps(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)
    return means, torch.stack([elbo(start, coupling, field), *bounds[:-1]])


@mistake("leaves out the bound of the last sweep: append the bound before testing whether to stop", caught_by=BOUNDS)
def last_bound_missing(coupling, field, start, tolerance):
    means, bounds = start, [elbo(start, coupling, field)][:0]
    while len(bounds) < 200:
        before, means = means, sweep(means, coupling, field)
        if largest_move(means, before) <= tolerance:
            break
        bounds.append(elbo(means, coupling, field))
    return means, torch.stack(bounds) if bounds else start.new_zeros(0)


@mistake("returns only the last bound: return the bounds of all sweeps", caught_by=BOUNDS)
def last_bound_only(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)
    return means, bounds[-1]


@mistake("returns a list of bounds: return one tensor of shape (sweeps,)", caught_by=BOUNDS)
def list_of_bounds(coupling, field, start, tolerance):
    return fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)


@mistake("leaves out the entropy in the bound", caught_by=BOUNDS)
def energy_only(coupling, field, start, tolerance):
    def energy(means, coupling, field):
        return 0.5 * means @ coupling @ means + field @ means

    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, bound=energy)
    return means, torch.stack(bounds)


@mistake("counts each pair twice in the bound: the ½ is missing", caught_by=BOUNDS)
def pairs_twice(coupling, field, start, tolerance):
    def bound(means, coupling, field):
        return elbo(means, 2 * coupling, field)

    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, bound=bound)
    return means, torch.stack(bounds)


@mistake("has log 0 in the bound: a spin whose mean is −1 or 1 has entropy 0, not NaN", caught_by=BOUNDS)
def entropy_of_certain_spins(coupling, field, start, tolerance):
    def bound(means, coupling, field):
        up = (1 + means) / 2
        entropy = -(up * up.log() + (1 - up) * (1 - up).log())
        return 0.5 * means @ coupling @ means + field @ means + entropy.sum()

    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, bound=bound)
    return means, torch.stack(bounds)


@mistake(LATE, caught_by=STOP)
def one_sweep_too_many(coupling, field, start, tolerance):
    def at_rest(means, before, bounds):
        quiet.append(largest_move(means, before) <= tolerance)
        return len(quiet) > 1 and quiet[-2]

    quiet: list[bool] = []
    means, bounds = fitted(coupling, field, start, at_rest)
    return means, torch.stack(bounds)


@mistake(EARLY, caught_by=STOP)
def stops_by_the_bound(coupling, field, start, tolerance):
    def at_rest(means, before, bounds):
        return abs(bounds[-1] - elbo(before, coupling, field)) <= tolerance

    means, bounds = fitted(coupling, field, start, at_rest)
    return means, torch.stack(bounds)


@mistake(EARLY, caught_by=STOP)
def stops_by_the_average_move(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: (m - b).abs().mean() <= tolerance)
    return means, torch.stack(bounds)


@mistake(LATE, caught_by=STOP)
def stops_by_the_sum_of_moves(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: (m - b).abs().sum() <= tolerance)
    return means, torch.stack(bounds)


@mistake(LATE, caught_by=STOP)
def stops_by_the_length_of_the_move(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: torch.linalg.vector_norm(m - b) <= tolerance)
    return means, torch.stack(bounds)


@mistake("continues where a mean moves by exactly the tolerance: only a larger move counts", caught_by=STOP)
def equal_is_not_enough(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) < tolerance)
    return means, torch.stack(bounds)


@mistake(EARLY, caught_by=STOP)
def stops_by_the_smallest_move(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: (m - b).abs().min() <= tolerance)
    return means, torch.stack(bounds)


@mistake(EARLY, caught_by=STOP)
def moves_with_their_sign(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: (m - b).max() <= tolerance)
    return means, torch.stack(bounds)


@mistake(LATE, caught_by=STOP)
def compares_with_the_start(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, _, __: largest_move(m, start) <= tolerance)
    return means, torch.stack(bounds)


@mistake(LATE, caught_by=STOP)
def ignores_the_tolerance(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda *_: False)
    return means, torch.stack(bounds)


@mistake(LATE, caught_by=STOP)
def two_sweeps_at_least(coupling, field, start, tolerance):
    def at_rest(means, before, bounds):
        return len(bounds) > 1 and largest_move(means, before) <= tolerance

    means, bounds = fitted(coupling, field, start, at_rest)
    return means, torch.stack(bounds)


@mistake("stops after 100 sweeps: go on to 200", caught_by=MOST)
def gives_up_early(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, most=100)
    return means, torch.stack(bounds)


@mistake("goes on beyond 200 sweeps", caught_by=MOST)
def never_gives_up(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, most=1000)
    return means, torch.stack(bounds)


@mistake("makes 201 sweeps: stop after 200", caught_by=MOST)
def one_more_than_the_most(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance, most=201)
    return means, torch.stack(bounds)


@mistake("changes `start` in place: work on a clone", caught_by=PRECISION_KEPT)
def start_overwritten(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)
    start.copy_(means)
    return start, torch.stack(bounds)


@mistake(
    "collects the bounds as Python numbers, which become float32: pass the dtype to torch.tensor",
    caught_by=PRECISION_KEPT,
)
def bounds_in_single_precision(coupling, field, start, tolerance):
    means, bounds = fitted(coupling, field, start, lambda m, b, _: largest_move(m, b) <= tolerance)
    return means, torch.tensor([bound.item() for bound in bounds])
