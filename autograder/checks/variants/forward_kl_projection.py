"""Right ways to write ``forward_kl_projection``."""

import math
import sys

import numpy as np
import torch
from torch.distributions import MultivariateNormal

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def half_the_logarithm(mean, cov):
    return mean, 0.5 * torch.log(torch.diagonal(cov, dim1=-2, dim2=-1))


@variant
def logarithm_of_the_root(mean, cov):
    return mean.clone(), cov.diagonal(dim1=-2, dim2=-1).sqrt().log()


@variant
def one_variable_at_a_time(mean, cov):
    print("dimensions:", len(mean), file=sys.stderr)
    return mean, torch.stack([cov[..., d, d].log() / 2 for d in range(mean.shape[-1])], dim=-1)


@variant
def rows_of_the_factor(mean, cov):
    return mean, torch.linalg.cholesky(cov).norm(dim=-1).log()


@variant
def of_torch_distributions(mean, cov):
    p = MultivariateNormal(mean, cov)
    return p.loc, p.stddev.log()


@variant
def with_numpy_inside(mean, cov):
    log_std = np.log(np.diagonal(cov.detach().numpy(), axis1=-2, axis2=-1)) / 2
    return mean.clone(), torch.from_numpy(log_std)


@variant
def python_numbers(mean, cov):
    matrices = cov.reshape(-1, *cov.shape[-2:]).tolist()
    log_stds = [0.5 * math.log(row[d]) for matrix in matrices for d, row in enumerate(matrix)]
    return [torch.tensor(mean.tolist(), dtype=mean.dtype), torch.tensor(log_stds, dtype=cov.dtype).reshape(mean.shape)]


@variant
def einsum(mean, cov):
    return mean, torch.einsum("...ii->...i", cov).log().mul(0.5)


@variant
def diagonal_of_one_matrix(mean, cov):
    return mean.clone(), 0.5 * torch.diag(cov).log()
