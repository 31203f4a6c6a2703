"""The evidence lower bound that every model returns, and the training objectives made of it.

Every model returns an :class:`ELBO`. The functions turn it into a loss, weight its KL early in training, and compute
penalties on weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from avae_lib.components import component
from avae_lib.logarithms import log_mean_exp

__all__ = [
    "ELBO",
    "balanced_kl",
    "free_bits",
    "importance_weighted_bound",
    "negative_elbo",
    "spectral_norms",
    "sum_of_squares",
]

_LEAST_KL = 0.01


@dataclass(frozen=True)
class ELBO:
    """The terms of the evidence lower bound for one batch, in nats.

    >>> terms = ELBO(log_likelihood=torch.tensor([-80.0, -90.0]), kl=torch.tensor([[5.0, 10.0], [6.0, 4.0]]))
    >>> terms.bound
    tensor([ -95., -100.])
    """

    log_likelihood: Float[Tensor, "batch"]
    """log p(x | z), summed over the dimensions of one example."""
    kl: Float[Tensor, "batch layers"]
    """KL from prior to posterior of each stochastic layer, top layer first."""
    penalties: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    """Named extra terms of the training objective, in nats; training adds the mean of each to the loss. Empty if the
    model is trained on the bound itself."""

    @property
    def bound(self) -> Float[Tensor, "batch"]:
        """The evidence lower bound of each example: log-likelihood minus the KL of all layers."""
        return self.log_likelihood - self.kl.sum(dim=1)

    def negative(self, beta: float = 1.0) -> Float[Tensor, ""]:
        """Minus the bound, averaged over the batch, nats: :func:`negative_elbo` of these terms, without the penalties.

        Args:
            beta: weight of the KL; 1 gives the bound itself.

        >>> terms = ELBO(log_likelihood=torch.tensor([-80.0, -90.0]), kl=torch.tensor([[5.0, 10.0], [6.0, 4.0]]))
        >>> terms.negative(), terms.negative(beta=0.0)
        (tensor(97.5000), tensor(85.))
        """
        return negative_elbo(self.log_likelihood, self.kl, beta)


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

    >>> log_likelihood, kl = torch.tensor([-80.0, -90.0]), torch.tensor([[5.0, 10.0], [6.0, 4.0]])
    >>> negative_elbo(log_likelihood, kl), negative_elbo(log_likelihood, kl, beta=0.0)
    (tensor(97.5000), tensor(85.))
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

    With one sample it is the evidence lower bound. Three more samples with the weight 0 cost log 4:

    >>> one_sample = torch.tensor([[-90.0]])
    >>> four_samples = torch.tensor([[-90.0], [-1e9], [-1e9], [-1e9]])
    >>> (importance_weighted_bound(one_sample) - importance_weighted_bound(four_samples)).exp()
    tensor([4.0000])
    """
    return log_mean_exp(log_weights, dim=0)


@component(unit="04_richer_models")
def free_bits(kl: Float[Tensor, "batch layers"], nats_per_layer: float) -> Float[Tensor, "batch layers"]:
    r"""The KL of each layer, with the first ``nats_per_layer`` nats free (Kingma et al., 2016, equation 15).

    .. math:: \lambda \;\text{ if }\; \frac1B \sum_b \mathrm{KL}_{b,l} < \lambda, \qquad \mathrm{KL}_{b,l} \text{ else}

    The batch mean of layer :math:`l` is then :math:`\max(\lambda, \frac1B\sum_b \mathrm{KL}_{b,l})`, and a layer that
    uses less than :math:`\lambda` gets no gradient that would push it further down.

    Args:
        kl: KL of each example and layer, ``(batch, layers)``, nats, not negative.
        nats_per_layer: λ; 0 leaves the KL as it is.

    Returns:
        ``(batch, layers)``, nats, in the dtype of ``kl``, which is not changed.

    The first layer's mean is 1 nat, which is below 2; the second layer's is 5, though one example has only 1:

    >>> free_bits(torch.tensor([[0.0, 1.0], [2.0, 9.0]]), 2.0)
    tensor([[2., 1.],
            [2., 9.]])
    """
    return torch.where(kl.mean(dim=0) < nats_per_layer, nats_per_layer, kl)


def balanced_kl(
    kl: Float[Tensor, "batch layers"], units_per_layer: Float[Tensor, "layers"]
) -> Float[Tensor, "batch layers"]:
    r"""KL weighted by how much each unit of a layer is used (Vahdat & Kautz, 2020, appendix A).

    .. math:: \gamma_l \, \mathrm{KL}_{b,l}, \qquad \gamma_l = L \, \frac{g_l}{\sum_m g_m}, \qquad
              g_l = \frac{\overline{|\mathrm{KL}|}_l + 0.01}{s_l}

    where :math:`\overline{|\mathrm{KL}|}_l` is the batch mean of absolute values and :math:`s_l` the number of units.
    No gradient flows through the weights, and their mean is 1. It is meant for the warm-up of beta, where it keeps
    single layers from being switched off; the result is not a bound. The 0.01 is that of the released code. The paper
    prints :math:`s_l` as a factor, a misprint according to its first author
    (https://github.com/NVlabs/NVAE/issues/26).

    Args:
        kl: KL of each example and layer, ``(batch, layers)``, nats.
        units_per_layer: number of latent variables in each layer, ``(layers,)``.

    Two layers of equally many units. The one that is used more pays a higher price per nat:

    >>> balanced_kl(torch.tensor([[0.99, 2.99]]), units_per_layer=torch.tensor([8.0, 8.0]))
    tensor([[0.4950, 4.4850]])
    """
    importance = (kl.detach().abs().mean(dim=0) + _LEAST_KL) / units_per_layer
    return kl * (importance / importance.mean())


def sum_of_squares(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    r"""The L2 penalty :math:`\sum_i \theta_i^2` over all entries of all parameters (Hoerl & Kennard, 1970).

    >>> sum_of_squares([torch.tensor([3.0, 4.0]), torch.tensor([[1.0]])])
    tensor(26.)
    """
    return sum(parameter.square().sum() for parameter in parameters)  # pyright: ignore[reportReturnType]  not empty, so a tensor


def spectral_norms(
    weights: Float[Tensor, "matrices rows columns"], vectors: Float[Tensor, "matrices rows"], iterations: int = 1
) -> tuple[Float[Tensor, "matrices"], Float[Tensor, "matrices rows"]]:
    r"""The largest singular value of each matrix by power iteration (Yoshida & Miyato, 2017, section 3.2).

    .. math:: v \leftarrow \frac{W^\top u}{\lVert W^\top u \rVert}, \quad u \leftarrow \frac{W v}{\lVert W v \rVert},
              \qquad \sigma \approx u^\top W v

    Its gradient in :math:`W` is :math:`u v^\top`; no gradient flows through the iteration.

    Args:
        weights: matrices of one shape, ``(matrices, rows, columns)``.
        vectors: start of u, not zero, ``(matrices, rows)``. Pass the u of the previous call, since weights change
            little from update to update.

    Returns:
        The singular values, ``(matrices,)``, approached from below; and u, the start of the next call.

    The estimate rises towards the largest singular value, here 3:

    >>> weights, start = torch.diag(torch.tensor([3.0, 2.0]))[None], torch.ones(1, 2)
    >>> [round(spectral_norms(weights, start, iterations)[0].item(), 3) for iterations in (1, 2, 10)]
    [2.732, 2.932, 3.0]
    """
    fixed = weights.detach()
    left = vectors
    for _ in range(iterations):
        right = functional.normalize(torch.einsum("mr,mrc->mc", left, fixed), dim=1)
        left = functional.normalize(torch.einsum("mrc,mc->mr", fixed, right), dim=1)
    return torch.einsum("mr,mrc,mc->m", left, weights, right), left
