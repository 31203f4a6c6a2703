"""Probabilities of all levels of a pixel: what a code needs, where a likelihood needs that of one level.

Nothing here calls an exercise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from avae_lib.likelihoods.logistic_bins import (
    conditional_mean,
    logistic_bin_log_prob,
    logits_and_components,
    widest_float,
)
from avae_lib.likelihoods.pixel_scale import scale_pixels

__all__ = ["logistic_level_probabilities", "mixture_level_probabilities"]


def logistic_level_probabilities(
    logits: Float[Tensor, "batch mixtures *event"],
    mean: Float[Tensor, "batch mixtures *event"],
    log_scale: Float[Tensor, "batch mixtures *event"],
    bits: int,
) -> Float[Tensor, "batch *event levels"]:
    """P of every level 0 … 2**bits − 1 where each pixel follows its own mixture of discretised logistics.

    Arguments as for :func:`avae_lib.likelihoods.discretized_logistic_mixture_log_likelihood`.

    >>> logistic_level_probabilities(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1), bits=1)
    tensor([[0.5000, 0.5000]])
    """
    component = logistic_bin_log_prob(_levels(bits), mean.unsqueeze(-1), log_scale.unsqueeze(-1), bits)
    return torch.logsumexp(F.log_softmax(logits, dim=1).unsqueeze(-1) + component, dim=1).exp()


def mixture_level_probabilities(
    params: Float[Tensor, "batch parameters height width"],
    known: UInt8[Tensor, "batch known height width"],
    channels: int,
    bits: int,
) -> Float[Tensor, "batch height width levels"]:
    r"""P of every level of the next channel, given the channels before it, under the mixture of PixelCNN++.

    The channels that are known say which component is likely, and move the means of the next one:

    .. math:: P(g \mid r) = \sum_k \frac{\pi_k P(r \mid k)}{\sum_j \pi_j P(r \mid j)} \, P(g \mid r, k)

    Args:
        params: as for :func:`avae_lib.likelihoods.logistic_mixture_log_prob`.
        known: levels of the first channels; ``(batch, 0, height, width)`` for none.
        channels: of the image, 1 or 3.

    Raises:
        ValueError: no channel is left.
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


def _levels(bits: int) -> UInt8[Tensor, "levels"]:
    return torch.arange(2**bits, dtype=torch.uint8)
