"""The likelihood of the released Very Deep VAE of FFHQ-256: the encoder sees eight bits, the likelihood five.

Kept as published, so that its weights give the published numbers. It is not a distribution over the 32 levels: they lie
16/255 apart on the scale [−1, 1], each bin is 2/31 wide, and the last one is not open. Where a logistic is wider than
a few bins, the probabilities add up to as much as 255/248, which counts 0.04 bits per dimension too few.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.likelihoods import (
    discretized_logistic_mixture_mean,
    draw_from_mixture,
    logistic_bin_log_prob,
    scale_pixels,
)
from avae_lib.likelihoods.logistic_bins import conditional_mean, logits_and_components, widest_float
from avae_lib.nn.precision import at_least_float32

__all__ = ["ReleasedFiveBitHead"]


class ReleasedFiveBitHead(nn.Module):
    """Mixture of discretised logistics of 8·⌊x/8⌋, with colour channels that depend on one another.

    Args:
        projection: from features to 10 · mixtures numbers, laid out as for
            :func:`avae_lib.likelihoods.discretized_logistic_mixture_log_prob`.
    """

    name = "released_five_bits"
    own_wiring = "likelihood of the released five-bit model: own wiring, not discretized_logistic_mixture_log_prob"

    def __init__(self, projection: nn.Module, mixtures: int) -> None:
        super().__init__()
        self.projection, self.mixtures = projection, mixtures

    def log_likelihood(
        self, features: Float[Tensor, "batch features height width"], x: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch"]:
        """log P(8·⌊x/8⌋ | features) of each example, nats, with x of eight bits."""
        logits, components = logits_and_components(self.projection(features), channels=3)
        level, wide = x.unsqueeze(1) // 8, widest_float(components)
        pixels = scale_pixels(8 * level, 8, wide)
        # Five exact bits put level j at 2j/31 − 1 with bins as wide as here; the mean is moved along to that place.
        mean = conditional_mean(pixels, components) + scale_pixels(level, 5, wide) - pixels
        log_probs = logistic_bin_log_prob(level, mean, components[:, :, 1], bits=5, upper_edge=math.inf)
        log_weights = logits.log_softmax(dim=1)
        return torch.logsumexp(log_weights + log_probs.sum(dim=2), dim=1).flatten(start_dim=1).sum(dim=1)

    def mean(self, features: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Mean of the mixture before it is cut into bins, in pixel levels 0 … 255."""
        return discretized_logistic_mixture_mean(self.projection(features), channels=3, bits=8)

    def sample(self, features: Tensor, generator: Generator | None = None) -> UInt8[Tensor, "batch 3 height width"]:
        """One image of eight bits for each row of ``features``, as the released code draws it: not cut to five."""
        return draw_from_mixture(at_least_float32(self.projection(features)), 3, 8, generator)
