"""The distribution closest to p among those with a given mean: p, tilted exponentially."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.divergences.requirements import require_float, require_shape

__all__ = ["information_projection"]

_MOST_STEPS = 200  # each halves the bracket at least; a bracket of float64 numbers cannot be halved more often


@component(unit="01_kl_divergence")
def information_projection(
    log_p: Float[Tensor, "outcomes"], values: Float[Tensor, "outcomes"], mean: float, tolerance: float
) -> tuple[Float[Tensor, "outcomes"], Float[Tensor, ""]]:
    r"""The q with the smallest KL(q‖p) among all distributions whose expectation of ``values`` is ``mean``.

    It is p tilted exponentially, with the one multiplier that gives the mean:

    .. math:: \log q_k = \log p_k + \lambda v_k - \log \sum_j p_j e^{\lambda v_j}, \qquad \sum_k q_k v_k = m

    The mean rises with λ, because its derivative is the variance of the values under q (Csiszár, 1975; Cover &
    Thomas, 2006, section 12.1).

    Args:
        log_p: log-probabilities, ``(outcomes,)``; −∞ for an outcome that p rules out.
        values: v, ``(outcomes,)``, finite, with any offset and scale.
        mean: m, strictly between the smallest and the largest value of the outcomes that p allows.
        tolerance: how far the mean of q may be from ``mean``, as a share of the range of these values; positive. In
            float64 the result keeps tolerances down to 1e-10, in float32 down to 1e-6.

    Returns:
        log q, ``(outcomes,)``, −∞ where ``log_p`` is, and λ, a scalar, both in the dtype of ``log_p``. The inputs are
        not changed. Accurate for targets so close to an end that λ times the range of the values is in the hundreds.

    Raises:
        ValueError: the shapes differ, the values are not finite, log p is not that of a distribution, the mean is out
            of reach, or the tolerance is not positive.

    Example:
        A die whose average throw is 4.5 instead of 3.5 (Jaynes, 1963):

        >>> log_p = torch.full((6,), 1 / 6, dtype=torch.float64).log()
        >>> log_q, multiplier = information_projection(log_p, torch.arange(1.0, 7.0).double(), 4.5, 1e-9)
        >>> [round(probability, 3) for probability in log_q.exp().tolist()], round(multiplier.item(), 3)
        ([0.054, 0.079, 0.114, 0.165, 0.24, 0.347], 0.371)
    """
    allowed = _require_projection(log_p, values, mean, tolerance)
    excess = values.double() - mean  # a common offset of values and mean is gone before anything is multiplied
    spread = (excess[allowed].max() - excess[allowed].min()).item()
    low, high = -math.inf, math.inf
    multiplier = 0.0
    for _ in range(_MOST_STEPS):
        log_q = torch.log_softmax(log_p.double() + multiplier * excess, dim=0)
        error, slope = _mean_and_variance(log_q.exp(), excess)
        if abs(error) <= tolerance * spread:
            break
        low, high = (multiplier, high) if error < 0 else (low, multiplier)
        multiplier = _next_multiplier(multiplier, error, slope, low, high, spread)
    return log_q.to(log_p.dtype), log_p.new_tensor(multiplier)


def _mean_and_variance(q: Tensor, x: Tensor) -> tuple[float, float]:
    mean = q @ x
    return mean.item(), (q @ (x - mean).square()).item()


def _next_multiplier(now: float, error: float, slope: float, low: float, high: float, spread: float) -> float:
    """Newton's step if it stays inside the bracket; else the middle of the bracket, or further out if it is open."""
    newton = now - error / slope if slope > 0 else math.nan
    if low < newton < high and abs(newton - now) * spread <= max(1.0, abs(now) * spread):
        return newton
    if math.isinf(low) or math.isinf(high):
        return 2 * now - math.copysign(1 / spread, error)
    return (low + high) / 2


def _require_projection(log_p: Tensor, values: Tensor, mean: float, tolerance: float) -> Tensor:
    """Check the arguments and return which outcomes p allows."""
    require_float(log_p=log_p, values=values)
    require_shape((log_p.numel(),), "outcomes", log_p=log_p, values=values)
    if not bool(values.isfinite().all()):
        raise ValueError("values must be finite, they hold nan or infinity")
    total = torch.logsumexp(log_p.double(), dim=0).item()
    if not abs(total) <= 1e-4:
        raise ValueError(f"log_p must be log-probabilities, the log of their sum is {total:.6g}: take log_softmax")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    allowed = log_p > -math.inf
    low, high = values[allowed].min().item(), values[allowed].max().item()
    if not low < mean < high:
        raise ValueError(
            f"mean must lie strictly between the smallest and the largest value that p allows, {low:.6g} and "
            f"{high:.6g}, got {float(mean):.6g}"
        )
    return allowed
