"""Wrong ways to write ``ising_elbo``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ENDS = "means at exactly −1 and 1"
NOT_A_NUMBER = "0 · log 0 gives NaN: it counts as 0, so keep zeros out of the logarithm"


def entropy(means):
    return (torch.special.entr((1 + means) / 2) + torch.special.entr((1 - means) / 2)).sum()


def energy(means, coupling, field):
    return 0.5 * means @ coupling @ means + field @ means


@mistake("the ½ before mᵀJm is missing: mᵀJm counts every pair twice", caught_by="values")
def every_pair_twice(means, coupling, field):
    return means @ coupling @ means + field @ means + entropy(means)


@mistake("has one ½ too many: the upper triangle of J holds every pair only once", caught_by="values")
def half_of_the_triangle(means, coupling, field):
    return 0.5 * means @ coupling.triu() @ means + field @ means + entropy(means)


@mistake("halves the field as well: only pairs are counted twice", caught_by="values")
def half_the_field(means, coupling, field):
    return 0.5 * (means @ coupling @ means + field @ means) + entropy(means)


@mistake("leaves out the field", caught_by="values")
def without_field(means, coupling, field):
    return 0.5 * means @ coupling @ means + entropy(means)


@mistake("reverses the sign of the field", caught_by="values")
def opposite_field(means, coupling, field):
    return 0.5 * means @ coupling @ means - field @ means + entropy(means)


@mistake("reverses the sign of the coupling", caught_by="values")
def opposite_coupling(means, coupling, field):
    return -0.5 * means @ coupling @ means + field @ means + entropy(means)


@mistake("leaves out the coupling", caught_by="values")
def without_coupling(means, coupling, field):
    return field @ means + entropy(means)


@mistake("subtracts the entropy: add −Σ q log q", caught_by="values")
def entropy_subtracted(means, coupling, field):
    return energy(means, coupling, field) - entropy(means)


@mistake("leaves out the entropy", caught_by="values")
def without_entropy(means, coupling, field):
    return energy(means, coupling, field)


@mistake("returns minus the bound, a free energy", caught_by="values")
def free_energy(means, coupling, field):
    return -energy(means, coupling, field) - entropy(means)


@mistake("reverses the sign of the energy: a spin along its field is likely", caught_by="values")
def opposite_energy(means, coupling, field):
    return -energy(means, coupling, field) + entropy(means)


@mistake("computes the entropy in bits: use the natural logarithm, so that it is in nats", caught_by="values")
def entropy_in_bits(means, coupling, field):
    return energy(means, coupling, field) + entropy(means) / math.log(2)


@mistake("leaves out the entropy term of s = −1", caught_by="values")
def one_state_only(means, coupling, field):
    return energy(means, coupling, field) + torch.special.entr((1 + means) / 2).sum()


@mistake("leaves out the entropy term of s = +1", caught_by="values")
def other_state_only(means, coupling, field):
    return energy(means, coupling, field) + torch.special.entr((1 - means) / 2).sum()


@mistake("halves the entropy", caught_by="values")
def half_the_entropy(means, coupling, field):
    return energy(means, coupling, field) + 0.5 * entropy(means)


@mistake("the ½ in the probabilities is missing: q(s = ±1) is (1 ± m)/2", caught_by="values")
def probabilities_not_halved(means, coupling, field):
    up, down = 1 + means, 1 - means
    return energy(means, coupling, field) - (torch.xlogy(up, up) + torch.xlogy(down, down)).sum()


@mistake("leaves out n log 2: in −½ Σ (1 ± m) log(1 ± m) the ½ inside the logarithm is missing", caught_by="values")
def without_log_two(means, coupling, field):
    up, down = 1 + means, 1 - means
    return energy(means, coupling, field) - 0.5 * (torch.xlogy(up, up) + torch.xlogy(down, down)).sum()


@mistake("takes the means for probabilities: q(s = 1) is (1 + m)/2", caught_by="values")
def means_as_probabilities(means, coupling, field):
    p = means.abs()
    return energy(means, coupling, field) + (torch.special.entr(p) + torch.special.entr(1 - p)).sum()


@mistake("uses probabilities in place of the means: s is −1 or 1, not 0 or 1", caught_by="values")
def probabilities_as_means(means, coupling, field):
    return energy((1 + means) / 2, coupling, field) + entropy(means)


@mistake("averages the entropy over spins: sum it", caught_by="values")
def average_entropy(means, coupling, field):
    return energy(means, coupling, field) + entropy(means) / len(means)


@mistake("averages over spins: the bound is on log Z of all of them together", caught_by="values")
def per_spin(means, coupling, field):
    return (energy(means, coupling, field) + entropy(means)) / len(means)


@mistake("returns one number for each spin: sum them", caught_by="values")
def not_summed(means, coupling, field):
    each = torch.special.entr((1 + means) / 2) + torch.special.entr((1 - means) / 2)
    return 0.5 * means * (coupling @ means) + field * means + each


@mistake("sums J m without weighting by m: each pair contributes J_ij m_i m_j", caught_by="values")
def felt_fields_summed(means, coupling, field):
    return 0.5 * (coupling @ means).sum() + field @ means + entropy(means)


@mistake("returns Σ log 2cosh(h + Jm), the log Z of independent spins: this is not the bound", caught_by="values")
def log_partition_of_felt_fields(means, coupling, field):
    return torch.log(2 * torch.cosh(field + coupling @ means)).sum()


@mistake("takes the entropy at tanh(h + Jm): take it at the means that are passed in", caught_by="values")
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


@mistake("replaces NaN after the sum, so one spin at ±1 removes all entropy", caught_by=ENDS)
def sum_replaced(means, coupling, field):
    up, down = (1 + means) / 2, (1 - means) / 2
    return energy(means, coupling, field) + torch.nan_to_num(-(up * up.log() + down * down.log()).sum())


@mistake("skips spins at ±1 altogether: their entropy is 0, but they still have energy", caught_by=ENDS)
def ends_skipped(means, coupling, field):
    inside = means.abs() < 1
    return energy(means[inside], coupling[inside][:, inside], field[inside]) + entropy(means[inside])


@mistake("moves means so far away from ±1 that the bound changes", caught_by=ENDS)
def far_from_the_ends(means, coupling, field):
    inside = means.clamp(-0.99, 0.99)
    return energy(means, coupling, field) + entropy(inside)


@mistake("adds a constant inside the logarithm that is large enough to change the bound", caught_by=PRECISION_KEPT)
def constant_in_the_logarithm(means, coupling, field):
    up, down = (1 + means) / 2, (1 - means) / 2
    return energy(means, coupling, field) - (up * (up + 4e-6).log() + down * (down + 4e-6).log()).sum()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(means, coupling, field):
    means = means.float()
    return energy(means, coupling.float(), field.float()) + entropy(means)


@mistake("returns a Python number: return a scalar tensor", caught_by=PRECISION_KEPT)
def python_number(means, coupling, field):
    return (energy(means, coupling, field) + entropy(means)).item()


@mistake("changes `means` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def in_place(means, coupling, field):
    up, down = (1 + means) / 2, (1 - means) / 2
    bound = energy(means, coupling, field) + torch.special.entr(up).sum() + torch.special.entr(down).sum()
    means.clamp_(-0.5, 0.5)
    return bound


@mistake("changes `coupling` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def coupling_changed(means, coupling, field):
    coupling *= 0.5
    bound = means @ coupling @ means + field @ means + entropy(means)
    coupling += coupling.clone() * (1 + 1e-9)
    return bound


@mistake("the ½ before mᵀJm is missing, and the entropy is subtracted", caught_by="values")
def two_slips(means, coupling, field):
    return means @ coupling @ means + field @ means - entropy(means)


@mistake("returns a matrix of one entry: return a scalar tensor", caught_by="values")
def matrix_of_one_entry(means, coupling, field):
    column = means.unsqueeze(1)
    return 0.5 * column.T @ coupling @ column + field @ means + entropy(means)


@mistake(
    "counts the field twice: the ½ applies to the coupling only",
    caught_by="values",
)
def field_twice(means, coupling, field):
    return means @ (0.5 * coupling @ means + 2 * field) + entropy(means)


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(means, coupling, field):
    return energy(means.float(), coupling.float(), field.float()).to(means.dtype) + entropy(means)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(means, coupling, field):
    means = means.double()
    return energy(means, coupling.double(), field.double()) + entropy(means)
