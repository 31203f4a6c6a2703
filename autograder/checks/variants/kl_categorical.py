"""Right ways to write ``kl_categorical``."""

import math
import sys

import torch
import torch.nn.functional as F
from torch.distributions import Categorical, kl_divergence

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def zeros_masked(q, p):
    return torch.where(q > 0, q * (q / p).log(), torch.zeros_like(q)).sum(dim=-1)


@variant
def logarithms_masked(q, p):
    possible = q > 0
    log_q = torch.log(torch.where(possible, q, torch.ones_like(q)))
    log_p = torch.log(torch.where(possible, p, torch.ones_like(p)))
    return torch.sum(q * (log_q - log_p), -1)


@variant
def xlogy(q, p):
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)


@variant
def cross_entropy_minus_entropy(q, p):
    return -torch.xlogy(q, p).sum(dim=-1) - torch.special.entr(q).sum(dim=-1)


@variant
def of_torch_distributions(q, p):
    return kl_divergence(Categorical(probs=q), Categorical(probs=p))


@variant
def kl_div_of_torch(q, p):
    contributions = F.kl_div(p.log(), q, reduction="none")
    return contributions.masked_fill(q == 0, 0.0).sum(-1)


@variant
def normalised_once_more(q, p):
    q, p = q / q.sum(-1, keepdim=True), p / p.sum(-1, keepdim=True)
    return torch.where(q == 0, 0.0, q * (q.log() - p.log())).sum(-1)


@variant
def loop_over_outcomes(q, p):
    total = torch.zeros_like(q[..., 0])
    for q_k, p_k in zip(q.unbind(-1), p.unbind(-1), strict=True):
        total = total + torch.where(q_k > 0, q_k * torch.log(q_k / p_k), 0.0)
    return total


@variant
def loop_over_rows(q, p):
    print("shape", tuple(q.shape))
    print("UserWarning: nothing is wrong", file=sys.stderr)
    rows = [
        sum((a * torch.log(a / b) for a, b in zip(row_q, row_p, strict=True) if a > 0), torch.zeros((), dtype=q.dtype))
        for row_q, row_p in zip(q.reshape(-1, q.shape[-1]), p.reshape(-1, p.shape[-1]), strict=True)
    ]
    return torch.stack(rows).reshape(q.shape[:-1])


@variant
def in_double_precision(q, p):
    exact_q, exact_p = q.double(), p.double()
    return torch.where(exact_q > 0, exact_q * torch.log(exact_q / exact_p), 0.0).sum(-1).to(q.dtype)


@variant
def einsum(q, p):
    log_ratio = torch.where(q > 0, q, 1.0).log() - torch.where(q > 0, p, 1.0).log()
    return torch.einsum("...k,...k->...", q, log_ratio.masked_fill((q > 0) & (p == 0), math.inf))


@variant
def infinity_by_hand(q, p):
    finite = torch.where((q > 0) & (p > 0), q * (q / p).log(), 0.0).sum(dim=-1)
    return finite.masked_fill(((q > 0) & (p == 0)).any(dim=-1), float("inf"))


@variant
def without_what_is_not_a_number(q, p):
    return (q * (q / p).log()).nansum(dim=-1)


@variant
def logarithms_of_powers(q, p):
    return torch.where(q > 0, (q / p) ** q, 1.0).log().sum(-1)
