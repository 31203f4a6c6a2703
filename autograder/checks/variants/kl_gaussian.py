"""Right ways to write ``kl_gaussian``."""

import sys

import torch
from torch.distributions import MultivariateNormal, kl_divergence
from torch.linalg import cholesky, solve_triangular

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def of_torch_distributions(q_mean, q_cov, p_mean, p_cov):
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))


@variant
def triangular_systems(q_mean, q_cov, p_mean, p_cov):
    p_factor, q_factor = cholesky(p_cov), cholesky(q_cov)
    both = torch.cat([q_factor, (q_mean - p_mean).unsqueeze(-1)], dim=-1)
    squares = solve_triangular(p_factor, both, upper=False).pow(2).flatten(-2).sum(-1)
    log_diagonals = torch.log(torch.diagonal(p_factor, dim1=-2, dim2=-1) / torch.diagonal(q_factor, dim1=-2, dim2=-1))
    return squares / 2 - q_mean.size(-1) / 2 + log_diagonals.sum(-1)


@variant
def cholesky_solve(q_mean, q_cov, p_mean, p_cov):
    p_factor, distance = cholesky(p_cov), (p_mean - q_mean).unsqueeze(-1)
    trace = torch.cholesky_solve(q_cov, p_factor).diagonal(dim1=-2, dim2=-1).sum(-1)
    square = (distance.mT @ torch.cholesky_solve(distance, p_factor)).squeeze(-1).squeeze(-1)
    p_log_det = 2 * p_factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    q_log_det = 2 * cholesky(q_cov).diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * (trace + square - q_mean.shape[-1] + p_log_det - q_log_det)


@variant
def general_systems(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    trace = torch.einsum("...ii->...", torch.linalg.solve(p_cov, q_cov))
    square = (distance * torch.linalg.solve(p_cov, distance)).sum((-2, -1))
    log_ratio = torch.linalg.slogdet(p_cov).logabsdet - torch.linalg.slogdet(q_cov).logabsdet
    return 0.5 * (trace + square - distance.shape[-2] + log_ratio)


@variant
def upper_factors(q_mean, q_cov, p_mean, p_cov):
    upper = cholesky(p_cov).mT
    whitened = solve_triangular(upper, cholesky(q_cov).mT, upper=True, left=False)
    distance = solve_triangular(upper, (q_mean - p_mean).unsqueeze(-2), upper=True, left=False)
    squares = whitened.square().sum((-2, -1)) + distance.square().sum((-2, -1))
    return 0.5 * (squares - q_mean.shape[-1]) - whitened.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@variant
def eigenvalues(q_mean, q_cov, p_mean, p_cov):
    p_factor = cholesky(p_cov)
    half = solve_triangular(p_factor, q_cov, upper=False)
    relative = solve_triangular(p_factor, half.mT, upper=False)
    values = torch.linalg.eigvalsh((relative + relative.mT) / 2)
    distance = solve_triangular(p_factor, (q_mean - p_mean).unsqueeze(-1), upper=False)
    return 0.5 * ((values - 1 - values.log()).sum(-1) + distance.square().sum((-2, -1)))


@variant
def loop_over_the_batch(q_mean, q_cov, p_mean, p_cov):
    print("shape", tuple(q_cov.shape), file=sys.stderr)

    def of_pair(m, s, n, t):
        distance = (m - n).unsqueeze(1)
        solved = torch.cholesky_solve(torch.cat([s, distance], dim=1), torch.linalg.cholesky(t))
        square = distance.squeeze(1) @ solved[:, -1]
        return 0.5 * (torch.trace(solved[:, :-1]) + square - len(m) + torch.logdet(t) - torch.logdet(s))

    dim = q_mean.shape[-1]
    means = (value.reshape(-1, dim) for value in (q_mean, p_mean))
    covs = (value.reshape(-1, dim, dim) for value in (q_cov, p_cov))
    (q_means, p_means), (q_covs, p_covs) = means, covs
    pairs = zip(q_means, q_covs, p_means, p_covs, strict=True)
    return torch.stack([of_pair(*pair) for pair in pairs]).reshape(q_mean.shape[:-1])


@variant
def in_double_precision(q_mean, q_cov, p_mean, p_cov):
    m, s, n, t = (value.double() for value in (q_mean, q_cov, p_mean, p_cov))
    return kl_divergence(MultivariateNormal(m, s), MultivariateNormal(n, t)).to(q_mean.dtype)


@variant
def with_an_inverse(q_mean, q_cov, p_mean, p_cov):
    precision, distance = torch.cholesky_inverse(cholesky(p_cov)), (q_mean - p_mean).unsqueeze(-1)
    trace = (precision * q_cov).sum((-2, -1))
    square = (distance.mT @ precision @ distance).sum((-2, -1))
    return 0.5 * (trace + square - q_mean.shape[-1] + torch.logdet(p_cov) - torch.logdet(q_cov))


@variant
def lu_factors(q_mean, q_cov, p_mean, p_cov):
    factors, pivots = torch.linalg.lu_factor(p_cov)
    distance = (q_mean - p_mean).unsqueeze(-1)
    solved = torch.linalg.lu_solve(factors, pivots, torch.cat([q_cov, distance], dim=-1))
    trace = solved[..., :-1].diagonal(dim1=-2, dim2=-1).sum(-1)
    square = (distance.mT @ solved[..., -1:])[..., 0, 0]
    log_det = factors.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    return 0.5 * (trace + square - q_mean.shape[-1] + log_det - torch.linalg.slogdet(q_cov).logabsdet)


@variant
def difference_of_entropies(q_mean, q_cov, p_mean, p_cov):
    q, p = MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov)
    trace = torch.cholesky_solve(q_cov, p.scale_tril).diagonal(dim1=-2, dim2=-1).sum(-1)
    distance = solve_triangular(p.scale_tril, (q_mean - p_mean).unsqueeze(-1), upper=False).squeeze(-1)
    return p.entropy() - q.entropy() + 0.5 * (trace + distance.pow(2).sum(-1) - q_mean.shape[-1])
