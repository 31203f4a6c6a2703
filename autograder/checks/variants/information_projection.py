"""Right ways to write ``information_projection``."""

import math

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def bisection(log_p, values, mean, tolerance):
    excess = values.double() - mean
    allowed = excess[log_p > -torch.inf]
    spread = (allowed.max() - allowed.min()).item()

    def tilted(multiplier):
        return torch.log_softmax(log_p.double() + multiplier * excess, dim=0)

    low, high = -1 / spread, 1 / spread
    while tilted(low).exp() @ excess > 0:
        low *= 2
    while tilted(high).exp() @ excess < 0:
        high *= 2
    for _ in range(120):
        middle = (low + high) / 2
        if tilted(middle).exp() @ excess < 0:
            low = middle
        else:
            high = middle
    return tilted(middle).to(log_p.dtype), torch.tensor(middle, dtype=log_p.dtype)


@variant
def until_the_mean_is_near_enough(log_p, values, mean, tolerance):
    support = log_p > float("-inf")
    spread = values[support].max() - values[support].min()
    centred = (values - mean) / spread
    low, high, multiplier = None, None, 0.0
    for _ in range(500):
        log_q = log_p + multiplier * centred
        log_q = log_q - torch.logsumexp(log_q, 0)
        off = (log_q.exp() * centred).sum().item()
        if abs(off) <= tolerance:
            break
        if off < 0:
            low = multiplier
        else:
            high = multiplier
        if low is None:
            multiplier = min(2 * high, -1.0) if high <= 0 else -1.0
        elif high is None:
            multiplier = max(2 * low, 1.0) if low >= 0 else 1.0
        else:
            multiplier = 0.5 * (low + high)
    return log_q, multiplier / spread


@variant
def guarded_newton_in_numpy(log_p, values, mean, tolerance):
    with np.errstate(divide="ignore"):
        lp, v = log_p.numpy().astype(np.float64), values.numpy().astype(np.float64) - mean
    spread = np.ptp(v[np.isfinite(lp)])
    x = v / spread
    low, high, t = -np.inf, np.inf, 0.0
    for _ in range(300):
        logits = lp + t * x
        q = np.exp(logits - logits.max())
        q /= q.sum()
        m = q @ x
        if abs(m) <= 0.1 * tolerance:
            break
        low, high = (t, high) if m < 0 else (low, t)
        variance = q @ (x - m) ** 2
        step = t - m / variance if variance > 0 else np.nan
        if not (low < step < high and abs(step - t) < 5 + abs(t)):
            step = (low + high) / 2 if np.isfinite(low) and np.isfinite(high) else 2 * t - math.copysign(4, m)
        t = step
    log_q = logits - logits.max()
    log_q = log_q - np.log(np.exp(log_q).sum())
    return torch.from_numpy(log_q).to(log_p.dtype), torch.tensor(t / spread).to(log_p.dtype)


@variant
def minimum_of_the_dual(log_p, values, mean, tolerance):
    """λ minimises the convex function log E_p[exp(λ (v − m))], whose slope autograd gives."""
    print("log of the largest probability:", log_p.max().item())
    excess = values.double() - mean
    scale = excess[log_p > -torch.inf].abs().max()

    def slope(multiplier):
        at = torch.tensor(multiplier, dtype=torch.float64, requires_grad=True)
        dual = torch.logsumexp(log_p.double() + at * excess / scale, dim=0)
        (gradient,) = torch.autograd.grad(dual, at)
        return gradient.item()

    reach = 1.0
    while slope(reach) < 0 or slope(-reach) > 0:
        reach *= 3
    low, high = -reach, reach
    while high - low > 1e-13 * max(1.0, reach):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    multiplier = 0.5 * (low + high) / scale
    log_q = torch.log_softmax(log_p.double() + multiplier * excess, dim=0)
    return [log_q.to(log_p.dtype), multiplier.to(log_p.dtype)]


@variant
def only_what_p_allows(log_p, values, mean, tolerance):
    kept = (log_p > -math.inf).nonzero().squeeze(1)
    lp, v = log_p[kept].double(), values[kept].double()
    v = (v - mean) / (v.max() - v.min())
    low, high = -1e6, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        weights = torch.softmax(lp + middle * v, dim=0)
        if torch.dot(weights, v) > 0:
            high = middle
        else:
            low = middle
    log_q = torch.full_like(log_p, -math.inf)
    log_q[kept] = torch.log_softmax(lp + middle * v, dim=0).to(log_p.dtype)
    span = values[kept].max() - values[kept].min()
    return log_q, (middle / span).to(log_p.dtype)
