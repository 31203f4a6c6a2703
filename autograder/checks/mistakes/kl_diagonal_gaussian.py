"""Wrong ways to write ``kl_diagonal_gaussian``."""

import math

import torch
from torch.distributions import Normal, kl_divergence

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

RANGE = "wide ranges and many dimensions"
SWAPPED = "equals KL(p‖q): q and p are exchanged"
VARIANCE = "takes log_std for the logarithm of the variance: the variance is exp(2 · log_std)"
CUT_OFF = "no gradient arrives: detach, no_grad, item or NumPy cuts it off"
CLAMPED = "clamps log_std: very small or very large standard deviations are changed"


@mistake(SWAPPED, caught_by="values")
def swapped(q_mean, q_log_std, p_mean, p_log_std):
    q_var, p_var = (2 * q_log_std).exp(), (2 * p_log_std).exp()
    return (q_log_std - p_log_std + (p_var + (q_mean - p_mean) ** 2) / (2 * q_var) - 0.5).sum(-1)


@mistake(SWAPPED, caught_by="values")
def swapped_in_torch(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(p_mean, p_log_std.exp()), Normal(q_mean, q_log_std.exp())).sum(-1)


@mistake(VARIANCE, caught_by="values")
def log_variance(q_mean, q_log_std, p_mean, p_log_std):
    q_var, p_var = q_log_std.exp(), p_log_std.exp()
    return 0.5 * (p_log_std - q_log_std + (q_var + (q_mean - p_mean) ** 2) / p_var - 1).sum(-1)


@mistake("uses standard deviations where the formula has variances: square them", caught_by="values")
def stds_not_squared(q_mean, q_log_std, p_mean, p_log_std):
    q_std, p_std = q_log_std.exp(), p_log_std.exp()
    return (p_log_std - q_log_std + (q_std + (q_mean - p_mean) ** 2) / (2 * p_std) - 0.5).sum(-1)


@mistake("does not square the standard deviation of p in the denominator", caught_by="values")
def p_std_not_squared(q_mean, q_log_std, p_mean, p_log_std):
    q_var, p_std = (2 * q_log_std).exp(), p_log_std.exp()
    return (p_log_std - q_log_std + (q_var + (q_mean - p_mean) ** 2) / (2 * p_std) - 0.5).sum(-1)


@mistake("uses log_std where the formula has the standard deviation: take the exponential", caught_by="values")
def exponential_forgotten(q_mean, q_log_std, p_mean, p_log_std):
    distance = (q_log_std**2 + (q_mean - p_mean) ** 2) / (2 * p_log_std**2)
    return (p_log_std - q_log_std + distance - 0.5).sum(-1)


@mistake("the −½ of each dimension is missing", caught_by="values")
def half_forgotten(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    return (p_log_std - q_log_std + ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / (2 * p_var)).sum(-1)


@mistake("subtracts ½ once: subtract ½ for each dimension", caught_by="values")
def half_once(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    terms = p_log_std - q_log_std + ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / (2 * p_var)
    return terms.sum(-1) - 0.5


@mistake("subtracts 1 from each dimension: subtract ½", caught_by="values")
def one_for_half(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    return (p_log_std - q_log_std + ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / (2 * p_var) - 1).sum(-1)


@mistake("the factor ½ before the fraction is missing", caught_by="values")
def fraction_not_halved(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    return (p_log_std - q_log_std + ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / p_var - 0.5).sum(-1)


@mistake("halves log(σ_p/σ_q): the ½ is already in the logarithm of the standard deviation", caught_by="values")
def logarithm_halved(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    fraction = ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / p_var
    return 0.5 * (p_log_std - q_log_std + fraction - 1).sum(-1)


@mistake("has log(σ_q/σ_p): it should be log(σ_p/σ_q)", caught_by="values")
def logarithm_reversed(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    fraction = ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / (2 * p_var)
    return (q_log_std - p_log_std + fraction - 0.5).sum(-1)


@mistake("the term log(σ_p/σ_q) is missing", caught_by="values")
def logarithm_forgotten(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    return (((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / (2 * p_var) - 0.5).sum(-1)


@mistake("the means are not used", caught_by="values")
def means_forgotten(q_mean, q_log_std, p_mean, p_log_std):
    ratio = q_log_std - p_log_std
    return (0.5 * (2 * ratio).exp() - 0.5 - ratio).sum(-1)


@mistake("the distance of the means is not squared", caught_by="values")
def distance_not_squared(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    fraction = ((2 * q_log_std).exp() + (q_mean - p_mean).abs()) / (2 * p_var)
    return (p_log_std - q_log_std + fraction - 0.5).sum(-1)


@mistake("subtracts squares of means: square the difference of the means", caught_by="values")
def difference_of_squares(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    fraction = ((2 * q_log_std).exp() + q_mean**2 - p_mean**2) / (2 * p_var)
    return (p_log_std - q_log_std + fraction - 0.5).sum(-1)


@mistake("the distance of the means is not divided by the variance of p", caught_by="values")
def distance_not_divided(q_mean, q_log_std, p_mean, p_log_std):
    ratio = q_log_std - p_log_std
    return (0.5 * (2 * ratio).exp() + 0.5 * (q_mean - p_mean) ** 2 - 0.5 - ratio).sum(-1)


@mistake("divides by the variance of q: divide by the variance of p", caught_by="values")
def divided_by_q(q_mean, q_log_std, p_mean, p_log_std):
    q_var = (2 * q_log_std).exp()
    return (p_log_std - q_log_std + (q_var + (q_mean - p_mean) ** 2) / (2 * q_var) - 0.5).sum(-1)


@mistake("treats p as a standard normal: p has its own mean and standard deviations", caught_by="values")
def standard_normal_p(q_mean, q_log_std, p_mean, p_log_std):
    return (0.5 * (q_mean**2 + (2 * q_log_std).exp() - 1) - q_log_std).sum(-1)


@mistake("averages over the dimensions: sum over them", caught_by="values")
def mean_over_dimensions(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).mean(-1)


@mistake("sums over the whole batch: every pair of Gaussians has its own divergence", caught_by="values")
def sum_over_everything(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum()


@mistake("averages over the batch: every pair of Gaussians has its own divergence", caught_by="values")
def batch_mean(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum(-1).mean()


@mistake("sums over the first dimension: the dimensions of the Gaussian are in the last", caught_by="values")
def sum_over_first(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum(0)


@mistake(
    "sums over dimension 1: the dimensions of the Gaussian are in the last, however many there are", caught_by="values"
)
def sum_over_second(q_mean, q_log_std, p_mean, p_log_std):
    kl = kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp()))
    return kl.sum(min(1, kl.ndim - 1))


@mistake("sums over all dimensions but the first: there may be several batch dimensions", caught_by="values")
def flattened(q_mean, q_log_std, p_mean, p_log_std):
    kl = kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp()))
    return kl.sum() if kl.ndim == 1 else kl.flatten(1).sum(1)


@mistake("does not sum over the dimensions of the Gaussian", caught_by="values")
def not_summed(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp()))


@mistake("is in bits: use the natural logarithm, so that the result is in nats", caught_by="values")
def in_bits(q_mean, q_log_std, p_mean, p_log_std):
    kl = kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp()))
    return kl.sum(-1) / math.log(2)


@mistake("has the opposite sign", caught_by="values")
def opposite_sign(q_mean, q_log_std, p_mean, p_log_std):
    return -kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum(-1)


@mistake("takes log_std for the standard deviation, made positive by abs", caught_by="values")
def log_std_as_std(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.abs()), Normal(p_mean, p_log_std.abs())).sum(-1)


@mistake("estimates the divergence from a sample: use the closed form", caught_by="values")
def sampled(q_mean, q_log_std, p_mean, p_log_std):
    q, p = Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())
    x = q.rsample()
    return (q.log_prob(x) - p.log_prob(x)).sum(-1)


@mistake(CLAMPED, caught_by=RANGE)
def clamped(q_mean, q_log_std, p_mean, p_log_std):
    q_std, p_std = q_log_std.clamp(-10, 5).exp(), p_log_std.clamp(-10, 5).exp()
    return kl_divergence(Normal(q_mean, q_std), Normal(p_mean, p_std)).sum(-1)


@mistake(CLAMPED, caught_by=RANGE)
def clamped_below(q_mean, q_log_std, p_mean, p_log_std):
    q_std, p_std = q_log_std.exp().clamp(min=1e-3), p_log_std.exp().clamp(min=1e-3)
    return kl_divergence(Normal(q_mean, q_std), Normal(p_mean, p_std)).sum(-1)


@mistake("adds a small constant to the variances, which changes small ones", caught_by=RANGE)
def small_constant_added(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp() + 1e-8
    fraction = ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / (2 * p_var)
    return (p_log_std - q_log_std + fraction - 0.5).sum(-1)


@mistake("adds a small constant to the standard deviations, which changes small ones", caught_by=RANGE)
def small_constant_on_stds(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp() + 1e-6), Normal(p_mean, p_log_std.exp() + 1e-6)).sum(-1)


@mistake(CUT_OFF, caught_by="gradients")
def detached(q_mean, q_log_std, p_mean, p_log_std):
    q_mean, q_log_std, p_mean, p_log_std = (v.detach() for v in (q_mean, q_log_std, p_mean, p_log_std))
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum(-1)


@mistake("treats p as a constant: gradients must reach its mean and log_std too", caught_by="gradients")
def p_detached(q_mean, q_log_std, p_mean, p_log_std):
    p = Normal(p_mean.detach(), p_log_std.detach().exp())
    return kl_divergence(Normal(q_mean, q_log_std.exp()), p).sum(-1)


@mistake("treats q as a constant: gradients must reach its mean and log_std too", caught_by="gradients")
def q_detached(q_mean, q_log_std, p_mean, p_log_std):
    q = Normal(q_mean.detach(), q_log_std.detach().exp())
    return kl_divergence(q, Normal(p_mean, p_log_std.exp())).sum(-1)


@mistake(
    "treats the variances in the fraction as constants: the gradient must pass through them", caught_by="gradients"
)
def variances_detached(q_mean, q_log_std, p_mean, p_log_std):
    q_var, p_var = (2 * q_log_std).exp().detach(), (2 * p_log_std).exp().detach()
    return (p_log_std - q_log_std + (q_var + (q_mean - p_mean) ** 2) / (2 * p_var) - 0.5).sum(-1)


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(q_mean, q_log_std, p_mean, p_log_std):
    q, p = Normal(q_mean.float(), q_log_std.float().exp()), Normal(p_mean.float(), p_log_std.float().exp())
    return kl_divergence(q, p).sum(-1)


@mistake("squeezes away a batch of one: the result keeps the shape of the batch", caught_by=PRECISION_KEPT)
def squeezed(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum(-1).squeeze()


@mistake("changes q_mean in place: work on a new tensor", caught_by=PRECISION_KEPT)
def mean_changed(q_mean, q_log_std, p_mean, p_log_std):
    q_mean -= p_mean
    p_var = (2 * p_log_std).exp()
    return (p_log_std - q_log_std + ((2 * q_log_std).exp() + q_mean**2) / (2 * p_var) - 0.5).sum(-1)


@mistake("turns log_std into std in place: work on new tensors", caught_by=PRECISION_KEPT)
def log_std_changed(q_mean, q_log_std, p_mean, p_log_std):
    q_std, p_std = torch.exp_(q_log_std), torch.exp_(p_log_std)
    return kl_divergence(Normal(q_mean, q_std), Normal(p_mean, p_std)).sum(-1)


@mistake("keeps the summed dimension with size one", caught_by="values")
def dimension_kept(q_mean, q_log_std, p_mean, p_log_std):
    return kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum(-1, keepdim=True)


@mistake(
    "uses the formula for a standard normal p and log-variances: here p is given, and log_std is the log of the "
    "standard deviation",
    caught_by="values",
)
def formula_of_the_paper(q_mean, q_log_std, p_mean, p_log_std):
    return -0.5 * (1 + q_log_std - q_mean**2 - q_log_std.exp()).sum(-1)


@mistake("exchanges q and p, and takes log_std for the logarithm of the variance", caught_by="values")
def swapped_log_variance(q_mean, q_log_std, p_mean, p_log_std):
    fraction = (p_log_std.exp() + (q_mean - p_mean) ** 2) / q_log_std.exp()
    return 0.5 * (q_log_std - p_log_std + fraction - 1).sum(-1)


@mistake("averages over the dimensions, and takes log_std for the logarithm of the variance", caught_by="values")
def mean_with_log_variance(q_mean, q_log_std, p_mean, p_log_std):
    fraction = (q_log_std.exp() + (q_mean - p_mean) ** 2) / p_log_std.exp()
    return 0.5 * (p_log_std - q_log_std + fraction - 1).mean(-1)


@mistake(
    "expands the square of the distance: its terms cancel far from zero, so subtract the means first", caught_by=RANGE
)
def square_multiplied_out(q_mean, q_log_std, p_mean, p_log_std):
    square = q_mean**2 - 2 * q_mean * p_mean + p_mean**2
    fraction = ((2 * q_log_std).exp() + square) / (2 * (2 * p_log_std).exp())
    return (p_log_std - q_log_std + fraction - 0.5).sum(-1)


@mistake(
    "divides the means before subtracting them: this loses digits far from zero, so subtract first", caught_by=RANGE
)
def divided_before_subtracting(q_mean, q_log_std, p_mean, p_log_std):
    p_std = p_log_std.exp()
    distance = q_mean / p_std - p_mean / p_std
    return (p_log_std - q_log_std + 0.5 * ((q_log_std.exp() / p_std) ** 2 + distance**2 - 1)).sum(-1)


@mistake(
    "multiplies standard deviations before taking the logarithm: in many dimensions the product underflows",
    caught_by=RANGE,
)
def product_of_stds(q_mean, q_log_std, p_mean, p_log_std):
    q_std, p_std = q_log_std.exp(), p_log_std.exp()
    squares = ((q_std / p_std) ** 2 + ((q_mean - p_mean) / p_std) ** 2 - 1).sum(-1)
    return p_std.prod(-1).log() - q_std.prod(-1).log() + 0.5 * squares


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(q_mean, q_log_std, p_mean, p_log_std):
    q_std, p_std = q_log_std.float().exp().to(q_mean), p_log_std.float().exp().to(q_mean)
    return kl_divergence(Normal(q_mean, q_std), Normal(p_mean, p_std)).sum(-1)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(q_mean, q_log_std, p_mean, p_log_std):
    q, p = Normal(q_mean.double(), q_log_std.double().exp()), Normal(p_mean.double(), p_log_std.double().exp())
    return kl_divergence(q, p).sum(-1)


@mistake("multiplies by the variance of p: divide by it (put brackets around the denominator)", caught_by="values")
def multiplied_by_p(q_mean, q_log_std, p_mean, p_log_std):
    p_var = (2 * p_log_std).exp()
    return (p_log_std - q_log_std + ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / 2 * p_var - 0.5).sum(-1)


@mistake(
    "takes the logarithm of p_log_std / q_log_std: these are logarithms already, so subtract them", caught_by="values"
)
def logarithm_of_logarithms(q_mean, q_log_std, p_mean, p_log_std):
    fraction = ((2 * q_log_std).exp() + (q_mean - p_mean) ** 2) / (2 * (2 * p_log_std).exp())
    return ((p_log_std / q_log_std).log() + fraction - 0.5).sum(-1)


@mistake("does not square the standard deviation of q in the numerator", caught_by="values")
def q_std_not_squared(q_mean, q_log_std, p_mean, p_log_std):
    q_std, p_var = q_log_std.exp(), (2 * p_log_std).exp()
    return (p_log_std - q_log_std + (q_std + (q_mean - p_mean) ** 2) / (2 * p_var) - 0.5).sum(-1)
