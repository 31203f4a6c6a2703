"""Everything right, written in a way of its own."""

import torch

from avae_lib.components import implements


# %%
@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    std = torch.exp(log_std)
    return torch.addcmul(mean, std, noise)


# %%
@implements("bernoulli_log_likelihood")
def bernoulli_log_likelihood(logits, x):
    import torch.nn.functional as F

    cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -cross_entropy.flatten(start_dim=1).sum(dim=1)


# %%
@implements("negative_elbo")
def negative_elbo(log_likelihood, kl, beta=1.0):
    elbo = log_likelihood - beta * kl.sum(dim=1)
    return -elbo.mean()


# %%
@implements("importance_weighted_bound")
def importance_weighted_bound(log_weights):
    import math

    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


# %%
@implements("vae_training_step")
def vae_training_step(model, optimizer, x):
    optimizer.zero_grad()
    elbo = model(x)
    loss = (elbo.kl.sum(dim=1) - elbo.log_likelihood).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


# %% [markdown]
# The bound with k samples is the expected logarithm of an average of k importance weights.
#
# The average has the same mean p(x) for every k, but its spread shrinks as k grows, and the logarithm punishes spread.
#
# So by Jensen more samples can only help, and in the limit the average is p(x) itself.
