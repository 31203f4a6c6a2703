"""Divergences between distributions over finitely many outcomes, in nats."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_probabilities, require_same_dim

__all__ = ["jensen_shannon", "kl_categorical"]


@component(unit="01_kl_divergence")
def kl_categorical(
    q: Float[Tensor, "*#batch outcomes"], p: Float[Tensor, "*#batch outcomes"]
) -> Float[Tensor, "*#batch"]:
    r"""KL(q‖p) between distributions over finitely many outcomes, in nats.

    .. math:: \sum_k q_k \log\frac{q_k}{p_k}, \qquad 0 \log 0 = 0

    Kullback & Leibler (1951); lecture 01, equation (1).

    Args:
        q: probabilities, ``(*batch, outcomes)``; an outcome of probability zero contributes nothing.
        p: probabilities, same shape.

    Returns:
        One divergence for each distribution, ``(*batch)``, in the dtype of the inputs and differentiable in both;
        infinite where q is positive and p is zero. Neither input is changed.

    Raises:
        ValueError: the shapes differ, nothing is in them, an entry is negative, or a distribution does not sum to
            one.

    One fair and one biased coin. The two directions differ:

    >>> fair, biased = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    >>> kl_categorical(fair, biased), kl_categorical(biased, fair)
    (tensor(0.5108), tensor(0.3681))
    """
    require_float(q=q, p=p)
    require_same_dim(q=q, p=p)
    require_probabilities(q=q, p=p)
    # Outcomes without q are taken out before the logarithm, which would give them a gradient of 0 · ∞.
    possible = q > 0
    log_ratio = torch.where(possible, q, 1.0).log() - torch.where(possible, p, 1.0).log()
    return (q * log_ratio).sum(dim=-1)


def jensen_shannon(
    q: Float[Tensor, "*#batch outcomes"], p: Float[Tensor, "*#batch outcomes"]
) -> Float[Tensor, "*#batch"]:
    r"""The Jensen–Shannon divergence, in nats: symmetric, and never above log 2.

    .. math:: \tfrac12 \mathrm{KL}(q \,\|\, m) + \tfrac12 \mathrm{KL}(p \,\|\, m), \qquad m = \tfrac12 (q + p)

    Lin (1991). Its square root is a metric. Arguments and errors as for :func:`kl_categorical`.

    Two distributions that share no outcome are as far apart as they can be, log 2:

    >>> jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])).exp()
    tensor(2.)
    """
    require_float(q=q, p=p)
    require_same_dim(q=q, p=p)
    middle = (q + p) / 2
    return (kl_categorical(q, middle) + kl_categorical(p, middle)) / 2
