"""Right ways to write ``negative_elbo``."""

import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def two_means(log_likelihood, kl, beta=1.0):
    return -log_likelihood.mean() + beta * kl.sum(-1).mean()


@variant
def one_sum_over_everything(log_likelihood, kl, beta=1.0):
    batch = log_likelihood.shape[0]
    return (beta * kl.sum() - log_likelihood.sum()) / batch


@variant
def mean_over_batch_first(log_likelihood, kl, beta=1.0):
    return torch.sum(beta * kl.mean(dim=0)) - torch.mean(log_likelihood)


@variant
def loop_over_examples(log_likelihood, kl, beta=1.0):
    total = 0
    for example in range(len(log_likelihood)):
        bound = log_likelihood[example]
        for layer in range(kl.shape[1]):
            bound = bound - beta * kl[example, layer]
        total = total - bound
    return total / len(log_likelihood)


@variant
def einsum(log_likelihood, kl, beta=1.0):
    return (beta * torch.einsum("bl->b", kl) - log_likelihood).mean(dim=0)


@variant
def matrix_product(log_likelihood, kl, beta=1.0):
    layers = torch.full((kl.size(1),), float(beta), dtype=kl.dtype)
    print(kl.shape, file=sys.stderr)
    return torch.mean(kl @ layers - log_likelihood)


@variant
def in_double_precision(log_likelihood, kl, beta=1.0):
    def bound(example_log_likelihood, example_kl):
        return example_log_likelihood.double() - beta * example_kl.double().sum(dim=1)

    return -bound(log_likelihood, kl).mean().to(kl.dtype)


@variant
def talkative(log_likelihood, kl, beta=1.0):
    loss = torch.cat([beta * kl, -log_likelihood[:, None]], dim=1).sum(dim=1).mean()
    print(f"loss {loss.item():.3f}, beta {beta}")
    return loss


@variant
def matrix_times_vector(log_likelihood, kl, beta=1.0):
    return torch.addmv(-log_likelihood, kl, torch.full((kl.shape[1],), beta, dtype=kl.dtype)).mean()
