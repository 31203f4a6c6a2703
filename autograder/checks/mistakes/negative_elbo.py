"""Wrong ways to write ``negative_elbo``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

SMALL = "one example, one layer"
CUT_OFF = "no gradient reaches log_likelihood and kl: detach, no_grad, item or a new tensor cuts it off"


@mistake("returns the evidence lower bound: the loss is minus that", caught_by="values")
def bound_itself(log_likelihood, kl, beta=1.0):
    return (log_likelihood - beta * kl.sum(dim=1)).mean()


@mistake("subtracts the KL from the loss: add it", caught_by="values")
def kl_subtracted(log_likelihood, kl, beta=1.0):
    return (-log_likelihood - beta * kl.sum(dim=1)).mean()


@mistake("takes absolute values: log-densities may be positive, so the loss may be negative", caught_by="values")
def absolute_values(log_likelihood, kl, beta=1.0):
    return (log_likelihood.abs() + beta * kl.sum(dim=1)).mean()


@mistake("adds the log-likelihood to the loss: subtract it", caught_by="values")
def log_likelihood_added(log_likelihood, kl, beta=1.0):
    return (log_likelihood + beta * kl.sum(dim=1)).mean()


@mistake("averages the KL over layers: sum it over layers", caught_by="values")
def mean_over_layers(log_likelihood, kl, beta=1.0):
    return (beta * kl.mean(dim=1) - log_likelihood).mean()


@mistake("averages the KL over layers: sum it over layers", caught_by="values")
def mean_of_everything(log_likelihood, kl, beta=1.0):
    return beta * kl.mean() - log_likelihood.mean()


@mistake("sums over the batch: return the mean, in nats per example", caught_by="values")
def sum_over_batch(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).sum()


@mistake("sums the KL over the batch too, but averages the log-likelihood", caught_by="values")
def kl_summed_over_batch(log_likelihood, kl, beta=1.0):
    return beta * kl.sum() - log_likelihood.mean()


@mistake("sums the log-likelihood over the batch, but averages the KL", caught_by="values")
def log_likelihood_summed_over_batch(log_likelihood, kl, beta=1.0):
    return beta * kl.sum(dim=1).mean() - log_likelihood.sum()


@mistake("divides by the number of layers too: sum the KL over layers", caught_by="values")
def divided_by_layers_too(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).sum() / kl.numel()


@mistake("counts the log-likelihood once for each layer: sum the KL over layers before subtracting", caught_by="values")
def log_likelihood_in_each_layer(log_likelihood, kl, beta=1.0):
    return (beta * kl - log_likelihood.unsqueeze(1)).sum(dim=1).mean()


@mistake("averages the KL over layers: sum it over layers", caught_by="values")
def mean_of_broadcast(log_likelihood, kl, beta=1.0):
    return (beta * kl - log_likelihood.unsqueeze(1)).mean()


@mistake("takes the KL of the first layer only", caught_by="values")
def first_layer_only(log_likelihood, kl, beta=1.0):
    return (beta * kl[:, 0] - log_likelihood).mean()


@mistake("takes the KL of the last layer only", caught_by="values")
def last_layer_only(log_likelihood, kl, beta=1.0):
    return (beta * kl[:, -1] - log_likelihood).mean()


@mistake("forgets the KL", caught_by="values")
def kl_forgotten(log_likelihood, kl, beta=1.0):
    return -log_likelihood.mean()


@mistake("forgets the log-likelihood", caught_by="values")
def log_likelihood_forgotten(log_likelihood, kl, beta=1.0):
    return beta * kl.sum(dim=1).mean()


@mistake("multiplies the KL by 1/2: use all of it", caught_by="values")
def half_the_kl(log_likelihood, kl, beta=1.0):
    return (0.5 * beta * kl.sum(dim=1) - log_likelihood).mean()


@mistake("returns one number per example: return the mean over the batch", caught_by="values")
def not_averaged(log_likelihood, kl, beta=1.0):
    return beta * kl.sum(dim=1) - log_likelihood


@mistake("clamps the loss at zero: log-densities may be positive, so the loss may be negative", caught_by="values")
def clamped_at_zero(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).clamp(min=0).mean()


@mistake("takes the median over the batch: take the mean", caught_by="values")
def median_over_batch(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).median()


@mistake("is in bits: return nats", caught_by="values")
def in_bits(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).mean() / math.log(2)


@mistake("multiplies the log-likelihood by beta: multiply the KL by it", caught_by="beta")
def beta_on_log_likelihood(log_likelihood, kl, beta=1.0):
    return (kl.sum(dim=1) - beta * log_likelihood).mean()


@mistake("multiplies both terms by beta: multiply only the KL by it", caught_by="beta")
def beta_on_both(log_likelihood, kl, beta=1.0):
    return beta * (kl.sum(dim=1) - log_likelihood).mean()


@mistake("divides the KL by beta: multiply by it", caught_by="beta")
def divided_by_beta(log_likelihood, kl, beta=1.0):
    return (kl.sum(dim=1) / beta - log_likelihood).mean()


@mistake("weights the log-likelihood by 1 − beta: only the KL has a weight", caught_by="beta")
def convex_combination(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - (2 - beta) * log_likelihood).mean()


@mistake("raises the KL to the power beta: multiply by beta", caught_by="beta")
def power_of_beta(log_likelihood, kl, beta=1.0):
    return (kl.sum(dim=1) ** beta - log_likelihood).mean()


@mistake("limits beta to at most one", caught_by="beta")
def beta_at_most_one(log_likelihood, kl, beta=1.0):
    return (min(beta, 1.0) * kl.sum(dim=1) - log_likelihood).mean()


@mistake("treats beta = 0 as missing: with 0 the KL does not count", caught_by="beta")
def zero_beta_replaced(log_likelihood, kl, beta=1.0):
    return ((beta or 1.0) * kl.sum(dim=1) - log_likelihood).mean()


@mistake("ignores beta", caught_by="beta")
def beta_ignored(log_likelihood, kl, beta=1.0):
    return (kl.sum(dim=1) - log_likelihood).mean()


@mistake(CUT_OFF, caught_by="gradients")
def detached(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).mean().detach()


@mistake(CUT_OFF, caught_by="gradients")
def python_number(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).mean().item()


@mistake("no gradient reaches kl", caught_by="gradients")
def kl_detached(log_likelihood, kl, beta=1.0):
    return (beta * kl.detach().sum(dim=1) - log_likelihood).mean()


@mistake("no gradient reaches log_likelihood", caught_by="gradients")
def log_likelihood_detached(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood.data).mean()


@mistake("squeezes kl before summing, which fails for one example or one layer", caught_by=SMALL)
def squeezed(log_likelihood, kl, beta=1.0):
    return (beta * kl.squeeze().sum(dim=-1) - log_likelihood).mean()


@mistake("returns a tensor with one entry: return a scalar tensor", caught_by="values")
def one_entry(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).mean(dim=0, keepdim=True)


@mistake("divides by batch − 1, so a batch of one gives NaN or infinity", caught_by="values")
def divided_by_one_less(log_likelihood, kl, beta=1.0):
    return (beta * kl.sum(dim=1) - log_likelihood).sum() / (len(log_likelihood) - 1)


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(log_likelihood, kl, beta=1.0):
    return (beta * kl.float().sum(dim=1) - log_likelihood.float()).mean()


@mistake("changes kl in place (*=): work on a new tensor", caught_by=PRECISION_KEPT)
def kl_changed(log_likelihood, kl, beta=1.0):
    kl *= beta
    return (kl.sum(dim=1) - log_likelihood).mean()


@mistake("changes log_likelihood in place: work on a new tensor", caught_by=PRECISION_KEPT)
def log_likelihood_changed(log_likelihood, kl, beta=1.0):
    return log_likelihood.neg_().add_(beta * kl.sum(dim=1)).mean()


@mistake(CUT_OFF, caught_by="gradients")
def new_tensor(log_likelihood, kl, beta=1.0):
    return torch.tensor((beta * kl.sum(dim=1) - log_likelihood).mean().item(), requires_grad=True)


@mistake("returns the evidence lower bound, and averages the KL over layers", caught_by="values")
def bound_with_mean_over_layers(log_likelihood, kl, beta=1.0):
    return (log_likelihood - beta * kl.mean(dim=1)).mean()


@mistake("sums over the batch, and subtracts the KL", caught_by="values")
def sum_with_kl_subtracted(log_likelihood, kl, beta=1.0):
    return (-log_likelihood - beta * kl.sum(dim=1)).sum()


@mistake("does not sum the KL over layers: it returns one number per layer", caught_by="values")
def layers_apart(log_likelihood, kl, beta=1.0):
    return (beta * kl - log_likelihood.unsqueeze(1)).mean(dim=0)


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(log_likelihood, kl, beta=1.0):
    return (beta * kl.float().sum(dim=1).to(kl.dtype) - log_likelihood).mean()


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(log_likelihood, kl, beta=1.0):
    return (beta * kl.double().sum(dim=1) - log_likelihood.double()).mean()


@mistake("sums the KL over the batch and averages it over layers: do it the other way round", caught_by="values")
def dimensions_exchanged(log_likelihood, kl, beta=1.0):
    return beta * kl.sum(dim=0).mean() - log_likelihood.mean()
