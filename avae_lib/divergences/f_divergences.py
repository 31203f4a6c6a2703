"""f-divergences: each convex function f with f(1) = 0 defines a divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.divergences.requirements import require_float, require_probabilities, require_same_dim

__all__ = [
    "JENSEN_SHANNON",
    "KL",
    "PEARSON_CHI_SQUARED",
    "REVERSE_KL",
    "SQUARED_HELLINGER",
    "TOTAL_VARIATION",
    "FDivergence",
    "alpha_divergence",
    "f_divergence",
]


@dataclass(frozen=True)
class FDivergence:
    """A convex function f with f(1) = 0, and its two limits, for outcomes to which only one distribution gives mass.

    The functions and their limits are not checked.

    Half the squared difference is another convex function with f(1) = 0:

    >>> half_square = FDivergence("half χ²", lambda t: (t - 1).square() / 2, at_zero=0.5, slope_at_infinity=math.inf)
    >>> q, p = torch.tensor([0.3, 0.7]), torch.tensor([0.5, 0.5])
    >>> f_divergence(q, p, PEARSON_CHI_SQUARED) / f_divergence(q, p, half_square)
    tensor(2.)
    """

    name: str
    """Name of the divergence, for figures and tables."""
    function: Callable[[Tensor], Tensor]
    """f(t) for positive t, element by element."""
    at_zero: float
    """f(0), the cost of an outcome that only p has."""
    slope_at_infinity: float
    """The limit of f(t) / t, the cost of an outcome that only q has."""


KL = FDivergence("KL(q‖p)", lambda t: t * t.log(), at_zero=0.0, slope_at_infinity=math.inf)
REVERSE_KL = FDivergence("KL(p‖q)", lambda t: -t.log(), at_zero=math.inf, slope_at_infinity=0.0)
TOTAL_VARIATION = FDivergence("total variation", lambda t: (t - 1).abs() / 2, at_zero=0.5, slope_at_infinity=0.5)
SQUARED_HELLINGER = FDivergence(
    "squared Hellinger", lambda t: (t.sqrt() - 1).square() / 2, at_zero=0.5, slope_at_infinity=0.5
)
PEARSON_CHI_SQUARED = FDivergence("Pearson χ²", lambda t: (t - 1).square(), at_zero=1.0, slope_at_infinity=math.inf)
JENSEN_SHANNON = FDivergence(
    "Jensen–Shannon",
    lambda t: (t * t.log() - (1 + t) * ((1 + t) / 2).log()) / 2,
    at_zero=math.log(2) / 2,
    slope_at_infinity=math.log(2) / 2,
)


def alpha_divergence(alpha: float) -> FDivergence:
    r"""The α-divergence of Amari (1985): KL(q‖p) as α → 1, KL(p‖q) as α → 0.

    .. math:: f(t) = \frac{t^\alpha - 1 - \alpha (t - 1)}{\alpha (\alpha - 1)}

    Raises:
        ValueError: ``alpha`` is 0 or 1, where the formula is 0 / 0.

    At α = 1/2 it is four times the squared Hellinger distance:

    >>> q, p = torch.tensor([0.3, 0.7]), torch.tensor([0.5, 0.5])
    >>> f_divergence(q, p, alpha_divergence(0.5)) / f_divergence(q, p, SQUARED_HELLINGER)
    tensor(4.0000)
    """
    if alpha in (0, 1):
        raise ValueError(f"alpha must be neither 0 nor 1, got {alpha}: use REVERSE_KL for 0 and KL for 1")
    return FDivergence(
        f"α = {alpha:g}",
        lambda t: (t.pow(alpha) - 1 - alpha * (t - 1)) / (alpha * (alpha - 1)),
        at_zero=1 / alpha if alpha > 0 else math.inf,
        slope_at_infinity=1 / (1 - alpha) if alpha < 1 else math.inf,
    )


def f_divergence(
    q: Float[Tensor, "*#batch outcomes"], p: Float[Tensor, "*#batch outcomes"], divergence: FDivergence
) -> Float[Tensor, "*#batch"]:
    r"""The f-divergence of q from p, in nats where f holds natural logarithms.

    .. math:: D_f(q \,\|\, p) = \sum_k p_k \, f\Bigl(\frac{q_k}{p_k}\Bigr), \qquad
              0 \, f\Bigl(\frac{q}{0}\Bigr) = q \lim_{t \to \infty} \frac{f(t)}{t}

    Csiszár (1967); Ali & Silvey (1966).

    Args:
        q, p: probabilities, ``(*batch, outcomes)``.
        divergence: one of this module's constants, or your own convex function.

    Raises:
        ValueError: as for :func:`avae_lib.divergences.kl_categorical`.

    q allows only the first outcome. KL(q‖p) is then log 2, the total variation 1/2, and KL(p‖q) is infinite:

    >>> q, p = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    >>> torch.stack([f_divergence(q, p, divergence) for divergence in (KL, TOTAL_VARIATION, REVERSE_KL)])
    tensor([0.6931, 0.5000,    inf])
    """
    require_float(q=q, p=p)
    require_same_dim(q=q, p=p)
    require_probabilities(q=q, p=p)
    q, p = torch.broadcast_tensors(q, p)
    shared = (q > 0) & (p > 0)
    ratio = torch.where(shared, q, 1.0) / torch.where(shared, p, 1.0)
    terms = torch.where(shared, p * divergence.function(ratio), 0.0)
    only_p = _product(torch.where(q == 0, p, 0.0), divergence.at_zero)
    only_q = _product(torch.where(p == 0, q, 0.0), divergence.slope_at_infinity)
    return (terms + only_p + only_q).sum(dim=-1)


def _product(mass: Tensor, cost: float) -> Tensor:
    """``mass`` · ``cost``, where 0 · ∞ = 0."""
    return torch.where(mass > 0, math.inf, 0.0).to(mass.dtype) if math.isinf(cost) else mass * cost
