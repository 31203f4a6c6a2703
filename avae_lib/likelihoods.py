"""Likelihoods of pixels given the output of a decoder, in nats."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num, UInt8
from torch import Tensor

from avae_lib.components import component

__all__ = [
    "bernoulli_log_likelihood",
    "discretized_logistic_log_likelihood",
    "discretized_logistic_log_prob",
    "discretized_logistic_mixture_log_likelihood",
    "discretized_logistic_sample",
    "scale_pixels",
]

# Beyond e^-7 a logistic fits into one bin of 4-bit data, beyond e^7 all its mass is in the two edge bins: the limits
# cost nothing and keep every gradient finite. The lower one is that of Salimans et al. (2017).
LOG_SCALE_RANGE = (-7.0, 7.0)


@component(unit="03_vae")
def bernoulli_log_likelihood(
    logits: Float[Tensor, "batch *event"], x: Float[Tensor, "batch *event"]
) -> Float[Tensor, "batch"]:
    r"""log p(x) of independent Bernoulli variables, in nats, summed over all dimensions but the first.

    .. math:: \sum_d \bigl[x_d \log\sigma(\ell_d) + (1 - x_d) \log(1 - \sigma(\ell_d))\bigr]

    Kingma & Welling (2014), appendix C.1. Accurate for logits as far out as ±100, where σ rounds to 0 or 1
    in float32 and its logarithm would be infinite.

    Args:
        logits: log-odds of a one, ``(batch, …)`` with one or more further dimensions, finite.
        x: observed values in [0, 1], same shape; values between 0 and 1 weigh the two terms.

    Returns:
        One log-likelihood for each example, ``(batch,)``, in the dtype of the inputs and differentiable in the
        logits. Neither input is changed.
    """
    per_element = x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)
    return per_element.reshape(len(per_element), -1).sum(dim=1)


def scale_pixels(x: UInt8[Tensor, "*shape"], bits: int) -> Float[Tensor, "*shape"]:
    """Pixel levels 0 … 2**bits − 1 spread evenly over [−1, 1], in the default float type."""
    return x.to(torch.get_default_dtype()) * (2 / (2**bits - 1)) - 1


def discretized_logistic_log_prob(
    mean: Float[Tensor, "*shape"], log_scale: Float[Tensor, "*shape"], x: Num[Tensor, "*shape"], bits: int
) -> Float[Tensor, "*shape"]:
    r"""log-probability of each pixel level under a logistic distribution cut into 2**bits bins, in nats.

    .. math:: \log P(v) = \log\Bigl[\sigma\Bigl(\frac{v + h - \mu}{s}\Bigr)
              - \sigma\Bigl(\frac{v - h - \mu}{s}\Bigr)\Bigr]

    with v the level spread over [−1, 1] and h half the distance of two levels. The first and the last bin reach
    to infinity, so that the probabilities of all levels sum to one (Salimans et al., 2017, section 2.1).

    Args:
        mean: location μ of each pixel on the [−1, 1] scale, finite.
        log_scale: log s, finite; limited to ``LOG_SCALE_RANGE``.
        x: pixel levels, whole numbers 0 … 2**bits − 1. The arguments broadcast.
        bits: bits per pixel value, at least 1.
    """
    last = 2**bits - 1
    half_bin = 1 / last
    centred = x.to(mean.dtype) * (2 / last) - 1 - mean
    inverse_scale = torch.exp(-log_scale.clamp(*LOG_SCALE_RANGE))
    log_below_upper = F.logsigmoid((centred + half_bin) * inverse_scale)
    log_above_lower = F.logsigmoid(-(centred - half_bin) * inverse_scale)
    # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)): the logarithm of each factor is exact where the difference rounds to 0.
    log_width = torch.log(-torch.expm1(-2 * half_bin * inverse_scale))
    inside = log_below_upper + log_above_lower + log_width
    return torch.where(x == 0, log_below_upper, torch.where(x == last, log_above_lower, inside))


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

    Pixels and channels are independent of one another, which suits grey pictures.

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
    tiny = torch.finfo(uniform.dtype).eps
    draw = mean + torch.exp(log_scale.clamp(*LOG_SCALE_RANGE)) * torch.logit(uniform, eps=tiny)
    last = 2**bits - 1
    return ((draw + 1) * (last / 2)).round().clamp(0, last).to(torch.uint8)
