"""Wrong ways to write ``log_mean_exp``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ANY_DIMENSION = "any dimension, counted from either end"
FORM = "precision kept, input left alone"


@mistake("returns log-sum-exp: subtract log n, to divide the sum by the number of entries", caught_by="values")
def sum_for_mean(x, dim):
    return torch.logsumexp(x, dim=dim)


@mistake("divides the logarithm by n: the division belongs inside the logarithm, so subtract log n", caught_by="values")
def logarithm_divided(x, dim):
    return torch.logsumexp(x, dim=dim) / x.shape[dim]


@mistake("adds log n: subtract it", caught_by="values")
def log_n_added(x, dim):
    return torch.logsumexp(x, dim=dim) + math.log(x.shape[dim])


@mistake("returns the mean of x: the logarithm of a mean is not the mean of the logarithms", caught_by="values")
def mean_of_logarithms(x, dim):
    return x.mean(dim=dim)


@mistake("subtracts n, not its logarithm", caught_by="values")
def n_subtracted(x, dim):
    return torch.logsumexp(x, dim=dim) - x.shape[dim]


@mistake("divides by the number of all entries, not by the size of `dim`", caught_by="values")
def divided_by_all_entries(x, dim):
    return torch.logsumexp(x, dim=dim) - math.log(x.numel())


@mistake("divides by the size of dimension 0, whatever `dim` is", caught_by="values")
def divided_by_first_size(x, dim):
    return torch.logsumexp(x, dim=dim) - math.log(x.shape[0])


@mistake("divides by the size of the last dimension, whatever `dim` is", caught_by="values")
def divided_by_last_size(x, dim):
    return torch.logsumexp(x, dim=dim) - math.log(x.shape[-1])


@mistake("uses log10 or log2: use the natural logarithm", caught_by="values")
def decimal_logarithm(x, dim):
    return torch.log10(torch.exp(x).mean(dim=dim))


@mistake("uses log10 or log2: use the natural logarithm", caught_by="values")
def binary_logarithm(x, dim):
    return torch.log2(torch.exp(x).mean(dim=dim))


@mistake("averages over the last dimension, whatever `dim` is", caught_by="values")
def last_dimension_always(x, dim):
    return torch.logsumexp(x, dim=-1) - math.log(x.shape[-1])


@mistake("averages over dimension 0, whatever `dim` is", caught_by="values")
def first_dimension_always(x, dim):
    return torch.logsumexp(x, dim=0) - math.log(x.shape[0])


@mistake("averages over all dimensions at once, not over `dim` alone", caught_by="values")
def all_dimensions(x, dim):
    return torch.logsumexp(x.flatten(), dim=0) - math.log(x.numel())


@mistake("keeps the averaged dimension with size one: remove it (keepdim=False)", caught_by="values")
def dimension_kept(x, dim):
    return torch.logsumexp(x, dim=dim, keepdim=True) - math.log(x.shape[dim])


@mistake("subtracts the largest entry and does not add it back", caught_by="values")
def largest_not_added_back(x, dim):
    largest = x.amax(dim=dim, keepdim=True)
    return torch.log(torch.exp(x - largest).mean(dim=dim))


@mistake("uses the absolute value of a negative `dim`: -1 is the last dimension", caught_by=ANY_DIMENSION)
def negative_dimension_mirrored(x, dim):
    return torch.logsumexp(x, dim=abs(dim) % x.ndim) - math.log(x.shape[abs(dim) % x.ndim])


@mistake(
    "works for matrices only; x may have any number of dimensions", caught_by="any dimension, counted from either end"
)
def matrices_only(x, dim):
    rows = x if dim in (1, -1) else x.transpose(0, 1)
    return torch.stack([torch.logsumexp(row, dim=0) - math.log(len(row)) for row in rows])


@mistake(
    "exp of a very negative number is zero, and log(0) is −∞: subtract the largest entry first",
    caught_by="very negative logarithms",
)
def underflow(x, dim):
    return torch.log(torch.exp(x).mean(dim))


@mistake("clamps x before exp: large entries are cut off", caught_by="large logarithms")
def clamped(x, dim):
    return torch.log(torch.exp(x.clamp(-80, 80)).mean(dim=dim))


@mistake(
    "subtracts the largest entry of the whole tensor: other rows underflow to −∞, so use the largest of each row",
    caught_by="large logarithms",
)
def largest_of_all(x, dim):
    return x.max() + torch.log(torch.exp(x - x.max()).mean(dim=dim))


@mistake("subtracts the mean, which does not stop the largest entry from overflowing", caught_by="large logarithms")
def mean_subtracted(x, dim):
    mean = x.mean()
    return mean + torch.log(torch.exp(x - mean).mean(dim=dim))


@mistake(
    "exp overflows to infinity: subtract the largest entry before it and add it back after",
    caught_by="large logarithms",
)
def overflow(x, dim):
    return torch.log(torch.exp(x).mean(dim=dim))


@mistake("returns the largest entry: all entries count", caught_by="values")
def largest_entry(x, dim):
    return x.amax(dim=dim)


@mistake("returns the largest entry minus log n: all entries count", caught_by="values")
def largest_entry_alone(x, dim):
    return x.amax(dim=dim) - math.log(x.shape[dim])


@mistake(
    "adds a small constant inside the logarithm, which swallows very negative entries",
    caught_by="very negative logarithms",
)
def small_constant_added(x, dim):
    largest = x.amax(dim=dim, keepdim=True).clamp(min=0)
    return largest.squeeze(dim) + torch.log(torch.exp(x - largest).mean(dim=dim) + 1e-8)


@mistake(
    "subtracts the largest absolute value, so very negative entries underflow", caught_by="very negative logarithms"
)
def largest_absolute_value(x, dim):
    largest = x.abs().amax(dim=dim, keepdim=True)
    return largest.squeeze(dim) + torch.log(torch.exp(x - largest).mean(dim=dim))


@mistake(SINGLE_OUT, caught_by=FORM)
def single_precision(x, dim):
    return torch.logsumexp(x.float(), dim=dim) - math.log(x.shape[dim])


@mistake("changes its input x in place", caught_by=FORM)
def input_changed(x, dim):
    largest = x.amax(dim=dim, keepdim=True)
    x -= largest
    return largest.squeeze(dim) + torch.log(torch.exp(x).mean(dim=dim))


@mistake("subtracts a fixed number before exp: subtract the largest entry of each row", caught_by="values")
def fixed_number_subtracted(x, dim):
    return 100.0 + torch.log(torch.exp(x - 100.0).mean(dim=dim))


@mistake("divides by n twice, inside the logarithm and outside", caught_by="values")
def divided_twice(x, dim):
    n = x.shape[dim]
    return torch.logsumexp(x - math.log(n), dim=dim) - math.log(n)


@mistake("sums over all dimensions, and does not divide by the number of entries", caught_by="values")
def sum_over_all_dimensions(x, dim):
    return torch.logsumexp(x.flatten(), dim=0)


@mistake(SINGLE_INSIDE, caught_by=FORM)
def single_inside(x, dim):
    return torch.logsumexp(x.float(), dim=dim).to(x.dtype) - math.log(x.shape[dim])


@mistake(DOUBLE_OUT, caught_by=FORM)
def double_out(x, dim):
    return torch.logsumexp(x.double(), dim=dim) - math.log(x.shape[dim])


@mistake("subtracts the base-10 logarithm of n: use the natural logarithm", caught_by="values")
def decimal_logarithm_of_n(x, dim):
    return torch.logsumexp(x, dim=dim) - math.log10(x.shape[dim])
