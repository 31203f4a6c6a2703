"""Wrong ways to write ``should_skip_update``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

NOT_FINITE = "losses and norms that are NaN or infinite"
LIMITS = "every kind of threshold"
FORM = "a bool tensor, without waiting for the device"
LONG_NORMS_PASS = "lets large norms pass: a norm that is not below the threshold is reason enough to skip"
NONE_IS_ZERO = "treats a threshold of 0.0 as no threshold: only None means no threshold"
INFINITY_FORGOTTEN = "checks for NaN only: skip infinite numbers too"
WAITS = "reads the value of a tensor (if, and, not, bool, float, item, cpu), so the program waits for the device"
WRONG_WAY = "is the wrong way round: True means skip, and updates with a large norm are skipped"
PYTHON_TRUTH = "returns a Python bool: return a bool tensor, so that the program need not wait for the device"
LOSS_FORGOTTEN = "does not check the loss: skip where it is NaN or infinite"


@mistake(WRONG_WAY, caught_by="values")
def admits(loss, gradient_norm, threshold):
    taken = torch.isfinite(loss) & torch.isfinite(gradient_norm)
    return taken if threshold is None else taken & (gradient_norm < threshold)


@mistake("compares the loss with the threshold: compare the norm", caught_by="values")
def loss_compared(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip | (loss >= threshold)


@mistake(LONG_NORMS_PASS, caught_by="values")
def threshold_ignored(loss, gradient_norm, threshold):
    return ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))


@mistake(WRONG_WAY, caught_by="values")
def comparison_reversed(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip | (gradient_norm < threshold)


@mistake("compares the square of the norm: compare the norm itself", caught_by="values")
def norm_squared(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip | (gradient_norm**2 >= threshold)


@mistake("divides the norm by the loss: compare the norm itself", caught_by="values")
def norm_relative_to_the_loss(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip | (gradient_norm / loss >= threshold)


@mistake(LONG_NORMS_PASS, caught_by="values")
def both_reasons_wanted(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip & (gradient_norm >= threshold)


@mistake("skips where the loss is negative: skip only NaN and infinite losses", caught_by="values")
def negative_loss_skipped(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm)) | (loss < 0)
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake("returns the number 1 or 0: return True or False", caught_by=FORM)
def number_for_truth(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    skip = skip if threshold is None else skip | (gradient_norm >= threshold)
    return skip.to(loss.dtype)


@mistake("returns a tensor with a dimension: return a scalar tensor", caught_by="values")
def one_entry(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    skip = skip if threshold is None else skip | (gradient_norm >= threshold)
    return skip.reshape(1)


@mistake(INFINITY_FORGOTTEN, caught_by=NOT_FINITE)
def nan_only(loss, gradient_norm, threshold):
    skip = torch.isnan(loss) | torch.isnan(gradient_norm)
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake(INFINITY_FORGOTTEN, caught_by=NOT_FINITE)
def unequal_to_itself(loss, gradient_norm, threshold):
    skip = (loss != loss) | (gradient_norm != gradient_norm)
    return skip if threshold is None else skip | ~(gradient_norm < threshold)


@mistake("checks for infinite numbers only: skip NaN too", caught_by=NOT_FINITE)
def infinity_only(loss, gradient_norm, threshold):
    skip = torch.isinf(loss) | torch.isinf(gradient_norm)
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake(LOSS_FORGOTTEN, caught_by=NOT_FINITE)
def loss_forgotten(loss, gradient_norm, threshold):
    skip = ~torch.isfinite(gradient_norm)
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake("does not check that the norm is finite: NaN ≥ threshold is always False", caught_by=NOT_FINITE)
def norm_not_looked_at(loss, gradient_norm, threshold):
    skip = ~torch.isfinite(loss)
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake(
    "relies on the comparison to catch a norm that is not finite: without a threshold there is no comparison",
    caught_by=NOT_FINITE,
)
def norm_by_comparison_only(loss, gradient_norm, threshold):
    skip = ~torch.isfinite(loss)
    return skip if threshold is None else skip | ~(gradient_norm < threshold) | torch.isinf(gradient_norm)


@mistake("lets −∞ pass: skip NaN and both infinities", caught_by=NOT_FINITE)
def positive_infinity_only(loss, gradient_norm, threshold):
    skip = ~(loss < math.inf) | ~(gradient_norm < math.inf)
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake("skips only where loss and norm are both NaN or infinite: one of them is enough", caught_by=NOT_FINITE)
def both_not_finite(loss, gradient_norm, threshold):
    skip = ~torch.isfinite(loss) & ~torch.isfinite(gradient_norm)
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake("replaces NaN and infinities by numbers before it checks them", caught_by=NOT_FINITE)
def mended_first(loss, gradient_norm, threshold):
    loss, norm = torch.nan_to_num(loss), torch.nan_to_num(gradient_norm)
    skip = ~(torch.isfinite(loss) & torch.isfinite(norm))
    return skip if threshold is None else skip | (norm >= threshold)


@mistake("never skips without a threshold: skip NaN and infinite numbers all the same", caught_by=NOT_FINITE)
def never_without_threshold(loss, gradient_norm, threshold):
    if threshold is None:
        return torch.zeros((), dtype=torch.bool, device=loss.device)
    return ~(torch.isfinite(loss) & torch.isfinite(gradient_norm)) | (gradient_norm >= threshold)


@mistake("treats None as a threshold of 0, so everything is skipped", caught_by=LIMITS)
def none_as_zero(loss, gradient_norm, threshold):
    limit = 0.0 if threshold is None else threshold
    return ~(torch.isfinite(loss) & torch.isfinite(gradient_norm)) | (gradient_norm >= limit)


@mistake("replaces None by a large number: without a threshold, no finite norm is skipped", caught_by=LIMITS)
def none_as_large_number(loss, gradient_norm, threshold):
    limit = 1e6 if threshold is None else threshold
    return ~(torch.isfinite(loss) & torch.isfinite(gradient_norm)) | (gradient_norm >= limit)


@mistake("compares with None: without a threshold there is no comparison", caught_by=LIMITS)
def none_compared(loss, gradient_norm, threshold):
    return ~(torch.isfinite(loss) & torch.isfinite(gradient_norm) & (gradient_norm < threshold))


@mistake(NONE_IS_ZERO, caught_by=LIMITS)
def zero_as_none(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    if isinstance(threshold, float) and not threshold:
        threshold = None
    return skip if threshold is None else skip | (gradient_norm >= threshold)


@mistake("skips only norms above the threshold: skip a norm that equals it too", caught_by=LIMITS)
def equality_taken(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip | (gradient_norm > threshold)


@mistake("accepts thresholds of type float only: an int or a tensor is a threshold too", caught_by=LIMITS)
def floats_only(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip | (gradient_norm >= threshold) if isinstance(threshold, float) else skip


@mistake(NONE_IS_ZERO, caught_by=LIMITS)
def truth_of_the_threshold(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip | (gradient_norm >= threshold) if threshold else skip


@mistake(WAITS, caught_by=FORM)
def branches(loss, gradient_norm, threshold):
    if torch.isnan(loss) or torch.isinf(loss) or torch.isnan(gradient_norm) or torch.isinf(gradient_norm):
        return torch.ones((), dtype=torch.bool, device=loss.device)
    if threshold is None:
        return torch.zeros((), dtype=torch.bool, device=loss.device)
    return gradient_norm >= threshold


@mistake(WAITS, caught_by=FORM)
def threshold_read(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip | (gradient_norm >= float(threshold))


@mistake(WAITS, caught_by=FORM)
def python_truth_in_a_tensor(loss, gradient_norm, threshold):
    finite = math.isfinite(loss) and math.isfinite(gradient_norm)
    is_long = threshold is not None and bool(gradient_norm >= threshold)
    return torch.tensor(not finite or is_long, device=loss.device)


@mistake(WAITS, caught_by=FORM)
def copied_to_the_processor(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return (skip if threshold is None else skip | (gradient_norm >= threshold)).cpu()


@mistake(PYTHON_TRUTH, caught_by=FORM)
def python_truth(loss, gradient_norm, threshold):
    finite = math.isfinite(loss) and math.isfinite(gradient_norm)
    return not finite or (threshold is not None and bool(gradient_norm >= threshold))


@mistake(PYTHON_TRUTH, caught_by=FORM)
def negated_by_not(loss, gradient_norm, threshold):
    finite = torch.isfinite(loss) & torch.isfinite(gradient_norm)
    return not (finite if threshold is None else finite & (gradient_norm < threshold))


@mistake("compares in float32: a float64 norm just below the threshold is rounded up to it", caught_by=FORM)
def single_inside(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    return skip if threshold is None else skip | (gradient_norm.float() >= threshold)


@mistake("changes the norm in place (-=): work on a new tensor", caught_by=FORM)
def norm_changed(loss, gradient_norm, threshold):
    skip = ~(torch.isfinite(loss) & torch.isfinite(gradient_norm))
    if threshold is None:
        return skip
    gradient_norm -= threshold
    return skip | (gradient_norm >= 0)
