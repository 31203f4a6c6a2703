"""Mixtures of discretised logistics for colour images, the exercises of unit 04: density and samples, in nats.

The equation is in :mod:`avae_lib.likelihoods.logistic_mixture`. That module also has grey images and the published
upper edge, and calls the functions here where they apply.

T. Salimans, A. Karpathy, X. Chen, D. Kingma, "PixelCNN++", ICLR 2017, section 2; used by R. Child, "Very Deep VAEs",
ICLR 2021.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from avae_lib.components import component
from avae_lib.likelihoods.discretized_logistic import (
    HIGHEST_LOG_SCALE,
    LOWEST_LOG_SCALE,
    discretized_logistic_log_prob,
    nearest_levels,
    scale_pixels,
    widest_float,
)
from avae_lib.likelihoods.requirements import require_images, require_parameters

__all__ = [
    "WITHOUT_RANDOM_STATE",
    "components_at_once",
    "discretized_logistic_mixture_log_prob",
    "discretized_logistic_mixture_sample",
]

_ELEMENTS_AT_ONCE = 2**18
WITHOUT_RANDOM_STATE: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
"""Options of ``checkpoint`` for parts that draw nothing at random."""


@component(unit="04_richer_models")
def discretized_logistic_mixture_log_prob(
    x: UInt8[Tensor, "batch 3 height width"], params: Float[Tensor, "batch parameters height width"], bits: int
) -> Float[Tensor, "batch"]:
    r"""log P(x) of colour images under a mixture of discretised logistics at each pixel, in nats per image.

    .. math::
        P(r, g, b) = \sum_k \pi_k\, P(r \mid \mu_{r,k}, s_{r,k})\, P(g \mid \mu_{g,k} + c_{0,k}\, r, s_{g,k})\,
                     P(b \mid \mu_{b,k} + c_{1,k}\, r + c_{2,k}\, g, s_{b,k})

    with r, g, b on the scale [−1, 1] and each P a discretised logistic. The three colours of a pixel share the choice
    of the component k; the means of green and blue depend on the colours before them as they are in the image.
    Salimans et al., "PixelCNN++" (2017), section 2.

    Args:
        x: levels 0 … 2**bits − 1, uint8, ``(batch, 3, height, width)``: red, green, blue.
        params: ``(batch, 10·K, height, width)``. The first K channels are the logits of the components, π = softmax of
            them. Then come for red, for green and for blue K means μ, K log-scales log s and K raw coefficients; the
            coefficients are their tanh: c₀ of those with red, c₁ of those with green, c₂ of those with blue.
            Log-scales below −7 count as −7.
        bits: bits of a pixel value, 1 to 8.

    Returns:
        ``(batch,)``, in the dtype of ``params`` and differentiable in it; summed over all pixels. Probabilities too
        small for a float still have their logarithm. Neither input is changed.

    Raises:
        TypeError: ``x`` is not uint8, or ``params`` is not floating-point.
        ValueError: shapes do not fit, bits are not 1 to 8, or a level is too high (looked at on the CPU only).

    Two levels of each colour, all eight colours equally probable:

    >>> x, params = torch.tensor([1, 0, 1], dtype=torch.uint8).reshape(1, 3, 1, 1), torch.zeros(1, 10, 1, 1)
    >>> discretized_logistic_mixture_log_prob(x, params, bits=1).exp()
    tensor([0.1250])
    """
    require_images(x, bits, channels=3)
    require_parameters(params, x)

    def log_prob_given(group: Tensor) -> Tensor:
        """log P(x | k) of each pixel under a few components, ``(batch, components, height, width)``."""
        levels, wide = x.unsqueeze(1), widest_float(params)
        mean, log_scale, raw = group.to(wide).unbind(dim=2)
        red, green, _ = scale_pixels(levels, bits, wide).unbind(dim=2)
        to_green, red_to_blue, green_to_blue = torch.tanh(raw).unbind(dim=2)
        shift = [torch.zeros_like(to_green), to_green * red, red_to_blue * red + green_to_blue * green]
        mean = mean + torch.stack(shift, dim=2)
        log_scale = log_scale.clamp(min=LOWEST_LOG_SCALE)
        return discretized_logistic_log_prob(levels, mean, log_scale, bits).sum(dim=2).to(params.dtype)

    mixtures = params.shape[1] // 10
    components = params[:, mixtures:].unflatten(1, (3, 3, mixtures)).permute(0, 3, 2, 1, 4, 5)
    # A few components at a time, recomputed in the backward pass, so that only their intermediate results use memory.
    groups = components.split(components_at_once(x), dim=1)
    log_probs = torch.cat([checkpoint(log_prob_given, group, **WITHOUT_RANDOM_STATE) for group in groups], dim=1)
    log_weights = F.log_softmax(params[:, :mixtures], dim=1)
    return torch.logsumexp(log_weights + log_probs, dim=1).flatten(start_dim=1).sum(dim=1)


@component(unit="04_richer_models")
def discretized_logistic_mixture_sample(
    params: Float[Tensor, "batch parameters height width"],
    component_uniforms: Float[Tensor, "batch mixtures height width"],
    level_uniforms: Float[Tensor, "batch 3 height width"],
    bits: int,
) -> UInt8[Tensor, "batch 3 height width"]:
    r"""Colour images drawn from :func:`discretized_logistic_mixture_log_prob`, with noise that is given.

    At each pixel the component is the one whose logit plus Gumbel noise −log(−log u) is largest. Then come red, green
    and blue, each by the inverse CDF of its logistic,

    .. math:: \mu + s \log\frac{u}{1 - u},

    rounded to the nearest level and clipped to the first or last one before the next colour's mean uses it.

    Args:
        params: ``(batch, 10·K, height, width)``, as for :func:`discretized_logistic_mixture_log_prob`. Log-scales
            below −7 count as −7.
        component_uniforms: noise in (0, 1) for the choice of the component, ``(batch, K, height, width)``.
        level_uniforms: noise in (0, 1) for red, green and blue, ``(batch, 3, height, width)``.
        bits: bits of a pixel value, 1 to 8.

    Returns:
        Levels 0 … 2**bits − 1, uint8, ``(batch, 3, height, width)``, without gradient. No input is changed.

    Raises:
        ValueError: shapes do not fit.

    With u = 1/2 each colour is its mean, here far above the scale, so the last level:

    >>> params = torch.tensor([0.0, 9.0, 0.0, 0.0, 9.0, 0.0, 0.0, 9.0, 0.0, 0.0]).reshape(1, 10, 1, 1)
    >>> half = torch.full((1, 3, 1, 1), 0.5)
    >>> discretized_logistic_mixture_sample(params, half[:, :1], half, bits=8).flatten()
    tensor([255, 255, 255], dtype=torch.uint8)
    """
    require_parameters(params, level_uniforms)
    mixtures = params.shape[1] // 10
    gumbel = -torch.log(-torch.log(component_uniforms))
    chosen = (params[:, :mixtures] + gumbel).argmax(dim=1, keepdim=True)[:, None, None]
    of_colours = params[:, mixtures:].unflatten(1, (3, 3, mixtures))
    means, log_scales, raw = of_colours.take_along_dim(chosen, dim=3).squeeze(3).unbind(dim=2)
    deviations = log_scales.clamp(LOWEST_LOG_SCALE, HIGHEST_LOG_SCALE).exp() * torch.logit(level_uniforms)
    to_green, red_to_blue, green_to_blue = torch.tanh(raw).unbind(dim=1)
    uncut = means + deviations
    red = nearest_levels(uncut[:, 0], bits)
    scaled_red = scale_pixels(red, bits, params.dtype)
    green = nearest_levels(uncut[:, 1] + to_green * scaled_red, bits)
    scaled_green = scale_pixels(green, bits, params.dtype)
    blue = nearest_levels(uncut[:, 2] + red_to_blue * scaled_red + green_to_blue * scaled_green, bits)
    return torch.stack([red, green, blue], dim=1)


def components_at_once(x: Tensor) -> int:
    """Number of components to compute at once: few for large images, to save memory; many for small ones, for speed.

    >>> components_at_once(torch.zeros(1, 3, 8, 8)), components_at_once(torch.zeros(64, 3, 64, 64))
    (1365, 1)
    """
    return max(1, _ELEMENTS_AT_ONCE // max(1, x.numel()))
