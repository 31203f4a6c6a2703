"""The four places where the published attentive VAE and ours part, gathered so that a model takes one set or the other.

=====================  ===========================================  ==============================================
                       ``PUBLISHED``                                ``CORRECTED``
=====================  ===========================================  ==============================================
scale of attention     1, never trained                             starts at 1/√key_channels, trained
history of contexts    normalised one layer late, for good,         normalised once, when it is written
                       value and key as one
Gaussians              residual added before bounds that differ,    residual added after bounding: no residual, no
                       smoothstep or tanh, and 0.01 on top          KL; a bound whose gradient never dies
likelihood of colours  0.99 and above counts as the last level:     the probabilities of all levels sum to 1
                       level 254 as well
=====================  ===========================================  ==============================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from avae_lib.likelihoods import UPPER_EDGE
from avae_lib.nn.context_history import NormalizedLate, NormalizedOnce, Unnormalized
from avae_lib.nn.depthwise_attention import TrainedScale, UnitScale
from avae_lib.nn.gaussian_conditionals import CentredGaussians, PublishedGaussians

__all__ = ["CORRECTED", "PUBLISHED", "Conventions"]


@dataclass(frozen=True)
class Conventions:
    """Makers of the parts that differ."""

    scale: Callable[[int], nn.Module]
    """From the number of key channels to the inverse temperature of attention over depth."""
    history: Callable[[int, int, int, bool], nn.Module]
    """From channels of value and key, the number of contexts above, and whether values are normalised."""
    gaussians: Callable[[tuple[float, float]], nn.Module]
    """From the range of the prior's log standard deviation."""
    upper_edge: float
    """Where the last level of a pixel begins on the scale −1 … 1."""


def _normalized_once(channels: int, key_channels: int, above: int, normalised: bool) -> nn.Module:
    return NormalizedOnce(channels) if normalised else Unnormalized()


PUBLISHED = Conventions(scale=UnitScale, history=NormalizedLate, gaussians=PublishedGaussians, upper_edge=0.99)
"""What the authors' program computes."""

CORRECTED = Conventions(scale=TrainedScale, history=_normalized_once, gaussians=CentredGaussians, upper_edge=UPPER_EDGE)
"""What this library computes unless told otherwise."""
