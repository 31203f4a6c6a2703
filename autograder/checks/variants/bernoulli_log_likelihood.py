"""Right ways to write ``bernoulli_log_likelihood``."""

import sys

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Independent

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def cross_entropy_with_logits(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").view(len(x), -1).sum(-1)


@variant
def softplus_form(logits, x):
    return (x * logits - F.softplus(logits)).sum(dim=tuple(range(1, logits.ndim)))


@variant
def logaddexp_form(logits, x):
    return (x * logits - torch.logaddexp(logits, torch.zeros_like(logits))).flatten(start_dim=1).sum(dim=1)


@variant
def torch_distribution(logits, x):
    pixels = Bernoulli(logits=logits, validate_args=False)
    return Independent(pixels, logits.ndim - 1).log_prob(x)


@variant
def loop_over_examples(logits, x):
    result = []
    for row, pixels in zip(logits, x, strict=True):
        total = 0.0
        for logit, pixel in zip(row.flatten(), pixels.flatten(), strict=True):
            total = total + pixel * F.logsigmoid(logit) + (1 - pixel) * F.logsigmoid(-logit)
        result.append(total)
    return torch.stack(result)


@variant
def einsum(logits, x):
    def rows(tensor):
        return tensor.flatten(1)

    first = torch.einsum("bd,bd->b", rows(x), F.logsigmoid(rows(logits)))
    return first + torch.einsum("bd,bd->b", rows(1 - x), F.logsigmoid(-rows(logits)))


@variant
def by_largest_logit(logits, x):
    tail = torch.log1p(torch.exp(-logits.abs()))
    return (x * logits - logits.relu() - tail).flatten(1).sum(1)


@variant
def in_double_precision(logits, x):
    print("logits", logits.shape, file=sys.stderr)
    terms = -F.binary_cross_entropy_with_logits(logits.double(), x.double(), reduction="none")
    return terms.flatten(1).sum(1).to(logits.dtype)


@variant
def two_class_cross_entropy(logits, x):
    log_p = torch.log_softmax(torch.stack([torch.zeros_like(logits), logits]), dim=0)
    return (log_p * torch.stack([1 - x, x])).sum(0).flatten(1).sum(1)


@variant
def logarithm_without_log1p(logits, x):
    tail = torch.log(1 + torch.exp(-logits.abs()))
    return (x * logits - logits.clamp(min=0) - tail).flatten(1).sum(1)


@variant
def matrix_product(logits, x):
    terms = (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).reshape(len(x), -1)
    return terms @ torch.ones(terms.shape[1], dtype=terms.dtype)


@variant
def classes_black_and_white(logits, x):
    scores = torch.stack([torch.zeros_like(logits), logits], dim=1).flatten(2)
    shares = torch.stack([1 - x, x], dim=1).flatten(2)
    return -F.cross_entropy(scores, shares, reduction="none").sum(-1)


@variant
def example_by_example(logits, x):
    pairs = zip(logits, x, strict=True)
    return -torch.stack([F.binary_cross_entropy_with_logits(row, pixels, reduction="sum") for row, pixels in pairs])
