"""Right ways to write ``area_under_roc``."""

import bisect
import sys

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def counted_from_above(inside, outside):
    ordered = outside.sort().values
    above = len(outside) - torch.searchsorted(ordered, inside, right=True)
    tied = torch.searchsorted(ordered, inside, right=True) - torch.searchsorted(ordered, inside)
    return ((above.sum() + 0.5 * tied.sum().double()) / (len(inside) * len(outside))).to(inside.dtype)


@variant
def by_mean_ranks(inside, outside):
    n, m = len(inside), len(outside)
    _, place, counts = torch.cat([inside, outside]).unique(return_inverse=True, return_counts=True)
    mean_ranks = counts.cumsum(0) - (counts - 1).double() / 2
    rank_sum = mean_ranks[place[n:]].sum()
    return ((rank_sum - m * (m + 1) / 2) / (n * m)).to(inside.dtype)


@variant
def by_trapezoids(inside, outside):
    levels, place = torch.cat([inside, outside]).unique(return_inverse=True)
    place = len(levels) - 1 - place  # the highest score first
    in_level = torch.bincount(place[: len(inside)], minlength=len(levels))
    out_level = torch.bincount(place[len(inside) :], minlength=len(levels))
    origin = in_level.new_zeros(1)
    false_positives = torch.cat([origin, in_level.cumsum(0)]).double() / len(inside)
    true_positives = torch.cat([origin, out_level.cumsum(0)]).double() / len(outside)
    return torch.trapezoid(true_positives, false_positives).to(inside.dtype)


@variant
def trapezoids_in_the_inputs_precision(inside, outside):
    levels, place = torch.cat([inside, outside]).unique(return_inverse=True)
    n, m = len(inside), len(outside)
    false_positives = torch.bincount(place[:n], minlength=len(levels)).flip(0).cumsum(0).to(inside.dtype) / n
    true_positives = torch.bincount(place[n:], minlength=len(levels)).flip(0).cumsum(0).to(inside.dtype) / m
    widths = false_positives.diff(prepend=false_positives.new_zeros(1))
    heights = true_positives + torch.cat([true_positives.new_zeros(1), true_positives[:-1]])
    return (widths * heights).sum() / 2


@variant
def by_scikit_learn(inside, outside):
    from sklearn.metrics import roc_auc_score

    is_outside = np.repeat([0, 1], [len(inside), len(outside)])
    area = roc_auc_score(is_outside, torch.cat([inside, outside]).detach().double().numpy())
    return torch.tensor(area, dtype=inside.dtype)


@variant
def in_pieces(inside, outside):
    """Compares a thousand scores of either list at a time."""
    found = 0.0
    for piece in inside.split(1000):
        for other in outside.split(1000):
            found += ((1 + torch.sign(other[:, None] - piece)).double() / 2).sum().item()
    print("pairs in order:", found, file=sys.stderr)
    return torch.tensor(found / (len(inside) * len(outside)), dtype=inside.dtype)


@variant
def by_bisection(inside, outside):
    ordered = sorted(inside.tolist())
    twice = sum(bisect.bisect_left(ordered, s) + bisect.bisect_right(ordered, s) for s in outside.tolist())
    return torch.tensor(twice / (2 * len(inside) * len(outside)), dtype=inside.dtype)


@variant
def by_merging(inside, outside):
    """One walk up both sorted lists."""
    inside_up, outside_up = sorted(inside.tolist()), sorted(outside.tolist())
    twice, below, tied_until = 0, 0, 0
    for score in outside_up:
        while below < len(inside_up) and inside_up[below] < score:
            below += 1
        tied_until = max(tied_until, below)
        while tied_until < len(inside_up) and inside_up[tied_until] == score:
            tied_until += 1
        twice += below + tied_until
    return torch.tensor(twice / (2 * len(inside) * len(outside)), dtype=inside.dtype)
