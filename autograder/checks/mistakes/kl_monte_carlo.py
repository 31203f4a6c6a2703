"""Wrong ways to write ``kl_monte_carlo``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

K1, K2, K3 = "estimate k1", "estimate k2", "estimate k3"
ERROR, OTHER_ERRORS = "standard error of k1", "standard errors of k2 and k3"
SPREAD = "returns the standard deviation of the terms: divide it by √n to get that of their mean"


@mistake("has the opposite sign: k1 = −log r = log q − log p", caught_by=K1)
def k1_reversed(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("sums the terms: the estimate is their mean", caught_by=K1)
def summed(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.sum(), terms.std() * math.sqrt(len(terms))


@mistake("is in bits: return nats", caught_by=K1)
def in_bits(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator] / math.log(2)
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("weights the samples by q: they are already drawn from q, so take the plain mean", caught_by=K1)
def weighted_by_q(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator] * q_log_prob.exp()
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("weights the samples by q, normalised: they are already drawn from q, so take the plain mean", caught_by=K1)
def weighted_by_normalised_q(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return (q_log_prob.softmax(0) * terms).sum(), terms.std() / math.sqrt(len(terms))


@mistake("takes the absolute values of the terms: terms of k1 may be negative", caught_by=K1)
def absolute_terms(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": log_r.abs(), "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("returns the median of the terms: the estimate is their mean", caught_by=K1)
def median(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.median(), terms.std() / math.sqrt(len(terms))


@mistake("takes log-densities for densities: log r is their difference, not the logarithm of their ratio", caught_by=K1)
def densities_expected(q_log_prob, p_log_prob, estimator):
    log_r = (p_log_prob / q_log_prob).log()
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("returns estimate and standard error in the wrong order", caught_by=K1)
def exchanged(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.std() / math.sqrt(len(terms)), terms.mean()


@mistake("returns the terms themselves: the estimate is their mean", caught_by=K1)
def not_averaged(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms, terms.std() / math.sqrt(len(terms))


@mistake(
    "log-densities far below zero make exp(log p) and exp(log q) zero: subtract the logarithms instead", caught_by=K1
)
def ratio_of_densities(q_log_prob, p_log_prob, estimator):
    r = p_log_prob.exp() / q_log_prob.exp()
    terms = {"k1": -r.log(), "k2": r.log() ** 2 / 2, "k3": (r - 1) - r.log()}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("returns k1 whatever `estimator` is", caught_by=K2)
def always_k1(q_log_prob, p_log_prob, estimator):
    terms = q_log_prob - p_log_prob
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("the factor ½ of k2 is missing", caught_by=K2)
def k2_not_halved(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("squares the mean of log r: k2 is the mean of its squares", caught_by=K2)
def mean_squared(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return (log_r.mean() ** 2 / 2 if estimator == "k2" else terms.mean()), terms.std() / math.sqrt(len(terms))


@mistake("k2 has the wrong sign: ½ (log r)² is never negative", caught_by=K2)
def k2_negative(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": -(log_r**2) / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("k2 squares r − 1: square log r", caught_by=K2)
def k2_of_the_ratio(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": torch.expm1(log_r) ** 2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("k2 and k3 are exchanged", caught_by=K2)
def k2_and_k3_exchanged(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k3": log_r**2 / 2, "k2": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("inverts the ratio: r = p/q, so log r = log p − log q", caught_by=K3)
def ratio_inverted(q_log_prob, p_log_prob, estimator):
    log_r = q_log_prob - p_log_prob
    terms = {"k1": log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("adds log r in k3: subtract it", caught_by=K3)
def k3_added(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) + log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("the −1 of k3 is missing", caught_by=K3)
def k3_without_one(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": log_r.exp() - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("k3 is r − 1 alone: the term −log r is missing", caught_by=K3)
def k3_without_logarithm(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r)}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("k3 uses log r in place of r: take the exponential of the difference of log-densities", caught_by=K3)
def k3_without_exponential(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": (log_r - 1) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("k3 has the wrong sign: (r − 1) − log r is never negative", caught_by=K3)
def k3_negative(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": log_r - torch.expm1(log_r)}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("averages r first: average the terms (r − 1) − log r of the samples", caught_by=K3)
def k3_of_the_mean(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    of_mean = torch.expm1(log_r.mean()) - log_r.mean()
    return (of_mean if estimator == "k3" else terms.mean()), terms.std() / math.sqrt(len(terms))


@mistake("exp(log p) and exp(log q) overflow or are zero: take the exponential of their difference", caught_by=K3)
def k3_by_densities(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    r = p_log_prob.exp() / q_log_prob.exp()
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": (r - 1) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("clips the ratio r: large ratios count in full", caught_by=K3)
def ratio_clipped(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    r = log_r.exp().clamp(0.8, 1.2)
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": (r - 1) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake(SPREAD, caught_by=ERROR)
def standard_deviation(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std()


@mistake("returns the variance of the terms: take the square root and divide by √n", caught_by=ERROR)
def variance(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.var()


@mistake("returns the variance of the mean: the standard error is its square root", caught_by=ERROR)
def variance_of_the_mean(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.var() / len(terms)


@mistake("divides by n: divide by √n", caught_by=ERROR)
def divided_by_n(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / len(terms)


@mistake("divides the variance by √n: divide the standard deviation", caught_by=ERROR)
def variance_over_root(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.var() / math.sqrt(len(terms))


@mistake("is doubled: return one standard error, not the half-width of an interval", caught_by=ERROR)
def two_standard_errors(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), 1.96 * terms.std() / math.sqrt(len(terms))


@mistake("returns the standard error of k1 whatever `estimator` is", caught_by=OTHER_ERRORS)
def always_that_of_k1(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), log_r.std() / math.sqrt(len(terms))


@mistake("uses the root mean square of the terms: subtract their mean before squaring", caught_by=ERROR)
def not_centred(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), (terms.square().mean() / len(terms)).sqrt()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob.float() - q_log_prob.float()
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("changes p_log_prob in place: work on a new tensor", caught_by=PRECISION_KEPT)
def log_prob_changed(q_log_prob, p_log_prob, estimator):
    p_log_prob -= q_log_prob
    terms = {"k1": -p_log_prob, "k2": p_log_prob**2 / 2, "k3": torch.expm1(p_log_prob) - p_log_prob}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("keeps a dimension of size one: the estimate is a scalar", caught_by=K1)
def dimension_kept(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(0, keepdim=True), terms.std(0, keepdim=True) / math.sqrt(len(terms))


@mistake("expands the square: its terms cancel where log-densities are large, so subtract first", caught_by=K2)
def square_multiplied_out(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    square = p_log_prob**2 - 2 * p_log_prob * q_log_prob + q_log_prob**2
    terms = {"k1": -log_r, "k2": square / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("sums the terms of k1, with the opposite sign", caught_by=K1)
def summed_and_reversed(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.sum(), terms.std() / math.sqrt(len(terms))


@mistake(
    "computes the mean square minus the squared mean: these cancel where the terms are large, so subtract the "
    "mean before squaring",
    caught_by=ERROR,
)
def difference_of_squares(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    variance = terms.square().mean() - terms.mean().square()
    return terms.mean(), (variance.clamp(min=0) / len(terms)).sqrt()


@mistake(
    "uses the mean absolute deviation: the standard deviation is the root of the mean squared deviation",
    caught_by=ERROR,
)
def mean_deviation(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), (terms - terms.mean()).abs().mean() / math.sqrt(len(terms))


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(q_log_prob, p_log_prob, estimator):
    log_r = (p_log_prob - q_log_prob).float().to(q_log_prob.dtype)
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob.double() - q_log_prob.double()
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("clips log r: samples where p and q differ much count in full", caught_by=K1)
def log_ratio_clamped(q_log_prob, p_log_prob, estimator):
    log_r = (p_log_prob - q_log_prob).clamp(-5, 5)
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("takes the logarithm of r, which is 0 where log r is far below zero: use log r itself", caught_by=K2)
def logarithm_of_the_ratio(q_log_prob, p_log_prob, estimator):
    r = torch.exp(p_log_prob - q_log_prob)
    terms = {"k1": -r.log(), "k2": r.log() ** 2 / 2, "k3": (r - 1) - r.log()}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("uses exp(log r − 1) for r − 1: subtract 1 after the exponential", caught_by=K3)
def one_subtracted_inside(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.exp(log_r - 1) - log_r}[estimator]
    return terms.mean(), terms.std() / math.sqrt(len(terms))


@mistake("clamps the estimate at zero: a divergence is never negative, but its estimate k1 can be", caught_by=K1)
def held_above_zero(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean().clamp(min=0), terms.std() / math.sqrt(len(terms))


@mistake("uses the standard deviation with 1/n: use the one with 1/(n − 1)", caught_by=ERROR)
def deviation_divided_by_n(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": 0.5 * log_r.square(), "k3": torch.expm1(log_r) - log_r}[estimator]
    return terms.mean(), terms.std(unbiased=False) / math.sqrt(len(terms))
