"""Logistic distributions cut into one bin for each pixel level, and mixtures of them whose pixels are independent.

T. Salimans, A. Karpathy, X. Chen, D. Kingma, "PixelCNN++", ICLR 2017, section 2.1. All log-probabilities are in nats.

:func:`discretized_logistic_log_prob` is an exercise. :func:`logistic_bin_log_prob` computes the same for models that
run before the exercise is written, and accepts log-scales of any size and the published upper edge.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num, UInt8
from torch import Tensor

from avae_lib.components import component, is_available

__all__ = [
    "HIGHEST_LOG_SCALE",
    "LOWEST_LOG_SCALE",
    "UPPER_EDGE",
    "discretized_logistic_log_likelihood",
    "discretized_logistic_log_prob",
    "discretized_logistic_mixture_log_likelihood",
    "discretized_logistic_sample",
    "log_one_minus_exp",
    "logistic_bin_log_prob",
    "logistic_level_probabilities",
    "nearest_levels",
    "scale_pixels",
    "widest_float",
]

LOWEST_LOG_SCALE = -7.0
"""Smaller log-scales count as this one (Salimans et al.): such a logistic fits into one bin of 8-bit pixels."""

UPPER_EDGE = 0.999
"""Levels above this on the scale [−1, 1] have an open-ended bin: the last one, for up to 8 bits."""

HIGHEST_LOG_SCALE = 80.0
"""Larger log-scales count as this one in draws: its exponential is finite, and all mass is in the two edge bins."""


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
    # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)): each factor has an exact logarithm, even if the difference rounds to 0.
    inside = log_below_upper + log_above_lower + log_one_minus_exp(math.log(2 / last) - log_scale)
    log_prob = torch.where(x == 0, log_below_upper, torch.where(x == last, log_above_lower, inside))
    return log_prob.to(mean.dtype)


def logistic_bin_log_prob(
    x: Num[Tensor, "*#shape"],
    mean: Float[Tensor, "*#shape"],
    log_scale: Float[Tensor, "*#shape"],
    bits: int,
    upper_edge: float = UPPER_EDGE,
) -> Float[Tensor, "*#shape"]:
    """log-probability of each pixel level under a logistic distribution cut into 2**bits bins, in nats.

    The same as :func:`discretized_logistic_log_prob`, for parameters of any size. It is computed in float64 if the
    device has it, because with a narrow s up to three digits of (v − μ)/s would be lost.

    Args:
        x: pixel levels, whole numbers 0 … 2**bits − 1. The arguments broadcast.
        mean: location μ of each pixel on the [−1, 1] scale, finite.
        log_scale: log s, finite; taken as at least ``LOWEST_LOG_SCALE``.
        bits: bits per pixel value, at least 1.
        upper_edge: see ``UPPER_EDGE``; with another value the probabilities no longer sum to one.

    Returns:
        Nats of each element, in the type of ``log_scale``.

    The probabilities of all 256 levels sum to one, also for a logistic so narrow that it fits into one bin:

    >>> levels = torch.arange(256)
    >>> [logistic_bin_log_prob(levels, torch.tensor(0.3), torch.tensor(s), bits=8).exp().sum() for s in (0.0, -20.0)]
    [tensor(1.), tensor(1.)]
    """
    wide = widest_float(log_scale)
    half_bin = 1 / (2**bits - 1)
    pixels = scale_pixels(x, bits, wide)
    bounded_log_scale = log_scale.to(wide).clamp(min=LOWEST_LOG_SCALE)
    inverse_scale = torch.exp(-bounded_log_scale)
    not_above = F.logsigmoid((pixels + half_bin - mean) * inverse_scale)
    not_below = F.logsigmoid((mean - pixels + half_bin) * inverse_scale)
    inside = not_above + not_below + log_one_minus_exp(math.log(2 * half_bin) - bounded_log_scale)
    log_prob = torch.where(x == 0, not_above, torch.where(pixels > upper_edge, not_below, inside))
    return log_prob.to(log_scale.dtype)


def discretized_logistic_sample(
    mean: Float[Tensor, "*#shape"], log_scale: Float[Tensor, "*#shape"], uniform: Float[Tensor, "*#shape"], bits: int
) -> UInt8[Tensor, "*#shape"]:
    """Pixel levels drawn from :func:`logistic_bin_log_prob` by its inverse CDF at ``uniform`` in [0, 1).

    At u = 1/2 the draw is the level nearest to the mean:

    >>> half = torch.full((3,), 0.5)
    >>> discretized_logistic_sample(torch.tensor([-1.0, -0.2, 1.0]), torch.zeros(3), half, bits=8)
    tensor([  0, 102, 255], dtype=torch.uint8)
    """
    scale = torch.exp(log_scale.clamp(LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE))
    return nearest_levels(mean + scale * torch.logit(uniform, eps=torch.finfo(uniform.dtype).eps), bits)


def discretized_logistic_log_likelihood(
    mean: Float[Tensor, "batch *event"],
    log_scale: Float[Tensor, "batch *event"],
    x: Num[Tensor, "batch *event"],
    bits: int,
) -> Float[Tensor, "batch"]:
    """log P(x) of independent discretised logistics, in nats, summed over all dimensions but the first.

    Arguments as for :func:`discretized_logistic_log_prob`; log-scales below −7 count as −7.

    Six pixels of one bit with both levels equally probable:

    >>> zeros = torch.zeros(1, 6)
    >>> discretized_logistic_log_likelihood(zeros, zeros, torch.tensor([[0, 1, 1, 0, 1, 0]]), bits=1).exp() * 2**6
    tensor([1.])
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

    Pixels and channels are independent, and each chooses its own component. For colours that depend on one another see
    :func:`avae_lib.likelihoods.discretized_logistic_mixture_log_prob`.

    Args:
        logits: unnormalised log weights of the components, ``(batch, mixtures, …)``.
        mean, log_scale, bits: as for :func:`discretized_logistic_log_likelihood`, with a mixture dimension.
        x: pixel levels, ``(batch, …)``.

    Two equal components are as good as one of them:

    >>> mean, log_scale, x = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4), torch.tensor([[0, 1, 2, 3]])
    >>> one = discretized_logistic_log_likelihood(mean[:, 0], log_scale[:, 0], x, bits=2)
    >>> two = torch.zeros(1, 2, 4)
    >>> (discretized_logistic_mixture_log_likelihood(two, two, two, x, bits=2) - one).exp()
    tensor([1.0000])
    """
    component_log_probs = _log_prob(x.unsqueeze(1), mean, log_scale, bits)
    per_pixel = torch.logsumexp(F.log_softmax(logits, dim=1) + component_log_probs, dim=1)
    return per_pixel.flatten(start_dim=1).sum(dim=1)


def logistic_level_probabilities(
    logits: Float[Tensor, "batch mixtures *event"],
    mean: Float[Tensor, "batch mixtures *event"],
    log_scale: Float[Tensor, "batch mixtures *event"],
    bits: int,
) -> Float[Tensor, "batch *event levels"]:
    """P of every level 0 … 2**bits − 1 where each pixel follows its own mixture of discretised logistics.

    Arguments as for :func:`discretized_logistic_mixture_log_likelihood`. Codes need the probabilities of all levels, a
    likelihood only that of one.

    >>> logistic_level_probabilities(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1), bits=1)
    tensor([[0.5000, 0.5000]])
    """
    levels = torch.arange(2**bits, dtype=torch.uint8)
    component = logistic_bin_log_prob(levels, mean.unsqueeze(-1), log_scale.unsqueeze(-1), bits)
    return torch.logsumexp(F.log_softmax(logits, dim=1).unsqueeze(-1) + component, dim=1).exp()


def scale_pixels(x: Num[Tensor, "*shape"], bits: int, dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
    """Pixel levels 0 … 2**bits − 1 spread evenly over [−1, 1], in ``dtype`` or the default float type.

    >>> scale_pixels(torch.tensor([0, 1, 2, 3], dtype=torch.uint8), bits=2)
    tensor([-1.0000, -0.3333,  0.3333,  1.0000])
    """
    return x.to(dtype or torch.get_default_dtype()) * (2 / (2**bits - 1)) - 1


def nearest_levels(scaled: Float[Tensor, "*shape"], bits: int) -> UInt8[Tensor, "*shape"]:
    """The pixel level nearest to each value of the scale; values outside [−1, 1] become the first or the last level.

    >>> nearest_levels(torch.tensor([-5.0, -1.0, 0.2, 1.0]), bits=2)
    tensor([0, 0, 2, 3], dtype=torch.uint8)
    """
    last = 2**bits - 1
    return ((scaled + 1) * (last / 2)).round().clamp(0, last).to(torch.uint8)


def widest_float(x: Tensor) -> torch.dtype:
    """float64, or the dtype of ``x`` if its device has no float64.

    >>> widest_float(torch.zeros(1, dtype=torch.float32))
    torch.float64
    """
    return x.dtype if x.device.type == "mps" else torch.float64


def log_one_minus_exp(log_width: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(1 − e^−w) for w > 0, given as log w, for w of any size: log w + log((1 − e^−w) / w).

    For a tiny w it is log w, where 1 − e^−w itself would round to 0:

    >>> log_one_minus_exp(torch.tensor([0.0, -50.0]))
    tensor([ -0.4587, -50.0000])
    """
    width = log_width.exp().clamp(min=1e-12)
    return log_width + torch.log(-torch.expm1(-width) / width)


def _log_prob(x: Tensor, mean: Tensor, log_scale: Tensor, bits: int) -> Tensor:
    """:func:`discretized_logistic_log_prob` if that is written, else :func:`logistic_bin_log_prob`."""
    if is_available("discretized_logistic_log_prob"):
        return discretized_logistic_log_prob(x, mean, log_scale.clamp(min=LOWEST_LOG_SCALE), bits)
    return logistic_bin_log_prob(x, mean, log_scale, bits)
