"""Right ways to write ``precision_weighted``."""

import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def as_in_the_paper(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    variance = 1 / (first + second)
    return (first * first_mean + second * second_mean) * variance, 0.5 * torch.log(variance)


@variant
def with_a_logistic_weight(first_mean, first_log_std, second_mean, second_log_std):
    weight = torch.sigmoid(2 * (second_log_std - first_log_std))
    log_std = -0.5 * torch.logaddexp(-2 * first_log_std, -2 * second_log_std)
    return weight * first_mean + torch.sigmoid(2 * (first_log_std - second_log_std)) * second_mean, log_std


@variant
def gain_and_innovation(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(2 * first_log_std), torch.exp(2 * second_log_std)
    gain = first / (first + second)
    return first_mean + gain * (second_mean - first_mean), 0.5 * torch.log(first * second / (first + second))


@variant
def softmax_over_the_two(first_mean, first_log_std, second_mean, second_log_std):
    log_precisions = -2 * torch.stack([first_log_std, second_log_std])
    print("precisions up to", log_precisions.max().exp().item(), file=sys.stderr)
    mean = (log_precisions.softmax(0) * torch.stack([first_mean, second_mean])).sum(0)
    return mean, -0.5 * log_precisions.logsumexp(0)


@variant
def harmonic_sum_of_variances(first_mean, first_log_std, second_mean, second_log_std):
    first_std, second_std = first_log_std.exp(), second_log_std.exp()
    variance = 1 / (1 / first_std**2 + 1 / second_std**2)
    return variance * (first_mean / first_std**2 + second_mean / second_std**2), variance.sqrt().log()


@variant
def natural_parameters(first_mean, first_log_std, second_mean, second_log_std):
    parameters = torch.zeros(2, *first_mean.shape, dtype=first_mean.dtype)
    for mean, log_std in ((first_mean, first_log_std), (second_mean, second_log_std)):
        precision = torch.exp(-2 * log_std)
        parameters = parameters + torch.stack([precision * mean, precision])
    return parameters[0] / parameters[1], -parameters[1].log() / 2


@variant
def relative_to_the_narrower(first_mean, first_log_std, second_mean, second_log_std):
    narrow = torch.minimum(first_log_std, second_log_std)
    first = torch.exp(2 * (narrow - first_log_std))
    second = torch.exp(2 * (narrow - second_log_std))
    total = first + second
    return (first * first_mean + second * second_mean) / total, narrow - 0.5 * torch.log(total)


@variant
def list_in_double_precision(first_mean, first_log_std, second_mean, second_log_std):
    dtype = first_mean.dtype
    m, s, n, t = (value.double() for value in (first_mean, first_log_std, second_mean, second_log_std))
    mean = (m * (2 * t).exp() + n * (2 * s).exp()) / ((2 * s).exp() + (2 * t).exp())
    return [mean.to(dtype), (s + t - 0.5 * torch.log((2 * s).exp() + (2 * t).exp())).to(dtype)]
