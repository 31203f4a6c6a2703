"""Wrong ways to write ``active_units``."""

import torch

from autograder.checks.case import Mistake, mistakes_into

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

EDGES = "few examples, means far from zero"
FORM = "a count of int64, inputs left alone"
STANDARD_DEVIATION = (
    "compares the standard deviation, or the mean absolute deviation, with the threshold: compare the variance"
)
OVER_UNITS = "takes the variance over the units of an example: take it over the examples, dimension 0"
WITHOUT_CENTRE = "returns the mean square, not the variance: subtract each unit's mean first"
CHANNELS = "counts channels: each place of a feature map is its own unit"
UNBIASED = "divides by N − 1 (the default of torch.var): divide by N"
CANCELS = (
    "computes the mean square minus the squared mean, which cancel far from zero: subtract the mean before squaring"
)


def variances(posterior_means):
    return posterior_means.var(dim=0, correction=0)


@mistake(STANDARD_DEVIATION, caught_by="values")
def standard_deviation(posterior_means, threshold):
    return (posterior_means.std(dim=0, correction=0) > threshold).sum()


@mistake("squares the variance: compare it as it is", caught_by="values")
def variance_squared(posterior_means, threshold):
    return (variances(posterior_means) ** 2 > threshold).sum()


@mistake(WITHOUT_CENTRE, caught_by="values")
def mean_square(posterior_means, threshold):
    return (posterior_means.square().mean(dim=0) > threshold).sum()


@mistake("subtracts one common mean from all units: subtract each unit's own", caught_by="values")
def common_mean(posterior_means, threshold):
    return ((posterior_means - posterior_means.mean()).square().mean(dim=0) > threshold).sum()


@mistake(OVER_UNITS, caught_by="values")
def over_the_units(posterior_means, threshold):
    return (posterior_means.flatten(1).var(dim=1, correction=0) > threshold).sum()


@mistake(
    "takes the variance over the last dimension: take it over the examples, dimension 0",
    caught_by="values",
)
def over_the_last_dimension(posterior_means, threshold):
    return (posterior_means.var(dim=-1, correction=0) > threshold).sum()


@mistake("takes one variance of all units together: each unit has its own", caught_by="values")
def one_variance(posterior_means, threshold):
    return (posterior_means.var(correction=0) > threshold).sum()


@mistake("averages feature maps over their places first: each place is its own unit", caught_by="values")
def averaged_over_places(posterior_means, threshold):
    channels = posterior_means.flatten(2).mean(dim=2) if posterior_means.ndim > 2 else posterior_means
    return (variances(channels) > threshold).sum()


@mistake(CHANNELS, caught_by="values")
def channels_with_an_active_place(posterior_means, threshold):
    is_active = variances(posterior_means) > threshold
    return (is_active.flatten(1).any(dim=1) if is_active.ndim > 1 else is_active).sum()


@mistake("counts along the first latent dimension only: count over all latent dimensions", caught_by="values")
def first_dimension_counted(posterior_means, threshold):
    return (variances(posterior_means) > threshold).sum(dim=0)


@mistake("returns a truth value for each unit: return how many are active", caught_by="values")
def not_counted(posterior_means, threshold):
    return variances(posterior_means) > threshold


@mistake("counts the units that are not active", caught_by="values")
def inactive(posterior_means, threshold):
    return (variances(posterior_means) < threshold).sum()


@mistake("returns a share of the units: return how many are active", caught_by="values")
def share(posterior_means, threshold):
    return (variances(posterior_means) > threshold).double().mean()


@mistake("adds up squared deviations: divide by the number of examples", caught_by="values")
def sum_of_squares(posterior_means, threshold):
    deviations = posterior_means - posterior_means.mean(dim=0)
    return (deviations.square().sum(dim=0) > threshold).sum()


@mistake(STANDARD_DEVIATION, caught_by="values")
def absolute_deviation(posterior_means, threshold):
    deviations = posterior_means - posterior_means.mean(dim=0)
    return (deviations.abs().mean(dim=0) > threshold).sum()


@mistake("compares the range of the means with the threshold: compare the variance", caught_by="values")
def range_of_the_means(posterior_means, threshold):
    return (posterior_means.amax(dim=0) - posterior_means.amin(dim=0) > threshold).sum()


@mistake("uses 0.01 as the threshold, whatever is given", caught_by="values")
def fixed_threshold(posterior_means, threshold):
    return (variances(posterior_means) > 0.01).sum()


@mistake("compares shares of the largest variance with the threshold", caught_by="values")
def relative_to_the_largest(posterior_means, threshold):
    variance = variances(posterior_means)
    return (variance / variance.max() > threshold).sum()


@mistake(
    "compares the means themselves with the threshold: compare their variance over the examples", caught_by="values"
)
def means_compared(posterior_means, threshold):
    return (posterior_means.mean(dim=0) > threshold).sum()


@mistake("counts pairs of example and unit: count each unit once", caught_by="values")
def each_example_counted(posterior_means, threshold):
    deviations = posterior_means - posterior_means.mean(dim=0)
    return (deviations.square() > threshold).sum()


@mistake("counts indices, one for each dimension of a unit: nonzero has one row for each unit", caught_by="values")
def indices_counted(posterior_means, threshold):
    return torch.tensor(torch.nonzero(variances(posterior_means) > threshold).numel())


@mistake("returns a tensor with a dimension: return a scalar tensor", caught_by="values")
def one_entry(posterior_means, threshold):
    return (variances(posterior_means) > threshold).sum().reshape(1)


@mistake(UNBIASED, caught_by=EDGES)
def unbiased(posterior_means, threshold):
    return (posterior_means.var(dim=0) > threshold).sum()


@mistake(UNBIASED, caught_by=EDGES)
def unbiased_by_hand(posterior_means, threshold):
    deviations = posterior_means - posterior_means.mean(dim=0)
    return (deviations.square().sum(dim=0) / (len(deviations) - 1) > threshold).sum()


@mistake(CANCELS, caught_by=EDGES)
def mean_square_minus_squared_mean(posterior_means, threshold):
    variance = posterior_means.square().mean(dim=0) - posterior_means.mean(dim=0).square()
    return (variance > threshold).sum()


@mistake(CANCELS, caught_by=EDGES)
def cancelling_and_clamped(posterior_means, threshold):
    variance = (posterior_means**2).mean(dim=0) - posterior_means.mean(dim=0) ** 2
    return (variance.clamp(min=0.0) > threshold).sum()


@mistake("computes in half precision, where means near 1,000 are rounded to halves", caught_by=EDGES)
def half_precision(posterior_means, threshold):
    return (variances(posterior_means.bfloat16().float()) > threshold).sum()


@mistake("returns a Python number: return a scalar tensor", caught_by=FORM)
def python_number(posterior_means, threshold):
    return int((variances(posterior_means) > threshold).sum())


@mistake("returns a Python number: return a scalar tensor", caught_by=FORM)
def length_of_a_list(posterior_means, threshold):
    return len(torch.nonzero(variances(posterior_means) > threshold))


@mistake("returns a float: a count is int64", caught_by=FORM)
def float_count(posterior_means, threshold):
    return (variances(posterior_means) > threshold).to(posterior_means.dtype).sum()


@mistake("returns int32: a count is int64", caught_by=FORM)
def short_integer(posterior_means, threshold):
    return (variances(posterior_means) > threshold).sum(dtype=torch.int32)


@mistake("counts units whose variance equals the threshold: count only those above it", caught_by=FORM)
def equality_counted(posterior_means, threshold):
    return (variances(posterior_means) >= threshold).sum()


@mistake("changes the means in place: work on a new tensor", caught_by=FORM)
def centred_in_place(posterior_means, threshold):
    posterior_means -= posterior_means.mean(dim=0)
    return (posterior_means.square().mean(dim=0) > threshold).sum()


@mistake(
    "computes in float32 on the way: compare variances of float64 means with the threshold in float64", caught_by=FORM
)
def single_inside(posterior_means, threshold):
    return (variances(posterior_means.float()) > threshold).sum()
