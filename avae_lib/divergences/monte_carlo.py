"""KL divergences estimated from samples."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape

__all__ = ["kl_monte_carlo"]


@component(unit="01_kl_divergence")
def kl_monte_carlo(
    q_log_prob: Float[Tensor, "samples"], p_log_prob: Float[Tensor, "samples"], estimator: str
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    r"""KL(q‖p) estimated from samples x ~ q, and the standard error of the estimate, both in nats.

    With :math:`r = p(x) / q(x)` the estimate is the mean over samples of

    .. math:: k_1 = -\log r, \qquad k_2 = \tfrac12 (\log r)^2, \qquad k_3 = (r - 1) - \log r

    k1 and k3 are unbiased; k2 has a small bias where q and p are close. k2 and k3 are never negative
    (Schulman, 2020, "Approximating KL divergence"). The standard error is the standard deviation of the samples
    (with n − 1) over √n.

    Args:
        q_log_prob: log q of each sample, ``(samples,)``, at least two of them.
        p_log_prob: log p of the same samples, same shape.
        estimator: ``"k1"``, ``"k2"`` or ``"k3"``.

    Returns:
        The estimate and its standard error, two scalars in the dtype of the inputs and differentiable in them.
        Neither input is changed.

    Raises:
        ValueError: the shapes differ, there are fewer than two samples, or there is no such estimator.

    Four samples, each e times as probable under q as under p:

    >>> q_log_prob = torch.tensor([-1.0, -2.0, -3.0, -4.0])
    >>> for estimator in ("k1", "k2", "k3"):
    ...     kl_monte_carlo(q_log_prob, q_log_prob - 1, estimator)
    (tensor(1.), tensor(0.))
    (tensor(0.5000), tensor(0.))
    (tensor(0.3679), tensor(0.))
    """
    require_float(q_log_prob=q_log_prob, p_log_prob=p_log_prob)
    require_shape((q_log_prob.numel(),), "samples", q_log_prob=q_log_prob, p_log_prob=p_log_prob)
    if len(q_log_prob) < 2:
        raise ValueError(f"a standard error needs at least two samples, q_log_prob holds {len(q_log_prob)}")
    if estimator not in ("k1", "k2", "k3"):
        raise ValueError(f"estimator must be 'k1', 'k2' or 'k3', got {estimator!r}")
    log_ratio = p_log_prob - q_log_prob
    if estimator == "k1":
        values = -log_ratio
    elif estimator == "k2":
        values = 0.5 * log_ratio.square()
    else:
        values = torch.expm1(log_ratio) - log_ratio
    return values.mean(), values.std() / math.sqrt(len(values))
