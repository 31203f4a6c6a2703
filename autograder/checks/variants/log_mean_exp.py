"""Right ways to write ``log_mean_exp``."""

import math
import sys

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def largest_subtracted(x, dim):
    largest, _ = x.max(dim=dim, keepdim=True)
    return largest.squeeze(dim) + (x - largest).exp().mean(dim).log()


@variant
def loop_over_slices(x, dim):
    total = None
    for part in x.unbind(dim):
        total = part if total is None else torch.logaddexp(total, part)
    return total - math.log(x.size(dim))


@variant
def log_softmax_rearranged(x, dim):
    log_sums = x - torch.log_softmax(x, dim=dim)
    return log_sums.mean(dim) - torch.tensor(float(x.shape[dim])).log()


@variant
def inside_the_sum(x, dim):
    return torch.logsumexp(x - np.log(x.shape[dim]), dim)


@variant
def in_double_precision(x, dim):
    return (torch.logsumexp(x.double(), dim) - math.log(x.shape[dim])).to(x.dtype)


@variant
def with_numpy_inside(x, dim):
    array = x.detach().numpy()
    largest = array.max(axis=dim, keepdims=True)
    mean = np.exp(array - largest).mean(axis=dim)
    return torch.from_numpy(np.asarray(np.log(mean) + np.squeeze(largest, axis=dim), dtype=array.dtype))


@variant
def talkative(x, dim):
    print("x has shape", x.shape)
    print("a warning nobody needs", file=sys.stderr)
    return torch.logsumexp(x, dim=dim) - math.log(x.shape[dim])


@variant
def one_number_at_a_time(x, dim):
    def of_row(row):
        largest = max(row)
        return largest + math.log(sum(math.exp(entry - largest) for entry in row) / len(row))

    rows = x.movedim(dim, -1)
    flat = [of_row(row) for row in rows.reshape(-1, rows.shape[-1]).tolist()]
    return torch.tensor(flat, dtype=x.dtype).reshape(rows.shape[:-1])


@variant
def running_mean(x, dim):
    first, *others = x.unbind(dim)
    mean = first
    for k, entry in enumerate(others, start=1):
        mean = torch.logaddexp(mean + math.log(k / (k + 1)), entry - math.log(k + 1))
    return mean


@variant
def largest_entry_apart(x, dim):
    largest, place = x.max(dim=dim, keepdim=True)
    others = torch.exp(x - largest).scatter(dim, place, 0.0).sum(dim)
    return largest.squeeze(dim) + torch.log1p(others) - math.log(x.shape[dim])


@variant
def last_of_the_cumulative_sums(x, dim):
    return torch.logcumsumexp(x, dim).select(dim, -1) - math.log(x.shape[dim])
