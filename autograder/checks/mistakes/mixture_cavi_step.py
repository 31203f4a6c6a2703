"""Wrong ways to write ``mixture_cavi_step``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

FAR = "points far from all components"
SIZES = "precisions of all sizes, means far from zero"
SUMS_TO_NOTHING = "the densities are 0, and 0/0 is NaN: first subtract each point's largest logarithm, as softmax does"
PRODUCT = (
    "multiplies precisions before taking the logarithm: the product overflows or underflows, so sum the logarithms"
)


def squared_distances(x, means, precisions):
    return ((x.unsqueeze(1) - means).square() * precisions).sum(dim=2)


def log_densities(x, weights_log, means, precisions):
    """log weight + log density, up to a constant that is the same for all components."""
    return weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * squared_distances(x, means, precisions)


@mistake("the log-determinant ½ Σ log τ is missing: the density of a narrow component is higher", caught_by="values")
def without_determinant(x, weights_log, means, precisions):
    return (weights_log - 0.5 * squared_distances(x, means, precisions)).softmax(dim=1)


@mistake("the ½ before Σ log τ is missing", caught_by="values")
def determinant_not_halved(x, weights_log, means, precisions):
    logs = weights_log + precisions.log().sum(dim=1) - 0.5 * squared_distances(x, means, precisions)
    return logs.softmax(dim=1)


@mistake("reverses the sign of Σ log τ, as if τ were variances", caught_by="values")
def determinant_of_variances(x, weights_log, means, precisions):
    logs = weights_log - 0.5 * precisions.log().sum(dim=1) - 0.5 * squared_distances(x, means, precisions)
    return logs.softmax(dim=1)


@mistake("the ½ before the squared distance is missing", caught_by="values")
def distance_not_halved(x, weights_log, means, precisions):
    logs = weights_log + 0.5 * precisions.log().sum(dim=1) - squared_distances(x, means, precisions)
    return logs.softmax(dim=1)


@mistake("the ½ before the log-determinant and the ½ before the distance are missing", caught_by="values")
def nothing_halved(x, weights_log, means, precisions):
    logs = weights_log + precisions.log().sum(dim=1) - squared_distances(x, means, precisions)
    return logs.softmax(dim=1)


@mistake("divides the squared distance by τ, as if τ were variances: multiply by it", caught_by="values")
def precision_as_variance(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, 1 / precisions).softmax(dim=1)


@mistake("uses the precision as a divisor, and only in the distance", caught_by="values")
def distance_over_precision(x, weights_log, means, precisions):
    squares = squared_distances(x, means, 1 / precisions)
    return (weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * squares).softmax(dim=1)


@mistake("takes precisions for standard deviations", caught_by="values")
def precision_as_std(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions**-2).softmax(dim=1)


@mistake("squares the precision: multiply the squared distance by it once", caught_by="values")
def precision_squared(x, weights_log, means, precisions):
    squares = squared_distances(x, means, precisions**2)
    return (weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * squares).softmax(dim=1)


@mistake("leaves out the precision in the distance", caught_by="values")
def plain_distance(x, weights_log, means, precisions):
    squares = squared_distances(x, means, torch.ones_like(precisions))
    return (weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * squares).softmax(dim=1)


@mistake("leaves out the weights", caught_by="values")
def without_weights(x, weights_log, means, precisions):
    return log_densities(x, torch.zeros_like(weights_log), means, precisions).softmax(dim=1)


@mistake("adds the weights: add their logarithms (weights_log as it is)", caught_by="values")
def weights_exponentiated(x, weights_log, means, precisions):
    return log_densities(x, weights_log.exp(), means, precisions).softmax(dim=1)


@mistake("takes the logarithm of the log weights once more", caught_by="values")
def logarithm_twice(x, weights_log, means, precisions):
    return log_densities(x, weights_log.log(), means, precisions).softmax(dim=1)


@mistake("multiplies densities by log weights: multiply by their exponentials", caught_by="values")
def weighted_by_logarithms(x, weights_log, means, precisions):
    weighted = weights_log * log_densities(x, torch.zeros_like(weights_log), means, precisions).exp()
    return weighted / weighted.sum(dim=1, keepdim=True)


@mistake("normalises over points: for each point, the responsibilities sum to one over components", caught_by="values")
def normalised_over_points(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions).softmax(dim=0)


@mistake("does not normalise: for each point, the responsibilities sum to one", caught_by="values")
def not_normalised(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions).exp()


@mistake("returns logarithms: return responsibilities", caught_by="values")
def logarithms(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions).log_softmax(dim=1)


@mistake("assigns each point to one component: responsibilities divide it among the components", caught_by="values")
def hard_assignment(x, weights_log, means, precisions):
    best = log_densities(x, weights_log, means, precisions).argmax(dim=1)
    return torch.nn.functional.one_hot(best, len(weights_log)).to(x)


@mistake("reverses the sign of the exponent: components far away are unlikely", caught_by="values")
def opposite_distance(x, weights_log, means, precisions):
    logs = weights_log + 0.5 * precisions.log().sum(dim=1) + 0.5 * squared_distances(x, means, precisions)
    return logs.softmax(dim=1)


@mistake("averages over dimensions: sum the log densities of the dimensions", caught_by="values")
def averaged_over_dimensions(x, weights_log, means, precisions):
    each = precisions.log() - (x.unsqueeze(1) - means).square() * precisions
    return (weights_log + 0.5 * each.mean(dim=2)).softmax(dim=1)


@mistake("does not square the distance", caught_by="values")
def absolute_distance(x, weights_log, means, precisions):
    distances = ((x.unsqueeze(1) - means).abs() * precisions).sum(dim=2)
    return (weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * distances).softmax(dim=1)


@mistake("sums distances over dimensions before squaring", caught_by="values")
def square_of_the_sum(x, weights_log, means, precisions):
    squares = ((x.unsqueeze(1) - means) * precisions.sqrt()).sum(dim=2).square()
    return (weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * squares).softmax(dim=1)


@mistake("counts the weight once per dimension: count it once", caught_by="values")
def weight_in_each_dimension(x, weights_log, means, precisions):
    return log_densities(x, x.shape[1] * weights_log, means, precisions).softmax(dim=1)


@mistake("has components in rows and points in columns: the shape should be (n, components)", caught_by="values")
def transposed(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions).softmax(dim=1).T


@mistake("uses only the first dimension", caught_by="values")
def first_dimension(x, weights_log, means, precisions):
    return log_densities(x[:, :1], weights_log, means[:, :1], precisions[:, :1]).softmax(dim=1)


@mistake(SUMS_TO_NOTHING, caught_by=FAR)
def exponentials(x, weights_log, means, precisions):
    weighted = log_densities(x, weights_log, means, precisions).exp()
    return weighted / weighted.sum(dim=1, keepdim=True)


@mistake(SUMS_TO_NOTHING, caught_by=FAR)
def product_of_densities(x, weights_log, means, precisions):
    gaussian = torch.exp(-0.5 * squared_distances(x, means, precisions))
    scale = precisions.sqrt().prod(dim=1) / (2 * math.pi) ** (x.shape[1] / 2)
    weighted = weights_log.exp() * scale * gaussian
    return weighted / weighted.sum(dim=1, keepdim=True)


@mistake(
    "gives zeros: a small constant turns 0/0 into zero, but responsibilities sum to one",
    caught_by=FAR,
)
def small_constant(x, weights_log, means, precisions):
    weighted = log_densities(x, weights_log, means, precisions).exp()
    return weighted / (weighted.sum(dim=1, keepdim=True) + 1e-30)


@mistake("gives equal shares: even far points belong to some components more than to others", caught_by=FAR)
def equal_shares_for_the_lost(x, weights_log, means, precisions):
    weighted = log_densities(x, weights_log, means, precisions).exp()
    total = weighted.sum(dim=1, keepdim=True)
    return torch.where(total > 0, weighted / total, 1 / len(weights_log))


@mistake(SUMS_TO_NOTHING, caught_by=FAR)
def one_maximum_for_all(x, weights_log, means, precisions):
    logs = log_densities(x, weights_log, means, precisions)
    weighted = (logs - logs.max()).exp()
    return weighted / weighted.sum(dim=1, keepdim=True)


@mistake(
    "subtracts each component's largest logarithm, which changes the ratios between components", caught_by="values"
)
def maximum_over_points(x, weights_log, means, precisions):
    logs = log_densities(x, weights_log, means, precisions)
    weighted = (logs - logs.max(dim=0).values).exp()
    return weighted / weighted.sum(dim=1, keepdim=True)


@mistake("clamps squared distances: they may be of any size", caught_by=FAR)
def clamped_distance(x, weights_log, means, precisions):
    squares = squared_distances(x, means, precisions).clamp(max=100.0)
    return (weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * squares).softmax(dim=1)


@mistake(PRODUCT, caught_by=SIZES)
def logarithm_of_the_product(x, weights_log, means, precisions):
    determinant = 0.5 * precisions.prod(dim=1).log()
    return (weights_log + determinant - 0.5 * squared_distances(x, means, precisions)).softmax(dim=1)


@mistake(PRODUCT, caught_by=SIZES)
def determinant_of_a_matrix(x, weights_log, means, precisions):
    determinant = 0.5 * torch.linalg.det(torch.diag_embed(precisions)).log()
    return (weights_log + determinant - 0.5 * squared_distances(x, means, precisions)).softmax(dim=1)


@mistake("adds a constant to the precisions, which changes small ones", caught_by=SIZES)
def constant_added(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions + 1e-5).softmax(dim=1)


@mistake("changes `x` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def x_changed(x, weights_log, means, precisions):
    result = log_densities(x, weights_log, means, precisions).softmax(dim=1)
    x -= means.mean(dim=0)
    return result


@mistake("changes `weights_log` in place: work on a new tensor", caught_by=PRECISION_KEPT)
def weights_changed(x, weights_log, means, precisions):
    result = log_densities(x, weights_log, means, precisions).softmax(dim=1)
    weights_log += 0.5 * precisions.log().sum(dim=1)
    weights_log += 1.0
    return result


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(x, weights_log, means, precisions):
    return log_densities(x.float(), weights_log.float(), means.float(), precisions.float()).softmax(dim=1)


@mistake("squeezes away a single point: the shape should be (1, components)", caught_by=PRECISION_KEPT)
def squeezed(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions).softmax(dim=1).squeeze()


@mistake("returns a NumPy array: return a tensor", caught_by=PRECISION_KEPT)
def numpy_array(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions).softmax(dim=1).numpy()


@mistake("the log-determinant and the ½ before the squared distance are missing", caught_by="values")
def distance_alone(x, weights_log, means, precisions):
    return (weights_log - squared_distances(x, means, precisions)).softmax(dim=1)


@mistake("leaves out the weights, and reverses the sign of Σ log τ", caught_by="values")
def two_slips(x, weights_log, means, precisions):
    return (-0.5 * precisions.log().sum(dim=1) - 0.5 * squared_distances(x, means, precisions)).softmax(dim=1)


@mistake(
    "expands the square of the distance: its terms cancel far from zero, so subtract the means first", caught_by=SIZES
)
def square_multiplied_out(x, weights_log, means, precisions):
    squares = x**2 @ precisions.T - 2 * x @ (precisions * means).T + (precisions * means**2).sum(dim=1)
    return (weights_log + 0.5 * precisions.log().sum(dim=1) - 0.5 * squares).softmax(dim=1)


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(x, weights_log, means, precisions):
    return log_densities(x, weights_log, means, precisions).float().softmax(dim=1).to(x.dtype)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(x, weights_log, means, precisions):
    return log_densities(x.double(), weights_log.double(), means.double(), precisions.double()).softmax(dim=1)


@mistake("takes 1/τ for the standard deviation: 1/τ is the variance", caught_by="values")
def variance_as_std(x, weights_log, means, precisions):
    densities = torch.distributions.Normal(means, 1 / precisions).log_prob(x.unsqueeze(1))
    return (weights_log + densities.sum(dim=2)).softmax(dim=1)


@mistake("takes the logarithm of the sum of τ: sum the logarithms", caught_by="values")
def logarithm_of_the_sum(x, weights_log, means, precisions):
    logs = weights_log + 0.5 * precisions.sum(dim=1).log() - 0.5 * squared_distances(x, means, precisions)
    return logs.softmax(dim=1)
