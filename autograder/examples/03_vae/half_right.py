"""The slips of a good student: right on ordinary numbers, wrong where it gets hard."""

import torch

from avae_lib.components import implements


# %%
@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    return mean + log_std.exp() * noise


# %%
@implements("bernoulli_log_likelihood")
def bernoulli_log_likelihood(logits, x):
    p = torch.sigmoid(logits)
    per_pixel = x * torch.log(p + 1e-8) + (1 - x) * torch.log(1 - p + 1e-8)
    return per_pixel.flatten(1).sum(1)


# %%
@implements("negative_elbo")
def negative_elbo(log_likelihood, kl, beta=1.0):
    return (kl.sum(1) - log_likelihood).mean()


# %%
@implements("importance_weighted_bound")
def importance_weighted_bound(log_weights):
    largest = log_weights.max()
    return largest + (log_weights - largest).exp().mean(0).log()


# %%
@implements("vae_training_step")
def vae_training_step(model, optimizer, x):
    elbo = model(x)
    loss = (elbo.kl.sum(1) - elbo.log_likelihood).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


# %% [markdown]
# Because more samples cover more of the posterior.
