"""The diagonal Gaussians closest to a full one, by either KL divergence."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import covariance_factor, require_float, require_same_dim

__all__ = ["forward_kl_projection", "reverse_kl_projection"]


@component(unit="01_kl_divergence")
def reverse_kl_projection(
    mean: Float[Tensor, "*batch dim"], cov: Float[Tensor, "*batch dim dim"]
) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"]]:
    r"""The diagonal Gaussian q with the smallest KL(q‖p) from the Gaussian p with the given mean and covariance.

    .. math:: \mu_q = \mu, \qquad \sigma_{q,d}^{-2} = (\Sigma^{-1})_{dd}

    It matches the diagonal of the precision, so it is never wider than the marginals: the mode-seeking direction,
    which variational inference takes (Bishop, 2006, section 10.1.2; derived in lecture 01, equation (22)).

    Args:
        mean: ``(*batch, dim)``.
        cov: symmetric positive definite, ``(*batch, dim, dim)``.

    Returns:
        Mean and log standard deviation of q, ``(*batch, dim)`` each, in the dtype of the inputs and differentiable in
        them. Neither input is changed.

    Raises:
        ValueError: the shapes do not fit, or the covariance is not symmetric or not positive definite.

    With a correlation of 0.8, q is narrower than the marginals, whose standard deviation is 1:

    >>> cov = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    >>> mean, log_std = reverse_kl_projection(torch.zeros(2), cov)
    >>> log_std.exp()
    tensor([0.6000, 0.6000])
    """
    require_float(mean=mean, cov=cov)
    require_same_dim(mean=mean)
    factor = covariance_factor("cov", cov, mean)
    # Σ⁻¹ = L⁻ᵀ L⁻¹, so its diagonal holds the squared lengths of the columns of L⁻¹.
    identity = torch.eye(mean.shape[-1], dtype=cov.dtype, device=cov.device)
    whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
    return mean.clone(), -0.5 * whitening.square().sum(dim=-2).log()


@component(unit="01_kl_divergence")
def forward_kl_projection(
    mean: Float[Tensor, "*batch dim"], cov: Float[Tensor, "*batch dim dim"]
) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"]]:
    r"""The diagonal Gaussian q with the smallest KL(p‖q) from the Gaussian p with the given mean and covariance.

    .. math:: \mu_q = \mu, \qquad \sigma_{q,d}^2 = \Sigma_{dd}

    It matches the marginals, whatever the correlations: the mass-covering direction, moment matching
    (Bishop, 2006, section 10.1.2; derived in lecture 01, equation (24)). Arguments, results and errors as for
    :func:`reverse_kl_projection`.

    Args:
        mean: ``(*batch, dim)``.
        cov: symmetric positive definite, ``(*batch, dim, dim)``.

    Returns:
        Mean and log standard deviation of q, ``(*batch, dim)`` each, in the dtype of the inputs and differentiable in
        them. Neither input is changed.

    Whatever the correlation, q has the standard deviations of the marginals:

    >>> cov = torch.tensor([[1.0, 0.8], [0.8, 4.0]])
    >>> mean, log_std = forward_kl_projection(torch.zeros(2), cov)
    >>> log_std.exp()
    tensor([1., 2.])
    """
    require_float(mean=mean, cov=cov)
    require_same_dim(mean=mean)
    covariance_factor("cov", cov, mean)
    return mean.clone(), 0.5 * cov.diagonal(dim1=-2, dim2=-1).log()
