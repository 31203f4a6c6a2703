"""Wrong ways to write ``precision_weighted``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import GRADIENTS_AND_PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

RANGE = "log_std from −12 to 8"
WEIGHTS_EXCHANGED = "weights each mean by the other's precision: the narrower Gaussian should count more"
STD_FOR_VARIANCE = "weights the means by 1/σ: the precision is 1/σ²"
SMALL_CONSTANT = "adds a small constant, which changes the smallest variances or precisions"
CLAMPED = "clamps log_std: very small or very large standard deviations are changed"


@mistake(WEIGHTS_EXCHANGED, caught_by="mean")
def weights_exchanged(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    mean = (second * first_mean + first * second_mean) / (first + second)
    return mean, -0.5 * torch.log(first + second)


@mistake(WEIGHTS_EXCHANGED, caught_by="mean")
def weighted_by_variance(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(2 * first_log_std), torch.exp(2 * second_log_std)
    mean = (first * first_mean + second * second_mean) / (first + second)
    return mean, 0.5 * torch.log(first * second / (first + second))


@mistake("averages the two means: weight each by its precision", caught_by="mean")
def plain_average(first_mean, first_log_std, second_mean, second_log_std):
    precision = torch.exp(-2 * first_log_std) + torch.exp(-2 * second_log_std)
    return (first_mean + second_mean) / 2, -0.5 * precision.log()


@mistake("does not divide the weighted sum of means by the sum of the precisions", caught_by="mean")
def mean_not_normalised(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    return first * first_mean + second * second_mean, -0.5 * torch.log(first + second)


@mistake("multiplies the weighted sum of means by the standard deviation: multiply by the variance", caught_by="mean")
def mean_times_std(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    std = (first + second).rsqrt()
    return std * (first * first_mean + second * second_mean), std.log()


@mistake(STD_FOR_VARIANCE, caught_by="mean")
def weights_not_squared(first_mean, first_log_std, second_mean, second_log_std):
    weight = torch.sigmoid(second_log_std - first_log_std)
    precision = torch.exp(-2 * first_log_std) + torch.exp(-2 * second_log_std)
    return weight * first_mean + (1 - weight) * second_mean, -0.5 * precision.log()


@mistake(STD_FOR_VARIANCE, caught_by="mean")
def gain_of_stds(first_mean, first_log_std, second_mean, second_log_std):
    first, second = first_log_std.exp(), second_log_std.exp()
    mean = first_mean + first / (first + second) * (second_mean - first_mean)
    return mean, first_log_std + second_log_std - 0.5 * torch.log(first**2 + second**2)


@mistake(WEIGHTS_EXCHANGED, caught_by="mean")
def gain_from_the_other_side(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(2 * first_log_std), torch.exp(2 * second_log_std)
    gain = first / (first + second)
    return second_mean + gain * (first_mean - second_mean), 0.5 * torch.log(gain * second)


@mistake("uses one weight for all elements: each element has its own precision", caught_by="mean")
def one_weight_for_all(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    weight = first.sum() / (first.sum() + second.sum())
    return weight * first_mean + (1 - weight) * second_mean, -0.5 * torch.log(first + second)


@mistake("subtracts the second weighted mean: add the two", caught_by="mean")
def means_subtracted(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    return (first * first_mean - second * second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake("adds variances: add precisions", caught_by="log_std")
def variances_added(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    mean = (first * first_mean + second * second_mean) / (first + second)
    return mean, 0.5 * torch.logaddexp(2 * first_log_std, 2 * second_log_std)


@mistake("averages the variances: add the precisions", caught_by="log_std")
def variances_averaged(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    mean = (first * first_mean + second * second_mean) / (first + second)
    return mean, 0.5 * torch.log((1 / first + 1 / second) / 2)


@mistake("averages the precisions: add them", caught_by="log_std")
def precisions_averaged(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    mean = (first * first_mean + second * second_mean) / (first + second)
    return mean, -0.5 * torch.log((first + second) / 2)


@mistake("averages the two log_stds: add the precisions", caught_by="log_std")
def log_stds_averaged(first_mean, first_log_std, second_mean, second_log_std):
    weight = torch.sigmoid(2 * (second_log_std - first_log_std))
    return torch.lerp(second_mean, first_mean, weight), (first_log_std + second_log_std) / 2


@mistake("averages the log_stds with the weights of the means: add the precisions", caught_by="log_std")
def log_stds_weighted(first_mean, first_log_std, second_mean, second_log_std):
    weight = torch.sigmoid(2 * (second_log_std - first_log_std))
    return torch.lerp(second_mean, first_mean, weight), torch.lerp(second_log_std, first_log_std, weight)


@mistake("uses the variance of a mixture: the distance of the means does not widen the product", caught_by="log_std")
def variance_of_the_mixture(first_mean, first_log_std, second_mean, second_log_std):
    weight = torch.sigmoid(2 * (second_log_std - first_log_std))
    within = weight * (2 * first_log_std).exp() + (1 - weight) * (2 * second_log_std).exp()
    between = weight * (1 - weight) * (first_mean - second_mean) ** 2
    return torch.lerp(second_mean, first_mean, weight), 0.5 * torch.log(within + between)


@mistake("returns the logarithm of the variance: that of the standard deviation is half of it", caught_by="log_std")
def log_variance(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    return (first * first_mean + second * second_mean) / (first + second), -torch.log(first + second)


@mistake("returns the standard deviation: return its logarithm", caught_by="log_std")
def std_for_log_std(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    return (first * first_mean + second * second_mean) / (first + second), (first + second).rsqrt()


@mistake("returns the variance: return the logarithm of the standard deviation", caught_by="log_std")
def variance_for_log_std(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    return (first * first_mean + second * second_mean) / (first + second), 1 / (first + second)


@mistake("takes a precision for a variance: the logarithm has the opposite sign", caught_by="log_std")
def precision_as_variance(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    return (first * first_mean + second * second_mean) / (first + second), 0.5 * torch.log(first + second)


@mistake("adds 1/σ: add the precisions 1/σ²", caught_by="log_std")
def inverse_stds_added(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    mean = (first * first_mean + second * second_mean) / (first + second)
    return mean, -torch.log(first.sqrt() + second.sqrt())


@mistake("takes the smaller of the two standard deviations: the product is narrower than both", caught_by="log_std")
def smaller_log_std(first_mean, first_log_std, second_mean, second_log_std):
    weight = torch.sigmoid(2 * (second_log_std - first_log_std))
    return torch.lerp(second_mean, first_mean, weight), torch.minimum(first_log_std, second_log_std)


@mistake(STD_FOR_VARIANCE, caught_by="mean")
def std_for_variance(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-first_log_std), torch.exp(-second_log_std)
    return (first * first_mean + second * second_mean) / (first + second), -torch.log(first + second)


@mistake(STD_FOR_VARIANCE, caught_by="mean")
def log_std_for_log_variance(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-first_log_std), torch.exp(-second_log_std)
    return (first * first_mean + second * second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake("returns log_std first: the mean comes first", caught_by="mean")
def results_exchanged(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    return -0.5 * torch.log(first + second), (first * first_mean + second * second_mean) / (first + second)


@mistake(SMALL_CONSTANT, caught_by=RANGE)
def small_constant_in_the_denominator(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    variance = 1 / (first + second + 1e-6)
    return variance * (first * first_mean + second * second_mean), 0.5 * torch.log(variance)


@mistake(SMALL_CONSTANT, caught_by=RANGE)
def small_constant_on_variances(first_mean, first_log_std, second_mean, second_log_std):
    first = 1 / (torch.exp(2 * first_log_std) + 1e-8)
    second = 1 / (torch.exp(2 * second_log_std) + 1e-8)
    return (first * first_mean + second * second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake(SMALL_CONSTANT, caught_by=RANGE)
def small_constant_in_the_logarithm(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    variance = 1 / (first + second)
    return variance * (first * first_mean + second * second_mean), 0.5 * torch.log(variance + 1e-8)


@mistake("computes the variance as (1 − gain) · σ²: where the gain rounds to 1, the result is 0", caught_by=RANGE)
def one_minus_gain(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(2 * first_log_std), torch.exp(2 * second_log_std)
    gain = second / (first + second)
    return second_mean + gain * (first_mean - second_mean), 0.5 * torch.log((1 - gain) * second)


@mistake(CLAMPED, caught_by=RANGE)
def clamped(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std.clamp(-7, 7)), torch.exp(-2 * second_log_std.clamp(-7, 7))
    return (first * first_mean + second * second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake(CLAMPED, caught_by=RANGE)
def result_clamped(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    log_std = -0.5 * torch.log(first + second)
    return (first * first_mean + second * second_mean) / (first + second), log_std.clamp(min=-10.0)


@mistake(
    "treats the weights as constants: gradients must reach both log_stds through the mean too",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def weights_detached(first_mean, first_log_std, second_mean, second_log_std):
    weight = torch.sigmoid(2 * (second_log_std - first_log_std)).detach()
    precision = torch.exp(-2 * first_log_std) + torch.exp(-2 * second_log_std)
    return torch.lerp(second_mean, first_mean, weight), -0.5 * precision.log()


@mistake(
    "treats the second Gaussian as a constant: gradients must reach its mean and log_std too",
    caught_by=GRADIENTS_AND_PRECISION_KEPT,
)
def second_detached(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std.detach())
    mean = (first * first_mean + second * second_mean.detach()) / (first + second)
    return mean, -0.5 * torch.log(first + second)


@mistake("no gradient arrives: detach, no_grad, item or NumPy cuts it off", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def without_gradients(first_mean, first_log_std, second_mean, second_log_std):
    with torch.no_grad():
        first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
        return (first * first_mean + second * second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake("turns the log_stds into precisions in place: work on new tensors", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def log_stds_changed(first_mean, first_log_std, second_mean, second_log_std):
    first, second = first_log_std.mul_(-2).exp_(), second_log_std.mul_(-2).exp_()
    return (first * first_mean + second * second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake("changes the means in place (*=): work on new tensors", caught_by=GRADIENTS_AND_PRECISION_KEPT)
def means_changed(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    first_mean *= first
    second_mean *= second
    return (first_mean + second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake(SINGLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_precision(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std), torch.exp(-2 * second_log_std)
    mean = (first * first_mean + second * second_mean) / (first + second)
    return mean.float(), (-0.5 * torch.log(first + second)).float()


@mistake(SINGLE_INSIDE, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def single_inside(first_mean, first_log_std, second_mean, second_log_std):
    first = torch.exp(-2 * first_log_std.float()).to(first_mean.dtype)
    second = torch.exp(-2 * second_log_std.float()).to(first_mean.dtype)
    return (first * first_mean + second * second_mean) / (first + second), -0.5 * torch.log(first + second)


@mistake(DOUBLE_OUT, caught_by=GRADIENTS_AND_PRECISION_KEPT)
def double_out(first_mean, first_log_std, second_mean, second_log_std):
    first, second = torch.exp(-2 * first_log_std.double()), torch.exp(-2 * second_log_std.double())
    return (first * first_mean + second * second_mean) / (first + second), -0.5 * torch.log(first + second)
