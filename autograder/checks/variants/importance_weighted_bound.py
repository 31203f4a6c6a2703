"""Right ways to write ``importance_weighted_bound``."""

import math
import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def largest_subtracted(log_weights):
    largest = log_weights.max(dim=0).values
    return largest + (log_weights - largest).exp().mean(dim=0).log()


@variant
def detached_largest(log_weights):
    largest = log_weights.detach().amax(0, keepdim=True)
    return largest[0] + torch.log(torch.mean(torch.exp(log_weights - largest), 0))


@variant
def loop_over_examples(log_weights):
    bounds = []
    for example in range(log_weights.shape[1]):
        column = log_weights[:, example]
        bounds.append(torch.logsumexp(column, 0) - math.log(len(column)))
    return torch.stack(bounds)


@variant
def loop_over_samples(log_weights):
    total = log_weights[0]
    for weights in log_weights[1:]:
        total = torch.logaddexp(total, weights)
    return total - torch.log(torch.tensor(float(log_weights.size(0))))


@variant
def divided_beforehand(log_weights):
    samples, _ = log_weights.shape
    print("samples:", samples)
    print("a remark nobody asked for", file=sys.stderr)
    return torch.logsumexp(log_weights - math.log(samples), dim=0)


@variant
def einsum(log_weights):
    largest = log_weights.amax(dim=0)
    shares = torch.exp(log_weights - largest)
    return torch.log(torch.einsum("kb->b", shares) / shares.shape[0]) + largest


@variant
def through_log_softmax(log_weights):
    return (log_weights[0] - torch.log_softmax(log_weights, dim=0)[0]) - math.log(len(log_weights))


@variant
def transposed_and_in_double(log_weights):
    def bound(rows):
        return rows.double().logsumexp(-1) - math.log(rows.shape[-1])

    return bound(log_weights.T).to(log_weights.dtype)


@variant
def mixture_of_torch(log_weights):
    weights = torch.distributions.Categorical(logits=torch.zeros_like(log_weights.T)).logits
    return torch.logsumexp(weights + log_weights.T, dim=-1)


@variant
def last_of_the_cumulative_sums(log_weights):
    return torch.logcumsumexp(log_weights, dim=0)[-1] - math.log(log_weights.shape[0])
