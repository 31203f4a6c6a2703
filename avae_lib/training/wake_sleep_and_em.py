r"""Two older ways to train a latent-variable model: wake-sleep, and EM with draws from the true posterior.

Wake-sleep trains each half of the model on what the other half makes: G. Hinton, P. Dayan, B. Frey and R. Neal, "The
wake-sleep algorithm for unsupervised neural networks", Science, 1995.

Monte Carlo EM has no encoder. It trains the decoder on draws from the true posterior, made by Hamiltonian Monte Carlo:
G. Wei and M. Tanner, "A Monte Carlo implementation of the EM algorithm", JASA, 1990; R. Neal, "MCMC using Hamiltonian
dynamics", 2011.

Kingma & Welling (2014, figures 2 and 3) compare both with the variational autoencoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.distributions import Distribution

__all__ = ["LatentModel", "PosteriorChains", "hamiltonian_step", "sleep_loss", "wake_loss"]


class LatentModel(Protocol):
    """What the learners here need of a model with a standard normal prior over one latent vector per image."""

    def posterior(self, x: Float[Tensor, "batch pixels"]) -> Distribution:
        """q(z | x), with independent coordinates ``(batch, latent)``."""
        ...

    def log_likelihood(self, x: Float[Tensor, "batch pixels"], z: Float[Tensor, "batch latent"]) -> Tensor:
        """log p(x | z) of each pair, ``(batch,)``, nats."""
        ...

    def sample_pixels(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch pixels"]:
        """A draw from p(x | z) for each row."""
        ...


def wake_loss(model: LatentModel, x: Float[Tensor, "batch pixels"]) -> Float[Tensor, ""]:
    r"""What trains the decoder: minus the log-likelihood of real images under codes that the encoder draws, in nats.

    .. math:: -\frac1B \sum_b \log p_\theta(x_b \mid z_b), \qquad z_b \sim q_\phi(z \mid x_b)

    No gradient reaches the encoder.

    A latent z from a standard normal and x = z + noise, whose posterior is known:

    >>> from torch.distributions import Normal
    >>> class Known:
    ...     posterior = staticmethod(lambda x: Normal(x / 2, 0.5**0.5))
    ...     log_likelihood = staticmethod(lambda x, z: Normal(z, 1.0).log_prob(x).sum(dim=1))
    >>> f"{wake_loss(Known(), torch.zeros(10_000, 1)):.1f}"  # its mean is ½ log 2π + ¼ = 1.17
    '1.2'
    """
    with torch.no_grad():
        z = model.posterior(x).sample()
    return -model.log_likelihood(x, z).mean()


def sleep_loss(model: LatentModel, z: Float[Tensor, "batch latent"]) -> Float[Tensor, ""]:
    r"""What trains the encoder: minus the log-density it gives to the true codes of dreamt images, in nats.

    .. math:: -\frac1B \sum_b \log q_\phi(z_b \mid x_b), \qquad x_b \sim p_\theta(x \mid z_b)

    Its expectation over :math:`z \sim p(z)` is, up to a constant, :math:`\mathbb{E}_{p_\theta(x)}
    \mathrm{KL}(p_\theta(z \mid x) \,\|\, q_\phi(z \mid x))`: the divergence of the ELBO the other way round, and over
    the model's images instead of real ones. No gradient reaches the decoder.

    Args:
        z: draws from the prior, ``(batch, latent)``.

    A latent z from a standard normal and x = z + noise; an encoder that gives the exact posterior reaches its entropy:

    >>> from torch.distributions import Normal
    >>> class Known:
    ...     posterior = staticmethod(lambda x: Normal(x / 2, 0.5**0.5))
    ...     sample_pixels = staticmethod(lambda z: z + torch.randn_like(z))
    >>> f"{sleep_loss(Known(), torch.randn(10_000, 1)):.1f}"  # its mean is ½ log πe = 1.07
    '1.1'
    """
    with torch.no_grad():
        x = model.sample_pixels(z)
    return -model.posterior(x).log_prob(z).sum(dim=-1).mean()


LogDensity = Callable[[Tensor], Tensor]


def hamiltonian_step(
    log_density: LogDensity, z: Float[Tensor, "chains latent"], step_size: float, leapfrogs: int
) -> tuple[Float[Tensor, "chains latent"], Bool[Tensor, "chains"]]:
    """One step of Hamiltonian Monte Carlo for many chains at once (Neal, 2011, section 3).

    Args:
        log_density: ``(chains, latent)`` → ``(chains,)``, up to a constant of each chain, nats.
        z: where the chains stand.
        step_size: length of a leapfrog step in time, in units of z when the momentum is standard normal.
        leapfrogs: how many of them, at least 1; the gradient is computed once more.

    Returns:
        Where the chains stand now, and which of them moved.

    Short steps are nearly always accepted:

    >>> z, moved = hamiltonian_step(lambda z: -0.5 * z.square().sum(dim=1), torch.randn(500, 2), 0.1, leapfrogs=5)
    >>> z.shape, bool(moved.float().mean() > 0.98)
    (torch.Size([500, 2]), True)
    """
    if leapfrogs < 1:
        raise ValueError(f"leapfrogs must be at least 1, got {leapfrogs}")
    momentum = torch.randn_like(z)
    before, slope = _value_and_slope(log_density, z)
    energy_before = 0.5 * momentum.square().sum(dim=1) - before
    end = z
    for _ in range(leapfrogs):
        momentum = momentum + 0.5 * step_size * slope
        end = end + step_size * momentum
        after, slope = _value_and_slope(log_density, end)
        momentum = momentum + 0.5 * step_size * slope
    energy_after = 0.5 * momentum.square().sum(dim=1) - after
    moved = torch.rand_like(before).log() < energy_before - energy_after  # false where an energy is not a number
    return torch.where(moved.unsqueeze(1), end, z), moved


class PosteriorChains:
    """One chain for each training image, which resumes where it stood when the image was last seen.

    The step size is tuned as the chains run: larger after batches in which more chains moved than ``acceptance``,
    smaller otherwise.

    Args:
        images: how many there are.
        latent_dim: length of z.
        leapfrogs: leapfrog steps of one move.
        step_size: what tuning starts from.
        acceptance: share of moves that tuning aims at; 0.9 as in Kingma & Welling (2014).

    The posterior of z under a standard normal prior and one observation x = 1 with unit noise has mean ½:

    >>> chains = PosteriorChains(images=1000, latent_dim=1)
    >>> for _ in range(20):
    ...     z = chains.move(lambda z: -0.5 * (1 - z).square().sum(dim=1), torch.arange(1000))
    >>> f"{z.mean():.1f}"
    '0.5'
    """

    def __init__(
        self, images: int, latent_dim: int, leapfrogs: int = 10, step_size: float = 0.1, acceptance: float = 0.9
    ) -> None:
        self.z: Float[Tensor, "images latent"] = torch.randn(images, latent_dim)
        """Where each chain stands; at first a draw from a standard normal prior."""
        self.step_size, self.leapfrogs, self.acceptance = step_size, leapfrogs, acceptance

    def move(
        self,
        log_likelihood: Callable[[Tensor], Tensor],
        indices: Integer[Tensor, " batch"],
    ) -> Float[Tensor, "batch latent"]:
        """Move the chains of some images once, and return where they stand: draws from p(z | x), once burnt in.

        Args:
            log_likelihood: z ``(batch, latent)`` → log p(x | z) of the images in question, ``(batch,)``, nats.
            indices: which images these are.
        """

        def log_posterior(z: Tensor) -> Tensor:  # up to log p(x)
            return log_likelihood(z) - 0.5 * z.square().sum(dim=1)

        z, moved = hamiltonian_step(log_posterior, self.z[indices], self.step_size, self.leapfrogs)
        self.z[indices] = z
        self.step_size *= math.exp(0.1 * (moved.float().mean().item() - self.acceptance))
        return z


def _value_and_slope(log_density: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        place = z.detach().requires_grad_()
        value = log_density(place)
        (slope,) = torch.autograd.grad(value.sum(), place)
    return value.detach(), slope
