"""Logistic distributions cut into one bin for each pixel level, and mixtures of them, in nats.

T. Salimans, A. Karpathy, X. Chen, D. Kingma, "PixelCNN++", ICLR 2017, section 2.1.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num, UInt8
from torch import Tensor

from avae_lib.likelihoods.pixel_scale import nearest_levels, scale_pixels

__all__ = [
    "UPPER_EDGE",
    "discretized_logistic_log_likelihood",
    "discretized_logistic_log_prob",
    "discretized_logistic_mixture_log_likelihood",
    "discretized_logistic_sample",
    "widest_float",
]

LOWEST_LOG_SCALE = -7.0
"""Smaller log-scales are taken as this one (Salimans et al.): such a logistic fits into one bin of 8-bit pixels."""

UPPER_EDGE = 0.999
"""Levels above this on the scale [−1, 1] have a bin that reaches to infinity: the last one, for up to 8 bits."""


def discretized_logistic_log_prob(
    mean: Float[Tensor, "*shape"],
    log_scale: Float[Tensor, "*shape"],
    x: Num[Tensor, "*shape"],
    bits: int,
    upper_edge: float = UPPER_EDGE,
) -> Float[Tensor, "*shape"]:
    r"""log-probability of each pixel level under a logistic distribution cut into 2**bits bins, in nats.

    .. math:: \log P(v) = \log\Bigl[\sigma\Bigl(\frac{v + h - \mu}{s}\Bigr)
              - \sigma\Bigl(\frac{v - h - \mu}{s}\Bigr)\Bigr]

    with v the level spread over [−1, 1] and h half the distance of two levels. The first and the last bin reach
    to infinity, so that the probabilities of all levels sum to one. Computed in float64 where the device has it,
    because (v − μ)/s loses up to three digits to a narrow s, and returned in the type of ``log_scale``.

    Args:
        mean: location μ of each pixel on the [−1, 1] scale, finite.
        log_scale: log s, finite; at least ``LOWEST_LOG_SCALE``.
        x: pixel levels, whole numbers 0 … 2**bits − 1. The arguments broadcast.
        bits: bits per pixel value, at least 1.
        upper_edge: see ``UPPER_EDGE``; with another value the probabilities no longer sum to one.
    """
    wide = widest_float(log_scale)
    half_bin = 1 / (2**bits - 1)
    pixels = scale_pixels(x, bits, wide)
    bounded_log_scale = log_scale.to(wide).clamp(min=LOWEST_LOG_SCALE)
    inverse_scale = torch.exp(-bounded_log_scale)
    log_below_upper = F.logsigmoid((pixels + half_bin - mean) * inverse_scale)
    log_above_lower = F.logsigmoid((mean - pixels + half_bin) * inverse_scale)
    # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)): the logarithm of each factor is exact where the difference rounds to 0.
    inside = log_below_upper + log_above_lower + _log_one_minus_exp(math.log(2 * half_bin) - bounded_log_scale)
    log_prob = torch.where(x == 0, log_below_upper, torch.where(pixels > upper_edge, log_above_lower, inside))
    return log_prob.to(log_scale.dtype)


def discretized_logistic_log_likelihood(
    mean: Float[Tensor, "batch *event"],
    log_scale: Float[Tensor, "batch *event"],
    x: Num[Tensor, "batch *event"],
    bits: int,
) -> Float[Tensor, "batch"]:
    """log P(x) of independent discretised logistics, in nats, summed over all dimensions but the first.

    Arguments as for :func:`discretized_logistic_log_prob`.
    """
    return discretized_logistic_log_prob(mean, log_scale, x, bits).flatten(start_dim=1).sum(dim=1)


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
        mean, log_scale, bits: as for :func:`discretized_logistic_log_prob`, with a mixture dimension.
        x: pixel levels, ``(batch, …)``.
    """
    component_log_probs = discretized_logistic_log_prob(mean, log_scale, x.unsqueeze(1), bits)
    per_pixel = torch.logsumexp(F.log_softmax(logits, dim=1) + component_log_probs, dim=1)
    return per_pixel.flatten(start_dim=1).sum(dim=1)


def discretized_logistic_sample(
    mean: Float[Tensor, "*shape"], log_scale: Float[Tensor, "*shape"], uniform: Float[Tensor, "*shape"], bits: int
) -> UInt8[Tensor, "*shape"]:
    """Pixel levels drawn from :func:`discretized_logistic_log_prob` by its inverse CDF at ``uniform`` in [0, 1)."""
    scale = torch.exp(log_scale.clamp(LOWEST_LOG_SCALE, 80.0))  # from far less on, all mass is in the two edge bins
    return nearest_levels(mean + scale * torch.logit(uniform, eps=torch.finfo(uniform.dtype).eps), bits)


def widest_float(x: Tensor) -> torch.dtype:
    """float64, or what ``x`` is where its device has none."""
    return x.dtype if x.device.type == "mps" else torch.float64


def _log_one_minus_exp(log_width: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(1 − e^−w) for w > 0, given as log w, which can be small without end: log w + log((1 − e^−w) / w)."""
    width = log_width.exp().clamp(min=1e-12)
    return log_width + torch.log(-torch.expm1(-width) / width)
