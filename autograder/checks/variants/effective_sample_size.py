"""Right ways to write ``effective_sample_size``."""

import torch
import torch.nn.functional as F

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def of_normalised_weights(log_weights):
    return 1 / torch.softmax(log_weights, dim=0).square().sum(dim=0)


@variant
def of_logarithms_relative_to_the_largest(log_weights):
    relative = log_weights - log_weights.max(dim=0, keepdim=True).values
    return torch.exp(2 * torch.logsumexp(relative, dim=0) - torch.logsumexp(2 * relative, dim=0))


@variant
def by_the_variance(log_weights):
    weights = torch.exp(log_weights - log_weights.amax(dim=0, keepdim=True).detach())
    mean = weights.mean(dim=0)
    return len(weights) / (1 + ((weights - mean) ** 2).mean(dim=0) / mean**2)


@variant
def by_log_softmax(log_weights):
    return torch.exp(-torch.logsumexp(2 * F.log_softmax(log_weights, dim=0), dim=0))


@variant
def example_by_example(log_weights):
    sizes = []
    for column in log_weights.T:
        weights = torch.exp(column - column.max())
        print("largest", float(column.detach().max()))
        sizes.append(weights.sum() ** 2 / torch.dot(weights, weights))
    return torch.stack(sizes)
