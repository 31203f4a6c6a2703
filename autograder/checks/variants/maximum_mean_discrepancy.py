"""Right ways to write ``maximum_mean_discrepancy``."""

import itertools
import sys

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def by_differences(x, y, scales):
    def kernel(a, b):
        squared = ((a.unsqueeze(1) - b.unsqueeze(0)) ** 2).sum(-1)
        return (scales / (scales + squared.unsqueeze(-1))).sum(-1)

    n, m = len(x), len(y)
    within_x = kernel(x, x) * (1 - torch.eye(n, dtype=x.dtype))
    within_y = kernel(y, y) * (1 - torch.eye(m, dtype=y.dtype))
    return within_x.sum() / (n * (n - 1)) + within_y.sum() / (m * (m - 1)) - 2 * kernel(x, y).mean()


@variant
def kernel_by_kernel(x, y, scales):
    def mean(k):
        return k[~torch.eye(len(k), dtype=torch.bool)].mean()

    def distances(a, b):
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").pow(2)

    of_x, of_y, between = distances(x, x), distances(y, y), distances(x, y)
    total = torch.zeros((), dtype=x.dtype)
    for scale in scales:
        within = mean(scale / (scale + of_x)) + mean(scale / (scale + of_y))
        total = total + within - 2 * torch.mean(scale / (scale + between))
    print("estimate", float(total.detach()), file=sys.stderr)
    return total


@variant
def each_pair_once(x, y, scales):
    def within(a):
        first, second = torch.triu_indices(len(a), len(a), offset=1)
        squared = (a[first] - a[second]).square().sum(dim=1)
        return (scales[:, None] / (scales[:, None] + squared)).mean(dim=1).sum()

    squared = (x[:, None] - y).square().sum(dim=2).flatten()
    return within(x) + within(y) - 2 * (scales[:, None] / (scales[:, None] + squared)).mean(dim=1).sum()


@variant
def all_points_together(x, y, scales):
    points, n, m = torch.cat([x, y]), len(x), len(y)
    squared = ((points[:, None] - points) ** 2).sum(2)
    kernel = sum(1 / (1 + squared / scale) for scale in scales).fill_diagonal_(0)
    return kernel[:n, :n].sum() / (n**2 - n) + kernel[n:, n:].sum() / (m**2 - m) - 2 * kernel[:n, n:].mean()


@variant
def multiplied_out_about_a_point(x, y, scales):
    origin = y[0]

    def kernel(a, b):
        a, b = a - origin, b - origin
        squared = (a**2).sum(1, keepdim=True) - 2 * a @ b.T + (b**2).sum(1)
        return sum(scale / (scale + squared) for scale in scales)

    of_x, of_y = kernel(x, x), kernel(y, y)
    within = sum((k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (of_x, of_y))
    return within - 2 * kernel(x, y).mean()


@variant
def pair_by_pair(x, y, scales):
    def kernel(a, b):
        return (scales / (scales + ((a - b) ** 2).sum())).sum()

    of_x = torch.stack([kernel(a, b) for a, b in itertools.combinations(x, 2)]).mean()
    of_y = torch.stack([kernel(a, b) for a, b in itertools.combinations(y, 2)]).mean()
    return of_x + of_y - 2 * torch.stack([kernel(a, b) for a, b in itertools.product(x, y)]).mean()
