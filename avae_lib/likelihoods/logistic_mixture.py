r"""Mixtures of discretised logistics whose colours depend on one another: density, samples, mean, in nats.

The channels of a pixel share the choice k of the component. Within it red comes first, green depends on red, and blue
on both, through their means:

.. math::
    P(r, g, b) = \sum_k \pi_k\, P(r \mid \mu_{r,k})\, P(g \mid \mu_{g,k} + c_{0,k}\, r)\,
                 P(b \mid \mu_{b,k} + c_{1,k}\, r + c_{2,k}\, g), \qquad c_{j,k} = \tanh(\text{raw}_{j,k})

with r, g, b on the scale [−1, 1] and each P a discretised logistic with a scale of its own. Grey images have one
channel, and no coefficients.

T. Salimans, A. Karpathy, X. Chen, D. Kingma, "PixelCNN++", ICLR 2017, section 2; used by R. Child, "Very Deep VAEs",
ICLR 2021. The functions here take colour and grey images. For colour images density and samples are also exercises
(:mod:`avae_lib.likelihoods.discretized_logistic_mixture`); the functions here run before they are written.
:func:`mixture_log_likelihood` and :func:`draw_from_mixture` choose between the two.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Generator, Tensor
from torch.utils.checkpoint import checkpoint

from avae_lib.components import find, is_available
from avae_lib.likelihoods.discretized_logistic import (
    UPPER_EDGE,
    bin_log_prob_at,
    computes_in_float32,
    discretized_logistic_sample,
    half_bins_from_mean,
    logistic_bin_log_prob,
    logistic_level_probabilities,
    scale_pixels,
    widest_float,
)
from avae_lib.likelihoods.discretized_logistic_mixture import (
    WITHOUT_RANDOM_STATE,
    components_at_once,
    discretized_logistic_mixture_log_prob,
    discretized_logistic_mixture_sample,
)
from avae_lib.likelihoods.requirements import (
    channel_kinds,
    numbers_per_component,
    require_images,
    require_parameters,
)

__all__ = [
    "conditional_mean",
    "discretized_logistic_mixture_mean",
    "draw_component",
    "draw_from_mixture",
    "is_the_exercise",
    "logistic_mixture_log_prob",
    "logistic_mixture_sample",
    "logits_and_components",
    "mixture_level_probabilities",
    "mixture_log_likelihood",
    "uniform_like",
]

_SMALLEST_UNIFORM = 2.0**-25
"""Half a step of float32 noise replaces 0, whose logarithm is infinite."""


def logistic_mixture_log_prob(
    x: UInt8[Tensor, "batch channels height width"],
    params: Float[Tensor, "batch parameters height width"],
    bits: int = 8,
    *,
    upper_edge: float = UPPER_EDGE,
    recompute: bool = True,
) -> Float[Tensor, "batch"]:
    """log P(x) of images with three channels or one, by the equation of this module, in nats per image.

    The probabilities of all images sum to one; those too small for a float still have a finite logarithm.

    Args:
        x: pixel levels 0 … 2**bits − 1, uint8.
        params: 10·K numbers for each pixel of three channels: K logits of the components, then for each channel
            K means, K log-scales (taken as at least −7) and K raw coefficients, c₀ in the group of red, c₁ in that
            of green, c₂ in that of blue. Of one channel 3·K: K logits, K means, K log-scales.
        bits: bits per pixel value, 1 to 8.
        upper_edge: levels above it on the scale [−1, 1] have an open-ended bin. 0.99, found in published
            code, makes such a bin of level 254 of 255 too; probabilities then sum to more than one.
        recompute: process a few components at a time, and recompute them in the backward pass, so that memory holds
            the intermediate results of only these few. False keeps the results of all, as does a device that computes
            in float32: there ten components keep 2 MB of an image of 32×32, and a few large kernels are faster.

    Returns:
        ``(batch,)``, in the dtype of ``params``, at least float32; finite, with a finite gradient, for finite
        parameters.

    Raises:
        TypeError: ``x`` is not uint8, or ``params`` is not floating-point.
        ValueError: shapes do not fit, bits are not 1 to 8, or a level is too high (looked at on the CPU only).

    Of a grey image; with one bit and a mean half-way, each of the four pixels has the probability 1/2:

    >>> x, params = torch.tensor([[[[0, 1], [1, 0]]]], dtype=torch.uint8), torch.zeros(1, 3, 2, 2)
    >>> logistic_mixture_log_prob(x, params, bits=1).exp()
    tensor([0.0625])
    """
    require_images(x, bits)
    require_parameters(params, x)
    logits, components = logits_and_components(params, channels=x.shape[1])
    if recompute and not computes_in_float32(components):
        groups = components.split(components_at_once(x), dim=1)
        log_probs = torch.cat(
            [checkpoint(_log_prob, x, group, bits, upper_edge, **WITHOUT_RANDOM_STATE) for group in groups], dim=1
        )
    else:
        log_probs = _log_prob(x, components, bits, upper_edge)
    log_weights = F.log_softmax(logits, dim=1)
    return torch.logsumexp(log_weights + log_probs, dim=1).flatten(start_dim=1).sum(dim=1)


def logistic_mixture_sample(
    params: Float[Tensor, "batch parameters height width"],
    channels: int,
    bits: int = 8,
    generator: Generator | None = None,
) -> UInt8[Tensor, "batch channels height width"]:
    """Images drawn pixel by pixel: a component, then one channel after the other, each rounded to a level.

    A narrow logistic far above the scale gives the last level:

    >>> params = torch.tensor([0.0, 9.0, -9.0]).reshape(1, 3, 1, 1)
    >>> logistic_mixture_sample(params, channels=1, bits=8)
    tensor([[[[255]]]], dtype=torch.uint8)
    """
    logits, components = logits_and_components(params, channels)
    chosen = draw_component(logits, generator)[:, :, None, None]
    component = components.take_along_dim(chosen, dim=1).squeeze(1)
    log_scale = component[:, 1]
    uniform = uniform_like(log_scale, generator)
    levels = torch.zeros(log_scale.shape, dtype=torch.uint8, device=params.device)
    for _ in range(channels):  # red is final after the first round, green after the second, blue after the third
        mean = conditional_mean(scale_pixels(levels, bits, component.dtype), component)
        levels = discretized_logistic_sample(mean, log_scale, uniform, bits)
    return levels


def discretized_logistic_mixture_mean(
    params: Float[Tensor, "batch parameters height width"], channels: int, bits: int = 8
) -> Float[Tensor, "batch channels height width"]:
    """Mean of the mixture before it is cut into bins, in pixel levels 0 … 2**bits − 1 but not rounded to them.

    Within a component, a channel's mean is clipped to [−1, 1] and computed from the means of the channels before.

    >>> params = torch.tensor([0.0, 1.0, -9.0]).reshape(1, 3, 1, 1)
    >>> discretized_logistic_mixture_mean(params, channels=1, bits=8)
    tensor([[[[255.]]]])
    """
    logits, components = logits_and_components(params, channels)
    means = torch.zeros_like(components[:, :, 0])
    for _ in range(channels):  # red, then green, then blue, as in sampling
        means = conditional_mean(means, components).clamp(-1, 1)
    mean = (logits.softmax(dim=1).unsqueeze(2) * means).sum(dim=1)
    return (mean + 1) * ((2**bits - 1) / 2)


def mixture_level_probabilities(
    params: Float[Tensor, "batch parameters height width"],
    known: UInt8[Tensor, "batch known height width"],
    channels: int,
    bits: int,
) -> Float[Tensor, "batch height width levels"]:
    r"""P of every level of the next channel, given the channels before it, under the mixture of PixelCNN++.

    The known channels determine which component is likely, and shift the means of the next channel:

    .. math:: P(g \mid r) = \sum_k \frac{\pi_k P(r \mid k)}{\sum_j \pi_j P(r \mid j)} \, P(g \mid r, k)

    Args:
        params: as for :func:`avae_lib.likelihoods.logistic_mixture_log_prob`.
        known: levels of the first channels; ``(batch, 0, height, width)`` for none.
        channels: number of channels of the image, 1 or 3.

    Raises:
        ValueError: all channels are known.

    >>> none_known = torch.zeros(1, 0, 1, 1, dtype=torch.uint8)
    >>> mixture_level_probabilities(torch.zeros(1, 10, 1, 1), none_known, channels=3, bits=1)
    tensor([[[[0.5000, 0.5000]]]])
    """
    if known.shape[1] >= channels:
        raise ValueError(f"known must be fewer channels than the image's {channels}, got {known.shape[1]}")
    logits, components = logits_and_components(params, channels)
    padding = known.new_zeros(len(known), channels - known.shape[1], *known.shape[2:])
    pixels = torch.cat([known, padding], dim=1).unsqueeze(1)
    means = conditional_mean(scale_pixels(pixels, bits, widest_float(components)), components)
    given = logistic_bin_log_prob(pixels, means, components[:, :, 1], bits)[:, :, : known.shape[1]].sum(dim=2)
    mean, log_scale = means[:, :, known.shape[1]], components[:, :, 1, known.shape[1]]
    return logistic_level_probabilities(logits + given, mean, log_scale, bits)


def mixture_log_likelihood(
    x: UInt8[Tensor, "batch channels height width"],
    params: Float[Tensor, "batch parameters height width"],
    bits: int,
    upper_edge: float = UPPER_EDGE,
) -> Float[Tensor, "batch"]:
    """:func:`discretized_logistic_mixture_log_prob` if it applies and is written, else the plain function.

    Where float64 is slow (:func:`~avae_lib.likelihoods.discretized_logistic.computes_in_float32`) the library's own
    exercise, which computes in float64, gives way to the plain function; a student's function is used there, too.
    Arguments and result as for :func:`logistic_mixture_log_prob`.

    Both ways give the same number:

    >>> x, params = torch.tensor([1, 0, 1], dtype=torch.uint8).reshape(1, 3, 1, 1), torch.randn(1, 20, 1, 1)
    >>> (mixture_log_likelihood(x, params, bits=1) - logistic_mixture_log_prob(x, params, bits=1)).exp()
    tensor([1.0000])
    """
    exercises = ("discretized_logistic_mixture_log_prob", "discretized_logistic_log_prob")
    is_own = any(find(name).is_replaced for name in exercises)  # the second is called by the first
    is_wanted = is_own or not computes_in_float32(params)
    if is_wanted and is_the_exercise(x.shape[1], upper_edge) and is_available(exercises[0]):
        return discretized_logistic_mixture_log_prob(x, params, bits)
    return logistic_mixture_log_prob(x, params, bits, upper_edge=upper_edge)


def draw_from_mixture(
    params: Float[Tensor, "batch parameters height width"], channels: int, bits: int, generator: Generator | None = None
) -> UInt8[Tensor, "batch channels height width"]:
    """:func:`discretized_logistic_mixture_sample` if it applies and is written, else the plain function.

    Both draw the same levels. Arguments as for :func:`logistic_mixture_sample`.

    >>> params = torch.randn(2, 20, 4, 4)
    >>> drawn, plain = (
    ...     draw(params, channels=3, bits=8, generator=Generator().manual_seed(0))
    ...     for draw in (draw_from_mixture, logistic_mixture_sample)
    ... )
    >>> torch.equal(drawn, plain)
    True
    """
    if not (is_the_exercise(channels) and is_available("discretized_logistic_mixture_sample")):
        return logistic_mixture_sample(params, channels, bits, generator)
    mixtures = params.shape[1] // 10
    component_uniforms = uniform_like(params[:, :mixtures], generator).clamp(min=_SMALLEST_UNIFORM)
    level_uniforms = uniform_like(params[:, :3], generator).clamp(min=_SMALLEST_UNIFORM)
    return discretized_logistic_mixture_sample(params, component_uniforms, level_uniforms, bits)


def is_the_exercise(channels: int, upper_edge: float = UPPER_EDGE) -> bool:
    """Whether :func:`discretized_logistic_mixture_log_prob` applies: to colour images with the last bin alone open.

    >>> is_the_exercise(channels=3), is_the_exercise(channels=1), is_the_exercise(channels=3, upper_edge=0.99)
    (True, False, False)
    """
    return channels == 3 and upper_edge == UPPER_EDGE


def logits_and_components(params: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Logits ``(batch, K, height, width)`` and the rest as ``(batch, K, kind, channel, height, width)``.

    Two components of a colour image have 2 logits, and 2 × 3 × 3 further numbers:

    >>> logits, components = logits_and_components(torch.zeros(1, 20, 4, 4), channels=3)
    >>> logits.shape, components.shape
    (torch.Size([1, 2, 4, 4]), torch.Size([1, 2, 3, 3, 4, 4]))
    """
    params = params.to(torch.promote_types(params.dtype, torch.float32))
    mixtures = params.shape[1] // numbers_per_component(channels)
    by_channel = params[:, mixtures:].unflatten(1, (channels, channel_kinds(channels), mixtures))
    return params[:, :mixtures], by_channel.permute(0, 3, 2, 1, 4, 5)


def conditional_mean(
    pixels: Float[Tensor, "... channels height width"], component: Float[Tensor, "... kinds channels height width"]
) -> Float[Tensor, "... channels height width"]:
    """Mean of each channel given the ``pixels`` of the channels before it.

    Red keeps its mean. Green and blue are shifted by a share of the colours before them, here of almost 1:

    >>> pixels = torch.tensor([1.0, 0.5, 0.0]).reshape(3, 1, 1)
    >>> component = torch.stack([torch.zeros(3, 1, 1), torch.zeros(3, 1, 1), torch.full((3, 1, 1), 9.0)])
    >>> conditional_mean(pixels, component).flatten()
    tensor([0.0000, 1.0000, 1.5000])
    """
    mean, _, *raw = component.unbind(dim=-4)
    if not raw:
        return mean
    red, green, _ = pixels.unbind(dim=-3)
    red_to_green, red_to_blue, green_to_blue = torch.tanh(raw[0].to(pixels.dtype)).unbind(dim=-3)
    shift = [torch.zeros_like(red_to_green), red_to_green * red, red_to_blue * red + green_to_blue * green]
    return mean + torch.stack(shift, dim=-3)


def _log_prob(x: Tensor, components: Tensor, bits: int, upper_edge: float) -> Tensor:
    """log P(x | k) of each pixel under each of the components, ``(batch, components, height, width)``."""
    x = x.unsqueeze(1)
    if computes_in_float32(components):
        distance = half_bins_from_mean(x, components[:, :, 0], bits, _shares_of_colours(x, components))
        return bin_log_prob_at(distance, x, components[:, :, 1], bits, upper_edge).sum(dim=2)
    mean = conditional_mean(scale_pixels(x, bits, widest_float(components)), components)
    return logistic_bin_log_prob(x, mean, components[:, :, 1], bits, upper_edge).sum(dim=2)


def _shares_of_colours(x: Tensor, components: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For :func:`half_bins_from_mean`: each channel's coefficients with red and with green, and these colours."""
    if components.shape[2] == 2:  # grey: means and log-scales only
        return []
    red, green, _ = x.split(1, dim=2)
    red_to_green, red_to_blue, green_to_blue = torch.tanh(components[:, :, 2]).unbind(dim=2)
    none = torch.zeros_like(red_to_green)
    with_red = torch.stack([none, red_to_green, red_to_blue], dim=2)
    with_green = torch.stack([none, none, green_to_blue], dim=2)
    return [(with_red, red), (with_green, green)]


def draw_component(
    logits: Float[Tensor, "batch mixtures *event"], generator: Generator | None = None
) -> Int64[Tensor, "batch 1 *event"]:
    """An index drawn from softmax(logits) over dimension 1: the largest of logits plus Gumbel noise.

    >>> draw_component(torch.tensor([[-100.0, 0.0, -100.0]]))
    tensor([[1]])
    """
    gumbel = -torch.log(-torch.log(uniform_like(logits, generator)))
    return (logits + gumbel).argmax(dim=1, keepdim=True)


def uniform_like(x: Float[Tensor, "*shape"], generator: Generator | None = None) -> Float[Tensor, "*shape"]:
    """Noise in [0, 1) with the shape, type and device of ``x``, whatever the device of the generator.

    >>> noise = uniform_like(torch.zeros(100, dtype=torch.float64), Generator().manual_seed(0))
    >>> noise.dtype, bool((noise >= 0).all()), bool((noise < 1).all())
    (torch.float64, True, True)
    """
    if generator is None:
        return torch.rand_like(x)
    return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)
