"""Wrong ways to write ``importance_weighted_bound``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

APART = "log weights apart by thousands"
CUT_OFF = "no gradient reaches the log weights: detach, no_grad, item or NumPy cuts it off"
SINGLE = "squeezes away one sample or one example: the shape should be (batch,)"


@mistake("forgets to divide by the number of samples: subtract log K", caught_by="values")
def log_k_forgotten(log_weights):
    return torch.logsumexp(log_weights, dim=0)


@mistake("adds log K: subtract it", caught_by="values")
def log_k_added(log_weights):
    return torch.logsumexp(log_weights, dim=0) + math.log(len(log_weights))


@mistake("divides the logarithm by K: subtract log K from it", caught_by="values")
def logarithm_divided(log_weights):
    return torch.logsumexp(log_weights, dim=0) / len(log_weights)


@mistake("subtracts K, not its logarithm", caught_by="values")
def k_subtracted(log_weights):
    return torch.logsumexp(log_weights, dim=0) - len(log_weights)


@mistake("subtracts the logarithm of the batch size, not of the number of samples", caught_by="values")
def batch_size_subtracted(log_weights):
    return torch.logsumexp(log_weights, dim=0) - math.log(log_weights.shape[1])


@mistake("subtracts the logarithm of the number of all weights, not of the number of samples", caught_by="values")
def all_weights_counted(log_weights):
    return torch.logsumexp(log_weights, dim=0) - math.log(log_weights.numel())


@mistake(
    "returns the mean of the log weights, the plain ELBO: average the weights, then take the logarithm",
    caught_by="values",
)
def mean_of_logarithms(log_weights):
    return log_weights.mean(dim=0)


@mistake("returns the mean of the weights: the logarithm is missing", caught_by="values")
def logarithm_missing(log_weights):
    return torch.exp(log_weights).mean(dim=0)


@mistake("returns the largest log weight: all the weights count", caught_by="values")
def largest_weight(log_weights):
    return log_weights.amax(dim=0)


@mistake("averages over the batch: average over the samples, dimension 0", caught_by="values")
def averaged_over_batch(log_weights):
    return torch.logsumexp(log_weights, dim=1) - math.log(log_weights.shape[1])


@mistake("sums over the batch and divides by the number of samples", caught_by="values")
def summed_over_batch(log_weights):
    return torch.logsumexp(log_weights, dim=1) - math.log(log_weights.shape[0])


@mistake("averages over the batch as well: return one bound per example", caught_by="values")
def averaged_over_everything(log_weights):
    return torch.logsumexp(log_weights.flatten(), dim=0) - math.log(log_weights.numel())


@mistake("averages the bounds of the batch: return one per example", caught_by="values")
def mean_bound(log_weights):
    return (torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))).mean()


@mistake("has the opposite sign: return the bound, not a loss", caught_by="values")
def opposite_sign(log_weights):
    return math.log(len(log_weights)) - torch.logsumexp(log_weights, dim=0)


@mistake("keeps the dimension of the samples: the shape is (batch,)", caught_by="values")
def dimension_kept(log_weights):
    return torch.logsumexp(log_weights, dim=0, keepdim=True) - math.log(len(log_weights))


@mistake("normalises the weights first, so their mean is always 1/K", caught_by="values")
def normalised_weights(log_weights):
    return torch.log(torch.softmax(log_weights, dim=0).mean(dim=0))


@mistake("averages the log weights with the normalised weights: this is not a bound on log p(x)", caught_by="values")
def weighted_by_normalised(log_weights):
    return (torch.softmax(log_weights, dim=0) * log_weights).sum(dim=0)


@mistake("subtracts the largest log weight and does not add it back", caught_by="values")
def largest_not_added_back(log_weights):
    return torch.log(torch.exp(log_weights - log_weights.amax(dim=0)).mean(dim=0))


@mistake("is in bits: return nats", caught_by="values")
def in_bits(log_weights):
    return (torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))) / math.log(2)


@mistake(
    "subtracts the largest of all log weights: other examples underflow, so use the largest of each example",
    caught_by=APART,
)
def largest_of_all(log_weights):
    largest = log_weights.max()
    return largest + torch.log(torch.exp(log_weights - largest).mean(dim=0))


@mistake("subtracts the mean of the log weights, which does not stop the largest from overflowing", caught_by=APART)
def mean_subtracted(log_weights):
    mean = log_weights.mean(dim=0)
    return mean + torch.log(torch.exp(log_weights - mean).mean(dim=0))


@mistake("exp of a log weight overflows or is zero: subtract each example's largest first", caught_by=APART)
def overflow(log_weights):
    return torch.log(torch.exp(log_weights).mean(dim=0))


@mistake("adds a small constant inside the logarithm, which replaces small weights", caught_by=APART)
def small_constant_added(log_weights):
    return torch.log(torch.exp(log_weights).mean(dim=0) + 1e-12)


@mistake("clamps the log weights", caught_by=APART)
def clamped(log_weights):
    inside = log_weights.clamp(-500, 500)
    return torch.logsumexp(inside, dim=0) - math.log(len(log_weights))


@mistake(CUT_OFF, caught_by="gradients")
def detached(log_weights):
    return torch.logsumexp(log_weights.detach(), dim=0) - math.log(len(log_weights))


@mistake(CUT_OFF, caught_by="gradients")
def new_tensor(log_weights):
    bounds = torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))
    return torch.tensor(bounds.tolist(), dtype=log_weights.dtype)


@mistake("detaches the largest log weight where it is added back but not where it is subtracted", caught_by="gradients")
def largest_half_detached(log_weights):
    largest = log_weights.amax(dim=0)
    return largest.detach() + torch.log(torch.exp(log_weights - largest).mean(dim=0))


@mistake("treats the weights as equal in the gradient", caught_by="gradients")
def gradient_of_the_mean(log_weights):
    value = torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))
    mean = log_weights.mean(dim=0)
    return mean + (value - mean).detach()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(log_weights):
    return torch.logsumexp(log_weights.float(), dim=0) - math.log(len(log_weights))


@mistake("changes the log weights in place: work on a new tensor", caught_by=PRECISION_KEPT)
def weights_changed(log_weights):
    largest = log_weights.amax(dim=0)
    log_weights -= largest
    return largest + torch.log(torch.exp(log_weights).mean(dim=0))


@mistake(SINGLE, caught_by=PRECISION_KEPT)
def input_squeezed(log_weights):
    return torch.logsumexp(log_weights.squeeze(), dim=0) - math.log(len(log_weights))


@mistake(SINGLE, caught_by=PRECISION_KEPT)
def result_squeezed(log_weights):
    return (torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))).squeeze()


@mistake("returns a loss, minus the mean over the batch: return one bound per example", caught_by="values")
def loss(log_weights):
    return -(torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))).mean()


@mistake(
    "averages over the batch instead of the samples, and does not divide by the number of samples", caught_by="values"
)
def sum_over_batch(log_weights):
    return torch.logsumexp(log_weights, dim=1)


@mistake("exp overflows in a branch of torch.where: compute the mean relative to the largest weight", caught_by=APART)
def jensen_where_it_overflows(log_weights):
    bound = torch.log(torch.exp(log_weights).mean(dim=0))
    return torch.where(bound.isfinite(), bound, log_weights.mean(dim=0))


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(log_weights):
    return torch.logsumexp(log_weights.float(), dim=0).to(log_weights.dtype) - math.log(len(log_weights))


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(log_weights):
    return torch.logsumexp(log_weights.double(), dim=0) - math.log(len(log_weights))


@mistake("subtracts the largest of all log weights, and adds a constant that replaces the small ones", caught_by=APART)
def largest_of_all_and_a_constant(log_weights):
    largest = log_weights.max()
    return largest + torch.log(torch.exp(log_weights - largest).mean(dim=0) + 1e-8)
