r"""Discretised logistics and their mixtures with what the exercises of unit 04 leave out, in nats.

That is: the published upper edge, one grey channel, all components in memory at once. Nothing here calls an exercise,
so models run before it is written.

T. Salimans et al., "PixelCNN++", ICLR 2017, section 2; used by R. Child, "Very Deep VAEs", ICLR 2021. The channels of
a pixel share the choice k of the component. Within it red comes first, green depends on red, and blue on both, through
their means:

.. math::
    P(r, g, b) = \sum_k \pi_k\, P(r \mid \mu_{r,k})\, P(g \mid \mu_{g,k} + c_{0,k}\, r)\,
                 P(b \mid \mu_{b,k} + c_{1,k}\, r + c_{2,k}\, g), \qquad c_{j,k} = \tanh(\text{raw}_{j,k})

with r, g, b on the scale [−1, 1] and each P a discretised logistic with a scale of its own. Grey images have one
channel, and no coefficients.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num, UInt8
from torch import Generator, Tensor
from torch.utils.checkpoint import checkpoint

from avae_lib.likelihoods.pixel_scale import nearest_levels, scale_pixels
from avae_lib.likelihoods.random_choice import draw_component, uniform_like

__all__ = [
    "HIGHEST_LOG_SCALE",
    "LOWEST_LOG_SCALE",
    "UPPER_EDGE",
    "components_at_once",
    "conditional_mean",
    "discretized_logistic_mixture_mean",
    "discretized_logistic_sample",
    "log_one_minus_exp",
    "logistic_bin_log_prob",
    "logistic_mixture_log_prob",
    "logistic_mixture_sample",
    "logits_and_components",
    "numbers_per_component",
    "require_images",
    "require_parameters",
    "widest_float",
]

LOWEST_LOG_SCALE = -7.0
"""Smaller log-scales are taken as this one (Salimans et al.): such a logistic fits into one bin of 8-bit pixels."""

UPPER_EDGE = 0.999
"""Levels above this on the scale [−1, 1] have an open-ended bin: the last one, for up to 8 bits."""

HIGHEST_LOG_SCALE = 80.0
"""Draws take larger log-scales as this one, whose exponential is no infinity yet: all mass is in the two edge bins."""

_ELEMENTS_AT_ONCE = 2**18


def logistic_bin_log_prob(
    x: Num[Tensor, "*#shape"],
    mean: Float[Tensor, "*#shape"],
    log_scale: Float[Tensor, "*#shape"],
    bits: int,
    upper_edge: float = UPPER_EDGE,
) -> Float[Tensor, "*#shape"]:
    """log-probability of each pixel level under a logistic distribution cut into 2**bits bins, in nats.

    As :func:`avae_lib.likelihoods.discretized_logistic_log_prob`, and robust to parameters of any size. Computed in
    float64 where the device has it, because (v − μ)/s loses up to three digits to a narrow s.

    Args:
        x: pixel levels, whole numbers 0 … 2**bits − 1. The arguments broadcast.
        mean: location μ of each pixel on the [−1, 1] scale, finite.
        log_scale: log s, finite; taken as at least ``LOWEST_LOG_SCALE``.
        bits: bits per pixel value, at least 1.
        upper_edge: see ``UPPER_EDGE``; with another value the probabilities no longer sum to one.

    Returns:
        Nats of each element, in the type of ``log_scale``.
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
    mean: Float[Tensor, "*shape"], log_scale: Float[Tensor, "*shape"], uniform: Float[Tensor, "*shape"], bits: int
) -> UInt8[Tensor, "*shape"]:
    """Pixel levels drawn from :func:`logistic_bin_log_prob` by its inverse CDF at ``uniform`` in [0, 1)."""
    scale = torch.exp(log_scale.clamp(LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE))
    return nearest_levels(mean + scale * torch.logit(uniform, eps=torch.finfo(uniform.dtype).eps), bits)


def widest_float(x: Tensor) -> torch.dtype:
    """float64, or what ``x`` is where its device has none."""
    return x.dtype if x.device.type == "mps" else torch.float64


def log_one_minus_exp(log_width: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(1 − e^−w) for w > 0, given as log w, which can be small without end: log w + log((1 − e^−w) / w)."""
    width = log_width.exp().clamp(min=1e-12)
    return log_width + torch.log(-torch.expm1(-width) / width)


def logistic_mixture_log_prob(
    x: UInt8[Tensor, "batch channels height width"],
    params: Float[Tensor, "batch parameters height width"],
    bits: int = 8,
    *,
    upper_edge: float = UPPER_EDGE,
    recompute: bool = True,
) -> Float[Tensor, "batch"]:
    """log P(x) of images with three channels or one, by the equation above, in nats per image.

    Exact: the probabilities of all images sum to one, and those too small for a float still have their logarithm.

    Args:
        x: pixel levels 0 … 2**bits − 1, uint8.
        params: 10·K numbers for each pixel of three channels: K logits of the components, then for each channel
            K means, K log-scales (taken as at least −7) and K raw coefficients, c₀ in the group of red, c₁ in that
            of green, c₂ in that of blue. Of one channel 3·K: K logits, K means, K log-scales.
        bits: bits per pixel value, 1 to 8.
        upper_edge: levels above it on the scale [−1, 1] have an open-ended bin. 0.99, found in published
            code, makes such a bin of level 254 of 255 too; probabilities then sum to more than one.
        recompute: take the components a few at a time, and once more in the backward pass, so that of all
            intermediate results only those of a few components are ever in memory. False keeps all of them.

    Returns:
        ``(batch,)``, float32 or what is wider of ``params``; finite, with a finite gradient, for finite parameters.

    Raises:
        TypeError: ``x`` is not uint8, or ``params`` is not floating-point.
        ValueError: shapes do not fit, bits are not 1 to 8, or a level is too high (looked at on the CPU only).
    """
    require_images(x, bits)
    require_parameters(params, x)
    logits, components = logits_and_components(params, channels=x.shape[1])
    if recompute:
        groups = components.split(components_at_once(x), dim=1)
        options = {"use_reentrant": False, "preserve_rng_state": False}
        log_probs = torch.cat([checkpoint(_log_prob, x, group, bits, upper_edge, **options) for group in groups], dim=1)
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
    """Images drawn pixel by pixel: a component, then one channel after the other, each rounded to a level."""
    logits, components = logits_and_components(params, channels)
    chosen = draw_component(logits, generator)[:, :, None, None]
    component = components.take_along_dim(chosen, dim=1).squeeze(1)
    log_scale = component[:, 1]
    uniform = uniform_like(log_scale, generator)
    levels = torch.zeros(log_scale.shape, dtype=torch.uint8, device=params.device)
    for _ in range(channels):  # red is settled after the first round, green after the second, blue after the third
        mean = conditional_mean(scale_pixels(levels, bits, component.dtype), component)
        levels = discretized_logistic_sample(mean, log_scale, uniform, bits)
    return levels


def discretized_logistic_mixture_mean(
    params: Float[Tensor, "batch parameters height width"], channels: int, bits: int = 8
) -> Float[Tensor, "batch channels height width"]:
    """Mean of the mixture before it is cut into bins, in pixel levels 0 … 2**bits − 1 but not rounded to them.

    Each component's mean of a channel is clipped to [−1, 1] and taken at its means of the channels before.
    """
    logits, components = logits_and_components(params, channels)
    means = torch.zeros_like(components[:, :, 0])
    for _ in range(channels):  # settled as in sampling
        means = conditional_mean(means, components).clamp(-1, 1)
    mean = (logits.softmax(dim=1).unsqueeze(2) * means).sum(dim=1)
    return (mean + 1) * ((2**bits - 1) / 2)


def numbers_per_component(channels: int) -> int:
    """How many numbers describe one component of a pixel: 10 for three channels, 3 for one.

    Raises:
        ValueError: another number of channels, for which no order of dependence is defined.
    """
    if channels not in (1, 3):
        raise ValueError(
            f"channels must be 1 (grey) or 3 (red, green, blue) in a discretized logistic mixture, got {channels}; "
            "for other images take likelihood='discretized_logistic', whose channels are independent"
        )
    return 1 + channels * _kinds(channels)


def _kinds(channels: int) -> int:
    """Of what each channel has K numbers: mean, log-scale, and of colours a raw coefficient."""
    return 3 if channels == 3 else 2


def logits_and_components(params: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Logits ``(batch, K, height, width)`` and the rest as ``(batch, K, kind, channel, height, width)``."""
    params = params.to(torch.promote_types(params.dtype, torch.float32))
    mixtures = params.shape[1] // numbers_per_component(channels)
    by_channel = params[:, mixtures:].unflatten(1, (channels, _kinds(channels), mixtures))
    return params[:, :mixtures], by_channel.permute(0, 3, 2, 1, 4, 5)


def components_at_once(x: Tensor) -> int:
    """How many components to compute in one step: few enough for memory, enough that small images lose no time."""
    return max(1, _ELEMENTS_AT_ONCE // max(1, x.numel()))


def _log_prob(x: Tensor, components: Tensor, bits: int, upper_edge: float) -> Tensor:
    """log P(x | k) of each pixel under each of the components, ``(batch, components, height, width)``."""
    x = x.unsqueeze(1)
    mean = conditional_mean(scale_pixels(x, bits, widest_float(components)), components)
    return logistic_bin_log_prob(x, mean, components[:, :, 1], bits, upper_edge).sum(dim=2)


def conditional_mean(
    pixels: Float[Tensor, "... channels height width"], component: Float[Tensor, "... kinds channels height width"]
) -> Float[Tensor, "... channels height width"]:
    """Mean of each channel given the ``pixels`` of the channels before it."""
    mean, _, *raw = component.unbind(dim=-4)
    if not raw:
        return mean
    red, green, _ = pixels.unbind(dim=-3)
    red_to_green, red_to_blue, green_to_blue = torch.tanh(raw[0].to(pixels.dtype)).unbind(dim=-3)
    shift = [torch.zeros_like(red_to_green), red_to_green * red, red_to_blue * red + green_to_blue * green]
    return mean + torch.stack(shift, dim=-3)


def require_images(x: Tensor, bits: int, channels: int | None = None) -> None:
    """An error unless ``x`` holds images of uint8 levels, with that many channels if it is given."""
    if not 1 <= bits <= 8:
        raise ValueError(f"bits must be 1 to 8, got {bits}")
    if x.dtype != torch.uint8:
        raise TypeError(f"x must be uint8 pixel levels 0 … {2**bits - 1}, got {x.dtype}; undo any scaling first")
    if x.ndim != 4 or channels not in (None, x.shape[1]):
        wanted = "channels" if channels is None else channels
        raise ValueError(f"x must be images (batch, {wanted}, height, width), got shape {tuple(x.shape)}")
    # A look at values on an accelerator would stop its queue.
    visible = x.device.type == "cpu" and not torch.compiler.is_compiling() and x.numel() > 0
    if visible and bits < 8 and int(x.max()) >= 2**bits:
        raise ValueError(f"x must hold levels 0 … {2**bits - 1} ({bits} bits), got {int(x.max())}")


def require_parameters(params: Tensor, images: Tensor) -> None:
    """An error unless ``params`` describes a mixture at each pixel of ``images``."""
    if not params.is_floating_point():
        raise TypeError(f"params must be floating-point, got {params.dtype}")
    each = numbers_per_component(images.shape[1])
    fits = params.ndim == 4 and params.shape[1] > 0 and params.shape[1] % each == 0
    if not fits or params.shape[:1] + params.shape[2:] != images.shape[:1] + images.shape[2:]:
        raise ValueError(
            f"params must be (batch, {each}·mixtures, height, width) for images of shape {tuple(images.shape)}, "
            f"got {tuple(params.shape)}"
        )
