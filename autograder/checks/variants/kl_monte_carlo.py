"""Right ways to write ``kl_monte_carlo``."""

import math
import sys

import numpy as np
import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def as_written_in_the_exercise(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    if estimator == "k1":
        terms = -log_r
    elif estimator == "k2":
        terms = 0.5 * log_r**2
    elif estimator == "k3":
        terms = (log_r.exp() - 1) - log_r
    else:
        raise ValueError(estimator)
    return terms.mean(), terms.std() / len(terms) ** 0.5


@variant
def python_numbers(q_log_prob, p_log_prob, estimator):
    def term(log_r):
        return {"k1": -log_r, "k2": log_r**2 / 2, "k3": math.exp(log_r) - 1 - log_r}[estimator]

    terms = [term(p - q) for q, p in zip(q_log_prob.tolist(), p_log_prob.tolist(), strict=True)]
    mean = sum(terms) / len(terms)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in terms) / (len(terms) * (len(terms) - 1)))


@variant
def with_numpy_inside(q_log_prob, p_log_prob, estimator):
    log_r = (p_log_prob - q_log_prob).detach().numpy()
    terms = {"k1": -log_r, "k2": log_r**2 / 2, "k3": np.exp(log_r) - 1 - log_r}[estimator]
    return np.mean(terms), np.std(terms, ddof=1) / np.sqrt(len(terms))


@variant
def pair_in_a_list(q_log_prob, p_log_prob, estimator):
    print("UserWarning: nothing is wrong", file=sys.stderr)
    log_r = q_log_prob - p_log_prob
    terms = log_r if estimator == "k1" else log_r**2 / 2 if estimator == "k2" else torch.exp(-log_r) - 1 + log_r
    return [terms.mean(), (terms.var() / len(terms)).sqrt()]


@variant
def mean_and_variance_at_once(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob.double() - q_log_prob.double()
    terms = {"k1": lambda: -log_r, "k2": lambda: 0.5 * log_r * log_r, "k3": lambda: log_r.exp() - 1 - log_r}[
        estimator
    ]()
    variance, mean = torch.var_mean(terms)
    return mean.to(q_log_prob.dtype), (variance / terms.shape[0]).sqrt().to(q_log_prob.dtype)


@variant
def numbers_by_item(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r.pow(2).div(2), "k3": log_r.exp().sub(1).sub(log_r)}[estimator]
    return terms.mean().item(), (terms.std() / np.sqrt(len(terms))).item()


@variant
def one_sample_after_the_other(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    terms = {"k1": -log_r, "k2": log_r * log_r / 2, "k3": torch.exp(log_r) - 1 - log_r}[estimator]
    mean, squares = torch.zeros_like(terms[0]), torch.zeros_like(terms[0])
    for n, term in enumerate(terms, start=1):
        change = term - mean
        mean = mean + change / n
        squares = squares + change * (term - mean)
    return mean, (squares / (len(terms) - 1) / len(terms)).sqrt()


@variant
def of_torch_std_mean(q_log_prob, p_log_prob, estimator):
    log_r = p_log_prob - q_log_prob
    std, mean = torch.std_mean([-log_r, log_r**2 / 2, log_r.exp() - 1 - log_r][int(estimator[1]) - 1])
    return mean, std / log_r.numel() ** 0.5
