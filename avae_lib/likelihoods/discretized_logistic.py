"""Logistic distributions cut into one bin for each pixel level, and mixtures of them whose pixels are independent.

T. Salimans, A. Karpathy, X. Chen, D. Kingma, "PixelCNN++", ICLR 2017, section 2.1. All log-probabilities are in nats.

:func:`discretized_logistic_log_prob` is an exercise. :func:`logistic_bin_log_prob` computes the same for models that
run before the exercise is written, and accepts log-scales of any size and the published upper edge.

On the CPU and for float64 parameters, probabilities are computed in float64. On other devices float64 is slow (on most
GPUs 32 or 64 times slower than float32), and float32 parameters are computed with in float32
(:func:`computes_in_float32`). Only one step needs more digits than that, the distance between level and mean;
:func:`half_bins_from_mean` computes it without rounding where the digits count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num, UInt8
from torch import Tensor

from avae_lib.components import component, find, is_available

__all__ = [
    "HIGHEST_LOG_SCALE",
    "LOWEST_LOG_SCALE",
    "UPPER_EDGE",
    "bin_log_prob_at",
    "computes_in_float32",
    "discretized_logistic_log_likelihood",
    "discretized_logistic_log_prob",
    "discretized_logistic_mixture_log_likelihood",
    "discretized_logistic_sample",
    "half_bins_from_mean",
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

    The same as :func:`discretized_logistic_log_prob`, for parameters of any size, and in float32 where float64 is slow
    (:func:`computes_in_float32`).

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
    if computes_in_float32(mean):
        return bin_log_prob_at(half_bins_from_mean(x, mean, bits), x, log_scale, bits, upper_edge)
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


def half_bins_from_mean(
    x: Num[Tensor, "*#shape"],
    mean: Float[Tensor, "*#shape"],
    bits: int,
    shares: Sequence[tuple[Float[Tensor, "*#shape"], Num[Tensor, "*#shape"]]] = (),
) -> Float[Tensor, "*#shape"]:
    r"""Distance of a pixel level from the mean of its logistic, in half-bins, in float32 as accurate as from float64.

    .. math:: D = (2^b - 1)\,\Bigl(v - \mu - \sum_i c_i w_i\Bigr) = n - \sum_i c_i m_i - 2^b \mu + \mu

    Here v and w are the scaled levels of this channel and of those before it, n and m the odd whole numbers
    :math:`2x - (2^b - 1)`, and c the shares of the other channels in the mean. Digits are lost where a level is close
    to its mean. There each subtraction, in this order, is of two numbers within a factor of two of one another, which
    has an exact result (Sterbenz). The products are exact because c is split into its first twelve binary digits and
    a small rest, which is subtracted last.

    Args:
        x: levels 0 … 2**bits − 1 of this channel. All tensors broadcast.
        mean: μ on the scale [−1, 1], float32.
        bits: b, 1 to 8.
        shares: pairs of c, float32 from −1 to 1, and the levels of the channel that it belongs to.

    Of 8 bits, the level 200 lies 0.2 half-bins above this mean. The difference in float32 has two correct digits, this
    has seven:

    >>> level, mean = torch.tensor(200.0), torch.tensor(144.8 / 255)
    >>> exact = 2 * level.double() - 255 - 255 * mean.double()
    >>> abs(half_bins_from_mean(level, mean, bits=8) / exact - 1).item() < 1e-6
    True
    >>> abs(255 * (scale_pixels(level, bits=8) - mean) / exact - 1).item() > 1e-5
    True
    """
    left, rest = _odd_number(x, bits), torch.zeros((), device=mean.device)
    for share, levels in shares:
        first_digits = torch.round(share.detach() * 2**12) / 2**12
        left = left - first_digits * _odd_number(levels, bits)
        rest = rest + (share - first_digits) * _odd_number(levels, bits)
    return (left - 2**bits * mean) + mean - rest


def bin_log_prob_at(
    distance: Float[Tensor, "*#shape"],
    x: Num[Tensor, "*#shape"],
    log_scale: Float[Tensor, "*#shape"],
    bits: int,
    upper_edge: float = UPPER_EDGE,
) -> Float[Tensor, "*#shape"]:
    """:func:`logistic_bin_log_prob` from the distance between level and mean in half-bins, in the distance's type.

    >>> bin_log_prob_at(torch.zeros(2), torch.tensor([0, 1]), torch.tensor(-20.0), bits=8).exp()
    tensor([0.9866, 0.9732])
    """
    log_scale = log_scale.clamp(min=LOWEST_LOG_SCALE)
    half_bin = torch.exp(-log_scale) / (2**bits - 1)  # in scales
    not_above = F.logsigmoid((distance + 1) * half_bin)
    not_below = F.logsigmoid((1 - distance) * half_bin)
    inside = not_above + not_below + log_one_minus_exp(math.log(2 / (2**bits - 1)) - log_scale)
    is_last = scale_pixels(x, bits) > upper_edge
    return torch.where(x == 0, not_above, torch.where(is_last, not_below, inside))


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
    levels = torch.arange(2**bits, dtype=torch.uint8, device=mean.device)
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


def computes_in_float32(x: Tensor) -> bool:
    """Whether probabilities with parameters like ``x`` are computed in float32: float32 ones beyond the CPU.

    >>> computes_in_float32(torch.zeros(1)), computes_in_float32(torch.zeros(1, dtype=torch.float64))
    (False, False)
    """
    return x.dtype == torch.float32 and x.device.type not in ("cpu", "meta")  # what is on meta is planned on the CPU


def log_one_minus_exp(log_width: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(1 − e^−w) for w > 0, given as log w, for w of any size: log w + log((1 − e^−w) / w).

    For a tiny w it is log w, where 1 − e^−w itself would round to 0:

    >>> log_one_minus_exp(torch.tensor([0.0, -50.0]))
    tensor([ -0.4587, -50.0000])
    """
    width = log_width.exp().clamp(min=1e-12)
    return log_width + torch.log(-torch.expm1(-width) / width)


def _odd_number(x: Tensor, bits: int) -> Tensor:
    """A level on the scale [−1, 1] times 2**bits − 1, a whole number."""
    return 2 * x.to(torch.float32) - (2**bits - 1)


def _log_prob(x: Tensor, mean: Tensor, log_scale: Tensor, bits: int) -> Tensor:
    """:func:`discretized_logistic_log_prob` if that is written, else :func:`logistic_bin_log_prob`.

    Where float64 is slow, only a student's own function is preferred to the latter.
    """
    is_own = find("discretized_logistic_log_prob").is_replaced
    if is_available("discretized_logistic_log_prob") and (is_own or not computes_in_float32(mean)):
        return discretized_logistic_log_prob(x, mean, log_scale.clamp(min=LOWEST_LOG_SCALE), bits)
    return logistic_bin_log_prob(x, mean, log_scale, bits)
