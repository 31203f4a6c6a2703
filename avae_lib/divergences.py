"""Divergences between distributions, in nats."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["kl_diagonal_gaussian", "kl_gaussian_per_element"]


def kl_diagonal_gaussian(
    q_mean: Float[Tensor, "*batch dim"],
    q_log_std: Float[Tensor, "*batch dim"],
    p_mean: Float[Tensor, "*batch dim"],
    p_log_std: Float[Tensor, "*batch dim"],
) -> Float[Tensor, "*batch"]:
    r"""KL(q‖p) between diagonal Gaussians, in nats, summed over the last dimension.

    .. math:: \sum_d \Bigl[\log\frac{\sigma_p}{\sigma_q} + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2\sigma_p^2}
              - \frac12\Bigr]

    Derived in lecture 01; for a standard normal p it is appendix B of Kingma & Welling (2014).
    """
    return kl_gaussian_per_element(q_mean, q_log_std, p_mean, p_log_std).sum(dim=-1)


def kl_gaussian_per_element(
    q_mean: Float[Tensor, "*shape"],
    q_log_std: Float[Tensor, "*shape"],
    p_mean: Float[Tensor, "*shape"],
    p_log_std: Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """KL(q‖p) between univariate Gaussians, in nats, one for each element; the arguments broadcast."""
    log_ratio = q_log_std - p_log_std
    distance = (q_mean - p_mean) * torch.exp(-p_log_std)
    # expm1 keeps the digits that exp(...) − 1 loses when q is close to p, where training spends its time.
    return 0.5 * (torch.expm1(2 * log_ratio) + distance.square()) - log_ratio
