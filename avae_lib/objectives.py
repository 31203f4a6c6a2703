"""What models report about a batch, and the objectives made of it.

Every model returns an :class:`ELBO`; functions here turn it into something to minimise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component
from avae_lib.logarithms import log_mean_exp

__all__ = ["ELBO", "importance_weighted_bound", "negative_elbo"]


@dataclass(frozen=True)
class ELBO:
    """The terms of the evidence lower bound for one batch, in nats."""

    log_likelihood: Float[Tensor, "batch"]
    """log p(x | z), summed over the dimensions of one example."""
    kl: Float[Tensor, "batch layers"]
    """KL from prior to posterior of each stochastic layer, top layer first."""
    penalties: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    """Named extra terms of models that are no proper latent-variable densities; empty for the others."""

    @property
    def bound(self) -> Float[Tensor, "batch"]:
        """The evidence lower bound of each example: log-likelihood minus the KL of all layers."""
        return self.log_likelihood - self.kl.sum(dim=1)


@component(unit="03_vae")
def negative_elbo(
    log_likelihood: Float[Tensor, "batch"], kl: Float[Tensor, "batch layers"], beta: float = 1.0
) -> Float[Tensor, ""]:
    r"""The loss of a variational autoencoder: minus the evidence lower bound, in nats, averaged over the batch.

    .. math:: \frac{1}{B}\sum_b \Bigl[-\log p(x_b \mid z_b) + \beta \sum_l \mathrm{KL}_{b,l}\Bigr]

    Args:
        log_likelihood: log p(x | z) of each example, ``(batch,)``, nats.
        kl: KL of each example and stochastic layer, ``(batch, layers)``, nats.
        beta: weight of the KL; 1 gives the bound itself (Higgins et al., 2017).

    Returns:
        A scalar, nats per example, in the dtype of the inputs and differentiable in both. Neither is changed.
    """
    return (beta * kl.sum(dim=1) - log_likelihood).mean()


@component(unit="03_vae")
def importance_weighted_bound(log_weights: Float[Tensor, "samples batch"]) -> Float[Tensor, "batch"]:
    r"""The importance-weighted lower bound on log p(x) (Burda et al., 2016, equation 8), in nats.

    .. math:: \log \frac{1}{K} \sum_k w_k, \qquad \log w_k = \log p(x, z_k) - \log q(z_k \mid x)

    Args:
        log_weights: log importance weights, ``(samples, batch)``, nats. They may be as large or as far
            apart as float32 can hold: the sum is taken relative to each example's largest weight.

    Returns:
        One bound for each example, ``(batch,)``, in the dtype of the weights and differentiable in them. They are
        not changed.
    """
    return log_mean_exp(log_weights, dim=0)
