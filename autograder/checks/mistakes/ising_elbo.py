"""Wrong ways to write ``ising_elbo``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ENDS = "means at exactly −1 and 1"
FORM = "precision kept, inputs left alone"
NOT_A_NUMBER = "0 · log 0 comes out as NaN: it counts as 0, so keep zeros away from the logarithm"


def entropy(means):
    return (torch.special.entr((1 + means) / 2) + torch.special.entr((1 - means) / 2)).sum()


def energy(means, coupling, field):
    return 0.5 * means @ coupling @ means + field @ means


@mistake("lacks the ½ before mᵀJm: it holds every pair twice", caught_by="values")
def every_pair_twice(means, coupling, field):
    return means @ coupling @ means + field @ means + entropy(means)


@mistake("has a ½ too many: the upper triangle of J holds every pair once already", caught_by="values")
def half_of_the_triangle(means, coupling, field):
    return 0.5 * means @ coupling.triu() @ means + field @ means + entropy(means)


@mistake("halves the field as well: only the pairs are counted twice", caught_by="values")
def half_the_field(means, coupling, field):
    return 0.5 * (means @ coupling @ means + field @ means) + entropy(means)


@mistake("leaves the field out", caught_by="values")
def without_field(means, coupling, field):
    return 0.5 * means @ coupling @ means + entropy(means)


@mistake("has the sign of the field reversed", caught_by="values")
def opposite_field(means, coupling, field):
    return 0.5 * means @ coupling @ means - field @ means + entropy(means)


@mistake("has the sign of the coupling reversed", caught_by="values")
def opposite_coupling(means, coupling, field):
    return -0.5 * means @ coupling @ means + field @ means + entropy(means)


@mistake("leaves the coupling out", caught_by="values")
def without_coupling(means, coupling, field):
    return field @ means + entropy(means)


@mistake("subtracts the entropy: −Σ q log q is added", caught_by="values")
def entropy_subtracted(means, coupling, field):
    return energy(means, coupling, field) - entropy(means)


@mistake("leaves the entropy out", caught_by="values")
def without_entropy(means, coupling, field):
    return energy(means, coupling, field)


@mistake("is minus the bound: a free energy, to be minimised", caught_by="values")
def free_energy(means, coupling, field):
    return -energy(means, coupling, field) - entropy(means)


@mistake("has the sign of the energy reversed: a spin along its field is likely", caught_by="values")
def opposite_energy(means, coupling, field):
    return -energy(means, coupling, field) + entropy(means)


@mistake("takes the entropy in bits: nats are asked, so take the natural logarithm", caught_by="values")
def entropy_in_bits(means, coupling, field):
    return energy(means, coupling, field) + entropy(means) / math.log(2)


@mistake("leaves the half of the entropy out that belongs to s = −1", caught_by="values")
def one_state_only(means, coupling, field):
    return energy(means, coupling, field) + torch.special.entr((1 + means) / 2).sum()


@mistake("leaves the half of the entropy out that belongs to s = +1", caught_by="values")
def other_state_only(means, coupling, field):
    return energy(means, coupling, field) + torch.special.entr((1 - means) / 2).sum()


@mistake("halves the entropy", caught_by="values")
def half_the_entropy(means, coupling, field):
    return energy(means, coupling, field) + 0.5 * entropy(means)


@mistake("is without the ½ in the probabilities: q(s = ±1) is (1 ± m)/2", caught_by="values")
def probabilities_not_halved(means, coupling, field):
    up, down = 1 + means, 1 - means
    return energy(means, coupling, field) - (torch.xlogy(up, up) + torch.xlogy(down, down)).sum()


@mistake("lacks n log 2: −½ Σ (1 ± m) log(1 ± m) leaves the ½ inside the logarithm out", caught_by="values")
def without_log_two(means, coupling, field):
    up, down = 1 + means, 1 - means
    return energy(means, coupling, field) - 0.5 * (torch.xlogy(up, up) + torch.xlogy(down, down)).sum()


@mistake("takes the means for probabilities: q(s = 1) is (1 + m)/2", caught_by="values")
def means_as_probabilities(means, coupling, field):
    p = means.abs()
    return energy(means, coupling, field) + (torch.special.entr(p) + torch.special.entr(1 - p)).sum()


@mistake("puts probabilities where the means of spins belong: s is −1 or 1, not 0 or 1", caught_by="values")
def probabilities_as_means(means, coupling, field):
    return energy((1 + means) / 2, coupling, field) + entropy(means)


@mistake("averages the entropy over spins: it is summed", caught_by="values")
def average_entropy(means, coupling, field):
    return energy(means, coupling, field) + entropy(means) / len(means)


@mistake("averages over spins: the bound is on log Z of all of them", caught_by="values")
def per_spin(means, coupling, field):
    return (energy(means, coupling, field) + entropy(means)) / len(means)


@mistake("gives one number for each spin: they are still to be summed", caught_by="values")
def not_summed(means, coupling, field):
    each = torch.special.entr((1 + means) / 2) + torch.special.entr((1 - means) / 2)
    return 0.5 * means * (coupling @ means) + field * means + each


@mistake("sums over J m without weighing by m: each pair contributes J_ij m_i m_j", caught_by="values")
def felt_fields_summed(means, coupling, field):
    return 0.5 * (coupling @ means).sum() + field @ means + entropy(means)


@mistake("is independent spins' log Z, Σ log 2cosh(h + Jm), which is not the bound", caught_by="values")
def log_partition_of_felt_fields(means, coupling, field):
    return torch.log(2 * torch.cosh(field + coupling @ means)).sum()


@mistake("takes the entropy at tanh(h + Jm): it belongs to the means that are handed in", caught_by="values")
def entropy_after_an_update(means, coupling, field):
    return energy(means, coupling, field) + entropy(torch.tanh(field + coupling @ means))


@mistake(NOT_A_NUMBER, caught_by=ENDS)
def zero_times_infinity(means, coupling, field):
    up, down = (1 + means) / 2, (1 - means) / 2
    return energy(means, coupling, field) - (up * up.log() + down * down.log()).sum()


@mistake(NOT_A_NUMBER, caught_by=ENDS)
def through_artanh(means, coupling, field):
    natural = torch.atanh(means)
    each = torch.log(2 * torch.cosh(natural)) - natural * means
    return energy(means, coupling, field) + each.sum()


@mistake("replaces NaN after the sum, so that one spin at ±1 takes all entropy away", caught_by=ENDS)
def sum_replaced(means, coupling, field):
    up, down = (1 + means) / 2, (1 - means) / 2
    return energy(means, coupling, field) + torch.nan_to_num(-(up * up.log() + down * down.log()).sum())


@mistake("skips spins at ±1 altogether: they have no entropy, but energy they have", caught_by=ENDS)
def ends_skipped(means, coupling, field):
    inside = means.abs() < 1
    return energy(means[inside], coupling[inside][:, inside], field[inside]) + entropy(means[inside])


@mistake("moves means away from ±1 so far that it shows", caught_by=ENDS)
def far_from_the_ends(means, coupling, field):
    inside = means.clamp(-0.99, 0.99)
    return energy(means, coupling, field) + entropy(inside)


@mistake("adds a constant inside the logarithm that is large enough to show", caught_by=FORM)
def constant_in_the_logarithm(means, coupling, field):
    up, down = (1 + means) / 2, (1 - means) / 2
    return energy(means, coupling, field) - (up * (up + 4e-6).log() + down * (down + 4e-6).log()).sum()


@mistake(SINGLE_OUT, caught_by=FORM)
def single_precision(means, coupling, field):
    means = means.float()
    return energy(means, coupling.float(), field.float()) + entropy(means)


@mistake("returns a Python number: a tensor without dimensions is wanted", caught_by=FORM)
def python_number(means, coupling, field):
    return (energy(means, coupling, field) + entropy(means)).item()


@mistake("changes `means` in place: work on a new tensor", caught_by=FORM)
def in_place(means, coupling, field):
    up, down = (1 + means) / 2, (1 - means) / 2
    bound = energy(means, coupling, field) + torch.special.entr(up).sum() + torch.special.entr(down).sum()
    means.clamp_(-0.5, 0.5)
    return bound


@mistake("changes `coupling` in place: work on a new tensor", caught_by=FORM)
def coupling_changed(means, coupling, field):
    coupling *= 0.5
    bound = means @ coupling @ means + field @ means + entropy(means)
    coupling += coupling.clone() * (1 + 1e-9)
    return bound


@mistake("lacks the ½ before mᵀJm, and subtracts the entropy at that", caught_by="values")
def two_slips(means, coupling, field):
    return means @ coupling @ means + field @ means - entropy(means)


@mistake("is a matrix of one entry: a tensor without dimensions is wanted", caught_by="values")
def matrix_of_one_entry(means, coupling, field):
    column = means.unsqueeze(1)
    return 0.5 * column.T @ coupling @ column + field @ means + entropy(means)


@mistake(
    "counts the field twice: ½ stands before the coupling alone, and the energy is no average of both",
    caught_by="values",
)
def field_twice(means, coupling, field):
    return means @ (0.5 * coupling @ means + 2 * field) + entropy(means)


@mistake(SINGLE_INSIDE, caught_by=FORM)
def single_inside(means, coupling, field):
    return energy(means.float(), coupling.float(), field.float()).to(means.dtype) + entropy(means)


@mistake(DOUBLE_OUT, caught_by=FORM)
def double_out(means, coupling, field):
    means = means.double()
    return energy(means, coupling.double(), field.double()) + entropy(means)
