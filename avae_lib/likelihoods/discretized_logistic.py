"""Logistic distributions cut into one bin for each pixel level, and mixtures of them, in nats.

T. Salimans, A. Karpathy, X. Chen, D. Kingma, "PixelCNN++", ICLR 2017, section 2.1.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor

from avae_lib.components import component, is_available
from avae_lib.likelihoods.logistic_bins import (
    LOWEST_LOG_SCALE,
    log_one_minus_exp,
    logistic_bin_log_prob,
    widest_float,
)
from avae_lib.likelihoods.pixel_scale import scale_pixels

__all__ = [
    "discretized_logistic_log_likelihood",
    "discretized_logistic_log_prob",
    "discretized_logistic_mixture_log_likelihood",
]


@component(unit="04_richer_models")
def discretized_logistic_log_prob(
    x: Num[Tensor, "*#shape"], mean: Float[Tensor, "*#shape"], log_scale: Float[Tensor, "*#shape"], bits: int
) -> Float[Tensor, "*#shape"]:
    r"""log-probability of each pixel level under a logistic distribution cut into 2**bits bins, in nats.

    .. math:: \log P(x) = \log\Bigl[\sigma\Bigl(\frac{v + h - \mu}{s}\Bigr)
              - \sigma\Bigl(\frac{v - h - \mu}{s}\Bigr)\Bigr]

    Here v = 2x/(2**bits − 1) − 1 is the level on the scale [−1, 1] and h half the distance between neighbouring
    levels. The first and the last bin are open-ended: below level 0 and above the last level nothing is cut off, so
    the probabilities of all levels sum to one. Salimans et al., "PixelCNN++" (2017), section 2.1.

    Args:
        x: levels, whole numbers 0 … 2**bits − 1, of dtype uint8, int64 or float.
        mean: μ on the scale [−1, 1], from −2 to 2.
        log_scale: log s on the same scale, from −7 to 7. The three tensors broadcast.
        bits: bits of a pixel value, 1 to 8.

    Returns:
        Nats of each element, in the dtype of ``mean``. Accurate to 1e-4·max(1, abs(log P)) in float32 and 1e-9 in
        float64, however many scales a level lies away from the mean (up to 3,300), with finite gradients there.
        Differentiable in ``mean`` and ``log_scale``. None of the inputs is changed.

    Raises:
        ValueError: bits are not 1 to 8.

    With one bit there are two levels, and a mean half-way between them makes both equally probable:

    >>> discretized_logistic_log_prob(torch.tensor([0, 1]), torch.zeros(2), torch.zeros(2), bits=1).exp()
    tensor([0.5000, 0.5000])
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"bits must be 1 to 8, got {bits}")
    last = 2**bits - 1
    centred = scale_pixels(x, bits, widest_float(mean)) - mean
    log_scale = log_scale.to(centred.dtype)
    inverse_scale = torch.exp(-log_scale)
    log_below_upper = F.logsigmoid((centred + 1 / last) * inverse_scale)
    log_above_lower = F.logsigmoid((1 / last - centred) * inverse_scale)
    # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)): the logarithm of each factor is exact where the difference rounds to 0.
    inside = log_below_upper + log_above_lower + log_one_minus_exp(math.log(2 / last) - log_scale)
    log_prob = torch.where(x == 0, log_below_upper, torch.where(x == last, log_above_lower, inside))
    return log_prob.to(mean.dtype)


def discretized_logistic_log_likelihood(
    mean: Float[Tensor, "batch *event"],
    log_scale: Float[Tensor, "batch *event"],
    x: Num[Tensor, "batch *event"],
    bits: int,
) -> Float[Tensor, "batch"]:
    """log P(x) of independent discretised logistics, in nats, summed over all dimensions but the first.

    Arguments as for :func:`discretized_logistic_log_prob`, and log-scales below −7 count as −7.
    """
    return _log_prob(x, mean, log_scale, bits).flatten(start_dim=1).sum(dim=1)


def discretized_logistic_mixture_log_likelihood(
    logits: Float[Tensor, "batch mixtures *event"],
    mean: Float[Tensor, "batch mixtures *event"],
    log_scale: Float[Tensor, "batch mixtures *event"],
    x: Num[Tensor, "batch *event"],
    bits: int,
) -> Float[Tensor, "batch"]:
    r"""log P(x) where each pixel follows its own mixture of discretised logistics, in nats per example.

    .. math:: \sum_d \log \sum_k \mathrm{softmax}(\ell_d)_k \, P(x_d \mid \mu_{k,d}, s_{k,d})

    Pixels and channels are independent of one another, each with a choice of component of its own; for colours that
    depend on one another see :func:`avae_lib.likelihoods.discretized_logistic_mixture_log_prob`.

    Args:
        logits: unnormalised log weights of the components, ``(batch, mixtures, …)``.
        mean, log_scale, bits: as for :func:`discretized_logistic_log_likelihood`, with a mixture dimension.
        x: pixel levels, ``(batch, …)``.
    """
    component_log_probs = _log_prob(x.unsqueeze(1), mean, log_scale, bits)
    per_pixel = torch.logsumexp(F.log_softmax(logits, dim=1) + component_log_probs, dim=1)
    return per_pixel.flatten(start_dim=1).sum(dim=1)


def _log_prob(x: Tensor, mean: Tensor, log_scale: Tensor, bits: int) -> Tensor:
    """By the exercise once it is written, and by plain code before."""
    if is_available("discretized_logistic_log_prob"):
        return discretized_logistic_log_prob(x, mean, log_scale.clamp(min=LOWEST_LOG_SCALE), bits)
    return logistic_bin_log_prob(x, mean, log_scale, bits)
