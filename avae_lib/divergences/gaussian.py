"""KL divergences between Gaussians, in nats."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import covariance_factor, require_float, require_same_dim

__all__ = ["kl_diagonal_gaussian", "kl_gaussian", "kl_gaussian_per_element"]


@component(unit="01_kl_divergence")
def kl_diagonal_gaussian(
    q_mean: Float[Tensor, "*#batch dim"],
    q_log_std: Float[Tensor, "*#batch dim"],
    p_mean: Float[Tensor, "*#batch dim"],
    p_log_std: Float[Tensor, "*#batch dim"],
) -> Float[Tensor, "*#batch"]:
    r"""KL(q‖p) between diagonal Gaussians, in nats, summed over the last dimension.

    .. math:: \sum_d \Bigl[\log\frac{\sigma_p}{\sigma_q} + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2\sigma_p^2}
              - \frac12\Bigr]

    Derived in lecture 01, equation (12); for a standard normal p it is appendix B of Kingma & Welling (2014).

    Args:
        q_mean, p_mean: means, ``(*batch, dim)``.
        q_log_std, p_log_std: logarithms of the standard deviations (not of the variances), same shape, at least from
            −12 to 8.

    Returns:
        One divergence for each Gaussian, ``(*batch)``, in the dtype of the inputs and differentiable in all four.
        None of them is changed.

    Raises:
        ValueError: the shapes differ, or nothing is in them.

    A mean that is off by one standard deviation costs 1/2 nat:

    >>> zeros = torch.zeros(2)
    >>> kl_diagonal_gaussian(torch.tensor([1.0, 0.0]), zeros, zeros, zeros)
    tensor(0.5000)
    """
    require_float(q_mean=q_mean, q_log_std=q_log_std, p_mean=p_mean, p_log_std=p_log_std)
    require_same_dim(q_mean=q_mean, q_log_std=q_log_std, p_mean=p_mean, p_log_std=p_log_std)
    log_ratio = q_log_std - p_log_std
    distance = (q_mean - p_mean) * torch.exp(-p_log_std)
    # expm1 keeps the digits that exp(...) − 1 loses when q is close to p, where training spends its time.
    return (0.5 * (torch.expm1(2 * log_ratio) + distance.square()) - log_ratio).sum(dim=-1)


def kl_gaussian_per_element(
    q_mean: Float[Tensor, "*#shape"],
    q_log_std: Float[Tensor, "*#shape"],
    p_mean: Float[Tensor, "*#shape"],
    p_log_std: Float[Tensor, "*#shape"],
) -> Float[Tensor, "*#shape"]:
    """KL(q‖p) between univariate Gaussians, in nats, one for each element; the arguments broadcast.

    Summed over the elements it is :func:`kl_diagonal_gaussian`:

    >>> kl_gaussian_per_element(torch.tensor([1.0, 2.0]), torch.zeros(2), torch.zeros(2), torch.zeros(2))
    tensor([0.5000, 2.0000])
    """
    parameters = torch.broadcast_tensors(q_mean, q_log_std, p_mean, p_log_std)
    return kl_diagonal_gaussian(*(parameter.unsqueeze(-1) for parameter in parameters))


@component(unit="01_kl_divergence")
def kl_gaussian(
    q_mean: Float[Tensor, "*#batch dim"],
    q_cov: Float[Tensor, "*#batch dim dim"],
    p_mean: Float[Tensor, "*#batch dim"],
    p_cov: Float[Tensor, "*#batch dim dim"],
) -> Float[Tensor, "*#batch"]:
    r"""KL(q‖p) between Gaussians with full covariances, in nats.

    .. math:: \tfrac12 \Bigl[\operatorname{tr}(\Sigma_p^{-1} \Sigma_q)
              + (\mu_q - \mu_p)^\top \Sigma_p^{-1} (\mu_q - \mu_p) - D
              + \log\frac{\det \Sigma_p}{\det \Sigma_q}\Bigr]

    With the Cholesky factors :math:`\Sigma = L L^\top` the trace is the sum of squares of
    :math:`L_p^{-1} L_q`, the quadratic form that of :math:`L_p^{-1} (\mu_q - \mu_p)`, and
    :math:`\log\det\Sigma = 2 \sum_d \log L_{dd}`: triangular systems are solved, nothing is inverted.
    Derived in lecture 01, equations (14) and (15).

    Args:
        q_mean, p_mean: means, ``(*batch, dim)``.
        q_cov, p_cov: symmetric positive definite covariances, ``(*batch, dim, dim)``.

    Returns:
        One divergence for each pair, ``(*batch)``, in the dtype of the inputs and differentiable in all four. None of
        them is changed.

    Raises:
        ValueError: the shapes do not fit, or a covariance is not symmetric or not positive definite.

    Correlated coordinates against independent ones: the divergence is −½ log(1 − 0.6²), their mutual information:

    >>> cov = torch.tensor([[1.0, 0.6], [0.6, 1.0]])
    >>> kl_gaussian(torch.zeros(2), cov, torch.zeros(2), torch.eye(2)), -0.5 * torch.tensor(1 - 0.6**2).log()
    (tensor(0.2231), tensor(0.2231))
    """
    require_float(q_mean=q_mean, q_cov=q_cov, p_mean=p_mean, p_cov=p_cov)
    require_same_dim(q_mean=q_mean, p_mean=p_mean)
    q_factor = covariance_factor("q_cov", q_cov, q_mean)
    p_factor = covariance_factor("p_cov", p_cov, p_mean)
    distance = torch.linalg.solve_triangular(p_factor, (q_mean - p_mean).unsqueeze(-1), upper=False)
    relative = torch.linalg.solve_triangular(p_factor, q_factor, upper=False)  # its diagonal is σq / σp
    log_det_ratio = 2 * relative.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
    squares = relative.square().sum(dim=(-2, -1)) + distance.square().sum(dim=(-2, -1))
    return 0.5 * (squares - q_mean.shape[-1] - log_det_ratio)
