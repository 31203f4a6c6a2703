"""Misunderstood, each exercise in a way that many students do; the last one not begun."""

import torch

from avae_lib.components import implements


# %%
@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    return mean + torch.exp(0.5 * log_std) * noise


# %%
@implements("bernoulli_log_likelihood")
def bernoulli_log_likelihood(logits, x):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


# %%
@implements("negative_elbo")
def negative_elbo(log_likelihood, kl, beta=1.0):
    return (log_likelihood - beta * kl.sum(1)).mean()


# %%
@implements("importance_weighted_bound")
def importance_weighted_bound(log_weights):
    return log_weights.mean(0)


# %%
# My notes: is log_std the logarithm of the variance?
helper = torch.zeros(3)
