"""Right ways to write ``residual_gaussian``."""

import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def torch_add(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return torch.add(prior_mean, mean_shift), torch.add(prior_log_std, log_std_shift)


@variant
def one_sum_of_stacks(prior_mean, prior_log_std, mean_shift, log_std_shift):
    both = torch.stack([prior_mean, prior_log_std]) + torch.stack([mean_shift, log_std_shift])
    return both[0], both[1]


@variant
def loop_over_both(prior_mean, prior_log_std, mean_shift, log_std_shift):
    pairs = ((prior_mean, mean_shift), (prior_log_std, log_std_shift))
    return tuple(of_prior + shift for of_prior, shift in pairs)


@variant
def in_double_precision(prior_mean, prior_log_std, mean_shift, log_std_shift):
    mean = (prior_mean.double() + mean_shift.double()).to(prior_mean.dtype)
    return mean, (prior_log_std.double() + log_std_shift.double()).to(prior_mean.dtype)


@variant
def edited_copies(prior_mean, prior_log_std, mean_shift, log_std_shift):
    mean, log_std = prior_mean.clone(), prior_log_std.clone()
    mean += mean_shift
    log_std += log_std_shift
    print("the largest log_std is", log_std.max().item(), file=sys.stderr)
    return mean, log_std


@variant
def shifts_first(prior_mean, prior_log_std, mean_shift, log_std_shift):
    return mean_shift.add(prior_mean), log_std_shift.sub(-prior_log_std)


@variant
def by_lerp(prior_mean, prior_log_std, mean_shift, log_std_shift):
    def moved(start, shift):
        return torch.lerp(start, start + shift, 1.0)

    return moved(prior_mean, mean_shift), moved(prior_log_std, log_std_shift)
