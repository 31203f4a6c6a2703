"""Right ways to write ``active_units``."""

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def by_var(posterior_means, threshold):
    return torch.sum(torch.var(posterior_means, dim=0, unbiased=False) > threshold)


@variant
def rescaled(posterior_means, threshold):
    deviations = posterior_means - posterior_means.mean(dim=0, keepdim=True)
    return torch.count_nonzero((deviations**2).sum(dim=0) > threshold * len(posterior_means))


@variant
def flattened(posterior_means, threshold):
    units = posterior_means.reshape(len(posterior_means), -1)
    variance = ((units - units.mean(0)) ** 2).mean(0)
    return torch.tensor(len(torch.nonzero(variance > threshold)))


@variant
def by_numpy(posterior_means, threshold):
    variance = np.var(posterior_means.numpy().astype(np.float64), axis=0)
    return torch.tensor(int((variance > threshold).sum()), dtype=torch.int64)


@variant
def unit_by_unit(posterior_means, threshold):
    count = torch.zeros((), dtype=torch.long)
    for unit in posterior_means.flatten(1).unbind(dim=1):
        variance = torch.mean((unit - unit.mean()) ** 2)
        if variance > threshold:
            count += 1
    print("active", int(count))
    return count


@variant
def unbiased_and_corrected(posterior_means, threshold):
    examples = posterior_means.shape[0]
    if examples == 1:
        return torch.zeros((), dtype=torch.int64)
    return (posterior_means.var(dim=0) * (examples - 1) / examples > threshold).sum().long()
