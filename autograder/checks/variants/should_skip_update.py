"""Right ways to write ``should_skip_update``."""

import math

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def finite_and_below(loss, gradient_norm, threshold):
    taken = torch.isfinite(loss) & torch.isfinite(gradient_norm)
    if threshold is not None:
        taken = taken & (gradient_norm < threshold)
    return ~taken


@variant
def reasons_collected(loss, gradient_norm, threshold):
    skip = torch.isnan(loss) | torch.isinf(loss)
    skip = skip | torch.isnan(gradient_norm) | torch.isinf(gradient_norm)
    return skip if threshold is None else torch.logical_or(skip, gradient_norm >= threshold)


@variant
def infinity_for_none(loss, gradient_norm, threshold):
    limit = math.inf if threshold is None else threshold
    return ~((loss.abs() < math.inf) & (gradient_norm < limit) & (gradient_norm > -math.inf))


@variant
def stacked(loss, gradient_norm, threshold):
    finite = torch.isfinite(torch.stack([loss, gradient_norm])).all()
    if threshold is None:
        return finite.logical_not()
    return (finite & torch.lt(gradient_norm, threshold)).logical_not()


@variant
def selected(loss, gradient_norm, threshold):
    limit = float("inf") if threshold is None else threshold
    is_long = ~(gradient_norm < limit)
    return torch.where(torch.isfinite(loss) & torch.isfinite(gradient_norm), is_long, torch.ones_like(is_long))


@variant
def vanishing_differences(loss, gradient_norm, threshold):
    finite = (loss - loss == 0) & (gradient_norm - gradient_norm == 0)
    return ~finite if threshold is None else ~(finite & (gradient_norm < threshold))


@variant
def threshold_on_the_device(loss, gradient_norm, threshold):
    limit = torch.as_tensor(math.inf if threshold is None else threshold, device=gradient_norm.device)
    skip = torch.ge(gradient_norm, limit) | ~torch.isfinite(gradient_norm)
    return skip | ~torch.isfinite(loss)


@variant
def sum_is_finite(loss, gradient_norm, threshold):
    is_long = torch.zeros_like(loss, dtype=torch.bool) if threshold is None else gradient_norm >= threshold
    return is_long | ~torch.isfinite(loss + gradient_norm)
