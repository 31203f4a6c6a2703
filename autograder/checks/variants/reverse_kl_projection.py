"""Right ways to write ``reverse_kl_projection``."""

import sys

import numpy as np
import torch
from torch.distributions import MultivariateNormal

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def explicit_inverse(mean, cov):
    return mean, -0.5 * torch.log(torch.diagonal(torch.linalg.inv(cov), dim1=-2, dim2=-1))


@variant
def cholesky_inverse(mean, cov):
    precision = torch.cholesky_inverse(torch.linalg.cholesky(cov))
    return mean.clone(), precision.diagonal(dim1=-2, dim2=-1).rsqrt().log()


@variant
def columns_of_the_whitening(mean, cov):
    identity = torch.eye(mean.shape[-1], dtype=cov.dtype)
    whitening = torch.linalg.solve_triangular(torch.linalg.cholesky(cov), identity, upper=False)
    return mean + 0, -whitening.norm(dim=-2).log()


@variant
def system_with_identity(mean, cov):
    solved = torch.linalg.solve(cov, torch.eye(cov.shape[-1]).to(cov))
    return mean, -torch.log(torch.einsum("...ii->...i", solved)) / 2


@variant
def of_torch_distributions(mean, cov):
    p = MultivariateNormal(mean, cov)
    print("precision", p.precision_matrix, file=sys.stderr)
    return p.mean, -0.5 * p.precision_matrix.diagonal(dim1=-2, dim2=-1).log()


@variant
def conditional_variances(mean, cov):
    log_stds = []
    for d in range(mean.shape[-1]):
        others = [i for i in range(mean.shape[-1]) if i != d]
        cross = cov[..., others, d].unsqueeze(-1)
        explained = (cross * torch.linalg.solve(cov[..., others, :][..., others], cross)).sum(dim=(-2, -1))
        log_stds.append(0.5 * (cov[..., d, d] - explained).log())
    return mean, torch.stack(log_stds, dim=-1)


@variant
def by_eigenvectors(mean, cov):
    values, vectors = torch.linalg.eigh(cov)
    return mean, -0.5 * (vectors.square() / values.unsqueeze(-2)).sum(dim=-1).log()


@variant
def with_numpy_inside(mean, cov):
    log_std = -0.5 * np.log(np.diagonal(np.linalg.inv(cov.detach().numpy()), axis1=-2, axis2=-1))
    return mean.clone(), torch.from_numpy(log_std).to(mean.dtype)


@variant
def list_in_double_precision(mean, cov):
    return [mean, (-0.5 * cov.double().inverse().diagonal(dim1=-2, dim2=-1).log()).to(mean.dtype)]


@variant
def logarithm_before_the_diagonal(mean, cov):
    return mean, -0.5 * torch.log(torch.linalg.inv(cov)).diagonal(dim1=-2, dim2=-1)  # off the diagonal there may be NaN


@variant
def diagonal_of_one_matrix(mean, cov):
    return mean.clone(), -0.5 * torch.diag(torch.linalg.inv(cov)).log()
