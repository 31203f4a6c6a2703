"""Wrong ways to write ``effective_sample_size``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ANY_SIZE = "log weights of any size"
CUT_OFF = "no gradient reaches the log weights: detach, no_grad, item or NumPy cuts it off"
SUM_NOT_SQUARED = "does not square the sum of the weights: use 2 · log Σw"
SINGLE = "squeezes away one sample or one example: the shape should be (batch,)"
OVERFLOWS = (
    "takes exp of the log weights as they are, which overflows or is zero: subtract each example's largest first"
)


def of_weights(weights):
    """Right for all weights whose squares neither overflow nor underflow."""
    return weights.sum(dim=0) ** 2 / (weights**2).sum(dim=0)


def relative(log_weights):
    return torch.exp(log_weights - log_weights.amax(dim=0))


@mistake("is upside down: the square of the sum goes above the sum of squares", caught_by="values")
def upside_down(log_weights):
    return 1 / of_weights(relative(log_weights))


@mistake(SUM_NOT_SQUARED, caught_by="values")
def sum_not_squared(log_weights):
    weights = torch.exp(log_weights)
    return weights.sum(dim=0) / (weights**2).sum(dim=0)


@mistake("returns 1 over the sum of squares of weights that do not sum to 1: normalise them first", caught_by="values")
def not_normalised(log_weights):
    return 1 / (torch.exp(log_weights) ** 2).sum(dim=0)


@mistake("uses the log weights as weights: exp is missing", caught_by="values")
def exponential_missing(log_weights):
    return of_weights(log_weights)


@mistake("returns a share of the samples, not their number: do not divide by K", caught_by="values")
def share_of_the_samples(log_weights):
    return of_weights(relative(log_weights)) / len(log_weights)


@mistake("works over the batch: the samples are dimension 0", caught_by="values")
def over_the_batch(log_weights):
    weights = torch.softmax(log_weights, dim=1)
    return 1 / (weights**2).sum(dim=1)


@mistake("normalises over the batch: the weights of one example sum to 1 over dimension 0", caught_by="values")
def normalised_over_the_batch(log_weights):
    weights = torch.softmax(log_weights, dim=-1)
    return 1 / (weights**2).sum(dim=0)


@mistake("sums over the batch too: return one number per example", caught_by="values")
def over_everything(log_weights):
    weights = torch.exp(log_weights)
    return weights.sum() ** 2 / (weights**2).sum()


@mistake("averages kl over the batch: return one number per example", caught_by="values")
def averaged(log_weights):
    return of_weights(relative(log_weights)).mean()


@mistake(
    "returns the exponential of the entropy, another measure: use (Σw)² / Σw²",
    caught_by="values",
)
def perplexity(log_weights):
    weights = torch.softmax(log_weights, dim=0)
    return torch.exp(torch.special.entr(weights).sum(dim=0))


@mistake("returns 1 over the largest normalised weight, another measure: use (Σw)² / Σw²", caught_by="values")
def largest_weight(log_weights):
    return 1 / torch.softmax(log_weights, dim=0).amax(dim=0)


@mistake(
    "uses the variance with 1/(K − 1): the formula K / (1 + Var(w) / mean²) needs the one with 1/K", caught_by="values"
)
def unbiased_variance(log_weights):
    weights = relative(log_weights)
    return len(weights) / (1 + weights.var(dim=0) / weights.mean(dim=0) ** 2)


@mistake(
    "returns K over 1 plus the variance of weights whose mean is not 1: divide by the mean squared", caught_by="values"
)
def variance_not_relative(log_weights):
    weights = relative(log_weights)
    return len(weights) / (1 + weights.var(dim=0, correction=0))


@mistake(SUM_NOT_SQUARED, caught_by="values")
def logarithm_not_doubled(log_weights):
    return torch.exp(torch.logsumexp(log_weights, dim=0) - torch.logsumexp(2 * log_weights, dim=0))


@mistake("doubles the logarithm of the sum, not each log weight, for the sum of squares", caught_by="values")
def square_of_the_sum_twice(log_weights):
    log_sum = torch.logsumexp(log_weights, dim=0)
    return torch.exp(2 * log_sum - torch.logsumexp(log_weights, dim=0))


@mistake("returns the logarithm of the effective sample size: take exp", caught_by="values")
def logarithm(log_weights):
    return of_weights(relative(log_weights)).log()


@mistake("rounds to a whole number: the effective sample size need not be whole", caught_by="values")
def rounded(log_weights):
    return of_weights(relative(log_weights)).round()


@mistake("keeps the dimension of the samples: the shape is (batch,)", caught_by="values")
def dimension_kept(log_weights):
    weights = torch.softmax(log_weights, dim=0)
    return 1 / (weights**2).sum(dim=0, keepdim=True)


@mistake("takes the absolute values of the log weights", caught_by="values")
def absolute_values(log_weights):
    return of_weights(relative(log_weights.abs()))


@mistake("returns the square of the effective sample size", caught_by="values")
def squared(log_weights):
    return of_weights(relative(log_weights)) ** 2


@mistake("counts the weights that are larger than their mean", caught_by="values")
def weights_above_the_mean(log_weights):
    weights = torch.softmax(log_weights, dim=0)
    return (weights > 1 / len(weights)).sum(dim=0).to(log_weights.dtype)


@mistake(OVERFLOWS, caught_by=ANY_SIZE)
def overflow(log_weights):
    return of_weights(torch.exp(log_weights))


@mistake(OVERFLOWS, caught_by=ANY_SIZE)
def normalised_after_exp(log_weights):
    weights = torch.exp(log_weights)
    weights = weights / weights.sum(dim=0)
    return 1 / (weights**2).sum(dim=0)


@mistake(
    "takes exp in float64, which still overflows or is zero: subtract each example's largest first",
    caught_by=ANY_SIZE,
)
def overflow_in_double(log_weights):
    return of_weights(torch.exp(log_weights.double())).to(log_weights.dtype)


@mistake(
    "subtracts the largest of all log weights: other examples underflow, so use the largest of each example",
    caught_by=ANY_SIZE,
)
def largest_of_all(log_weights):
    return of_weights(torch.exp(log_weights - log_weights.max()))


@mistake("subtracts the mean of the log weights, which does not stop the largest from overflowing", caught_by=ANY_SIZE)
def mean_subtracted(log_weights):
    return of_weights(torch.exp(log_weights - log_weights.mean(dim=0)))


@mistake(
    "takes exp of a difference of large logarithms, which loses digits: subtract each example's largest log "
    "weight first",
    caught_by=ANY_SIZE,
)
def difference_of_large_logarithms(log_weights):
    return torch.exp(2 * torch.logsumexp(log_weights, dim=0) - torch.logsumexp(2 * log_weights, dim=0))


@mistake("adds a small constant to the sum of squares, which changes small weights", caught_by=ANY_SIZE)
def small_constant_below(log_weights):
    weights = torch.exp(log_weights)
    return weights.sum(dim=0) ** 2 / ((weights**2).sum(dim=0) + 1e-12)


@mistake("clamps the log weights", caught_by=ANY_SIZE)
def clamped(log_weights):
    return of_weights(relative(log_weights.clamp(-35, 35)))


@mistake("replaces NaN and ∞ by numbers where exp has overflowed", caught_by=ANY_SIZE)
def mended(log_weights):
    return torch.nan_to_num(of_weights(torch.exp(log_weights)), nan=1.0)


@mistake(CUT_OFF, caught_by="gradients")
def detached(log_weights):
    return of_weights(relative(log_weights.detach()))


@mistake(CUT_OFF, caught_by="gradients")
def without_gradients(log_weights):
    with torch.no_grad():
        return of_weights(relative(log_weights))


@mistake("treats the sum that normalises the weights as a constant: gradients must reach it too", caught_by="gradients")
def constant_sum(log_weights):
    weights = relative(log_weights)
    weights = weights / weights.sum(dim=0).detach()
    return 1 / (weights**2).sum(dim=0)


@mistake("treats the sum of squares as a constant: gradients must reach it too", caught_by="gradients")
def constant_sum_of_squares(log_weights):
    weights = relative(log_weights)
    return weights.sum(dim=0) ** 2 / (weights**2).sum(dim=0).detach()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_out(log_weights):
    return of_weights(relative(log_weights)).float()


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(log_weights):
    return of_weights(relative(log_weights.float())).to(log_weights.dtype)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(log_weights):
    return of_weights(relative(log_weights.double()))


@mistake("changes the log weights in place: work on a new tensor", caught_by=PRECISION_KEPT)
def in_place(log_weights):
    largest = log_weights.detach().amax(dim=0)
    log_weights -= largest
    return of_weights(torch.exp(log_weights))


@mistake(SINGLE, caught_by=PRECISION_KEPT)
def result_squeezed(log_weights):
    return of_weights(relative(log_weights)).squeeze()


@mistake(SINGLE, caught_by=PRECISION_KEPT)
def input_squeezed(log_weights):
    return of_weights(relative(log_weights.squeeze()))
